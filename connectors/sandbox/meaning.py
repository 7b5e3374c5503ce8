"""A parsed statement bound to the schema: which columns it names, whether it may, and what its literals stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from syncline.connectors.sandbox.clock import from_ms, to_ms, wire_text
from syncline.connectors.sandbox.identifiers import normalise
from syncline.connectors.sandbox.schema import COMPOUNDS, NUMBERS, Field, ObjectType
from syncline.connectors.sandbox.soql import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    FieldRef,
    Literal,
    NotOf,
    OrderKey,
    Query,
    SoqlError,
    malformed,
    pointed,
)

FIELDS_LIMIT_MAX: Final = 200
_ADVICE: Final = "Please reference your WSDL or the describe call for the appropriate names."
_TEXTLESS: Final = {"boolean": "boolean", "date": "date", "datetime": "dateTime", "time": "time"}


@dataclass(frozen=True, slots=True)
class Column:
    """A field reached from the queried object: ``steps`` are the reference fields followed to get to its object."""

    steps: tuple[tuple[Field, ObjectType], ...]
    field: Field
    names: tuple[str, ...]
    asked: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """A statement that may be run: the object, the columns to hand out, and the bound clauses."""

    query: Query
    kind: ObjectType
    columns: tuple[Column, ...]
    tests: Mapping[FieldRef, Column]

    def column(self, ref: FieldRef) -> Column:
        return self.tests[ref]


def bind(query: Query, types: Mapping[str, ObjectType]) -> Meaning:
    """Checks the statement against the objects the user may see.

    Raises:
        SoqlError: INVALID_TYPE, INVALID_TYPE_FOR_OPERATION, INVALID_FIELD, INVALID_QUERY_FILTER_OPERATOR or
            MALFORMED_QUERY, worded as Salesforce does, with the position in the message.
    """
    kind = types.get(query.object.lower())
    if kind is None or kind.hidden:
        told = f"sObject type '{query.object}' is not supported. If you are attempting to use a custom object, be sure "
        told += f"to append the '__c' after the entity name. {_ADVICE}"
        raise SoqlError("INVALID_TYPE", pointed(query.text, query.object_at, told))
    if not kind.queryable:
        raise SoqlError("INVALID_TYPE_FOR_OPERATION", f"entity type {kind.name} does not support query")
    binder = _Binder(query, kind, types)
    columns = binder.selected()
    binder.check(query.where)
    for key in query.order:
        binder.check_order(key)
    if kind.demands_filter and query.where is None:
        told = f"Implementation restriction: {kind.name} requires a filter by a single Id using the equals operator "
        raise SoqlError("MALFORMED_QUERY", told + "or multiple Id's using the IN operator.", "no filter")
    return Meaning(query, kind, columns, binder.tests)


class _Binder:
    def __init__(self, query: Query, kind: ObjectType, types: Mapping[str, ObjectType]) -> None:
        self._query = query
        self._kind = kind
        self._types = types
        self.tests: dict[FieldRef, Column] = {}

    def _refuse(self, ref: FieldRef, told: str) -> SoqlError:
        return SoqlError("INVALID_FIELD", pointed(self._query.text, ref.at, told))

    def _resolve(self, ref: FieldRef) -> Column:
        kind, steps, names = self._kind, [], []
        path = ref.path[1:] if len(ref.path) > 1 and ref.path[0].lower() == kind.name.lower() else ref.path
        if len(path) > 6:
            raise self._refuse(ref, "only 5 levels of child-to-parent relationships are allowed")
        for name in path[:-1]:
            step = kind.relation(name)
            target = (
                next((self._types[t.lower()] for t in step.reference_to if t.lower() in self._types), None)
                if step
                else None
            )
            if step is None or target is None or target.hidden:
                told = f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom "
                raise self._refuse(ref, told + f"relationship, be sure to append the '__r' after the name. {_ADVICE}")
            steps.append((step, target))
            names.append(str(step.relationship))
            kind = target
        field = kind.find(path[-1])
        if field is None:
            told = f"No such column '{path[-1]}' on entity '{kind.name}'. If you are attempting to use a custom field, "
            raise self._refuse(ref, told + f"be sure to append the '__c' after the custom field name. {_ADVICE}")
        return Column(tuple(steps), field, (*names, field.name), ".".join(path))

    def selected(self) -> tuple[Column, ...]:
        if self._query.group:
            return self._group()
        columns = [self._resolve(ref) for ref in self._query.fields]
        seen: set[tuple[str, ...]] = set()
        for column, ref in zip(columns, self._query.fields, strict=True):
            if column.names in seen:
                raise self._refuse(ref, f"duplicate field selected: {column.asked}")
            seen.add(column.names)
        return tuple(columns)

    def _group(self) -> tuple[Column, ...]:
        group, limit = self._query.group, self._query.limit
        if group != "STANDARD" and (limit is None or limit > FIELDS_LIMIT_MAX):
            told = f"The SOQL FIELDS function must have a LIMIT of at most {FIELDS_LIMIT_MAX}"
            raise SoqlError("MALFORMED_QUERY", told)
        wanted = [f for f in self._kind.visible() if group == "ALL" or f.custom == (group == "CUSTOM")]
        return tuple(Column((), f, (f.name,), f.name) for f in wanted)

    def check(self, condition: Condition | None) -> None:
        match condition:
            case None:
                return
            case NotOf(operand):
                self.check(operand)
            case AllOf(operands) | AnyOf(operands):
                for operand in operands:
                    self.check(operand)
            case Comparison():
                self._check_comparison(condition)

    def _check_comparison(self, test: Comparison) -> None:
        column = self.tests[test.field] = self._resolve(test.field)
        field = column.field
        if not field.filterable or field.type in COMPOUNDS:
            raise self._refuse(test.field, f"field '{column.asked}' can not be filtered in a query call")
        text_like = field.type not in NUMBERS and field.type not in _TEXTLESS
        if (test.operator == "LIKE" and (not text_like or field.type in ("id", "reference"))) or (
            field.type == "boolean" and test.operator not in ("=", "!=")
        ):
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {field.type} field")
        if (test.operator in ("INCLUDES", "EXCLUDES")) != (field.type == "multipicklist") and test.operator in (
            "INCLUDES", "EXCLUDES",
        ):  # fmt: skip
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"includes or excludes operator only valid on "
                            f"multipicklist field, not on '{column.asked}'")  # fmt: skip
        for literal in test.values:
            self._check_literal(test, column, literal)

    def _check_literal(self, test: Comparison, column: Column, literal: Literal) -> None:
        kind = column.field.type
        if literal.kind == "null":
            if test.operator in ("=", "!=", "IN", "NOT IN"):
                return
            raise malformed(self._query.text, literal.at, "null is only valid with = and !=")
        if kind in NUMBERS:
            wanted, fits = ("int" if kind == "int" else "double"), literal.kind == "number"
        elif kind in _TEXTLESS:
            wanted = _TEXTLESS[kind]
            fits = literal.kind == kind or (kind in ("date", "datetime") and literal.kind == "named")
        else:
            wanted, fits = "string", literal.kind == "string"
        if not fits:
            manner = "should be enclosed in quotes" if wanted == "string" else "should not be enclosed in quotes"
            told = f"value of filter criterion for field '{column.asked}' must be of type {wanted} and {manner}"
            raise self._refuse(test.field, told)
        if kind in ("id", "reference") and literal.text and normalise(literal.text) is None:
            told = pointed(self._query.text, literal.at, f"invalid ID field: {literal.text}")
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", told)

    def check_order(self, key: OrderKey) -> None:
        column = self.tests[key.field] = self._resolve(key.field)
        if not column.field.sortable:
            raise self._refuse(key.field, f"field '{column.asked}' can not be sorted in a query call")


def datetime_text(literal: str) -> str:
    """The stored form, UTC with milliseconds, of a datetime literal."""
    offset = literal[19:].split("Z")[0]
    fraction, zone = re.fullmatch(r"(\.\d+)?(.*)", offset).groups() if offset else (None, "")  # type: ignore[union-attr]
    moment = datetime.fromisoformat(literal[:19]).replace(tzinfo=UTC)
    if zone:
        sign = 1 if zone[0] == "+" else -1
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        moment -= sign * timedelta(hours=hours, minutes=minutes)
    millis = (fraction or ".0")[1:].ljust(3, "0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{millis}Z"


def named_range(name: str, now_ms: int) -> tuple[str, str]:
    """The half-open range of instants a named date literal stands for, in stored text; days are UTC."""
    today = from_ms(now_ms).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = _range_of(name, today)
    return wire_text(to_ms(start)), wire_text(to_ms(end))


def _range_of(name: str, today: datetime) -> tuple[datetime, datetime]:
    day = timedelta(days=1)
    if name in ("YESTERDAY", "TODAY", "TOMORROW"):
        start = today + day * (("YESTERDAY", "TODAY", "TOMORROW").index(name) - 1)
        return start, start + day
    if "_N_DAYS:" in name or "_90_DAYS" in name:
        count = int(name.split(":")[1]) if ":" in name else 90
        if name.startswith("LAST"):
            return today - day * (count - 1 if ":" not in name else count), today + day
        return today + day, today + day * (count + 1)
    turn = ("LAST", "THIS", "NEXT").index(name.split("_")[0]) - 1
    if name.endswith("WEEK"):
        sunday = today - day * ((today.weekday() + 1) % 7) + day * 7 * turn
        return sunday, sunday + day * 7
    if name.endswith("MONTH"):
        return _month(today, turn), _month(today, turn + 1)
    start = today.replace(year=today.year + turn, month=1, day=1)
    return start, start.replace(year=start.year + 1)


def _month(today: datetime, turn: int) -> datetime:
    months = today.year * 12 + today.month - 1 + turn
    return today.replace(year=months // 12, month=months % 12 + 1, day=1)
