"""Type widening: the least type that holds every value of two others exactly (TYPES-FROM-SOURCE).

::

                            string
       ┌─────────┬─────────────┼──────────┬────────────┬──────────────┬───────┐
    boolean   double   decimal(p, s)   date32   timestamp UTC   timestamp   time64      binary      list<T>
                         int64

A column of the target only ever moves up; when a source narrows its type again the target keeps the wider one, and a
column never forks into two. ``binary`` meets nothing but itself, and a list only lists: no text shows their values
exactly and plainly, so the user has to decide.

Types are compared in canonical form: what a warehouse keeps, whatever the Arrow width was.
"""

from __future__ import annotations

import pyarrow as pa

DECIMAL_DIGITS_MAX = 38
INT64_DIGITS = 19

UTC_TIMESTAMP = pa.timestamp("us", tz="UTC")


def canonical(type: pa.DataType) -> pa.DataType | None:
    """The type's form in a warehouse: wide enough for each of its values; ``None`` where no column can hold them.

    Nanoseconds are refused rather than cut, and so are structs and maps: connectors hand those over as JSON text.
    """
    types = pa.types
    if types.is_dictionary(type):
        return canonical(type.value_type)
    if types.is_list(type) or types.is_large_list(type) or types.is_fixed_size_list(type):
        item = canonical(type.value_type)
        return None if item is None else pa.list_(item)
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
