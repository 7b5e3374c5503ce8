"""An in-memory source: the reference implementation of the port, and the double that tests and simulations sync from.

Read it as the example when you write a connector. It behaves like a vendor's system with a job API: rows are stamped
when they change, they can become visible later than their stamp says (a late commit), deleted rows stay for a while
with a flag or vanish at once, and a job keeps the rows of a window as they were when it was made::

    insert, update, delete ──▶ versions ──(visible now, newest per key)──▶ current ──(window)──▶ job ──▶ slices
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal, Self, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.connector import (
    BATCH_ROWS_MAX,
    Batch,
    Forecast,
    Json,
    Outcome,
    Slice,
    StreamSchema,
    Tally,
    Window,
)
from syncline.connectors.errors import ConfigError, CountMismatch, Transient, ValueOutOfType
from syncline.connectors.names import unknown_stream
from syncline.connectors.values import JSON, Misfit, to_array

Rows: TypeAlias = Iterable[Mapping[str, object]] | pa.Table
Key: TypeAlias = object
"""A key's value; a tuple of values where the key has several columns."""

LIVE, DELETED, PURGED = 0, 1, 2

_STATE, _VISIBLE_AT, _NUMBER = "_syncline_state", "_syncline_visible_at", "_syncline_number"
_INSTANT = pa.timestamp("us", tz="UTC")
_VERSION = [pa.field(_STATE, pa.int8()), pa.field(_VISIBLE_AT, _INSTANT), pa.field(_NUMBER, pa.int64())]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _Collection:
    """One stream and every version its rows ever had. Only ``Records`` touches it, under its lock."""

    schema: StreamSchema
    versions: pa.Table

    def current(self, now: datetime) -> pa.Table:
        """The newest visible version of each row, by cursor and then by order of arrival."""
        seen = self.versions.filter(pc.less_equal(self.versions[_VISIBLE_AT], pa.scalar(now, _INSTANT)))
        order = [self.schema.cursor] if self.schema.cursor else []
        seen = seen.sort_by([(name, "ascending") for name in [*order, _NUMBER]])
        if not self.schema.key:
            return seen
        newest = seen.group_by(list(self.schema.key), use_threads=False).aggregate([(_NUMBER, "last")])
        return seen.filter(pc.is_in(seen[_NUMBER], newest[f"{_NUMBER}_last"]))


@dataclass(frozen=True, slots=True)
class _Job:
    """What a vendor's query job keeps: the rows of a window as they were when the job was made."""

    records: pa.Table
    tombstones: pa.Table


@dataclass(slots=True)
class Records:
    """Streams held in memory, offered as a connector.

    ``clock`` is the source's clock: it stamps rows, decides what is visible and gives the horizon (COMPLETE-WINDOW).
    ``slice_rows`` bounds a slice. Every method may be called from any thread.
    """

    clock: Callable[[], datetime] = utc_now
    settling_lag_s: float = 60.0
    slice_rows: int = 10_000
    api_calls: int = 0
    _collections: dict[str, _Collection] = field(default_factory=dict, repr=False)
    _jobs: dict[str, _Job] = field(default_factory=dict, repr=False)
    _jobs_made: int = field(default=0, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    # ---- the source's side: what happens in the vendor's system ----

    def add(
        self,
        name: str,
        columns: pa.Schema,
        *,
        key: str | Sequence[str] = (),
        cursor: str | None = None,
        deletes: Literal["flagged", "absent", "none"] = "absent",
        rows: Rows = (),
    ) -> Self:
        """Makes a stream; returns the source, so that calls can be chained. ``cursor`` is a UTC timestamp column."""
        key = (key,) if isinstance(key, str) else tuple(key)
        schema = StreamSchema(name, columns, key, cursor, (cursor,) if cursor else (), deletes)
        if cursor and columns.field(cursor).type != _INSTANT:
            raise ConfigError("add", name, f"cursor {cursor} is {columns.field(cursor).type}", f"declare it {_INSTANT}")
        with self._lock:
            self._collections[name] = _Collection(schema, pa.schema([*columns, *_VERSION]).empty_table())
        self.insert(name, rows)
        return self

    def insert(self, name: str, rows: Rows, *, visible_at: datetime | None = None) -> None:
        """Writes whole rows. A row without a cursor value is stamped now; a stamp in the past with a later
        ``visible_at`` is a late commit. The newest stamp of a key wins, whenever it becomes visible."""
        columns = self._collection(name).schema.columns
        if isinstance(rows, pa.Table) and JSON in columns.types:
            rows = rows.to_pylist()
        self._write(name, rows if isinstance(rows, pa.Table) else _table(name, rows, columns), LIVE, visible_at)

    def update(self, name: str, rows: Iterable[Mapping[str, object]], *, visible_at: datetime | None = None) -> None:
        """Changes the given columns of rows named by their key columns, and stamps them. Undeletes a deleted row."""
        with self._lock:
            schema = self._collection(name).schema
            changes = {_key_of(row, schema.key): row for row in rows}
            found = self._find(name, changes)
            unstamped = {} if schema.cursor is None else {schema.cursor: None}
            changed = [{**row, **unstamped, **changes[_key_of(row, schema.key)]} for row in found.to_pylist()]
            self._write(name, _table(name, changed, schema.columns), LIVE, visible_at)

    def delete(self, name: str, keys: Iterable[Key], *, purge: bool = False) -> None:
        """Deletes rows and stamps the deletion. With ``deletes="flagged"`` they stay, marked, until ``purge``;
        otherwise nothing shows that they were there."""
        with self._lock:
            schema = self._collection(name).schema
            found = self._find(name, [key if isinstance(key, tuple) else (key,) for key in keys])
            if schema.cursor is not None:
                found = _replaced(found, schema.cursor, pa.nulls(len(found), _INSTANT))
            self._write(name, found, PURGED if purge or schema.deletes != "flagged" else DELETED, None)

    def alter(self, name: str, columns: pa.Schema) -> None:
        """Changes a stream's columns: new ones are null in every row, a dropped one is forgotten."""
        with self._lock:
            collection = self._collection(name)
            shape = pa.schema([*columns, *_VERSION])
            collection.versions = _conformed(collection.versions, shape)
            collection.schema = replace(collection.schema, columns=columns)

    def rows(self, name: str) -> pa.Table:
        """The truth: the live rows visible now, in cursor order. What a target must be equal to."""
        with self._lock:
            collection = self._collection(name)
            current = collection.current(self.clock())
        return current.filter(pc.equal(current[_STATE], LIVE)).select(collection.schema.columns.names)

    @property
    def jobs(self) -> tuple[str, ...]:
        """The jobs the source keeps; empty once every extraction was closed."""
        return tuple(self._jobs)

    def forget_jobs(self) -> None:
        """The source drops its jobs, as vendors do after some days."""
        with self._lock:
            self._jobs.clear()

    # ---- the connector's side: the port ----

    def describe(self, names: Sequence[str]) -> Sequence[StreamSchema]:
        self._count_call()
        return [self._collection(name).schema for name in names]

    def horizon(self) -> datetime:
        self._count_call()
        return self.clock() - timedelta(seconds=self.settling_lag_s)

    def plan(self, stream: StreamSchema, window: Window) -> _Extraction:
        if stream.where is not None:
            raise ConfigError("plan", stream.name, "Records has no query language", "leave `where` out")
        rows = len(self._select(stream, window).records)
        return _Extraction(self, stream, window, Forecast("memory", _query(stream, window), rows, calls=1))

    def look_up(self, stream: StreamSchema, keys: pa.Table) -> Iterator[Batch] | None:
        """The current rows with these keys; a purged one does not come."""
        if not stream.key:
            return None
        wanted = {_key_of(row, stream.key) for row in keys.to_pylist()}
        with self._lock:
            self.api_calls += 1
            current = self._collection(stream.name).current(self.clock())
        found = [_key_of(row, stream.key) in wanted for row in current.select(list(stream.key)).to_pylist()]
        current = current.filter(pa.array(found, pa.bool_())).filter(pc.field(_STATE) != PURGED)
        return (_batch(stream, part, "records") for part in current.to_batches(max_chunksize=BATCH_ROWS_MAX))

    def tally(self, stream: StreamSchema, edges: Sequence[datetime]) -> Sequence[Tally] | None:
        """Counts the live rows of each range."""
        if stream.cursor is None:
            return None
        rows = self._select(stream, Window(None, edges[-1])).records
        stamps = rows.filter(pc.field(_STATE) == LIVE)[stream.cursor].to_pylist()
        ranges = ([s for s in stamps if low <= s < high] for low, high in pairwise(edges))
        return [Tally(len(each), min(each, default=None), max(each, default=None)) for each in ranges]

    def close(self) -> None:
        """Nothing is held open."""

    # ---- inside ----

    def _collection(self, name: str) -> _Collection:
        with self._lock:
            if name not in self._collections:
                raise unknown_stream(name, self._collections, "this Records source")
            return self._collections[name]

    def _count_call(self) -> None:
        with self._lock:
            self.api_calls += 1

    def _write(self, name: str, rows: pa.Table, state: int, visible_at: datetime | None) -> None:
        with self._lock:
            collection = self._collection(name)
            now = pa.scalar(self.clock(), _INSTANT)
            cursor = collection.schema.cursor
            if cursor is not None:
                rows = _replaced(rows, cursor, pc.fill_null(rows[cursor], now))
            visible = now if visible_at is None else pa.scalar(visible_at, _INSTANT)
            numbers = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), len(rows)), len(collection.versions))
            version = [pa.repeat(pa.scalar(state, pa.int8()), len(rows)), pa.repeat(visible, len(rows)), numbers]
            shape = collection.versions.schema
            written = pa.Table.from_arrays(
                [*rows.select(collection.schema.columns.names).columns, *version], shape.names
            )
            collection.versions = pa.concat_tables([collection.versions, written.cast(shape)])

    def _find(self, name: str, keys: Iterable[Key]) -> pa.Table:
        """The current rows with these keys, deleted ones too; purged ones are gone. Loud about a key without a row."""
        collection = self._collection(name)
        wanted = set(keys)
        rows = collection.current(self.clock())
        rows = rows.filter(pc.not_equal(rows[_STATE], PURGED)).select(collection.schema.columns.names)
        have = [_key_of(row, collection.schema.key) for row in rows.select(list(collection.schema.key)).to_pylist()]
        if missing := wanted.difference(have):
            raise KeyError(f"{name} has no rows with the keys {sorted(map(str, missing))}")
        return rows.filter(pa.array([key in wanted for key in have], pa.bool_()))

    def _select(self, stream: StreamSchema, window: Window) -> _Job:
        """The window's rows as they are now: low inclusive, high exclusive, every tie included (COMPLETE-WINDOW)."""
        with self._lock:
            self.api_calls += 1
            current = self._collection(stream.name).current(self.clock())
        if stream.cursor is not None:
            stamps = current[stream.cursor]
            current = current.filter(pc.less(stamps, pa.scalar(window.high, _INSTANT)))
            if window.low is not None:
                current = current.filter(pc.greater_equal(current[stream.cursor], pa.scalar(window.low, _INSTANT)))
        purged = pc.equal(current[_STATE], PURGED)
        tombstones = current.filter(purged) if stream.deletes == "flagged" else current.slice(0, 0)
        return _Job(current.filter(pc.invert(purged)), tombstones)

    def _open_job(self, stream: StreamSchema, window: Window) -> str:
        with self._lock:
            self._jobs_made += 1
            job = f"job{self._jobs_made}"
            self._jobs[job] = self._select(stream, window)
            return job

    def _job(self, job: str) -> _Job | None:
        with self._lock:
            return self._jobs.get(job)

    def _drop_job(self, job: str) -> None:
        with self._lock:
            self._jobs.pop(job, None)


@dataclass(slots=True)
class _Extraction:
    """A job's rows in slices. The job is the vendor's locator: resuming it gives the same slices (VALUE-RESUME)."""

    source: Records
    stream: StreamSchema
    window: Window
    forecast: Forecast
    warnings: tuple[str, ...] = ()
    _job: str | None = None

    def slices(self, resume: Json | None, remember: Callable[[Json], None]) -> Iterator[Slice]:
        asked = hashlib.sha256(repr((self.stream, self.window)).encode()).hexdigest()
        if resume is not None and resume["asked"] == asked and self.source._job(resume["job"]) is not None:
            self._job = str(resume["job"])
        else:
            self.source._drop_job("" if resume is None else resume["job"])
            self._job = self.source._open_job(self.stream, self.window)
        remember({"job": self._job, "asked": asked})
        job = self._kept(self._job)
        for kind, table in (("tombstones", job.tombstones), ("records", job.records)):
            for first in range(0, len(table), self.source.slice_rows):
                rows = min(self.source.slice_rows, len(table) - first)
                params = {"job": self._job, "first": first, "rows": rows}
                whole = (f"{self._job}-{kind}", len(table))
                yield Slice(f"{self._job}-{kind}-{first}", params, kind, rows, *whole)  # type: ignore[arg-type]

    def read(self, slice: Slice) -> Iterator[Batch]:
        self.source._count_call()
        job = self._kept(slice.params["job"])
        table = job.records if slice.kind == "records" else job.tombstones
        rows = table.slice(slice.params["first"], slice.params["rows"])
        if len(rows) != slice.rows_expected:
            raise CountMismatch("read", f"{self.stream.name}, {slice.id}", f"{len(rows)} rows, not those announced")
        for part in rows.combine_chunks().to_batches(max_chunksize=BATCH_ROWS_MAX):
            yield _batch(self.stream, part, slice.kind)

    def close(self, outcome: Outcome, left: Json | None = None) -> None:
        if self._job is not None and outcome != "kept":
            self.source._drop_job(self._job)
        if left is not None:
            self.source._drop_job(left["job"])

    def _kept(self, job: str) -> _Job:
        kept = self.source._job(job)
        if kept is None:
            raise Transient("read", f"{self.stream.name}, {job}", "the source no longer keeps this job", "run again")
        return kept


def _batch(stream: StreamSchema, part: pa.RecordBatch, kind: str) -> Batch:
    names = set(stream.columns.names)
    if kind == "tombstones":
        names = {*stream.key, *([stream.cursor] if stream.cursor else [])}
    columns = pa.schema([column for column in stream.columns if column.name in names])
    records = part.select(columns.names).cast(columns)
    deleted = pc.not_equal(part[_STATE], LIVE)
    return Batch(records, deleted if kind == "records" and pc.any(deleted).as_py() else None)


def _table(name: str, rows: Iterable[Mapping[str, object]], columns: pa.Schema) -> pa.Table:
    rows = list(rows)
    unknown = {field for row in rows for field in row}.difference(columns.names)
    if unknown:
        raise ConfigError("write", name, f"no such columns: {', '.join(sorted(unknown))}", "declare them with alter()")
    for column in columns:
        if column.type == JSON:
            rows = _with_documents(name, rows, column.name)
    return pa.Table.from_pylist(rows, columns)


def _with_documents(name: str, rows: Sequence[Mapping[str, object]], column: str) -> list[Mapping[str, object]]:
    """The rows with JSON in the form that every connector hands it over in: see ``values.json_text``."""
    try:
        texts = to_array([row.get(column) for row in rows], JSON, parse=False).to_pylist()
    except Misfit as misfit:
        hint = "give a JSON document, or declare the column as text"
        raise ValueOutOfType("write", f"{name}.{column}", str(misfit), hint) from None
    return [{**row, column: text} for row, text in zip(rows, texts, strict=True)]


def _conformed(table: pa.Table, shape: pa.Schema) -> pa.Table:
    known = set(table.column_names)
    arrays = [
        table[column.name].cast(column.type) if column.name in known else pa.nulls(len(table), column.type)
        for column in shape
    ]
    return pa.Table.from_arrays(arrays, schema=shape)


def _replaced(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)


def _key_of(row: Mapping[str, object], key: Sequence[str]) -> tuple[object, ...]:
    return tuple(row[name] for name in key)


def _query(stream: StreamSchema, window: Window) -> str:
    if stream.cursor is None:
        return f"all of {stream.name}"
    low = "the beginning" if window.low is None else window.low.isoformat()
    return f"{stream.name} with {stream.cursor} from {low} to before {window.high.isoformat()}"
