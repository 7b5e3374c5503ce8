"""Deletions: soft ones marked, purged ones as tombstones, the living left alone, and what was missed said aloud."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from syncline.connectors.connector import Window
from syncline.connectors.salesforce import Salesforce
from syncline.connectors.salesforce.deletes import MISSED
from tests.salesforce.org_world import Read, Site, read

DAY = 86_400


@pytest.fixture
def ids(site: Site) -> list[str]:
    """Ten accounts of an hour ago."""
    made = site.org.insert("Account", {"Name": "n"}, count=10)
    site.org.advance(3600)
    return sorted(made)


def since(site: Site, low: datetime, source: Salesforce | None = None, **narrowed: Any) -> Read:
    source = source or site.connect()
    [schema] = source.describe(["Account"])
    return read(source, replace(schema, **narrowed), Window(low, source.horizon()))


def go_on(site: Site, seconds: float = 120) -> datetime:
    """The instant before, for a window that begins there."""
    now = site.org.now()
    site.org.advance(seconds)
    return now


def test_a_soft_delete_is_a_marked_row_and_no_tombstone(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    site.org.delete("Account", ids[:2])
    go_on(site)
    found = since(site, low)
    assert found.deleted() == set(ids[:2])
    assert found.tombstones() == {}


def test_a_purged_record_is_a_tombstone_at_its_instant_of_deletion(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    site.org.advance(7)
    site.org.hard_delete("Account", ids[:2])
    at = go_on(site)
    assert since(site, low).tombstones() == {ids[0]: at, ids[1]: at}


def test_tombstones_have_the_key_and_the_cursor_only(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    site.org.hard_delete("Account", ids[:1])
    go_on(site)
    found = since(site, low)
    [batch] = next(found.batches[slice.id] for slice in found.slices if slice.kind == "tombstones")
    assert batch.records.schema.names == ["Id", "SystemModstamp"]


def test_a_record_emptied_from_the_bin_early_is_seen(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    site.org.delete("Account", ids[:1])
    site.org.advance(30)
    site.org.purge("Account", ids[:1])
    go_on(site)
    assert set(since(site, low).tombstones()) == set(ids[:1])


def test_a_record_undeleted_is_live_and_no_tombstone_newest_wins(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    site.org.delete("Account", ids[:1])
    site.org.advance(30)
    site.org.undelete("Account", ids[:1])
    go_on(site)
    found = since(site, low)
    assert found.tombstones() == {}
    assert found.ids() == ids[:1]
    assert found.deleted() == set()


def test_a_record_the_log_lists_but_which_lives_is_never_a_tombstone(site: Site, ids: list[str]) -> None:
    """Peers marked living records as deleted because the log listed them; an undelete need not move the stamp."""
    low = site.org.now()
    site.org.hard_delete("Account", ids[:1])
    at = go_on(site)
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    told = {
        "deletedRecords": [{"id": each, "deletedDate": stamp} for each in ids[:3]],
        "earliestDateAvailable": "2000-01-01T00:00:00.000+0000",
        "latestDateCovered": stamp,
    }
    site.org.inject("error", path="*/deleted*", status=200, body=told)
    assert set(since(site, low).tombstones()) == {ids[0]}


def test_a_child_that_went_with_its_parent_unstamped_is_a_tombstone(site: Site, ids: list[str]) -> None:
    site.org.settings.cascade_stamps = False
    children = site.org.insert("Contact", {"AccountId": ids[0]}, count=3)
    site.org.advance(3600)
    low = site.org.now()
    site.org.delete("Account", ids[:1])
    go_on(site)
    source = site.connect()
    [schema] = source.describe(["Contact"])
    found = read(source, schema, Window(low, source.horizon()))
    assert found.deleted() | set(found.tombstones()) == set(children)


def test_with_a_filter_a_deleted_record_outside_it_is_still_a_tombstone(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    site.org.update("Account", ids[:1], {"Name": "other"})
    site.org.delete("Account", ids[:1])
    go_on(site)
    found = since(site, low, where="Name = 'n'")
    assert (found.deleted(), set(found.tombstones())) == (set(), {ids[0]})


def test_deletions_outside_the_window_are_left_to_theirs_complete_window(site: Site, ids: list[str]) -> None:
    """The log knows whole minutes only; the window is exact all the same."""
    site.org.hard_delete("Account", ids[:1])
    site.org.advance(20)
    low = site.org.now()
    site.org.advance(5)
    site.org.hard_delete("Account", ids[1:2])
    site.org.advance(20)
    source = site.connect(settling_lag_s=0)
    [schema] = source.describe(["Account"])
    high = source.horizon()
    site.org.advance(5)
    site.org.hard_delete("Account", ids[2:3])
    site.org.advance(120)
    assert set(read(source, schema, Window(low, high)).tombstones()) == {ids[1]}
    assert set(read(source, schema, Window(high, source.horizon())).tombstones()) == {ids[2]}


def test_a_window_of_a_moment_asks_for_a_span_that_is_accepted(site: Site, ids: list[str]) -> None:
    low = site.connect().horizon() - timedelta(microseconds=1)
    assert since(site, low).extraction.warnings == []


# ---- where the log is not asked ----


def test_a_whole_read_needs_no_log(site: Site, ids: list[str]) -> None:
    source = site.connect()
    [schema] = source.describe(["Account"])
    found = read(source, schema, Window(None, source.horizon()))
    assert [slice.kind for slice in found.slices] == ["records"]
    assert site.calls("GET */deleted*") == 0


def test_an_object_without_a_log_has_marked_rows_only(site: Site) -> None:
    made = site.org.insert("Ledger__c", {}, count=3)
    low = site.org.now()
    site.org.advance(60)
    site.org.delete("Ledger__c", made[:1])
    go_on(site)
    source = site.connect()
    [schema] = source.describe(["Ledger__c"])
    found = read(source, schema, Window(low, source.horizon()))
    assert found.deleted() == {made[0]}
    assert [slice.kind for slice in found.slices] == ["records"]


def test_an_object_without_a_deleted_flag_has_tombstones_only(site: Site) -> None:
    made = site.org.insert("User", {}, count=3)
    low = site.org.now()
    site.org.advance(60)
    site.org.hard_delete("User", made[:1])
    go_on(site)
    source = site.connect()
    [schema] = source.describe(["User"])
    found = read(source, schema, Window(low, source.horizon()))
    assert set(found.tombstones()) == {made[0]}


def test_another_key_than_the_id_is_warned_of(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    site.org.hard_delete("Account", ids[:1])
    go_on(site)
    found = since(site, low, key=("AccountNumber",))
    assert found.tombstones() == {}
    assert MISSED in found.extraction.warnings[0]


# ---- what may have been missed ----


def test_a_trimmed_log_is_reported_never_ignored(site: Site, ids: list[str]) -> None:
    low = site.org.now() - timedelta(hours=2)
    site.org.trim_delete_log("Account", site.org.now() - timedelta(hours=1))
    [warning] = since(site, low).extraction.warnings
    assert MISSED in warning
    assert MISSED == "deletes may have been missed, run verify"


def test_a_window_older_than_the_log_reads_what_there_is_and_says_so(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    site.org.advance(14 * DAY)
    site.org.hard_delete("Account", ids[:1])
    site.org.advance(4 * DAY)
    found = since(site, low)
    assert set(found.tombstones()) == {ids[0]}
    assert any("15 days" in each and MISSED in each for each in found.extraction.warnings)


def test_a_log_held_back_by_a_long_transaction_is_reported(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    site.org.begin()
    go_on(site, 3600)
    assert any("ends" in each and MISSED in each for each in since(site, low).extraction.warnings)


def test_a_log_that_is_refused_is_reported_and_the_rows_are_read(site: Site, ids: list[str]) -> None:
    low = site.org.now() - timedelta(hours=2)
    told = [{"errorCode": "INSUFFICIENT_ACCESS", "message": "not for you"}]
    site.org.inject("error", path="*/deleted*", status=403, body=told)
    found = since(site, low)
    assert found.ids() == ids
    assert any("not for you" in each and MISSED in each for each in found.extraction.warnings)


def test_a_log_too_long_is_asked_for_in_halves(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    for each in ids[:4]:
        site.org.hard_delete("Account", [each])
        site.org.advance(600)
    told = [{"errorCode": "EXCEEDED_ID_LIMIT", "message": "more than 600000 ids"}]
    site.org.inject("error", path="*/deleted*", status=400, body=told, times=3)
    assert set(since(site, low).tombstones()) == set(ids[:4])
    assert site.calls("GET */deleted*") == 7


def test_a_log_too_long_for_its_shortest_span_is_reported_bounded(site: Site, ids: list[str]) -> None:
    low = site.org.now()
    go_on(site)
    told = [{"errorCode": "EXCEEDED_ID_LIMIT", "message": "more than 600000 ids"}]
    site.org.inject("error", path="*/deleted*", status=400, body=told, times=99)
    assert any(MISSED in each for each in since(site, low).extraction.warnings)


def test_many_ids_are_looked_up_in_chunks_and_beyond_a_bound_not_at_all(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = site.org.insert("Account", {}, count=900)
    site.org.advance(3600)
    low = site.org.now()
    site.org.hard_delete("Account", made)
    go_on(site)
    before = site.calls("GET */queryAll")
    assert len(since(site, low).tombstones()) == 900
    assert site.calls("GET */queryAll") - before == 1 + 3
    monkeypatch.setattr("syncline.connectors.salesforce.deletes.LOOKUPS_MAX", 100)
    found = since(site, low)
    assert len(found.tombstones()) == 900
    assert any("not looked up one by one, run verify" in each for each in found.extraction.warnings)
