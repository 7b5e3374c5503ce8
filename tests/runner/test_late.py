"""What was committed late or is gone early, around a run that broke off or was overtaken; found by the simulation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from syncline.connectors.connector import Batch, Json, Slice, StreamSchema, Window
from syncline.connectors.errors import CommitUnknown, CountMismatch
from syncline.connectors.records import Records
from syncline.pipelines import runner
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.replay import replay
from syncline.pipelines.stop import StopSignal
from syncline.sinks.duckdb import DuckDB
from syncline.state.memory import MemoryState
from tests.runner.faults import Killed, Plan, faulty
from tests.runner.test_outcomes import Watched, WatchedExtraction, killed_at, strike_named
from tests.runner.world import ACCOUNT, World, accounts

LOOK = pa.schema([pa.field("Id", pa.string())])


@pytest.fixture
def alone(world: World) -> World:
    world.streams = (Stream("Account"),)
    return world


def test_rows_committed_late_do_not_count_against_what_an_earlier_run_landed_counted_hops(alone: World) -> None:
    """The heir reads no slice anew, and the source counts one row more than when they were read."""
    killed_at(alone, "landing.seal")
    stamp = alone.clock() - timedelta(minutes=2)
    alone.source.insert("Account", accounts(25, 1, SystemModstamp=stamp))
    report = alone.run()
    assert report.resumed
    assert alone.equal(), "the overlap brings the late one"


def test_nor_where_the_job_was_made_and_no_slice_had_landed_counted_hops(alone: World) -> None:
    killed_at(alone, "extraction.read")
    stamp = alone.clock() - timedelta(minutes=2)
    alone.source.insert("Account", accounts(25, 1, SystemModstamp=stamp))
    assert alone.run().resumed
    assert alone.equal()


def test_slices_that_the_landing_lost_are_read_again(alone: World) -> None:
    killed_at(alone, "landing.seal")
    [lost, *_] = sorted((alone.folder / "landing").rglob("run=*/*.parquet"))
    lost.unlink()
    watched = Watched(alone.source)
    report = alone.run(alone.pipeline(source=watched))
    assert report.resumed
    assert len(watched.read_slices) == 1, "VALUE-RESUME: the others are there"
    assert "1 files of an unfinished run are gone from the landing: read again" in report.streams["Account"].warnings
    assert alone.equal()


def test_a_landing_that_is_gone_whole_costs_a_reading(alone: World) -> None:
    killed_at(alone, "landing.seal")
    shutil.rmtree(alone.folder / "landing")
    assert alone.run().resumed
    assert alone.equal()


def test_an_increment_that_read_a_late_row_is_not_undone_by_an_older_reload_newest_wins(alone: World) -> None:
    """The reload breaks off when it has read everything; then the row shows, stamped before the reload's horizon. A
    replay of all that was landed comes to the same."""
    alone.run()
    plan = Plan(kind="kill-before")
    plan.around = strike_named(plan, "warehouse.commit", 0)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        alone.reload("Account", pipeline=faulty(alone.pipeline(workers=1), plan))
    late = alone.clock() - timedelta(minutes=2)
    alone.source.update("Account", [{"Id": "001000001", "Name": "late", "SystemModstamp": late}])
    alone.run()
    report = alone.reload("Account")
    assert report.resumed
    assert alone.query("SELECT Name FROM Account WHERE Id = '001000001'") == [("late",)]
    assert report.streams["Account"].counts.stale == 1
    audit = DuckDB(str(alone.folder / "audit.duckdb"))
    replay(alone.pipeline(), audit, events=alone.events, stop=StopSignal(), seams=alone.seams())
    with duckdb.connect(str(alone.folder / "audit.duckdb")) as connection:
        assert connection.execute("SELECT Name FROM Account WHERE Id = '001000001'").fetchall() == [("late",)]


def test_a_stream_that_another_run_brought_as_far_is_remembered_as_it_stands(world: World) -> None:
    """Its unfinished round has nothing left to read; the mirror must not go on telling of the version before."""
    world.run()
    world.source.update("Contact", [{"Id": "001000001", "Name": "changed"}])
    killed_at(world, "warehouse.commit")
    elsewhere = MemoryState(clock=world.clock)
    world.reload("Account", pipeline=world.pipeline(state=elsewhere))
    world.run()
    assert world.equal()
    marks = world.pipeline().state.recall("crm")
    _, version, run_id = world.watermarks()["Account"]
    assert (marks["Account"].version, marks["Account"].run_id) == (version, run_id)


# ---- what a run committed whose mirror could not be written ----


def committed_unnoticed(world: World) -> None:
    """A run commits a change of an Account and dies before it can remember that."""
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "changed"}])
    plan = Plan(kind="kill-before")

    def around(name: str, call: Any) -> Any:
        if name == "state.remember" and "warehouse.commit" in plan.log:
            plan.strike_at = plan.count
        return Plan.around(plan, name, call)

    plan.around = around  # type: ignore[method-assign, assignment]
    with pytest.raises(Killed):
        world.run(faulty(world.pipeline(workers=1), plan))


@pytest.mark.parametrize("operation", [None, "warehouse.watermarks", "landing.seal"])
def test_rows_that_only_an_heir_read_are_not_taken_for_committed_rows_then_mark(
    world: World, operation: str | None
) -> None:
    """They became visible after the commit, whose run id stands in the watermarks; and a first heir may die as well."""
    committed_unnoticed(world)
    late = world.clock() - timedelta(minutes=2)
    world.source.insert("Contact", accounts(25, 1, SystemModstamp=late))
    if operation is not None:
        killed_at(world, operation)
    world.run()
    assert world.equal()


def test_rows_that_are_gone_when_the_heir_reads_are_deleted(world: World) -> None:
    """It reads none of them, under the id that stands in the watermarks."""
    world.source.add("Look", LOOK, key="Id", rows=[{"Id": "1"}, {"Id": "2"}])
    world.streams = (Stream("Account"), Stream("Look"))
    committed_unnoticed(world)
    world.source.delete("Look", ["1", "2"])
    world.run(allow_deletes=True)
    assert world.equal()


def test_a_stream_whose_rows_were_all_known_leaves_its_heir_nothing_to_miss(world: World) -> None:
    """A stream without a cursor, read whole and found unchanged: its files are removed at once."""
    world.source.add("Look", LOOK, key="Id", rows=[{"Id": "1"}, {"Id": "2"}])
    world.streams = (Stream("Account"), Stream("Look"))
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "changed"}])
    killed_at(world, "warehouse.commit")
    report = world.run()
    assert report.streams["Look"].warnings == []
    assert world.equal()


def test_a_column_that_only_the_heir_read_is_not_taken_for_committed(world: World) -> None:
    committed_unnoticed(world)
    world.source.alter("Contact", ACCOUNT.append(pa.field("Extra", pa.string())))
    world.run()
    assert world.equal()
    assert world.pipeline().state.recall("crm")["Contact"].columns == (*ACCOUNT.names, "Extra")


@dataclass
class LosesReply:
    """A warehouse that commits and does not say so, once."""

    inner: Any
    lost: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit(self, unit: Any) -> Any:
        counts = self.inner.commit(unit)
        if not self.lost:
            self.lost = True
            raise CommitUnknown("commit", "warehouse", "the reply was lost", "the watermarks tell")
        return counts


def test_an_heir_does_not_take_the_id_it_shares_for_its_own_commit_known_outcome(world: World) -> None:
    """The run before it may only have been slow. Its successor plans from what stands."""
    killed_at(world, "warehouse.commit")
    with pytest.raises(CommitUnknown):
        world.run(world.pipeline(warehouse=LosesReply(DuckDB(str(world.database)))))
    world.run()
    assert world.equal()


def test_a_round_that_was_planned_again_looks_for_its_own_commit_known_outcome(world: World) -> None:
    """Its id is a new one, and nobody's but this run's."""
    world.run()
    elsewhere = replace(world, folder=world.folder / "other")
    elsewhere.folder.mkdir()
    world.source.insert("Account", accounts(50, 2))
    world.run(elsewhere.pipeline(warehouse=DuckDB(str(world.database)), landing=world.pipeline().landing))
    for name in ("Account", "Contact"):
        world.source.insert(name, accounts(60, 2))
    assert world.run(world.pipeline(warehouse=LosesReply(DuckDB(str(world.database))))).status == "done"


class Hides(Watched):
    """A source that counts every row and gives the first slice of them alone."""

    def plan(self, *args: Any) -> Any:
        return HidingExtraction(self, self.inner.plan(*args))


class HidingExtraction(WatchedExtraction):
    def slices(self, *args: Any) -> Iterator[Slice]:
        records = [each for each in self._inner.slices(*args) if each.kind == "records"]
        yield replace(records[0], result=None, result_rows=None)


def test_another_question_is_not_held_against_the_count_of_an_earlier_one_counted_hops(alone: World) -> None:
    """An increment of one row was broken off; now the stream is read whole, for a new column."""
    alone.run()
    alone.clock.advance(minutes=60)
    alone.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    killed_at(alone, "extraction.read")
    alone.source.alter("Account", ACCOUNT.append(pa.field("Extra", pa.string())))
    with pytest.raises(CountMismatch):
        alone.run(alone.pipeline(source=Hides(alone.source)), allow_deletes=True)
    alone.run()
    assert alone.equal()


# ---- tombstones are read when the records have been ----


@dataclass
class LogLast:
    """A connector whose log of deletions is one slice, after the records, that tells of the moment it is read."""

    inner: Records
    read: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def plan(self, stream: StreamSchema, window: Window) -> Any:
        return LogLastExtraction(self, self.inner.plan(stream, window))


@dataclass
class LogLastExtraction:
    source: LogLast
    inner: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def slices(self, resume: Json | None, remember: Callable[[Json], None]) -> Iterator[Slice]:
        yield from (each for each in self.inner.slices(resume, remember) if each.kind == "records")
        yield Slice("log", {}, "tombstones")

    def read(self, slice: Slice) -> Iterator[Batch]:
        self.source.read.append(slice.id)
        if slice.id != "log":
            rows: Iterator[Batch] = self.inner.read(slice)
            return rows
        gone = {"Id": ["a stranger"], "SystemModstamp": [self.inner.window.high - timedelta(minutes=1)]}
        columns = [ACCOUNT.field(name) for name in gone]
        return iter([Batch(pa.RecordBatch.from_pydict(gone, schema=pa.schema(columns)))])


class LastFirst(Executor):
    """Does what it was given when somebody waits for it, the latest first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: work(*args, **options)))
        return future

    def wait(self, futures: Iterable[Future[Any]], **options: Any) -> Any:
        while self.waiting:
            future, work = self.waiting.pop()
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - as an executor does
                future.set_exception(error)
        return wait(futures, **options)


def test_a_log_of_deletions_is_read_when_the_records_have_landed(alone: World) -> None:
    """Read earlier, it would keep quiet about a record that is in the bin yet, and gone when the records are read."""
    source, pool = LogLast(alone.source), LastFirst()
    seams = replace(alone.seams(), pool=lambda count, name: pool, wait=pool.wait)
    alone.clock.advance(minutes=5)
    runner.run(alone.pipeline(source=source), events=alone.events, seams=seams)
    assert source.read[-1] == "log"
    assert len(source.read) == 4
    assert alone.equal()


def test_a_log_is_read_again_where_every_record_is_gone_that_was_landed(alone: World) -> None:
    killed_at(alone, "landing.seal", source=LogLast(alone.source))
    alone.source.forget_jobs()
    alone.source.delete("Account", [row["Id"] for row in accounts(0, 25)], purge=True)
    heir = LogLast(alone.source)
    alone.run(alone.pipeline(source=heir))
    assert heir.read == ["log", "log"], "its own round has no record any more, nor has the next"


@pytest.mark.parametrize("job_lost", [False, True])
def test_a_log_that_was_read_before_the_records_is_read_again(alone: World, job_lost: bool) -> None:
    killed_at(alone, "landing.seal", source=LogLast(alone.source))
    if job_lost:
        alone.source.forget_jobs()
    heir = LogLast(alone.source)
    alone.run(alone.pipeline(source=heir))
    assert heir.read.count("log") == (2 if job_lost else 1), "once for its own round"
    named = {path.name for path in (alone.folder / "landing").rglob("run=*/*.parquet")}
    manifests = [json.loads(path.read_bytes()) for path in (alone.folder / "landing").rglob("_manifests/*.json")]
    assert named == {entry["path"].rpartition("/")[2] for each in manifests for entry in each["files"]}
    assert alone.equal()
