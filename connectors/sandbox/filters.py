"""WHERE and ORDER BY over columns, whole segments at a time.

Comparison follows SOQL: text without regard to case, Ids with it, null equal to null only, a null boolean false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.sandbox.clock import to_ms
from syncline.connectors.sandbox.identifiers import normalise, serials_of
from syncline.connectors.sandbox.meaning import Column, Meaning, datetime_text, named_range
from syncline.connectors.sandbox.packing import MOMENT_WIDTH, Change
from syncline.connectors.sandbox.schema import NUMBERS
from syncline.connectors.sandbox.soql import AllOf, AnyOf, Comparison, Condition, Literal, NotOf
from syncline.connectors.sandbox.store import Positions, Segment, Selection, Table, gathering

Mask = npt.NDArray[np.bool_]

_COMPARE: Mapping[str, Callable[[pa.Array, pa.Scalar], pa.Array]] = {
    "=": pc.equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip
_COMPARE_S: Mapping[str, Callable[[npt.NDArray[np.uint32], float], Mask]] = {
    "=": np.equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
_CASELESS = frozenset({"id", "reference", "date", "datetime", "time", "boolean"})


class View:
    """Columns of some rows, parents' columns included."""

    def __init__(self, tables: Mapping[str, Table], of: Segment | Selection) -> None:
        self._tables = tables
        self._of = of

    def texts(self, column: Column) -> pa.Array:
        """The column's stored texts, following references to other objects; a null boolean reads as false."""
        values = self._follow(column)
        return pc.fill_null(values, "false") if column.field.type == "boolean" and not column.steps else values

    def _follow(self, column: Column) -> pa.Array:
        if not column.steps:
            return self._of.column(column.field.name)
        values = self._of.column(column.steps[0][0].name)
        for number, (_, target) in enumerate(column.steps):
            table = self._tables[target.name]
            following = column.steps[number + 1][0] if number + 1 < len(column.steps) else column.field
            places = table.locate(serials_of(target.key_prefix, values))
            values = gathering(table.segments, places).column(following.name)
        return values

    def changed(self, column: Column, change: Change) -> pa.Array:
        """The column's texts in another form."""
        return change(self._follow(column)) if column.steps else self._of.changed(column.field.name, change)

    def written(self, column: Column, change: Change) -> pa.Array:
        """The column's texts in another form that is not worth remembering for each row."""
        if column.steps or isinstance(self._of, Segment):
            return change(self._follow(column))
        return self._of.written(column.field.name, change)

    def instants_s(self, column: Column) -> npt.NDArray[np.uint32] | None:
        """A column of datetimes as seconds since 1970, where it is kept so."""
        segment = None if column.steps or not isinstance(self._of, Segment) else self._of
        return None if segment is None else segment.packed(column.field.name).instants_s()


def floats(values: pa.Array) -> pa.Array:
    """Plain decimal texts as numbers to compare."""
    return values.cast(pa.float64())


def _mask(values: pa.Array) -> Mask:
    return np.asarray(pc.fill_null(values, False))


def matches(condition: Condition, meaning: Meaning, view: View, now_ms: int) -> Mask:
    """Which rows of the view fulfil the condition."""
    match condition:
        case NotOf(operand):
            return ~matches(operand, meaning, view, now_ms)
        case AllOf(operands):
            every: Mask = np.logical_and.reduce([matches(one, meaning, view, now_ms) for one in operands])
            return every
        case AnyOf(operands):
            some: Mask = np.logical_or.reduce([matches(one, meaning, view, now_ms) for one in operands])
            return some
        case Comparison():
            return _compare(condition, meaning.column(condition.field), view, now_ms)


def _compare(test: Comparison, column: Column, view: View, now_ms: int) -> Mask:
    if test.operator == "!=":
        return ~_compare(Comparison(test.field, "=", test.values), column, view, now_ms)
    if test.operator == "NOT IN":
        return ~_compare(Comparison(test.field, "IN", test.values), column, view, now_ms)
    if column.field.type in NUMBERS:
        return _compare_numbers(test, view.changed(column, floats))
    if (found := _compare_instants(test, view.instants_s(column))) is not None:
        return found
    texts = view.texts(column)
    if test.values[0].kind == "named":
        return _compare_range(test, column, texts, now_ms)
    if test.operator in ("INCLUDES", "EXCLUDES"):
        held = _includes(texts, [literal.text for literal in test.values])
        return held if test.operator == "INCLUDES" else ~held
    if column.field.type not in _CASELESS:
        texts = pc.utf8_lower(texts)
    if test.operator == "LIKE":
        return _mask(pc.match_like(texts, test.values[0].text.lower()))
    wanted = [_stored(literal, column.field.type) for literal in test.values]
    if test.operator == "IN":
        known = pa.array([text for text in wanted if text is not None], pa.string())
        found = _mask(pc.is_in(texts, value_set=known))
        return found | np.asarray(texts.is_null()) if None in wanted else found
    if wanted[0] is None:
        return _mask(pc.equal(texts, "false")) if column.field.type == "boolean" else np.asarray(texts.is_null())
    return _mask(_COMPARE[test.operator](texts, pa.scalar(wanted[0])))


def _stored(literal: Literal, kind: str) -> str | None:
    """The literal in the form the column's texts have; ``None`` for null, which an empty string is too."""
    if literal.kind == "null" or not literal.text:
        return None
    if literal.kind == "datetime":
        return datetime_text(literal.text)
    if kind in ("id", "reference"):
        return normalise(literal.text)
    return literal.text.lower() if kind not in _CASELESS else literal.text


def _compare_numbers(test: Comparison, numbers: pa.Array) -> Mask:
    wanted = [None if literal.kind == "null" else float(literal.text) for literal in test.values]
    nulls = np.asarray(numbers.is_null())
    if test.operator == "IN":
        known = pa.array([number for number in wanted if number is not None], pa.float64())
        found = _mask(pc.is_in(numbers, value_set=known))
        return found | nulls if None in wanted else found
    if wanted[0] is None:
        return nulls
    return _mask(_COMPARE[test.operator](numbers, pa.scalar(wanted[0])))


def _compare_instants(test: Comparison, at_s: npt.NDArray[np.uint32] | None) -> Mask | None:
    """By number, where the column has numbers; None where only its texts can tell."""
    literal = test.values[0]
    if at_s is None or literal.kind != "datetime" or test.operator not in _COMPARE_S:
        return None
    text = datetime_text(literal.text)
    if len(text) != MOMENT_WIDTH:
        return None
    mask: Mask = _COMPARE_S[test.operator](at_s, to_ms(datetime.fromisoformat(text)) / 1000)
    return mask


def _compare_range(test: Comparison, column: Column, texts: pa.Array, now_ms: int) -> Mask:
    start, end = named_range(test.values[0].text, now_ms)
    if column.field.type == "date":
        start, end = start[:10], end[:10]
    bounds = {"<": (pc.less, start), "<=": (pc.less, end), ">": (pc.greater_equal, end),
              ">=": (pc.greater_equal, start)}  # fmt: skip
    if test.operator in bounds:
        compare, bound = bounds[test.operator]
        return _mask(compare(texts, bound))
    return _mask(pc.greater_equal(texts, start)) & _mask(pc.less(texts, end))


def _includes(texts: pa.Array, wanted: list[str]) -> Mask:
    """Whether a multi-select value holds every part of one of the wanted ``a;b`` groups."""
    held = np.zeros(len(texts), np.bool_)
    for group in wanted:
        every = np.ones(len(texts), np.bool_)
        for part in group.split(";"):
            every &= _mask(pc.match_substring_regex(texts, f"(?i)(^|;){re.escape(part)}(;|$)"))
        held |= every
    return held


def ordered(selection: Selection, meaning: Meaning, tables: Mapping[str, Table]) -> Positions:
    """The selection's positions in the order asked for; equal keys stay as they come."""
    columns: dict[str, pa.Array] = {}
    keys: list[tuple[str, str]] = []
    view = View(tables, selection)
    for number, key in enumerate(meaning.query.order):
        column = meaning.column(key.field)
        if column.field.type in NUMBERS:
            values = view.changed(column, floats)
        else:
            values = view.texts(column)
            values = values if column.field.type in _CASELESS else pc.utf8_lower(values)
        columns[f"null{number}"] = pc.cast(values.is_null(), pa.int8())
        columns[f"value{number}"] = values
        keys.append((f"null{number}", "ascending" if key.nulls_last else "descending"))
        keys.append((f"value{number}", "descending" if key.descending else "ascending"))
    columns["tie"] = pa.array(np.arange(selection.rows))
    order = pc.sort_indices(pa.table(columns), sort_keys=[*keys, ("tie", "ascending")])
    found: Positions = selection.positions[np.asarray(order)]
    return found
