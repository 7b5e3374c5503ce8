"""``syncline replay``: the landing alone makes the tables that the warehouse held as of any run, row by row."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError, DataError, MassDelete
from syncline.pipelines import runner
from syncline.pipelines.compacting import compact
from syncline.pipelines.expiry import expire
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.replay import replay
from syncline.pipelines.stop import StopSignal
from syncline.pipelines.verify import verify
from syncline.sinks.bookkeeping import in_order
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.postgres import Postgres
from syncline.sinks.warehouse import CommittedRun
from tests.proof.damage import hard_delete, late_commit
from tests.runner.world import ACCOUNT, Clock, World, accounts, make_world, normal
from tests.servers.postgres import PgAddress

Rows = list[tuple[Any, ...]]


class Silent:
    """A source that nobody may ask."""

    api_calls = 0

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the source was asked: {name}")

    def describe(self, names: Sequence[str]) -> Any:
        raise AssertionError("the source was asked")

    horizon = plan = close = describe


def again(world: World, into: Any = None, pipeline: Pipeline | None = None, **options: Any) -> dict[str, Any]:
    chosen = into or DuckDB(str(world.folder / "audit.duckdb"))
    source: Any = Silent()
    given = pipeline or world.pipeline(source=source)
    return replay(given, chosen, events=world.events, stop=StopSignal(), seams=world.seams(), **options)


def table(database: Path, name: str) -> Rows:
    """The rows as users see them, and whether each is marked: not when it was written."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        shown = [each[0] for each in connection.execute(f'DESCRIBE "{name}"').fetchall()]
        columns = [f'"{each}"' for each in sorted(shown) if not each.startswith("_syncline_")]
        if "_syncline_deleted_at" in shown:
            columns.append("_syncline_deleted_at IS NULL")
        rows = connection.execute(f'SELECT {", ".join(columns)} FROM "{name}"').fetchall()
    return sorted(normal(rows), key=repr)


def both(database: Path) -> dict[str, Rows]:
    return {name: table(database, name) for name in ("Account", "Contact")}


def history(world: World) -> dict[str, dict[str, Rows]]:
    """Every kind of run there is; what the warehouse held after each."""
    held = {world.watermarks()["Account"][2]: both(world.database)}

    def note(run_id: str) -> None:
        held[run_id] = both(world.database)

    world.source.insert("Account", accounts(60, 3))
    world.source.update("Contact", [{"Id": "001000001", "Name": "edited"}])
    note(world.run().run_id)
    world.source.delete("Account", ["001000002"])
    world.source.delete("Contact", ["001000003"], purge=True)
    note(world.run().run_id)
    world.source.alter("Account", ACCOUNT.insert(3, pa.field("Rating", pa.string())))
    world.source.update("Account", [{"Id": "001000006", "Rating": "hot"}])
    note(world.run().run_id)
    hard_delete(world)
    note(world.reload("Account").run_id)
    world.source.update("Account", [{"Id": "001000007", "Name": "later"}])
    note(world.run().run_id)
    late_commit(world)
    (repaired,) = verify(world.pipeline(), events=world.events, seams=world.seams(), repair=True).repair_runs
    note(repaired)
    world.source.update("Account", [{"Id": "001000008", "Name": "last"}])
    note(world.run().run_id)
    return held


@dataclass
class Past:
    """A history that several tests look at: each gets a copy of its files."""

    world: World
    held: dict[str, dict[str, Rows]]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Past:
    world = make_world(tmp_path_factory.mktemp("past"), Clock())
    world.run()
    return Past(world, history(world))


@pytest.fixture
def past(lived: Past, tmp_path: Path) -> Past:
    folder = tmp_path / "crm"
    shutil.copytree(lived.world.folder, folder)
    return Past(World(folder, Clock(lived.world.clock.now), lived.world.source), lived.held)


def test_it_equals_the_warehouse_as_of_every_run(past: Past) -> None:
    chosen = list(past.held.items())[2::2]  # as of the deletes, of the reload, of the repair; every run is as slow
    for number, (run_id, rows) in enumerate(chosen):
        audit = past.world.folder / f"audit{number}.duckdb"
        again(past.world, DuckDB(str(audit)), until=run_id)
        assert both(audit) == rows, f"as of run {number}"
    again(past.world)
    assert both(past.world.folder / "audit.duckdb") == both(past.world.database)


def test_clocks_that_were_set_back_turn_no_order_round(world: World) -> None:
    """FENCED-COMMIT: versions say who committed first, as the watermark of each stream says it; no machine's clock."""
    here, held = Clock(), {world.watermarks()["Account"][2]: both(world.database)}

    def sync() -> None:
        here.advance(hours=-3)
        seams = replace(world.seams(), clock=here)
        report = runner.run(world.pipeline(warehouse=DuckDB(str(world.database), clock=here)), events=world.events,
                            seams=seams)  # fmt: skip
        held[report.run_id] = both(world.database)

    for number, name in enumerate(("one", "two", "three")):
        world.source.update("Account", [{"Id": "001000001", "Name": name}])
        world.source.delete("Account", [f"00100001{number}"], purge=True)
        world.clock.advance(minutes=2)
        sync()
    assert list(held) != sorted(held), "ids go by the clock, too"
    assert list(DuckDB(str(world.database)).committed_runs("crm")) == list(held)
    for all_sealed in (False, True):
        for number, run_id in enumerate(held):
            audit = world.folder / f"audit{number}{all_sealed}.duckdb"
            again(world, DuckDB(str(audit)), until=run_id, all_sealed=all_sealed)
            assert both(audit) == held[run_id], f"as of run {number}"


def run(run_id: str, **versions: int) -> CommittedRun:
    return CommittedRun(run_id, "run", {}, versions)


@pytest.mark.parametrize(
    ("told", "order"),
    [
        ([run("b", A=2), run("a", A=1)], "ab"),
        ([run("old"), run("b", A=2, B=4), run("c", B=5), run("a", A=1)], ["old", "a", "b", "c"]),
        ([run("a", A=1, B=4), run("b", A=2, B=3)], "ab"),  # stream by stream, side by side: each is after the other
        ([run("a", A=1), run("b", A=2), run("c", A=1)], "abc"),  # the bookkeeping was begun anew
    ],
)
def test_versions_order_what_they_speak_of(told: list[CommittedRun], order: Sequence[str]) -> None:
    assert [each.run_id for each in in_order(told)] == list(order)


def test_marked_rows_stay_marked(world: World) -> None:
    world.streams = (Stream("Account", on_delete="mark"), Stream("Contact", on_delete="mark"))
    world.source.delete("Account", ["001000002"])
    world.source.delete("Contact", ["001000003"], purge=True)
    world.run()
    hard_delete(world)
    before = world.reload("Account").run_id
    held = both(world.database)
    world.source.update("Account", [{"Id": "001000002", "Name": "back"}])
    world.run()
    again(world, until=before)
    assert both(world.folder / "audit.duckdb") == held
    assert sum(not row[-1] for row in held["Account"]) == 3
    again(world, DuckDB(str(world.folder / "last.duckdb")))
    assert both(world.folder / "last.duckdb") == both(world.database)


def test_the_pipeline_goes_on_with_the_replayed_warehouse(world: World) -> None:
    """Moving to another warehouse: the watermark is the old one's, and the next run reads an increment."""
    world.source.insert("Account", accounts(60, 3))
    world.run()
    again(world)
    moved = world.pipeline(warehouse=DuckDB(str(world.folder / "audit.duckdb")))
    world.source.update("Account", [{"Id": "001000001", "Name": "after the move"}])
    report = world.run(moved)
    assert report.streams["Account"].mode == "changes"
    assert report.streams["Account"].counts.updated == 1
    assert verify(moved, events=world.events, seams=world.seams()).equal


def test_what_never_committed_does_not_come_in(world: World) -> None:
    """ROWS-THEN-MARK: a guarded run sealed its manifests, and nothing of it counts."""
    held = both(world.database)
    world.source.delete("Account", [f"001{n:06}" for n in range(15)])
    with pytest.raises(MassDelete):
        world.run()
    report = again(world)
    assert report["skipped"] >= 1
    assert both(world.folder / "audit.duckdb") == held


def test_a_lost_warehouse_is_made_anew_from_all_that_is_sealed(past: Past) -> None:
    world = past.world
    held = both(world.database)
    world.database.unlink()
    with pytest.raises(ConfigError, match=r"(?s)no committed run.*--all-sealed"):
        again(world)
    again(world, all_sealed=True)
    assert both(world.folder / "audit.duckdb") == held


def test_a_compacted_landing_replays_to_the_same(world: World) -> None:
    held = []
    for number in (60, 70, 80):
        world.source.insert("Account", accounts(number, 2))
        world.source.delete("Contact", [f"0010000{number // 10:02}"])
        held.append(world.run().run_id)
    world.clock.advance(days=2)
    world.source.insert("Account", accounts(90, 1))
    world.source.insert("Contact", accounts(90, 1))
    world.run()
    compact(world.pipeline(), now=world.clock())
    compact(world.pipeline(), now=datetime.now(UTC) + timedelta(days=3))
    again(world)
    assert both(world.folder / "audit.duckdb") == both(world.database)
    second = held[1]
    with pytest.raises(ConfigError, match="compacted with those of later runs"):
        again(world, DuckDB(str(world.folder / "other.duckdb")), until=second)


def test_it_begins_at_the_last_whole_read_that_expiry_left(world: World) -> None:
    world.source.insert("Account", accounts(60, 3))
    world.run()
    world.reload("Account", "Contact")
    world.source.update("Account", [{"Id": "001000001", "Name": "newest"}])
    world.run()
    expire(world.pipeline(), older_than=timedelta(days=1), now=world.clock() + timedelta(days=30))
    again(world)
    assert both(world.folder / "audit.duckdb") == both(world.database)


def test_a_landing_that_lacks_the_beginning_is_refused(past: Past) -> None:
    world = past.world
    expire(world.pipeline(), older_than=timedelta(days=1), now=world.clock() + timedelta(days=30), beyond_replay=True)
    with pytest.raises(ConfigError, match=r"(?s)have been removed.*reload"):
        again(world)
    assert not (world.folder / "audit.duckdb").exists()


def test_a_damaged_file_is_refused(world: World) -> None:
    """SEALED-MANIFEST."""
    world.source.insert("Account", accounts(60, 3))
    run = world.run().run_id
    (file,) = (world.folder / "landing" / "crm" / "Account").rglob(f"run={run}/*.parquet")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError):
        again(world)


def test_an_interrupted_replay_goes_on(past: Past) -> None:
    world = past.world

    class Breaking(DuckDB):
        left = 3

        def prepare(self, tables: Any) -> None:
            self.left -= 1
            if not self.left:
                raise DataError("load", "Account", "the connection broke", "run again")
            super().prepare(tables)

    path = str(world.folder / "audit.duckdb")
    with pytest.raises(DataError):
        again(world, Breaking(path))
    before = DuckDB(path).committed_runs("crm")
    assert len(before) == 2
    again(world)
    assert both(world.folder / "audit.duckdb") == both(world.database)


def test_tables_that_are_no_replay_are_left_alone(past: Past) -> None:
    world = past.world
    held = both(world.database)
    with pytest.raises(ConfigError, match="not as a replay"):
        again(world, DuckDB(str(world.database)))
    assert both(world.database) == held


def test_an_unknown_run_is_refused(world: World) -> None:
    for all_sealed in (False, True):
        with pytest.raises(ConfigError, match="no run of that id"):
            again(world, until="20200101T000000000000Z-000000", all_sealed=all_sealed)


def test_streams_that_commit_each_by_itself_replay_as_well(world: World) -> None:
    world.settings["commit"] = "each"
    world.source.insert("Account", accounts(60, 3))
    world.source.insert("Contact", accounts(60, 3))
    world.run()
    again(world)
    assert both(world.folder / "audit.duckdb") == both(world.database)


def test_it_fills_postgres(past: Past, pg_database: PgAddress) -> None:
    import psycopg

    world = past.world
    again(world, Postgres(pg_database.dsn, "audit", sleep=lambda _: None))
    with psycopg.connect(pg_database.dsn, options="-c timezone=UTC") as reader:
        for name, rows in both(world.database).items():
            columns = ["Amount", "Id", "Name", *(["Rating"] if name == "Account" else []), "SystemModstamp"]
            listed = ", ".join(each.lower() for each in columns)
            found = reader.execute(f"SELECT {listed} FROM audit.{name.lower()}").fetchall()
            assert sorted(normal(found), key=repr) == rows
