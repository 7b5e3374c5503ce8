"""How a stored value looks on the wire: REST JSON and Bulk CSV, column by column (REST API guide; Bulk API 2.0 guide).

Stored texts are put together with string kernels; no row becomes a Python object.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.sandbox.filters import View
from syncline.connectors.sandbox.meaning import Column
from syncline.connectors.sandbox.settings import WireStyle

DOUBLES: Final = frozenset({"double", "currency", "percent"})
_PLAIN_TYPES: Final = frozenset({"id", "reference", "date", "datetime", "time", "boolean", "int", "long"}) | DOUBLES
_DIGITS_MAX: Final = 64
_EXPONENT_DIGITS: Final = 7
"""A double of more integer digits than this is written with an exponent, as Java writes it."""


def _holds(values: pa.Array, char: bytes) -> bool:
    """Whether the character occurs anywhere in the column's bytes."""
    data = values.buffers()[2]
    if data is None or not len(values):
        return False
    offsets = np.frombuffer(values.buffers()[1], np.int32)
    start, end = int(offsets[values.offset]), int(offsets[values.offset + len(values)])
    return memoryview(data)[start:end].tobytes().find(char) >= 0


def _control_codes(values: pa.Array) -> list[int]:
    """The characters below the blank that occur in the column's bytes."""
    data = values.buffers()[2]
    if data is None or not len(values):
        return []
    offsets = np.frombuffer(values.buffers()[1], np.int32)
    start, end = int(offsets[values.offset]), int(offsets[values.offset + len(values)])
    codes = np.frombuffer(data, np.uint8)[start:end]
    return [int(code) for code in np.unique(codes[codes < 32])]


def plain_doubles(values: pa.Array) -> pa.Array:
    """Plain decimal texts with a fraction: ``100.0``."""
    whole = pc.invert(pc.match_substring(values, "."))
    return pc.if_else(whole, pc.binary_join_element_wise(values, ".0", ""), values)


def java_doubles(values: pa.Array) -> pa.Array:
    """Plain decimal texts as Java prints doubles: ``100.0``, ``1.0E10``, ``1.0E-4``."""
    texts = plain_doubles(values)
    sizes = pc.ascii_ltrim(values, "-")
    dots = pc.find_substring(sizes, ".")
    digits = pc.if_else(pc.less(dots, 0), pc.binary_length(sizes), dots)
    large = pc.fill_null(pc.greater(digits, _EXPONENT_DIGITS), False)
    tiny = pc.fill_null(pc.starts_with(sizes, "0.000"), False)
    if pc.any(large).as_py():
        texts = pc.replace_with_mask(texts, large, _large(values.filter(large), digits.filter(large)))
    if pc.any(tiny).as_py():
        small = [_tiny(text) for text in values.filter(tiny).to_pylist()]
        texts = pc.replace_with_mask(texts, tiny, pa.array(small, pa.string()))
    return texts


def _large(values: pa.Array, integer_digits: pa.Array) -> pa.Array:
    sign = pc.if_else(pc.starts_with(values, "-"), "-", "")
    digits = pc.ascii_rtrim(pc.replace_substring(pc.ascii_ltrim(values, "-"), ".", ""), "0").cast(pa.binary())
    first = pc.binary_slice(digits, 0, 1).cast(pa.string())
    rest = pc.binary_slice(digits, 1, _DIGITS_MAX).cast(pa.string())
    rest = pc.if_else(pc.equal(rest, ""), "0", rest)
    power = pc.subtract(integer_digits, 1).cast(pa.string())
    return pc.binary_join_element_wise(sign, first, ".", rest, "E", power, "")


def _tiny(text: str) -> str:
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    fraction = digits.split(".")[1]
    shown = fraction.lstrip("0")
    if not shown:
        return f"{sign}0.0"
    return f"{sign}{shown[0]}.{shown[1:] or '0'}E-{len(fraction) - len(shown) + 1}"


def _with_offset(values: pa.Array) -> pa.Array:
    """Datetimes with ``+0000`` in place of ``Z``."""
    return pc.binary_replace_slice(values.cast(pa.binary()), 23, 24, b"+0000").cast(pa.string())


def csv_values(view: View, column: Column, style: WireStyle) -> pa.Array:
    """The texts that stand between the quotes of a CSV page; null stays null and is written as nothing."""
    kind = column.field.type
    if kind in DOUBLES:
        return view.changed(column, java_doubles if style.exponents else plain_doubles)
    if kind in ("int", "long") and style.bulk_ints_as_doubles:
        return view.changed(column, plain_doubles)
    if kind not in _PLAIN_TYPES:
        return view.written(column, doubled_quotes)
    values = view.texts(column)
    if kind == "datetime" and style.bulk_offset:
        return _with_offset(values)
    return values


def json_values(view: View, column: Column, style: WireStyle) -> tuple[pa.Array, bool]:
    """The texts of JSON values, and whether they stand inside quotes that the caller writes.

    Without quotes a null is the caller's to write as ``null``; with quotes there is no null among the values.
    """
    kind = column.field.type
    if kind in DOUBLES:
        return view.changed(column, java_doubles if style.exponents else plain_doubles), False
    if kind not in _PLAIN_TYPES and kind != "anyType":
        values = view.written(column, escaped)
        return (values, True) if not values.null_count else (quoted(values), False)
    values = view.texts(column)
    if kind in ("int", "long", "boolean"):
        return values, False
    if kind == "anyType":
        bare = pc.match_substring_regex(values, r"^(-?(0|[1-9]\d*)(\.\d+)?|true|false)$")
        return pc.if_else(bare, values, quoted(escaped(values))), False
    if kind == "datetime":
        values = _with_offset(values)
    return (values, True) if not values.null_count else (quoted(values), False)


def quoted(values: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', values, '"', "")


def doubled_quotes(values: pa.Array) -> pa.Array:
    """As between the quotes of CSV."""
    return pc.replace_substring(values, '"', '""') if _holds(values, b'"') else values


def escaped(values: pa.Array) -> pa.Array:
    """JSON string escapes, without the quotes around."""
    for char in ("\\", '"'):
        if _holds(values, char.encode()):
            values = pc.replace_substring(values, char, "\\" + char)
    names = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
    for code in _control_codes(values):
        values = pc.replace_substring(values, chr(code), names.get(code, f"\\u{code:04x}"))
    return values
