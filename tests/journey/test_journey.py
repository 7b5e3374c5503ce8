"""Salesforce to DuckDB and back to the org's own truth; the numbers in names are rows of the list of peers' defects."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError, QuotaReached, SourceBusy, SynclineError
from syncline.connectors.sandbox import Field, JobPlan
from syncline.pipelines.pipeline import Stream
from syncline.sinks.landing import Landing
from tests.journey.journey import Journey, minutes
from tests.runner.test_laws import Forbidden

BULK = {"bulk_rows_min": 1, "page_rows": 25}


@pytest.mark.parametrize("options", [{}, BULK], ids=["rest", "bulk"])
def test_everything_an_org_does_reaches_the_target(journey: Journey, options: dict[str, Any]) -> None:
    journey.options = options
    org = journey.org
    report = journey.run()
    assert report.streams["Account"].api == ("bulk" if options else "rest")
    assert journey.differences() == []
    ids = org.ids("Account")
    org.insert("Account", {"Name": 'Neu & Söhne, "GmbH"\n🚀'}, count=7)
    org.update("Account", ids[:15], {"Industry": None, "AnnualRevenue": "123456789012345.67"})
    org.delete("Account", ids[15:18])
    org.hard_delete("Account", ids[18:20])
    journey.run()
    assert journey.differences() == []
    org.undelete("Account", ids[15:16])
    org.merge("Account", ids[0], ids[21:23])
    org.purge("Account", ids[16:18])
    org.add_field("Account", Field("Tier__c", "string", length=20), value="gold")
    journey.run()
    assert journey.differences() == []
    journey.run()  # the whole read had no need of the delete log; now the overlap's part of it is known too
    idle = journey.run(journey.pipeline(warehouse=Forbidden(journey.pipeline().warehouse)))
    assert idle.status == "idle"


def test_1_2_rows_that_become_visible_below_the_largest_stamp_seen_arrive(journey: Journey) -> None:
    org = journey.org
    late = org.begin()
    org.insert("Account", {"Name": "committed late"}, count=3, transaction=late)
    org.advance(120)
    org.insert("Account", {"Name": "stamped later, seen first"}, count=2)
    journey.run()
    org.commit(late)
    journey.run()
    assert journey.differences() == []


def test_2_13_ties_at_the_boundary_arrive(journey: Journey) -> None:
    org = journey.org
    first = org.insert("Account", {"Name": "tie"}, count=40)
    org.update("Account", first[:5], {"Name": "second version within the same second"})
    journey.run(after_s=60)
    org.update("Account", first[:1], {"Name": "after"})
    journey.run(after_s=60)
    journey.run(after_s=120)
    assert journey.differences() == []


def test_3_what_no_increment_can_see_is_found_by_verify(journey: Journey) -> None:
    org = journey.org
    journey.run()
    late = org.begin()
    org.insert("Account", {"Name": "a transaction of half an hour"}, transaction=late)
    org.advance(1800)
    journey.run()
    org.commit(late)
    journey.run()
    assert journey.differences() != [], "beyond lag and overlap an increment cannot see it"
    proof = journey.verify()
    assert not proof.equal
    assert proof.streams[0].comparison.missing == 1
    journey.reload("Account")
    assert journey.differences() == []
    assert journey.verify().equal


def test_4_a_result_that_ends_early_is_not_a_success(journey: Journey) -> None:
    journey.org.inject("fewer_rows", path="*/query*", nth=4, times=1_000)
    with pytest.raises(SynclineError):
        journey.run()
    assert not journey.database.exists() or "Account" not in str(journey.query("SHOW TABLES"))
    journey.org.clear_faults()
    journey.run()
    assert journey.differences() == []


def test_6_the_first_run_reads_from_the_beginning(journey: Journey) -> None:
    assert journey.window(journey.run())[0] is None


@pytest.mark.parametrize("ending", ["failed", "aborted", "stuck_running", "stuck_queued"])
def test_8_10_a_job_that_does_not_end_well_never_reads_as_no_rows(journey: Journey, ending: Any) -> None:
    """Either the rows come by another road, or the run fails; the target is never a part of the org."""
    journey.options = {**BULK, "job_deadline_s": 600.0}
    journey.streams = (Stream("Account"),)
    for _ in range(20):
        journey.org.plan_job(JobPlan(ending=ending))
    error: SynclineError | None = None
    try:
        journey.run()
    except SynclineError as raised:
        error = raised
    if error is None:
        assert journey.differences() == []
    else:
        assert "Account" in error.object
        assert error.hint
        assert not journey.database.exists() or "Account" not in str(journey.query("SHOW TABLES"))
    assert not [job for job in journey.org.jobs() if job["state"] in ("UploadComplete", "InProgress")], "none is left"


def test_9_a_wide_object_arrives_whole_over_rest_and_bulk(journey: Journey) -> None:
    journey.org.insert("Wide__c", {}, count=12)
    for api in ("rest", "bulk"):
        wide = Journey(journey.site, journey.folder / api, streams=(Stream("Wide__c"),), options={"api": api})
        wide.folder.mkdir()
        wide.run()
        assert wide.differences() == []


def test_20_21_a_duplicated_page_or_a_retried_run_leaves_no_duplicates(journey: Journey) -> None:
    journey.options = BULK
    journey.streams = (Stream("Account"),)
    journey.org.inject("duplicate_page", path="*/results", nth=3)
    journey.run()
    assert journey.differences() == []
    assert journey.query('SELECT count(*) - count(DISTINCT "Id") FROM "Account"') == [(0,)]


def test_30_31_deletes_that_leave_no_trace_are_warned_of_and_healed(journey: Journey) -> None:
    org = journey.org
    journey.run()
    org.hard_delete("Account", org.ids("Account", limit=2))
    org.trim_delete_log("Account", org.now() + minutes(1))
    report = journey.run()
    assert any("deletes may have been missed, run verify" in text for text in report.streams["Account"].warnings)
    assert journey.verify().streams[0].comparison.extra == 2
    journey.reload("Account")
    assert journey.differences() == []


def test_37_names_that_differ_only_in_case_are_refused_and_both_named(journey: Journey) -> None:
    for name in ("My_Field__c", "my_field__c"):
        journey.org.add_field("Account", Field(name, "string", length=20))
    with pytest.raises(ConfigError, match=r"My_Field__c.*my_field__c|my_field__c.*My_Field__c"):
        journey.run()


def test_37_names_that_snake_case_would_merge_stay_apart(journey: Journey) -> None:
    for name in ("MyField__c", "My_Field__c"):
        field = Field(name, "string", length=20)
        journey.org.add_field("Account", field, value=name)
    journey.run()
    assert journey.differences() == [], "EXACT-NAMES"


def test_36_38_a_retyped_field_widens_and_never_forks(journey: Journey) -> None:
    journey.run()
    columns = journey.query("SELECT count(*) FROM information_schema.columns WHERE table_name = 'Account'")
    journey.org.retype_field("Account", "NumberOfEmployees", type="double", precision=18, scale=2)
    ids = journey.org.ids("Account", limit=1)
    journey.org.update("Account", ids, {"NumberOfEmployees": "12.25"})
    journey.run()
    assert journey.query("SELECT count(*) FROM information_schema.columns WHERE table_name = 'Account'") == columns
    assert journey.differences() == [], "TYPES-FROM-SOURCE"


def test_41_an_object_that_bulk_refuses_is_read_over_rest(journey: Journey) -> None:
    journey.options = {"api": "bulk"}
    journey.streams = (Stream("CaseStatus"),)
    journey.org.insert("CaseStatus", {}, count=5)
    journey.run()
    assert journey.differences() == []


def test_odd_texts_and_dates_arrive_as_they_are(journey: Journey) -> None:
    odd = ["N/A", "null", " spaces ", "=1+1", 'quo"te', "line\r\nend", "nul\x00byte", "🚀" * 100, "x" * 131_072, None]
    journey.org.insert("Account", {"Description": odd}, count=len(odd))
    journey.org.insert("Account", {"Founded__c": ["1700-01-01", "4000-12-31"]}, count=2)
    for options in ({}, BULK):
        journey.options = options
        journey.reload("Account") if journey.database.exists() else journey.run()
        assert journey.differences() == []


@pytest.mark.parametrize("zone", ["Pacific/Apia", "America/St_Johns"])
def test_16_44_45_47_odd_time_zones_shift_nothing(journey: Journey, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the machine's zone nor a session's takes part in any bound or value (COMPLETE-WINDOW)."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        journey.run()
        journey.org.insert("Account", {"Founded__c": ["0001-01-01", "1969-12-31"]}, count=2)
        journey.org.update("Account", journey.org.ids("Account", limit=9), {"Phone": "1"})
        journey.run()
        assert journey.differences() == []
        low, high = journey.window(journey.run())
        assert high - low == minutes(15), "five minutes since the last run, and the overlap"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("options", [{}, BULK], ids=["rest", "bulk"])
def test_43_blank_and_empty_texts_are_told_apart(journey: Journey, options: dict[str, Any]) -> None:
    journey.options = options
    journey.org.insert("Account", {"Phone": ["   ", "\t", None, "NA"], "Name": "blank"}, count=4)
    journey.run()
    assert journey.query("SELECT count(*) FROM Account WHERE Name = 'blank' AND Phone IS NULL") == [(1,)]
    assert journey.differences() == []


def test_the_quota_stops_the_run_which_goes_on_when_there_is_room_again(journey: Journey) -> None:
    journey.run()
    journey.org.set_quota(used=79_999, limit=100_000)
    journey.org.insert("Account", {"Name": "x"}, count=5)
    with pytest.raises(QuotaReached) as caught:
        journey.run()
    assert caught.value.exit_code == 4
    journey.org.set_quota(used=10, limit=100_000)
    journey.run(after_s=90_000)
    assert journey.differences() == []


def test_a_session_that_ends_in_the_middle_is_renewed(journey: Journey) -> None:
    journey.options = BULK
    journey.org.inject("expire_session", path="*/results", nth=2)
    journey.run()
    assert journey.differences() == []
    assert journey.org.log.totals()["token"] == 2, "once, for all threads"


def test_an_org_that_is_down_is_a_retryable_failure_and_nothing_is_lost(journey: Journey) -> None:
    journey.run()
    journey.org.insert("Account", {"Name": "x"}, count=5)
    journey.org.inject("error", times=100_000, status=503, body="<html>maintenance</html>")
    with pytest.raises(SynclineError) as caught:
        journey.run()
    assert caught.value.exit_code == 1
    assert isinstance(caught.value, SourceBusy) or "503" in str(caught.value)
    journey.org.clear_faults()
    journey.run()
    assert journey.differences() == []


def test_marked_deletes_keep_the_row_and_an_undelete_clears_the_mark(journey: Journey) -> None:
    journey.streams = (Stream("Account", on_delete="mark"),)
    journey.run()
    ids = journey.org.ids("Account", limit=2)
    journey.org.delete("Account", ids)
    journey.run()
    marked = 'SELECT count(*) FROM "Account" WHERE _syncline_deleted_at IS NOT NULL'
    assert journey.query(marked) == [(2,)]
    journey.org.undelete("Account", ids[:1])
    journey.run()
    assert journey.query(marked) == [(1,)]


def test_a_filter_and_a_choice_of_fields_are_honoured(journey: Journey) -> None:
    fields = ["Id", "Name", "Amount", "StageName", "SystemModstamp"]
    journey.streams = (Stream("Opportunity", fields=fields, where="Amount > 1000", target="deals"),)
    journey.run()
    wanted = journey.org.count("Opportunity", "Amount > 1000")
    assert wanted > 0
    assert journey.query("SELECT count(*), min(Amount) > 1000 FROM deals") == [(wanted, True)]
    journey.org.delete("Opportunity", journey.org.ids("Opportunity", "Amount > 1000", limit=3))
    journey.run()
    assert journey.query("SELECT count(*) FROM deals") == [(wanted - 3,)], "IsDeleted is not among the fields"


@pytest.mark.parametrize("options", [{}, BULK], ids=["rest", "bulk"])
def test_a_record_that_leaves_the_filter_leaves_the_target_and_may_come_back(
    journey: Journey, options: dict[str, Any]
) -> None:
    journey.options = options
    journey.streams = (Stream("Opportunity", where="Amount > 1000", target="deals"),)
    journey.run()
    small, empty, same = journey.org.ids("Opportunity", "Amount > 1000", limit=3)

    def copied() -> set[str]:
        return {each for (each,) in journey.query('SELECT "Id" FROM deals')}

    assert {small, empty, same} <= copied()
    journey.org.update("Opportunity", [small], {"Amount": 5})
    journey.org.update("Opportunity", [empty], {"Amount": None})
    journey.run()
    assert copied() & {small, empty, same} == {same}
    journey.org.update("Opportunity", [small], {"Amount": 5000})
    journey.run()
    assert copied() == set(journey.org.ids("Opportunity", "Amount > 1000"))
    assert small in copied()
    idle = journey.run(journey.pipeline(warehouse=Forbidden(journey.pipeline().warehouse)))
    assert idle.status == "idle"


def test_an_unknown_object_and_field_are_named_with_the_nearest(journey: Journey) -> None:
    journey.streams = (Stream("Acount"),)
    with pytest.raises(ConfigError, match="Account"):
        journey.run()
    journey.streams = (Stream("Account", fields=["Id", "Nmae"]),)
    with pytest.raises(ConfigError, match="Name"):
        journey.run()


def test_a_hidden_field_keeps_its_column_and_its_values(journey: Journey) -> None:
    journey.run()
    before = journey.query('SELECT count("Rating") FROM "Account"')
    journey.org.hide_field("Account", "Rating")
    journey.org.update("Account", journey.org.ids("Account", limit=30), {"Phone": "1"})
    journey.run()
    assert journey.query('SELECT count("Rating") FROM "Account"') == before


def test_a_target_made_by_somebody_else_is_left_alone(journey: Journey) -> None:
    journey.query('CREATE TABLE "Account" (id INTEGER, note VARCHAR)')
    with pytest.raises(ConfigError) as caught:
        journey.run()
    assert "Account" in str(caught.value)
    assert caught.value.hint
    assert journey.query('SELECT column_name FROM (DESCRIBE "Account")') == [("id",), ("note",)]


def test_a_missing_bucket_and_a_file_in_place_of_the_folder_are_clear(journey: Journey, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SynclineError) as caught:
        journey.run(journey.pipeline(landing=Landing(str(tmp_path / "taken"))))
    assert "taken" in str(caught.value)
    assert caught.value.hint


def test_landed_files_answer_for_themselves(journey: Journey) -> None:
    report = journey.run()
    manifest = journey.pipeline().landing.find("crm", "Account", report.run_id)
    assert manifest is not None
    assert manifest.rows_announced == manifest.rows_read == manifest.rows == 120, "COUNTED-HOPS"
    assert manifest.query.startswith("SELECT Id, ")
    assert pa.types.is_decimal(manifest.columns.field("AnnualRevenue").type), "TYPES-FROM-SOURCE"
