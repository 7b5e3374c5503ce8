"""Reading a part of a stream straight into a landing: some keys as they are now, or what changed since an instant.

Unlike an extraction this is read one slice after another, in order: what is read later is newer, and what has been
asked for and did not come is known to be gone from then on.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa

import syncline
from syncline.connectors.connector import (
    DELETED_COLUMN,
    SEQUENCE_COLUMN,
    Batch,
    Extraction,
    Json,
    Outcome,
    SliceKind,
    StreamSchema,
    Window,
)
from syncline.connectors.errors import DataError
from syncline.pipelines.context import Context
from syncline.pipelines.sieve import tombstone_columns
from syncline.pipelines.task import all_of
from syncline.sinks.manifest import FileEntry, Manifest, Mode

LOOKUP_KEYS_MAX = 50_000
"""Keys that are looked up one by one, some 430 a request of Salesforce; above that a whole read is filtered."""

FIRST_SEQUENCE = 1 << 62
"""Above the numbers of every slice of an extraction, so that what is gathered after it is newer (NEWEST-WINS)."""

_ROW = "_syncline_row"


@dataclass(slots=True)
class Gathered:
    """Files of one stream, named by a run; ``rows`` counts what they hold."""

    context: Context
    schema: StreamSchema
    run_id: str
    started_at: datetime
    files: list[FileEntry] = field(default_factory=list)
    rows: int = 0

    def add(self, part: str, kind: SliceKind, batches: Iterable[Batch]) -> None:
        """Lands the batches as one slice; they have the schema's columns, or those of its tombstones."""
        schema = self.schema
        columns = schema.columns
        if kind == "tombstones":
            columns = tombstone_columns(schema.columns, schema.key, schema.cursor)
        landed = pa.schema([*columns, pa.field(DELETED_COLUMN, pa.bool_(), False),
                            pa.field(SEQUENCE_COLUMN, pa.int64(), False)])  # fmt: skip
        with self.context.landing.writer(
            pipeline=self.context.pipeline.name,
            stream=schema.name,
            run_id=self.run_id,
            started_at=self.started_at,
            slice_id=part,
            kind=kind,
            columns=landed,
        ) as writer:
            for batch in batches:
                self.context.stop.check()
                if batch.records.num_rows:
                    writer.write(self._numbered(batch, kind, columns, landed))
        self.files += writer.files

    def _numbered(self, batch: Batch, kind: SliceKind, columns: pa.Schema, landed: pa.Schema) -> pa.RecordBatch:
        records, count = batch.records, batch.records.num_rows
        if not records.schema.equals(columns):
            cause = f"columns {records.schema.names} came, not those described"
            raise DataError("read by key", self.schema.name, cause, "this is a defect of the connector; report it")
        deleted = batch.deleted
        if deleted is None:
            deleted = pa.repeat(pa.scalar(kind == "tombstones"), count)
        first = FIRST_SEQUENCE + self.rows
        self.rows += count
        return pa.RecordBatch.from_arrays([*records.columns, deleted, pa.arange(first, first + count)], schema=landed)

    def manifest(self, mode: Mode, high: datetime, query: str) -> Manifest:
        """What was gathered, by name; the caller seals it if it is to be kept."""
        return Manifest(
            pipeline=self.context.pipeline.name,
            stream=self.schema.name,
            run_id=self.run_id,
            started_at=self.started_at,
            window=Window(None, high),
            mode=mode,
            columns=self.schema.columns,
            key=self.schema.key,
            cursor=self.schema.cursor,
            files=tuple(self.files),
            rows_announced=None,
            rows_read=self.rows,
            rows_known=0,
            api="keys",
            query=query,
            versions=versions_of(self.context),
        )


def versions_of(context: Context) -> dict[str, str]:
    """Of the program, and of the source's API where the connector tells."""
    own = {"syncline": syncline.__version__, "pyarrow": pa.__version__, "python": platform.python_version()}
    return {**own, **getattr(context.connector, "versions", {})}


def gather_keys(gathered: Gathered, keys: pa.Table, horizon: datetime, spared: pa.Table | None = None) -> pa.Table:
    """The records of these keys as they are now, and a tombstone for each key that did not come; those of ``spared``
    that did not come get none, and are returned.

    The tombstones' cursor is null, the oldest there is: a deletion whose instant is known outdoes it.
    """
    schema = gathered.schema
    found: list[pa.Table] = []

    def noting(batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if spared is not None and batch.deleted is not None:
                batch = _but_deleted(batch, spared)
            found.append(pa.Table.from_batches([batch.records.select(list(schema.key))]))
            yield batch

    gathered.add("keys", "records", noting(read_keys(gathered.context, schema, keys, horizon)))
    gone = keys if not found else keys.join(pa.concat_tables(found), list(schema.key), join_type="left anti")
    left = gone.slice(0, 0) if spared is None else gone.join(spared, list(schema.key), join_type="left semi")
    if len(left):
        gone = gone.join(left, list(schema.key), join_type="left anti")
    gathered.add("gone", "tombstones", _tombstones(schema, gone))
    return left


def _but_deleted(batch: Batch, spared: pa.Table) -> Batch:
    """Without the deleted records of these keys: to a source that still shows them they are gone, too."""
    import pyarrow.compute as pc

    names, rows = spared.column_names, batch.records.num_rows
    places = pa.Table.from_batches([batch.records.select(names)]).append_column(_ROW, pa.arange(0, rows))
    dropped = places.filter(batch.deleted).join(spared, names, join_type="left semi")[_ROW].combine_chunks()
    kept = pc.invert(pc.is_in(pa.arange(0, rows), value_set=dropped))
    return Batch(batch.records.filter(kept), None if batch.deleted is None else batch.deleted.filter(kept))


def _tombstones(schema: StreamSchema, keys: pa.Table) -> Iterator[Batch]:
    columns = tombstone_columns(schema.columns, schema.key, schema.cursor)
    arrays = [
        keys[each.name].combine_chunks() if each.name in schema.key else pa.nulls(len(keys), each.type)
        for each in columns
    ]
    yield from (Batch(part) for part in pa.Table.from_arrays(arrays, schema=columns).combine_chunks().to_batches())


def read_keys(context: Context, schema: StreamSchema, keys: pa.Table, horizon: datetime) -> Iterator[Batch]:
    """The records of these keys as they are now: looked up where that can be done, else filtered from a whole read."""
    look_up = getattr(context.connector, "look_up", None)
    if look_up is not None and len(keys) <= LOOKUP_KEYS_MAX:
        found: Iterator[Batch] | None = look_up(schema, keys)
        if found is not None:
            yield from found
            return
    with extracting(context, schema, all_of(schema, horizon)) as extraction:
        for batch in _records(extraction):
            yield from _among(batch, keys)


def _among(batch: Batch, keys: pa.Table) -> Iterator[Batch]:
    names, rows = keys.column_names, batch.records.num_rows
    places = pa.Table.from_batches([batch.records.select(names)]).append_column(_ROW, pa.arange(0, rows))
    kept = places.join(keys, names, join_type="left semi")[_ROW].combine_chunks().sort()
    if len(kept):
        yield Batch(batch.records.take(kept), None if batch.deleted is None else batch.deleted.take(kept))


def gather_departed(gathered: Gathered, since: datetime, horizon: datetime) -> None:
    """The tombstones of what left the source since ``since``: an increment is going to bring them (COMPLETE-WINDOW)."""
    if since < horizon:
        _gather(gathered, "departed", Window(since, horizon), ("tombstones",))


def gather_changed(gathered: Gathered, since: datetime, horizon: datetime) -> None:
    """Every key that changed since ``since``, up to now, whether its record lives or not."""
    if since < horizon:
        _gather(gathered, "changed", Window(since, horizon), ("records", "tombstones"))
    recent = Window(max(since, horizon), all_of(gathered.schema, horizon).high)
    _gather(gathered, "recent", recent, ("records",))


def _gather(gathered: Gathered, part: str, window: Window, kinds: Sequence[SliceKind]) -> None:
    with extracting(gathered.context, gathered.schema, window) as extraction:
        for number, slice in enumerate(extraction.slices(None, _forget)):
            if slice.kind in kinds:
                gathered.add(f"{part}-{number}", slice.kind, extraction.read(slice))


def _records(extraction: Extraction) -> Iterator[Batch]:
    for slice in extraction.slices(None, _forget):
        if slice.kind == "records":
            yield from extraction.read(slice)


def _forget(token: Json) -> None:
    """Small readings are not resumed; whoever reads a stream whole remembers its jobs."""


@contextmanager
def extracting(context: Context, schema: StreamSchema, window: Window) -> Iterator[Extraction]:
    """An extraction that is settled on every way out; what it warns of goes into the report."""
    extraction = context.connector.plan(schema, window)
    outcome: Outcome = "abandoned"
    try:
        yield extraction
        outcome = "landed"
    finally:
        extraction.close(outcome)
        for warning in extraction.warnings:
            context.warn(warning, schema.name)


def narrowed(schema: StreamSchema) -> StreamSchema:
    """Key and cursor alone."""
    return schema.select([*schema.key, *([schema.cursor] if schema.cursor else [])])


def keys_table(schema: StreamSchema, keys: Iterable[tuple[object, ...]]) -> pa.Table:
    """The keys in the source's types, each once."""
    columns = pa.schema([schema.columns.field(name) for name in schema.key])
    rows = [dict(zip(schema.key, key, strict=True)) for key in dict.fromkeys(keys)]
    return pa.Table.from_pylist(rows, schema=columns)


def uncursored(schema: StreamSchema) -> StreamSchema:
    """The same records with no order of time: what the source says of them now is right, whatever their stamps."""
    return replace(schema, cursor=None)
