"""Where the Redshift warehouse under test keeps its storage, and how a reader looks at it.

Redshift folds every name to lower case. The suite speaks of columns as the source spells them, so the house notes the
plans that pass and shows a reader's columns by those names; ``test_redshift_laws`` looks at the folded ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from psycopg import sql

from syncline.sinks.redshift import Redshift
from syncline.sinks.warehouse import TablePlan
from tests.servers.redshift_fixtures import FakeRedshift

TYPES: Mapping[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "bigint": pa.int64(),
    "integer": pa.int64(),
    "double precision": pa.float64(),
    "character varying": pa.string(),
    "binary varying": pa.binary(),
    "date": pa.date32(),
    "time without time zone": pa.time64("us"),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
    "super": pa.list_(pa.string()),
}


class Noting:
    """A warehouse whose plans' names are noted."""

    def __init__(self, warehouse: Redshift, names: dict[str, str]) -> None:
        self._warehouse, self._names = warehouse, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)

    def prepare(self, tables: Sequence[TablePlan]) -> None:
        self._names.update((name.encode().lower().decode(), name) for plan in tables for name in plan.columns.names)
        self._warehouse.prepare(tables)


@dataclass
class RedshiftHouse:
    """``settings`` go to every warehouse opened, ``seams`` too. A reader asks through the stand-in as well."""

    fake: FakeRedshift
    settings: dict[str, Any] = field(default_factory=dict)
    seams: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def warehouse(self) -> Redshift:
        place = {"database": self.fake.database, "schema": self.fake.schema}
        made = Redshift.from_env(self.fake.variables, **place, **self.settings)
        return Redshift(made.settings, **{"sleep": lambda _: None, **self.seams})

    def open(self) -> Any:
        return Noting(self.warehouse(), self.names)

    def read(self, target: str) -> pa.Table | None:
        with self.fake.reader() as reader:
            columns = reader.execute(
                "SELECT column_name, data_type, numeric_precision, numeric_scale FROM svv_columns"
                " WHERE table_schema = %s AND table_name = LOWER(%s) ORDER BY ordinal_position",
                [self.fake.schema, target],
            ).fetchall()
            if not columns:
                return None
            found = reader.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(self.fake.schema, target)))
            rows = found.fetchall()
        schema = pa.schema([(self.names.get(name, name), type_of(*shown)) for name, *shown in columns])
        return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)

    def intrude(self, target: str) -> None:
        with self.fake.reader() as other:
            other.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self.fake.schema)))
            table = sql.Identifier(self.fake.schema, target)
            other.execute(sql.SQL('CREATE TABLE {} AS SELECT 1 AS "Theirs"').format(table))


def type_of(shown: str, precision: int | None, scale: int | None) -> pa.DataType:
    return pa.decimal128(precision, scale) if shown == "numeric" else TYPES[shown]
