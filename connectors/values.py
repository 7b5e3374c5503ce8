"""Python values into Arrow columns, exactly or not at all (TYPES-FROM-SOURCE).

Arrow's own conversion takes some values for others (True for 1.0, a datetime for its date, bytes for text, an integer
for an instant), so each type says here which Python types it takes as they are, and what else it can hold exactly.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import NoReturn
from uuid import UUID

import pyarrow as pa

INSTANT = pa.timestamp("us", tz="UTC")

JSON = pa.json_(pa.string())
"""A JSON document as text, in the one form that equal documents have here: see ``json_text``."""

_WHOLE_NUMBER = re.compile(r"[+-]?\d+")
_FRACTION = re.compile(r"[.,](\d+)")
_FLOAT_INTEGER_MAX = 2**53
_ENCODER = json.JSONEncoder(ensure_ascii=False)


class Misfit(ValueError):
    """A value that a type cannot hold exactly. ``value`` is shown shortened, ``why`` where it does not show itself."""

    def __init__(self, value: object, type: pa.DataType, why: str = "") -> None:
        shown = f"the value {value!r:.80} does not fit {'json' if type == JSON else type}"
        super().__init__(f"{shown}: {why}" if why else shown)


@dataclass(frozen=True, slots=True)
class _Rule:
    """``plain`` are taken as they are; ``convert`` answers for other values and raises ValueError for what misfits."""

    plain: frozenset[type]
    convert: Callable[[object, bool], object]


def to_array(values: Sequence[object], type: pa.DataType, *, parse: bool) -> pa.Array:
    """The values as one column. ``parse`` reads numbers from texts, as a declared type allows and a guessed one not.

    Raises:
        Misfit: a value that the type cannot hold exactly.
    """
    rule = _rule_of(type)
    kinds = {*map(_class_of, values)} - {_NULL}
    if not kinds <= rule.plain:
        values = [_converted(value, type, rule, parse) for value in values]
    try:
        return pa.array(values, type)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        raise _first_misfit(values, type) from None


def fits(values: Sequence[object], type: pa.DataType) -> bool:
    try:
        to_array(values, type, parse=False)
    except Misfit:
        return False
    return True


def text_of(value: object) -> str:
    """One plain text for a value: itself, ISO 8601 for times, JSON for what is nested. Raises ValueError for bytes."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        raise ValueError("bytes are not text")
    return json.dumps(value, default=_json_default, ensure_ascii=False, separators=(",", ":"))


def json_text(value: object) -> str:
    """The value as a JSON document: names sorted, no blanks, numbers digit for digit as they came.

    A text is taken for a document already, as dlt does; anything else is written as one. Raises ValueError for a text
    that is none (RFC 8259), a name twice in one object, NaN, an infinity, and bytes.
    """
    try:
        text = value if isinstance(value, str) else text_of([value])[1:-1]
        return _shown(
            json.loads(
                text,
                parse_int=_Digits,
                parse_float=_Digits,
                parse_constant=_no_number,
                object_pairs_hook=_members,
            )
        )
    except RecursionError:
        raise ValueError("nested too deep") from None


class _Digits(str):
    """A number as it was written: no width of a float or an integer is in its way."""

    __slots__ = ()


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has one name twice, of which a warehouse keeps one value")
    return members


def _shown(value: object) -> str:
    if isinstance(value, _Digits):
        return str(value)
    if isinstance(value, dict):
        members = (f"{_shown(name)}:{_shown(member)}" for name, member in sorted(value.items()))
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_shown, value)) + "]"
    return _ENCODER.encode(value)


def instant_of(value: object) -> datetime | None:
    """An ISO 8601 text with a time of day, or a datetime, in UTC; naive means UTC. ``None`` for anything else."""
    if isinstance(value, str):
        try:
            date.fromisoformat(value)
        except ValueError:
            pass
        else:
            return None
    elif not isinstance(value, datetime):
        return None
    try:
        return _instant(value, True)
    except (ValueError, OverflowError):
        return None


def _json_default(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    return text_of(value)


def _bool(value: object, parse: bool) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


def _integer(value: object, parse: bool) -> int:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _FLOAT_INTEGER_MAX:
        return int(value)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if parse and isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    raise ValueError


def _float(value: object, parse: bool) -> float:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int | float):
        return float(value) if isinstance(value, float) or abs(value) <= _FLOAT_INTEGER_MAX else _refused()
    if isinstance(value, Decimal):
        return float(value) if Decimal(float(value)) == value else _refused()
    if parse and isinstance(value, str):
        return float(value)
    raise ValueError


def _decimal(value: object, parse: bool) -> Decimal:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, float):
        number = Decimal(repr(value)) if math.isfinite(value) else _refused()
    elif isinstance(value, int | Decimal) or (parse and isinstance(value, str)):
        number = Decimal(value)
    else:
        raise ValueError
    return number if number.is_finite() else _refused()


def _instant(value: object, parse: bool) -> datetime:
    if isinstance(value, str):
        fraction = _FRACTION.search(value)
        if fraction and fraction[1][6:].strip("0"):
            raise ValueError("finer than microseconds")
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise ValueError
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _wall_clock(value: object, parse: bool) -> datetime:
    return _instant(value, parse).replace(tzinfo=None)


def _date(value: object, parse: bool) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, datetime):
        return value.date() if value.timetz() == time.min else _refused()
    if isinstance(value, date):
        return value
    raise ValueError


def _time(value: object, parse: bool) -> time:
    value = time.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(value, time) and value.tzinfo is None:
        return value
    raise ValueError


def _text(value: object, parse: bool) -> str:
    return text_of(value)


def _json(value: object, parse: bool) -> str:
    return json_text(value)


def _bytes(value: object, parse: bool) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise ValueError


def _refused() -> NoReturn:
    raise ValueError


_NULL = type(None)
_class_of = type

_RULES: dict[int, _Rule] = {
    pa.bool_().id: _Rule(frozenset({bool}), _bool),
    pa.int64().id: _Rule(frozenset({int}), _integer),
    pa.float64().id: _Rule(frozenset({float, int}), _float),
    pa.string().id: _Rule(frozenset({str}), _text),
    JSON.id: _Rule(frozenset(), _json),
    pa.binary().id: _Rule(frozenset({bytes}), _bytes),
    pa.date32().id: _Rule(frozenset({date}), _date),
    pa.time64("us").id: _Rule(frozenset(), _time),
    pa.decimal128(1).id: _Rule(frozenset({int}), _decimal),
}


def _rule_of(type: pa.DataType) -> _Rule:
    if pa.types.is_timestamp(type):
        return _Rule(frozenset(), _wall_clock if type.tz is None else _instant)
    return _RULES[type.id]


def _converted(value: object, type: pa.DataType, rule: _Rule, parse: bool) -> object:
    if value is None or _class_of(value) in rule.plain:
        return value
    try:
        return rule.convert(value, parse)
    except (ValueError, OverflowError, ArithmeticError, TypeError) as error:
        # What is wrong with a document may stand far behind what is shown of it.
        raise Misfit(value, type, str(error) if type == JSON else "") from None


def _first_misfit(values: Sequence[object], type: pa.DataType) -> Misfit:
    for value in values:
        try:
            pa.array([value], type)
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            return Misfit(value, type)
    return Misfit(values, type)
