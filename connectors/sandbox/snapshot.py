"""What a correct copy of an object holds: the committed records in typed Arrow columns, to compare a target with."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.sandbox.identifiers import Serials
from syncline.connectors.sandbox.schema import Field
from syncline.connectors.sandbox.store import Table, deleted_mask

_DECIMALS: Final = frozenset({"double", "currency", "percent"})


def arrow_type(field: Field) -> pa.DataType:
    """The exact type of a field's values (reference, section 7; decimals keep at least 16 digits before the point)."""
    kind = field.type
    if kind == "boolean":
        return pa.bool_()
    if kind in ("int", "long"):
        return pa.int64()
    if kind in _DECIMALS:
        return decimal_type(field)
    if kind == "date":
        return pa.date32()
    if kind == "datetime":
        return pa.timestamp("us", "UTC")
    if kind == "time":
        return pa.time64("us")
    return pa.string()


def decimal_type(field: Field) -> pa.DataType:
    if not 0 < field.precision <= 38:
        return pa.float64()
    scale = field.scale
    if field.type == "currency":
        scale = max(scale, 2)
    if field.formula is not None:
        scale = max(scale, 6)
    if field.high_scale:
        scale = max(scale, 8)
    return pa.decimal128(min(38, max(field.precision, 18, scale + 16)), scale)


def typed(field: Field, values: pa.Array) -> pa.Array:
    """Stored texts as values of the field's Arrow type; exact, or an error."""
    wanted = arrow_type(field)
    if wanted == pa.string():
        return values
    if field.type == "boolean":
        return pc.equal(pc.fill_null(values, "false"), "true")
    if field.type == "time":
        moments = pc.binary_join_element_wise("1970-01-01T", values, "")
        return moments.cast(pa.timestamp("us", "UTC")).cast(pa.time64("us"))
    if field.type == "datetime":
        return values.cast(pa.timestamp("us", "UTC"))
    return values.cast(widened(wanted, values) if pa.types.is_decimal(wanted) else wanted)


def widened(wanted: pa.DataType, values: pa.Array) -> pa.DataType:
    """The decimal type made wide enough for data that break their declared precision."""
    digits = pc.replace_substring_regex(values.drop_null(), r"^-?\d*\.?", "")
    decimals = pc.max(pc.binary_length(digits)).as_py() or 0
    whole = pc.max(pc.binary_length(pc.replace_substring_regex(values.drop_null(), r"^-|\..*$", ""))).as_py() or 0
    scale = max(wanted.scale, decimals)
    return pa.decimal128(min(38, max(wanted.precision - wanted.scale, whole) + scale), scale)


def snapshot(table: Table, include_deleted: bool, unseen: Serials) -> pa.Table:
    """Every visible stored field but base64, in the object's order, rows sorted by Id, without ``unseen`` records."""
    rows = table.everything()
    if len(unseen):
        rows = table.select(rows.positions[~np.isin(rows.serials(), unseen)])
    if not include_deleted and "IsDeleted" in table.kind.fields:
        rows = table.select(rows.positions[~deleted_mask(rows.column("IsDeleted"))])
    rows = table.select(rows.positions[np.argsort(rows.serials(), kind="stable")])
    fields = [field for field in table.kind.visible() if field.stored and field.type != "base64"]
    return pa.table({field.name: typed(field, rows.column(field.name)) for field in fields})
