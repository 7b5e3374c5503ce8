"""REST reading: every page, every half of a window, every field of a wide object; nothing twice, nothing lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import unquote_plus

import pyarrow as pa
import pytest

from syncline.connectors.connector import Window
from syncline.connectors.errors import ConfigError, CountMismatch, DataError, SynclineError, Transient
from syncline.connectors.salesforce import Salesforce
from syncline.connectors.salesforce.quota import Quota
from syncline.connectors.salesforce.rest import Notes, Query
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.signin import ReadyToken
from syncline.connectors.salesforce.transport import Seams, Transport
from syncline.connectors.secret import Secret
from tests.salesforce.org_world import START, Read, Site, fill, read, read_object
from tests.salesforce.scripted import Asked, Scripted, answer

ROWS = 500


def rest(site: Site) -> Salesforce:
    return site.connect(api="rest")


def test_every_page_is_read_to_done(site: Site) -> None:
    ids = fill(site)
    assert read_object(rest(site)).ids() == ids
    assert site.calls("GET */queryAll/*") == 4


@pytest.mark.parametrize("setting", ["uneven_pages", "empty_pages", "single_use_locators", "live_pages"])
def test_the_end_is_done_whatever_the_pages_look_like(site: Site, setting: str) -> None:
    ids = fill(site)
    setattr(site.org.settings, setting, True)
    assert read_object(rest(site)).ids() == ids


def test_page_size_means_nothing_with_two_long_texts(site: Site) -> None:
    site.org.insert("Oddity__c", {}, count=450)
    site.org.advance(120)
    assert len(read_object(rest(site), "Oddity__c").ids()) == 450
    assert site.calls("GET */queryAll/*") == 2


def test_zero_rows_are_no_error(site: Site) -> None:
    found = read_object(rest(site))
    assert found.ids() == []
    assert found.extraction.warnings == []


def test_the_forecast_is_the_sources_count_counted_hops(site: Site) -> None:
    fill(site)
    site.org.delete("Account", site.org.ids("Account", limit=7))
    site.org.advance(120)
    found = read_object(rest(site))
    assert (found.extraction.forecast.rows, len(found.ids()), len(found.deleted())) == (ROWS, ROWS, 7)


def test_a_filter_of_the_user_narrows_rows_and_count(site: Site) -> None:
    fill(site, 20)
    site.org.update("Account", site.org.ids("Account", limit=3), {"Name": "N'est-ce pas"})
    site.org.advance(120)
    source = rest(site)
    [schema] = source.describe(["Account"])
    found = read(source, replace(schema, where="Name = 'N\\'est-ce pas'"), Window(None, source.horizon()))
    assert (len(found.ids()), found.extraction.forecast.rows) == (3, 3)


# ---- pages that lie ----


def test_a_page_that_comes_twice_is_asked_for_again(site: Site) -> None:
    ids = fill(site)
    site.org.inject("duplicate_page", path="*/queryAll/*", nth=2)
    assert read_object(rest(site)).ids() == ids


def pages_of(script: Callable[[int], tuple[str, str | None]]) -> list[int]:
    """Row counts of the pages of one query, whose nth answer (0 is the first) is an id and the next address."""

    def told(asked: Asked) -> bytes:
        number = 0 if "q=" in asked.target else int(asked.target.rpartition("-")[2])
        record_id, further = script(number)
        page = {"totalSize": 9, "done": further is None, "records": [{"attributes": {}, "Id": record_id}]}
        return answer(200, json.dumps(page | ({"nextRecordsUrl": further} if further else {})).encode())

    shape = Shape("Account", pa.schema([("Id", pa.string())]), ("Id",), frozenset())
    with Scripted(told) as server:
        seams = Seams(sleep=lambda seconds: None)
        transport = Transport(ReadyToken(server.url, Secret("a-token")), "62.0", Quota(1), seams)
        return [rows.num_rows for rows, _ in Query(transport, Notes()).rows(shape, "SELECT Id FROM Account")]


def test_a_page_that_always_comes_twice_ends_the_run_loud() -> None:
    with pytest.raises(CountMismatch, match="earlier page"):
        pages_of(lambda number: ("001", f"/services/data/v62.0/queryAll/x-{number + 1}"))


def test_a_chain_of_pages_that_loops_ends_the_run_loud() -> None:
    with pytest.raises(DataError, match="a loop"):
        pages_of(lambda number: (f"00{number}", f"/services/data/v62.0/queryAll/x-{(number + 1) % 3 or 1}"))


@pytest.mark.parametrize("further", ["https://attacker.example/services/x-1", "//attacker.example/x-1", "/other/x-1"])
def test_a_next_page_elsewhere_is_never_asked_for_no_secrets(further: str) -> None:
    with pytest.raises(DataError, match="no path"):
        pages_of(lambda number: (f"00{number}", further))


def test_rows_missing_from_a_page_end_the_run_counted_hops(site: Site) -> None:
    fill(site)
    site.org.inject("fewer_rows", path="*/queryAll/*", rows=3)
    with pytest.raises(CountMismatch, match="announced 500 rows, 497 came"):
        read_object(rest(site))


def test_rows_that_leave_while_pages_are_read_are_explained_not_failed(site: Site) -> None:
    fill(site)
    source = rest(site)
    [schema] = source.describe(["Account"])
    extraction = source.plan(schema, Window(None, source.horizon()))
    site.org.settings.live_pages = True
    [slice] = extraction.slices(None, lambda token: None)
    batches = extraction.read(slice)
    rows = next(batches).records.num_rows
    site.org.hide_records("Account", site.org.ids("Account")[-20:])
    site.org.hard_delete("Account", site.org.ids("Account")[:20])
    rows += sum(batch.records.num_rows for batch in batches)
    assert rows <= ROWS
    if rows < ROWS:
        assert "records moved meanwhile" in extraction.warnings[0]


# ---- trouble in the middle ----


@pytest.mark.parametrize("status", [400, 404])
def test_a_lost_locator_restarts_the_query_without_giving_rows_twice_value_resume(site: Site, status: int) -> None:
    ids = fill(site)
    told = [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]
    site.org.inject("error", path="*/queryAll/*", nth=3, status=status, body=told)
    assert read_object(rest(site)).ids() == ids


def test_a_locator_that_is_lost_each_time_ends_the_run_bounded(site: Site) -> None:
    fill(site)
    told = [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]
    site.org.inject("error", path="*/queryAll/*", times=99, status=400, body=told)
    with pytest.raises(Transient, match="INVALID_QUERY_LOCATOR"):
        read_object(rest(site))
    assert site.calls("GET */queryAll/*") == 4


def parts_asked(site: Site) -> list[str]:
    asked = [unquote_plus(entry.target) for entry in site.org.log.entries if "/queryAll?" in entry.target]
    return [each for each in asked if "COUNT()" not in each]


def test_a_query_too_heavy_is_halved_until_it_passes_and_both_halves_are_read(site: Site) -> None:
    """Peers lost the second half."""
    ids = fill(site, spread_s=1000)
    source = rest(site)
    [schema] = source.describe(["Account"])
    low, high = START - timedelta(seconds=1), source.horizon()
    site.org.settings.query_rows_max = 120
    assert read(source, schema, Window(low, high)).ids() == ids
    bounds = [re.findall(r"SystemModstamp (?:>=|<) (\S+)", each) for each in parts_asked(site)]
    assert len(bounds) > 8


def test_a_window_without_a_low_is_halved_as_well(site: Site) -> None:
    ids = fill(site, spread_s=1000)
    site.org.settings.query_rows_max = 120
    assert read_object(rest(site)).ids() == ids


def test_a_query_too_heavy_for_one_second_ends_the_run_with_a_cure(site: Site) -> None:
    fill(site)
    site.org.settings.query_rows_max = 120
    with pytest.raises(Transient, match="QUERY_TIMEOUT") as caught:
        read_object(rest(site))
    assert "cannot be cut further" in caught.value.hint


def test_a_stream_without_a_cursor_that_is_too_heavy_says_so(site: Site) -> None:
    site.org.insert("Setting__mdt", {}, count=20)
    site.org.settings.query_rows_max = 10
    with pytest.raises(Transient, match="cannot be cut"):
        read_object(rest(site), "Setting__mdt")


def test_a_stream_without_a_cursor_is_read_whole(site: Site) -> None:
    site.org.insert("Setting__mdt", {}, count=20)
    assert len(read_object(rest(site), "Setting__mdt").ids()) == 20


# ---- objects that refuse ----


def test_an_object_that_demands_a_filter_is_explained_when_planned(site: Site) -> None:
    told = "Implementation restriction: ContentDocumentLink requires a filter by a single Id on ContentDocumentId"
    site.org.inject("error", path="*/queryAll", status=400, body=[{"errorCode": "MALFORMED_QUERY", "message": told}])
    with pytest.raises(ConfigError, match="requires a filter") as caught:
        read_object(rest(site), "ContentDocumentLink")
    assert "where" in caught.value.hint


def test_an_object_that_cannot_be_counted_is_read_all_the_same(site: Site) -> None:
    ids = fill(site, 20)
    told = [{"errorCode": "MALFORMED_QUERY", "message": "Count() is not supported for this object"}]
    site.org.inject("error", path="*/queryAll", status=400, body=told)
    found = read_object(rest(site))
    assert (found.ids(), found.extraction.forecast.rows) == (ids, None)


def test_a_filter_on_an_unknown_field_is_explained_when_planned(site: Site) -> None:
    source = rest(site)
    [schema] = source.describe(["Account"])
    with pytest.raises(ConfigError, match="INVALID_FIELD"):
        source.plan(replace(schema, where="Nonsense__c = 1"), Window(None, source.horizon()))


def test_a_field_dropped_after_the_description_is_an_error_not_a_null_column(site: Site) -> None:
    fill(site, 20)
    source = rest(site)
    [schema] = source.describe(["Account"])
    site.org.drop_field("Account", "Score__c")
    with pytest.raises(SynclineError, match="INVALID_FIELD"):
        read(source, schema, Window(None, source.horizon()))


# ---- wide objects ----


def wide(site: Site, rows: int = 60) -> Salesforce:
    site.org.insert("Wide__c", {}, count=rows)
    site.org.advance(120)
    return rest(site)


def test_an_object_of_800_fields_is_read_by_rest(site: Site) -> None:
    source = wide(site)
    found = read_object(source, "Wide__c")
    bulk = read_object(site.connect(api="bulk"), "Wide__c")
    assert found.table().num_columns == 800
    assert found.table().equals(bulk.table())


def test_a_wide_object_goes_by_bulk_unless_told_otherwise(site: Site) -> None:
    wide(site)
    found = read_object(site.connect(), "Wide__c")
    assert found.extraction.forecast.api == "bulk"


def test_chunks_of_a_wide_object_follow_the_order_of_ids(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.connectors.salesforce.wide.CHUNK_ROWS", 25)
    source = wide(site)
    assert len(read_object(source, "Wide__c").ids()) == 60


def between_queries(site: Site, monkeypatch: pytest.MonkeyPatch, nth: int, change: Callable[[], None]) -> None:
    """Does ``change`` right before the nth data query of a wide reading."""
    from syncline.connectors.salesforce.wide import WideReading

    ask, asked = WideReading._ask, [0]

    def asking(self: WideReading, *args: object, **more: object) -> object:
        asked[0] += 1
        if asked[0] == nth:
            change()
        return ask(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(WideReading, "_ask", asking)


def changed(found: Read) -> dict[str, tuple[str, str]]:
    rows = found.table().select(["Id", "Remark_Text_000__c", "Remark_Text_792__c"]).to_pylist()
    return {row["Id"]: (row["Remark_Text_000__c"], row["Remark_Text_792__c"]) for row in rows}


@pytest.mark.parametrize("nth", [2, 3])
def test_no_row_mixes_two_versions_of_its_record(site: Site, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """The parts of a record that changed between two queries are read again, together."""
    source = wide(site)
    ids = site.org.ids("Wide__c")
    site.org.update("Wide__c", ids, {"Remark_Text_000__c": "old", "Remark_Text_792__c": "old"})
    site.org.advance(120)
    new = {"Remark_Text_000__c": "new", "Remark_Text_792__c": "new"}
    [schema] = source.describe(["Wide__c"])
    # The window reaches into the future, so that an edit does not take the record out of it.
    window = Window(None, site.org.now() + timedelta(hours=1))
    between_queries(site, monkeypatch, nth, lambda: site.org.update("Wide__c", ids[:5], new))
    found = changed(read(source, schema, window))
    assert len(found) == 60
    assert all(one == other for one, other in found.values())
    assert {each for each in ids if found[each] == ("new", "new")} == set(ids[:5])


def test_a_record_that_left_the_window_between_two_queries_is_left_to_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = wide(site)
    ids = site.org.ids("Wide__c")
    between_queries(site, monkeypatch, 2, lambda: site.org.update("Wide__c", ids[:5], {"Name": "later"}))
    assert read_object(source, "Wide__c").ids() == ids[5:]


def test_a_record_that_never_stands_still_ends_the_run_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncline.connectors.salesforce.wide import WideReading

    monkeypatch.setattr("syncline.connectors.salesforce.wide.REREADS_MAX", 2)
    source = wide(site, 5)
    ids, ask = site.org.ids("Wide__c"), WideReading._ask

    def restless(self: WideReading, *args: object, **more: object) -> object:
        site.org.advance(1)
        site.org.update("Wide__c", ids[:1], {"Name": "again"})
        return ask(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(WideReading, "_ask", restless)
    [schema] = source.describe(["Wide__c"])
    with pytest.raises(Transient, match="changed each time"):
        read(source, schema, Window(None, site.org.now() + timedelta(hours=1)))
