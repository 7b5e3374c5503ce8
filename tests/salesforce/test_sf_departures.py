"""Records that leave the user's filter: tombstones of the window they changed in, whatever the road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.connector import Window
from syncline.connectors.errors import ConfigError
from syncline.connectors.salesforce.departures import UNSEEN
from tests.salesforce.org_world import Read, Site, forget, read

WHERE = "Amount > 1000"


@pytest.fixture
def ids(site: Site) -> Sequence[str]:
    """Six opportunities of an hour ago that the filter lets through."""
    made: list[str] = site.org.insert("Opportunity", {"Amount": "5000"}, count=6)
    site.org.advance(3600)
    return sorted(made)


def since(site: Site, low: datetime | None, api: str = "auto", **narrowed: Any) -> Read:
    source = site.connect(api=api)  # type: ignore[arg-type]
    [schema] = source.describe(["Opportunity"])
    return read(source, replace(schema, **{"where": WHERE, **narrowed}), Window(low, source.horizon()))


def change(site: Site, ids: Sequence[str], amount: str | None) -> datetime:
    """The instant of the change."""
    at: datetime = site.org.now()
    site.org.update("Opportunity", ids, {"Amount": amount})
    return at


@pytest.mark.parametrize("api", ["rest", "bulk"])
def test_a_record_that_leaves_the_filter_is_a_tombstone_at_its_stamp(site: Site, ids: list[str], api: str) -> None:
    low = site.org.now()
    small = change(site, ids[:1], "5")
    site.org.advance(10)
    empty = change(site, ids[1:2], None)
    change(site, ids[2:3], "7000")
    site.org.advance(120)
    found = since(site, low, api)
    assert found.tombstones() == {ids[0]: small, ids[1]: empty}, "a comparison with null is false, and NOT turns it"
    assert found.ids() == ids[2:3]
    assert found.extraction.warnings == []


@pytest.mark.parametrize("where", [WHERE, "Amount > 1000 OR Name = 'a)b'", "NOT (Amount <= 1000)"])
def test_each_changed_record_is_either_a_row_or_a_tombstone(site: Site, ids: list[str], where: str) -> None:
    low = site.org.now()
    change(site, ids[:2], None)
    site.org.update("Opportunity", ids[:1], {"Name": "a)b"})
    change(site, ids[2:4], "1000")
    change(site, ids[4:], "1000.01")
    site.org.advance(120)
    found = since(site, low, where=where)
    assert sorted([*found.ids(), *found.tombstones()]) == ids
    assert not set(found.ids()) & set(found.tombstones())


@pytest.mark.parametrize("api", ["rest", "bulk"])
def test_the_slice_comes_first_and_is_named_by_its_window_newest_wins(site: Site, ids: list[str], api: str) -> None:
    """Of a record that was read in both states within one second, the row has the later sequence number."""
    low = site.org.now()
    change(site, ids[:3], "2000")
    site.org.advance(120)
    source = site.connect(api=api)  # type: ignore[arg-type]
    [schema] = source.describe(["Opportunity"])
    window, schema = Window(low, source.horizon()), replace(schema, where=WHERE)
    first, again = (list(source.plan(schema, window).slices(None, forget)) for _ in range(2))
    assert [slice.kind for slice in first] == ["tombstones", "records", "tombstones"]
    assert first[0] == again[0]
    assert first[0].id != first[-1].id, "the delete log has its own"
    assert first[0].rows_expected is None


@pytest.mark.parametrize("names", [["Id", "SystemModstamp"], ["SystemModstamp", "Id"]])
def test_the_columns_are_key_and_cursor_in_the_streams_order(site: Site, ids: list[str], names: list[str]) -> None:
    low = site.org.now()
    change(site, ids[:1], "5")
    site.org.advance(120)
    [schema] = site.connect().describe(["Opportunity"])
    found = since(site, low, columns=pa.schema([schema.columns.field(name) for name in [*names, "Amount"]]))
    [batch] = found.batches[found.slices[0].id]
    assert batch.records.schema.equals(pa.schema([schema.columns.field(name) for name in names]))
    assert batch.deleted is None


def test_a_soft_deleted_record_outside_the_filter_is_a_tombstone_too(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    change(site, ids[:1], "5")
    site.org.delete("Opportunity", ids[:1])
    site.org.advance(120)
    assert set(since(site, low).tombstones()) == set(ids[:1])


def test_many_that_leave_come_page_after_page(site: Site) -> None:
    site.org.settings.page_rows_max = 100
    made = site.org.insert("Opportunity", {"Amount": "5"}, count=450)
    site.org.advance(120)
    assert set(since(site, site.org.now() - timedelta(hours=1)).tombstones()) == set(made)


def test_one_more_call_is_forecast(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    site.org.advance(120)
    with_filter, without = (since(site, low, where=where).extraction.forecast.calls for where in (WHERE, None))
    assert with_filter == without + 1


@pytest.mark.parametrize(("whole", "where"), [(True, WHERE), (False, None)])
def test_a_whole_read_and_a_stream_without_a_filter_ask_nothing(
    site: Site, ids: list[str], whole: bool, where: str | None
) -> None:
    low = None if whole else site.org.now() - timedelta(hours=2)
    site.org.advance(120)
    found = since(site, low, where=where)
    assert "left" not in {slice.params["api"] for slice in found.slices}
    assert found.extraction.warnings == []


# ---- where it cannot be told ----


@pytest.mark.parametrize("narrowed", [{"key": ("Name",)}, {"cursor": None}])
def test_another_key_and_no_cursor_are_warned_of_once(site: Site, ids: list[str], narrowed: dict[str, Any]) -> None:
    low = site.org.now()
    site.org.advance(120)
    found = since(site, low, **narrowed)
    assert UNSEEN == "records that leave the filter are seen by a whole read only; set full_every"
    assert sum(UNSEEN in each for each in found.extraction.warnings) == 1
    assert "left" not in {slice.params["api"] for slice in found.slices}


def test_a_filter_that_the_org_does_not_turn_round_is_reported_and_the_rows_are_read(
    site: Site, ids: list[str]
) -> None:
    """A sub-query may stand at the top of a WHERE only, never under NOT."""
    low = site.org.now() - timedelta(hours=2)
    told = [{"errorCode": "MALFORMED_QUERY", "message": "Semi join sub-selects are only allowed at the top level"}]
    site.org.inject("error", path="*/queryAll*", nth=2, status=400, body=told)
    found = since(site, low, api="rest")
    assert found.ids() == ids
    assert found.tombstones() == {}
    [warning] = found.extraction.warnings
    assert UNSEEN in warning
    assert "Semi join" in warning


def test_any_other_refusal_ends_the_run_loud(site: Site, ids: list[str]) -> None:
    low = site.org.now() - timedelta(hours=2)
    told = [{"errorCode": "INSUFFICIENT_ACCESS", "message": "not for you"}]
    site.org.inject("error", path="*/queryAll*", nth=2, status=403, body=told)
    with pytest.raises(ConfigError, match="not for you"):
        since(site, low, api="rest")


def test_a_filter_too_long_for_an_address_is_reported(site: Site, ids: list[str]) -> None:
    low = site.org.now() - timedelta(hours=2)
    names = ", ".join(f"'{'x' * 90}{number}'" for number in range(120))
    found = since(site, low, where=f"Name NOT IN ({names})", api="bulk")
    assert found.ids() == ids
    assert any(UNSEEN in each for each in found.extraction.warnings)
