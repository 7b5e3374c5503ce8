"""``syncline rewind``: a bad run is undone from the landing, and the next run reads again from there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from syncline.connectors.errors import ConfigError, LeaseHeld, MassDelete, Transient
from syncline.pipelines.expiry import expire
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.report import RunReport
from syncline.pipelines.rewind import rewind
from syncline.pipelines.stop import StopSignal
from syncline.sinks.duckdb import DuckDB
from tests.proof.damage import sql
from tests.proof.test_repair import Interloper
from tests.proof.test_replay import again, both
from tests.runner.world import World, accounts


def back(world: World, to: str, pipeline: Pipeline | None = None, **options: Any) -> RunReport:
    world.clock.advance(minutes=1)
    chosen = pipeline or world.pipeline()
    return rewind(chosen, to=to, events=world.events, stop=StopSignal(), seams=world.seams(), **options)


def a_bad_day(world: World) -> str:
    """A good run, whose id is returned, then a bad script at the source, deletions and new records, all synced."""
    world.source.update("Account", [{"Id": "001000001", "Name": "good"}])
    good = world.run().run_id
    world.source.update("Account", [{"Id": f"001{n:06}", "Name": "bad"} for n in range(10)])
    world.source.delete("Account", ["001000011"])
    world.source.insert("Contact", accounts(70, 2))
    world.run()
    return good


def test_rows_and_watermarks_go_back_and_the_next_run_reads_again(world: World) -> None:
    """ONE-TRANSACTION, ROWS-THEN-MARK."""
    good = a_bad_day(world)
    held, marks = both(world.database), world.watermarks()
    again(world, DuckDB(str(world.folder / "good.duckdb")), until=good)
    report = back(world, good)
    assert both(world.database) == both(world.folder / "good.duckdb")
    now = world.watermarks()
    assert now["Account"][0] < marks["Account"][0]
    assert now["Account"][1] == marks["Account"][1] + 1, "FENCED-COMMIT"
    assert {run_id for _, _, run_id in now.values()} == {report.run_id}
    following = world.run()
    assert following.streams["Account"].mode == "changes", "an increment from the old watermark"
    assert both(world.database) == held
    assert world.equal()


def test_a_replay_goes_through_a_rewind(world: World) -> None:
    good = a_bad_day(world)
    back(world, good)
    again(world, DuckDB(str(world.folder / "rewound.duckdb")))
    assert both(world.folder / "rewound.duckdb") == both(world.database)
    world.run()
    again(world)
    assert both(world.folder / "audit.duckdb") == both(world.database)


def test_marked_rows_come_back_and_later_ones_are_marked(world: World) -> None:
    world.streams = (Stream("Account", on_delete="mark"), Stream("Contact", on_delete="ignore"))
    world.source.delete("Account", ["001000015"])
    world.run()
    good = a_bad_day(world)
    again(world, DuckDB(str(world.folder / "good.duckdb")), until=good)
    back(world, good)
    assert both(world.database) == both(world.folder / "good.duckdb")
    world.run()
    marked = world.query("SELECT Id FROM Account WHERE _syncline_deleted_at IS NOT NULL ORDER BY Id")
    assert [row[0] for row in marked] == ["001000011", "001000015"]


def test_a_landing_that_lacks_it_is_refused_with_a_cure(world: World) -> None:
    good = a_bad_day(world)
    world.reload("Account", "Contact")
    world.source.insert("Account", accounts(80, 1))
    world.run()
    expire(world.pipeline(), older_than=timedelta(days=1), now=world.clock() + timedelta(days=30))
    held, marks = both(world.database), world.watermarks()
    with pytest.raises(ConfigError, match=r"(?s)have been removed.*hint"):
        back(world, good)
    assert (both(world.database), world.watermarks()) == (held, marks)


def test_it_is_guarded(world: World) -> None:
    """GUARDED-DELETE."""
    good = world.watermarks()["Account"][2]
    world.source.insert("Account", accounts(100, 60))
    world.run()
    held = both(world.database)
    with pytest.raises(MassDelete):
        back(world, good)
    assert both(world.database) == held
    world.run()
    assert world.equal(), "a refused rewind leaves nothing in the way of the next run"
    back(world, good, allow_deletes=True)
    assert len(both(world.database)["Account"]) == 25
    world.run()
    assert world.equal()


def test_a_rewind_that_breaks_changed_nothing_and_the_next_run_goes_on(world: World) -> None:
    good = a_bad_day(world)
    held = both(world.database)

    def fail() -> None:
        raise Transient("load", "Account", "the connection broke", "run again")

    warehouse: Any = Interloper(DuckDB(str(world.database)), fail, times=1)
    with pytest.raises(Transient):
        back(world, good, world.pipeline(warehouse=warehouse))
    assert both(world.database) == held
    world.source.insert("Account", accounts(90, 1))
    world.run()
    assert world.equal()


def test_it_waits_for_nobody_and_knows_its_runs(world: World) -> None:
    good = a_bad_day(world)
    with world.pipeline().state.lease("crm", 1e6), pytest.raises(LeaseHeld):
        back(world, good)
    with pytest.raises(ConfigError, match="no run of that id"):
        back(world, "20200101T000000000000Z-000000")


def test_a_damaged_table_is_put_back_as_well(world: World) -> None:
    good = a_bad_day(world)
    again(world, DuckDB(str(world.folder / "good.duckdb")), until=good)
    sql(
        "INSERT INTO Account SELECT * FROM Account WHERE Id = '001000003'", "DELETE FROM Contact WHERE Id < '001000005'"
    )(world)
    back(world, good)
    assert both(world.database) == both(world.folder / "good.duckdb")
