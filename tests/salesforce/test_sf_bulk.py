"""Bulk reading: jobs settled whatever happens, pages proved whole, runs that go on where one was killed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from syncline.connectors.connector import Window
from syncline.connectors.errors import (
    CountMismatch,
    DataError,
    SynclineError,
    Transient,
)
from syncline.connectors.salesforce.listing import Listing, Tally
from syncline.connectors.salesforce.results import PageReader
from syncline.connectors.salesforce.spans import bounds
from syncline.connectors.sandbox import JobPlan
from tests.salesforce.org_world import START, Site, bulk, fill, forget, ids_of, planned, read, read_object

ROWS = 500

both = pytest.mark.parametrize("parallel", [True, False], ids=["pages in parallel", "page after page"])


@both
def test_every_page_is_read(site: Site, parallel: bool) -> None:
    ids = fill(site)
    found = read_object(bulk(site, parallel))
    assert found.ids() == ids
    assert len(found.slices) == 5
    assert found.extraction.forecast.rows == ROWS
    assert [each.rows_expected for each in found.slices] == ([None] * 5 if parallel else [100] * 5)
    assert site.org.jobs() == []


@both
def test_each_page_is_asked_for_once(site: Site, parallel: bool) -> None:
    fill(site)
    extraction, _ = planned(bulk(site, parallel))
    for slice in extraction.slices(None, forget):
        ids_of(extraction, [slice])
    assert site.calls("GET */results") == 5
    assert site.calls("GET */resultPages") == (1 if parallel else 0)


@both
def test_an_answer_to_an_earlier_question_is_refused_complete_window(site: Site, parallel: bool) -> None:
    fill(site)
    source = bulk(site, parallel)
    [schema] = source.describe(["Account"])
    earlier, _ = planned(source)
    window = Window(site.org.now() - timedelta(seconds=30), source.horizon())
    later = source.plan(schema, window)
    slices = [replace(each, params={**each.params, **bounds(window)}) for each in earlier.slices(None, forget)]
    with pytest.raises(DataError, match=r"COMPLETE-WINDOW: a row of .+ came, asked was"):
        ids_of(later, slices)


@both
def test_pages_handed_out_first_and_read_later_in_threads_are_the_same(site: Site, parallel: bool) -> None:
    ids = fill(site, 1000)
    extraction, _ = planned(bulk(site, parallel))
    slices = list(extraction.slices(None, forget))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda slice: ids_of(extraction, [slice]), slices))
    assert sorted(each for part in parts for each in part) == ids
    assert ids_of(extraction, slices) == ids, "read again"
    extraction.close("landed")


@pytest.mark.parametrize("keys", [("resultPages", "nextRecordsUrl"), ("resultpages", "nextRecordUrl")])
def test_both_spellings_of_the_page_list_are_understood(site: Site, keys: tuple[str, str]) -> None:
    site.org.settings.result_pages_keys = keys
    ids = fill(site, 1200)
    assert read_object(bulk(site)).ids() == ids


def test_an_org_without_the_page_list_is_read_page_after_page(site: Site) -> None:
    ids = fill(site)
    told = [{"errorCode": "NOT_FOUND", "message": "no such thing"}]
    site.org.inject("error", path="*/resultPages", status=404, body=told)
    assert read_object(bulk(site)).ids() == ids


@pytest.mark.parametrize("shape", ["header", "body", "204"])
@both
def test_zero_rows_in_any_shape_are_no_error(site: Site, shape: Any, parallel: bool) -> None:
    site.org.settings.bulk_empty = shape
    found = read_object(bulk(site, parallel))
    assert (found.ids(), found.slices) == ([], [])


@pytest.mark.parametrize("gzip", ["asked", "never", "sometimes"])
def test_pages_come_with_and_without_gzip(site: Site, gzip: Any) -> None:
    site.org.settings.gzip = gzip
    ids = fill(site)
    assert read_object(bulk(site)).ids() == ids


def test_deleted_records_come_marked(site: Site) -> None:
    ids = fill(site)
    site.org.delete("Account", ids[:5])
    site.org.advance(120)
    assert read_object(bulk(site)).deleted() == set(ids[:5])


def test_deleted_records_come_marked_though_the_mark_is_not_a_column(site: Site) -> None:
    ids = fill(site)
    site.org.delete("Account", ids[:5])
    site.org.advance(120)
    for source in (bulk(site), site.connect(api="rest")):
        [schema] = source.describe(["Account"])
        found = read(source, schema.select(["Id", "SystemModstamp"]), Window(None, source.horizon()))
        assert found.deleted() == set(ids[:5])
        assert found.table().column_names == ["Id", "SystemModstamp"]


# ---- polling ----


def test_polls_back_off_from_a_fifth_of_a_second_to_half_a_minute(site: Site) -> None:
    fill(site, 10)
    site.org.plan_job(JobPlan(queued_s=30, running_s=90))
    read_object(bulk(site))
    assert site.waits[:8] == [0.2 * 2**step for step in range(8)]
    assert max(site.waits) == 30.0


def test_a_job_that_is_stuck_is_given_up_at_the_deadline_and_removed_bounded(site: Site) -> None:
    fill(site, 10)
    site.org.plan_job(JobPlan(ending="stuck_running"))
    with pytest.raises(Transient, match="still InProgress after 600 s"):
        read_object(bulk(site, job_deadline_s=600))
    assert sum(site.waits) == pytest.approx(600, abs=1)
    assert site.org.jobs() == []


def test_a_job_that_waits_long_but_in_time_is_read(site: Site) -> None:
    ids = fill(site)
    site.org.plan_job(JobPlan(queued_s=1200, running_s=1200))
    assert read_object(bulk(site)).ids() == ids


# ---- pages that lie ----

SPOILT = ["reset_in_body", "no_terminator", "truncate_half", "truncate_row_edge", "truncate_mid_row",
          "truncate_in_quotes", "gzip_trailer", "fewer_rows", "duplicate_page", "wrong_count", "reset_before",
          "reset_after"]  # fmt: skip


@pytest.mark.parametrize("kind", SPOILT)
@both
def test_a_spoilt_page_is_read_again(site: Site, kind: str, parallel: bool) -> None:
    ids = fill(site)
    site.org.inject(kind, path="*/results", nth=3)
    assert read_object(bulk(site, parallel)).ids() == ids


@pytest.mark.parametrize("kind", [each for each in SPOILT if each != "duplicate_page"])
@both
def test_a_page_that_stays_spoilt_ends_the_run_loud(site: Site, kind: str, parallel: bool) -> None:
    fill(site)
    site.org.inject(kind, path="*/results", nth=3, times=99)
    with pytest.raises((CountMismatch, Transient)):
        read_object(bulk(site, parallel))
    assert site.calls("GET */results") <= 2 + 8 * 4


@both
def test_a_page_without_its_count_is_an_error_not_zero_rows(site: Site, parallel: bool) -> None:
    fill(site)
    site.org.inject("no_count", path="*/results", nth=2)
    with pytest.raises(DataError, match="Sforce-NumberOfRecords"):
        read_object(bulk(site, parallel))


@pytest.mark.parametrize("kind", ["reset_in_body", "truncate_half", "fewer_rows"])
def test_a_large_page_that_breaks_off_goes_on_after_the_rows_handed_on(
    site: Site, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too large to be held back until proved: rows are passed over on the second reading, none comes twice."""
    monkeypatch.setattr("syncline.connectors.salesforce.results.HELD_BYTES_MAX", 10_000)
    monkeypatch.setattr("syncline.connectors.salesforce.results.BLOCK_BYTES", 20_000)
    ids = fill(site, 1000)
    site.org.inject(kind, path="*/results", times=2)
    extraction, _ = planned(bulk(site, page_rows=5000))
    assert ids_of(extraction, list(extraction.slices(None, forget))) == ids
    assert site.calls("GET */results") == 3


def test_a_large_page_that_is_another_the_second_time_ends_the_run_loud(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncline.connectors.salesforce.results.HELD_BYTES_MAX", 10_000)
    monkeypatch.setattr("syncline.connectors.salesforce.results.BLOCK_BYTES", 20_000)
    site.org.settings.bulk_page_rows_default = 300
    fill(site, 1000)
    site.org.settings.bulk_page_rows_default = 300
    extraction, _ = planned(bulk(site))
    first, second, *_ = extraction.slices(None, forget)
    site.org.inject("fewer_rows", path="*/results")
    opened = PageReader.open
    paths = [str(each.params["paths"][0]) for each in (first, second)]
    monkeypatch.setattr(PageReader, "open", lambda self, path: opened(self, paths.pop(0)))
    with pytest.raises(Transient, match="changed between two readings"):
        ids_of(extraction, [first])


def test_a_reader_that_is_given_up_does_not_wait_for_a_stalled_org(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not cost ten minutes of waiting for the rest of a page."""
    monkeypatch.setattr("syncline.connectors.salesforce.results.HELD_BYTES_MAX", 10_000)
    monkeypatch.setattr("syncline.connectors.salesforce.results.BLOCK_BYTES", 20_000)
    fill(site, 1000)
    site.org.settings.bulk_page_rows_default = 1000
    site.org.settings.gzip = "never"
    extraction, _ = planned(bulk(site))
    [slice] = extraction.slices(None, forget)
    site.org.inject("stall", path="*/results", delay_s=1.5)
    batches = extraction.read(slice)
    next(batches)
    before = time.monotonic()
    batches.close()  # type: ignore[attr-defined]
    assert time.monotonic() - before < 1


def test_a_row_longer_than_a_block_is_read_with_a_larger_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.connectors.salesforce.results.BLOCK_BYTES", 4_000)
    ids = fill(site, 100)
    site.org.update("Account", ids[:1], {"Description": "x" * 30_000})
    site.org.advance(120)
    assert read_object(bulk(site)).ids() == ids


def test_pages_are_counted_against_the_jobs_own_count_counted_hops() -> None:
    tally = Tally("Account", "750", 300)
    for name in ("a", "b"):
        tally.expect(name)
    tally.add("a", 100)
    tally.close_list()
    with pytest.raises(CountMismatch, match="announced 300 rows, its 2 pages hold 150"):
        tally.add("b", 50)


def test_a_list_of_pages_that_leaves_one_out_ends_the_run_counted_hops(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = Listing._follow
    monkeypatch.setattr(Listing, "_follow", lambda self, job, answer: list(follow(self, job, answer))[:-1])
    fill(site)
    with pytest.raises(CountMismatch, match="its 4 pages hold 400"):
        read_object(bulk(site))


@pytest.mark.parametrize("locator", [None, "again"])
def test_a_chain_of_locators_that_breaks_or_loops_ends_the_run_loud(
    site: Site, monkeypatch: pytest.MonkeyPatch, locator: str | None
) -> None:
    fill(site)
    opened = PageReader.open

    def lying(self: PageReader, path: str) -> Any:
        headers, body = opened(self, path.partition("&locator")[0])
        return {key: value for key, value in {**headers, "Sforce-Locator": locator}.items() if value}, body

    monkeypatch.setattr(PageReader, "open", lying)
    with pytest.raises(DataError, match="Sforce-Locator"):
        read_object(bulk(site, parallel=False))


@pytest.mark.parametrize("link", ["https://attacker.example/services/x", "//attacker.example/x", "/elsewhere"])
def test_a_page_elsewhere_is_never_asked_for_no_secrets(site: Site, link: str) -> None:
    fill(site)
    told = {"resultPages": [{"resultUrl": link}], "done": True}
    site.org.inject("error", path="*/resultPages", status=200, body=told)
    with pytest.raises(DataError, match="not a path of this org"):
        read_object(bulk(site))


# ---- jobs that fail ----


@pytest.mark.parametrize("message", ["QUERY_TIMEOUT: running too long", "Retried more than fifteen times", ""])
def test_a_failed_job_is_split_and_both_halves_are_read(site: Site, message: str) -> None:
    ids = fill(site, spread_s=1000)
    site.org.plan_job(JobPlan(ending="failed", message=message))
    source = bulk(site)
    [schema] = source.describe(["Account"])
    found = read(source, schema, Window(START - timedelta(seconds=1), source.horizon()))
    assert found.ids() == ids
    assert found.extraction.forecast.rows == ROWS
    assert site.calls("POST */jobs/query") == 3
    assert site.org.jobs() == []


def test_jobs_too_heavy_are_split_as_often_as_it_takes(site: Site) -> None:
    ids = fill(site, spread_s=1000)
    site.org.settings.query_rows_max = 150
    source = bulk(site)
    [schema] = source.describe(["Account"])
    assert read(source, schema, Window(START - timedelta(seconds=1), source.horizon())).ids() == ids
    assert site.org.jobs() == []


def test_jobs_that_fail_each_time_end_the_run_with_the_reason_bounded(site: Site) -> None:
    fill(site, spread_s=1000)
    for _ in range(99):
        site.org.plan_job(JobPlan(ending="failed", message="Failed to write query result"))
    with pytest.raises(Transient, match="Failed to write query result"):
        read_object(bulk(site))
    assert site.calls("POST */jobs/query") < 40
    assert site.org.jobs() == []


def test_a_job_that_fails_without_a_reason_is_explained_by_rest(site: Site) -> None:
    site.org.insert("Setting__mdt", {}, count=10)
    for _ in range(9):
        site.org.plan_job(JobPlan(ending="failed"))
    told = [{"errorCode": "INVALID_FIELD", "message": "No such column 'Gone__c'"}]
    site.org.inject("error", path="*/queryAll", nth=2, status=400, body=told)
    with pytest.raises(Transient, match="Gone__c"):
        read_object(bulk(site), "Setting__mdt")


def test_a_job_aborted_by_somebody_is_made_anew_but_not_for_ever(site: Site) -> None:
    ids = fill(site)
    site.org.plan_job(JobPlan(ending="aborted"))
    assert read_object(bulk(site)).ids() == ids
    for _ in range(9):
        site.org.plan_job(JobPlan(ending="aborted"))
    with pytest.raises(Transient, match="Aborted"):
        read_object(bulk(site))
    assert site.org.jobs() == []


# ---- what Bulk refuses ----

REFUSALS = [
    ("INVALIDENTITY", "Entity 'Account' is not supported by the Bulk API."),
    ("API_ERROR", "Selecting compound data not supported in Bulk Query"),
    ("LIMIT_EXCEEDED", "Max bulk v2 query jobs (10000) per 24 hrs has been reached"),
    ("LIMIT_EXCEEDED", "Max bulk v2 query result size stored (1000000000) kb per 24 hrs has been exceeded"),
    ("FEATURENOTENABLED", "Cannot serialize value for 'X' in CSV format"),
    ("API_ERROR", "Implementation restriction: this object wants a filter"),
]


@pytest.mark.parametrize(("code", "message"), REFUSALS)
def test_what_bulk_refuses_is_read_by_rest_and_said_so(site: Site, code: str, message: str) -> None:
    ids = fill(site)
    told = [{"errorCode": code, "message": message}]
    site.org.inject("error", method="POST", path="*/jobs/query", status=400, body=told)
    found = read_object(bulk(site))
    assert found.ids() == ids
    assert found.extraction.forecast.api == "rest"
    assert message in found.extraction.warnings[0]


def test_an_object_outside_bulk_is_read(site: Site) -> None:
    site.org.insert("CaseStatus", {}, count=10)
    site.org.advance(120)
    assert len(read_object(bulk(site), "CaseStatus").ids()) == 10


def test_a_job_that_fails_for_what_only_rest_can_do_is_read_by_rest(site: Site) -> None:
    ids = fill(site)
    site.org.plan_job(JobPlan(ending="failed", message="FeatureNotEnabled: Cannot serialize value for 'X'"))
    assert read_object(bulk(site)).ids() == ids
    assert site.org.jobs() == []


def test_a_query_that_is_wrong_is_an_error_on_both_roads(site: Site) -> None:
    fill(site)
    source = bulk(site)
    [schema] = source.describe(["Account"])
    site.org.drop_field("Account", "Score__c")
    with pytest.raises(SynclineError, match="Score__c"):
        read(source, schema, Window(None, source.horizon()))


@pytest.mark.parametrize(("rows", "api"), [(9, "rest"), (10, "bulk"), (11, "bulk")])
def test_the_count_decides_the_road(site: Site, rows: int, api: str) -> None:
    site.org.insert("Account", {}, count=rows)
    site.org.advance(120)
    extraction, _ = planned(site.connect(bulk_rows_min=10))
    assert extraction.forecast.api == api
    assert extraction.forecast.rows == rows


def test_a_count_that_takes_too_long_means_bulk(site: Site) -> None:
    fill(site)
    told = [{"errorCode": "QUERY_TIMEOUT", "message": "Your query request was running for too long."}]
    site.org.inject("error", path="*/queryAll", status=400, body=told)
    extraction, _ = planned(site.connect())
    assert (extraction.forecast.api, extraction.forecast.rows) == ("bulk", None)
