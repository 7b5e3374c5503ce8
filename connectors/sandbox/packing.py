"""How the columns of a large segment are kept in few bytes, and come back as the same texts.

What is generated says the same few things over and over, and a stamp is a number. Twenty million Accounts as
texts would take most of a machine's memory. A column is packed only where it comes back byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.sandbox.identifiers import fixed_width_text
from syncline.connectors.sandbox.schema import Field

Change: TypeAlias = Callable[[pa.Array], pa.Array]
"""A function from a column to the same column in another form, value by value; null stays null."""

PACKED_ROWS_MIN: Final = 8_192
"""Below, a segment's bytes are not worth the work."""
KNOWN_MAX: Final = 2**15
_KNOWN_BYTES_MAX: Final = 64_000_000
_SAMPLE_ROWS: Final = 4_096
_SAMPLE_DISTINCT_MAX: Final = 0.95
"""Of a sample's rows: with more, so few values come twice that no list of them is worth making."""
_CODED_SHARE_MAX: Final = 0.6
"""Of the texts' bytes: with more, codes spare too little for the work of reading by them."""
MOMENT_WIDTH: Final = 24
_DAY_WIDTH: Final = 11
_DAY_S: Final = 86_400
_TABLE_DAYS: Final = 130 * 365


class Known:
    """The values that a column has had, each once; it only grows, so that a value's number always means it.

    One for all segments of a table: read in any order, it stays in the processor's cache.
    """

    def __init__(self) -> None:
        self._texts = pa.array([], pa.string())
        self._changed: dict[Change, tuple[pa.Array, pa.Array]] = {}
        self._unpacking: dict[Change | None, Change] = {}

    def size_bytes(self) -> int:
        return int(self._texts.nbytes)

    def codes(self, texts: pa.Array) -> pa.Array | None:
        """The number of each text; None where numbers would spare too little."""
        sample = texts.slice(0, _SAMPLE_ROWS).drop_null()
        if pc.count_distinct(sample).as_py() > _SAMPLE_DISTINCT_MAX * len(sample):
            return None
        found = texts.dictionary_encode()
        fresh = found.dictionary.filter(pc.index_in(found.dictionary, value_set=self._texts).is_null())
        count, size = len(self._texts) + len(fresh), self._texts.nbytes + fresh.nbytes
        width = pa.int8() if count <= 2**7 else pa.int16()
        spares = fresh.nbytes + len(texts) * width.byte_width <= _CODED_SHARE_MAX * texts.nbytes
        if not spares or count > KNOWN_MAX or size > _KNOWN_BYTES_MAX:
            return None
        if len(fresh):
            self._texts = pa.concat_arrays([self._texts, fresh])
        return pc.index_in(found.dictionary, value_set=self._texts).cast(width).take(found.indices)

    def unpacking(self, change: Change | None) -> Change:
        """From numbers to their values, in another form where ``change`` is given; the same function each time."""
        if change not in self._unpacking:
            self._unpacking[change] = partial(self._take, change)
        return self._unpacking[change]

    def _take(self, change: Change | None, codes: pa.Array) -> pa.Array:
        texts = self._texts
        if change is None:
            return texts.take(codes)
        before, made = self._changed.get(change, (None, None))
        if before is not texts:
            made = change(texts)
            self._changed[change] = (texts, made)
        return made.take(codes)


@dataclass(frozen=True, slots=True)
class Packed:
    """A column's values: ``array`` itself, or what ``unpack`` makes of it; the values that it numbers, if it does."""

    array: pa.Array
    unpack: Change | None = None
    known: Known | None = None

    def values(self) -> pa.Array:
        return self.array if self.unpack is None else self.unpack(self.array)

    def changed(self, change: Change) -> Packed:
        """The column in another form."""
        if self.known is not None:
            return Packed(self.array, self.known.unpacking(change), self.known)
        return Packed(change(self.values()))

    def instants_s(self) -> npt.NDArray[np.uint32] | None:
        """Seconds since 1970 of a column of datetimes that is kept so."""
        return np.asarray(self.array) if self.unpack is moment_texts else None


def joined(parts: Sequence[Packed]) -> Packed:
    """The columns one after the other; unpacked before only where they are kept differently."""
    if len(parts) == 1:
        return parts[0]
    unpack = parts[0].unpack
    if all(part.unpack is unpack and part.array.type == parts[0].array.type for part in parts):
        return Packed(pa.concat_arrays([part.array for part in parts]), unpack, parts[0].known)
    return Packed(pa.concat_arrays([part.values() for part in parts]))


def packed(field: Field | None, texts: pa.Array, known: Known) -> Packed:
    """The column in the form that takes the fewest bytes; ``known`` are the values it had in other segments."""
    if len(texts) < PACKED_ROWS_MIN:
        return Packed(texts)
    if field is not None and field.type == "datetime" and not texts.null_count:
        return _moments(texts)
    codes = known.codes(texts)
    return Packed(texts) if codes is None else Packed(codes, known.unpacking(None), known)


def _moments(texts: pa.Array) -> Packed:
    """Seconds since 1970, where all are whole ones and of days that the tables know."""
    try:
        at_s = pc.divide(texts.cast(pa.timestamp("ms", "UTC")).cast(pa.int64()), 1_000)
    except pa.ArrowInvalid:
        return Packed(texts)
    bounds = pc.min_max(at_s).as_py()
    if not 0 <= (bounds["min"] or 0) <= (bounds["max"] or 0) < _TABLE_DAYS * _DAY_S:
        return Packed(texts)
    found = Packed(at_s.cast(pa.uint32()), moment_texts)
    return found if found.values().equals(texts) else Packed(texts)


def moment_texts(at_s: pa.Array) -> pa.Array:
    """``YYYY-MM-DDTHH:MM:SS.000Z`` of seconds since 1970."""
    seconds = np.asarray(at_s)
    days = seconds // np.uint32(_DAY_S)
    chars = np.empty((len(seconds), MOMENT_WIDTH), np.uint8)
    chars[:, :_DAY_WIDTH] = _day_chars().take(days, axis=0)
    chars[:, _DAY_WIDTH:] = _second_chars().take(seconds - days * np.uint32(_DAY_S), axis=0)
    return fixed_width_text(chars)


@cache
def _day_chars() -> npt.NDArray[np.uint8]:
    """``YYYY-MM-DDT`` of each day from 1970 on."""
    return _chars(np.arange(_TABLE_DAYS) * _DAY_S)[:, :_DAY_WIDTH].copy()


@cache
def _second_chars() -> npt.NDArray[np.uint8]:
    """``HH:MM:SS.000Z`` of each second of a day."""
    return _chars(np.arange(_DAY_S))[:, _DAY_WIDTH:].copy()


def _chars(at_s: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    texts = np.datetime_as_string(at_s.astype("datetime64[s]"), unit="ms", timezone="UTC")
    return texts.astype(f"S{MOMENT_WIDTH}").view(np.uint8).reshape(len(at_s), MOMENT_WIDTH)
