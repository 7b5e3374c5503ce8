"""Where the Snowflake warehouse under test keeps its storage, and how a reader looks at it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from syncline.sinks.snowflake import Snowflake
from syncline.sinks.snowflake_catalog import select_columns, tables_of
from syncline.sinks.snowflake_dialect import SNOWFLAKE
from syncline.sinks.snowflake_settings import settings_from
from tests.servers.snowflake_fixtures import FakeSnowflake


@dataclass
class SnowflakeHouse:
    """``given`` and ``seams`` go to every warehouse opened. A reader asks with a session of its own."""

    server: FakeSnowflake
    database: str
    given: dict[str, Any] = field(default_factory=lambda: {"names": "exact"})
    seams: dict[str, Any] = field(default_factory=dict)

    def open(self) -> Snowflake:
        settings = {"database": self.database, "schema": "CRM", "network_timeout_s": 5, **self.given}
        return Snowflake(settings_from(self.server.variables, **settings), **self.seams)

    def read(self, target: str) -> pa.Table | None:
        with self.server.reader() as reader:
            cursor = reader.cursor()
            tables = tables_of(cursor.execute(select_columns(self.database, "CRM")).fetchall()) or {}
            if target not in tables:
                return None
            rows = cursor.execute(f'SELECT * FROM "{self.database}"."CRM"."{target}"').fetchall()
        types = {name: SNOWFLAKE.arrow_type(shown) or pa.int64() for name, shown in tables[target].items()}
        schema = pa.schema(list(types.items()))
        return pa.Table.from_pylist([plain(schema, row) for row in rows], schema)

    def intrude(self, target: str) -> None:
        with self.server.reader() as reader:
            reader.cursor().execute(f'CREATE SCHEMA IF NOT EXISTS "{self.database}"."CRM"')
            reader.cursor().execute(f'CREATE TABLE "{self.database}"."CRM"."{target}" AS SELECT 1 AS "Theirs"')

    def repeat(self, target: str) -> None:
        table = f'"{self.database}"."CRM"."{target}"'
        with self.server.reader() as reader:
            reader.cursor().execute(f"INSERT INTO {table} SELECT * FROM {table}")


def plain(schema: pa.Schema, row: tuple[Any, ...]) -> dict[str, Any]:
    """Arrays arrive as JSON text."""
    return {
        field.name: json.loads(value) if pa.types.is_list(field.type) and value is not None else value
        for field, value in zip(schema, row, strict=True)
    }
