"""What the conformance suite changes and how it reads: worlds, readings, and a copy kept by windows.

A world is one stream of a source that the suite may change as it likes, with a clock it may move, and connectors over
it. What a source cannot do (hard deletes, late commits, jobs) its world leaves out, and the tests that need it are
skipped with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Protocol, TypeAlias, runtime_checkable

import pyarrow as pa

from syncline.connectors.connector import (
    BATCH_ROWS_MAX,
    Batch,
    Connector,
    Extraction,
    Json,
    Slice,
    StreamSchema,
    Window,
)

Row: TypeAlias = Mapping[str, object]
Key: TypeAlias = tuple[object, ...]


class World(Protocol):
    """A fresh, empty stream whose clock stands still unless it is advanced. It starts far from the local clock.

    ``stream`` has a key and a cursor. ``secrets`` are texts that must never be shown.
    """

    stream: str
    secrets: Sequence[str]

    def connect(self) -> Connector:
        """A new connector, as another process would make it, with slices of at most 100 rows where it has a say."""
        ...

    def now(self) -> datetime:
        """The source's clock."""
        ...

    def advance(self, seconds: float) -> None: ...

    def insert(self, rows: Sequence[Row]) -> Sequence[Key]:
        """Makes rows with these values and whatever else the source insists on, stamped now; returns their keys."""
        ...

    def update(self, keys: Sequence[Key], change: Row) -> None: ...

    def delete(self, keys: Sequence[Key]) -> None: ...


@runtime_checkable
class Purges(Protocol):
    """A source that can delete beyond recovery."""

    def purge(self, keys: Sequence[Key]) -> None: ...


@runtime_checkable
class Undeletes(Protocol):
    def undelete(self, keys: Sequence[Key]) -> None: ...


@runtime_checkable
class Recreates(Protocol):
    """A source where a deleted key can be used again."""

    def recreate(self, key: Key, row: Row) -> None: ...


@runtime_checkable
class CommitsLate(Protocol):
    """A source that shows rows later than they are stamped."""

    def insert_late(self, rows: Sequence[Row], stamp: datetime) -> Sequence[Key]:
        """Makes rows stamped ``stamp`` that become visible only now."""
        ...


@runtime_checkable
class KeepsJobs(Protocol):
    def jobs(self) -> Sequence[str]:
        """What connectors created at the source and did not remove."""
        ...

    def lose_jobs(self) -> None: ...


@runtime_checkable
class Misbehaves(Protocol):
    """A source that can be made to fail: throttle, answer nonsense, cut a reply, lose the session."""

    faults: Sequence[str]

    def strike(self, fault: str) -> None:
        """The next request for rows meets this fault, once."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What one extraction gave, each batch of it checked against the port."""

    schema: StreamSchema
    batches: Mapping[str, Sequence[Batch]]
    slices: Sequence[Slice]
    remembered: Sequence[Json] = ()

    def rows(self) -> list[tuple[Key, dict[str, object], bool]]:
        """Key, row and whether it says that the key is deleted; tombstones before records."""
        found: list[tuple[Key, dict[str, object], bool]] = []
        for slice in sorted(self.slices, key=lambda slice: slice.kind, reverse=True):
            for batch in self.batches.get(slice.id, ()):
                marks = batch.deleted.to_pylist() if batch.deleted is not None else [False] * batch.records.num_rows
                for row, mark in zip(batch.records.to_pylist(), marks, strict=True):
                    key = tuple(row[name] for name in self.schema.key)
                    found.append((key, row, bool(mark) or slice.kind == "tombstones"))
        return found

    def keys(self) -> list[Key]:
        """The keys of live rows, sorted; a row that came twice is there twice."""
        return in_order(key for key, _, deleted in self.rows() if not deleted)

    def deleted(self) -> set[Key]:
        return {key for key, _, deleted in self.rows() if deleted}

    def values(self, column: str) -> dict[Key, object]:
        return {key: row[column] for key, row, deleted in self.rows() if not deleted}

    def stamps(self) -> dict[Key, datetime]:
        assert self.schema.cursor is not None
        return {key: stamp for key, stamp in self.values(self.schema.cursor).items() if isinstance(stamp, datetime)}


@dataclass(slots=True)
class Subject:
    """A connector over a world, and its stream as described: what most tests start from."""

    world: World
    connector: Connector
    schema: StreamSchema

    @staticmethod
    def over(world: World) -> Subject:
        connector = world.connect()
        [schema] = connector.describe([world.stream])
        return Subject(world, connector, schema)

    def settle(self) -> datetime:
        """Moves the source's clock until everything stamped so far lies below the horizon; returns that horizon."""
        self.world.advance((self.world.now() - self.connector.horizon()).total_seconds() + 2.0)
        return self.connector.horizon()

    def read(self, low: datetime | None, high: datetime) -> Reading:
        """One whole extraction, checked and settled."""
        extraction = self.connector.plan(self.schema, Window(low, high))
        landed = False
        try:
            reading = self.begin(extraction, Window(low, high))
            landed = True
            return reading
        finally:
            extraction.close("landed" if landed else "abandoned")

    def read_all(self) -> Reading:
        return self.read(None, self.settle())

    def begin(
        self,
        extraction: Extraction,
        window: Window,
        *,
        slices_max: int | None = None,
        resume: Json | None = None,
        have: Mapping[str, Sequence[Batch]] | None = None,
    ) -> Reading:
        """Reads slices and settles nothing; those that ``have`` holds already are not read again."""
        remembered: list[Json] = []
        slices = list(islice(extraction.slices(resume, remembered.append), slices_max))
        ids = {slice.id for slice in slices}
        assert len(ids) == len(slices), "slice ids are unique within an extraction"
        have = have or {}
        assert slices_max or ids.issuperset(have) or ids.isdisjoint(have), "VALUE-RESUME: only some ids are stable"
        batches = {
            slice.id: have[slice.id] if slice.id in have else read_slice(extraction, self.schema, window, slice)
            for slice in slices
        }
        if slices_max is None:
            _check_results(slices, batches)
        return Reading(self.schema, batches, slices, [json.loads(json.dumps(each)) for each in remembered])


def in_order(keys: Iterable[Key]) -> list[Key]:
    return sorted(keys, key=repr)


def killed_and_resumed(subject: Subject, window: Window, between: Callable[[], None] = lambda: None) -> Reading:
    """A process reads two slices and dies with nothing closed; another goes on from what was remembered."""
    before = subject.begin(subject.connector.plan(subject.schema, window), window, slices_max=2)
    between()
    heir = Subject.over(subject.world)
    extraction = heir.connector.plan(heir.schema, window)
    resume = before.remembered[-1] if before.remembered else None
    after = heir.begin(extraction, window, resume=resume, have=before.batches)
    extraction.close("landed")
    return after


def read_slice(extraction: Extraction, schema: StreamSchema, window: Window, slice: Slice) -> list[Batch]:
    """A slice's batches, after the checks that hold for every batch of every connector."""
    assert json.loads(json.dumps(dict(slice.params))) == dict(slice.params), f"{slice.id}: params are not JSON"
    batches = list(extraction.read(slice))
    for batch in batches:
        _check_batch(batch, schema, window, slice)
    rows = sum(batch.records.num_rows for batch in batches)
    if slice.rows_expected is not None:
        assert rows == slice.rows_expected, f"COUNTED-HOPS: {slice.id} announced {slice.rows_expected}, gave {rows}"
    return batches


def _check_results(slices: Sequence[Slice], batches: Mapping[str, Sequence[Batch]]) -> None:
    for result, announced in {each.result: each.result_rows for each in slices if each.result is not None}.items():
        parts = [batch for each in slices if each.result == result for batch in batches[each.id]]
        rows = sum(batch.records.num_rows for batch in parts)
        assert announced in (None, rows), f"COUNTED-HOPS: result {result} announced {announced}, gave {rows}"


def sorted_rows(batches: Sequence[Batch], schema: StreamSchema) -> pa.Table:
    """A slice's rows in an order of their own, so that two reads can be compared."""
    tables = [pa.Table.from_batches([batch.records]) for batch in batches]
    table = pa.concat_tables(tables) if tables else schema.columns.empty_table()
    return table.sort_by([(name, "ascending") for name in schema.key])


def _check_batch(batch: Batch, schema: StreamSchema, window: Window, slice: Slice) -> None:
    names = schema.columns.names
    if slice.kind == "tombstones":
        names = [name for name in names if name in {*schema.key, schema.cursor}]
    expected = pa.schema([schema.columns.field(name) for name in names])
    assert batch.records.schema.names == expected.names, f"EXACT-NAMES: {slice.id}"
    assert batch.records.schema.types == expected.types, f"TYPES-FROM-SOURCE: {slice.id}"
    assert batch.records.num_rows <= BATCH_ROWS_MAX, f"BOUNDED: {slice.id}: a batch of {batch.records.num_rows} rows"
    batch.records.validate(full=True)
    if batch.deleted is not None:
        assert slice.kind == "records", "only record slices mark deletions"
        assert len(batch.deleted) == batch.records.num_rows
        assert batch.deleted.null_count == 0
    if schema.cursor is not None:
        for stamp in batch.records.column(schema.cursor).to_pylist():
            assert stamp is not None, f"COMPLETE-WINDOW: {slice.id}: a row without {schema.cursor}"
            inside = stamp < window.high and (window.low is None or stamp >= window.low)
            assert inside, f"COMPLETE-WINDOW: {slice.id}: {stamp} lies outside {window}"


@dataclass(slots=True)
class Copy:
    """A copy kept by windows with nothing but the port: the smallest runner there is.

    Per key the newest row wins, and of equal cursors the later read (NEWEST-WINS).
    """

    world: World
    overlap: timedelta = timedelta(minutes=10)
    watermark: datetime | None = None
    rows: dict[Key, dict[str, object]] = field(default_factory=dict)
    _stamps: dict[Key, datetime] = field(default_factory=dict)

    def sync(self, *, whole: bool = False) -> Reading:
        """Reads the next window; with ``whole`` everything, so that what is absent is known to be gone."""
        subject = Subject.over(self.world)
        high = subject.connector.horizon()
        reading = subject.read(None if whole or self.watermark is None else self.watermark - self.overlap, high)
        subject.connector.close()
        if whole:
            self.rows.clear()
            self._stamps.clear()
        self.apply(reading)
        self.watermark = high
        return reading

    def apply(self, reading: Reading) -> None:
        cursor = reading.schema.cursor
        for key, row, deleted in reading.rows():
            stamp = row[cursor] if cursor is not None else None
            newest = stamp if isinstance(stamp, datetime) else datetime.min.replace(tzinfo=UTC)
            if newest < self._stamps.get(key, newest):
                continue
            self._stamps[key] = newest
            if deleted:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
