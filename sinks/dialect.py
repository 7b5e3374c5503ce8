"""SQL dialects as tables of differences, and the one way SQL is put together.

Statements are sqlglot trees from start to end: skeletons are written as SQL with ``:holes`` and plain table names, and
``fill`` puts expressions and real names in. No name and no value is ever pasted into text; sqlglot quotes both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Literal, TypeAlias, TypeVar

import pyarrow as pa
import sqlglot
from sqlglot import exp

from syncline.sinks import lattice
from syncline.sinks.duckdb_settings import CAPABILITIES
from syncline.sinks.warehouse import Capabilities

T = TypeVar("T", bound=exp.Expr)
Names: TypeAlias = Literal["exact", "upper", "lower"]


@dataclass(frozen=True, slots=True)
class Widening:
    """A target's column that needs a wider type; ``columns`` are all of the target's, in order.

    ``value`` is the column's value in that type.
    """

    table: exp.Table
    column: str
    type: exp.DataType
    columns: tuple[str, ...]
    value: exp.Expr


def alter_type(widening: Widening) -> Sequence[exp.Expr]:
    """The plain way: ALTER COLUMN TYPE, its values converted."""
    name = exp.to_identifier(widening.column, quoted=True)
    action = exp.AlterColumn(this=name, dtype=widening.type)
    return [exp.Alter(this=widening.table.copy(), kind="TABLE", actions=[action])]


def is_distinct(ours: exp.Expr, theirs: exp.Expr, type: pa.DataType) -> exp.Expr:
    """Whether two values of one type differ; a null equals a null."""
    return exp.NullSafeNEQ(this=ours, expression=theirs)


def itself(value: exp.Expr, type: pa.DataType) -> list[exp.Expr]:
    """A value is one with those it equals."""
    return [value]


def nothing_special(value: exp.Expr, type: pa.DataType) -> exp.Expr | None:
    """Every type has a cast to text."""
    return None


def cast_to_json(text: exp.Expr) -> exp.Expr:
    """A JSON document of its text."""
    return exp.cast(text, "JSON")


def sha256_hex(value: exp.Expr) -> exp.Expr:
    return exp.SHA2(this=value, length=exp.Literal.number(256))


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is particular to one warehouse's SQL.

    ``types`` maps canonical Arrow types (``lattice``), written as Arrow writes them, to column types; decimals and
    lists follow from ``decimal`` and ``lists`` with the parts put in. ``shown_lists`` is how the catalog shows lists
    where it shows JSON documents so as well. ``row_address`` is the pseudo column that addresses a row of a table for
    the length of a transaction, empty where there is none; ``system_columns`` are names that every table
    has a hidden column of.

    For warehouses behind a network: ``names`` says how the source's names are spelled there (EXACT-NAMES);
    ``shown_types`` are types that the catalog spells in another way; ``staging_types`` replaces ``types`` in staging
    tables, where also the widths that Arrow has may be named; ``staging_kind`` is what a staging table is made as,
    ``replaces_tables`` that CREATE OR REPLACE makes it; ``merges`` that one MERGE may update, delete and insert under
    conditions; ``overwrites`` that INSERT OVERWRITE replaces a table's rows within a transaction; ``keys_targets`` that
    a declared primary key is enforced; ``prunes_by_bounds`` that a literal range on the key lets the target be read in
    part, and ``bytewise`` the collation by which texts are held against it where the catalog does not show a column's
    own; ``adds_if_absent`` that ADD COLUMN IF NOT EXISTS is known; ``backslashes`` how a literal holds one: by number
    where the server's settings decide what it means in a text; ``lock`` the statement, with ``{table}``, that keeps
    other writers from the bookkeeping; ``aliases_targets`` that UPDATE and DELETE know their table by an alias.
    ``upkeep`` are the statements, with ``{table}``, that clear dead rows of a table away and renew what the planner
    knows of it; ``dead_rows`` the query, with ``{schema}`` and ``{table}`` as texts, that counts them (``Maintainer``).
    ``widen``, ``differs``, ``identity`` (what is compared where a key is), ``as_text`` (of types that CAST shows
    wrongly or not at all), ``document`` (a JSON document of its text) and ``digest`` spell what has no common spelling.
    """

    name: str
    capabilities: Capabilities
    types: Mapping[str, str]
    decimal: str
    lists: str
    shown_lists: str = ""
    row_address: str = ""
    system_columns: tuple[str, ...] = ()
    names: Names = "exact"
    shown_types: Mapping[str, pa.DataType] = field(default_factory=dict)
    staging_types: Mapping[str, str] = field(default_factory=dict)
    staging_kind: Literal["plain", "transient", "unlogged"] = "plain"
    replaces_tables: bool = False
    merges: bool = False
    overwrites: bool = False
    keys_targets: bool = False
    adds_if_absent: bool = True
    backslashes: Literal["plain", "by number"] = "plain"
    lock: str = ""
    aliases_targets: bool = True
    prunes_by_bounds: bool = False
    bytewise: str = ""
    upkeep: tuple[str, ...] = ()
    dead_rows: str = ""
    widen: Callable[[Widening], Sequence[exp.Expr]] = alter_type
    differs: Callable[[exp.Expr, exp.Expr, pa.DataType], exp.Expr] = is_distinct
    identity: Callable[[exp.Expr, pa.DataType], list[exp.Expr]] = itself
    as_text: Callable[[exp.Expr, pa.DataType], exp.Expr | None] = nothing_special
    document: Callable[[exp.Expr], exp.Expr] = cast_to_json
    digest: Callable[[exp.Expr], exp.Expr] = sha256_hex

    def render(self, tree: exp.Expr) -> str:
        return self.spelled(tree).sql(dialect=self.name, identify=True, pretty=True, copy=False)

    def spelled(self, tree: T) -> T:
        """The same tree with its names as this warehouse keeps them."""
        if self.names == "exact" and self.aliases_targets and self.backslashes == "plain":
            return tree
        spelled = tree.copy()
        if not self.aliases_targets and isinstance(spelled, exp.Update | exp.Delete):
            name_target(spelled)
        if self.names != "exact":
            for identifier in list(spelled.find_all(exp.Identifier)):
                # Where a table lives was said by the user, and what the catalog showed is spelled as it is there.
                kept = identifier.arg_key in ("db", "catalog")
                if not kept and not identifier.meta.get("final"):
                    identifier.set("this", self.spell(identifier.name))
        if self.backslashes == "by number":
            for literal in [each for each in spelled.find_all(exp.Literal) if each.is_string and "\\" in each.name]:
                literal.replace(backslashes_by_number(literal.name))
        return spelled

    def render_exact(self, tree: exp.Expr) -> str:
        """A statement upon the warehouse's own catalog, whose names are nobody's to spell."""
        return tree.sql(dialect=self.name, pretty=True)

    def spell(self, name: str) -> str:
        """The source's name as this warehouse keeps it; only ASCII letters have a case there that plain SQL folds."""
        if self.names == "exact":
            return name
        return (name.encode().upper() if self.names == "upper" else name.encode().lower()).decode()

    def column_type(self, type: pa.DataType) -> exp.DataType:
        """The column type for a canonical Arrow type."""
        return exp.DataType.build(_known_type(self._type_text(type), self.name), copy=True)

    def staging_type(self, type: pa.DataType, canonical: pa.DataType) -> exp.DataType:
        """The column type of a staging table for a type of the landed file."""
        own = self.staging_types.get(str(type)) or self.staging_types.get(str(canonical))
        return self.column_type(canonical) if own is None else exp.DataType.build(own, dialect=self.name)

    def converted(self, value: exp.Expr, held: pa.DataType, wanted: pa.DataType) -> exp.Expr:
        """The value, of one canonical type, in a wider one."""
        if held == wanted:
            return value
        shown = self.as_text(value, held) if pa.types.is_string(wanted) else None
        return exp.cast(value, self.column_type(wanted)) if shown is None else shown

    def staged(self, value: exp.Expr, type: pa.DataType, wanted: pa.DataType) -> exp.Expr:
        """A staged value, of one canonical type, in the same or a wider one. A JSON document is staged as its text, and
        stays that text, sign for sign, where a text is wanted."""
        if not lattice.is_json(type):
            return self.converted(value, type, wanted)
        return self.document(value) if lattice.is_json(wanted) else value

    def text_of(self, value: exp.Expr, type: pa.DataType) -> exp.Expr:
        """A text that differs where the values do."""
        shown = self.as_text(value, type)
        return exp.cast(value, "TEXT") if shown is None else shown

    def _type_text(self, type: pa.DataType) -> str:
        if pa.types.is_decimal(type):
            return self.decimal.format(precision=type.precision, scale=type.scale)
        if pa.types.is_list(type):
            return self.lists.format(item=self._type_text(type.value_type))
        return self.types[str(type)]

    def arrow_type(self, text: str, wanted: pa.DataType | None = None) -> pa.DataType | None:
        """The canonical Arrow type of a column type as the catalog spells it; ``None`` for one Syncline never makes.

        Where one column type holds lists and JSON documents alike, it is the one of both that is ``wanted``.
        """
        text = text.partition(COLLATE)[0]
        if wanted is not None and lattice.is_json(wanted) and text == self.shown_lists:
            return wanted
        if text in self.shown_types:
            return self.shown_types[text]
        if text.endswith("[]"):
            item = self.arrow_type(text[:-2])
            return None if item is None else pa.list_(item)
        if match := re.fullmatch(r"(?:DECIMAL|NUMERIC|NUMBER)\((\d+),\s*(\d+)\)", text, re.IGNORECASE):
            return pa.decimal128(int(match[1]), int(match[2]))
        wanted = _known_type(text, self.name).this
        if _known_type(text, self.name).expressions:
            return None
        found = (arrow for arrow, own in self.types.items() if _known_type(own, self.name).this == wanted)
        return ARROW_TYPES.get(next(found, ""))

    def fold(self, name: str) -> str:
        """Equal for two names that are one in this warehouse (EXACT-NAMES)."""
        return name if self.capabilities.case_sensitive_names else name.encode().lower().decode()


COLLATE = " COLLATE "
BYTEWISE = "utf8"
"""The collation that equates and sorts texts as their bytes do (Snowflake reference, collation support)."""


def collated(type: str, collation: str) -> str:
    """The type of a text column that has rules of its own for comparing, as the catalog's reader spells it."""
    return f"{type}{COLLATE}'{collation}'"


def is_collated(type: str) -> bool:
    return COLLATE in type


def by_bytes(value: exp.Expr) -> exp.Expr:
    """The text, compared by its bytes with whatever stands beside it: what is explicit goes before a column's own."""
    return exp.Collate(this=value, expression=text(BYTEWISE))


ARROW_TYPES: Mapping[str, pa.DataType] = {
    str(type): type
    for type in (
        pa.bool_(),
        pa.int64(),
        pa.float64(),
        pa.string(),
        pa.binary(),
        pa.date32(),
        pa.time64("us"),
        pa.timestamp("us"),
        pa.timestamp("us", tz="UTC"),
        lattice.JSON,
    )
}

DUCKDB = Dialect(
    name="duckdb",
    capabilities=CAPABILITIES,
    types={
        "bool": "BOOLEAN",
        "int64": "BIGINT",
        "double": "DOUBLE",
        "string": "VARCHAR",
        "binary": "BLOB",
        "date32[day]": "DATE",
        "time64[us]": "TIME",
        "timestamp[us]": "TIMESTAMP",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
        "extension<arrow.json>": "JSON",
    },
    decimal="DECIMAL({precision}, {scale})",
    lists="{item}[]",
    row_address="rowid",
    # By the literals, not by what a join finds out for itself while it runs (measured, 2.0).
    prunes_by_bounds=True,
    bytewise="binary",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where targets and bookkeeping live; ``catalog`` is empty where a connection has but one."""

    catalog: str
    schema: str

    def table(self, name: str) -> exp.Table:
        return exp.table_(name, db=self.schema, catalog=self.catalog or None, quoted=True)

    def schema_table(self) -> exp.Table:
        """The schema itself, as CREATE SCHEMA names it; spelled as the user said it, like that of its tables."""
        return exp.table_(found(self.schema), db=self.catalog or None, quoted=True)


def found(name: str) -> exp.Identifier:
    """A name as the catalog spells it, which no rule of spelling changes."""
    identifier = exp.to_identifier(name, quoted=True)
    identifier.meta["final"] = True
    return identifier


def column(name: str, table: str | None = None) -> exp.Column:
    # Names are made here and stand nowhere else: a copy of each is most of what a column costs.
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(table, quoted=True), copy=False)


def text(value: str) -> exp.Literal:
    return exp.Literal.string(value)


def instant(value: datetime | None) -> exp.Expr:
    if value is None:
        return exp.null()
    stamp = value.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")
    return exp.cast(exp.Literal.string(stamp), "TIMESTAMPTZ")


def backslashes_by_number(value: str) -> exp.Expr:
    """The text, put together so that no literal in it has a backslash."""
    first, *rest = value.split("\\")
    parts: exp.Expr = text(first)
    for each in rest:
        backslash = exp.Anonymous(this="CHR", expressions=[exp.Literal.number(92)])
        parts = exp.DPipe(this=exp.DPipe(this=parts, expression=backslash), expression=text(each))
    return exp.paren(parts, copy=False)


def name_target(statement: exp.Update | exp.Delete) -> None:
    """Takes the alias from the statement's table; columns are named by schema and table, which no alias shadows."""
    table = statement.this
    alias = table.alias
    if not alias:
        return
    table.set("alias", None)
    for each in list(statement.find_all(exp.Column)):
        if each.table == alias:
            each.set("table", table.this.copy())
            each.set("db", table.args["db"].copy())


def number(value: int) -> exp.Expr:
    return exp.Literal.number(value)


def fill(skeleton: str, tables: Mapping[str, exp.Expr] | None = None, **holes: exp.Expr) -> exp.Expr:
    """Puts tables (keeping the skeleton's aliases) and expressions into a skeleton of SQL.

    Raises KeyError for a hole or table that nobody fills, so that a typing error cannot become SQL.
    """
    return _parse(skeleton).copy().transform(_filler(tables or {}, holes), copy=False)


@cache
def _known_type(text: str, dialect: str) -> exp.DataType:
    return exp.DataType.build(text, dialect=dialect)


@cache
def _parse(skeleton: str) -> exp.Expr:
    return sqlglot.parse_one(skeleton)


def _filler(tables: Mapping[str, exp.Expr], holes: Mapping[str, exp.Expr]) -> Callable[[exp.Expr], exp.Expr]:
    def replace(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Placeholder):
            value = _own(holes[node.name])
            # A hole stands for one operand whatever surrounds it.
            return exp.paren(value, copy=False) if isinstance(value, exp.Binary) else value
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier) and not node.db:
            given = tables[node.name]
            # A plain table is cheap to copy, and may be named without the alias elsewhere.
            table = given.copy() if isinstance(given, exp.Table) else _own(given)
            if node.alias:
                return exp.alias_(table, node.alias, table=True, quoted=True, copy=False)
            return table
        return node

    return replace


def _own(tree: exp.Expr) -> exp.Expr:
    """A tree to put into another; copied only where it stands in one already: copies are most of what SQL costs.

    The caller's own then has the alias it is given there.
    """
    return tree if tree.parent is None else tree.copy()
