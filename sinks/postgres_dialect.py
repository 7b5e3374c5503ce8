"""Postgres as a table of differences (PostgreSQL manual, data types; MERGE; identifiers)."""

from __future__ import annotations

from sqlglot import exp

from syncline.sinks.dialect import Dialect, Widening
from syncline.sinks.postgres_settings import LOWER


def widen(widening: Widening) -> list[exp.Expr]:
    """ALTER COLUMN TYPE ... USING: rewrites the table under a lock, in one statement and all or nothing."""
    name = exp.to_identifier(widening.column, quoted=True)
    using = exp.cast(exp.column(name.copy()), widening.type)
    action = exp.AlterColumn(this=name, dtype=widening.type, using=using)
    return [exp.Alter(this=widening.table.copy(), kind="TABLE", actions=[action])]


def document(text: exp.Expr) -> exp.Expr:
    return exp.cast(text, "JSONB", dialect="postgres")


def digest(value: exp.Expr) -> exp.Expr:
    """SHA-256 as hex text (PostgreSQL manual, binary string functions)."""
    octets = exp.Anonymous(this="CONVERT_TO", expressions=[value, exp.Literal.string("UTF8")])
    return exp.Anonymous(
        this="ENCODE", expressions=[exp.Anonymous(this="SHA256", expressions=[octets]), exp.Literal.string("hex")]
    )


SYSTEM_COLUMNS = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
"""Not to be had as a column's name, not even in quotes (PostgreSQL manual, system columns)."""

POSTGRES = Dialect(
    name="postgres",
    capabilities=LOWER,
    types={
        "bool": "BOOLEAN",
        "int64": "BIGINT",
        "double": "DOUBLE PRECISION",
        "string": "TEXT",
        "binary": "BYTEA",
        "date32[day]": "DATE",
        "time64[us]": "TIME",
        "timestamp[us]": "TIMESTAMP",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
        "extension<arrow.json>": "JSONB",
    },
    decimal="DECIMAL({precision}, {scale})",
    lists="{item}[]",
    names="lower",
    system_columns=SYSTEM_COLUMNS,
    staging_kind="unlogged",
    keys_targets=True,
    # Readers are let through; two commits that could take one target see each other (PostgreSQL manual, LOCK).
    lock="LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE",
    upkeep=("VACUUM (ANALYZE) {table}",),
    # A count that the server keeps, at times a moment behind (PostgreSQL manual, the cumulative statistics system).
    dead_rows="SELECT n_dead_tup FROM pg_catalog.pg_stat_all_tables WHERE schemaname = {schema} AND relname = {table}",
    widen=widen,
    document=document,
    digest=digest,
)
