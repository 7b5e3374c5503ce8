"""Snowflake as a table of differences (Snowflake reference, data types; MERGE; ALTER TABLE; identifiers)."""

from __future__ import annotations

import pyarrow as pa
from sqlglot import exp

from syncline.sinks import lattice
from syncline.sinks.dialect import Dialect, Widening, found, is_distinct
from syncline.sinks.snowflake_settings import CAPABILITIES


def widen(widening: Widening) -> list[exp.Expr]:
    """The table anew with one column converted, in one statement that keeps the grants.

    A column's type cannot be altered from number to text, nor a number's scale (reference, ALTER TABLE ... ALTER
    COLUMN); CREATE OR REPLACE ... COPY GRANTS AS SELECT is atomic, and keeps the columns' order.
    """
    values: list[exp.Expr] = []
    for name in widening.columns:
        value: exp.Expr = exp.column(found(name))
        if name == widening.column:
            value = widening.value.copy()
        values.append(exp.alias_(value, found(name)))
    query = exp.select(*values).from_(widening.table.copy())
    return [
        exp.Create(
            this=widening.table.copy(),
            kind="TABLE",
            replace=True,
            properties=exp.Properties(expressions=[exp.CopyGrantsProperty()]),
            expression=query,
        )
    ]


def document(text: exp.Expr) -> exp.Expr:
    """A JSON null is a value of its own in a VARIANT, and no SQL NULL (reference, PARSE_JSON)."""
    return exp.Anonymous(this="PARSE_JSON", expressions=[text])


def as_text(value: exp.Expr, type: pa.DataType) -> exp.Expr | None:
    """CAST shows a VARIANT that holds a text without its quotes, as it does one that holds that number (TO_JSON)."""
    return exp.Anonymous(this="TO_JSON", expressions=[value]) if lattice.is_json(type) else None


def differs(ours: exp.Expr, theirs: exp.Expr, type: pa.DataType) -> exp.Expr:
    """Two VARIANTs are compared by their JSON: of unlike kinds, they are cast to each other otherwise, or refused."""
    return is_distinct(as_text(ours, type) or ours, as_text(theirs, type) or theirs, type)


SNOWFLAKE = Dialect(
    name="snowflake",
    capabilities=CAPABILITIES,
    types={
        "bool": "BOOLEAN",
        # 19 digits are what int64 needs; 38 would leave no room for a fraction when a column widens.
        "int64": "NUMBER(19, 0)",
        "double": "FLOAT",
        "string": "VARCHAR",
        "binary": "BINARY",
        "date32[day]": "DATE",
        "time64[us]": "TIME(6)",
        "timestamp[us]": "TIMESTAMP_NTZ(6)",
        "timestamp[us, tz=UTC]": "TIMESTAMP_TZ(6)",
        "extension<arrow.json>": "VARIANT",
    },
    decimal="NUMBER({precision}, {scale})",
    lists="ARRAY",
    names="upper",
    shown_types={
        "BOOLEAN": pa.bool_(),
        "TEXT": pa.string(),
        "VARCHAR": pa.string(),
        "FLOAT": pa.float64(),
        "DOUBLE": pa.float64(),
        "BINARY": pa.binary(),
        "DATE": pa.date32(),
        "TIME": pa.time64("us"),
        "TIMESTAMP_NTZ": pa.timestamp("us"),
        "TIMESTAMP_TZ": pa.timestamp("us", tz="UTC"),
        "ARRAY": pa.list_(pa.string()),
        "VARIANT": lattice.JSON,
    },
    staging_kind="transient",
    replaces_tables=True,
    merges=True,
    overwrites=True,
    prunes_by_bounds=True,
    widen=widen,
    differs=differs,
    as_text=as_text,
    document=document,
)
