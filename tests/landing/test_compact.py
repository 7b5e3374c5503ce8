"""``syncline landing compact``: no row is lost or doubled, whatever happens. Real runs, DuckDB, SQLite, folder and S3.

That the landing still tells the same is proved by making the table anew from it, through the warehouse's port.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncline.connectors.connector import Window
from syncline.connectors.errors import ConfigError, CountMismatch, DataError, LeaseHeld
from syncline.pipelines.compacting import compact, groups
from syncline.pipelines.expiry import expire, judge
from syncline.pipelines.landing_runs import Known
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.verify import verify
from syncline.sinks import compaction
from syncline.sinks.compaction import compact_runs
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.landing import Landing
from syncline.sinks.manifest import FileEntry, Manifest, MergedRun
from syncline.sinks.upkeep import Holding, survey
from syncline.sinks.warehouse import CommittedRun, CommitUnit, Mark, TablePlan, Watermark
from tests.landing.worlds import BucketWorld, LandingWorld, manifest_of, open_writer
from tests.runner.faults import Killed
from tests.runner.test_outcomes import killed_at
from tests.runner.world import Clock, World, make_world, normal

NEXT_DAY = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(days=400)
"""Files are sealed by this machine's clock: by then any grace is over."""

MB = 1024 * 1024


@pytest.fixture
def crm(tmp_path: Path) -> World:
    world = make_world(tmp_path / "crm", Clock())
    world.streams = (Stream("Account"),)
    return world


def change(world: World, *numbers: int) -> str:
    """A run that brings changed rows of these accounts, one deletion, and one purge, which lands as a tombstone."""
    rows = [{"Id": f"001{number:06}", "Name": f"changed at {world.clock.now}"} for number in numbers or (1,)]
    world.source.update("Account", rows)
    return world.run().run_id


def a_day(world: World) -> list[str]:
    """Five runs: the first read of three slices, edits, a deletion and a purge."""
    runs = [world.run().run_id, change(world, 1, 2)]
    world.source.delete("Account", ["001000004"])
    world.source.delete("Account", ["001000005"], purge=True)
    runs += [change(world, 1, 6), change(world, 3), change(world, 1)]
    return runs


def compacted(world: World, now: datetime = NEXT_DAY, **options: Any) -> dict[str, Any]:
    report = compact(world.pipeline(), now=now, **options)
    found: dict[str, Any] = report["streams"]["Account"]
    return found


def holding(landing: Landing) -> Holding:
    (found,) = survey(landing, "crm")
    return found


def held(world: World) -> Holding:
    return holding(world.pipeline().landing)


def sealed(world: World) -> list[str]:
    return [each.run_id for each in held(world).sealed]


def files(world: World) -> list[Path]:
    return sorted((world.folder / "landing" / "crm").rglob("*.parquet"))


def log_of(landing: Landing, folder: Path) -> list[tuple[Any, ...]]:
    """Every row that counts: its key, name and mark, in the order of runs and numbers."""
    rows: list[tuple[Any, ...]] = []
    for manifest in holding(landing).sealed:
        found = [
            row for path in landing.paths(manifest.files, folder) for row in pq.ParquetFile(path).read().to_pylist()
        ]
        found.sort(key=lambda row: row["_syncline_seq"])
        assert len({row["_syncline_seq"] for row in found}) == len(found) == manifest.rows
        rows += [(row["Id"], row.get("Name"), row["SystemModstamp"], row["_syncline_deleted"]) for row in found]
    return rows


def replayed(landing: Landing, folder: Path) -> list[tuple[Any, ...]]:
    """The table as it is made anew from what counts in the landing, run after run."""
    folder.mkdir(parents=True, exist_ok=True)
    warehouse = DuckDB(str(folder / "replay.duckdb"))
    for version, run in enumerate(holding(landing).sealed):
        target = "Account"
        table = TablePlan(
            "crm", "Account", run.run_id, target, run.columns, run.key, run.cursor, "delete", run.mode, run.window.high,
            delete_share_max=None,
        )  # fmt: skip
        warehouse.prepare([table])
        assert warehouse.load(table, run, landing) == run.rows
        mark = Mark("Account", version, run.window.high, tuple(run.columns.names), target)
        warehouse.commit(CommitUnit("crm", run.run_id, run.started_at, [table], [mark]))
    warehouse.close()
    import duckdb

    with duckdb.connect(str(folder / "replay.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return sorted(connection.execute('SELECT "Id", "Name", "Amount", "SystemModstamp" FROM "Account"').fetchall())


def truth(world: World) -> list[tuple[Any, ...]]:
    return sorted(normal(world.truth("Account")))


def goes_on(world: World) -> None:
    """The next run brings what changed, and the target equals the source."""
    change(world, 7)
    assert world.equal()


def test_a_day_of_small_runs_becomes_one_file_of_each_kind(crm: World, tmp_path: Path) -> None:
    runs = a_day(crm)
    landing = crm.pipeline().landing
    before = log_of(landing, tmp_path)
    found = compacted(crm)
    assert (found["runs"], found["files_after"]) == (4, 2), "all but the newest; records and a tombstone"
    merged, newest = sealed(crm)
    assert merged.startswith(f"{runs[3]}-c")
    assert newest == runs[4]
    assert log_of(landing, tmp_path) == before, "the same rows in the same order"
    assert normal(replayed(landing, tmp_path / "replay")) == truth(crm)
    (manifest, _) = held(crm).sealed
    assert [each.run_id for each in manifest.merged] == runs[:4]
    assert (manifest.window.low, manifest.window.high) == (None, held(crm).superseded[3].manifest.window.high)
    assert all(f"dt=2026-03-01/run={merged}/" in entry.path for entry in manifest.files)
    goes_on(crm)


def test_own_files_stay_for_a_day_and_then_go(crm: World, tmp_path: Path) -> None:
    runs = a_day(crm)
    before = len(files(crm))
    compacted(crm)
    assert len(files(crm)) == before + 2, "queries under way go on"
    assert compacted(crm, datetime.now(UTC) + timedelta(hours=23))["removed"] == []
    assert compacted(crm, datetime.now(UTC) + timedelta(hours=25))["removed"] == runs[:4]
    assert len(files(crm)) == 3
    assert not held(crm).superseded
    assert normal(replayed(crm.pipeline().landing, tmp_path / "replay")) == truth(crm)
    goes_on(crm)


def test_the_second_time_there_is_nothing_to_do(crm: World) -> None:
    a_day(crm)
    compacted(crm)
    there = files(crm)
    assert compacted(crm)["groups"] == 0
    assert files(crm) == there


def test_a_dry_run_tells_the_same_and_changes_nothing(crm: World) -> None:
    a_day(crm)
    there = files(crm)
    with crm.pipeline().state.lease("crm", 120.0):
        told = compacted(crm, dry_run=True)
    assert files(crm) == there
    assert compacted(crm) == told


def test_a_day_that_is_not_over_is_left_alone(crm: World) -> None:
    a_day(crm)
    assert compacted(crm, crm.clock.now)["groups"] == 0


@pytest.mark.parametrize("scope", ["crm", "crm.reload"])
def test_a_run_under_way_is_left_alone(crm: World, scope: str) -> None:
    a_day(crm)
    there = files(crm)
    with crm.pipeline().state.lease(scope, 120.0), pytest.raises(LeaseHeld):
        compacted(crm)
    assert files(crm) == there


def test_a_sealed_run_that_never_committed_is_not_touched_and_is_loaded_afterwards(crm: World) -> None:
    a_day(crm)
    crm.source.update("Account", [{"Id": "001000001", "Name": "sealed"}])
    killed_at(crm, "warehouse.commit")
    run_id = sealed(crm)[-1]
    crm.clock.advance(minutes=5)
    compacted(crm)
    assert sealed(crm)[-1] == run_id
    assert crm.run().resumed == [run_id]
    assert crm.equal()


def test_slices_of_an_unfinished_reading_stay(crm: World) -> None:
    a_day(crm)
    crm.source.insert("Account", [{"Id": f"002{n:06}", "Name": "new", "Amount": None} for n in range(25)])
    crm.clock.advance(minutes=5)
    there = set(files(crm))
    killed_at(crm, "extraction.read item", nth=2)
    unfinished = set(files(crm)) - there
    assert unfinished, "a slice had landed"
    crm.clock.advance(minutes=5)
    compacted(crm)
    compacted(crm, LATER)
    assert unfinished <= set(files(crm))
    goes_on(crm)


STEPS = 60
"""More than there are operations of a store in one compaction; the test says so if there are not."""


class Dying:
    """A store whose process dies when it has changed something so many times.

    To die before the next change is, for all that anybody finds afterwards, to die after the last.
    """

    def __init__(self, store: Any, survives: int) -> None:
        self.store, self.left, self.dead = store, survives, False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        return (lambda *given: self._do(found, *given)) if name in ("land", "create", "remove") else found

    def _do(self, operation: Any, *given: Any) -> Any:
        self.dead = self.dead or self.left <= 0
        if self.dead:
            raise Killed
        self.left -= 1
        return operation(*given)


def test_a_kill_at_any_step_loses_and_doubles_nothing_sealed_manifest(crm: World, tmp_path: Path) -> None:
    """SEALED-MANIFEST: at every moment each row counts once; the next one finishes what is left."""
    a_day(crm)
    before = log_of(crm.pipeline().landing, tmp_path)
    keep = crm.folder.with_name("keep")
    shutil.copytree(crm.folder, keep)
    counted = set()
    for step in range(STEPS):
        shutil.rmtree(crm.folder)
        shutil.copytree(keep, crm.folder)
        store: Any = Dying(crm.pipeline().landing.store, step)
        pipeline = crm.pipeline(landing=Landing.over(store))
        with suppress(Killed):
            compact(pipeline, now=NEXT_DAY)  # lands, seals
            compact(pipeline, now=LATER)  # removes
        assert log_of(crm.pipeline().landing, tmp_path) == before, f"killed after {step} steps"
        counted.add(len(held(crm).sealed))
        if not store.dead:
            break
        compact(crm.pipeline(), now=LATER)
        assert log_of(crm.pipeline().landing, tmp_path) == before, f"gone on after {step} steps"
        assert len(held(crm).sealed) == 2
    assert not store.dead, "raise STEPS"
    assert step > 10
    assert counted == {2, 5}, "before the one create all five runs counted, after it two"


def test_what_a_killed_one_left_is_cleared_up(crm: World) -> None:
    a_day(crm)
    store: Any = Dying(crm.pipeline().landing.store, 2)
    with pytest.raises(Killed):
        compact(crm.pipeline(landing=Landing.over(store)), now=NEXT_DAY)
    assert len(held(crm).unnamed) == 2, "whole files, and no manifest"
    compact(crm.pipeline(), now=NEXT_DAY)
    expire(crm.pipeline(), older_than=timedelta(days=1), now=LATER)
    assert len(files(crm)) == 3
    goes_on(crm)


def test_a_lease_that_was_lost_stops_it_before_the_seal(crm: World) -> None:
    a_day(crm)
    runs, there = held(crm).sealed[:4], files(crm)
    asked: list[int] = []

    def renew() -> None:
        asked.append(1)
        if len(asked) > 4:
            raise LeaseHeld("renew lease", "crm", "taken", "")

    with pytest.raises(LeaseHeld):
        compact_runs(crm.pipeline().landing, runs, renew)
    assert len(asked) == 5, "once a run, and once before the seal"
    assert len(held(crm).sealed) == 5
    assert len(held(crm).unnamed) == len(files(crm)) - len(there)


def test_a_damaged_file_stops_it_and_nothing_is_changed(crm: World) -> None:
    a_day(crm)
    path = files(crm)[0]
    data = bytearray(path.read_bytes())
    data[40] ^= 0xFF
    path.write_bytes(data)
    there = files(crm)
    with pytest.raises(DataError, match="cannot be read"):
        compacted(crm)
    assert files(crm) == there
    assert len(sealed(crm)) == 5


def test_a_file_of_other_rows_than_its_manifest_s_is_refused_counted_hops(crm: World) -> None:
    a_day(crm)
    run = held(crm).sealed[0]
    wrong = run.with_files((replace(run.files[0], rows=run.files[0].rows + 1), *run.files[1:]))
    with pytest.raises(CountMismatch, match="COUNTED-HOPS"):
        compact_runs(crm.pipeline().landing, [wrong], lambda: None)


def test_rows_lost_on_the_way_are_noticed_counted_hops(crm: World, monkeypatch: pytest.MonkeyPatch) -> None:
    a_day(crm)
    number = compaction._Numbers.number
    monkeypatch.setattr(compaction._Numbers, "number", lambda self, batch: number(self, batch.slice(0, 1)))
    with pytest.raises(CountMismatch, match="COUNTED-HOPS"):
        compacted(crm)
    assert len(sealed(crm)) == 5


def test_expire_removes_a_compacted_run_after_the_runs_it_stands_for(crm: World) -> None:
    a_day(crm)
    crm.reload("Account")
    compacted(crm)
    pipeline = crm.pipeline()
    removed: list[str] = []
    remove = pipeline.landing.store.remove
    pipeline.landing.store.remove = lambda key: (removed.append(key), remove(key))[1]  # type: ignore[method-assign, func-returns-value]
    report = expire(pipeline, older_than=timedelta(days=1), now=crm.clock.now + timedelta(days=2))
    assert report["streams"]["Account"]["kept"] == {"newest": 1}
    manifests = [key for key in removed if "_manifests" in key]
    assert [name for name in manifests if "-c" in name] == manifests[-1:]
    assert len(manifests) == 6
    assert not held(crm).superseded
    goes_on(crm)


def test_verify_and_a_reload_go_on_after_it(crm: World, tmp_path: Path) -> None:
    a_day(crm)
    compacted(crm)
    crm.reload("Account")
    compacted(crm, LATER)
    goes_on(crm)
    assert verify(crm.pipeline(), events=crm.events, seams=crm.seams()).equal
    assert normal(replayed(crm.pipeline().landing, tmp_path / "replay")) == truth(crm)


# --- by hand: order, memory


def landed(landing: Landing, run_id: str, table: pa.Table, first: int = 0, files: int = 1) -> Manifest:
    """A sealed run with these rows, numbered from ``first``."""
    flags = [pa.field("_syncline_deleted", pa.bool_(), False), pa.field("_syncline_seq", pa.int64(), False)]
    columns = pa.schema([*table.schema, *flags])
    entries: list[FileEntry] = []
    for number in range(files):
        start = first + number * table.num_rows
        arrays = [pa.repeat(False, table.num_rows), pa.arange(start, start + table.num_rows)]
        with open_writer(landing, f"s{number}", columns, run_id=run_id) as writer:
            writer.write(pa.table([*table.columns, *arrays], schema=columns))
        entries += writer.files
    manifest = manifest_of(tuple(entries), run_id=run_id, columns=table.schema)
    landing.seal(manifest)
    return manifest


def ids(landing: Landing, manifest: Manifest, folder: Path) -> list[tuple[str, int]]:
    rows = [row for path in landing.paths(manifest.files, folder) for row in pq.ParquetFile(path).read().to_pylist()]
    return [(row["Id"], row["_syncline_seq"]) for row in rows]


def test_a_later_run_s_rows_are_later_whatever_their_numbers_newest_wins(world: LandingWorld, tmp_path: Path) -> None:
    landing = world.landing()
    runs = [
        landed(landing, "a", pa.table({"Id": ["1", "2"]}), first=1 << 41),
        landed(landing, "b", pa.table({"Id": ["1", "3"]}), first=5),
    ]
    merged = compact_runs(landing, runs, lambda: None)
    assert ids(landing, merged, tmp_path) == [("1", 0), ("2", 1), ("1", 2), ("3", 3)]
    (found,) = survey(landing, "crm")
    assert [each.run_id for each in found.sealed] == [merged.run_id]
    assert [each.manifest.run_id for each in found.superseded] == ["a", "b"]
    assert not found.unnamed


def test_rows_out_of_order_are_refused_newest_wins(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path / "landing"))
    run = landed(landing, "a", pa.table({"Id": ["1", "2"]}), files=2)
    with pytest.raises(DataError, match="order of their numbers"):
        compact_runs(landing, [run.with_files(run.files[::-1])], lambda: None)


def test_memory_does_not_grow_with_the_rows_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen times a row group is read; never more than a few lie in memory."""
    landing = Landing(str(tmp_path / "landing"))
    group = pa.table({"Id": [f"{n:064}" for n in range(100_000)]})  # 7 MB
    runs = [landed(landing, f"r{number}", group, files=2) for number in range(8)]
    seen: list[int] = []
    number = compaction._Numbers.number
    start = pa.total_allocated_bytes()

    def watching(self: Any, batch: pa.RecordBatch) -> pa.RecordBatch:
        seen.append(pa.total_allocated_bytes() - start)
        return number(self, batch)

    monkeypatch.setattr(compaction._Numbers, "number", watching)
    merged = compact_runs(landing, runs, lambda: None)
    assert merged.rows == 1_600_000
    assert max(seen) < 6 * group.nbytes, "three row groups and what decoding takes"


def test_files_are_closed_at_the_landing_s_size(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path / "landing"), file_bytes_max=MB)
    group = pa.table({"Id": [f"{n * 2654435761 % 2**64:064}" for n in range(100_000)]})
    merged = compact_runs(landing, [landed(landing, f"r{number}", group) for number in range(4)], lambda: None)
    assert len(merged.files) > 1
    assert all(entry.size_bytes >= MB for entry in merged.files[:-1])


# --- two compacted manifests


def test_of_two_compacted_manifests_the_larger_counts_and_a_contradiction_is_loud(tmp_path: Path) -> None:
    """A compaction that lost its lease may seal after another one did."""
    landing = Landing(str(tmp_path / "landing"))
    a, b, c = (landed(landing, name, pa.table({"Id": [name]})) for name in "abc")
    compact_runs(landing, [a, b], lambda: None)
    twice = [compact_runs(landing, [a, b, c], lambda: None).run_id for _ in range(2)]
    (found,) = survey(landing, "crm")
    assert [each.run_id for each in found.sealed] == [min(twice)], "with the same runs, the first by name"
    d = landed(landing, "d", pa.table({"Id": ["d"]}))
    compact_runs(landing, [c, d], lambda: None)
    with pytest.raises(DataError, match="SEALED-MANIFEST"):
        list(survey(landing, "crm"))


# --- which runs, alone

AT = datetime(2026, 1, 1, 5, tzinfo=UTC)
TODAY = date(2026, 1, 3)
SMALL = FileEntry("x", "s", "records", 1, MB, "0")


def run(run_id: str, day: int = 1, **given: Any) -> Manifest:
    entries = given.pop("files", (SMALL,))
    values = {"run_id": run_id, "started_at": AT.replace(day=day), "window": Window(AT, AT), **given}
    return manifest_of(entries, **values)


def known(*run_ids: str, repairs: str = "", unfinished: str = "", rows: int = 1, mark: str = "z") -> Known:
    runs = {
        name: CommittedRun(name, "repair" if name in repairs else "run", {"Account": rows}) for name in (*run_ids, "z")
    }
    return Known(frozenset(unfinished), runs, {"Account": Watermark("Account", AT, 3, mark, AT)})


def grouped(*runs: Manifest, **given: Any) -> list[str]:
    about = given.pop("about", None) or known(*(each.run_id for each in runs), **given)
    found = groups(Holding("Account", (*runs, run("z")), ()), about, TODAY, 128 * MB)
    return ["".join(each.run_id for each in group) for group in found]


def test_runs_of_one_day_are_merged_and_days_are_not() -> None:
    assert grouped(run("a"), run("b"), run("c", 2), run("d", 2)) == ["ab", "cd"]
    assert grouped(run("a"), run("b"), run("c", 3), run("d", 3)) == ["ab"], "today is not over"


@pytest.mark.parametrize(
    "apart",
    [
        {"about": known("a", "b", "d", "e")},
        {"about": known("a", "b", "c", "d", "e", unfinished="c")},
        {"about": known("a", "b", "c", "d", "e", repairs="c")},
        {"about": known("a", "b", "c", "d", "e", mark="c")},
    ],
    ids=["uncommitted", "unfinished", "repair", "watermark"],
)
def test_what_stands_apart_parts_those_around_it(apart: dict[str, Any]) -> None:
    runs = [run(name) for name in "abcde"]
    assert grouped(*runs, **apart) == ["ab", "de"]


def test_a_run_whose_row_counts_other_rows_is_not_known_to_be_committed_counted_hops() -> None:
    assert grouped(run("a"), run("b"), rows=2) == []


def test_a_snapshot_is_merged_by_itself_only() -> None:
    whole = run("c", mode="snapshot", files=(SMALL, replace(SMALL, rows=0)))
    assert grouped(run("a"), run("b"), whole, run("d"), run("e")) == ["ab", "c", "de"]


def test_other_columns_or_keys_part_runs() -> None:
    other = run("b", columns=pa.schema([("Id", pa.utf8())]))
    assert grouped(run("a"), other) == []
    assert grouped(run("a"), run("b", key=())) == []


def test_only_where_fewer_files_come_of_it() -> None:
    large = replace(SMALL, size_bytes=127 * MB)
    assert grouped(run("a", files=(large,)), run("b")) == []
    assert grouped(run("a", files=(large, large)), run("b", files=(large,))) == []
    tombstone = replace(SMALL, kind="tombstones")
    assert grouped(run("a", files=(SMALL,)), run("b", files=(tombstone,)), rows=1) == []
    assert grouped(run("a", files=())) == []


def test_the_newest_and_what_is_merged_already_stay_out() -> None:
    merged = run("b-c", merged=(MergedRun("b", 1),))
    about = known("a", "b", "d")
    assert grouped(run("a"), merged, run("d"), about=about) == []


def test_expire_knows_a_compacted_run_by_those_it_stands_for() -> None:
    """Whole, committed, newest: as its runs were."""
    first = run("b-c", window=Window(None, AT), merged=(MergedRun("a", 1), MergedRun("b", 0)))
    about = Known(
        frozenset(),
        {"a": CommittedRun("a", "run", {"Account": 1}), "b": CommittedRun("b", "run", {"Account": 0})},
        {"Account": Watermark("Account", AT, 3, "b", AT)},
    )
    there = Holding("Account", (first, run("c"), run("d")), ())
    assert judge(there, about, LATER, False) == {"b-c": "newest", "c": "uncommitted", "d": "uncommitted"}
    moved = replace(about, watermarks={}, committed={**about.committed, "c": CommittedRun("c", "run", {"Account": 1})})
    assert judge(there, moved, LATER, False) == {"b-c": "replay", "c": "newest", "d": "uncommitted"}
    partly = replace(about, committed={"b": about.committed["b"]})
    assert judge(there, partly, LATER, False)["b-c"] == "uncommitted"
    begun = replace(about, unfinished=frozenset("a"))
    assert judge(there, begun, LATER, False)["b-c"] == "unfinished"


def test_a_warehouse_that_cannot_tell_what_committed_is_refused(crm: World) -> None:
    class Plain:
        def __init__(self, warehouse: Any) -> None:
            self.watermarks, self.close = warehouse.watermarks, warehouse.close

    crm.run()
    with pytest.raises(ConfigError, match="which runs committed"):
        compact(crm.pipeline(warehouse=Plain(crm.pipeline().warehouse)), now=NEXT_DAY)


# --- S3


def test_a_bucket_is_compacted_and_tells_the_same(crm: World, bucket_world: BucketWorld, tmp_path: Path) -> None:
    crm.settings["landing"] = bucket_world.landing()
    a_day(crm)
    before = log_of(bucket_world.landing(), tmp_path / "before")
    assert compacted(crm)["files_after"] == 2
    assert log_of(bucket_world.landing(), tmp_path / "after") == before
    assert len(compacted(crm, LATER)["removed"]) == 4
    assert log_of(bucket_world.landing(), tmp_path / "removed") == before
    assert len([key for key in bucket_world.listing() if key.endswith(".parquet")]) == 3
    assert not list((tmp_path / "tmp").glob("syncline-compact-*")), "downloads are gone"
    goes_on(crm)


@pytest.mark.parametrize("dry_run", [False, True])
def test_each_group_is_told_of_meanwhile(crm: World, dry_run: bool) -> None:
    """Of a landing of months it takes its time."""
    a_day(crm)
    found = compacted(crm, events=crm.events, dry_run=dry_run)
    told = [each.fields for each in crm.events.named("runs_merged")]
    assert len(told) == found["groups"] > 0
    assert sum(each["runs"] for each in told) == found["runs"]
    assert {(each["stream"], each["of"]) for each in told} == {("Account", found["runs"])}
