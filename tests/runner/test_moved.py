"""Another warehouse behind the same state: the mirror of the one says nothing about the other (ROWS-THEN-MARK)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from syncline.pipelines.checkpoint import Checkpoint
from syncline.pipelines.history import status_of
from syncline.pipelines.mirror import believed
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.plan import plan
from syncline.pipelines.task import make_task, still_valid
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.memory import Memory, Storage
from syncline.sinks.warehouse import Warehouse, Watermark
from syncline.state.store import Remembered
from tests.runner.faults import Killed, Plan, faulty
from tests.runner.test_laws import Forbidden
from tests.runner.world import World, accounts

NOT_THE_ONE = "the warehouse is not the one that was remembered: planned from its own watermarks"
STREAMS = ("Account", "Contact")


@dataclass
class House:
    """A warehouse of the world, and what a reader sees in it."""

    world: World
    open: Callable[[], Warehouse]
    read: Callable[[str], list[str]]

    def pipeline(self) -> Pipeline:
        return self.world.pipeline(warehouse=self.open())

    def untouched(self) -> Pipeline:
        return self.world.pipeline(warehouse=Forbidden(self.open()))

    def equal(self) -> bool:
        wanted = [self.world.source.rows(stream).column("Name").to_pylist() for stream in STREAMS]
        return [self.read(stream) for stream in STREAMS] == [sorted(names) for names in wanted]


def memory(world: World, storage: Storage | None = None) -> House:
    kept = storage or Storage()

    def read(stream: str) -> list[str]:
        rows = kept.read(stream)
        return [] if rows is None else sorted(rows.column("Name").to_pylist())

    return House(world, lambda: Memory(kept, clock=world.clock), read)


def duck(world: World, name: str) -> House:
    path = world.folder / f"{name}.duckdb"

    def read(stream: str) -> list[str]:
        with duckdb.connect(str(path)) as connection:
            return sorted(row[0] for row in connection.execute(f'SELECT "Name" FROM "{stream}"').fetchall())

    return House(world, lambda: DuckDB(str(path)), read)


@pytest.fixture
def one(world: World) -> House:
    return memory(world)


@pytest.fixture
def other(world: World) -> House:
    return memory(world)


@pytest.mark.parametrize("kind", ["memory", "duckdb"])
def test_a_quiet_source_fills_a_new_warehouse_and_going_back_takes_up_where_the_first_stands(
    world: World, kind: str
) -> None:
    one, other = (memory(world), memory(world)) if kind == "memory" else (duck(world, "one"), duck(world, "other"))
    world.run(one.pipeline())
    filled = world.run(other.pipeline())
    assert (filled.status, filled.warnings) == ("done", [NOT_THE_ONE])
    assert other.equal()
    world.source.insert("Account", accounts(9_001, 1))
    world.clock.advance(hours=1)
    world.run(other.pipeline())
    world.clock.advance(days=1)  # the source is quiet from here on, and what came lies far below the overlap
    back = world.run(one.pipeline())
    assert back.warnings == [NOT_THE_ONE]
    window = back.streams["Account"].window
    assert window is not None
    assert window.low is not None, "its own watermark was the start, not the beginning of time"
    assert one.equal()


def test_the_warehouse_is_asked_once_and_idle_runs_are_free_again_idle_is_free(
    world: World, one: House, other: House
) -> None:
    world.run(one.pipeline())
    assert world.run(one.untouched()).status == "idle"
    world.run(other.pipeline())
    for _ in range(2):
        report = world.run(other.untouched())
        assert (report.status, report.warehouse_statements, report.warnings) == ("idle", 0, [])


def test_each_stream_is_remembered_with_its_own_warehouse(world: World, one: House, other: House) -> None:
    """A run of one stream says nothing about where the others are."""
    world.run(one.pipeline())
    world.run(other.pipeline(), streams=["Account"])
    world.run(other.pipeline())
    assert other.equal()


def test_a_reload_of_one_stream_into_the_new_one_does_not_hide_that_the_rest_is_missing(
    world: World, one: House, other: House
) -> None:
    world.run(one.pipeline())
    world.reload("Account", pipeline=other.pipeline())
    world.run(other.pipeline())
    assert other.equal()


def test_streams_that_commit_by_themselves_are_moved_one_by_one(world: World, one: House, other: House) -> None:
    world.settings["commit"] = "each"
    world.run(one.pipeline())
    assert world.run(other.pipeline()).status == "done"
    assert other.equal()
    assert world.run(other.untouched()).status == "idle"


def test_a_copy_that_was_moved_is_gone_on_with(world: World) -> None:
    """What is known of its rows stays true: one question, and nothing is read or loaded again."""
    storage = Storage()
    world.run(memory(world, storage).pipeline())
    world.run(memory(world, storage).pipeline())  # the mirror is ahead of the warehouse now
    moved = memory(world, Storage(deepcopy(storage.state)))
    report = world.run(moved.pipeline())
    assert (report.status, report.warnings, report.warehouse_statements) == ("idle", [], 1)
    assert world.run(moved.untouched()).status == "idle"


def test_with_a_state_of_an_older_program_the_warehouse_is_asked_once(world: World, one: House) -> None:
    world.run(one.pipeline())
    with closing(sqlite3.connect(world.folder / "state.db")) as connection, connection:
        connection.execute("UPDATE marks SET place = ''")
    report = world.run(one.pipeline())
    assert (report.status, report.warnings, report.warehouse_statements) == ("idle", [], 1)
    assert world.run(one.untouched()).status == "idle"


def test_plan_and_status_tell_of_the_warehouse_that_is_meant(world: World, one: House, other: House) -> None:
    world.run(one.pipeline())
    world.clock.advance(minutes=5)
    assert {each.mode for each in plan(other.pipeline()).streams} == {"whole"}
    assert {each.mode for each in plan(one.untouched()).streams} == {"incremental"}
    assert watermarks_shown(other) == {None}
    assert None not in watermarks_shown(one)


def watermarks_shown(house: House) -> set[Any]:
    shown = status_of(house.untouched(), house.world.clock())["streams"]
    return {each["watermark"] for each in shown.values()}


# ---- what a killed run left ----


@pytest.mark.parametrize("strike_at", [16, 24])
def test_what_was_landed_for_one_warehouse_is_not_loaded_into_another(
    world: World, one: House, other: House, strike_at: int
) -> None:
    """A killed increment left slices without the rows that the first warehouse had."""
    world.run(other.pipeline())
    world.run(one.pipeline())
    world.source.update("Account", [{"Id": f"001{n:06}", "Name": f"New {n}"} for n in range(20)])
    world.run(one.pipeline())
    world.source.insert("Account", accounts(9_000, 12))
    with pytest.raises(Killed):
        world.run(faulty(one.pipeline(), Plan(strike_at, "kill-after")))
    world.clock.advance(minutes=5)  # the dead run's lease
    assert world.run(other.pipeline()).resumed
    assert other.equal()
    world.run(one.pipeline())
    assert one.equal()


def test_a_first_load_that_was_killed_goes_on_in_another_empty_warehouse(
    world: World, one: House, other: House
) -> None:
    """VALUE-RESUME: nothing was left out of it."""
    with pytest.raises(Killed):
        world.run(faulty(one.pipeline(), Plan(30, "kill-before")))
    world.clock.advance(minutes=5)
    assert world.run(other.pipeline()).resumed
    assert other.equal()


def test_a_checkpoint_of_another_warehouse_is_kept_to_be_removed_and_not_gone_on_with(world: World, one: House) -> None:
    """The worst case: the other one is of the same version and has the same watermark."""
    world.run(one.pipeline())
    world.source.insert("Account", accounts(9_000, 12))
    with pytest.raises(Killed):
        world.run(faulty(one.pipeline(), Plan(24, "kill-after")))
    mark = world.pipeline().state.recall("crm")["Account"]
    found = truth_of(mark)
    assert still_valid(*continued(world, believed(mark, found, mark.place))), "its own run goes on"
    assert still_valid(*continued(world, believed(mark, found, "elsewhere"))), "a copy of it, too"
    elsewhere = believed(mark, replace(found, run_id="another"), "elsewhere")
    assert not still_valid(*continued(world, elsewhere))
    assert elsewhere.known is None
    assert elsewhere.checkpoint is not None
    assert elsewhere.checkpoint["slices"] == (mark.checkpoint or {})["slices"], "what is to be removed"


def truth_of(mark: Remembered) -> Watermark:
    assert mark.watermark is not None
    at = mark.watermark + timedelta(seconds=1)
    return Watermark("Account", mark.watermark, mark.version, mark.run_id, at, mark.columns, "", mark.definition)


def continued(world: World, mark: Remembered) -> tuple[Checkpoint, Any]:
    """The checkpoint, and the task that the run which goes on with it would have."""
    assert mark.checkpoint is not None
    checkpoint = Checkpoint.from_json(mark.checkpoint)
    [schema] = world.source.describe(["Account"])
    return checkpoint, make_task(Stream("Account"), schema, mark, checkpoint.horizon)
