"""What is asked of an object and what comes back from it, the same for query pages and Bulk pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from syncline.connectors.connector import BATCH_ROWS_MAX, Batch, StreamSchema
from syncline.connectors.salesforce.columns import settle_column, wire_type
from syncline.connectors.salesforce.describe import Facts
from syncline.connectors.salesforce.soql import DELETED_FIELD


@dataclass(frozen=True, slots=True)
class Shape:
    """``columns`` are what batches have; ``fields`` what is asked for: those, and what reading itself needs."""

    object: str
    columns: pa.Schema
    fields: tuple[str, ...]
    loose: frozenset[str]

    @staticmethod
    def of(stream: StreamSchema, facts: Facts) -> Shape:
        names = tuple(stream.columns.names)
        extra = (DELETED_FIELD,) if facts.flagged and DELETED_FIELD not in names else ()
        return Shape(stream.name, stream.columns, (*names, *extra), facts.loose)

    def asking(self, fields: tuple[str, ...]) -> Shape:
        """The same object with other fields asked for, for one of several queries that share a record."""
        columns = pa.schema([field for field in self.columns if field.name in fields])
        return Shape(self.object, columns, fields, self.loose)

    def target(self, name: str) -> pa.DataType:
        at = self.columns.get_field_index(name)  # asked for each column of each page: `names` would be made anew
        if at >= 0:
            return self.columns.field(at).type
        return pa.bool_() if name == DELETED_FIELD else pa.string()

    def wire(self, name: str) -> pa.DataType:
        return wire_type(self.target(name))

    def settle(self, wired: Mapping[str, pa.Array]) -> pa.RecordBatch:
        """Every field asked for, in its target type."""
        arrays = [settle_column(wired[name], self.target(name), name, self.object) for name in self.fields]
        return pa.RecordBatch.from_arrays(arrays, names=list(self.fields))

    def batches(self, settled: pa.RecordBatch) -> Iterator[Batch]:
        """The rows as the port wants them: exactly the stream's columns, marks aside, of bounded size."""
        for start in range(0, settled.num_rows, BATCH_ROWS_MAX):
            part = settled.slice(start, BATCH_ROWS_MAX)
            arrays = [part.column(name) for name in self.columns.names]
            yield Batch(pa.RecordBatch.from_arrays(arrays, schema=self.columns), self._marks(part))

    def _marks(self, rows: pa.RecordBatch) -> pa.BooleanArray | None:
        import pyarrow.compute as pc

        if DELETED_FIELD not in self.fields:
            return None
        marks = pc.fill_null(rows.column(DELETED_FIELD), False)
        return marks if pc.any(marks).as_py() else None
