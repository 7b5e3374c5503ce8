"""Where the Postgres warehouse under test keeps its storage, and how a reader looks at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from syncline.sinks.postgres import Postgres
from tests.servers.postgres import PgAddress

TYPES = {
    "boolean": pa.bool_(),
    "bigint": pa.int64(),
    "integer": pa.int64(),
    "double precision": pa.float64(),
    "text": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time without time zone": pa.time64("us"),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
    "text[]": pa.list_(pa.string()),
}


@dataclass
class PostgresHouse:
    """``settings`` go to every warehouse opened. A reader asks with a session of its own."""

    address: PgAddress
    schema: str = "crm"
    settings: dict[str, Any] = field(default_factory=lambda: {"names": "exact"})

    def open(self) -> Postgres:
        return Postgres(self.address.dsn, self.schema, sleep=lambda _: None, **self.settings)

    def read(self, target: str) -> pa.Table | None:
        with psycopg.connect(self.address.dsn, options="-c timezone=UTC") as reader:
            columns = reader.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
                " JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s AND relname = %s AND attnum > 0"
                " AND NOT attisdropped ORDER BY attnum",
                [self.schema, target],
            ).fetchall()
            if not columns:
                return None
            rows = reader.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(self.schema, target))).fetchall()
        schema = pa.schema([(name, type_of(shown)) for name, shown in columns])
        return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)

    def intrude(self, target: str) -> None:
        with psycopg.connect(self.address.dsn, autocommit=True) as other:
            other.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self.schema)))
            other.execute(
                sql.SQL('CREATE TABLE {} AS SELECT 1 AS "Theirs"').format(sql.Identifier(self.schema, target))
            )


def type_of(shown: str) -> pa.DataType:
    if shown.startswith("numeric("):
        precision, scale = shown.removeprefix("numeric(").removesuffix(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    return TYPES[shown]
