"""What each Salesforce type becomes in Arrow, and the one road from parsed text to exactly that (TYPES-FROM-SOURCE).

Query pages and Bulk pages are first parsed into *wire* types that lose nothing (every number a 38-digit decimal, every
time a text), then settled here by the same code, so that both give equal batches for the same records.

=============================  ========================  ==========================================================
Salesforce type                Arrow                     rule
=============================  ========================  ==========================================================
id, string, picklist, ...      utf8                      an empty text is null: Bulk cannot tell them apart
boolean                        bool
int, long                      int64                     ``5.0`` and ``1.0E10`` are integers, ``5.5`` an error
double, currency, percent      decimal128 (p', s')       s' = s (currency: at least 2), p' >= 18, p' - s' >= 16
the same, calculated           decimal128 (38, 18)       a formula's declared precision is not reliable
the same, without a precision  float64
date, datetime, time           date32, timestamp[us, UTC], time64[us]
anyType, json, unknown         utf8                      a text as it is, anything else as JSON text
=============================  ========================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import pyarrow as pa

from syncline.connectors.errors import ValueOutOfType

INSTANT: Final = pa.timestamp("us", tz="UTC")
WIRE_DIGITS: Final = 38
FORMULA_SCALE: Final = 18
CURRENCY_SCALE_MIN: Final = 2
PRECISION_MIN: Final = 18
WHOLE_DIGITS_MIN: Final = 16

TEXTS: Final = frozenset(
    {
        "id", "reference", "string", "email", "phone", "url", "picklist", "combobox", "textarea", "multipicklist",
        "encryptedstring", "datacategorygroupreference", "masterrecord",
    }
)  # fmt: skip
LOOSE: Final = frozenset({"anyType", "complexvalue", "json"})
"""Types whose value may be any JSON; they become text."""
NUMBERS: Final = frozenset({"double", "currency", "percent"})
FIXED: Final[Mapping[str, pa.DataType]] = {
    "boolean": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "date": pa.date32(),
    "datetime": INSTANT,
    "time": pa.time64("us"),
}

FormulaNumbers: TypeAlias = Literal["decimal", "float"]


@dataclass(frozen=True, slots=True)
class NumberRules:
    """``scale_min``: decimal places kept at least, for orgs whose data exceeds what its fields declare."""

    scale_min: int = 0
    formulas: FormulaNumbers = "decimal"


def type_of(field: Mapping[str, Any], rules: NumberRules) -> pa.DataType:
    """The Arrow type of one described field that is not left out."""
    kind = field["type"]
    if kind in NUMBERS:
        return _number_type(field, rules)
    return FIXED.get(kind, pa.string())


def _number_type(field: Mapping[str, Any], rules: NumberRules) -> pa.DataType:
    precision, scale = int(field.get("precision") or 0), int(field.get("scale") or 0)
    if field.get("calculated"):
        if rules.formulas == "float":
            return pa.float64()
        scale = max(scale, FORMULA_SCALE, rules.scale_min)
        return pa.decimal128(WIRE_DIGITS, min(scale, WIRE_DIGITS))
    if not 0 < precision <= WIRE_DIGITS:
        return pa.float64()
    scale = max(scale, CURRENCY_SCALE_MIN if field["type"] == "currency" else 0, rules.scale_min)
    digits = max(precision, PRECISION_MIN, scale + WHOLE_DIGITS_MIN)
    return pa.decimal128(min(digits, WIRE_DIGITS), min(scale, WIRE_DIGITS))


def wire_type(target: pa.DataType) -> pa.DataType:
    """What a value is parsed into before it is settled: as wide as a number's text can be, at the column's scale."""
    if pa.types.is_int64(target):
        return pa.decimal128(WIRE_DIGITS, 0)
    if pa.types.is_decimal(target):
        return pa.decimal128(WIRE_DIGITS, target.scale)
    if pa.types.is_time(target):
        return pa.string()
    return target


def settle_column(column: pa.Array, target: pa.DataType, name: str, object: str) -> pa.Array:
    """``column`` in exactly its ``target`` type. Texts come without empty ones: see ``without_empty``.

    Raises:
        ValueOutOfType: a value does not fit; nothing is rounded, cut or turned to null.
    """
    import pyarrow.compute as pc

    try:
        if pa.types.is_time(target):
            return _times(column)
        return column if column.type == target else pc.cast(column, target, safe=True)
    except pa.ArrowInvalid as error:
        raise out_of_type(object, name, str(error)) from error


def out_of_type(object: str, name: str, cause: str) -> ValueOutOfType:
    return ValueOutOfType(
        "read value",
        f"{object}, {name}" if name else object,
        f"TYPES-FROM-SOURCE: a value that the column's declared type cannot hold exactly: {cause[:300]}",
        "number_scale_min=... keeps more decimal places, formula_numbers='float' takes formulas as floats; "
        "or leave the field out with `exclude`",
    )


def without_empty(texts: pa.Array) -> pa.Array:
    """Empty texts as nulls, as the CSV parser has them already: Bulk cannot tell them apart."""
    import pyarrow.compute as pc

    lengths = pc.binary_length(texts)
    if pc.min(lengths).as_py() != 0:
        return texts
    return pc.if_else(pc.equal(lengths, 0), pa.scalar(None, pa.string()), texts)


def _times(texts: pa.Array) -> pa.Array:
    """``13:45:00.000Z``, with or without its Z, as the time of day."""
    import pyarrow.compute as pc

    plain = pc.replace_substring_regex(texts, "Z$", "")
    instants = pc.cast(pc.binary_join_element_wise("1970-01-01T", plain, ""), pa.timestamp("us"), safe=True)
    return pc.cast(instants, pa.time64("us"), safe=True)
