"""The parts of a large window among late commits, lost jobs, failures and stops (COMPLETE-WINDOW, VALUE-RESUME)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from syncline.connectors.connector import Json, Window
from syncline.connectors.errors import QuotaReached, Stopped, Transient
from syncline.connectors.salesforce import Salesforce
from syncline.connectors.salesforce.jobs import Ended, Jobs
from syncline.connectors.salesforce.rest import Query
from syncline.connectors.salesforce.settings import Api, credentials_from
from syncline.connectors.salesforce.transport import Seams
from syncline.connectors.sandbox import JobPlan
from syncline.connectors.sandbox.core import Core
from syncline.pipelines import context, runner
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.landing import Landing
from syncline.state.sqlite import SqliteState
from tests.runner.world import Collected
from tests.salesforce.org_world import Site, fill, forget, ids_of, planned
from tests.salesforce.test_sf_cuts import connect, roads

AHEAD = timedelta(days=30)
"""How far beyond the horizon a snapshot reads."""


def spread(site: Site, rows: int = 600) -> list[str]:
    """Accounts whose stamps lie evenly in some hours."""
    ids = fill(site, rows)
    start = site.org.now() - timedelta(hours=5)
    for n in range(0, rows, 5):
        stamp = start + timedelta(seconds=10 * n)
        site.org.update("Account", ids[n : n + 5], {"SystemModstamp": stamp}, touch="none")
    return ids


# ---- what is edited while a snapshot is read ----


def test_a_reload_does_not_delete_a_record_whose_transaction_commits_late(site: Site, tmp_path: Path) -> None:
    """Stamped before the reload began, shown when the newer parts were read and the record's own was not."""
    ids = fill(site, spread_s=20_000)
    edits: list[Callable[[], None]] = []

    def sleep(seconds: float) -> None:
        site.org.advance(seconds)
        if edits:
            edits.pop()()

    credentials, _ = credentials_from(site.environ())
    source = Salesforce(
        credentials,
        seams=Seams(sleep, lambda: 0.5, lambda: site.org.now().timestamp(), site.org.now),
        api="bulk",
        part_rows=200,
    )
    pipeline = Pipeline(
        "crm",
        source=source,
        streams=[Stream("Account", on_delete="mark")],
        landing=Landing(str(tmp_path / "landing")),
        warehouse=DuckDB(str(tmp_path / "crm.duckdb")),
        state=SqliteState(tmp_path / "state.db", clock=site.org.now),
    )
    seams = context.Seams(clock=site.org.now)
    runner.run(pipeline, events=Collected(), seams=seams)
    site.org.advance(3600)
    late = {"Name": "late", "SystemModstamp": site.org.now() - timedelta(minutes=3)}
    edits.append(lambda: site.org.update("Account", ids[:1], late, touch="none"))
    site.org.plan_job(JobPlan(queued_s=30))
    runner.reload(pipeline, streams=["Account"], events=Collected(), seams=seams)
    assert edits == []
    with duckdb.connect(str(tmp_path / "crm.duckdb"), read_only=True) as connection:
        [(live,)] = connection.execute("SELECT count(*) FROM Account WHERE _syncline_deleted_at IS NULL").fetchall()
    assert live == len(ids)


def test_a_late_commit_between_two_pages_does_not_end_the_run(site: Site) -> None:
    """Pages are no snapshot: a record that moves out of its part may still come, with the stamp it has by then."""
    fill(site, spread_s=20_000)
    site.org.settings.live_pages = True
    site.org.settings.page_rows_max = 20
    extraction, _ = planned(connect(site, "rest"))
    slice, *_ = extraction.slices(None, forget)
    batches = extraction.read(slice)
    first = set(next(batches).records.column("Id").to_pylist())
    rest = [each for each in ids_of(extraction, [slice]) if each not in first]
    late = {"SystemModstamp": extraction._window.high - timedelta(minutes=1)}
    site.org.update("Account", rest[-10:], late, touch="none")
    assert len(list(batches)) > 0


def test_the_same_records_in_two_jobs_are_no_page_sent_twice(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a part was edited after its job had ended: it comes again in the last part, in the order of the ids."""
    monkeypatch.setattr(Core, "_shuffled", lambda self, positions: np.sort(positions))
    ids = fill(site, spread_s=20_000)
    source = connect(site, "bulk", part_rows=300)
    [schema] = source.describe(["Account"])
    extraction = source.plan(schema, Window(None, source.horizon() + AHEAD))
    found: list[str] = []
    for number, slice in enumerate(extraction.slices(None, forget)):
        rows = ids_of(extraction, [slice])
        found += rows
        if number == 0:
            site.org.update("Account", rows, {"Name": "all of them"})
            site.org.advance(1)
    assert sorted(set(found)) == ids
    assert len(found) > len(ids)


@roads
def test_a_stream_without_a_key_is_not_cut(site: Site, road: Api) -> None:
    """What comes twice could not be told to be one record."""
    fill(site, spread_s=20_000)
    source = connect(site, road)
    [schema] = source.describe(["Account"])
    extraction = source.plan(replace(schema, key=()), Window(None, source.horizon() + AHEAD))
    assert len(list(extraction.slices(None, forget))) == 1


# ---- jobs that are lost, fail, or cannot be made ----


def begun(site: Site, ahead: timedelta = timedelta()) -> tuple[Window, Json, list[str]]:
    """A run that named all its slices and was killed: its window, what it remembered, the slices' names."""
    source = connect(site, "bulk")
    [schema] = source.describe(["Account"])
    window, remembered = Window(None, source.horizon() + ahead), list[Json]()
    names = [each.id for each in source.plan(schema, window).slices(None, remembered.append)]
    return window, remembered[-1], names


def resumed(site: Site, window: Window) -> Any:
    heir = connect(site, "bulk")
    [schema] = heir.describe(["Account"])
    return heir.plan(schema, window)


@pytest.mark.parametrize("ahead", [timedelta(), AHEAD])
def test_a_lost_job_costs_its_own_part_and_the_last(site: Site, ahead: timedelta) -> None:
    """The last part holds what moved into it from the others: it is read later than each of them."""
    ids = fill(site, spread_s=20_000)
    site.org.update("Account", ids[-30:], {"Name": "recent"})
    site.org.advance(120)
    window, token, names = begun(site, ahead)
    lost = token["parts"][1]["job"]
    Jobs(connect(site, "bulk")._open(), "Account", 10).remove(lost, running=False)
    extraction = resumed(site, window)
    slices = list(extraction.slices(token, forget))
    last = token["parts"][-1]["job"]
    assert {each for each in names if each.partition("-")[0] not in (lost, last)} < {each.id for each in slices}
    assert not {lost, last} & {each.params["job"] for each in slices}
    assert ids_of(extraction, slices) == ids
    extraction.close("landed")
    assert site.org.jobs() == []


def test_more_failing_jobs_than_one_run_splits_end_some_day(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every job of more than 22 rows fails: each run goes on with the halves that the one before it made."""
    ids, waited = spread(site), Jobs.wait

    def wait(self: Jobs, job_id: str) -> Ended:
        ended = waited(self, job_id)
        return Ended("Failed", None, "too large") if (ended.rows or 0) > 22 else ended

    monkeypatch.setattr(Jobs, "wait", wait)
    window, token = None, None
    for _ in range(4):
        source = connect(site, "bulk", part_rows=40)
        [schema] = source.describe(["Account"])
        window = window or Window(None, source.horizon())
        extraction, remembered = source.plan(schema, window), list[Json]()
        try:
            assert ids_of(extraction, list(extraction.slices(token, remembered.append))) == ids
            break
        except Transient:
            extraction.close("kept")
            token = remembered[-1]
    else:
        pytest.fail("every run began anew")
    extraction.close("landed")
    assert site.org.jobs() == []


def test_pages_of_a_job_are_handed_out_though_the_next_cannot_be_made(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(site, spread_s=20_000)
    made, create = list[str](), Jobs.create

    def refuse(self: Jobs, query: str) -> str:
        if len(made) == 3:
            raise QuotaReached("create Bulk job", "Account", "no requests are left")
        made.append(query)
        return create(self, query)

    monkeypatch.setattr(Jobs, "create", refuse)
    extraction, _ = planned(connect(site, "bulk"))
    jobs = set[str]()
    with pytest.raises(QuotaReached):
        jobs.update(each.params["job"] for each in extraction.slices(None, forget))
    assert len(jobs) == 3


def test_an_increment_that_cannot_be_counted_is_one_job(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site, 50)
    source = connect(site, "bulk")
    monkeypatch.setattr(source, "_count", lambda stream, window: None)
    monkeypatch.setattr(Query, "count", lambda self, stream, window: pytest.fail("it was counted"))
    [schema] = source.describe(["Account"])
    high = source.horizon()
    list(source.plan(schema, Window(high - timedelta(hours=15), high)).slices(None, forget))
    assert site.calls("POST */jobs/query") == 1


def test_every_part_that_is_left_to_rest_is_cut(site: Site) -> None:
    """Bulk refuses the object, so every part of it in turn: none may become one slice of millions of rows."""
    ids = spread(site)
    for _ in range(99):
        site.org.plan_job(JobPlan(ending="failed", message="Implementation restriction: no"))
    extraction, _ = planned(connect(site, "bulk", part_rows=300))
    slices = list(extraction.slices(None, forget))
    assert max(len(ids_of(extraction, [each])) for each in slices) <= 60
    assert ids_of(extraction, slices) == ids


def test_parts_that_are_left_to_rest_share_one_limit_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.connectors.salesforce.bulk.CUTS_MAX", 30)
    ids = spread(site)
    for _ in range(99):
        site.org.plan_job(JobPlan(ending="failed", message="Implementation restriction: no"))
    source = site.connect(api="bulk", part_rows=50, rest_part_rows=2)
    extraction, _ = planned(source)
    slices = list(extraction.slices(None, forget))
    assert len(slices) <= 31
    assert ids_of(extraction, slices) == ids


# ---- stops ----


def test_a_stop_while_an_heir_looks_at_its_jobs_leaves_none(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site, spread_s=20_000)
    window, token, _ = begun(site)

    def look(self: Jobs, job_id: str) -> str:
        raise Stopped("look at Bulk job", "Account", "the run was asked to stop")

    monkeypatch.setattr(Jobs, "look", look)
    extraction = resumed(site, window)
    with pytest.raises(Stopped):
        list(extraction.slices(token, forget))
    extraction.close("abandoned")
    assert site.org.jobs() == []


def test_jobs_are_not_removed_one_by_one_from_an_org_that_is_gone_bounded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread(site)
    extraction, _ = planned(connect(site, "bulk", part_rows=10))
    list(extraction.slices(None, forget))
    assert len(site.org.jobs()) > 60
    site.server.close()
    tried, remove = list[str](), Jobs.remove

    def noted(self: Jobs, job_id: str, running: bool, version: str | None = None) -> bool:
        tried.append(job_id)
        return remove(self, job_id, running, version)

    monkeypatch.setattr(Jobs, "remove", noted)
    extraction.close("abandoned")
    assert len(tried) == 8
