"""What a run leaves behind when it is killed, overtaken or misled, and how the next one goes on."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from syncline.connectors.errors import CommitUnknown, DataError, FenceLost, Stopped, SynclineError
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.stop import StopSignal
from syncline.sinks.duckdb import DuckDB
from tests.runner.faults import Killed, Plan, faulty
from tests.runner.test_laws import Forbidden
from tests.runner.world import World, accounts


class Watched:
    """A connector that counts the slices read."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.read_slices: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def plan(self, *args: Any) -> Any:
        return WatchedExtraction(self, self.inner.plan(*args))


class WatchedExtraction:
    def __init__(self, source: Watched, inner: Any) -> None:
        self._source, self._inner = source, inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, slice: Any) -> Any:
        self._source.read_slices.append(slice.id)
        return self._inner.read(slice)


def killed_at(world: World, operation: str, nth: int = 0, **changed: Any) -> None:
    """Runs until the nth such operation and kills the process there: nothing happens after it."""
    plan = Plan(kind="kill-before")
    plan.around = strike_named(plan, operation, nth)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.run(faulty(world.pipeline(workers=1, **changed), plan))


def strike_named(plan: Plan, operation: str, nth: int) -> Any:
    """Kills at the nth operation of that name, whatever else happens around it."""
    original = Plan.around

    def around(name: str, call: Any) -> Any:
        if name == operation and plan.log.count(operation) == nth:
            plan.strike_at = plan.count
        return original(plan, name, call)

    return around


def test_a_run_killed_while_reading_goes_on_with_the_next_slice(world: World) -> None:
    world.streams = world.streams[:1]
    killed_at(world, "extraction.read item", nth=2)
    watched = Watched(world.source)
    report = world.run(world.pipeline(source=watched))
    assert len(watched.read_slices) == 1, "VALUE-RESUME: two of three slices had landed"
    assert report.resumed
    assert world.equal()
    assert world.source.jobs == (), "no job is left at the source"


class Unreadable(Watched):
    """Its rows are not what it said they would be: nothing that a retry mends."""

    def plan(self, *args: Any) -> Any:
        return UnreadableExtraction(self, self.inner.plan(*args))


class UnreadableExtraction(WatchedExtraction):
    def read(self, slice: Any) -> Any:
        raise DataError("read", slice.id, "not a number", "look at the source")


@pytest.mark.parametrize(("operation", "nth"), [("extraction.close", 0), ("state.remember", 1)])
def test_a_job_that_is_given_up_is_removed_before_it_is_forgotten(world: World, operation: str, nth: int) -> None:
    world.streams = world.streams[:1]
    killed_at(world, operation, nth, source=Unreadable(world.source))
    world.run()
    assert world.source.jobs == (), "no job is left at the source"
    assert world.equal()


def test_a_run_killed_before_its_commit_is_loaded_from_the_sealed_manifest(world: World) -> None:
    killed_at(world, "warehouse.commit")
    world.source.update("Account", [{"Id": "001000001", "Name": "later"}])
    watched = Watched(world.source)
    report = world.run(world.pipeline(source=watched))
    assert report.resumed, "SEALED-MANIFEST"
    assert report.commits == 2, "the earlier run's rows, then what came since"
    assert report.streams["Account"].counts.inserted == 25
    assert world.equal()


def test_a_lost_landing_is_read_again(world: World) -> None:
    killed_at(world, "warehouse.commit")
    shutil.rmtree(world.folder / "landing")
    world.run()
    assert world.equal()


def test_a_lost_state_costs_reads_and_no_rows(world: World) -> None:
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    world.source.delete("Contact", ["001000002"], purge=True)
    (world.folder / "state.db").unlink()
    report = world.run()
    assert report.streams["Account"].window is not None
    assert report.streams["Account"].window.low is not None, "the warehouse's watermark is the truth"
    assert world.equal()


def test_a_warehouse_restored_to_yesterday_is_brought_forward_again(world: World) -> None:
    world.run()
    shutil.copy(world.database, world.folder / "yesterday.duckdb")
    world.source.update("Account", [{"Id": "001000001", "Name": "today"}])
    world.run()
    world.clock.advance(hours=1)
    shutil.copy(world.folder / "yesterday.duckdb", world.database)
    world.source.update("Contact", [{"Id": "001000002", "Name": "now"}])
    report = world.run()
    assert any("planned again" in text for text in report.warnings)
    assert world.equal()


def test_a_lost_warehouse_is_loaded_anew(world: World) -> None:
    world.run()
    world.database.unlink()
    world.source.update("Contact", [{"Id": "001000002", "Name": "now"}])
    world.run()
    assert world.equal()


def test_a_warehouse_of_the_same_version_is_not_taken_for_the_one_remembered(world: World) -> None:
    """ROWS-THEN-MARK: one line of the pipeline was changed and changed back; each warehouse has committed once."""
    world.run()
    world.source.insert("Account", accounts(9_001, 1))
    world.clock.advance(hours=1)
    other = world.pipeline(warehouse=DuckDB(str(world.folder / "other.duckdb")))
    assert world.run(other).warnings, "the other warehouse was not found empty"
    world.clock.advance(days=1)  # what only the other warehouse has lies below the overlap now
    world.source.insert("Account", accounts(9_002, 1))
    assert [version for _, version, _ in world.watermarks().values()] == [1, 1]
    world.run()
    assert world.equal()


def test_dropped_tables_are_made_whole_again_and_not_from_the_increment(world: World) -> None:
    world.run()
    world.query("DROP TABLE Account")
    world.query("DROP TABLE Contact")
    for name in ("Account", "Contact"):
        world.source.update(name, [{"Id": "001000002", "Name": "now"}])
    report = world.run()
    assert any("gone from the warehouse" in text for text in report.warnings)
    assert world.equal()


def test_a_new_target_for_a_synced_stream_is_filled_whole(world: World) -> None:
    world.run()
    world.streams = (Stream("Account", target="customers"), Stream("Contact"))
    world.run()
    assert world.query("SELECT count(*) FROM customers") == [(25,)]


def test_a_column_that_comes_back_has_its_values(world: World) -> None:
    world.run()
    world.streams = (Stream("Account", exclude=["Name"]), Stream("Contact"))
    world.source.update("Account", [{"Id": "001000001", "Name": "changed while it was left out"}])
    world.run()
    world.clock.advance(hours=1)
    world.run()
    world.streams = (Stream("Account"), Stream("Contact"))
    world.run()
    assert world.equal()


class LosesReply:
    """A warehouse whose reply to COMMIT is lost, after it was carried out or instead of it."""

    def __init__(self, inner: Any, carried_out: bool) -> None:
        self.__dict__.update(_inner=inner, _carried_out=carried_out)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, unit: Any) -> Any:
        if self._carried_out:
            self._inner.commit(unit)
        raise CommitUnknown("commit", unit.run_id, "connection lost", "")


def test_a_lost_reply_to_a_commit_that_stands_is_a_success(world: World) -> None:
    report = world.run(world.pipeline(warehouse=LosesReply(world.pipeline().warehouse, carried_out=True)))
    assert report.status == "done"
    assert any("so it was committed" in text for text in report.warnings), "KNOWN-OUTCOME"
    assert world.equal()
    world.run(world.pipeline(warehouse=Forbidden(world.pipeline().warehouse)))


def test_a_lost_reply_to_a_commit_that_does_not_stand_fails_and_is_mended_by_the_next_run(world: World) -> None:
    with pytest.raises(CommitUnknown):
        world.run(world.pipeline(warehouse=LosesReply(world.pipeline().warehouse, carried_out=False)))
    watched = Watched(world.source)
    world.run(world.pipeline(source=watched))
    assert world.equal()


def test_a_run_that_died_between_commit_and_remembering_it_is_not_applied_twice(world: World) -> None:
    killed_at(world, "warehouse.commit", state=world.pipeline().state)
    pipeline = world.pipeline(state=DiesOnceCommitted(world.pipeline().state, world))
    with pytest.raises(Killed):
        world.run(pipeline)
    version = world.watermarks()["Account"][1]
    report = world.run()
    assert world.watermarks()["Account"][1] == version
    assert report.streams["Account"].counts.staged == 0
    assert world.equal()


class DiesOnceCommitted:
    """A state store whose process dies when it should remember a commit."""

    def __init__(self, inner: Any, world: World) -> None:
        self._inner, self._world = inner, world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def remember(self, pipeline: str, marks: Any) -> None:
        if any(mark.version > 0 for mark in marks.values()):
            raise Killed("state.remember")
        self._inner.remember(pipeline, marks)


def test_of_two_overlapping_runs_only_one_moves_the_watermark(world: World) -> None:
    """The lease is ignored on purpose: the fence alone must protect the data (FENCED-COMMIT)."""
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    world.run(world.pipeline(warehouse=Overtaken(world)))
    assert world.equal()
    assert world.watermarks()["Account"][1] == 2, (
        "the first run and the overtaking one; the overtaken found it all done"
    )


class Overtaken:
    """Another run, on another host with a state of its own, commits just before this one looks at the watermarks."""

    def __init__(self, world: World) -> None:
        self.__dict__.update(_world=world, _inner=world.pipeline().warehouse, _done=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, unit: Any) -> Any:
        if not self._done:
            self.__dict__["_done"] = True
            from syncline.state.memory import MemoryState

            self._world.source.update("Account", [{"Id": "001000002", "Name": "by the other run"}])
            self._world.run(self._world.pipeline(state=MemoryState()))
            with pytest.raises(FenceLost):
                self._inner.commit(unit)
            return self._inner.commit(unit)
        return self._inner.commit(unit)


def test_a_reload_heals_damage_and_counts_it(world: World) -> None:
    world.run()
    world.query("DELETE FROM Account WHERE \"Id\" = '001000001'")
    world.query("UPDATE Account SET \"Name\" = 'damaged' WHERE \"Id\" = '001000002'")
    world.query("INSERT INTO Account (\"Id\", \"Name\") VALUES ('999', 'stray')")
    report = world.reload("Account")
    counts = report.streams["Account"].counts
    assert (counts.inserted, counts.updated, counts.absent, counts.unchanged) == (1, 1, 1, 23)
    assert world.equal()


def test_increments_go_on_while_a_reload_reads(world: World) -> None:
    world.run()
    world.source.delete("Account", ["001000009"], purge=True)
    world.source.update("Account", [{"Id": "001000001", "Name": "before"}])
    world.reload("Account", pipeline=world.pipeline(source=Meanwhile(world)))
    world.run()
    assert world.equal()


class Meanwhile:
    """A connector under which an increment runs once the reload has read its first slice."""

    def __init__(self, world: World) -> None:
        self.__dict__.update(_world=world, _inner=world.source, done=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def plan(self, *args: Any) -> Any:
        return MeanwhileExtraction(self, self._inner.plan(*args))


class MeanwhileExtraction:
    def __init__(self, source: Meanwhile, inner: Any) -> None:
        self._source, self._inner = source, inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, slice: Any) -> Any:
        yield from self._inner.read(slice)
        source = self._source
        if not source.done:
            source.__dict__["done"] = True
            world = source._world
            world.source.update("Account", [{"Id": "001000002", "Name": "meanwhile"}])
            world.source.delete("Account", ["001000003"], purge=True)
            world.clock.advance(minutes=2)
            assert world.run().status == "done"


def test_a_stop_ends_cleanly_and_the_next_run_completes(world: World) -> None:
    stop = StopSignal()
    with pytest.raises(Stopped):
        world.run(world.pipeline(source=StopsAfterOne(world.source, stop)), stop=stop)
    assert world.source.jobs == (), "the job was aborted"
    runs = world.pipeline().state.runs("crm", 1)
    assert runs[0].status == "stopped"
    world.run()
    assert world.equal()


class StopsAfterOne(Watched):
    def __init__(self, inner: Any, stop: StopSignal) -> None:
        super().__init__(inner)
        self.stop = stop

    def plan(self, *args: Any) -> Any:
        self.stop.request()
        return super().plan(*args)


def test_every_failed_run_is_recorded_with_operation_cause_and_cure(world: World) -> None:
    world.source.delete("Account", ["001000001"])
    with pytest.raises(SynclineError):
        world.run(streams=["Account"], pipeline=world.pipeline(source=Broken(world.source)))
    record = world.pipeline().state.runs("crm", 1)[0]
    assert record.status == "failed"
    assert record.report["error"]["operation"] == "ask"
    assert record.finished_at is not None


class Broken:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def horizon(self) -> Any:
        raise SynclineError("ask", "the source", "it is out of order", "wait")
