"""Column types for sources that do not declare them: guessed once from values, then held, and only ever widened.

::

                      null                  no value seen: the column is not read yet
      ┌───────┬────────┼───────┬─────┐
    bool    int64   double   time   binary
      │    ┌──┴──────────┐       │
      │  decimal(38,0)  decimal(38,18)
      └────┴──────┬──────┴───────┘
                string

What a source declares is never guessed and never widened (TYPES-FROM-SOURCE).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import NoneType

import pyarrow as pa

from syncline.connectors.errors import ConfigError
from syncline.connectors.values import INSTANT, JSON, Misfit, fits, instant_of

BIG_INTEGER = pa.decimal128(38, 0)
NUMBER = pa.decimal128(38, 18)
"""Holds every int64 and eighteen digits behind the point: where whole numbers turn out to have fractions."""

_WALL_CLOCK = pa.timestamp("us")
_TIME = pa.time64("us")
_NAMED = {
    str(each): each
    for each in (
        pa.null(),
        pa.bool_(),
        pa.int64(),
        pa.float64(),
        pa.string(),
        pa.binary(),
        pa.date32(),
        _TIME,
        INSTANT,
        _WALL_CLOCK,
        JSON,
    )
}
_DECIMAL = re.compile(r"decimal128\((\d+), (-?\d+)\)")

_GUESSES: Sequence[tuple[tuple[type, ...], Sequence[pa.DataType]]] = (
    ((bool,), [pa.bool_()]),
    ((int,), [pa.int64(), BIG_INTEGER]),
    ((int, float), [pa.float64(), NUMBER]),
    ((int, float, Decimal), [NUMBER]),
    ((datetime,), [INSTANT]),
    ((date,), [pa.date32()]),
    ((time,), [_TIME]),
    ((bytes,), [pa.binary()]),
)


def guess(values: Sequence[object]) -> pa.DataType:
    """The narrowest type that holds the values; null where there is none, text where nothing else does.

    Raises:
        Misfit: not even text holds them (bytes among other values, a lone surrogate).
    """
    kinds = {*map(type, values)} - {NoneType}
    if not kinds:
        return pa.null()
    for classes, candidates in _GUESSES:
        if all(_belongs(kind, classes) for kind in kinds):
            return _first_fit(candidates, values)
    return _first_fit((), values)


def widen(held: pa.DataType, values: Sequence[object]) -> pa.DataType:
    """The held type, or the next above it that also holds the values. Raises Misfit where there is none."""
    if held == pa.null():
        return guess(values)
    if fits(values, held):
        return held
    return _first_fit([BIG_INTEGER, NUMBER] if held == pa.int64() else [], values)


def canonical(type: pa.DataType) -> pa.DataType | None:
    """The type that holds an Arrow column of ``type``; nested ones become JSON text; ``None``: no type does."""
    types = pa.types
    rules: Sequence[tuple[Callable[[pa.DataType], bool], pa.DataType]] = (
        (types.is_uint64, pa.decimal128(20, 0)),
        (types.is_integer, pa.int64()),
        (types.is_floating, pa.float64()),
        (types.is_date, pa.date32()),
        (types.is_time, _TIME),
        (types.is_large_string, pa.string()),
        (types.is_string_view, pa.string()),
        (types.is_large_binary, pa.binary()),
        (types.is_fixed_size_binary, pa.binary()),
        (types.is_binary_view, pa.binary()),
        (types.is_nested, pa.string()),
    )
    if types.is_dictionary(type):
        return canonical(type.value_type)
    if types.is_timestamp(type):
        return _WALL_CLOCK if type.tz is None else INSTANT
    if types.is_decimal(type):
        return pa.decimal128(type.precision, type.scale) if type.precision <= 38 else None
    return next((wide for holds, wide in rules if holds(type)), _NAMED.get(str(type)))


def is_instant_column(values: Sequence[object]) -> bool:
    """Whether every value is a point in time: what a column must hold to serve as a cursor."""
    present = [value for value in values if value is not None]
    return bool(present) and all(instant_of(value) is not None for value in present)


@dataclass(slots=True)
class Notes:
    """What was learned about one stream: its columns' types in the source's order, and how its cursor is written."""

    columns: dict[str, pa.DataType] = field(default_factory=dict)
    cursor_example: str | None = None


@dataclass(slots=True)
class TypeBook:
    """What was learned about streams that declare no types; in memory, and in a file where one is given.

    The file is a cache that keeps types steady from run to run; losing it means guessing again. Nothing is written
    before ``save``.
    """

    file: Path | None
    _streams: dict[str, Notes] | None = field(default=None, repr=False)

    def notes(self, stream: str) -> Notes | None:
        """``None`` for a stream never seen with rows."""
        return self._opened().get(stream)

    def learn(self, stream: str, types: Mapping[str, pa.DataType], cursor_example: str | None = None) -> None:
        notes = self._opened().setdefault(stream, Notes())
        notes.columns.update(types)
        notes.cursor_example = cursor_example or notes.cursor_example

    def save(self) -> None:
        if self.file is None or self._streams is None:
            return
        document = {
            stream: {
                "columns": {name: str(type) for name, type in notes.columns.items()},
                "cursor_example": notes.cursor_example,
            }
            for stream, notes in self._streams.items()
        }
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        try:
            if self.file.exists() and self.file.read_text("utf-8") == text:
                return
            self.file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.file.with_name(f"{self.file.name}.{os.getpid()}")
            fresh.write_text(text, "utf-8")
            fresh.replace(self.file)
        except OSError as error:
            hint = "give DltSource a types_file that can be written, or types_file=None"
            raise ConfigError("save column types", str(self.file), error.strerror or "cannot write", hint) from error

    def _opened(self) -> dict[str, Notes]:
        if self._streams is None:
            self._streams = {} if self.file is None or not self.file.exists() else _parsed(self.file)
        return self._streams


def _parsed(file: Path) -> dict[str, Notes]:
    try:
        return {
            stream: Notes({name: _type_named(text) for name, text in notes["columns"].items()}, notes["cursor_example"])
            for stream, notes in json.loads(file.read_text("utf-8")).items()
        }
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        hint = "remove the file: types are then guessed anew"
        raise ConfigError("read column types", str(file), f"not a file of column types ({error})", hint) from error


def _type_named(text: str) -> pa.DataType:
    if match := _DECIMAL.fullmatch(text):
        return pa.decimal128(int(match[1]), int(match[2]))
    return _NAMED[text]


def _belongs(kind: type, classes: tuple[type, ...]) -> bool:
    """Subclasses count, except the two that Python takes for numbers and dates and we do not."""
    if (kind is bool and bool not in classes) or (issubclass(kind, datetime) and datetime not in classes):
        return False
    return issubclass(kind, classes)


def _first_fit(candidates: Sequence[pa.DataType], values: Sequence[object]) -> pa.DataType:
    for candidate in (*candidates, pa.string()):
        if fits(values, candidate):
            return candidate
    raise Misfit(next(value for value in values if value is not None), pa.string())
