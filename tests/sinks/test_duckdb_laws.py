"""DuckDB's own side of the laws: what is sent when, what readers see, and what its errors mean."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from syncline.connectors.errors import (
    CommitUnknown,
    ConfigError,
    FenceLost,
    MassDelete,
    SynclineError,
    Transient,
    ValueOutOfType,
)
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.duckdb_commit import ranges
from syncline.sinks.duckdb_session import LOCK_POLL_S, translate
from syncline.sinks.duckdb_settings import size_bytes
from syncline.sinks.landing import Landing
from syncline.sinks.trial import COLUMNS, PIPELINE, Change, Trial, at, record, tombstone
from tests.sinks.connections import Hook, Tap, ignore
from tests.sinks.houses import DuckDBHouse

ROOT = Path(__file__).parents[2]

STREAMS = ("Account", "Contact", "Opportunity")

WITH_EXTRA = COLUMNS.append(pa.field("Extra", pa.int64()))


@pytest.fixture
def tap() -> Tap:
    return Tap()


@pytest.fixture
def house(path: Path, tap: Tap) -> DuckDBHouse:
    return DuckDBHouse(path, settings={"connect": tap.connect})


@pytest.fixture
def trial(house: DuckDBHouse, tmp_path: Path) -> Trial:
    return Trial(house, Landing(str(tmp_path / "landing")))


def everything(stamp: float) -> list[Change]:
    """Changes that between them take every road of the merge."""
    rows = [record(str(number), stamp=0) for number in range(6)]
    newer = [record("1", "new", stamp), record("2", "same stamp", 0), record("3"), record("x"), record("x", "y")]
    gone = Change([*newer, record("4", stamp=stamp, deleted=True)], [tombstone("5", stamp)])
    if not stamp:
        return [Change(rows, stream=name, on_delete="mark" if name == "Contact" else "delete") for name in STREAMS]
    return [
        replace(gone, stream="Account", mode="snapshot"),
        replace(gone, stream="Contact", mode="snapshot", on_delete="mark"),
        replace(gone, stream="Opportunity"),
    ]


def in_transaction(statements: list[str]) -> list[str]:
    begin, end = statements.index("BEGIN TRANSACTION"), statements.index("COMMIT")
    return statements[begin + 1 : end]


# ---- what is sent ----


@pytest.mark.parametrize("first", [True, False], ids=["first load", "later"])
def test_nothing_but_dml_stands_between_begin_and_commit_ddl_before(trial: Trial, tap: Tap, first: bool) -> None:
    if not first:
        trial.run(*everything(0))
    tap.statements.clear()
    trial.run(*everything(0 if first else 5))
    statements = in_transaction(tap.statements)
    assert len(statements) > 10
    for statement in statements:
        tree = sqlglot.parse_one(statement, dialect="duckdb")
        assert isinstance(tree, exp.Select | exp.Insert | exp.Update | exp.Delete), statement


ODD_KEYS = (
    "",
    "\0",
    "A",
    "B",
    "a",
    "it's",
    "long " * 60 + "1",
    "long " * 60 + "2",
    "z",
    "\u00e9",
    "\ue000",
    "\U0001f986",
)


@pytest.mark.parametrize("count", [1, 2])
def test_a_target_is_read_only_where_the_staged_keys_can_be_newest_wins(trial: Trial, tap: Tap, count: int) -> None:
    """Bounds are by bytes, as DuckDB sorts; one too narrow would insert a second row for a key."""
    trial.run(Change([record(key, stamp=0) for key in ODD_KEYS]))
    for stamp in range(len(ODD_KEYS)):
        tap.statements.clear()
        keys = (ODD_KEYS * 2)[stamp : stamp + count]
        counts = trial.run(Change([record(key, f"at {stamp}", stamp + 1) for key in keys]))
        assert (counts.tables["Account"].updated, counts.tables["Account"].inserted) == (count, 0)
        assert sum(" BETWEEN " in each for each in in_transaction(tap.statements)) == 1
    assert len(trial.rows()) == len(ODD_KEYS)


def test_a_key_that_rendering_would_change_sets_no_bounds_newest_wins(trial: Trial) -> None:
    key = "a__SQLGLOT__LB__b"
    trial.run(Change([record(key, stamp=0), record("c", stamp=0)]))
    counts = trial.run(Change([record(key, "new", 5)])).tables["Account"]
    assert (counts.updated, counts.inserted) == (1, 0)


@pytest.mark.parametrize(
    ("collation", "keys"), [("NOCASE", ("B", "a")), ("NOACCENT", ("z", "\u00e9")), ("NOCASE.NOACCENT", ("B", "a"))]
)
def test_bounds_are_by_bytes_whatever_the_target_s_collation_newest_wins(
    trial: Trial, path: Path, collation: str, keys: tuple[str, ...]
) -> None:
    """DuckDB's catalog does not show it, and by its order a row of a staged key would lie outside of the range."""
    trial.run(Change([record(key, stamp=0) for key in (*keys, "Z")]))
    with duckdb.connect(str(path)) as connection:
        connection.execute(f'ALTER TABLE "Account" ALTER "Id" TYPE VARCHAR COLLATE {collation}')
    counts = trial.run(Change([record(key, "new", 5) for key in keys])).tables["Account"]
    assert (counts.updated, counts.inserted, len(trial.rows())) == (2, 0, 3)


def test_fences_come_first_and_streams_in_order_fenced_commit_newest_wins(trial: Trial, tap: Tap) -> None:
    trial.run(*everything(0))
    tap.statements.clear()
    trial.run(*reversed(everything(5)))
    silent = ("SELECT", 'INSERT INTO "temp"')
    changing = [each for each in in_transaction(tap.statements) if not each.startswith(silent)]
    written = [match[1] for each in changing if (match := re.search(r'"crm"."main"."(\w+)"', each))]
    fences, rest = written[:3], written[3:]
    assert fences == ["_syncline_watermarks"] * 3
    assert rest.pop() == "_syncline_runs"
    assert rest == sorted(rest)
    assert set(rest) == set(STREAMS)


def test_rows_that_did_not_change_are_not_written(trial: Trial, tap: Tap) -> None:
    trial.run(Change([record("1"), record("2")]))
    tap.statements.clear()
    trial.run(Change([record("1"), record("2")]))
    assert not [each for each in tap.statements if each.startswith(('INSERT INTO "crm"."main"."Account"', "DELETE"))]


def test_an_update_reads_no_other_column_of_unchanged_rows(trial: Trial, tap: Tap) -> None:
    """Newer rows are known to differ by their cursor, so nothing is compared."""
    trial.run(Change([record(str(number)) for number in range(5)]))
    tap.statements.clear()
    trial.run(Change([record("1", "new", 1)]))
    assert not [each for each in tap.statements if "'differs'" in each.split("FROM")[0]]


def test_no_extension_is_fetched_and_the_session_is_in_utc(path: Path, trial: Trial, tap: Tap) -> None:
    trial.run(Change([record("1")]))
    sent = " ".join(tap.statements)
    assert "autoinstall_known_extensions = false" in sent
    assert "autoload_known_extensions = false" in sent
    assert "INSTALL" not in sent
    assert "SET TimeZone = 'UTC'" in sent


def test_statements_are_counted_one_by_one(trial: Trial, tap: Tap, house: DuckDBHouse) -> None:
    warehouse = house.open()
    warehouse.commit(trial.stage(warehouse, Change([record("1")])))
    assert warehouse.statements == len(tap.statements)
    warehouse.close()


def test_a_warehouse_that_was_never_written_is_not_even_created_idle_is_free(path: Path, tap: Tap) -> None:
    warehouse = DuckDB(path, connect=tap.connect)
    assert warehouse.watermarks(PIPELINE) == {}
    warehouse.close()
    assert tap.statements == []
    assert not path.exists()


# ---- what is left behind ----


def test_a_run_leaves_nothing_but_its_tables(path: Path, trial: Trial) -> None:
    trial.run(*everything(0))
    trial.run(*everything(5))
    with duckdb.connect(str(path)) as reader:
        names = [name for (name,) in reader.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
        views = reader.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    assert names == [*STREAMS, "_syncline_runs", "_syncline_watermarks"]
    assert views == []
    assert sorted(each.name for each in path.parent.iterdir()) == ["crm.duckdb", "landing"]


def test_staging_is_dropped_after_the_commit(trial: Trial, house: DuckDBHouse, tap: Tap) -> None:
    warehouse = house.open()
    warehouse.commit(trial.stage(warehouse, Change([record("1")])))
    after = tap.statements[tap.statements.index("COMMIT") + 1 :]
    assert [each.split()[:2] for each in after][:2] == [["DROP", "TABLE"], ["DROP", "VIEW"]]
    warehouse.close()


def test_a_failing_clean_up_does_not_fail_a_commit_that_stands(trial: Trial, house: DuckDBHouse, tap: Tap) -> None:
    def fail(statement: str) -> None:
        if statement.startswith("DROP"):
            raise duckdb.IOException("IO Error: gone")

    tap.before = fail
    trial.run(Change([record("1")]))
    assert list(trial.names()) == ["1"]


def test_downloads_of_dead_runs_are_removed_and_ones_own_are_kept_till_the_end(
    path: Path, house: DuckDBHouse, tmp_path: Path
) -> None:
    dead = Path(f"{path}.staging") / "999999-dead"
    dead.mkdir(parents=True)
    (dead / "x.parquet").write_bytes(b"x")
    trial = Trial(house, Landing("memory://"))
    warehouse = house.open()
    unit = trial.stage(warehouse, Change([record("1")]))
    [own] = dead.parent.iterdir()
    assert own.name.startswith(f"{os.getpid()}-")
    assert list(own.rglob("*.parquet"))
    warehouse.commit(unit)
    assert not dead.parent.exists()
    warehouse.close()
    assert list(trial.names()) == ["1"]


@pytest.mark.parametrize(("name", "copied"), [("what?", "whatx"), ("st*r", "star"), ("a[1]", "a1"), ("it's", "its")])
def test_a_landing_whose_name_is_a_pattern_is_read_alone(
    house: DuckDBHouse, tmp_path: Path, name: str, copied: str
) -> None:
    trial = Trial(house, Landing(str(tmp_path / name)))
    change = Change([record("1")])
    manifest = trial.land(change, "run-1")
    shutil.copytree(tmp_path / name, tmp_path / copied)
    warehouse = house.open()
    assert warehouse.load(change.plan("run-1"), manifest, trial.landing) == 1
    warehouse.close()


# ---- what readers see ----


def test_a_reader_sees_one_committed_state_at_every_moment_one_transaction(
    trial: Trial, house: DuckDBHouse, tap: Tap
) -> None:
    trial.run(*everything(0))
    with house.reader() as reader:

        def look() -> list[Any]:
            return [
                reader.execute(query).fetchall()
                for query in (
                    *(f'SELECT * FROM "{name}" ORDER BY ALL' for name in STREAMS),
                    "SELECT stream, version FROM _syncline_watermarks ORDER BY ALL",
                    "SELECT count(*) FROM _syncline_runs",
                )
            ]

        old, seen = look(), []
        tap.after = lambda statement: seen.append((statement, look()))
        trial.run(*everything(5))
        new = look()
    assert old != new
    committed = [statement for statement, _ in seen].index("COMMIT")
    assert all(state == old for _, state in seen[:committed])
    assert all(state == new for _, state in seen[committed:])
    assert committed > 30


# ---- errors before, at and after COMMIT ----


def fail_at(position: int, text: str) -> Hook:
    """Raises before the statement at ``position`` and lets all others pass."""
    count = iter(range(position + 1))

    def fail(statement: str) -> None:
        if next(count, None) == position:
            raise duckdb.IOException(text)

    return fail


def test_an_error_before_any_statement_of_a_commit_changes_nothing_one_transaction(
    trial: Trial, tap: Tap, house: DuckDBHouse
) -> None:
    trial.run(*everything(0))
    warehouse = house.open()
    unit = trial.stage(warehouse, *everything(5))
    before = [trial.rows(name) for name in STREAMS]
    tap.statements.clear()
    failures = 0
    while True:
        tap.before = fail_at(failures, "IO Error: the disk went away")
        try:
            warehouse.commit(unit)
        except CommitUnknown:
            break  # COMMIT itself was reached: the last statement that can fail
        except Transient:
            assert [trial.rows(name) for name in STREAMS] == before, tap.statements[-1]
        failures += 1
    assert failures > 30
    assert [trial.rows(name) for name in STREAMS] == before
    tap.before = ignore
    warehouse.close()
    assert trial.run(*everything(5)).tables["Account"].updated == 2


@pytest.mark.parametrize("position", range(0, 26, 3))
def test_a_run_that_failed_anywhere_can_be_repeated(trial: Trial, tap: Tap, position: int) -> None:
    trial.run(Change([record("1"), record("2")]))
    tap.before = fail_at(position, "IO Error: the disk went away")
    with pytest.raises(SynclineError):
        trial.run(Change([record("1", "new", 1), record("3")], columns=WITH_EXTRA))
    tap.before = ignore
    trial.run(Change([record("1", "new", 1), record("3")], columns=WITH_EXTRA))
    assert trial.names() == {"1": "new", "2": "name", "3": "name"}


@pytest.mark.parametrize("stands", [True, False])
def test_a_lost_reply_to_commit_is_unknown_and_the_watermark_tells_known_outcome(
    trial: Trial, house: DuckDBHouse, tap: Tap, stands: bool
) -> None:
    trial.run(Change([record("1")]))

    def lose(statement: str) -> None:
        if statement == "COMMIT":
            raise duckdb.IOException("IO Error: could not write to WAL")

    warehouse = house.open()
    unit = trial.stage(warehouse, Change([record("2")]))
    tap.before, tap.after = (tap.before, lose) if stands else (lose, tap.after)
    with pytest.raises(CommitUnknown, match="could not write to WAL"):
        warehouse.commit(unit)
    found = warehouse.watermarks(PIPELINE)["Account"].run_id
    warehouse.close()
    assert (found == unit.run_id) is stands
    assert ("2" in trial.names()) is stands


@pytest.mark.parametrize("error", [duckdb.TransactionException, duckdb.ConstraintException])
def test_a_commit_that_duckdb_refuses_is_a_lost_fence_not_an_unknown_outcome(
    trial: Trial, tap: Tap, error: type[duckdb.Error]
) -> None:
    def refuse(statement: str) -> None:
        if statement == "COMMIT":
            raise error("conflict")

    tap.before = refuse
    with pytest.raises(FenceLost):
        trial.run(Change([record("1")]))
    assert trial.rows() == []


@pytest.mark.parametrize(
    "added", ['CREATE UNIQUE INDEX theirs ON "Account" ("Id")', 'ALTER TABLE "Account" ALTER "Name" SET NOT NULL']
)
def test_a_constraint_that_somebody_added_is_told_as_one_not_as_another_run(
    trial: Trial, house: DuckDBHouse, added: str
) -> None:
    trial.run(Change([record("1")]))
    with duckdb.connect(house.path) as connection:
        connection.execute(added)
    before = trial.rows()
    with pytest.raises(ConfigError, match=r"(?si)constraint.*drop it"):
        trial.run(Change([record("1", "edited", 60), record("2", None, 60)]))
    assert trial.rows() == before


@pytest.mark.parametrize("first", [True, False], ids=["first run", "later run"])
@pytest.mark.parametrize("fenced", [True, False], ids=["after its fence", "before its fence"])
def test_of_two_runs_within_each_other_one_wins_fenced_commit(
    trial: Trial, house: DuckDBHouse, tap: Tap, first: bool, fenced: bool
) -> None:
    """The other run commits, or tries to, while this one's transaction is open."""
    if not first:
        trial.run(Change([record("0")]))
    slow, fast = house.open(), DuckDB(house.path)
    late, early = (trial.stage(each, Change([record(name, name)])) for each, name in ((slow, "slow"), (fast, "fast")))
    won = []

    def meet(statement: str) -> None:
        if '"_syncline_watermarks"' in statement and statement.startswith(("INSERT", "UPDATE")):
            tap.before = tap.after = ignore
            with suppress(FenceLost):
                fast.commit(early)
                won.append("fast")

    tap.before, tap.after = (ignore, meet) if fenced else (meet, ignore)
    with suppress(FenceLost):
        slow.commit(late)
        won.append("slow")
    slow.close()
    fast.close()
    assert won in (["slow"], ["fast"])
    assert [name for name in trial.names() if name != "0"] == won


def test_a_failing_rollback_does_not_hide_the_first_error(trial: Trial, tap: Tap, house: DuckDBHouse) -> None:
    trial.run(Change([record(str(number)) for number in range(30)]))

    def fail(statement: str) -> None:
        if statement == "ROLLBACK":
            raise duckdb.TransactionException("no transaction is active")

    tap.before = fail
    gone = Change(tombstones=[tombstone(str(number), 1) for number in range(30)], delete_share_max=0.1)
    with pytest.raises(MassDelete):
        trial.run(gone)
    tap.before = ignore
    assert len(trial.rows()) == 30


def test_a_statement_that_changes_fewer_rows_than_counted_is_refused_counted_hops(
    path: Path, trial: Trial, tap: Tap
) -> None:
    """A key that the target holds twice makes one staged row into two; nothing of it may stand."""
    trial.run(Change([record("1"), record("2")]))
    with duckdb.connect(str(path)) as other:
        other.execute("""INSERT INTO "Account" SELECT * FROM "Account" WHERE "Id" = '1'""")
    with pytest.raises(SynclineError, match="2 are explained") as caught:
        trial.run(Change([record("1", "new", 1)]))
    assert "more than once" in caught.value.hint
    assert [row["Name"] for row in trial.rows()] == ["name"] * 3


# ---- settings and the file ----


HOLDER = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the file."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.communicate()


def test_a_file_held_by_another_process_is_waited_for_then_named_bounded(
    path: Path, holder: subprocess.Popen[bytes]
) -> None:
    slept: list[float] = []
    warehouse = DuckDB(path, lock_wait_s=3, sleep=slept.append)
    with pytest.raises(Transient) as caught:
        warehouse.prepare([Change().plan("run-1")])
    assert slept == [LOCK_POLL_S] * 6
    assert str(path) in str(caught.value)
    assert f"process {holder.pid}" in caught.value.cause
    assert f"process {holder.pid}" in caught.value.hint
    warehouse.close()


def test_a_file_that_becomes_free_while_waiting_is_used(path: Path, holder: subprocess.Popen[bytes]) -> None:
    def release(seconds: float) -> None:
        holder.communicate()

    warehouse = DuckDB(path, lock_wait_s=3, sleep=release)
    warehouse.prepare([Change().plan("run-1")])
    warehouse.close()


@pytest.mark.parametrize("where", ["no/such/folder/x.duckdb", "text.duckdb", "."])
def test_a_path_that_cannot_be_opened_is_a_config_error(tmp_path: Path, where: str) -> None:
    (tmp_path / "text.duckdb").write_text("not a database" * 1000)
    warehouse = DuckDB(tmp_path / where)
    with pytest.raises(ConfigError, match="open DuckDB file"):
        warehouse.prepare([])
    warehouse.close()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"memory_limit": "lots"}, "memory_limit"),
        ({"memory_limit": "300 MB'; DROP TABLE x; --"}, "memory_limit"),
        ({"threads": 0}, "threads"),
        ({"lock_wait_s": -1}, "lock_wait_s"),
    ],
)
def test_a_wrong_setting_is_named_when_the_file_loads(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        DuckDB("x.duckdb", **settings)


def test_a_warehouse_in_memory_works_while_it_is_open(tmp_path: Path) -> None:
    warehouse = DuckDB(":memory:")
    trial = Trial(DuckDBHouse(tmp_path / "unused"), Landing(str(tmp_path / "landing")))
    warehouse.commit(trial.stage(warehouse, Change([record("1")])))
    assert warehouse.watermarks(PIPELINE)["Account"].version == 1
    warehouse.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (duckdb.OutOfMemoryException("Out of Memory Error: failed"), ConfigError),
        (duckdb.IOException("IO Error: No space left on device"), Transient),
        (duckdb.ConversionException("Conversion Error: Could not convert"), ValueOutOfType),
        (duckdb.TransactionException("Conflict on update!"), FenceLost),
        (duckdb.BinderException("Binder Error: x"), SynclineError),
    ],
)
def test_errors_are_told_in_the_one_tree(error: duckdb.Error, kind: type[SynclineError]) -> None:
    told = translate(error, "INSERT  INTO\n x SELECT 1", "crm.duckdb")
    assert type(told) is kind
    assert told.operation == "run INSERT INTO x"
    assert told.object == "crm.duckdb"
    assert str(error) in told.cause


def test_the_commit_time_is_one_and_the_clocks(trial: Trial, house: DuckDBHouse) -> None:
    now = datetime(2031, 5, 6, 7, 8, 9, 123_456, UTC)
    house.settings["clock"] = lambda: now
    result = trial.run(*everything(0))
    assert result.committed_at == now
    assert {row["_syncline_synced_at"] for name in STREAMS for row in trial.rows(name)} == {now}


def test_sessions_in_other_zones_see_the_same_instants(path: Path, trial: Trial) -> None:
    trial.run(Change([record("1", stamp=0.000001)]))
    with duckdb.connect(str(path)) as reader:
        reader.execute("SET TimeZone = 'Pacific/Apia'")
        [(microseconds,)] = reader.execute('SELECT epoch_us("Stamp") FROM "Account"').fetchall()
    assert microseconds == int(at(0).timestamp()) * 1_000_000 + 1


@pytest.mark.parametrize("name", ["rowid", "RowId"])
def test_a_field_named_like_duckdb_s_row_address_is_refused_exact_names(trial: Trial, name: str) -> None:
    columns = Change().columns.append(Change().columns.field("Name").with_name(name))
    with pytest.raises(ConfigError, match=name):
        trial.run(Change([record("1")], columns=columns))


# ---- ranges ----


def test_ranges_join_neighbours_up_to_the_bound_and_cover_every_part_once() -> None:
    parts = [(0, 5), (1, 4), (2, 10), (7, 1), (9, 9), (10, 1)]
    assert list(ranges(parts, 10)) == [(0, 19), (20, 29), (70, 99), (100, 109)]
    assert list(ranges([], 10)) == []


def test_comparing_range_by_range_finds_the_same_bounded(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.sinks.duckdb.COMPARE_ROWS_MIN", 2)
    monkeypatch.setattr("syncline.sinks.duckdb.COMPARE_MEMORY_SHARE", 1e-9)
    rows = [record(f"{number:03}") for number in range(50)]
    trial.run(Change(rows))
    changed = [replace_name(row) if number % 7 == 0 else row for number, row in enumerate(rows)]
    counts = trial.counts(Change(changed))
    assert (counts.updated, counts.unchanged) == (8, 42)


def replace_name(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "Name": "changed"}


def test_the_port_s_plan_is_not_mixed_up_with_another_runs(trial: Trial, house: DuckDBHouse) -> None:
    warehouse = house.open()
    unit = trial.stage(warehouse, Change([record("1")]))
    other = replace(unit, tables=[replace(unit.tables[0], run_id="another")])
    with pytest.raises(SynclineError, match="not loaded"):
        warehouse.commit(other)
    warehouse.close()


# ---- upkeep ----


def test_deleted_rows_are_compacted_once_they_are_many(path: Path, trial: Trial, tap: Tap) -> None:
    rows = [record(f"{number:04}") for number in range(4_000)]
    trial.run(Change(rows))
    trial.run(Change([{**row, "Name": "new"} for row in rows[::5]]))
    assert "CHECKPOINT" not in tap.statements
    trial.run(Change([{**row, "Name": "newer"} for row in rows[::2]]))
    assert tap.statements.count("CHECKPOINT") == 1
    assert tap.statements.index("CHECKPOINT") > len(tap.statements) - 3
    with duckdb.connect(str(path)) as reader:
        [(held,)] = reader.execute("SELECT estimated_size FROM duckdb_tables() WHERE table_name = 'Account'").fetchall()
    assert held == 4_000
    assert len(trial.rows()) == 4_000


@pytest.mark.parametrize(
    "change",
    [
        Change([record("1", "new", 5)]),
        Change(tombstones=[tombstone("1", 5)]),
        Change(tombstones=[tombstone("1", 5)], on_delete="mark"),
        Change([record("2")], mode="snapshot"),
    ],
    ids=["changed", "deleted", "marked", "absent"],
)
def test_dead_rows_are_asked_after_once_where_a_commit_left_some(trial: Trial, tap: Tap, change: Change) -> None:
    """The catalog tells of every table at once: asked table by table, many small streams would pay for each other."""
    first = Change([record("1"), record("2")], on_delete=change.on_delete)
    trial.run(*(replace(first, stream=name) for name in STREAMS))
    assert not any("DUCKDB_TABLES" in each for each in tap.statements)
    trial.run(*(replace(change, stream=name) for name in STREAMS))
    assert sum("DUCKDB_TABLES" in each for each in tap.statements) == 1
    assert tap.statements.count("CHECKPOINT") == 1, "one row of two or three is dead"


def test_dead_rows_of_doubled_keys_are_asked_after(path: Path, trial: Trial, tap: Tap) -> None:
    trial.run(Change([record("1")]))
    with duckdb.connect(str(path)) as other:
        other.execute("INSERT INTO Account FROM Account")
    counts = trial.counts(Change([record("1")], doubles=True))
    assert (counts.inserted, counts.updated, counts.deleted, counts.absent, counts.doubled) == (1, 0, 0, 0, 1)
    assert tap.statements.count("CHECKPOINT") == 1


def test_upkeep_asks_the_catalog_once_for_all_tables(trial: Trial, tap: Tap, house: DuckDBHouse) -> None:
    trial.run(Change([record("1")]))
    warehouse = house.open()
    assert len(warehouse.maintain(["Account"]).tables) == 3
    warehouse.close()
    assert sum("DUCKDB_TABLES" in each for each in tap.statements) == 2, "before and after"


def test_upkeep_refuses_a_view_under_a_target_s_name(path: Path, trial: Trial) -> None:
    trial.run(Change([record("1")]))
    with duckdb.connect(str(path)) as other:
        other.execute("ALTER TABLE Account RENAME TO Theirs; CREATE VIEW Account AS FROM Theirs")
    warehouse = DuckDB(path)
    with pytest.raises(ConfigError, match="maintain table: Account: a view"):
        warehouse.maintain(["Account"])
    warehouse.close()


@pytest.mark.parametrize("settled", [True, False], ids=["nothing else to write", "a commit not yet in the file"])
def test_upkeep_clears_what_commits_leave_and_makes_room_in_the_file(path: Path, trial: Trial, settled: bool) -> None:
    """A checkpoint that has nothing to write vacuums nothing, so that one written before must not hinder it."""
    trial.run(Change([record("0")]))
    with duckdb.connect(str(path)) as other:
        other.execute("SET max_vacuum_tasks = 0")
        # DuckDB rewrites a table by its row groups, and leaves one that is alone as it is.
        other.execute("INSERT INTO Account (Id, Name) SELECT 'x' || range, uuid() FROM range(1, 150_000)")
        other.execute("CHECKPOINT")
        other.execute("DELETE FROM Account WHERE hash(Id) % 3 = 0 AND Id <> '0'")
        [(live,)] = other.execute("SELECT COUNT(*) FROM Account").fetchall()
        other.execute("CHECKPOINT" if settled else "SET checkpoint_threshold = '1GB'")
        if not settled:
            other.execute("PRAGMA disable_checkpoint_on_shutdown")
    warehouse = DuckDB(path)
    done = warehouse.maintain(["Account"])
    warehouse.close()
    assert [(each.dead_before, each.dead_after) for each in done.tables[:1]] == [(150_000 - live, 0)]
    assert done.file_bytes == path.stat().st_size
    assert done.free_bytes is not None
    assert 0 < done.free_bytes < done.file_bytes
    with duckdb.connect(str(path)) as reader:
        assert reader.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall() == [
            ("Account",),
            ("_syncline_runs",),
            ("_syncline_watermarks",),
        ]


@pytest.mark.parametrize(
    ("text", "size"), [("300MB", 300_000_000), ("1.5 GiB", 1_610_612_736), ("9B", 9), ("1QB", None)]
)
def test_sizes_are_read_as_duckdb_reads_them(text: str, size: int | None) -> None:
    assert size_bytes(text) == size


def test_naming_a_warehouse_loads_no_database() -> None:
    code = (
        "import sys; from syncline.sinks import DuckDB; warehouse = DuckDB('x.duckdb'); warehouse.close();"
        "print([name for name in ('duckdb', 'sqlglot', 'tenacity', 'pyarrow.parquet') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
