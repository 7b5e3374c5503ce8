"""Where the records are: immutable column segments, a map from serial to row, and selections that stay as they were.

A segment is never changed. An update appends new versions of its rows as a new segment and marks the old rows dead;
a selection taken before keeps its segments and so its values. Values are in wire text, every column a string: what a
number or a datetime looks like is decided once, its order is compared by ``filters``; ``packing`` keeps it small.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.sandbox.identifiers import Serials, serials_of
from syncline.connectors.sandbox.packing import Change, Known, Packed, joined, packed
from syncline.connectors.sandbox.schema import ObjectType

SEGMENT_ROWS_MAX: Final = 65_536
SMALL_SEGMENTS_MAX: Final = 48
_SMALL_ROWS: Final = 8_192
_ROW_BITS: Final = 32
_ROW_MASK: Final = (1 << _ROW_BITS) - 1

Positions = npt.NDArray[np.int64]
"""Rows across segments: the segment's number in the upper half, the row in the lower; -1 for no row."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows that were written together. ``alive`` is the only thing that changes; a column not held is all null."""

    serials: Serials
    columns: Mapping[str, Packed]
    alive: npt.NDArray[np.bool_]
    _changed: dict[tuple[str, Change], Packed] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rows(self) -> int:
        return len(self.serials)

    def packed(self, name: str, change: Change | None = None) -> Packed:
        """The column, or another form of it, which is worked out once."""
        if change is None:
            found = self.columns.get(name)
            return Packed(pa.nulls(self.rows, pa.string())) if found is None else found
        key = (name, change)
        if key not in self._changed:
            self._changed[key] = self.packed(name).changed(change)
        return self._changed[key]

    def column(self, name: str) -> pa.Array:
        return self.packed(name).values()

    def changed(self, name: str, change: Change) -> pa.Array:
        """The column in another form, worked out once."""
        return self.packed(name, change).values()

    def deleted(self) -> npt.NDArray[np.bool_]:
        """Which rows are in the bin."""
        return _mask(self.changed("IsDeleted", _are_true))


_NO_ROWS: Final = Segment(np.empty(0, np.int64), {}, np.empty(0, np.bool_))
"""Stands where a segment was whose every version is dead, so that the numbers of the others hold."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Rows of one segment: ``rows`` from ``first`` on, or those at ``places``; without a segment, nulls."""

    segment: Segment | None
    first: int
    rows: int
    places: pa.Array | None

    def packed(self, name: str, change: Change | None) -> Packed:
        if self.segment is None:
            nulls = Packed(pa.nulls(self.rows, pa.string()))
            return nulls if change is None else nulls.changed(change)
        whole = self.segment.packed(name, change)
        array = whole.array
        part = array.slice(self.first, self.rows) if self.places is None else array.take(self.places)
        return Packed(part, whole.unpack, whole.known)


@dataclass(frozen=True, slots=True)
class Gathering:
    """How to fetch rows that lie in several segments; worked out once, used for every column."""

    runs: tuple[_Run, ...]
    back: pa.Array | None

    def column(self, name: str, change: Change | None = None) -> pa.Array:
        return self._packed(name, change).values()

    def written(self, name: str, change: Change) -> pa.Array:
        """The column in another form, of which segments remember only what is known of its values."""
        whole = self._packed(name, None)
        return change(whole.values()) if whole.known is None else whole.changed(change).values()

    def _packed(self, name: str, change: Change | None) -> Packed:
        if not self.runs:
            nothing = Packed(pa.array([], pa.string()))
            return nothing if change is None else nothing.changed(change)
        whole = joined([run.packed(name, change) for run in self.runs])
        return whole if self.back is None else Packed(whole.array.take(self.back), whole.unpack, whole.known)


def gathering(segments: Sequence[Segment], positions: Positions) -> Gathering:
    """The way to the rows at ``positions``, in that order; -1 gives nulls.

    Rows in long runs are sliced or taken run by run; rows scattered over segments are grouped first, then put back.
    """
    if not len(positions):
        return Gathering((), None)
    numbers = positions >> _ROW_BITS
    turns = np.flatnonzero(np.diff(numbers)) + 1
    back: pa.Array | None = None
    if len(turns) > 8 and len(turns) + 1 > 2 * len(np.unique(numbers)):
        order = np.argsort(numbers, kind="stable")
        returning = np.empty(len(order), np.int64)
        returning[order] = np.arange(len(order))
        back, positions, numbers = pa.array(returning), positions[order], numbers[order]
        turns = np.flatnonzero(np.diff(numbers)) + 1
    bounds = [0, *turns.tolist(), len(positions)]
    return Gathering(tuple(_run(segments, positions[a:b]) for a, b in pairwise(bounds)), back)


def _run(segments: Sequence[Segment], positions: Positions) -> _Run:
    first = int(positions[0])
    if first < 0:
        return _Run(None, 0, len(positions), None)
    segment, row = segments[first >> _ROW_BITS], first & _ROW_MASK
    if int(positions[-1]) - first == len(positions) - 1 and bool((np.diff(positions) == 1).all()):
        return _Run(segment, row, len(positions), None)
    return _Run(segment, 0, len(positions), pa.array(positions & _ROW_MASK))


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows chosen by a query, in the order they are handed out; later changes do not touch it."""

    segments: tuple[Segment, ...]
    positions: Positions
    _ways: list[Gathering] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def rows(self) -> int:
        return len(self.positions)

    def page(self, start: int, rows: int) -> Selection:
        return Selection(self.segments, self.positions[start : start + rows])

    def blocks(self, rows: int) -> Iterator[Selection]:
        """The selection in pieces of so many rows, by half more or fewer where one segment's rows end."""
        turns = np.flatnonzero(np.diff(self.positions >> _ROW_BITS)) + 1
        start = 0
        while start < self.rows:
            least, most = np.searchsorted(turns, [start + rows // 2, start + rows * 3 // 2])
            end = int(turns[most - 1]) if most > least else start + rows
            yield self.page(start, end - start)
            start = end

    def column(self, name: str) -> pa.Array:
        return self._way().column(name)

    def changed(self, name: str, change: Change) -> pa.Array:
        """The column in another form; segments remember it."""
        return self._way().column(name, change)

    def written(self, name: str, change: Change) -> pa.Array:
        """The column in another form, for these rows alone."""
        return self._way().written(name, change)

    def _way(self) -> Gathering:
        if not self._ways:
            self._ways.append(gathering(self.segments, self.positions))
        return self._ways[0]

    def serials(self) -> Serials:
        found = np.empty(self.rows, np.int64)
        numbers = self.positions >> _ROW_BITS
        for number in np.unique(numbers):
            mine = numbers == number
            found[mine] = self.segments[number].serials[self.positions[mine] & _ROW_MASK]
        return found


class Table:
    """The committed records of one object."""

    def __init__(self, kind: ObjectType) -> None:
        self.kind = kind
        self.segments: list[Segment] = []
        self._places: Positions = np.full(1024, -1, np.int64)
        self._known: defaultdict[str, Known] = defaultdict(Known)
        self.serial_last = 0

    def still(self) -> Table:
        """A copy that later writes do not touch; the columns are shared."""
        copy = Table(self.kind)
        copy.segments, copy._places, copy.serial_last = list(self.segments), self._places.copy(), self.serial_last
        return copy

    def allot(self, count: int) -> Serials:
        """New serials, never used before."""
        first = self.serial_last + 1
        self.serial_last += count
        return np.arange(first, first + count, dtype=np.int64)

    def append(self, serials: Serials, columns: Mapping[str, pa.Array]) -> None:
        """Makes these the current versions of their records."""
        if not len(serials):
            return
        self.remove(self.locate(serials))
        self.serial_last = max(self.serial_last, int(serials.max()))
        if self.serial_last >= len(self._places):
            grown = np.full(max(self.serial_last + 1, 2 * len(self._places)), -1, np.int64)
            grown[: len(self._places)] = self._places
            self._places = grown
        self._places[serials] = (len(self.segments) << _ROW_BITS) + np.arange(len(serials))
        self.segments.append(self._segment(serials, columns))
        if len(serials) < _SMALL_ROWS:
            self._merge_small()

    def _segment(self, serials: Serials, columns: Mapping[str, pa.Array]) -> Segment:
        return Segment(serials, self._packed(columns), np.ones(len(serials), np.bool_))

    def _packed(self, columns: Mapping[str, pa.Array]) -> dict[str, Packed]:
        fields, known = self.kind.fields, self._known
        return {name: packed(fields.get(name), texts, known[name]) for name, texts in columns.items()}

    def _merge_small(self) -> None:
        """Puts the small segments together when there are many, so that reads stay few and wide."""
        small = [n for n, segment in enumerate(self.segments) if segment.rows < _SMALL_ROWS]
        if len(small) <= SMALL_SEGMENTS_MAX:
            return
        alive = [(n << _ROW_BITS) + np.flatnonzero(self.segments[n].alive) for n in small]
        selection = Selection(tuple(self.segments), np.concatenate(alive))
        names = dict.fromkeys(name for n in small for name in self.segments[n].columns)
        columns = {name: selection.column(name) for name in names}
        serials = selection.serials()
        kept = [segment for n, segment in enumerate(self.segments) if n not in set(small)]
        kept.append(self._segment(serials, columns))
        self.segments = kept
        self._place_all()

    def _place_all(self) -> None:
        self._places[:] = -1
        for number, segment in enumerate(self.segments):
            rows = np.flatnonzero(segment.alive)
            self._places[segment.serials[rows]] = (number << _ROW_BITS) + rows

    def locate(self, serials: Serials) -> Positions:
        """Where each record's current version is; -1 if there is none."""
        known = (serials >= 0) & (serials < len(self._places))
        found = np.full(len(serials), -1, np.int64)
        found[known] = self._places[serials[known]]
        return found

    def remove(self, positions: Positions) -> None:
        """Marks the versions at these positions dead."""
        present = positions[positions >= 0]
        numbers = present >> _ROW_BITS
        for number in np.unique(numbers):
            segment = self.segments[int(number)]
            rows = present[numbers == number] & _ROW_MASK
            segment.alive[rows] = False
            self._places[segment.serials[rows]] = -1
            if not segment.alive.any():
                self.segments[int(number)] = _NO_ROWS

    def select(self, positions: Positions) -> Selection:
        return Selection(tuple(self.segments), positions)

    def everything(self) -> Selection:
        """All current versions, deleted records included, in physical order."""
        parts = [(n << _ROW_BITS) + np.flatnonzero(segment.alive) for n, segment in enumerate(self.segments)]
        return self.select(np.concatenate(parts) if parts else np.empty(0, np.int64))

    def of_ids(self, ids: pa.Array) -> Positions:
        return self.locate(serials_of(self.kind.key_prefix, ids))

    def replace_column(self, name: str, make: Callable[[Segment], Mapping[str, pa.Array]]) -> None:
        """Puts what ``make`` returns in place of one column, in every segment; older selections keep the old one."""
        for number, segment in enumerate(self.segments):
            if segment.rows:
                columns = {key: value for key, value in segment.columns.items() if key != name}
                columns |= self._packed(make(segment))
                self.segments[number] = Segment(segment.serials, columns, segment.alive)

    def count(self) -> int:
        return sum(int(segment.alive.sum()) for segment in self.segments)


def deleted_mask(values: pa.Array) -> npt.NDArray[np.bool_]:
    """Which of these IsDeleted values are true."""
    return _mask(_are_true(values))


def _are_true(values: pa.Array) -> pa.Array:
    return pc.equal(values, "true")


def _mask(values: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(values, False))
