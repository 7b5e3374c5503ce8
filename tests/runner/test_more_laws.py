"""The laws where a run goes wrong in a less likely way: each test fails when one line of the runner breaks its law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Condition
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncline.connectors.connector import SEQUENCE_COLUMN, Batch, Window
from syncline.connectors.errors import CommitUnknown, CountMismatch, FenceLost, Transient
from syncline.pipelines import runner
from syncline.pipelines.checkpoint import Checkpoint
from syncline.pipelines.digest import DIGEST_BYTES, pack
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.reading import SLICES_WAITING_MAX
from syncline.pipelines.task import NEVER, make_task, still_valid
from syncline.sinks.manifest import Manifest
from syncline.state.memory import MemoryState
from tests.runner.faults import Killed, Plan, faulty
from tests.runner.test_laws import Forbidden
from tests.runner.test_outcomes import Watched, killed_at, strike_named
from tests.runner.world import ACCOUNT, World, accounts


class Around:
    """Any port with some of its methods replaced by a subclass."""

    def __init__(self, inner: Any, **own: Any) -> None:
        self.__dict__.update(_inner=inner, **own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


# ---- COMPLETE-WINDOW, VALUE-RESUME ----


@pytest.mark.parametrize("ahead", [timedelta(hours=-3), timedelta(hours=3)], ids=["behind", "ahead"])
def test_a_local_clock_that_is_wrong_moves_no_window_complete_window(world: World, ahead: timedelta) -> None:
    world.clock.advance(minutes=5)
    seams = replace(world.seams(), clock=lambda: world.clock.now + ahead)
    runner.run(world.pipeline(), events=world.events, seams=seams)
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    world.clock.advance(minutes=5)
    runner.run(world.pipeline(), events=world.events, seams=seams)
    assert {mark[0] for mark in world.watermarks().values()} == {world.clock.now - timedelta(seconds=60)}
    assert world.equal()


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 7},
        {"window": Window(None, datetime(2020, 1, 1, tzinfo=UTC))},
        {"mode": "snapshot"},
        {"columns": ("Id", "Name")},
        {"definition": "another"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_only_a_checkpoint_of_the_very_same_reading_is_resumed_value_resume(
    world: World, changed: dict[str, Any]
) -> None:
    world.streams = (Stream("Account"),)
    killed_at(world, "extraction.read item", nth=2)
    document = world.pipeline().state.recall("crm")["Account"].checkpoint
    assert document is not None
    checkpoint = Checkpoint.from_json(document)
    [schema] = world.source.describe(["Account"])
    task = make_task(Stream("Account"), schema, NEVER, checkpoint.window.high)
    assert task is not None
    assert still_valid(checkpoint, task)
    assert not still_valid(replace(checkpoint, **changed), task)


def test_a_reload_killed_while_reading_goes_on_with_the_next_slice_value_resume(world: World) -> None:
    world.run()
    plan = Plan(kind="kill-before")
    plan.around = strike_named(plan, "extraction.read item", 2)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.reload("Account", pipeline=faulty(world.pipeline(workers=1), plan))
    watched = Watched(world.source)
    report = world.reload("Account", pipeline=world.pipeline(source=watched))
    assert len(watched.read_slices) == 1, "two of three slices had landed"
    assert report.resumed
    assert world.equal()


# ---- COUNTED-HOPS ----


class Doubling(Around):
    """A connector that hands on each batch twice."""

    def plan(self, *args: Any) -> Any:
        return DoublingExtraction(self._inner.plan(*args))


class DoublingExtraction(Around):
    def read(self, slice: Any) -> Iterator[Batch]:
        for batch in self._inner.read(slice):
            yield batch
            yield batch


def test_more_rows_than_announced_stop_the_run_counted_hops(world: World) -> None:
    with pytest.raises(CountMismatch, match="announced 10 rows, 20 came"):
        world.run(world.pipeline(source=Doubling(world.source), workers=1))
    assert not world.database.exists() or world.query("SELECT * FROM information_schema.tables") == []


class LosingRecords(Around):
    """Loses a record, not a tombstone, and does not say how many a slice should have."""

    def plan(self, *args: Any) -> Any:
        return LosingRecordsExtraction(self._inner.plan(*args))


class LosingRecordsExtraction(Around):
    def slices(self, *args: Any) -> Any:
        return (replace(slice, rows_expected=None, result_rows=None) for slice in self._inner.slices(*args))

    def read(self, slice: Any) -> Iterator[Batch]:
        for batch in self._inner.read(replace(slice, rows_expected=slice.params["rows"])):
            short = slice.kind == "records"
            yield Batch(batch.records.slice(1), None) if short else batch


def test_a_tombstone_does_not_stand_in_for_a_lost_record_counted_hops(world: World) -> None:
    world.run()
    world.source.update("Account", [{"Id": f"001{n:06}", "Name": "new"} for n in range(5)])
    world.source.delete("Account", ["001000020"], purge=True)
    with pytest.raises(CountMismatch, match="the source counts 5 rows in the window, 4 were read"):
        world.run(world.pipeline(source=LosingRecords(world.source)))


class LosingLanding(Around):
    """A landing whose writer loses the first row it is given."""

    def writer(self, **options: Any) -> Any:
        return LosingWriter(self._inner.writer(**options))


class LosingWriter(Around):
    def __enter__(self) -> LosingWriter:
        self._inner.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._inner.__exit__(*error)

    def write(self, rows: Any) -> None:
        self._inner.write(rows.slice(1))


def test_a_row_lost_while_landing_seals_nothing_counted_hops(world: World) -> None:
    world.streams = (Stream("Account"),)
    whole = world.pipeline().landing
    with pytest.raises(CountMismatch, match="25 rows read, 22 landed"):
        world.run(world.pipeline(landing=LosingLanding(whole)))
    assert whole.sealed("crm", "Account") == []
    world.run()
    assert world.equal()


# ---- NEWEST-WINS, SEALED-MANIFEST ----


def rows_of(world: World, manifest: Manifest) -> pa.Table:
    paths = world.pipeline().landing.paths(manifest.files, world.folder)
    return pa.concat_tables([pq.ParquetFile(path).read() for path in paths])


def manifest_of(world: World, stream: str) -> Manifest:
    """The stream's only sealed manifest."""
    landing = world.pipeline().landing
    [run_id] = landing.sealed("crm", stream)
    manifest = landing.find("crm", stream, run_id)
    assert manifest is not None
    return manifest


def test_rows_landed_before_and_after_a_kill_share_one_total_order_newest_wins(world: World) -> None:
    world.streams = (Stream("Account"),)
    killed_at(world, "extraction.read item", nth=2)
    world.run()
    numbers = rows_of(world, manifest_of(world, "Account")).column(SEQUENCE_COLUMN).to_pylist()
    assert len(numbers) == len(set(numbers)) == 25


def test_what_a_sealed_manifest_names_outlives_a_newer_unfinished_run_sealed_manifest(world: World) -> None:
    """Two runs of one stream each died before their commits: the older one's manifest is not used, nor undermined."""
    world.streams = (Stream("Account"),)
    killed_at(world, "warehouse.commit")
    sealed = manifest_of(world, "Account")
    world.streams = (Stream("Contact"),)
    killed_at(world, "warehouse.commit")
    world.streams = (Stream("Account"), Stream("Contact"))
    world.run()
    assert world.equal()
    assert rows_of(world, sealed).num_rows == 25, "landed objects are immutable"


def test_a_manifest_sealed_just_before_the_death_is_used_as_it_is_sealed_manifest(world: World) -> None:
    """The dead run could not even write down that it had sealed; its window holds fewer records by now."""
    world.streams = (Stream("Account"),)
    plan = Plan(kind="kill-after")
    plan.around = strike_named(plan, "landing.seal", 0)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.run(faulty(world.pipeline(workers=1), plan))
    world.source.update("Account", [{"Id": f"001{n:06}", "Name": "later"} for n in range(3)])
    world.run()
    assert world.equal()


# ---- ROWS-THEN-MARK, ONE-TRANSACTION ----


class Refusing(Around):
    """A warehouse that cannot commit."""

    def commit(self, unit: Any) -> Any:
        raise Transient("commit", unit.run_id, "no connection", "")


def test_a_reload_that_cannot_commit_leaves_the_mirror_alone_rows_then_mark(world: World) -> None:
    world.run()
    before = world.pipeline().state.recall("crm")
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    with pytest.raises(Transient):
        world.reload("Account", pipeline=world.pipeline(warehouse=Refusing(world.pipeline().warehouse)))
    assert world.pipeline().state.recall("crm") == before
    world.run()
    assert world.equal()


def test_a_stream_without_news_moves_its_watermark_with_the_others_one_transaction(world: World) -> None:
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    world.run()
    marks = world.watermarks()
    assert marks["Account"] == marks["Contact"], "a reader never sees one stream as of another moment"


# ---- KNOWN-OUTCOME, FENCED-COMMIT ----


def run_elsewhere(world: World) -> None:
    """Another host's run, with a state of its own, commits a change."""
    world.source.update("Account", [{"Id": "001000002", "Name": "by the other run"}])
    world.run(world.pipeline(state=MemoryState()))


class LostToAnother(Around):
    """The COMMIT is lost and not carried out, and another run moves the watermarks by one meanwhile."""

    def commit(self, unit: Any) -> Any:
        self._inner.close()
        run_elsewhere(self._world)
        raise CommitUnknown("commit", unit.run_id, "connection lost", "")


def test_another_runs_watermark_is_not_taken_for_ones_own_known_outcome(world: World) -> None:
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "mine"}])
    with pytest.raises(CommitUnknown):
        world.run(world.pipeline(warehouse=LostToAnother(world.pipeline().warehouse, _world=world)))
    world.run()
    assert world.equal()


class Late(Around):
    """Its COMMIT is carried out and its reply lost; then it behaves as ``looks`` says, look by look."""

    def commit(self, unit: Any) -> Any:
        self.__dict__["_old"] = self._inner.watermarks(unit.pipeline)
        self._inner.commit(unit)
        self.__dict__.update(_lost=True, _broken=True)
        raise CommitUnknown("commit", unit.run_id, "connection lost", "")

    def close(self) -> None:
        self.__dict__["_broken"] = False
        self._inner.close()

    def watermarks(self, pipeline: str) -> Any:
        if not self.__dict__.get("_lost"):
            return self._inner.watermarks(pipeline)
        if self._broken:
            raise Transient("look", pipeline, "this connection is dead", "")
        look = self._looks.pop(0)
        if look == "refused":
            raise Transient("look", pipeline, "not yet back", "")
        return self._old if look == "old" else self._inner.watermarks(pipeline)


@pytest.mark.parametrize("looks", [["new"], ["old", "new"], ["refused", "old", "refused", "new"]], ids="-".join)
def test_a_commit_that_shows_late_is_found_on_a_fresh_connection_known_outcome(world: World, looks: list[str]) -> None:
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    report = world.run(world.pipeline(warehouse=Late(world.pipeline().warehouse, _looks=list(looks))))
    assert report.status == "done"
    assert world.equal()


class OvertakenWhileLooking(Around):
    """Another run commits right after this one has looked at the watermarks and found them as expected."""

    def watermarks(self, pipeline: str) -> Any:
        found = self._inner.watermarks(pipeline)
        if not self.__dict__.get("_done"):
            self.__dict__["_done"] = True
            run_elsewhere(self._world)
        return found


def test_a_run_overtaken_after_it_looked_does_not_move_the_watermark_back_fenced_commit(world: World) -> None:
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    world.run(world.pipeline(warehouse=OvertakenWhileLooking(world.pipeline().warehouse, _world=world)))
    watermark, version, _ = world.watermarks()["Account"]
    assert version == 2, "the first run and the overtaking one"
    assert (world.clock.now - watermark).total_seconds() == 60
    assert world.equal()


class Restless(Around):
    """Watermarks that have moved each time one looks."""

    def watermarks(self, pipeline: str) -> Any:
        self.__dict__["_looks"] += 1
        found = self._inner.watermarks(pipeline)
        return {name: replace(mark, version=mark.version + self._looks) for name, mark in found.items()}


def test_a_warehouse_that_never_agrees_ends_the_run_loud_and_bounded(world: World) -> None:
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    before = world.watermarks()
    with pytest.raises(FenceLost, match="the watermarks moved 3 times"):
        world.run(world.pipeline(warehouse=Restless(world.pipeline().warehouse, _looks=0)))
    assert world.watermarks() == before


# ---- IDLE-IS-FREE, BOUNDED ----


def test_an_empty_stream_without_a_cursor_is_idle_too_idle_is_free(world: World) -> None:
    plain = pa.schema([column for column in ACCOUNT if column.name != "SystemModstamp"])
    world.source.add("Status", plain, key="Id", rows=[])
    world.streams = (Stream("Status"),)
    world.run()
    assert world.run(world.pipeline(warehouse=Forbidden(world.pipeline().warehouse))).status == "idle"


def test_an_idle_run_leaves_nothing_more_in_the_landing_idle_is_free(world: World) -> None:
    plain = pa.schema([column for column in ACCOUNT if column.name != "SystemModstamp"])
    world.source.add("Status", plain, key="Id", rows=accounts(0, 5))
    world.streams = (Stream("Status"),)
    world.run()
    landed = sorted((world.folder / "landing").rglob("*.*"))
    assert world.run().status == "idle"
    assert sorted((world.folder / "landing").rglob("*.*")) == landed


def test_the_bound_on_digests_holds_for_all_slices_together_bounded() -> None:
    parts = [bytes([n]) * DIGEST_BYTES for n in range(4)]
    assert pack(parts, 4) == b"".join(parts)
    assert pack([*parts, b"x" * DIGEST_BYTES], 4) is None


class Hurried(Around):
    """A connector with many slices whose reads wait until as many were handed out as may be."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner, waiting=[], taken=0, finished=0, all_taken=False, changed=Condition())

    def plan(self, *args: Any) -> Any:
        return HurriedExtraction(self._inner.plan(*args), _source=self)


class HurriedExtraction(Around):
    def slices(self, *args: Any) -> Iterator[Any]:
        source = self._source
        for slice in self._inner.slices(*args):
            yield slice
            with source.changed:
                source.__dict__["taken"] += 1
                source.waiting.append(source.taken - source.finished)
                source.changed.notify_all()
        with source.changed:
            source.__dict__["all_taken"] = True
            source.changed.notify_all()

    def read(self, slice: Any) -> Iterator[Batch]:
        source = self._source
        with source.changed:
            enough = source.finished + SLICES_WAITING_MAX
            assert source.changed.wait_for(lambda: source.all_taken or source.taken >= enough, timeout=30)
        yield from self._inner.read(slice)
        with source.changed:
            source.__dict__["finished"] += 1


def test_slices_that_wait_to_be_read_are_bounded(world: World) -> None:
    """A Bulk job of 10,000 pages must not become 10,000 futures (BOUNDED)."""
    world.source.slice_rows = 1
    world.streams = (Stream("Account"),)
    source = Hurried(world.source)
    world.run(world.pipeline(source=source, workers=1))
    assert source.taken == 25
    assert max(source.waiting) == SLICES_WAITING_MAX
    assert world.equal()


# ---- NO-SECRETS ----


class Rude(Around):
    """A connector that fails as nobody foresaw, and shows what it sent."""

    def horizon(self) -> Any:
        raise RuntimeError("POST /token password=hunter2hunter2")


def test_an_error_that_nobody_foresaw_is_recorded_without_its_text_no_secrets(world: World) -> None:
    with pytest.raises(RuntimeError):
        world.run(world.pipeline(source=Rude(world.source)))
    [record] = world.pipeline().state.runs("crm", 1)
    assert record.status == "failed", "LOUD"
    assert "RuntimeError" in str(record.report)
    assert "hunter2" not in str(record.report)
