"""Where the warehouses under test keep their storage, and how a reader looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from syncline.sinks.duckdb import DuckDB
from syncline.sinks.memory import Memory, Storage, Table


@dataclass
class MemoryHouse:
    storage: Storage = field(default_factory=Storage)

    def open(self) -> Memory:
        return Memory(self.storage)

    def read(self, target: str) -> pa.Table | None:
        return self.storage.read(target)

    def intrude(self, target: str) -> None:
        self.storage.state.tables[target] = Table({"Theirs": pa.int64()}, [{"Theirs": 1}])


@dataclass
class DuckDBHouse:
    """``settings`` go to every warehouse opened."""

    path: Path
    schema: str = "main"
    settings: dict[str, Any] = field(default_factory=dict)

    def open(self) -> DuckDB:
        return DuckDB(self.path, self.schema, **self.settings)

    def read(self, target: str) -> pa.Table | None:
        if not self.path.exists():
            return None
        with self.reader() as reader:
            known = reader.execute(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?",
                [self.schema, target],
            )
            if not known.fetchall():
                return None
            table = reader.sql(f'FROM "{self.schema}"."{target}"').to_arrow_table()
            return utc(table)

    def intrude(self, target: str) -> None:
        with self.reader() as reader:
            reader.execute(f'CREATE TABLE "{self.schema}"."{target}" AS SELECT 1 AS "Theirs"')

    def repeat(self, target: str) -> None:
        with self.reader() as other:
            other.execute(f'INSERT INTO "{self.schema}"."{target}" FROM "{self.schema}"."{target}"')

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Another connection in this process; another process could not open the file."""
        connection = duckdb.connect(str(self.path))
        try:
            yield connection
        finally:
            connection.close()


def utc(table: pa.Table) -> pa.Table:
    """The same instants in the zone ``UTC``: a reader's session says in which zone it shows them."""
    fields = [
        field.with_type(pa.timestamp("us", tz="UTC")) if pa.types.is_timestamp(field.type) and field.type.tz else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))
