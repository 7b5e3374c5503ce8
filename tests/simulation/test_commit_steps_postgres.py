"""One fault at each step of a commit, on a real PostgreSQL, with the real driver and a real connection that breaks.

``before``: the connection breaks on the statement's way to the server. ``after``: on its answer's way back. ``kill``:
the same, and nothing of the process comes after. The other steps of a run are struck in ``test_every_step.py``; what
this shows is what becomes of a transaction and of its locks when its client is gone.

What it cannot show: a server that dies (its own recovery), a failover to a replica that lacks the commit, and a
connection that stays open and silent, which only time ends (``statement_timeout_s`` and TCP's keepalive).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import sql

from syncline.pipelines.simulation.houses import Clock, Committed, Mark, keyed
from syncline.pipelines.simulation.process import Killed, Process
from syncline.pipelines.simulation.seams import Secrets
from syncline.sinks.postgres import Postgres
from syncline.sinks.warehouse import WATERMARKS_TABLE, Warehouse
from tests.servers.pg_proxy import DROP, LOSE_REPLY, PgProxy, between
from tests.servers.postgres import PgServer
from tests.simulation.commit_steps import KINDS, Statements, strike_every_step
from tests.sinks.postgres_house import new_schema, type_of

WIRE = {"before": DROP, "after": LOSE_REPLY, "kill": LOSE_REPLY}


class PostgresHouse:
    """Statements are operations where they pass the proxy, while their client waits for the answer."""

    def __init__(self, proxy: PgProxy, pipeline: str, key: str, secrets: Secrets) -> None:
        self._proxy, self._pipeline, self._key, self._secrets = proxy, pipeline, key, secrets
        self._schema = f"simulated_{new_schema()}"
        self._reader = psycopg.connect(proxy.upstream.dsn, autocommit=True, options="-c timezone=UTC")

    def open(self, process: Process, clock: Clock, watch: Callable[[], None]) -> Warehouse:
        statements = Statements(process, self._secrets, watch)

        def strike(statement: str) -> str | None:
            """In the proxy's thread, where nothing may be raised."""
            if process.dead:
                return DROP
            kind = statements.pass_by(statement, alone=True)
            if kind == "kill":
                with suppress(Killed):
                    process.die()
            return WIRE.get(kind or "")

        def sleep(seconds: float) -> None:
            if process.dead:
                raise Killed
            process.around.pass_time(seconds)

        self._proxy.strike = strike
        process.endings += [self._proxy.drop_connections, watch]
        address = self._proxy.address
        return Postgres(address.dsn, self._schema, names="exact", clock=clock, sleep=sleep, jitter=lambda: 1.0)

    def look(self) -> Committed:
        self._reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            tables = self._tables(self._schema)
            marks = self._marks() if WATERMARKS_TABLE in tables else {}
            targets = [name for name in tables if not name.startswith("_syncline")]
            rows = {name: keyed(name, self._key, self._rows(name)) for name in targets}
            types = {name: {column: type_of(shown) for column, shown in tables[name]} for name in targets}
            return Committed(marks, rows, types)
        finally:
            self._reader.execute("ROLLBACK")

    def keep(self) -> object:
        raise NotImplementedError("no round restores a backup")

    def restore(self, kept: object) -> None:
        raise NotImplementedError("no round restores a backup")

    def leftovers(self) -> Sequence[str]:
        return sorted(self._tables(f"{self._schema}_staging"))

    def close(self) -> None:
        self._reader.close()

    def _marks(self) -> Mapping[str, Mark]:
        """Version 0 is the row that is made before the first transaction, and claims nothing."""
        query = sql.SQL(
            "SELECT stream, watermark, version, run_id, columns FROM {} WHERE pipeline = %s AND version > 0"
        ).format(sql.Identifier(self._schema, WATERMARKS_TABLE))
        found = self._reader.execute(query, [self._pipeline]).fetchall()
        return {row[0]: Mark(row[1], row[2], row[3], tuple(json.loads(row[4]))) for row in found}

    def _rows(self, name: str) -> list[Mapping[str, Any]]:
        cursor = self._reader.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(self._schema, name)))
        columns = [each.name for each in cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]

    def _tables(self, schema: str) -> Mapping[str, list[tuple[str, str]]]:
        """Columns by table, each with its type as it is shown."""
        found: dict[str, list[tuple[str, str]]] = {}
        query = (
            "SELECT relname, attname, format_type(atttypid, atttypmod) FROM pg_attribute JOIN pg_class c ON c.oid ="
            " attrelid JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s AND relkind = 'r' AND attnum > 0"
            " AND NOT attisdropped ORDER BY relname, attnum"
        )
        for table, column, type in self._reader.execute(query, [schema]).fetchall():
            found.setdefault(table, []).append((column, type))
        return found


@pytest.fixture(scope="module")
def proxy(pg_server: PgServer) -> Iterator[PgProxy]:
    with pg_server.database("commit_steps") as address, between(address) as proxy:
        yield proxy


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_any_step_of_the_commit_breaks_no_law(proxy: PgProxy, kind: str) -> None:
    """ONE-TRANSACTION, ROWS-THEN-MARK, KNOWN-OUTCOME, FENCED-COMMIT, NEWEST-WINS, and target = org after each."""
    houses = list[PostgresHouse]()

    def make_house(pipeline: str, key: str, secrets: Secrets) -> PostgresHouse:
        houses.append(PostgresHouse(proxy, pipeline, key, secrets))
        return houses[-1]

    try:
        strike_every_step(make_house, kind)
    finally:
        houses[0].close()
