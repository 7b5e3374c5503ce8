"""Windows of many rows cut into parts by the org's own counts (COMPLETE-WINDOW, VALUE-RESUME, BOUNDED)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from random import Random

import pyarrow as pa
import pytest

from syncline.connectors.connector import Json, Slice, Window
from syncline.connectors.errors import DataError, Transient
from syncline.connectors.salesforce import Salesforce
from syncline.connectors.salesforce.columns import INSTANT
from syncline.connectors.salesforce.cuts import COUNTS_AT_ONCE, CUTS_MAX, Cuts
from syncline.connectors.salesforce.extraction import require_within
from syncline.connectors.salesforce.faults import Faulted, Refused, Rule
from syncline.connectors.salesforce.settings import Api
from syncline.connectors.salesforce.spans import bounds, tiles
from syncline.connectors.sandbox import JobPlan
from tests.salesforce.org_world import Site, bulk, fill, forget, ids_of, planned

EARLIEST = datetime(1999, 1, 1, tzinfo=UTC)
HORIZON = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)
WHOLE = Window(None, HORIZON)

# ---- where windows are cut ----


class Counting:
    """A source with records of these stamps that counts them, if it can: ``slow`` says of which ranges it cannot."""

    def __init__(self, stamps: Sequence[datetime], slow: Callable[[Window, int], bool] = lambda window, rows: False):
        self.stamps = sorted(stamps)
        self.slow = slow
        self.asked = 0

    def rows(self, window: Window) -> int:
        low = 0 if window.low is None else bisect_left(self.stamps, window.low)
        return bisect_left(self.stamps, window.high) - low

    def count(self, window: Window) -> int:
        self.asked += 1
        rows = self.rows(window)
        if self.slow(window, rows):
            fault = Faulted("count rows", "Account", "it took too long")
            fault.rule = Rule("smaller", "a test")
            raise fault
        return rows

    def cuts(self, horizon: datetime = HORIZON) -> Cuts:
        return Cuts(self.count, ThreadPoolExecutor, EARLIEST, horizon)


def spread(rows: int, seed: int, days: float = 4000) -> list[datetime]:
    """Instants that lie the denser, the later."""
    random = Random(seed)
    return [HORIZON - timedelta(days=days * random.random() ** 3, seconds=1) for _ in range(rows)]


@pytest.mark.parametrize("seed", range(20))
def test_parts_are_the_window_and_none_holds_too_much(seed: int) -> None:
    source = Counting(spread(5_000, seed, days=Random(seed).choice((1, 30, 9000))))
    parts = source.cuts().parts(WHOLE, 5_000, 400)
    assert tiles(WHOLE, parts)
    assert max(source.rows(part) for part in parts) <= 400
    assert 13 <= len(parts) <= 40, "neighbours that hold little are one part"
    assert source.asked <= 4 * len(parts) + 20


def test_a_window_of_few_rows_stays_whole_and_is_not_counted_again() -> None:
    source = Counting(spread(400, 1))
    assert source.cuts().parts(WHOLE, 400, 400) == [WHOLE]
    assert source.asked == 0


def test_rows_of_one_second_stay_together() -> None:
    source = Counting([HORIZON - timedelta(days=3)] * 500 + spread(100, 1))
    parts = source.cuts().parts(WHOLE, 600, 50)
    assert tiles(WHOLE, parts)
    assert max(source.rows(part) for part in parts) in range(500, 551)


def test_the_number_of_parts_has_a_limit_bounded() -> None:
    source = Counting(spread(100_000, 1))
    parts = source.cuts().parts(WHOLE, 100_000, 1)
    assert tiles(WHOLE, parts)
    assert CUTS_MAX / 4 < len(parts) <= CUTS_MAX


def test_what_lies_beyond_the_horizon_is_a_part_of_its_own_and_the_last() -> None:
    window, source = Window(None, HORIZON + timedelta(days=30)), Counting(spread(900, 1))
    cuts = source.cuts()
    parts = cuts.parts(window, 900, 400)
    assert tiles(window, parts)
    assert parts[-1] == Window(HORIZON, window.high)
    assert [cuts.is_last(part, window) for part in parts] == [False] * (len(parts) - 1) + [True]
    assert not cuts.is_last(window, window), "there is nothing to wait for"
    above = Window(HORIZON, window.high)
    late = Counting([HORIZON + timedelta(minutes=minute) for minute in range(900)])
    assert late.cuts().parts(above, 900, 400) == [above], "records move within it"


def test_a_range_that_the_source_cannot_count_in_time_is_cut_until_it_can() -> None:
    source = Counting(spread(5_000, 1), slow=lambda window, rows: rows > 1_000)
    parts = source.cuts().parts(WHOLE, None, 400)
    assert tiles(WHOLE, parts)
    assert max(source.rows(part) for part in parts) <= 400


def test_a_source_that_counts_nothing_in_time_is_not_asked_for_long_bounded() -> None:
    """Each such count takes it minutes."""
    source = Counting(spread(5_000, 1), slow=lambda window, rows: True)
    assert source.cuts().parts(WHOLE, None, 400) == [WHOLE]
    assert source.asked == 2
    increment = Window(HORIZON - timedelta(hours=1), HORIZON)
    assert source.cuts().parts(increment, None, 400) == [increment]
    assert source.asked == 2
    rarely = Counting(spread(5_000, 1), slow=lambda window, rows: Random(rows).random() < 0.9)
    assert tiles(WHOLE, rarely.cuts().parts(WHOLE, 5_000, 20))
    assert rarely.asked < 60


def test_after_a_count_failed_no_more_are_sent_bounded() -> None:
    """Each would take the transport's whole patience before the run ends."""
    asked: list[Window] = []

    def count(window: Window) -> int:
        asked.append(window)
        if len(asked) > 70:
            raise Transient("count rows", "Account", "HTTP 503")
        return int((window.high - (window.low or EARLIEST)).total_seconds())

    with pytest.raises(Transient):
        Cuts(count, ThreadPoolExecutor, EARLIEST, HORIZON).parts(WHOLE, None, 400)
    assert len(asked) <= 70 + 2 * COUNTS_AT_ONCE


def test_a_window_stays_whole_where_the_source_never_counts() -> None:
    def refuse(window: Window) -> int:
        raise Refused("count rows", "Account", "count() is not supported here")

    assert Cuts(refuse, ThreadPoolExecutor, EARLIEST, HORIZON).parts(WHOLE, None, 400) == [WHOLE]
    assert Cuts(None, ThreadPoolExecutor, EARLIEST, HORIZON).parts(WHOLE, 10**9, 400) == [WHOLE]


def test_a_cursor_that_edits_may_set_back_is_not_cut_at(site: Site) -> None:
    """A record that moves down, into a part that was read, would be missing from a snapshot."""
    source = site.connect(api="rest")
    [schema] = source.describe(["Account"])
    for cursor, fit in (("SystemModstamp", True), ("CreatedDate", True), ("Reviewed__c", False), (None, False)):
        cuts = source._cuts(source._open(), replace(schema, cursor=cursor), Window(None, HORIZON))
        assert (cuts.count is not None) == fit


# ---- parts by REST and by Bulk ----

roads = pytest.mark.parametrize("road", ["rest", "bulk"])


def connect(site: Site, road: Api, part_rows: int = 60) -> Salesforce:
    return site.connect(api=road, part_rows=part_rows, rest_part_rows=60)


@roads
def test_every_part_is_a_slice_and_all_are_the_window(site: Site, road: Api) -> None:
    ids = fill(site, spread_s=20_000)
    extraction, _ = planned(connect(site, road))
    slices = list(extraction.slices(None, forget))
    assert len(slices) >= 500 / 60
    assert max(len(ids_of(extraction, [each])) for each in slices) <= 60
    assert ids_of(extraction, slices) == ids
    extraction.close("landed")
    assert site.org.jobs() == []


@roads
def test_a_killed_run_goes_on_with_the_parts_it_began_with_value_resume(site: Site, road: Api) -> None:
    ids = fill(site, spread_s=20_000)
    source = connect(site, road)
    [schema] = source.describe(["Account"])
    window = Window(None, source.horizon())
    remembered: list[Json] = []
    begun = list(source.plan(schema, window).slices(None, remembered.append))
    site.org.update("Account", ids[:200], {"Name": "edited since"})
    site.org.advance(60)
    counts = site.org.log.totals().get("query", 0)
    heir = connect(site, road)
    heir.describe(["Account"])
    extraction = heir.plan(schema, window)
    slices = list(extraction.slices(remembered[-1], forget))
    assert [each.id for each in slices] == [each.id for each in begun]
    assert site.org.log.totals().get("query", 0) <= counts + 1, "nothing is counted anew but the window"


@roads
def test_parts_that_are_not_this_window_are_not_taken_complete_window(site: Site, road: Api) -> None:
    ids = fill(site, spread_s=20_000)
    source = connect(site, road)
    remembered: list[Json] = []
    extraction, schema = planned(source)
    list(extraction.slices(None, remembered.append))
    site.org.advance(60)
    spoilt = {**remembered[-1], "parts": remembered[-1]["parts"][1:]}
    again = source.plan(schema, Window(None, source.horizon()))
    assert ids_of(again, list(again.slices(spoilt, forget))) == ids


@roads
def test_a_snapshot_in_parts_holds_what_is_edited_while_it_is_read(site: Site, road: Api) -> None:
    """A record that leaves its part before that is read moves into the last one, which is read after all others."""
    ids = fill(site, spread_s=20_000)
    source = connect(site, road)
    [schema] = source.describe(["Account"])
    extraction = source.plan(schema, Window(None, source.horizon() + timedelta(days=30)))
    found: list[str] = []
    for number, slice in enumerate(extraction.slices(None, forget)):
        if slice.last:
            assert road == "rest"
        found += ids_of(extraction, [slice])
        if number in (0, 3):
            site.org.update("Account", ids[number::7], {"Name": f"edited {number}"})
            site.org.advance(1)
    assert sorted(set(found)) == ids


@pytest.mark.parametrize(
    ("hours", "odd"), [(-3, True), (-2, False), (-1.5, False), (-1, True), (-0.5, True), (0, False), (0.5, False)]
)
def test_a_row_of_another_part_ends_the_run_complete_window(site: Site, hours: float, odd: bool) -> None:
    """An answer to another part's query has a right count of its own. What was edited meanwhile has moved above the
    settled line."""
    [schema] = site.connect().describe(["Account"])
    part = Window(HORIZON - timedelta(hours=2), HORIZON - timedelta(hours=1))
    slice = Slice("part", {**bounds(part), "settled": HORIZON.isoformat()})
    stamps = pa.array([HORIZON - timedelta(hours=1.2), HORIZON + timedelta(hours=hours)], INSTANT)
    rows = pa.RecordBatch.from_arrays([stamps], names=["SystemModstamp"])
    with pytest.raises(DataError, match="another query's answer") if odd else nullcontext():
        require_within(schema, slice, rows)


def test_the_last_part_by_rest_is_a_last_slice(site: Site) -> None:
    fill(site, spread_s=20_000)
    source = connect(site, "rest")
    [schema] = source.describe(["Account"])
    horizon = source.horizon()
    for low, high in ((None, horizon + timedelta(days=30)), (None, horizon), (horizon - timedelta(days=9), horizon)):
        found = source.plan(schema, Window(low, high)).slices(None, forget)
        slices = [each for each in found if each.kind == "records"]
        assert [each.last for each in slices] == [False] * (len(slices) - 1) + [True]


# ---- parts by Bulk ----


def test_the_org_works_at_several_jobs_and_at_the_last_when_all_others_ended(site: Site) -> None:
    fill(site, spread_s=20_000)
    for _ in range(20):
        site.org.plan_job(JobPlan(running_s=30))
    source = connect(site, "bulk")
    [schema] = source.describe(["Account"])
    extraction = source.plan(schema, Window(None, source.horizon() + timedelta(days=30)))
    running: list[int] = []
    began: list[int] = []

    def remember(token: Json) -> None:
        states = [job["state"] for job in site.org.jobs()]
        running.append(sum(state in ("UploadComplete", "InProgress") for state in states))
        if token["parts"][-1]["job"] is not None and not began:
            began.append(sum(state != "JobComplete" for state in states))

    list(extraction.slices(None, remember))
    assert max(running) == 3
    assert began == [1], "only itself"


def test_a_part_that_bulk_refuses_is_read_by_rest_in_parts_and_the_last_after_it(site: Site) -> None:
    ids = fill(site, spread_s=20_000)
    source = connect(site, "bulk", part_rows=300)
    [schema] = source.describe(["Account"])
    extraction = source.plan(schema, Window(None, source.horizon() + timedelta(days=30)))
    site.org.plan_job(JobPlan(ending="failed", message="Implementation restriction: not by Bulk"))
    remembered: list[Json] = []
    slices = list(extraction.slices(None, remembered.append))
    roads = [str(each.params["api"]) for each in slices]
    parts = [(part["by_rest"], part["job"] is not None) for part in remembered[-1]["parts"]]
    assert [each for each, _ in groupby(parts)] == [(True, False), (False, True), (False, False)]
    assert remembered[-1]["refused"] == "Implementation restriction: not by Bulk"
    assert [road for road, _ in groupby(roads)] == ["rest", "bulk", "rest"]
    assert slices[-1].last
    assert ids_of(extraction, slices) == ids
    again = source.plan(schema, Window(None, extraction._window.high))
    assert [each.id for each in again.slices(remembered[-1], forget)] == [each.id for each in slices]
    again.close("landed")
    assert site.org.jobs() == []


# ---- several pages a slice ----


@pytest.fixture
def large(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Salesforce]:
    """Connectors for which 500 rows of pages of ten are many: three pages are to make a slice."""
    monkeypatch.setattr("syncline.connectors.salesforce.bulk.SLICES_MIN", 15)
    monkeypatch.setattr("syncline.connectors.salesforce.bulk.SLICE_ROWS_MIN", 1)
    fill(site)
    site.org.settings.bulk_page_rows_default = 10
    return lambda **more: bulk(site, page_rows=10, **more)


def test_a_large_result_is_read_several_pages_at_a_time(site: Site, large: Callable[..., Salesforce]) -> None:
    extraction, _ = planned(large())
    slices = list(extraction.slices(None, forget))
    assert [len(each.params["paths"]) for each in slices] == [3] * 16 + [2]
    assert len(set(ids_of(extraction, slices))) == 500
    assert site.calls("GET */results") == 50, "the page that was looked at is read from the same answer"


def test_values_bound_the_pages_of_a_slice(
    site: Site, large: Callable[..., Salesforce], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice becomes a file: the more columns, the fewer rows."""
    source = large()
    [schema] = source.describe(["Account"])
    columns = len(schema.columns.names) + ("IsDeleted" not in schema.columns.names)
    monkeypatch.setattr("syncline.connectors.salesforce.bulk.SLICE_VALUES_MAX", 20 * columns)
    extraction, _ = planned(source)
    assert {len(each.params["paths"]) for each in extraction.slices(None, forget)} == {2}


def test_a_killed_run_goes_on_with_the_same_pages_a_slice_value_resume(
    site: Site, large: Callable[..., Salesforce]
) -> None:
    source = large()
    extraction, schema = planned(source)
    remembered: list[Json] = []
    begun = [each.id for each, _ in zip(extraction.slices(None, remembered.append), range(3), strict=False)]
    late = site.org.insert("Account", {}, count=2000)
    site.org.update("Account", late, {"SystemModstamp": extraction._window.high - timedelta(hours=1)}, touch="none")
    heir = large()
    heir.describe(["Account"])
    again = heir.plan(schema, extraction._window)
    slices = list(again.slices(remembered[-1], forget))
    assert [each.id for each in slices[:3]] == begun
    assert site.calls("POST */jobs/query") == 1
