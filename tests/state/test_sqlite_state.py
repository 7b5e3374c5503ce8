"""SQLite state: the suite, several processes, kills and damage."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from syncline.connectors.errors import ConfigError, LeaseHeld, SynclineError, Transient
from syncline.state import sqlite
from syncline.state.conformance import MARK, START, TTL_S, ManualClock, OpenStore, StateConformance, run_at
from syncline.state.lease import Claim
from syncline.state.sqlite import SqliteState


class TestSqliteState(StateConformance):
    @pytest.fixture
    def open_store(self, tmp_path: Path, clock: ManualClock) -> OpenStore:
        return lambda: SqliteState(tmp_path / "deep" / "state.db", clock=clock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


CHILD = """
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from syncline.state.conformance import MARK, TTL_S
from syncline.state.lease import Claim
from syncline.state.sqlite import SqliteState

state = SqliteState(Path(sys.argv[1]))
"""
HOLDS = (
    CHILD
    + """
with state.lease("crm", 3600):
    print("ready", flush=True)
    sys.stdin.read()
print("released", flush=True)
"""
)
REMEMBERS = (
    CHILD
    + """
version = 0
while True:
    version += 1
    mark = replace(MARK, version=version, known=version.to_bytes(16, "big") * 20_000)
    state.remember("crm", {"Account": mark, "Contact": mark})
    if version == 1:
        print("ready", flush=True)
"""
)


@contextmanager
def child(script: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


# --- processes and kills


def test_a_lease_of_another_process_keeps_this_one_out_and_says_who_holds_it(path: Path) -> None:
    with child(HOLDS, path) as other:
        with pytest.raises(LeaseHeld) as refused, SqliteState(path).lease("crm", TTL_S):
            pass
        assert f"process {other.pid} on {os.uname().nodename}" in refused.value.cause
        said, _ = other.communicate()
        assert said == "released\n"
    with SqliteState(path).lease("crm", TTL_S):
        pass


def test_the_lease_of_a_killed_process_is_taken_over_at_once(path: Path) -> None:
    """A run from cron must not wait for the time to live of one that the system killed."""
    with child(HOLDS, path) as other:
        other.kill()
        other.wait()
        with SqliteState(path).lease("crm", TTL_S):
            pass


def test_of_many_threads_one_gets_the_lease(path: Path) -> None:
    start, end = threading.Barrier(8), threading.Barrier(8)

    def take(_: int) -> bool:
        state = SqliteState(path)
        start.wait()
        try:
            with state.lease("crm", TTL_S):
                end.wait()
                return True
        except LeaseHeld:
            end.wait()
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(take, range(8))) == [False] * 7 + [True]


@pytest.mark.parametrize("after_ms", [5, 11, 17, 23])
def test_a_kill_leaves_all_of_what_was_remembered_or_nothing(path: Path, after_ms: int) -> None:
    with child(REMEMBERS, path) as other:
        # Not a wait for something to happen: the kill is to strike anywhere.
        threading.Event().wait(after_ms / 1000)
        other.kill()
        other.wait()
    recalled = SqliteState(path).recall("crm")
    assert len({mark.version for mark in recalled.values()}) == 1
    for mark in recalled.values():
        assert mark.known == mark.version.to_bytes(16, "big") * 20_000
    SqliteState(path).remember("crm", {"Account": MARK})
    assert [finding.level for finding in SqliteState(path).check()] == ["ok"]


def test_what_was_remembered_is_synced(path: Path) -> None:
    """A power loss after ``remember`` returned loses nothing: SQLite's strictest setting, rollback journal."""
    with closing(SqliteState(path)._connect()) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"


def test_many_writers_at_once_lose_nothing(path: Path) -> None:
    def write(number: int) -> None:
        SqliteState(path).remember("crm", {f"stream-{number}": replace(MARK, version=number)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert {mark.version for mark in SqliteState(path).recall("crm").values()} == set(range(40))


# --- bounds


def test_the_history_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BOUNDED."""
    monkeypatch.setattr(sqlite, "RUNS_KEPT", 3)
    state = SqliteState(path)
    state.record(replace(run_at(0), pipeline="other"))
    for minute in range(5):
        state.record(run_at(minute))
    assert [run.run_id for run in state.runs("crm", 100)] == ["run-04", "run-03", "run-02"]
    assert len(state.runs("other", 100)) == 1


def test_a_checkpoint_does_not_write_the_digests_again(path: Path) -> None:
    state = SqliteState(path)
    mark = replace(MARK, known=b"\x01" * 16 * 200_000)
    state.remember("crm", {"Account": mark})
    with closing(sqlite3.connect(path)) as watcher:
        page_bytes = watcher.execute("PRAGMA page_size").fetchone()[0]
    written = bytes_written(lambda: state.remember("crm", {"Account": replace(mark, checkpoint={"slice": 2})}))
    assert written < 50 * page_bytes
    assert state.recall("crm")["Account"].known == mark.known


def bytes_written(act: object) -> int:
    def so_far() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("wchar")).split()[1])

    before = so_far()
    assert callable(act)
    act()
    return so_far() - before


# --- looking creates nothing; what is created is private


def test_looking_creates_nothing(path: Path) -> None:
    state = SqliteState(path)
    assert state.recall("crm") == {}
    assert list(state.runs("crm", 5)) == []
    assert not path.exists()


def test_the_file_is_closed_to_other_users(tmp_path: Path) -> None:
    path = tmp_path / "project" / "state.db"
    SqliteState(path).remember("crm", {"Account": MARK})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_empty_file_is_an_empty_state(path: Path) -> None:
    """What a process leaves that was killed between creating the file and its first transaction."""
    path.touch()
    assert SqliteState(path).recall("crm") == {}
    SqliteState(path).remember("crm", {"Account": MARK})
    assert SqliteState(path).recall("crm") == {"Account": MARK}


# --- a file of an older program

VERSION_1 = """
CREATE TABLE marks (
    pipeline TEXT, stream TEXT, watermark TEXT, version INTEGER, run_id TEXT, columns TEXT, checkpoint TEXT,
    full_at TEXT, definition TEXT, PRIMARY KEY (pipeline, stream)
);
CREATE TABLE digests (pipeline TEXT, stream TEXT, known BLOB, PRIMARY KEY (pipeline, stream));
CREATE TABLE runs (
    pipeline TEXT, run_id TEXT, status TEXT, started_at TEXT, finished_at TEXT, report TEXT,
    PRIMARY KEY (pipeline, run_id)
);
CREATE INDEX runs_by_time ON runs (pipeline, started_at, run_id);
CREATE TABLE leases (
    pipeline TEXT PRIMARY KEY, token TEXT, host TEXT, pid INTEGER, space TEXT, born TEXT, since TEXT, until TEXT
);
INSERT INTO marks VALUES ('crm', 'Account', '2026-11-23T14:02:11.123456+00:00', 3, 'run-3', '["Id", "Name"]', NULL,
    '2026-11-16T14:02:11.123456+00:00', 'abc');
INSERT INTO digests VALUES ('crm', 'Account', zeroblob(16));
PRAGMA user_version = 1;
"""
OLD_MARK = replace(MARK, checkpoint=None, place="")


@pytest.fixture
def old_file(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
    return path


def test_a_file_of_an_older_program_is_read_as_it_is(old_file: Path) -> None:
    before = old_file.read_bytes()
    assert SqliteState(old_file).recall("crm") == {"Account": OLD_MARK}
    assert old_file.read_bytes() == before


def test_a_file_of_an_older_program_is_brought_forward_when_something_is_kept(old_file: Path) -> None:
    def write(number: int) -> None:
        SqliteState(old_file).remember("crm", {f"stream-{number}": MARK})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    expected = {"Account": OLD_MARK, **{f"stream-{number}": MARK for number in range(4)}}
    assert SqliteState(old_file).recall("crm") == expected
    with closing(sqlite3.connect(old_file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 2


def test_a_file_brought_forward_between_opening_and_writing_is_no_damaged_one(
    old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite reads the tables' columns when a file is opened: another run may add one before this one has its lock."""
    late, first = SqliteState(old_file), SqliteState(old_file)
    connect = late._connect

    def overtaken() -> sqlite3.Connection:
        connection = connect()
        first.remember("crm", {"first": MARK})
        return connection

    monkeypatch.setattr(late, "_connect", overtaken)
    late.remember("crm", {"late": MARK})
    assert first.recall("crm") == {"Account": OLD_MARK, "first": MARK, "late": MARK}


def test_checking_a_file_of_an_older_program_finds_nothing(old_file: Path) -> None:
    assert [finding.level for finding in SqliteState(old_file).check()] == ["ok"]
    assert SqliteState(old_file).recall("crm") == {"Account": OLD_MARK}


# --- damage


def damage_header(path: Path) -> None:
    path.write_bytes(b"this is no database " * 100)


def damage_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xee" * (len(data) - 4096)
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def damage_json(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE marks SET checkpoint = '{'")
        connection.execute("UPDATE runs SET report = '{', started_at = 'yesterday'")


def drop_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("marks", "runs"):
            connection.execute(f"DROP TABLE {table}")


def future_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize("damage", [damage_header, damage_pages, cut, damage_json, drop_tables, future_version])
def test_damaged_state_is_an_error_whose_hint_is_to_delete_it(path: Path, damage: object) -> None:
    """LOUD; and the hint is true: the warehouse holds the truth."""
    state = SqliteState(path)
    state.remember("crm", {f"stream-{number}": MARK for number in range(100)})
    state.record(run_at(0))
    assert callable(damage)
    damage(path)
    for attempt in (lambda: state.recall("crm"), lambda: state.runs("crm", 5)):
        with pytest.raises(ConfigError) as caught:
            attempt()
        assert str(path) in str(caught.value)
        assert "nothing is lost but time" in caught.value.hint
    path.unlink()
    state.remember("crm", {"Account": MARK})
    assert state.recall("crm") == {"Account": MARK}


@pytest.mark.parametrize("damage", [damage_header, damage_pages, cut])
def test_check_finds_the_damage(path: Path, damage: object) -> None:
    state = SqliteState(path)
    state.remember("crm", {f"stream-{number}": MARK for number in range(100)})
    assert callable(damage)
    damage(path)
    (finding,) = state.check()
    assert finding.level == "error"
    assert "nothing is lost but time" in finding.cure


def test_a_file_that_stays_locked_is_transient(path: Path) -> None:
    state = SqliteState(path, busy_timeout_s=0)
    state.remember("crm", {"Account": MARK})
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Transient, match="locked"):
            state.recall("crm")
        with pytest.raises(Transient, match="locked"):
            state.remember("crm", {"Account": MARK})


def test_a_claim_that_is_being_decided_on_is_locked(path: Path) -> None:
    """Two runs that look at the same moment cannot both find the lease free."""
    seen: list[bool] = []

    def decide(held: Claim | None) -> Claim | None:
        with pytest.raises(Transient, match="locked"), SqliteState(path, busy_timeout_s=0).lease("crm", TTL_S):
            pass
        seen.append(True)
        return held

    SqliteState(path).swap("crm", decide)
    assert seen == [True]


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"state\.db"):
        SqliteState(tmp_path / "file" / "state.db").remember("crm", {"Account": MARK})


def test_a_full_disk_is_an_error_that_leaves_the_state_as_it_was(path: Path) -> None:
    state = SqliteState(path)
    state.remember("crm", {"Account": MARK})
    connect = state._connect

    def small() -> sqlite3.Connection:
        connection = connect()
        connection.execute("PRAGMA max_page_count = 20")
        return connection

    state._connect = small  # type: ignore[method-assign]
    with pytest.raises(SynclineError, match="disk is full") as caught:
        state.remember("crm", {"Account": replace(MARK, version=4), "Contact": replace(MARK, known=b"x" * 10**6)})
    assert caught.value.hint
    assert SqliteState(path).recall("crm") == {"Account": MARK}


def test_a_lease_that_cannot_be_given_back_does_not_hide_the_first_error(
    path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        with SqliteState(path, clock=clock).lease("crm", TTL_S):
            damage_header(path)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "runs out by itself" in caplog.text


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_lease_outlives_the_deletion_of_the_file(path: Path, clock: ManualClock) -> None:
    state = SqliteState(path, clock=clock)
    with state.lease("crm", TTL_S) as lease:
        path.unlink()
        lease.renew()
        with pytest.raises(LeaseHeld), SqliteState(path, clock=clock).lease("crm", TTL_S):
            pass


def test_the_lease_ends_when_the_clock_says_so(path: Path, clock: ManualClock) -> None:
    with SqliteState(path, clock=clock).lease("crm", TTL_S):
        clock.now = START + timedelta(seconds=TTL_S, microseconds=-1)
        with pytest.raises(LeaseHeld), SqliteState(path, clock=clock).lease("crm", TTL_S):
            pass
        clock.now = START + timedelta(seconds=TTL_S)
        with SqliteState(path, clock=clock).lease("crm", TTL_S):
            pass
