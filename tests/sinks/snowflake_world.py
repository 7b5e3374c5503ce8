"""Files in a landing and a session to load them with, for the tests of Snowflake's own parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from sqlglot import exp

from syncline.sinks.landing import Landing
from syncline.sinks.manifest import FileEntry
from syncline.sinks.snowflake_cost import Meter
from syncline.sinks.snowflake_session import SnowflakeSession
from syncline.sinks.snowflake_settings import Settings, settings_from
from syncline.sinks.snowflake_transactions import Memory
from tests.servers.snowflake_fixtures import FakeSnowflake

COLUMNS = pa.schema([("Id", pa.string()), ("Amount", pa.decimal128(18, 2)), ("At", pa.timestamp("us", tz="UTC"))])


@dataclass
class World:
    """``open`` signs in the way a pipeline would; ``table`` makes an empty staging table for :data:`COLUMNS`."""

    server: FakeSnowflake
    database: str
    given: dict[str, Any] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    meter: Meter = field(default_factory=lambda: Meter(clock=lambda: 0.0))
    slept: list[float] = field(default_factory=list)
    sent: int = 0
    sessions: list[SnowflakeSession] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return settings_from(
            self.server.variables, **{"database": self.database, "schema": "CRM", "network_timeout_s": 5, **self.given}
        )

    def open(self) -> SnowflakeSession:
        def count() -> None:
            self.sent += 1

        session = SnowflakeSession(self.settings, self.memory, self.meter, count, self.slept.append)
        self.sessions.append(session)
        return session

    def table(self, session: SnowflakeSession, name: str = "STAGED", exact: bool = False) -> exp.Table:
        session.run(f'CREATE SCHEMA IF NOT EXISTS "{self.database}"."CRM"')
        spell: Callable[[str], str] = str if exact else str.upper
        columns = f'"{spell("Id")}" VARCHAR, "{spell("Amount")}" NUMBER(18, 2), "{spell("At")}" TIMESTAMP_TZ'
        session.run(f'CREATE OR REPLACE TRANSIENT TABLE "{self.database}"."CRM"."{name}" ({columns})')
        return exp.table_(name, db="CRM", catalog=self.database, quoted=True)

    def rows(self, table: exp.Table) -> list[tuple[Any, ...]]:
        """What somebody else sees."""
        with self.server.reader() as reader:
            found = reader.cursor().execute(f"SELECT * FROM {table.sql(dialect='snowflake')} ORDER BY 1").fetchall()
        return [tuple(row) for row in found]

    def close(self) -> None:
        for session in self.sessions:
            session.close()


def land(landing: Landing, *counts: int, run_id: str = "run-1", slice_id: str = "page") -> list[FileEntry]:
    """One file for each count of rows."""
    entries: list[FileEntry] = []
    for number, count in enumerate(counts):
        with landing.writer(
            pipeline="crm",
            stream="Account",
            run_id=run_id,
            started_at=datetime(2026, 1, 2, tzinfo=UTC),
            slice_id=f"{slice_id}-{number}",
            kind="records",
            columns=COLUMNS,
        ) as writer:
            writer.write(_rows(number, count))
        entries += writer.files
    return entries


def _rows(number: int, count: int) -> pa.Table:
    ids = pa.array([f"{number}-{index}" for index in range(count)], pa.string())
    amounts = pa.array([None] + [Decimal(1)] * (count - 1), pa.decimal128(18, 2))
    stamps = pa.array([1_700_000_000_123_456 + index for index in range(count)], pa.timestamp("us", tz="UTC"))
    return pa.table({"Id": ids, "Amount": amounts, "At": stamps}, COLUMNS)
