"""Where the Redshift warehouse under test keeps its storage, and how a reader looks at it.

Redshift folds every name to lower case. The suite speaks of columns as the source spells them, so the house notes the
plans that pass and shows a reader's columns by those names; ``test_redshift_laws`` looks at the folded ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from psycopg import sql
from psycopg.types.string import TextLoader

from syncline.sinks import lattice
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

    def __init__(self, warehouse: Redshift, names: dict[str, str], documents: set[str]) -> None:
        self._warehouse, self._names, self._documents = warehouse, names, documents

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)

    def prepare(self, tables: Sequence[TablePlan]) -> None:
        self._documents.update(each.name for plan in tables for each in plan.columns if lattice.is_json(each.type))
        self._names.update((name.encode().lower().decode(), name) for plan in tables for name in plan.columns.names)
        self._warehouse.prepare(tables)


@dataclass
class RedshiftHouse:
    """``settings`` go to every warehouse opened, ``seams`` too. A reader asks through the stand-in as well."""

    fake: FakeRedshift
    settings: dict[str, Any] = field(default_factory=dict)
    seams: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    documents: set[str] = field(default_factory=set)

    def warehouse(self) -> Redshift:
        place = {"database": self.fake.database, "schema": self.fake.schema}
        made = Redshift.from_env(self.fake.variables, **place, **self.settings)
        return Redshift(made.settings, **{"sleep": lambda _: None, **self.seams})

    def open(self) -> Any:
        return Noting(self.warehouse(), self.names, self.documents)

    def read(self, target: str) -> pa.Table | None:
        with self.fake.reader() as reader:
            reader.adapters.register_loader("jsonb", TextLoader)
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
        for place, column in enumerate(schema):
            if column.name in self.documents and pa.types.is_list(column.type):
                schema = schema.set(place, column.with_type(pa.string()))
        return pa.Table.from_pylist([plain(schema, row) for row in rows], schema)

    def intrude(self, target: str) -> None:
        with self.fake.reader() as other:
            other.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self.fake.schema)))
            table = sql.Identifier(self.fake.schema, target)
            other.execute(sql.SQL('CREATE TABLE {} AS SELECT 1 AS "Theirs"').format(table))

    def repeat(self, target: str) -> None:
        with self.fake.reader() as other:
            table = sql.Identifier(self.fake.schema, target.lower())
            other.execute(sql.SQL("INSERT INTO {0} SELECT * FROM {0}").format(table))


def plain(schema: pa.Schema, row: Sequence[Any]) -> dict[str, Any]:
    """SUPER arrives as JSON text, which a list is made of again."""
    return {
        field.name: json.loads(value) if pa.types.is_list(field.type) and value is not None else value
        for field, value in zip(schema, row, strict=True)
    }


def type_of(shown: str, precision: int | None, scale: int | None) -> pa.DataType:
    return pa.decimal128(precision, scale) if shown == "numeric" else TYPES[shown]
