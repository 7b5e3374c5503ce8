"""The laws, through whole runs: Records -> landing -> DuckDB, with SQLite state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.connector import Batch
from syncline.connectors.errors import CountMismatch, LeaseHeld, MassDelete
from syncline.pipelines import runner
from syncline.pipelines.pipeline import Stream
from tests.runner.world import ACCOUNT, World, accounts


class Forbidden:
    """A warehouse that nobody may touch."""

    def __init__(self, inner: Any) -> None:
        self.capabilities, self.statements, self.place = inner.capabilities, 0, inner.place
        self._has = frozenset(dir(inner))

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name not in self.__dict__["_has"]:
            raise AttributeError(name)  # a question whether it offers more than the port is none to the warehouse
        raise AssertionError(f"IDLE-IS-FREE: the warehouse was asked for {name}")


def test_first_run_copies_every_row_and_says_so_at_every_hop(world: World) -> None:
    report = world.run()
    assert world.equal()
    for name in ("Account", "Contact"):
        stream = report.streams[name]
        hops = (stream.announced, stream.read, stream.landed, stream.counts.staged, stream.counts.inserted)
        assert hops == (25, 25, 25, 25, 25), "COUNTED-HOPS"
    assert report.status == "done"


def test_watermark_is_the_windows_high_and_not_the_largest_cursor_seen(world: World) -> None:
    world.run()
    high = world.clock.now - timedelta(seconds=60)
    assert {mark[0] for mark in world.watermarks().values()} == {high}, "COMPLETE-WINDOW"


def test_a_late_commit_within_the_overlap_is_not_lost(world: World) -> None:
    world.run()
    stamp = world.clock.now - timedelta(minutes=5)
    late = [{"Id": "001late", "Name": "late", "SystemModstamp": stamp}]
    world.source.insert("Account", late, visible_at=world.clock.now + timedelta(minutes=2))
    report = world.run()
    assert report.streams["Account"].counts.inserted == 1
    assert world.equal(), "COMPLETE-WINDOW"


def test_two_changes_within_one_second_both_arrive(world: World) -> None:
    stamp = world.clock.now
    world.source.update("Account", [{"Id": "001000000", "Name": "first", "SystemModstamp": stamp}])
    world.run()
    world.source.update("Account", [{"Id": "001000000", "Name": "second", "SystemModstamp": stamp}])
    world.source.insert("Account", [{"Id": "001tie", "Name": "tie", "SystemModstamp": stamp}])
    world.run()
    assert world.equal(), "a tie is not a repeat"


def test_an_idle_run_does_not_touch_the_warehouse_although_the_overlap_has_rows(world: World) -> None:
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "recent"}])
    world.run()
    report = world.run(world.pipeline(warehouse=Forbidden(world.pipeline().warehouse)))
    assert report.status == "idle"
    assert report.warehouse_statements == 0
    assert report.streams["Account"].known == 1, "the overlap's row was read again and known"


def test_a_run_within_the_same_second_of_the_source_reports_every_stream(world: World) -> None:
    """Nothing can be read then, not even the overlap; whoever reads the report finds its streams all the same."""
    world.run()
    report = runner.run(world.pipeline(), events=world.events, seams=world.seams())
    assert report.status == "idle"
    assert {name: (each.read, each.window) for name, each in report.streams.items()} == {
        "Account": (0, None),
        "Contact": (0, None),
    }


def test_over_the_digest_bound_the_merge_finds_rows_unchanged(world: World) -> None:
    world.settings["digest_rows_max"] = 3
    world.run()
    world.source.update("Account", [{"Id": f"001{n:06}", "Name": "x"} for n in range(10)])
    world.run()
    report = world.run()
    assert report.streams["Account"].counts.unchanged == 10
    assert report.streams["Account"].counts.updated == 0
    assert world.equal()


@pytest.mark.parametrize("purge", [False, True])
def test_deletes_and_undeletes_reach_the_target(world: World, purge: bool) -> None:
    world.run()
    world.source.delete("Account", ["001000003"], purge=purge)
    report = world.run()
    assert report.streams["Account"].counts.deleted == 1
    assert world.equal()
    world.source.insert("Account", accounts(3, 1))
    world.run()
    assert world.equal(), "an undelete brings the record back"


def test_all_streams_commit_together(world: World) -> None:
    world.run()
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    world.source.update("Contact", [{"Id": "001000001", "Name": "new"}])
    world.run()
    rows = world.query("SELECT DISTINCT run_id, committed_at FROM _syncline_watermarks")
    assert len(rows) == 1, "ONE-TRANSACTION"


def test_a_failure_before_the_commit_moves_no_watermark(world: World) -> None:
    world.run()
    before = world.watermarks(), world.target("Account")
    world.source.update("Account", [{"Id": "001000001", "Name": "new"}])
    world.settings["warehouse"] = Miscounting(world.pipeline().warehouse)
    with pytest.raises(CountMismatch):
        world.run()
    del world.settings["warehouse"]
    assert (world.watermarks(), world.target("Account")) == before, "ROWS-THEN-MARK"
    world.run()
    assert world.equal()


class Miscounting:
    """A warehouse whose staging loses a row."""

    def __init__(self, inner: Any) -> None:
        self.__dict__["_inner"] = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def load(self, *args: Any) -> int:
        return int(self._inner.load(*args)) - 1


class Leaky:
    """A connector that loses the last row of each batch on the way."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def plan(self, *args: Any) -> Any:
        return LeakyExtraction(self._inner.plan(*args))


class LeakyExtraction(Leaky):
    def read(self, slice: Any) -> Any:
        for batch in self._inner.read(slice):
            yield Batch(batch.records.slice(0, batch.records.num_rows - 1), None)


def test_a_row_lost_while_reading_stops_the_run_before_the_commit(world: World) -> None:
    with pytest.raises(CountMismatch, match="COUNTED-HOPS"):
        world.run(world.pipeline(source=Leaky(world.source)))
    assert not world.database.exists() or world.query("SELECT * FROM information_schema.tables") == []
    world.run()
    assert world.equal()


class Unannouncing(Leaky):
    """Loses rows and does not say how many a slice should have: only the source's own count can tell."""

    def plan(self, *args: Any) -> Any:
        return UnannouncingExtraction(self._inner.plan(*args))


class UnannouncingExtraction(LeakyExtraction):
    def slices(self, *args: Any) -> Any:
        return (replace(slice, rows_expected=None, result_rows=None) for slice in self._inner.slices(*args))

    def read(self, slice: Any) -> Any:
        return super().read(replace(slice, rows_expected=slice.params["rows"]))


def test_fewer_rows_than_the_sources_count_stop_the_run(world: World) -> None:
    with pytest.raises(CountMismatch, match="the source counts 25"):
        world.run(world.pipeline(source=Unannouncing(world.source)))


def test_a_new_column_is_filled_for_rows_loaded_before(world: World) -> None:
    world.run()
    wider = pa.schema([*ACCOUNT, pa.field("Region", pa.string())])
    world.source.alter("Account", wider)
    report = world.run()
    assert report.streams["Account"].read == 25
    assert "Region" in report.streams["Account"].warnings[0]
    assert world.equal()
    world.run(world.pipeline(warehouse=Forbidden(world.pipeline().warehouse)))


def test_a_removed_column_is_kept_and_left_as_it_is(world: World) -> None:
    world.run()
    world.source.alter("Account", pa.schema([f for f in ACCOUNT if f.name != "Amount"]))
    world.source.update("Account", [{"Id": "001000001", "Name": "after"}])
    world.run()
    assert world.equal()
    assert world.query('SELECT count(*) FROM Account WHERE "Amount" IS NOT NULL') == [(0,)]


def test_a_changed_definition_reads_the_stream_again(world: World) -> None:
    world.run()
    world.streams = (Stream("Account", key=["Id", "Name"]), Stream("Contact"))
    report = world.run()
    assert report.streams["Account"].mode == "snapshot"
    assert report.streams["Contact"].read == 0
    assert world.equal()


def test_full_every_reads_the_whole_stream_when_due(world: World) -> None:
    world.streams = (Stream("Account", full_every="1d"), Stream("Contact"))
    world.run()
    assert world.run().streams["Account"].read == 0
    world.query("DELETE FROM Account WHERE \"Id\" = '001000004'")
    world.clock.advance(days=1)
    report = world.run()
    assert report.streams["Account"].counts.inserted == 1
    assert world.equal()


def test_a_stream_without_a_cursor_is_read_whole_and_loses_what_is_absent(world: World) -> None:
    plain = pa.schema([f for f in ACCOUNT if f.name != "SystemModstamp"])
    world.source.add("Status", plain, key="Id", rows=accounts(0, 30))
    world.streams = (Stream("Status"),)
    world.run()
    world.source.delete("Status", ["001000007"])
    world.source.update("Status", [{"Id": "001000008", "Name": "renamed"}])
    report = world.run()
    assert (report.streams["Status"].counts.absent, report.streams["Status"].counts.updated) == (1, 1)
    assert world.equal()
    idle = world.run(world.pipeline(warehouse=Forbidden(world.pipeline().warehouse)))
    assert idle.status == "idle", "IDLE-IS-FREE"


@pytest.mark.parametrize("cursor", [None, "SystemModstamp"])
def test_a_stream_without_a_key_is_appended_by_whole_rows(world: World, cursor: str | None) -> None:
    world.source.add("Log", ACCOUNT, cursor=cursor, deletes="none", rows=accounts(0, 12))
    world.streams = (Stream("Log"),)
    world.clock.advance(minutes=30)
    world.run()
    world.source.insert("Log", accounts(12, 3))
    world.run()
    world.run()
    assert world.equal()


def test_a_mass_delete_stops_the_run_until_it_is_allowed(world: World) -> None:
    world.run()
    world.source.delete("Account", [f"001{n:06}" for n in range(20)])
    with pytest.raises(MassDelete, match="allow-deletes") as caught:
        world.run()
    assert caught.value.exit_code == 4
    assert len(world.target("Account")) == 25, "GUARDED-DELETE"
    report = world.run(allow_deletes=True)
    assert report.streams["Account"].counts.deleted == 20
    assert world.equal()


def test_a_second_run_at_the_same_time_is_refused(world: World) -> None:
    with world.pipeline().state.lease("crm", 600), pytest.raises(LeaseHeld) as caught:
        world.run()
    assert caught.value.exit_code == 3
    assert world.run().status == "done", "the lease was given back"


def test_commit_each_lets_one_stream_fail_alone(world: World) -> None:
    world.settings["commit"] = "each"
    world.run()
    world.source.delete("Account", [f"001{n:06}" for n in range(20)])
    world.source.update("Contact", [{"Id": "001000001", "Name": "new"}])
    with pytest.raises(MassDelete):
        world.run()
    assert ("001000001", "new") in {row[:2] for row in world.target("Contact")}
