"""Any dlt source as a connector: its resources are the streams.

::

    resource ──(hints, and once a sample)──▶ StreamSchema
    resource ──(the window as bounds)──▶ items ──▶ Arrow ──(the window, exactly)──▶ slice files ──▶ slices

dlt delivers rows. Which of them count stays with Syncline: window, state, ties, deletions, merge. ``dlt`` is imported
when a stream is first described.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.bounds import Bounds
from syncline.connectors.connector import (
    BATCH_ROWS_MAX,
    DELETED_COLUMN,
    Batch,
    Forecast,
    Json,
    Outcome,
    Slice,
    StreamSchema,
    Window,
)
from syncline.connectors.dlt_resource import DltObject, Hints, hints_of, opened, resources_of
from syncline.connectors.dlt_stream import DltStream, dlt_stream, sampling_bounds
from syncline.connectors.errors import ConfigError, CountMismatch, DataError, Stopped
from syncline.connectors.infer import Notes, TypeBook
from syncline.connectors.names import unknown_stream
from syncline.connectors.shaping import Rows, Shape, chunks, learned_types
from syncline.connectors.slice_files import SliceFiles
from syncline.connectors.values import INSTANT

if TYPE_CHECKING:
    from dlt.extract import DltResource

SAMPLE_ROWS_MAX = 1_000
CHUNK_ROWS_MAX = 10_000
"""Rows of dicts turned into Arrow at once."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class DltSource:
    """A dlt source, a dlt resource, or a function without arguments that makes one, as a connector.

    Key, cursor and write disposition come from the resource's hints: ``primary_key``, the ``incremental`` over a
    column of instants, ``hard_delete``. Types come from its declared ``columns``. What it does not declare is guessed
    from a sample of ``SAMPLE_ROWS_MAX`` rows when the stream is first seen, kept in ``types_file``, and from then on
    only widened:

    * a field that appears later is named in the run's warnings and read from the next run on, which reads the stream
      whole to fill it (without a ``types_file`` it is an error: nobody would remember it);
    * a value that its guessed type cannot hold fails the run; the next run reads with the wider type;
    * a value that its declared type cannot hold fails every run until the declaration or the value changes.

    A stream without a usable cursor is read whole in each run. Naive times are taken for UTC. The horizon is
    ``clock`` minus ``settling_lag_s``: this machine's clock, weaker than a source's own, so keep it synchronised and
    the lag above its error. The streams of one source are read one at a time, to local disk, and landed from there.
    """

    source: DltObject = field(repr=False)
    settling_lag_s: float = 60.0
    clock: Callable[[], datetime] = field(default=utc_now, repr=False)
    types_file: str | Path | None = ".syncline/types.json"
    slice_rows: int = BATCH_ROWS_MAX
    api_calls: int = 0
    """Readings begun: dlt does not say how many requests one takes."""
    _found: tuple[str, Mapping[str, DltResource]] | None = field(default=None, repr=False)
    _book: TypeBook = field(init=False, repr=False)
    _described: dict[str, DltStream] = field(default_factory=dict, repr=False)
    _closed: threading.Event = field(default_factory=threading.Event, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        self._book = TypeBook(None if self.types_file is None else Path(self.types_file))

    def describe(self, names: Sequence[str]) -> Sequence[StreamSchema]:
        with self._lock:
            return [self._describe(name).schema for name in names]

    def horizon(self) -> datetime:
        return self.clock().astimezone(UTC) - timedelta(seconds=self.settling_lag_s)

    def plan(self, stream: StreamSchema, window: Window) -> _Extraction:
        if stream.where is not None:
            cause = "a dlt resource has no query language"
            raise ConfigError(
                "plan", f"{stream.name}, where", cause, "filter with the resource's own arguments or add_filter"
            )
        with self._lock:
            described = self._described.get(stream.name) or self._describe(stream.name)
        return _Extraction(self, stream, window, described, described.bounds(stream, window))

    def close(self) -> None:
        """Breaks what is being read; what is planned from now on is read again."""
        closed, self._closed = self._closed, threading.Event()
        closed.set()

    def _describe(self, name: str) -> DltStream:
        found, resources = self._resources()
        if name not in resources:
            raise unknown_stream(name, resources, f"the dlt source {found}")
        resource = resources[name]
        hints = hints_of(resource)
        notes = self._book.notes(self._page(name))
        sampled = notes is None and not hints.frozen
        if notes is None:
            notes = self._sample(resource, hints) if sampled else Notes()
        self._described[name] = dlt_stream(resource, hints, notes, sampled=sampled)
        return self._described[name]

    def _resources(self) -> tuple[str, Mapping[str, DltResource]]:
        if self._found is None:
            self._found = resources_of(self.source)
        return self._found

    def _page(self, name: str) -> str:
        return f"{self._resources()[0]}/{name}"

    def _sample(self, resource: DltResource, hints: Hints) -> Notes:
        """What a few rows show; remembered unless there were none."""
        self.api_calls += 1
        with opened(resource, hints, sampling_bounds(hints, self.horizon())) as items:
            rows: Rows = next(chunks(items, resource.name, SAMPLE_ROWS_MAX), [])
        rows = rows[:SAMPLE_ROWS_MAX] if isinstance(rows, list) else rows.slice(0, SAMPLE_ROWS_MAX)
        if not len(rows):
            return Notes()
        types = learned_types(rows, resource.name, hints.cursor)
        example = rows[0].get(hints.cursor) if isinstance(rows, list) and hints.cursor else None
        self._book.learn(self._page(resource.name), types, example if isinstance(example, str) else None)
        return self._book.notes(self._page(resource.name)) or Notes()

    def _spool(self, extraction: _Extraction) -> SliceFiles:
        """Reads the window to disk, one stream at a time: resources of one source share what they are bound to."""
        described = extraction.described
        with self._lock:
            self.api_calls += 1
            shape = extraction.shape
            files = SliceFiles(extraction.file_schema, self.slice_rows)
            try:
                with opened(described.resource, described.hints, extraction.bounds) as items:
                    for rows in chunks(items, extraction.stream.name, CHUNK_ROWS_MAX):
                        if extraction.closed.is_set():
                            raise Stopped("read", extraction.stream.name, "the connector was closed")
                        table = shape.table(rows)
                        if table is not None:
                            files.write(extraction.within(table))
                self._learn(extraction)
                files.finish()
            except BaseException:
                files.drop()
                raise
            return files

    def _learn(self, extraction: _Extraction) -> None:
        shape, name = extraction.shape, extraction.stream.name
        if news := {**shape.learned, **shape.new}:
            self._book.learn(self._page(name), news)
        self._book.save()
        shape.raise_misfits()
        if shape.new and self._book.file is None:
            cause = f"it has fields that were not in the sample: {', '.join(shape.new)}"
            raise ConfigError(
                "read", name, cause, "declare them in the resource's columns, or give DltSource a types_file"
            )


@dataclass(slots=True)
class _Extraction:
    """One window of one resource. A dlt resource keeps no job, so a resume reads anew, under new ids."""

    source: DltSource
    stream: StreamSchema
    window: Window
    described: DltStream
    bounds: Bounds | None
    shape: Shape = field(init=False)
    closed: threading.Event = field(init=False)
    _id: str = field(default_factory=lambda: secrets.token_hex(4))
    _files: SliceFiles | None = None

    def __post_init__(self) -> None:
        flag = self.described.hints.deleted_column
        names = self.stream.columns.names
        wanted = [*names, flag] if flag is not None and flag not in names else names
        self.closed = self.source._closed
        self.shape = Shape(self.stream.name, self.described.types, self.described.declared, wanted)

    @property
    def forecast(self) -> Forecast:
        query = f"all of {self.stream.name}"
        if self.stream.cursor is not None:
            low, high = (self.window.low, self.window.high) if self.bounds is None else self.bounds.values()
            query = f"{self.stream.name} with {self.stream.cursor} from {low or 'the beginning'} to before {high}"
        return Forecast("dlt", query, rows=None, calls=1)

    @property
    def warnings(self) -> Sequence[str]:
        if not self.shape.new:
            return ()
        return (f"{self.stream.name} has new fields, read from the next run on: {', '.join(self.shape.new)}",)

    @property
    def file_schema(self) -> pa.Schema:
        return self.stream.columns.append(pa.field(DELETED_COLUMN, pa.bool_()))

    def slices(self, resume: Json | None, remember: Callable[[Json], None]) -> Iterator[Slice]:
        self._files = self.source._spool(self)
        for number, rows in enumerate(self._files.rows):
            yield Slice(f"{self._id}-{number}", {"file": number}, rows_expected=rows)

    def read(self, slice: Slice) -> Iterator[Batch]:
        if self._files is None:
            raise DataError(
                "read", f"{self.stream.name}, {slice.id}", "its extraction is closed", "ask for the slices again"
            )
        count = 0
        for part in self._files.read(slice.params["file"]):
            count += part.num_rows
            deleted = part.column(DELETED_COLUMN)
            records = part.select(self.stream.columns.names).cast(self.stream.columns)
            yield Batch(records, deleted if pc.any(deleted).as_py() else None)
        if count != slice.rows_expected:
            raise CountMismatch(
                "read", f"{self.stream.name}, {slice.id}", f"{count} rows, written were {slice.rows_expected}"
            )

    def close(self, outcome: Outcome, left: Json | None = None) -> None:
        if self._files is not None:
            self._files.drop()
            self._files = None

    def within(self, table: pa.Table) -> pa.Table:
        """The rows of the window, exactly, with their deletion marks (COMPLETE-WINDOW)."""
        table = table.append_column(pa.field(DELETED_COLUMN, pa.bool_()), self.described.deletions(table))
        table = table.select(self.file_schema.names).cast(self.file_schema)
        if self.stream.cursor is None:
            return table
        window = self.window if self.bounds is None else self.bounds.exact()
        stamps = table[self.stream.cursor]
        inside = pc.less(stamps, pa.scalar(window.high, INSTANT))
        if window.low is not None:
            inside = pc.and_(inside, pc.greater_equal(stamps, pa.scalar(window.low, INSTANT)))
        if stamps.null_count:
            inside = pc.fill_null(inside, self._keeps_unstamped(stamps.null_count))
        return table.filter(inside)

    def _keeps_unstamped(self, rows: int) -> bool:
        """What becomes of rows that no window would ever hold."""
        incremental = self.described.hints.incremental
        choice = "raise" if incremental is None else incremental.on_cursor_value_missing
        if choice != "raise":
            return bool(choice == "include")
        raise DataError(
            "read",
            f"{self.stream.name}.{self.stream.cursor}",
            f"{rows} rows have no value, so no window would ever hold them",
            'fill it with add_map, or say on_cursor_value_missing="include" or "exclude" on the incremental',
        )
