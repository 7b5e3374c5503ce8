"""State in one SQLite file, for runs on one machine.

Rollback journal, not WAL: state may lie on a shared folder, where WAL does not work (SQLite documentation, write-ahead
logging), and one file is all there is to copy or delete. Every method is one transaction on a connection of its own,
synced before it returns, so threads, processes and kills need no further care.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from syncline.connectors.errors import ConfigError, SynclineError, Transient
from syncline.connectors.finding import Finding
from syncline.state.holder import Holder
from syncline.state.lease import Claim, Clock, HeldLease, Random, hold, utc_now
from syncline.state.store import Remembered, RunRecord

Value = TypeVar("Value")

BUSY_TIMEOUT_S = 10.0
RUNS_KEPT = 10_000
"""Per pipeline; five weeks of a run every five minutes."""

_VERSION = 2
_SCHEMA = """
CREATE TABLE marks (
    pipeline TEXT, stream TEXT, watermark TEXT, version INTEGER, run_id TEXT, columns TEXT, checkpoint TEXT,
    full_at TEXT, definition TEXT, place TEXT NOT NULL DEFAULT '', PRIMARY KEY (pipeline, stream)
);
-- Apart from the marks: a checkpoint is written after every slice, megabytes of digests after every commit.
CREATE TABLE digests (pipeline TEXT, stream TEXT, known BLOB, PRIMARY KEY (pipeline, stream));
CREATE TABLE runs (
    pipeline TEXT, run_id TEXT, status TEXT, started_at TEXT, finished_at TEXT, report TEXT,
    PRIMARY KEY (pipeline, run_id)
);
CREATE INDEX runs_by_time ON runs (pipeline, started_at, run_id);
CREATE TABLE leases (
    pipeline TEXT PRIMARY KEY, token TEXT, host TEXT, pid INTEGER, space TEXT, born TEXT, since TEXT, until TEXT
);
"""
_UPGRADES = {1: "ALTER TABLE marks ADD COLUMN place TEXT NOT NULL DEFAULT ''"}
"""By the version they begin with. A file is read as it is, and brought forward when something is next kept."""

_HINT_DELETE = "delete the file while no run is under way: nothing is lost but time, the warehouse holds the truth"


class SqliteState:
    """State in the file at ``path``, which is created, closed to other users, when something is first kept."""

    def __init__(
        self,
        path: str | Path = ".syncline/state.db",
        *,
        clock: Clock = utc_now,
        random: Random = os.urandom,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self._clock = clock
        self._random = random
        self._busy_timeout_s = busy_timeout_s

    def __repr__(self) -> str:
        return f"SqliteState({str(self.path)!r})"

    def lease(self, pipeline: str, ttl_s: float) -> AbstractContextManager[HeldLease]:
        return hold(self, pipeline, ttl_s, self._clock, self._random)

    def recall(self, pipeline: str) -> Mapping[str, Remembered]:
        with self._reading("recall", pipeline) as connection:
            rows = connection.execute(_RECALL, (pipeline,)).fetchall() if connection else []
        return {row["stream"]: self._decoded(_remembered, row) for row in rows}

    def remember(self, pipeline: str, marks: Mapping[str, Remembered]) -> None:
        rows = [(pipeline, stream, *_mark_values(mark)) for stream, mark in marks.items()]
        digests = [(pipeline, stream, mark.known) for stream, mark in marks.items()]
        with self._writing("remember", pipeline) as connection:
            connection.executemany(_REMEMBER, rows)
            connection.executemany(_REMEMBER_KNOWN, digests)

    def record(self, run: RunRecord) -> None:
        values = _run_values(run)
        with self._writing("record run", run.pipeline) as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", values)
            connection.execute(_PRUNE, (run.pipeline, run.pipeline, RUNS_KEPT))

    def runs(self, pipeline: str, limit: int) -> Sequence[RunRecord]:
        with self._reading("list runs", pipeline) as connection:
            rows = connection.execute(_RUNS, (pipeline, limit)).fetchall() if connection else []
        return [self._decoded(_run, row) for row in rows]

    def swap(self, pipeline: str, decide: Callable[[Claim | None], Claim | None]) -> None:
        with self._writing("swap lease", pipeline) as connection:
            row = connection.execute("SELECT * FROM leases WHERE pipeline = ?", (pipeline,)).fetchone()
            claim = decide(self._decoded(_claim, row) if row else None)
            if claim is not None:
                connection.execute(_CLAIM, _claim_values(pipeline, claim))

    def check(self) -> Sequence[Finding]:
        """What ``syncline check`` says: whole, and can be written."""
        subject = f"state {self.path}"
        try:
            with self._writing("check", "state") as connection:
                flaws = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        except SynclineError as error:
            return [Finding("error", subject, error.cause, error.hint)]
        if flaws != ["ok"]:
            return [Finding("error", subject, f"it is damaged: {'; '.join(flaws)}", _HINT_DELETE)]
        return [Finding("ok", subject, "is whole and can be written")]

    @contextmanager
    def _reading(self, operation: str, pipeline: str) -> Iterator[sqlite3.Connection | None]:
        """``None`` where there is no state yet: looking creates nothing."""
        if not self.path.exists():
            yield None
            return
        with self._errors(operation, pipeline), closing(self._connect()) as connection:
            connection.execute("BEGIN")
            yield connection if self._version(connection) else None

    @contextmanager
    def _writing(self, operation: str, pipeline: str) -> Iterator[sqlite3.Connection]:
        """One transaction: committed, and synced, when the block ends; undone when it raises."""
        with self._errors(operation, pipeline), closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            # The columns known so far are those of the opening; another process may have added one before the lock.
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
            version = self._version(connection)
            if version != _VERSION:
                steps = _SCHEMA.split(";") if not version else [_UPGRADES[at] for at in range(version, _VERSION)]
                for statement in steps:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            yield connection
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self.path, timeout=self._busy_timeout_s, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _version(self, connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, *_UPGRADES, _VERSION):
            cause = f"it is of version {version}, this program writes {_VERSION}"
            raise ConfigError("open state", str(self.path), cause, f"use the newer program, or {_HINT_DELETE}")
        return version

    @contextmanager
    def _errors(self, operation: str, pipeline: str) -> Iterator[None]:
        object = f"{pipeline}, {self.path}"
        try:
            yield
        except sqlite3.Error as error:
            raise _state_error(operation, object, error) from error
        except OSError as error:
            hint = "check the owner, permissions and free space of its folder"
            raise ConfigError(operation, object, error.strerror or str(error), hint) from error

    def _decoded(self, decode: Callable[[sqlite3.Row], Value], row: sqlite3.Row) -> Value:
        try:
            return decode(row)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ConfigError("read state", str(self.path), f"it is damaged: {error!r}", _HINT_DELETE) from error


_RECALL = "SELECT * FROM marks LEFT JOIN digests USING (pipeline, stream) WHERE pipeline = ?"
_REMEMBER = "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_REMEMBER_KNOWN = """
INSERT INTO digests VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET known = excluded.known WHERE known IS NOT excluded.known
"""
_RUNS = "SELECT * FROM runs WHERE pipeline = ? ORDER BY started_at DESC, run_id DESC LIMIT ?"
_CLAIM = "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PRUNE = """
DELETE FROM runs WHERE pipeline = ? AND run_id IN (
    SELECT run_id FROM runs WHERE pipeline = ? ORDER BY started_at DESC, run_id DESC LIMIT -1 OFFSET ?
)
"""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA}
_FORBIDDEN = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _state_error(operation: str, object: str, error: sqlite3.Error) -> SynclineError:
    """What SQLite's result code means to the user (SQLite documentation, result and error codes)."""
    code = (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF
    if code in _DAMAGED:
        return ConfigError(operation, object, f"the state is damaged: {error}", _HINT_DELETE)
    if code in _BUSY:
        return Transient(operation, object, str(error), "another process keeps the file locked; run again")
    if code in _FORBIDDEN:
        return ConfigError(operation, object, str(error), "check the owner and permissions of the file and its folder")
    if code == sqlite3.SQLITE_FULL:
        return SynclineError(operation, object, f"the disk is full: {error}", "free space, then run again")
    return SynclineError(operation, object, str(error), "check the disk, then run again")


def _mark_values(mark: Remembered) -> tuple[object, ...]:
    checkpoint = None if mark.checkpoint is None else json.dumps(mark.checkpoint)
    columns = json.dumps(mark.columns)
    times = _text(mark.watermark), _text(mark.full_at)
    return times[0], mark.version, mark.run_id, columns, checkpoint, times[1], mark.definition, mark.place


def _remembered(row: sqlite3.Row) -> Remembered:
    return Remembered(
        watermark=_instant(row["watermark"]),
        version=row["version"],
        run_id=row["run_id"],
        columns=tuple(json.loads(row["columns"])),
        known=row["known"],
        checkpoint=None if row["checkpoint"] is None else json.loads(row["checkpoint"]),
        full_at=_instant(row["full_at"]),
        definition=row["definition"],
        place=row["place"] if "place" in row.keys() else "",  # noqa: SIM118 (a Row is asked for values otherwise)
    )


def _run_values(run: RunRecord) -> tuple[object, ...]:
    times = _text(run.started_at), _text(run.finished_at)
    return run.pipeline, run.run_id, run.status, *times, json.dumps(run.report)


def _run(row: sqlite3.Row) -> RunRecord:
    return RunRecord(
        run_id=row["run_id"],
        pipeline=row["pipeline"],
        status=row["status"],
        started_at=datetime.fromisoformat(row["started_at"]),
        finished_at=_instant(row["finished_at"]),
        report=json.loads(row["report"]),
    )


def _claim_values(pipeline: str, claim: Claim) -> tuple[object, ...]:
    holder = claim.holder
    who = holder.host, holder.pid, holder.space, holder.born
    return pipeline, claim.token, *who, _text(claim.since), _text(claim.until)


def _claim(row: sqlite3.Row) -> Claim:
    holder = Holder(row["host"], row["pid"], row["space"], row["born"])
    since, until = datetime.fromisoformat(row["since"]), datetime.fromisoformat(row["until"])
    return Claim(row["token"], holder, since, until)


def _text(instant: datetime | None) -> str | None:
    """UTC at microseconds: such texts sort by time."""
    return None if instant is None else instant.astimezone(UTC).isoformat(timespec="microseconds")


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
