"""The staging of a warehouse that reads landed Parquet in place, and what is asked of it before the commit.

Landed files are immutable, sealed and counted, so a view over them is a staging table that costs nothing to fill. The
view and the table of changes beside it are temporary: they belong to one connection, and a dead run leaves none behind.

Columns of the view: the plan's, then ``_syncline_deleted``, ``_syncline_seq`` and ``_syncline_tombstone`` (true where
the row holds nothing but key and cursor). The table of changes says what becomes of each row: ``seq`` is the staged
row, ``target`` the address of the target's row, ``action`` a word of ``merge``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from sqlglot import exp

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN
from syncline.sinks import lattice
from syncline.sinks.dialect import Dialect, column, fill, text
from syncline.sinks.warehouse import TablePlan

TOMBSTONE_COLUMN = "_syncline_tombstone"
DIGEST_COLUMN = "_syncline_digest"

STAGING_NAME_BYTES_MAX = 120

RANGED = (pa.string(), pa.int64())
"""Types of keys that a literal range can be drawn on (``match.literal``): their literals sort as their values do."""


@dataclass(frozen=True, slots=True)
class Staging:
    """The two temporary objects of one stream in one run."""

    rows: exp.Table
    changes: exp.Table


def staging(plan: TablePlan) -> Staging:
    name = staging_name(plan.stream, plan.run_id)
    return Staging(_temporary(name), _temporary(f"{name}__changes"))


def staging_name(stream: str, run_id: str) -> str:
    """``<stream>__<run>``, cut to a bound with a digest in place of what is cut."""
    name = f"{stream}__{run_id}"
    if len(name.encode()) <= STAGING_NAME_BYTES_MAX:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    kept = name.encode()[: STAGING_NAME_BYTES_MAX - len(digest) - 2].decode(errors="ignore")
    return f"{kept}__{digest}"


def _temporary(name: str) -> exp.Table:
    return exp.table_(name, db="main", catalog="temp", quoted=True)


def create_view(plan: TablePlan, records: Sequence[Path], tombstones: Sequence[Path], dialect: Dialect) -> str:
    parts: list[exp.Query] = []
    if records:
        parts.append(_part(plan, records, set(plan.columns.names), dialect))
    if tombstones:
        kept = {*plan.key, *((plan.cursor,) if plan.cursor else ())}
        parts.append(_part(plan, tombstones, kept, dialect, tombstone=True))
    if not parts:
        parts.append(_select(plan, set(), dialect).where(exp.false()))
    query = parts[0] if len(parts) == 1 else exp.union(*parts, distinct=False)
    return dialect.render(_create(staging(plan).rows, "VIEW", query))


def create_changes(plan: TablePlan, dialect: Dialect) -> str:
    columns = [
        exp.ColumnDef(this=exp.to_identifier(name, quoted=True), kind=dialect.column_type(type))
        for name, type in (("seq", pa.int64()), ("target", pa.int64()), ("action", pa.string()))
    ]
    table = exp.Schema(this=staging(plan).changes, expressions=columns)
    return dialect.render(_create(table, "TABLE", None))


def drops(plan: TablePlan, dialect: Dialect) -> list[str]:
    own = staging(plan)
    trees = (
        fill("DROP TABLE IF EXISTS changes", {"changes": own.changes}),
        fill("DROP VIEW IF EXISTS staged", {"staged": own.rows}),
    )
    return [dialect.render(tree) for tree in trees]


def count_rows(plan: TablePlan, dialect: Dialect) -> str:
    """One row: staged rows, those of an incomplete key, the least and the largest first key if ``RANGED``."""
    incomplete: exp.Condition = exp.false()
    first: exp.Expr = exp.null()
    if plan.key:
        incomplete = exp.or_(*(column(name).is_(exp.null()) for name in plan.key))
        if lattice.canonical(plan.columns.field(plan.key[0]).type) in RANGED:
            first = column(plan.key[0])
    query = fill(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE :incomplete), MIN(:first), MAX(:first) FROM staged",
        {"staged": staging(plan).rows},
        incomplete=incomplete,
        first=first,
    )
    return dialect.render(query)


def count_keys(plan: TablePlan, dialect: Dialect) -> str:
    """How many different keys are staged; without a key, how many different rows."""
    values: list[exp.Expr] = [column(name) for name in plan.key] or [
        digest(column(name) for name in plan.columns.names)
    ]
    named = [exp.alias_(value, f"key_{number}", quoted=True) for number, value in enumerate(values)]
    keys = exp.select(*named).from_(staging(plan).rows).distinct()
    return dialect.render(exp.select(exp.Count(this=exp.Star())).from_(keys.subquery("keys")))


def identity(plan: TablePlan) -> tuple[str, ...]:
    """The columns that say which row is which: the key, or the digest of the whole row where there is none."""
    return plan.key or (DIGEST_COLUMN,)


def digest(values: Iterable[exp.Expr]) -> exp.Expr:
    """SHA-256 of a row, so that rows without a key are told apart in little memory.

    Each value stands as text after its length, a null as a dash: no two different rows make the same text.
    """
    parts = []
    for value in values:
        shown = exp.cast(value, "TEXT")
        sized = exp.DPipe(this=exp.DPipe(this=exp.Length(this=shown), expression=text(":")), expression=shown.copy())
        parts.append(exp.Coalesce(this=sized, expressions=[text("-")]))
    joined = exp.Anonymous(this="CONCAT", expressions=parts)
    return exp.Unhex(this=exp.SHA2(this=joined, length=exp.Literal.number(256)))


def digest_of_digests(values: Iterable[tuple[exp.Expr, pa.DataType]], dialect: Dialect) -> exp.Expr:
    """The same in a bounded length of text, for warehouses whose texts are: the digest of the values' digests."""
    parts: list[exp.Expr] = [
        exp.Coalesce(this=dialect.digest(dialect.text_of(value, type)), expressions=[text("-")])
        for value, type in values
    ]
    while len(parts) > 1:  # balanced, so that a wide row nests no deeper than its logarithm
        pairs = [parts[index : index + 2] for index in range(0, len(parts), 2)]
        parts = [exp.DPipe(this=exp.paren(p[0]), expression=exp.paren(p[1])) if len(p) > 1 else p[0] for p in pairs]
    return dialect.digest(parts[0])


def _part(
    plan: TablePlan, files: Sequence[Path], present: set[str], dialect: Dialect, *, tombstone: bool = False
) -> exp.Select:
    query = _select(plan, present, dialect, tombstone=tombstone)
    # Partition columns are never guessed from the landing's folders (dt=, run=): they would hide fields of those names.
    options = exp.EQ(this=column("hive_partitioning"), expression=exp.false())
    paths = exp.Array(expressions=[text(_literal_pattern(path)) for path in files])
    return query.from_(exp.Table(this=exp.ReadParquet(expressions=[paths, options])), copy=False)


def _select(plan: TablePlan, present: set[str], dialect: Dialect, *, tombstone: bool = False) -> exp.Select:
    selected = []
    for field in plan.columns:
        type = lattice.canonical(field.type)
        assert type is not None  # prepare refused it
        if lattice.is_json(type):
            type = pa.string()  # its text, as the match expects it
        value = column(field.name) if field.name in present else exp.null()
        typed = exp.cast(value, dialect.column_type(type), copy=False)
        selected.append(exp.alias_(typed, field.name, quoted=True, copy=False))
    flags: list[tuple[str, exp.Expr]] = [
        (DELETED_COLUMN, column(DELETED_COLUMN) if present else exp.false()),
        (SEQUENCE_COLUMN, column(SEQUENCE_COLUMN) if present else exp.cast(exp.null(), "BIGINT")),
        (TOMBSTONE_COLUMN, exp.true() if tombstone else exp.false()),
    ]
    named = (exp.alias_(value, name, quoted=True, copy=False) for name, value in flags)
    return exp.Select().select(*selected, *named, copy=False)


def _create(this: exp.Expr, kind: str, query: exp.Expr | None) -> exp.Expr:
    properties = exp.Properties(expressions=[exp.TemporaryProperty()])
    return exp.Create(this=this, kind=kind, replace=True, properties=properties, expression=query)


def _literal_pattern(path: Path) -> str:
    """DuckDB reads file names as glob patterns; a set of one character stands for itself."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(path))
