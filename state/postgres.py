"""State in a Postgres database, for many pipelines on many hosts.

Rows are locked while they are changed, and time is the server's own clock: whatever the hosts' clocks say, a lease runs
out at one moment for all of them. Everything lies in one schema, made when something is first kept::

    leases   who holds a pipeline's lease, until when
    marks    the mirror, one row a stream
    runs     the history, one row a run
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from syncline.connectors.errors import ConfigError, SynclineError
from syncline.connectors.finding import Finding
from syncline.connectors.postgres_url import parse_postgres_url
from syncline.connectors.secret import Secret
from syncline.state.holder import Holder
from syncline.state.lease import Claim, Clock, HeldLease, Random, hold
from syncline.state.postgres_schema import FIND_SCHEMA, FIND_TABLES, UPGRADES, Statements, create_lock
from syncline.state.postgres_session import PostgresSession
from syncline.state.store import Remembered, RunRecord

if TYPE_CHECKING:
    from syncline.state.postgres_session import Cursor

Value = TypeVar("Value")

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_S = 30.0
RUNS_KEPT = 10_000
"""Per pipeline; five weeks of a run every five minutes."""

FORMAT = 2
_HINT_NEWER = "use the newer program, or drop the schema while no run is under way: the warehouse holds the truth"


class PostgresState:
    """State in the database at ``url``, ``postgresql://user@host:5432/database``; without one, where libpq's PG*
    variables say. A password may stand in the url, be given by itself, or come from PGPASSWORD or a password file.

    Safe to use from several threads, processes and hosts at once, and through a pooler in transaction mode. Nothing is
    connected before it is used. ``clock`` is for tests; left out, the server's.

    Raises:
        ConfigError: a setting that cannot work, or psycopg is missing.
    """

    def __init__(
        self,
        url: Secret | str = "",
        *,
        password: Secret | str | None = None,
        schema: str = "syncline_state",
        connect_timeout_s: int = CONNECT_TIMEOUT_S,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random: Random = os.urandom,
    ) -> None:
        if find_spec("psycopg") is None:
            raise _wrong("PostgresState", "it needs psycopg, which is missing", "pip install 'syncline[postgres]'")
        _check(schema, connect_timeout_s, statement_timeout_s)
        parsed = parse_postgres_url(url, password)
        self.schema = schema
        self._session = PostgresSession(parsed, connect_timeout_s, statement_timeout_s, sleep)
        self._sql = Statements(schema)
        self._clock = clock
        self._random = random
        self._made = False
        self._here = threading.local()

    def __repr__(self) -> str:
        return f"PostgresState({self._session.shown!r}, schema={self.schema!r})"

    def lease(self, pipeline: str, ttl_s: float) -> AbstractContextManager[HeldLease]:
        return hold(self, pipeline, ttl_s, self._clock or self._server_time, self._random)

    def recall(self, pipeline: str) -> Mapping[str, Remembered]:
        rows = self._read("recall", pipeline, self._sql.recall, (pipeline,))
        return {row["stream"]: _remembered(row) for row in rows}

    def remember(self, pipeline: str, marks: Mapping[str, Remembered]) -> None:
        # In one order, lest two that remember the same streams wait for each other.
        rows = [(pipeline, stream, *_mark_values(mark)) for stream, mark in sorted(marks.items())]
        self._write("remember", pipeline, lambda cursor: cursor.executemany(self._sql.remember, rows))

    def record(self, run: RunRecord) -> None:
        values = (run.pipeline, run.run_id, run.status, run.started_at, run.finished_at, json.dumps(run.report))

        def work(cursor: Cursor) -> None:
            cursor.execute(self._sql.record, values)
            if run.finished_at is not None:
                cursor.execute(self._sql.prune, (run.pipeline, run.pipeline, RUNS_KEPT))

        self._write("record run", run.pipeline, work)

    def runs(self, pipeline: str, limit: int) -> Sequence[RunRecord]:
        rows = self._read("list runs", pipeline, self._sql.runs, (pipeline, limit))
        return [RunRecord(**row) for row in rows]

    def swap(self, pipeline: str, decide: Callable[[Claim | None], Claim | None]) -> None:
        wanted: list[Claim] = []

        def work(cursor: Cursor) -> None:
            cursor.execute(self._sql.open_claim, (pipeline,))
            row = cursor.execute(self._sql.lock_claim, (pipeline,)).fetchone()
            held = _claim(row) if row and row["token"] is not None else None
            if held is not None and held in wanted:
                return  # only the reply to COMMIT was lost (KNOWN-OUTCOME)
            self._here.cursor = cursor
            try:
                claim = decide(held)
            finally:
                self._here.cursor = None
            if claim is not None and claim is not held:
                cursor.execute(self._sql.write_claim, (*_claim_values(claim), pipeline))
                wanted.append(claim)

        self._write("swap lease", pipeline, work)

    def check(self) -> Sequence[Finding]:
        """What ``syncline check`` says: it can be reached, made and written; everything tried is undone."""
        subject = f"state {self._session.shown}"

        def work(cursor: Cursor) -> None:
            self._make(cursor)
            for statement, values in self._sql.probes():
                cursor.execute(statement, values)

        try:
            self._session.transact("check", "state", work, undo=True)
        except SynclineError as error:
            return [Finding("error", subject, error.cause, error.hint)]
        return [Finding("ok", subject, f"can be reached and written, schema {self.schema}")]

    def close(self) -> None:
        """Ends the connection; the next use makes another."""
        self._session.close()

    def _server_time(self) -> datetime:
        """The server's clock; within a swap of this thread on its own cursor."""

        def work(cursor: Cursor) -> datetime:
            row = cursor.execute("SELECT clock_timestamp() AS now").fetchone()
            assert row is not None
            now: datetime = row["now"]
            return now

        within: Cursor | None = getattr(self._here, "cursor", None)
        return work(within) if within is not None else self._session.transact("ask time", "lease", work)

    def _read(self, operation: str, pipeline: str, statement: Any, values: Sequence[object]) -> list[dict[str, Any]]:
        """The rows; none where there is no state yet: looking creates nothing."""

        def work(cursor: Cursor) -> list[dict[str, Any]]:
            if not self._made and not self._format(cursor):
                return []
            return cursor.execute(statement, values).fetchall()

        return self._session.transact(operation, pipeline, work)

    def _write(self, operation: str, pipeline: str, work: Callable[[Cursor], None]) -> None:
        def made_first(cursor: Cursor) -> None:
            if not self._made:
                self._make(cursor)
            work(cursor)

        self._session.transact(operation, pipeline, made_first)
        self._made = True

    def _make(self, cursor: Cursor) -> None:
        """Makes what is missing; of many that do so at once the others wait for the first."""
        if self._format(cursor) == FORMAT:
            return
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (create_lock(self.schema),))
        written = self._format(cursor)
        if written == 0 and not cursor.execute(FIND_SCHEMA, (self.schema,)).fetchone():
            cursor.execute(self._sql.create_schema, ())
        if written != FORMAT:
            steps = self._sql.upgrade_tables(written, FORMAT) if written else self._sql.create_tables(FORMAT)
            for statement in steps:
                cursor.execute(statement, ())

    def _format(self, cursor: Cursor) -> int:
        """What the tables are of; 0 where there are none. Those of an older program are read as they are, and brought
        forward when something is next kept."""
        if not cursor.execute(FIND_TABLES, (self.schema,)).fetchone():
            return 0
        row = cursor.execute(self._sql.format, ()).fetchone()
        written: int | None = row["version"] if row else None
        if written is None or written not in (*UPGRADES, FORMAT):
            cause = f"it is of format {written}, this program writes {FORMAT}"
            raise ConfigError("open state", f"schema {self.schema}, {self._session.shown}", cause, _HINT_NEWER)
        return written


def _check(schema: str, connect_timeout_s: int, statement_timeout_s: float) -> None:
    if not schema or len(schema.encode()) > 63 or "\0" in schema:
        raise _wrong(f"schema={schema!r}", "it cannot name a schema", "write a name of 1 to 63 bytes")
    for setting, value in (("connect_timeout_s", connect_timeout_s), ("statement_timeout_s", statement_timeout_s)):
        if not 1 <= value <= 3600:
            raise _wrong(f"{setting}={value!r}", "not 1 to 3600 seconds", "leave it out, or write seconds")


def _wrong(object: str, cause: str, hint: str) -> ConfigError:
    return ConfigError("read state settings", object, cause, hint)


def _mark_values(mark: Remembered) -> tuple[object, ...]:
    checkpoint = None if mark.checkpoint is None else json.dumps(mark.checkpoint)
    digests = mark.watermark, mark.version, mark.run_id, list(mark.columns), mark.known
    return *digests, checkpoint, mark.full_at, mark.definition, mark.place


def _remembered(row: Mapping[str, Any]) -> Remembered:
    named = {name: value for name, value in row.items() if name not in ("pipeline", "stream")}
    known = None if row["known"] is None else bytes(row["known"])
    return Remembered(**{**named, "columns": tuple(row["columns"]), "known": known})


def _claim_values(claim: Claim) -> tuple[object, ...]:
    holder = claim.holder
    return claim.token, holder.host, holder.pid, holder.space, holder.born, claim.since, claim.until


def _claim(row: Mapping[str, Any]) -> Claim:
    holder = Holder(row["host"], row["pid"], row["space"], row["born"])
    return Claim(row["token"], holder, row["since"], row["until"])
