"""What a run that goes on with another's slices proves of them, and what it removes (VALUE-RESUME, COUNTED-HOPS)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.connector import Json, Slice
from syncline.connectors.errors import ConfigError, CountMismatch
from syncline.pipelines.pipeline import Stream
from syncline.state.store import Remembered
from tests.runner.faults import Killed, Plan, faulty
from tests.runner.test_outcomes import killed_at, strike_named
from tests.runner.test_unfinished import PLAIN
from tests.runner.world import ACCOUNT, World


@dataclass
class EndsEarly:
    """A connector that does not know a window's rows beforehand, and whose list of slices lacks the last one."""

    inner: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def plan(self, *args: Any) -> Any:
        return EndsEarlyExtraction(self.inner.plan(*args))


@dataclass
class EndsEarlyExtraction:
    inner: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def forecast(self) -> Any:
        return replace(self.inner.forecast, rows=None)

    def slices(self, resume: Json | None, remember: Callable[[Json], None]) -> Iterator[Slice]:
        yield from list(self.inner.slices(resume, remember))[:-1]


def test_a_result_whose_slices_do_not_add_up_is_not_committed_counted_hops(world: World) -> None:
    world.streams = (Stream("Account"),)
    with pytest.raises(CountMismatch, match="announced 25 rows, its slices hold 20") as refused:
        world.run(world.pipeline(source=EndsEarly(world.source)))
    assert refused.value.exit_code == 4
    assert not world.database.exists()
    assert world.source.jobs == ()
    world.run()
    assert world.equal(), "the next run reads anew"


def test_slices_of_an_earlier_run_count_too_counted_hops(world: World) -> None:
    world.streams = (Stream("Account"),)
    killed_at(world, "extraction.read item", nth=2)
    with pytest.raises(CountMismatch, match="announced 25 rows, its slices hold 20"):
        world.run(world.pipeline(source=EndsEarly(world.source)))
    world.run()
    assert world.equal()


def test_what_left_the_source_with_a_lost_job_does_not_stay_in_the_target(world: World) -> None:
    """The lost job's slices hold a record that the new one lacks: landed beside them, it would not be absent."""
    world.source.add("Plain", PLAIN, key="Id", rows=[{"Id": f"{n:02}", "Name": "a"} for n in range(25)])
    world.streams = (Stream("Plain"),)
    plan = Plan(kind="kill-before")
    plan.around = strike_named(plan, "extraction.read item", 2)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.reload("Plain", pipeline=faulty(world.pipeline(workers=1), plan))
    world.source.forget_jobs()
    world.source.delete("Plain", ["03"])
    report = world.reload("Plain")
    assert report.resumed
    assert report.streams["Plain"].landed == 24
    assert world.equal()


def test_a_sealed_run_leaves_a_job_that_its_heir_only_removes(world: World) -> None:
    world.streams = (Stream("Account"),)
    killed_at(world, "extraction.close")
    [_] = world.source.jobs
    made = jobs_made(world)
    world.run()
    assert world.source.jobs == ()
    assert jobs_made(world) == made + 1, "one for its own window, none to find the old one"


def jobs_made(world: World) -> int:
    return world.source._jobs_made


# ---- the id of a run that sealed something is never used for something else ----


@dataclass
class FailsToRemember:
    """A state whose write fails once, for good: when the stream's manifest was sealed."""

    inner: Any
    stream: str
    failed: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def remember(self, pipeline: str, marks: Mapping[str, Remembered]) -> None:
        mark = marks.get(self.stream)
        if not self.failed and mark is not None and mark.checkpoint is not None and mark.checkpoint["sealed"]:
            self.failed = True
            raise ConfigError("write state", "state.db", "the disk is full", "make room")
        self.inner.remember(pipeline, marks)


def sealed_and_stopped(world: World) -> None:
    """Account and Contact are sealed by one run, which is killed before its commit."""
    killed_at(world, "warehouse.commit")
    assert len(manifests(world)) == 2


def manifests(world: World) -> list[str]:
    return sorted(path.parts[-3] for path in (world.folder / "landing").rglob("_manifests/*.json"))


def add_column(world: World, stream: str) -> None:
    columns = world.source.describe([stream])[0].columns
    world.source.alter(stream, columns.append(pa.field("Phone", pa.string())))
    world.source.update(stream, [{"Id": "001000001", "Phone": "1234"}])


@pytest.mark.parametrize("stream", ["Account", "Contact"])
def test_a_state_that_cannot_be_written_after_sealing_undoes_no_manifest(world: World, stream: str) -> None:
    pipeline = world.pipeline()
    pipeline = world.pipeline(state=FailsToRemember(pipeline.state, stream))
    with pytest.raises(ConfigError, match="the disk is full"):
        world.run(pipeline)
    for manifest in (world.folder / "landing").rglob("_manifests/*.json"):
        named = [world.folder / "landing" / file["path"] for file in json.loads(manifest.read_text())["files"]]
        assert [file for file in named if not file.exists()] == [], "SEALED-MANIFEST: what is named stays"
    report = world.run()
    assert report.resumed, "VALUE-RESUME"
    assert world.source.jobs == ()
    assert world.equal()


def test_a_run_that_cannot_be_gone_on_with_gives_its_id_to_no_other_rows(world: World) -> None:
    """Contact could go on; Account has a new column, and its manifest of that run stands already (SEALED-MANIFEST)."""
    sealed_and_stopped(world)
    add_column(world, "Account")
    world.run()
    assert world.equal()
    assert world.run().status == "idle"


def test_a_reload_that_cannot_be_gone_on_with_gives_its_id_to_no_other_rows(world: World) -> None:
    world.run()
    plan = Plan(kind="kill-before")
    plan.around = strike_named(plan, "warehouse.commit", 0)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.reload("Account", "Contact", pipeline=faulty(world.pipeline(workers=1), plan))
    add_column(world, "Account")
    world.reload("Account", "Contact")
    assert world.equal()


def test_an_empty_stream_that_was_sealed_is_found_again(world: World) -> None:
    """It has no slice to tell by, and its count may be another by now: a second manifest would be a different one."""
    world.source.add("Empty", ACCOUNT, key="Id", cursor="SystemModstamp", deletes="flagged")
    world.streams = (Stream("Account"), Stream("Empty"))
    sealed_and_stopped(world)
    world.source.forget_jobs()
    world.source.insert("Empty", [{"Id": "1", "Name": "late", "SystemModstamp": world.clock() - timedelta(minutes=5)}])
    world.run()
    assert world.equal()


# ---- one run, one row ----


def told_runs(world: World) -> list[tuple[str, dict[str, int]]]:
    rows = world.query("SELECT run_id, run FROM _syncline_runs ORDER BY committed_at, run_id")
    return [(run_id, json.loads(run)["rows"]) for run_id, run in rows]


def test_a_run_whose_streams_commit_one_by_one_has_one_row(world: World) -> None:
    report = world.run(world.pipeline(commit="each"))
    assert told_runs(world) == [(report.run_id, {"Account": 25, "Contact": 25})]


def test_a_run_that_two_others_finished_has_one_row(world: World) -> None:
    """It sealed both streams and died; one heir syncs only the first of them, the next the other."""
    sealed_and_stopped(world)
    world.run(streams=["Account"])
    world.run()
    told = told_runs(world)
    assert len({run_id for run_id, _ in told}) == len(told)
    assert told[-1][1] == {"Account": 25, "Contact": 25}
    assert world.equal()
