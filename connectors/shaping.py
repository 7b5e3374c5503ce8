"""Items of any shape a resource yields, into Arrow tables of a stream's columns.

An item is a dict, an Arrow table or batch, a data frame, or a pydantic model. Names are kept as they are (EXACT-NAMES),
what is nested becomes JSON text, or JSON where that is declared, and a field nobody declared or saw before is learned,
not dropped (LOUD).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeAlias

import pyarrow as pa

from syncline.connectors.connector import RESERVED_PREFIX
from syncline.connectors.errors import ConfigError, DataError, Transient, ValueOutOfType
from syncline.connectors.infer import canonical, guess, is_instant_column, widen
from syncline.connectors.values import INSTANT, JSON, Misfit, to_array

Rows: TypeAlias = list[Mapping[str, object]] | pa.Table
"""Some rows as they came, all of one shape."""

NAMES_SHOWN_MAX = 10


def chunks(items: Iterable[object], stream: str, rows_max: int) -> Iterator[Rows]:
    """The items in order, dicts gathered up to ``rows_max``."""
    gathered: list[Mapping[str, object]] = []
    for item in items:
        if isinstance(item, Mapping):
            gathered.append(item)
        elif hasattr(item, "model_dump"):
            gathered.append(item.model_dump())
        else:
            if gathered:
                yield gathered
                gathered = []
            yield _table(item, stream)
        if len(gathered) >= rows_max:
            yield gathered
            gathered = []
    if gathered:
        yield gathered


def learned_types(rows: Rows, stream: str, cursor: str | None) -> dict[str, pa.DataType]:
    """A type for every field of the rows, in the order they appear; null where no row has a value.

    A text ``cursor`` whose values are all instants is one: its role says what it means.
    """
    types = {name: _guessed(rows, name, stream) for name in field_names(rows)}
    if cursor is not None and types.get(cursor) == pa.string() and is_instant_column(_values(rows, cursor)):
        types[cursor] = INSTANT
    return types


def field_names(rows: Rows) -> list[str]:
    """The names of the rows' fields in the order they appear.

    Raises:
        ConfigError: a name that Syncline keeps for itself, or one that is not a text.
    """
    names = list(rows.column_names if isinstance(rows, pa.Table) else dict.fromkeys(chain.from_iterable(rows)))
    for name in names:
        if not isinstance(name, str) or name.startswith(RESERVED_PREFIX):
            raise ConfigError("read", repr(name), "not a usable field name", "rename the field with add_map")
    return names


@dataclass(slots=True)
class Shape:
    """What rows of a stream must become: ``types`` of every known field, of which ``wanted`` are given.

    ``declared`` fields never change type. What does not fit is gathered over all rows and raised at the end, so that
    one run learns everything there is to learn.
    """

    stream: str
    types: Mapping[str, pa.DataType]
    declared: frozenset[str]
    wanted: Sequence[str]
    learned: dict[str, pa.DataType] = field(default_factory=dict)
    new: dict[str, pa.DataType] = field(default_factory=dict)
    misfits: dict[str, str] = field(default_factory=dict)

    def table(self, rows: Rows) -> pa.Table | None:
        """The rows as Arrow, or ``None`` once anything did not fit."""
        self._notice_new_fields(rows)
        arrays = [self._column(rows, name) for name in self.wanted]
        if self.misfits:
            return None
        return pa.Table.from_arrays(arrays, schema=pa.schema([(name, self.types[name]) for name in self.wanted]))

    def raise_misfits(self) -> None:
        """Raises:
        ValueOutOfType: values do not fit their columns and no wider type may be taken.
        Transient: they do not, and the next run will read them with the wider types learned.
        """
        if not self.misfits:
            return
        names = list(self.misfits)[:NAMES_SHOWN_MAX]
        where = ", ".join(f"{self.stream}.{name}" for name in names)
        cause = "; ".join(f"{name}: {self.misfits[name]}" for name in names)
        if all(name in self.learned for name in self.misfits):
            hint = "run again: wider types were learned; declare the columns' types to be certain of them"
            raise Transient("read", where, cause, hint)
        raise ValueOutOfType("read", where, cause, "declare a type that holds the value, or convert it with add_map")

    def _notice_new_fields(self, rows: Rows) -> None:
        for name in field_names(rows):
            if self.types.get(name, pa.null()) != pa.null():
                continue
            before = self.new.get(name, pa.null())
            type = _guessed(rows, name, self.stream) if before == pa.null() else widen(before, _values(rows, name))
            if type != pa.null():
                self.new[name] = type

    def _column(self, rows: Rows, name: str) -> pa.Array | pa.ChunkedArray | None:
        try:
            return _converted(rows, name, self.types[name], parse=name in self.declared)
        except Misfit as misfit:
            self.misfits.setdefault(name, str(misfit))
            if name not in self.declared:
                self._learn(rows, name)
            return None

    def _learn(self, rows: Rows, name: str) -> None:
        try:
            self.learned[name] = widen(self.learned.get(name, self.types[name]), _values(rows, name))
        except Misfit:
            self.learned.pop(name, None)


def _table(item: object, stream: str) -> pa.Table:
    if isinstance(item, pa.Table):
        return item
    if isinstance(item, pa.RecordBatch):
        return pa.Table.from_batches([item])
    if hasattr(item, "__arrow_c_stream__"):
        return pa.table(item)
    cause = f"the resource yields {type(item).__name__}, not dicts, Arrow tables or data frames"
    raise DataError("read", stream, cause, "yield one dict per row")


def _values(rows: Rows, name: str) -> list[Any]:
    if isinstance(rows, pa.Table):
        return list(rows[name].to_pylist()) if name in rows.column_names else []
    return [row.get(name) for row in rows]


def _guessed(rows: Rows, name: str, stream: str) -> pa.DataType:
    if not isinstance(rows, pa.Table):
        try:
            return guess(_values(rows, name))
        except Misfit as misfit:
            hint = "convert it with add_map"
            raise ValueOutOfType("read", f"{stream}.{name}", str(misfit), hint) from None
    type = canonical(rows.schema.field(name).type)
    if type is None:
        cause = f"no column of a warehouse holds {rows.schema.field(name).type}"
        raise ConfigError("describe", f"{stream}.{name}", cause, "convert it with add_map")
    return type


def _converted(rows: Rows, name: str, type: pa.DataType, *, parse: bool) -> pa.Array | pa.ChunkedArray:
    if not isinstance(rows, pa.Table):
        return to_array([row.get(name) for row in rows], type, parse=parse)
    if name not in rows.column_names:
        return pa.nulls(len(rows), type)
    column = rows[name]
    if column.type == type and type != JSON:
        return column
    plain = canonical(column.type) == type and type != JSON and not pa.types.is_nested(column.type)
    instants = pa.types.is_timestamp(column.type) and pa.types.is_timestamp(type)
    if not plain and not instants:
        return to_array(column.to_pylist(), type, parse=parse)
    try:
        return column.cast(type, safe=True)
    except pa.ArrowInvalid as error:
        raise Misfit(str(error), type) from None
