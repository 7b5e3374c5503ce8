"""What an unfinished or changed pipeline must never do: stand still for ever, or pass over what was changed."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError, DataError, MassDelete
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.landing import Landing
from syncline.sinks.warehouse import OnDelete
from syncline.state.sqlite import SqliteState
from tests.runner.faults import Killed, Plan, faulty
from tests.runner.test_outcomes import killed_at, strike_named
from tests.runner.world import World, accounts

PLAIN = pa.schema([pa.field("Id", pa.string()), pa.field("Name", pa.string())])


def add_plain(world: World) -> None:
    """A stream without a cursor."""
    world.source.add("Plain", PLAIN, key="Id", rows=[{"Id": str(n), "Name": "a"} for n in range(5)])


def test_a_stream_synced_alone_does_not_block_the_rest_of_an_unfinished_run(world: World) -> None:
    add_plain(world)
    world.streams = (Stream("Account"), Stream("Plain"))
    killed_at(world, "warehouse.commit")
    world.run(streams=["Plain"])
    world.source.update("Plain", [{"Id": "1", "Name": "b"}])
    world.run()
    assert world.equal(), "SEALED-MANIFEST: nothing is sealed twice under one run"


def test_deletes_that_a_guard_stopped_are_looked_at_anew(world: World) -> None:
    world.streams = (Stream("Account"),)
    world.source.insert("Account", accounts(25, 200))
    world.run()
    doomed = [f"001{n:06}" for n in range(150)]
    world.source.delete("Account", doomed)
    with pytest.raises(MassDelete):
        world.run()
    world.source.update("Account", [{"Id": key} for key in doomed])
    report = world.run()
    assert report.streams["Account"].counts.deleted == 0, "GUARDED-DELETE: they were undeleted at the source"
    assert world.equal()


def test_a_reload_whose_landing_was_damaged_reads_again(world: World) -> None:
    world.run()
    plan = Plan(kind="kill-before")
    plan.around = strike_named(plan, "warehouse.commit", 0)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.reload("Account", pipeline=faulty(world.pipeline(workers=1), plan))
    world.clock.advance(minutes=5)
    for file in (world.folder / "landing").rglob("run=*/*.parquet"):
        file.unlink()
    with pytest.raises(DataError, match="missing"):
        world.reload("Account")
    world.reload("Account")
    assert world.equal()


def test_a_changed_definition_outlives_planning_again_from_the_warehouse(world: World) -> None:
    world.streams = (Stream("Account"),)
    world.run()
    shutil.copy(world.folder / "state.db", world.folder / "older.db")
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    world.run()
    shutil.copy(world.folder / "older.db", world.folder / "state.db")
    world.streams = (Stream("Account", key=["Name"]),)
    report = world.run()
    assert any("planned again" in text for text in report.warnings)
    assert report.streams["Account"].mode == "snapshot", "COMPLETE-WINDOW: the stream is read whole by the new key"


def test_a_changed_definition_outlives_a_lost_state_file(world: World) -> None:
    """The watermark row in the warehouse says what its rows were selected by; the mirror is a mirror."""
    world.streams = (Stream("Account"),)
    world.run()
    (world.folder / "state.db").unlink()
    world.streams = (Stream("Account", key=["Name"]),)
    report = world.run()
    assert report.streams["Account"].mode == "snapshot", "COMPLETE-WINDOW: the stream is read whole by the new key"


@pytest.mark.parametrize("first", ["mark", "ignore"])
def test_a_changed_on_delete_holds_for_what_was_deleted_before(world: World, first: OnDelete) -> None:
    world.streams = (Stream("Account", on_delete=first),)
    world.run()
    world.source.delete("Account", ["001000003"])
    world.run()
    assert world.query("SELECT COUNT(*) FROM Account") == [(25,)]
    world.streams = (Stream("Account"),)
    report = world.run()
    assert any("on_delete" in text for text in report.streams["Account"].warnings)
    assert world.query("SELECT COUNT(*) FROM Account") == [(24,)]
    assert world.equal()
    assert world.run().status == "idle"


def test_a_second_pipeline_may_not_write_a_target_of_the_first(world: World) -> None:
    """It would find the first one's rows absent from its own source, and delete them."""
    world.run()
    before = world.target("Account")
    other = Pipeline(
        "sales",
        world.source,
        [Stream("Contact", target="ACCOUNT")],
        landing=Landing(str(world.folder / "other")),
        warehouse=DuckDB(str(world.database)),
        state=SqliteState(world.folder / "other.db", clock=world.clock),
    )
    for act in (world.run, lambda pipeline: world.reload("Contact", pipeline=pipeline)):
        with pytest.raises(ConfigError, match=r"pipeline sales.*stream Account of pipeline crm") as refused:
            act(other)
        assert refused.value.exit_code == 2
    assert world.target("Account") == before
    world.query("DELETE FROM _syncline_watermarks WHERE pipeline = 'crm' AND stream = 'Account'")
    assert world.run(other).status == "done", "the cure named in the hint works"


def test_a_new_target_of_a_stream_without_a_cursor_is_filled(world: World) -> None:
    add_plain(world)
    world.streams = (Stream("Plain"),)
    world.run()
    world.streams = (Stream("Plain", target="Other"),)
    world.run()
    assert world.query("SELECT COUNT(*) FROM Other") == [(5,)], "IDLE-IS-FREE: a new definition is something new"


def test_a_source_whose_clock_went_back_is_reported(world: World) -> None:
    world.run()
    world.clock.advance(days=30)
    world.run()
    world.clock.advance(days=-30)
    report = world.run()
    assert any("clock" in text for text in report.warnings), "LOUD: nothing can be read until it has caught up"


def test_digests_of_many_slices_are_given_up_as_one_bounded(world: World) -> None:
    """Each slice alone stays below the bound; a checkpoint that kept them all would grow with the rows."""
    world.streams = (Stream("Plain"),)
    world.source.add("Plain", PLAIN, key="Id", rows=[{"Id": str(n), "Name": "a"} for n in range(100)])
    killed_at(world, "extraction.read item", nth=8, digest_rows_max=25)
    state = SqliteState(world.folder / "state.db", clock=world.clock)
    checkpoint = state.recall("crm")["Plain"].checkpoint
    assert checkpoint is not None
    assert len(checkpoint["slices"]) == 8
    assert [each["known"] for each in checkpoint["slices"].values()] == [None] * 8, "BOUNDED"
    report = world.run(world.pipeline(digest_rows_max=25))
    assert report.resumed
    assert world.equal()
