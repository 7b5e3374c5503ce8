"""Runs that go on where one was killed, and jobs settled on every way out (VALUE-RESUME)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from syncline.connectors.connector import Json, Window
from syncline.connectors.errors import QuotaReached, Stopped, Transient
from syncline.connectors.salesforce import Salesforce
from syncline.connectors.sandbox import JobPlan
from tests.salesforce.org_world import Site, bulk, fill, forget, ids_of, planned, read_object

ROWS = 500

both = pytest.mark.parametrize("parallel", [True, False], ids=["pages in parallel", "page after page"])

# ---- going on ----


def killed(site: Site, source: Salesforce, slices_read: int) -> tuple[Json, set[str]]:
    """A run that read so many slices and then died: nothing is closed. What it remembered, and had read."""
    extraction, _ = planned(source)
    remembered: list[Json] = []
    done = set()
    for number, slice in enumerate(extraction.slices(None, remembered.append)):
        if number == slices_read:
            break
        ids_of(extraction, [slice])
        done.add(slice.id)
    return remembered[-1], done


@both
def test_a_killed_run_goes_on_with_its_job_value_resume(site: Site, parallel: bool) -> None:
    ids = fill(site)
    source = bulk(site, parallel)
    horizon = source.horizon()
    token, done = killed(site, source, 3)
    [schema] = source.describe(["Account"])
    extraction = bulk(site, parallel).plan(schema, Window(None, horizon))
    slices = list(extraction.slices(token, forget))
    assert done < {each.id for each in slices}
    assert ids_of(extraction, slices) == ids
    extraction.close("landed")
    assert site.calls("POST */jobs/query") == 1
    assert site.org.jobs() == []


def test_a_killed_run_keeps_to_bulk_though_few_rows_are_left(site: Site) -> None:
    ids = fill(site)
    source = bulk(site)
    horizon = source.horizon()
    token, _ = killed(site, source, 1)
    heir = site.connect(page_rows=100)
    [schema] = heir.describe(["Account"])
    extraction = heir.plan(schema, Window(None, horizon))
    slices = list(extraction.slices(token, forget))
    assert {slice.params["api"] for slice in slices} == {"bulk"}
    assert ids_of(extraction, slices) == ids
    assert site.calls("POST */jobs/query") == 1


def test_a_run_begun_by_rest_keeps_to_rest_though_there_are_many_rows_now(site: Site) -> None:
    fill(site, 20)
    source = site.connect(bulk_rows_min=30)
    extraction, schema = planned(source)
    remembered: list[Json] = []
    begun = list(extraction.slices(None, remembered.append))
    again = site.connect(bulk_rows_min=10).plan(schema, Window(None, source.horizon()))
    assert again.forecast.api == "bulk"
    assert list(again.slices(remembered[-1], forget)) == begun


@pytest.mark.parametrize("change", ["window", "fields", "version", "page_rows"])
def test_a_job_of_another_query_is_removed_and_a_new_one_made(site: Site, change: str) -> None:
    ids = fill(site)
    source = bulk(site)
    horizon = source.horizon()
    token, _ = killed(site, source, 1)
    heir = bulk(
        site, page_rows=50 if change == "page_rows" else 100, api_version="61.0" if change == "version" else "62.0"
    )
    [schema] = heir.describe(["Account"])
    if change == "fields":
        schema = schema.select(["Id", "Name", "SystemModstamp"])
    site.org.advance(30)
    extraction = heir.plan(schema, Window(None, heir.horizon() if change == "window" else horizon))
    assert ids_of(extraction, list(extraction.slices(token, forget))) == ids
    extraction.close("landed")
    assert site.calls("POST */jobs/query") == 2
    assert site.org.jobs() == [], "a job is only reached with its own version"


@pytest.mark.parametrize("fate", ["gone", "aborted"])
def test_a_job_that_is_no_longer_there_is_made_anew(site: Site, fate: str) -> None:
    ids = fill(site)
    source = bulk(site)
    horizon = source.horizon()
    if fate == "aborted":
        site.org.plan_job(JobPlan(running_s=3600))
        extraction, schema = planned(source)
        token: list[Json] = []
        with pytest.raises(Transient):
            list(bulk(site, job_deadline_s=1).plan(schema, Window(None, horizon)).slices(None, token.append))
    else:
        token = [killed(site, source, 1)[0]]
        site.org.advance(8 * 86_400)
    [schema] = source.describe(["Account"])
    extraction = source.plan(schema, Window(None, horizon))
    assert ids_of(extraction, list(extraction.slices(token[-1], forget))) == ids


def test_the_job_is_remembered_before_anything_else_happens(site: Site) -> None:
    fill(site)
    extraction, _ = planned(bulk(site))
    polls: list[int] = []
    list(extraction.slices(None, lambda token: polls.append(site.org.log.totals().get("bulk_poll", 0))))
    assert polls[0] == 0
    extraction.close("landed")


def test_a_job_lost_while_pages_are_read_asks_for_another_run(site: Site) -> None:
    fill(site)
    extraction, _ = planned(bulk(site))
    slices = list(extraction.slices(None, forget))
    site.org.advance(8 * 86_400)
    with pytest.raises(Transient, match="the job is gone"):
        ids_of(extraction, slices)


# ---- settling ----


@pytest.mark.parametrize(("outcome", "left"), [("landed", 0), ("abandoned", 0), ("kept", 1)])
def test_jobs_are_settled_on_every_outcome(site: Site, outcome: Any, left: int) -> None:
    fill(site)
    site.org.plan_job(JobPlan(running_s=3600))
    source = site.connect(api="bulk", job_deadline_s=1e9)
    extraction, _ = planned(source)

    def started(token: Json) -> None:
        raise QuotaReached("test", "test", "stop here")

    with pytest.raises(QuotaReached):
        next(iter(extraction.slices(None, started)))
    extraction.close(outcome)
    assert len(site.org.jobs()) == left
    assert site.calls("PATCH */jobs/query/*") == (0 if outcome == "kept" else 1)


def test_a_stop_while_a_job_runs_removes_the_job_and_ends_at_once(site: Site) -> None:
    """The order of a Ctrl-C: the connector is closed from another thread, then the extraction is settled."""
    fill(site)
    site.org.plan_job(JobPlan(ending="stuck_running"))
    source = site.connect(api="bulk", job_deadline_s=1e9)
    extraction, _ = planned(source)
    site.waits = Stopper(source)
    with pytest.raises(Stopped):
        list(extraction.slices(None, forget))
    extraction.close("abandoned")
    assert site.org.jobs() == []
    assert len(read_object(source).ids()) == ROWS, "the connector can be used again"


def test_a_stop_while_a_job_is_being_made_waits_for_its_name_and_removes_it(site: Site) -> None:
    fill(site, 10)
    source = site.connect(api="bulk")
    extraction, _ = planned(source)
    site.org.inject("slow", method="POST", path="*/jobs/query", delay_s=0.5)
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(lambda: list(extraction.slices(None, forget)))
        give_up = time.monotonic() + 300
        while not site.org.jobs() and time.monotonic() < give_up:
            time.sleep(0.005)
        source.close()
        with pytest.raises(Stopped):
            making.result(300)
    extraction.close("abandoned")
    assert site.org.jobs() == []


class Stopper(list[float]):
    """Closes the connector at the third pause."""

    def __init__(self, source: Salesforce) -> None:
        super().__init__()
        self.source = source

    def append(self, seconds: float) -> None:
        super().append(seconds)
        if len(self) == 3:
            self.source.close()


def test_a_job_that_cannot_be_removed_does_not_hide_the_first_error(site: Site) -> None:
    fill(site)
    extraction, _ = planned(bulk(site))
    list(extraction.slices(None, forget))
    site.org.inject("error", method="DELETE", path="*", status=500, times=9)
    extraction.close("landed")
    assert site.calls("DELETE *") == 1


def test_a_lost_answer_to_the_create_call_leaks_at_most_its_attempts_bounded(site: Site) -> None:
    fill(site)
    site.org.inject("reset_after", method="POST", path="*/jobs/query", times=2)
    read_object(bulk(site))
    assert len(site.org.jobs()) == 2
