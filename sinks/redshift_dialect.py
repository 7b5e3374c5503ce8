"""Redshift as a table of differences (guide: data types; names; ALTER TABLE; unsupported PostgreSQL features).

Text is VARCHAR(65535), counted in bytes; lists and JSON documents are SUPER. There is no IS DISTINCT FROM, trailing
blanks do not count when texts are compared, and but for the length of a VARCHAR no column changes its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlglot import exp

from syncline.sinks import lattice
from syncline.sinks.dialect import Dialect, Place, Widening, column, fill, text
from syncline.sinks.redshift_settings import BINARY_BYTES_MAX, CAPABILITIES, TEXT_BYTES_MAX

WIDENED_COLUMN = "_syncline_widened"

TEXT = f"VARCHAR({TEXT_BYTES_MAX})"


def is_super(type: pa.DataType) -> bool:
    return bool(pa.types.is_list(type)) or lattice.is_json(type)


def document(text: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="JSON_PARSE", expressions=[text])


def differs(ours: exp.Expr, theirs: exp.Expr, type: pa.DataType) -> exp.Expr:
    """Whether two values differ, a null equal to a null; never null itself.

    ``'a' = 'a '`` holds in Redshift (character types, significance of trailing blanks), so the lengths are compared
    as well. Two SUPER values are compared by their JSON.
    """
    if is_super(type):
        ours, theirs = (exp.Anonymous(this="JSON_SERIALIZE", expressions=[each]) for each in (ours, theirs))
    unequal: exp.Expr = exp.NEQ(this=ours, expression=theirs)
    if pa.types.is_string(type):
        lengths = (exp.Anonymous(this="OCTET_LENGTH", expressions=[each.copy()]) for each in (ours, theirs))
        unequal = exp.or_(unequal, exp.NEQ(this=next(lengths), expression=next(lengths)), copy=False)
    missing = (exp.Is(this=each.copy(), expression=exp.null()) for each in (ours, theirs))
    either = exp.not_(exp.and_(*missing, copy=False), copy=False)
    return exp.Coalesce(this=unequal, expressions=[either])


def identity(value: exp.Expr, type: pa.DataType) -> list[exp.Expr]:
    """Keys that differ by their trailing blanks are different keys."""
    length = exp.Anonymous(this="OCTET_LENGTH", expressions=[value.copy()])
    return [value, length] if pa.types.is_string(type) else [value]


def as_text(value: exp.Expr, type: pa.DataType) -> exp.Expr | None:
    """A boolean has no cast to text, bytes have one that reads them as UTF-8, SUPER one that loses it (CAST)."""
    if pa.types.is_boolean(type):
        words = [exp.If(this=value, true=text("true")), exp.If(this=exp.not_(value.copy()), true=text("false"))]
        return exp.Case(ifs=words)
    if pa.types.is_binary(type):
        return exp.Anonymous(this="TO_HEX", expressions=[value])
    if is_super(type):
        return exp.Anonymous(this="JSON_SERIALIZE", expressions=[value])
    return None


def widen(widening: Widening) -> Sequence[exp.Expr]:
    """A wider column beside the old one, filled, put in its place; it moves to the end of the table.

    One transaction: what was begun and not ended leaves nothing, and the column is never missing (ALTER TABLE).
    """
    table = widening.table
    new, old = exp.to_identifier(WIDENED_COLUMN, quoted=True), exp.to_identifier(widening.column, quoted=True)
    added = exp.ColumnDef(this=new.copy(), kind=widening.type.copy())
    filled = exp.EQ(this=exp.column(new.copy()), expression=widening.value.copy())
    update = exp.Update(this=table.copy(), expressions=[filled])
    dropped = exp.Drop(tables=[exp.column(old.copy())], kind="COLUMN")
    renamed = exp.RenameColumn(this=exp.column(new.copy()), to=exp.column(old.copy()))
    return [
        exp.Transaction(),
        _alter(table, added),
        update,
        _alter(table, dropped),
        _alter(table, renamed),
        exp.Commit(),
    ]


def _alter(table: exp.Table, action: exp.Expr) -> exp.Alter:
    return exp.Alter(this=table.copy(), kind="TABLE", actions=[action])


REDSHIFT = Dialect(
    name="redshift",
    capabilities=CAPABILITIES,
    types={
        "bool": "BOOLEAN",
        "int64": "BIGINT",
        "double": "DOUBLE PRECISION",
        "string": TEXT,
        "binary": f"VARBYTE({BINARY_BYTES_MAX})",
        "date32[day]": "DATE",
        "time64[us]": "TIME",
        "timestamp[us]": "TIMESTAMP",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
        "extension<arrow.json>": "SUPER",
    },
    decimal="DECIMAL({precision}, {scale})",
    lists="SUPER",
    shown_lists="VARCHAR[]",
    names="lower",
    # COPY of Parquet compares physical widths, and files' instants are taken by TIMESTAMP (COPY from columnar formats).
    staging_types={
        "int8": "INTEGER",
        "int16": "INTEGER",
        "int32": "INTEGER",
        "float": "REAL",
        "time64[us]": "VARCHAR(15)",
        "timestamp[us, tz=UTC]": "TIMESTAMP",
    },
    adds_if_absent=False,
    # In PostgreSQL 8, where Redshift comes from, a backslash in a text begins an escape; in later ones it does not.
    backslashes="by number",
    lock="LOCK {table}",
    aliases_targets=False,
    # How many rows are dead is told by SVV_TABLE_INFO, which only superusers see.
    upkeep=("VACUUM {table}", "ANALYZE {table}"),
    widen=widen,
    differs=differs,
    identity=identity,
    as_text=as_text,
    document=document,
)


def select_columns(place: Place) -> str:
    """Rows (table, column, type, precision, scale) of a schema, in the tables' order (SVV_COLUMNS)."""
    query = fill(
        "SELECT table_name, column_name, data_type, numeric_precision, numeric_scale FROM columns"
        " WHERE table_schema = :schema ORDER BY table_name, ordinal_position",
        {"columns": exp.table_("svv_columns")},
        schema=text(place.schema),
    )
    return REDSHIFT.render_exact(query)


def select_schema(place: Place) -> str:
    """One row if there is such a schema; an empty one has no columns to show."""
    query = fill(
        "SELECT 1 FROM namespaces WHERE nspname = :schema",
        {"namespaces": exp.table_("pg_namespace")},
        schema=text(place.schema),
    )
    return REDSHIFT.render_exact(query)


def tables_of(rows: Iterable[tuple[Any, ...]]) -> Mapping[str, Mapping[str, str]]:
    """What ``select_columns`` returned, with types as the dialect reads them."""
    found: dict[str, dict[str, str]] = {}
    for table, name, type, precision, scale in rows:
        found.setdefault(str(table), {})[str(name)] = _shown_type(str(type), precision, scale)
    return found


_SHOWN: Mapping[str, str] = {
    "character varying": "VARCHAR",
    "binary varying": "VARBYTE",
    "varbyte": "VARBYTE",
    # Only lists and JSON documents become SUPER; which of both, and of what items, Redshift keeps no type.
    "super": "VARCHAR[]",
}


def _shown_type(type: str, precision: object, scale: object) -> str:
    """Lengths are left out: Syncline makes every text and every binary as long as it may be."""
    if type == "numeric":
        return f"NUMERIC({precision}, {scale})"
    plain = type.partition("(")[0].strip().lower()
    return _SHOWN.get(plain, type.upper() if type.startswith("numeric") else plain.upper())


def create_staging(table: exp.Table, columns: pa.Schema, types: Mapping[str, str]) -> list[str]:
    """Makes a staging table anew with other types for some Arrow types, for files that the first ones did not take."""
    parts: list[exp.Expr] = []
    for field in columns:
        canonical = lattice.canonical(field.type)
        assert canonical is not None  # prepare refused it
        own = types.get(str(field.type)) or types.get(str(canonical))
        kind = (
            REDSHIFT.staging_type(field.type, canonical) if own is None else exp.DataType.build(own, dialect="redshift")
        )
        parts.append(exp.ColumnDef(this=column(field.name).this, kind=kind))
    create = exp.Create(this=exp.Schema(this=table.copy(), expressions=parts), kind="TABLE")
    return [REDSHIFT.render(tree) for tree in (fill("DROP TABLE IF EXISTS staged", {"staged": table}), create)]
