"""A plan's staged rows and its target side by side: what merging and comparing have in common.

Pure: plan in, SQL statements out. Within a statement ``s`` is the staged row, ``t`` the target's, ``c`` the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp
from sqlglot.generator import Generator

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN
from syncline.sinks import lattice
from syncline.sinks.dialect import Dialect, Place, by_bytes, column, fill, is_collated, number, text
from syncline.sinks.staging import DIGEST_COLUMN, TOMBSTONE_COLUMN, digest, digest_of_digests, identity, staging
from syncline.sinks.targets import Layout
from syncline.sinks.warehouse import DELETED_AT_COLUMN, SYNCED_AT_COLUMN, TablePlan


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the largest value of the key's first column among the staged rows; of texts by their bytes."""

    least: object = None
    largest: object = None


@dataclass(frozen=True, slots=True)
class Match:
    """One stream's tables. ``layout`` is the target's as of now; ``duplicated`` says that a key is staged twice.

    ``source`` is where staged rows are read from, when that is not the view of ``staging``.
    """

    plan: TablePlan
    layout: Layout
    place: Place
    dialect: Dialect
    duplicated: bool
    source: exp.Expr | None = None
    bounds: Bounds = Bounds()

    # --- statements -----------------------------------------------------------------------------------------------

    def count_rows(self) -> str:
        """One row: the target's rows, those of them not marked as deleted, and the staged rows."""
        return self.render(
            "SELECT (SELECT COUNT(*) FROM target), (SELECT COUNT(*) FROM target AS t WHERE :live),"
            " (SELECT COUNT(*) FROM staged)",
            live=self.is_live(),
        )

    def count_changes(self) -> str:
        """Rows by action."""
        return self.render("SELECT action, COUNT(*) FROM changes GROUP BY action ORDER BY action")

    def supersede(self) -> str:
        """NEWEST-WINS among a key's staged rows: the largest cursor, then the later row; a null cursor is oldest."""
        keys = identity(self.plan)
        twice = exp.select(*(column(name) for name in keys)).from_(self.staged())
        twice = twice.group_by(*(column(name) for name in keys)).having(exp.Count(this=exp.Star()) > number(1))
        order = [exp.Ordered(this=column(SEQUENCE_COLUMN, "s"), desc=True)]
        if self.plan.cursor:
            order.insert(0, exp.Ordered(this=column(self.plan.cursor, "s"), desc=True, nulls_first=False))
        newest = exp.Window(
            this=exp.RowNumber(),
            partition_by=[column(name, "s") for name in keys],
            order=exp.Order(expressions=order),
        )
        return self.render(
            "INSERT INTO changes (seq, target, action) SELECT s._syncline_seq, NULL, 'superseded'"
            " FROM winners AS s JOIN twice AS d ON :same QUALIFY :newest > 1",
            {"winners": self.staged(), "twice": twice.subquery()},
            same=exp.and_(*(column(name, "s").eq(column(name, "d")) for name in keys)),
            newest=newest,
        )

    def count_candidates(self, rows_step: int) -> str:
        """Candidates by range of target addresses: rows (range, candidates), ranges of ``rows_step`` addresses."""
        return self.render(
            "SELECT CAST(FLOOR(target / :step) AS BIGINT) AS part, COUNT(*) FROM changes WHERE action = 'candidate'"
            " GROUP BY part ORDER BY part",
            step=number(rows_step),
        )

    def compare(self, first: int, last: int, names: Iterable[str], word: exp.Expr) -> str:
        """Finds the candidates that differ in any of the columns, null-safe, among the addresses first to last.

        The range bounds the memory of the join whatever the table's size (BOUNDED); each range is read once.
        """
        differ = [exp.NullSafeNEQ(this=column(name, "s"), expression=self.theirs(name)) for name in names]
        return self.render(
            "INSERT INTO changes (seq, target, action) SELECT c.seq, c.target, :word FROM changes AS c"
            " JOIN winners AS s ON s._syncline_seq = c.seq JOIN target AS t ON :address = c.target"
            " WHERE c.action = 'candidate' AND c.target BETWEEN :first AND :last AND :differ",
            {"winners": self.staged()},
            address=self.address(),
            word=word,
            first=number(first),
            last=number(last),
            differ=exp.or_(*differ, copy=False) if differ else exp.false(),
        )

    # --- parts of statements --------------------------------------------------------------------------------------

    def address(self, table: str | None = "t") -> exp.Column:
        return column(self.dialect.row_address, table)

    def is_live(self) -> exp.Expr:
        """The target's row is not marked as deleted."""
        return column(DELETED_AT_COLUMN, "t").is_(exp.null()) if self.layout.marks else exp.true()

    def staged(self) -> exp.Expr:
        """The staged rows in the common types: casts only ever widen, exactly (TYPES-FROM-SOURCE)."""
        selected: list[exp.Expr] = []
        for field in self.plan.columns:
            common = self._common_type(field)
            value: exp.Expr = column(field.name)
            own = lattice.canonical(field.type)
            if own is not None and (common != own or lattice.is_json(own)):
                value = exp.alias_(self.dialect.staged(value, own, common), field.name, quoted=True, copy=False)
            selected.append(value)
        flags = (column(name) for name in (DELETED_COLUMN, SEQUENCE_COLUMN, TOMBSTONE_COLUMN))
        query = exp.Select().select(*selected, *flags, copy=False)
        if not self.plan.key:
            values = (value.this if isinstance(value, exp.Alias) else value for value in selected)
            query = query.select(exp.alias_(self._digest(value.copy() for value in values), DIGEST_COLUMN, quoted=True))
        return query.from_(self._rows(), copy=False).subquery(copy=False)

    def _rows(self) -> exp.Expr:
        return staging(self.plan).rows if self.source is None else self.source.copy()

    def live(self) -> exp.Expr:
        """Identity and address of the target's rows that are not marked as deleted."""
        skeleton = "SELECT :address FROM target AS t WHERE :live"
        tables = {"target": self.place.table(self.plan.target)}
        query = fill(skeleton, tables, address=self.address(), live=self.is_live())
        assert isinstance(query, exp.Select)
        named = (exp.alias_(value, name, quoted=True) for name, value in self.their_identity())
        return query.select(*named).subquery()

    def theirs(self, name: str) -> exp.Expr:
        """The target's value of a source column, in the common type; null where the target has no such column yet.

        After ``prepare`` that is simply the column.
        """
        held, common = self._held_type(name), self._common_type(self.plan.columns.field(name))
        if held is None:
            return exp.cast(exp.null(), self.dialect.column_type(common))
        value: exp.Expr = column(name, "t")
        # Under a collation of the target's, 'a' may equal 'A': two keys would be one, and a change of case be lost.
        return self.dialect.converted(by_bytes(value) if self.collates(name) else value, held, common)

    def collates(self, name: str) -> bool:
        """Whether the target compares the column's texts by other rules than their bytes."""
        own = self.layout.find(name, self.dialect)
        return own is not None and is_collated(self.layout.types[own])

    def _held_type(self, name: str) -> pa.DataType | None:
        own = self.layout.find(name, self.dialect)
        return self.dialect.arrow_type(self.layout.types[own], self.plan.columns.field(name).type) if own else None

    def common_type(self, name: str) -> pa.DataType:
        """The type that staged and target values of a source column are compared in."""
        return self._common_type(self.plan.columns.field(name))

    def _common_type(self, field: pa.Field) -> pa.DataType:
        """The target's type as soon as ``prepare`` ran; before, the one it is going to have, or else text."""
        held = self._held_type(field.name)
        common = lattice.join(field.type if held is None else held, field.type)
        return pa.string() if common is None else common

    def winners(self) -> exp.Expr:
        query = self.staged()
        if not self.duplicated:
            return query
        select = query.this
        assert isinstance(select, exp.Select)
        losers = exp.select(column("seq")).from_(staging(self.plan).changes)
        losers = losers.where(column("action").eq(text("superseded")))
        return select.where(exp.not_(column(SEQUENCE_COLUMN).isin(query=losers)), copy=False).subquery(copy=False)

    def extras(self) -> list[str]:
        """The target's columns that the source does not have, or has no longer."""
        own = {self.dialect.fold(name) for name in (*self.plan.columns.names, SYNCED_AT_COLUMN, DELETED_AT_COLUMN)}
        return [name for name in self.layout.types if self.dialect.fold(name) not in own]

    def same_identity(self) -> exp.Expr:
        """Both rows are of one identity. Neither a key nor a digest is ever null, so plain equality serves."""
        pairs = zip(self.ours_apart(), self.theirs_apart(), strict=True)
        return exp.and_(*(exp.EQ(this=one, expression=other) for one, other in pairs))

    def same_within(self) -> exp.Expr:
        """Both rows are of one identity, in a literal range that follows from the staged keys and lets the target be
        read in part."""
        same = self.same_identity()
        low, high = literal(self.bounds.least), literal(self.bounds.largest)
        if not self._is_bounded() or low is None or high is None:
            return same
        value, bytewise = self.theirs(self.plan.key[0]), self.dialect.bytewise
        if bytewise and isinstance(self.bounds.least, str):
            value = exp.Collate(this=value, expression=exp.to_identifier(bytewise, quoted=True))
        return exp.and_(same, exp.Between(this=value, low=low, high=high))

    def _is_bounded(self) -> bool:
        """Staged values sort as the target's do: in a wider type of the target's 10 stands before 9.

        Bounds of texts are by their bytes, and a target's collation may sort otherwise: a range that left out rows of
        staged keys would have them inserted a second time.
        """
        if not self.dialect.prunes_by_bounds or not self.plan.key or self.collates(self.plan.key[0]):
            return False
        first = self.plan.columns.field(self.plan.key[0])
        return bool(self.common_type(first.name) == lattice.canonical(first.type))

    def ours_apart(self) -> list[exp.Expr]:
        """The values that tell the staged rows apart."""
        named = ((column(name, "s"), type) for name, type in self._identity_types())
        return [each for value, type in named for each in self.dialect.identity(value, type)]

    def theirs_apart(self) -> list[exp.Expr]:
        """The values that tell the target's rows apart."""
        values = (value for _, value in self.their_identity())
        types = (type for _, type in self._identity_types())
        return [each for value, type in zip(values, types, strict=True) for each in self.dialect.identity(value, type)]

    def _identity_types(self) -> list[tuple[str, pa.DataType]]:
        """A digest is of no text's type: it needs no comparing but the plain one."""
        return [(name, self.common_type(name)) for name in self.plan.key] or [(DIGEST_COLUMN, pa.binary())]

    def their_identity(self) -> list[tuple[str, exp.Expr]]:
        """The columns of ``identity`` and their values on the target's side."""
        if self.plan.key:
            return [(name, self.theirs(name)) for name in self.plan.key]
        return [(DIGEST_COLUMN, self._digest(self.theirs(name) for name in self.plan.columns.names))]

    def _digest(self, values: Iterable[exp.Expr]) -> exp.Expr:
        if self.source is None:
            return digest(values)
        types = [self._common_type(field) for field in self.plan.columns]
        return digest_of_digests(zip(values, types, strict=True), self.dialect)

    def has_instants(self, name: str) -> bool:
        return bool(pa.types.is_temporal(self.plan.columns.field(name).type))

    def render(
        self,
        skeleton: str,
        tables: Mapping[str, exp.Expr] | None = None,
        *,
        columns: Sequence[str] = (),
        values: Sequence[exp.Expr] = (),
        **holes: exp.Expr,
    ) -> str:
        """Fills a skeleton; ``columns`` and ``values`` take the place of what it inserts into and selects."""
        tree = self.fill(skeleton, tables, **holes)
        if columns:
            tree.this.set("expressions", [exp.to_identifier(name, quoted=True) for name in columns])
        if values:
            query = tree.expression if isinstance(tree, exp.Insert) else tree
            query.set("expressions", list(values))
        return self.dialect.render(tree)

    def fill(self, skeleton: str, tables: Mapping[str, exp.Expr] | None = None, **holes: exp.Expr) -> exp.Expr:
        """A skeleton over this stream's tables and those given, as a tree."""
        own = staging(self.plan)
        known = {"target": self.place.table(self.plan.target), "staged": self._rows(), "changes": own.changes}
        return fill(skeleton, {**known, **(tables or {})}, **holes)


def literal(value: object) -> exp.Expr | None:
    """The value as a literal; ``None`` for one whose order in the warehouse is not sure to be kept by its text."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return None if Generator.SENTINEL_LINE_BREAK in value else text(value)  # would be rendered as a line break
    return number(value) if isinstance(value, int) else None


def among(table: str, words: Sequence[str]) -> exp.Expr:
    return column("action", table).isin(*(text(word) for word in words))
