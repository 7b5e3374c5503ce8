"""Python values of the control API to stored texts, by the field's type."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Final

import pyarrow as pa

from syncline.connectors.sandbox.identifiers import normalise
from syncline.connectors.sandbox.schema import NUMBERS, Field

_DATETIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z\Z")
_TIME: Final = re.compile(r"\d{2}:\d{2}:\d{2}\.\d{3}Z\Z")


def plain_number(value: object) -> str:
    """Plain decimal digits: no exponent, no trailing zeros in the fraction."""
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError(f"not a number: {value!r}") from error
    if not number.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def stored_text(field: Field, value: object) -> str | None:
    """What the org keeps for a value given by a caller; an empty text is null, as in Salesforce.

    Raises:
        ValueError: the value does not fit the field's type.
    """
    if value is None or value == "":
        return "false" if field.type == "boolean" else None
    kind = field.type
    if kind == "boolean":
        return _boolean(value)
    if kind in NUMBERS:
        return plain_number(value)
    if kind == "datetime":
        return _datetime(value)
    if kind == "date":
        day = value if isinstance(value, date) else date.fromisoformat(str(value))
        return f"{day.year:04d}-{day.month:02d}-{day.day:02d}"
    if kind == "time":
        return _time(value)
    if kind in ("id", "reference"):
        full = normalise(str(value))
        if full is None:
            raise ValueError(f"not an Id: {value!r}")
        return full
    return str(value)


def _boolean(value: object) -> str:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError(f"not a boolean: {value!r}")
    return text


def _datetime(value: object) -> str:
    if isinstance(value, str):
        if _DATETIME.match(value):
            return value
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise ValueError(f"not an aware datetime: {value!r}")
    moment = value.astimezone(UTC)
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _time(value: object) -> str:
    if isinstance(value, str) and _TIME.match(value):
        return value
    moment = value if isinstance(value, time) else time.fromisoformat(str(value))
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def stored_column(field: Field, value: object, rows: int) -> pa.Array:
    """A column of ``rows`` stored texts from one value for all, or from a list or tuple with one each."""
    if isinstance(value, list | tuple):
        if len(value) != rows:
            raise ValueError(f"{field.name}: {len(value)} values for {rows} records")
        return pa.array([stored_text(field, one) for one in value], pa.string())
    return pa.repeat(pa.scalar(stored_text(field, value), pa.string()), rows)
