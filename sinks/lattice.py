"""Type widening: the least type that holds every value of two others exactly (TYPES-FROM-SOURCE).

::

                            string
       ┌─────────┬─────────────┼──────────┬────────────┬──────────────┬───────┐
    boolean   double   decimal(p, s)   date32   timestamp UTC   timestamp   time64      binary      list<T>
     json                int64

A column of the target only ever moves up; when a source narrows its type again the target keeps the wider one, and a
column never forks into two. ``binary`` meets nothing but itself, and a list only lists: no text shows their values
exactly and plainly, so the user has to decide. ``json`` is Arrow's extension type over text (``arrow.json``).

Types are compared in canonical form: what a warehouse keeps, whatever the Arrow width was.
"""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

DECIMAL_DIGITS_MAX = 38
INT64_DIGITS = 19

TYPES_KEPT_MAX = 1_024
"""A type's canonical form is asked for several times a column and statement; this many different types are kept."""

UTC_TIMESTAMP = pa.timestamp("us", tz="UTC")

JSON = pa.json_(pa.string())
"""A JSON document as text. A warehouse with a type for those keeps it as one; as a text it is the same text."""


@lru_cache(maxsize=TYPES_KEPT_MAX)
def canonical(type: pa.DataType) -> pa.DataType | None:
    """The type's form in a warehouse: wide enough for each of its values; ``None`` where no column can hold them.

    Nanoseconds are refused rather than cut, and so are structs and maps: connectors hand those over as JSON. A list of
    JSON documents is refused too, for the list is one itself.
    """
    types = pa.types
    if types.is_dictionary(type):
        return canonical(type.value_type)
    if types.is_list(type) or types.is_large_list(type) or types.is_fixed_size_list(type):
        item = canonical(type.value_type)
        return None if item is None or is_json(item) else pa.list_(item)
    if is_json(type):
        return JSON
    if types.is_boolean(type):
        return pa.bool_()
    if types.is_integer(type):
        return pa.decimal128(20, 0) if type == pa.uint64() else pa.int64()
    if types.is_floating(type):
        return pa.float64()
    if types.is_decimal(type):
        return pa.decimal128(type.precision, type.scale) if type.precision <= DECIMAL_DIGITS_MAX else None
    if types.is_string(type) or types.is_large_string(type) or types.is_string_view(type):
        return pa.string()
    if types.is_binary(type) or types.is_large_binary(type) or types.is_fixed_size_binary(type):
        return pa.binary()
    return _canonical_time(type)


def _canonical_time(type: pa.DataType) -> pa.DataType | None:
    types = pa.types
    if types.is_date(type):
        return pa.date32()
    if types.is_time(type) and type.unit != "ns":
        return pa.time64("us")
    if types.is_timestamp(type) and type.unit != "ns":
        return pa.timestamp("us") if type.tz is None else UTC_TIMESTAMP
    return None


def join(one: pa.DataType | None, other: pa.DataType | None) -> pa.DataType | None:
    """The least type above both, ``None`` where there is none. Commutative, associative, idempotent."""
    one, other = one and canonical(one), other and canonical(other)
    if one is None or other is None:
        return None
    if one == other:
        return one
    if pa.types.is_list(one) and pa.types.is_list(other):
        item = join(one.value_type, other.value_type)
        return None if item is None else pa.list_(item)
    if not (_has_plain_text(one) and _has_plain_text(other)):
        return None
    if _is_exact_number(one) and _is_exact_number(other):
        return _join_numbers(one, other)
    return pa.string()


def is_json(type: pa.DataType) -> bool:
    return isinstance(type, pa.JsonType)


def name_of(type: pa.DataType) -> str:
    """The type as a person reads it."""
    return "json" if is_json(type) else str(type)


def landed(columns: pa.Schema) -> pa.Schema:
    """The columns as landed files have them: a JSON document lies there as plain text.

    What each reader of Parquet makes of its annotation JSON is not documented; the manifest says what is one.
    """
    return pa.schema([each.with_type(pa.string()) if is_json(each.type) else each for each in columns])


def holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Whether every value of ``narrow`` has an exact counterpart in ``wide``."""
    return join(wide, narrow) == canonical(wide)


def _has_plain_text(type: pa.DataType) -> bool:
    return not (pa.types.is_list(type) or pa.types.is_binary(type))


def _is_exact_number(type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type) or pa.types.is_decimal(type))


def _join_numbers(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    whole = max(_whole_digits(one), _whole_digits(other))
    scale = max(_scale(one), _scale(other))
    return pa.decimal128(whole + scale, scale) if whole + scale <= DECIMAL_DIGITS_MAX else pa.string()


def _whole_digits(type: pa.DataType) -> int:
    return INT64_DIGITS if pa.types.is_integer(type) else type.precision - type.scale


def _scale(type: pa.DataType) -> int:
    return 0 if pa.types.is_integer(type) else type.scale
