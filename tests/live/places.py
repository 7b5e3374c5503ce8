"""A real warehouse as the suite sees it: in schemas of its own, which are dropped afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlglot import exp

from syncline.sinks import lattice
from syncline.sinks.dialect import Dialect
from syncline.sinks.served import Served
from syncline.sinks.session import Session
from syncline.sinks.targets import create_schema
from tests.sinks.redshift_house import Noting


@dataclass
class LiveHouse:
    """Opens warehouses by ``make``; a reader asks by a session of his own. ``names`` maps folded names back."""

    make: Callable[[], Served]
    names: dict[str, str] = field(default_factory=dict)
    documents: set[str] = field(default_factory=set)
    folds: bool = False

    def open(self) -> Any:
        warehouse = self.make()
        return Noting(warehouse, self.names, self.documents) if self.folds else warehouse  # type: ignore[arg-type]

    def read(self, target: str) -> pa.Table | None:
        with self.session() as (session, dialect, backend):
            place, _ = backend.places()
            table = place.table(target)
            columns = (backend.tables(session, place) or {}).get(dialect.spelled(table).name)
            if columns is None:
                return None
            rows = session.run(dialect.render(exp.select("*").from_(table)))
        found = {self.names.get(name, name): shown for name, shown in columns.items()}
        wanted = dict.fromkeys(self.documents, lattice.JSON)
        schema = pa.schema(
            [(name, dialect.arrow_type(shown, wanted.get(name)) or pa.int64()) for name, shown in found.items()]
        )
        return pa.Table.from_pylist([_plain(schema, row) for row in rows], schema)

    def intrude(self, target: str) -> None:
        with self.session() as (session, dialect, backend):
            place, _ = backend.places()
            query = exp.select(exp.alias_(exp.Literal.number(1), "Theirs", quoted=True))
            session.run(create_schema(place, dialect))
            session.run(dialect.render(exp.Create(this=place.table(target), kind="TABLE", expression=query)))

    def repeat(self, target: str) -> None:
        with self.session() as (session, dialect, backend):
            place, _ = backend.places()
            table = place.table(target)
            session.run(dialect.render(exp.Insert(this=table, expression=exp.select("*").from_(table.copy()))))

    def clear(self) -> None:
        with self.session() as (session, dialect, backend):
            for place in backend.places():
                session.run(f"DROP SCHEMA IF EXISTS {dialect.render(place.schema_table())} CASCADE")

    @contextmanager
    def session(self) -> Iterator[tuple[Session, Dialect, Any]]:
        backend = self.make()._backend
        session, dialect = backend.connect(lambda: None)
        try:
            yield session, dialect, backend
        finally:
            session.close()


def _plain(schema: pa.Schema, row: Sequence[Any]) -> dict[str, Any]:
    """Arrays arrive as JSON text."""
    return {
        field.name: json.loads(value) if pa.types.is_list(field.type) and isinstance(value, str) else value
        for field, value in zip(schema, row, strict=True)
    }
