"""Where the Postgres warehouse under test keeps its storage, and how a reader looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.types.string import TextLoader

from syncline.sinks.postgres import Postgres
from syncline.sinks.warehouse import TablePlan
from tests.servers.postgres import PgAddress

SCHEMAS = count(1)

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
    "jsonb": pa.string(),
    "text[]": pa.list_(pa.string()),
}


@dataclass
class PostgresHouse:
    """``settings`` go to every warehouse opened. A reader asks with a session of its own."""

    address: PgAddress
    schema: str = "crm"
    settings: dict[str, Any] = field(default_factory=lambda: {"names": "exact"})

    def open(self) -> Postgres:
        return Postgres(self.address.dsn, self.schema, **{"sleep": lambda _: None, **self.settings})

    def read(self, target: str) -> pa.Table | None:
        with psycopg.connect(self.address.dsn, options="-c timezone=UTC") as reader:
            reader.adapters.register_loader("jsonb", TextLoader)
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

    def repeat(self, target: str) -> None:
        table = sql.Identifier(self.schema, target)
        with psycopg.connect(self.address.dsn, autocommit=True) as other:
            key = sql.Identifier(f"{target}_pkey")
            other.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, key))
            other.execute(sql.SQL("INSERT INTO {0} SELECT * FROM {0}").format(table))


@dataclass
class LowerHouse(PostgresHouse):
    """Names are spelled in lower case, as by default. A reader gives a column the spelling back that it had in a plan,
    and refuses to see any other than the lower one."""

    settings: dict[str, Any] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)

    def open(self) -> Postgres:
        warehouse = super().open()
        prepare = warehouse.prepare

        def noting(tables: Sequence[TablePlan]) -> None:
            for name in (name for plan in tables for name in plan.columns.names):
                self.spelled.setdefault(name.lower(), name)
            prepare(tables)

        warehouse.prepare = noting  # type: ignore[method-assign]
        return warehouse

    def read(self, target: str) -> pa.Table | None:
        found = super().read(target.lower())
        if found is None:
            return None
        assert not set(found.column_names) & {name for name in self.spelled.values() if name != name.lower()}
        return found.rename_columns([self.spelled.get(name, name) for name in found.column_names])

    def intrude(self, target: str) -> None:
        super().intrude(target.lower())

    def repeat(self, target: str) -> None:
        super().repeat(target.lower())


def new_schema() -> str:
    """A schema of its own in a database that tests share: as good as a database of its own, and faster."""
    return f"crm_{next(SCHEMAS)}"


def type_of(shown: str) -> pa.DataType:
    if shown.startswith("numeric("):
        precision, scale = shown.removeprefix("numeric(").removesuffix(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    return TYPES[shown]
