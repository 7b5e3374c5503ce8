"""What happens to a batch between connector and landing: checked, sifted, counted, numbered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import compress

import pyarrow as pa

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN, Batch, Slice, SliceKind
from syncline.connectors.errors import DataError
from syncline.pipelines.checkpoint import LandedSlice
from syncline.pipelines.digest import Known, Overlap, at_or_above, digest_rows
from syncline.pipelines.task import Task
from syncline.sinks.manifest import FileEntry

SLICE_ROWS_MAX = 1 << 40
"""Rows one slice may hold before sequence numbers of two slices could meet."""


class Sieve:
    """One slice's way to its file. Drops rows that the mirror knows as committed and collects what the next run needs.

    The landed columns are the slice's, then ``_syncline_deleted`` and ``_syncline_seq``: slice ordinal, then row.
    """

    def __init__(self, task: Task, kind: SliceKind, ordinal: int, digest_rows_max: int) -> None:
        schema = task.schema
        self.columns = (
            schema.columns if kind == "records" else tombstone_columns(schema.columns, schema.key, schema.cursor)
        )
        self.landed_schema = pa.schema(
            [*self.columns, pa.field(DELETED_COLUMN, pa.bool_(), False), pa.field(SEQUENCE_COLUMN, pa.int64(), False)]
        )
        self.name = schema.name
        self.kind = kind
        self.cursor = schema.cursor
        self.known = Known(task.base.known if task.mode == "changes" and not task.whole else None)
        self.known_high = task.base.watermark
        self.overlap = Overlap(task.known_low, digest_rows_max, everything=schema.cursor is None)
        self.digest_rows_max = digest_rows_max
        self.first_seq = ordinal * SLICE_ROWS_MAX
        self.rows_read = 0
        self.rows_known = 0
        self.candidates = 0
        self.least: datetime | None = None
        self.largest: datetime | None = None

    def sift(self, batch: Batch) -> pa.RecordBatch:
        """The batch's new rows, ready to be landed."""
        records = batch.records
        if not records.schema.equals(self.columns):
            raise DataError(
                "read slice",
                self.name,
                f"the batch's columns differ from the described ones: {difference(records.schema, self.columns)}",
                "this is a defect of the connector; report it with the run id",
            )
        count = records.num_rows
        deleted = batch.deleted
        if deleted is None:
            deleted = pa.repeat(pa.scalar(self.kind == "tombstones"), count)
        sequence = pa.arange(self.first_seq + self.rows_read, self.first_seq + self.rows_read + count)
        rows = pa.RecordBatch.from_arrays([*records.columns, deleted, sequence], schema=self.landed_schema)
        self.rows_read += count
        rows = self.drop_known(rows)
        if self.cursor is not None and count:
            self.note_range(records.column(self.cursor))
        return rows

    def drop_known(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Computes digests for the rows near the overlap only, and for no more than the bound."""
        import pyarrow.compute as pc

        near = pc.indices_nonzero(self.near(rows))
        self.candidates += len(near)
        if self.candidates > self.digest_rows_max:
            self.overlap.overflow()
            self.known = Known(None)
        if not len(near) or (self.overlap.overflown and not self.known):
            return rows
        chosen = rows.select([*self.columns.names, DELETED_COLUMN]).take(near)
        digests = digest_rows(chosen)
        self.overlap.add(digests if self.cursor is None else compress(digests, self.remembered(chosen)))
        drop = [index for index, digest in zip(near.to_pylist(), digests, strict=True) if digest in self.known]
        if not drop:
            return rows
        self.rows_known += len(drop)
        position = pa.arange(0, rows.num_rows)
        return rows.filter(pc.invert(pc.is_in(position, pa.array(drop, position.type))))

    def near(self, rows: pa.RecordBatch) -> pa.Array:
        """The rows the mirror may know (below the watermark) or will have to know (in the coming overlap)."""
        import pyarrow.compute as pc

        if self.cursor is None:
            return pa.repeat(pa.scalar(not self.overlap.overflown), rows.num_rows)
        mask = self.remembered_mask(rows)
        if self.known and self.known_high is not None:
            column = rows.column(self.cursor)
            below = pc.less(column, pa.scalar(self.known_high, column.type))
            mask = pc.or_(mask, pc.fill_null(below, True))
        return mask

    def remembered_mask(self, rows: pa.RecordBatch) -> pa.Array:
        assert self.cursor is not None
        assert self.overlap.low is not None
        return at_or_above(rows.column(self.cursor), self.overlap.low)

    def remembered(self, rows: pa.RecordBatch) -> list[bool]:
        flags: list[bool] = self.remembered_mask(rows).to_pylist()
        return flags

    def note_range(self, column: pa.Array) -> None:
        import pyarrow.compute as pc

        found = pc.min_max(column).as_py()
        self.least = min((each for each in (self.least, found["min"]) if each is not None), default=None)
        self.largest = max((each for each in (self.largest, found["max"]) if each is not None), default=None)

    def landed(self, ordinal: int, slice: Slice, files: tuple[FileEntry, ...]) -> LandedSlice:
        return LandedSlice(
            ordinal=ordinal,
            kind=self.kind,
            files=files,
            rows_expected=slice.rows_expected,
            rows_read=self.rows_read,
            rows_known=self.rows_known,
            known=self.overlap.packed(),
            cursor_least=self.least,
            cursor_largest=self.largest,
            last=slice.last,
        )


def tombstone_columns(columns: pa.Schema, key: Sequence[str], cursor: str | None) -> pa.Schema:
    """A tombstone knows the key and, if the stream has a cursor, the instant of deletion."""
    names = {*key, cursor}
    return pa.schema([column for column in columns if column.name in names])


def difference(found: pa.Schema, wanted: pa.Schema) -> str:
    """The first column on which two schemas differ, in words."""
    for name in wanted.names:
        if name not in found.names:
            return f"{name} is missing"
        if found.field(name).type != wanted.field(name).type:
            return f"{name} is {found.field(name).type}, described as {wanted.field(name).type}"
    return "more columns, another order or other attributes than described"
