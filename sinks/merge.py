"""What a commit does to one target, as statements: plan in, SQL out, nothing run here.

::

    staged rows ──▶ superseded? ──▶ classified against the target by key ──▶ candidates compared ──▶ insert, delete
                    (only if a key     (one narrow join: key, cursor)        (equal cursor: every
                     is staged twice)                                         source column)

The target's rows are never updated in place: that costs the whole table in a column store. Changed rows are inserted
anew and their old versions deleted by address, so the cost follows the change (measured, see ``docs``).

Words of the table of changes:

=============  =======================================================================================
superseded     an older version of a key that is staged more than once
insert         the target lacks the key
update         the cursor differs, or the row comes back from deletion
candidate      same cursor: equal or not is decided by comparing
differs        a candidate that turned out to differ; stands beside its candidate
unchanged      nothing to compare: a row without a key that is there already, a deletion marked before
delete         deleted at the source; with marks, the row's data came along
mark           with marks: deleted at the source, nothing but the key is known
absent         a snapshot lacks the target's row
stale          older than the target's row
moot           a deletion of nothing, or one that is to be ignored
=============  =======================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from sqlglot import exp

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN
from syncline.sinks import lattice
from syncline.sinks.dialect import Dialect, Place, column, fill, instant, number, text
from syncline.sinks.staging import TOMBSTONE_COLUMN, identity, staging
from syncline.sinks.targets import Layout
from syncline.sinks.warehouse import DELETED_AT_COLUMN, SYNCED_AT_COLUMN, RowCounts, TablePlan

Case = list[tuple[exp.Expr, str]]


@dataclass(frozen=True, slots=True)
class Merge:
    """One stream's merge. ``layout`` is the target's as of now; ``duplicated`` says that a key is staged twice."""

    plan: TablePlan
    layout: Layout
    place: Place
    dialect: Dialect
    committed_at: datetime
    duplicated: bool

    # --- counting -------------------------------------------------------------------------------------------------

    def count_rows(self) -> str:
        """One row: the target's rows, those of them not marked as deleted, and the staged rows."""
        live = column(DELETED_AT_COLUMN).is_(exp.null()) if self.layout.marks else exp.true()
        return self._render(
            "SELECT (SELECT COUNT(*) FROM target), (SELECT COUNT(*) FROM target WHERE :live),"
            " (SELECT COUNT(*) FROM staged)",
            live=live,
        )

    def count_changes(self) -> str:
        """Rows by action."""
        return self._render("SELECT action, COUNT(*) FROM changes GROUP BY action ORDER BY action")

    # --- classifying ----------------------------------------------------------------------------------------------

    def supersede(self) -> str:
        """NEWEST-WINS among a key's staged rows: the largest cursor, then the later row; a null cursor is oldest."""
        keys = identity(self.plan)
        twice = exp.select(*(column(name) for name in keys)).from_(staging(self.plan).rows)
        twice = twice.group_by(*(column(name) for name in keys)).having(exp.Count(this=exp.Star()) > number(1))
        order = [exp.Ordered(this=column(SEQUENCE_COLUMN, "s"), desc=True)]
        if self.plan.cursor:
            order.insert(0, exp.Ordered(this=column(self.plan.cursor, "s"), desc=True, nulls_first=False))
        newest = exp.Window(
            this=exp.RowNumber(),
            partition_by=[column(name, "s") for name in keys],
            order=exp.Order(expressions=order),
        )
        return self._render(
            "INSERT INTO changes (seq, target, action) SELECT s._syncline_seq, NULL, 'superseded'"
            " FROM staged AS s JOIN twice AS d ON :same QUALIFY :newest > 1",
            {"twice": twice.subquery()},
            same=_same(keys, "s", "d"),
            newest=newest,
        )

    def classify(self) -> str:
        """Says of every winning staged row what becomes of it; reads only key, cursor and marks of the target."""
        address = column(self.dialect.row_address, "t")
        cases = self._cases(address)
        action = exp.Case(
            ifs=[exp.If(this=condition, true=text(word)) for condition, word in cases],
            default=text("candidate" if self.plan.key else "unchanged"),
        )
        return self._render(
            "INSERT INTO changes (seq, target, action) SELECT s._syncline_seq, :address, :action"
            " FROM winners AS s LEFT JOIN target AS t ON :same",
            {"winners": self._winners()},
            address=address,
            action=action,
            same=self._same_identity(),
        )

    def _cases(self, address: exp.Expr) -> Case:
        plan = self.plan
        deleted = column(DELETED_COLUMN, "s")
        unknown = address.is_(exp.null())
        cases: Case = [(exp.and_(unknown, deleted), "moot"), (unknown, "insert")]
        if plan.on_delete == "ignore":
            cases.append((deleted, "moot"))
        if plan.cursor:
            cases.append((self._is_stale(plan.cursor), "stale"))
        if plan.on_delete == "delete":
            cases.append((deleted, "delete"))
        if self.layout.marks:
            cases.extend(self._mark_cases(deleted))
        if plan.cursor:
            ours, theirs = column(plan.cursor, "s"), column(plan.cursor, "t")
            cases.append((exp.NullSafeNEQ(this=ours, expression=theirs), "update"))
        return cases

    def _mark_cases(self, deleted: exp.Expr) -> Case:
        marked = exp.not_(column(DELETED_AT_COLUMN, "t").is_(exp.null()))
        back: Case = [(exp.and_(exp.not_(deleted), marked), "update")]
        if self.plan.on_delete != "mark":
            return back
        tombstone = column(TOMBSTONE_COLUMN, "s")
        return [
            *back,
            (exp.and_(tombstone, marked), "unchanged"),
            (tombstone, "mark"),
            (exp.and_(deleted, exp.not_(marked)), "delete"),
        ]

    def _is_stale(self, cursor: str) -> exp.Expr:
        """The target's row is newer. In a snapshot the source is right, except about what changed since it began."""
        ours, theirs = column(cursor, "s"), column(cursor, "t")
        newer = exp.or_(ours.is_(exp.null()), ours < theirs)
        known: exp.Condition = exp.not_(theirs.is_(exp.null()))
        if self.plan.mode == "snapshot" and self._has_instants(cursor):
            known = theirs >= instant(self.plan.high)
        return exp.and_(known, newer)

    def absent(self) -> str:
        """The target's rows that a snapshot lacks, but for those committed since it began."""
        conditions: list[exp.Expr] = []
        cursor = self.plan.cursor
        if cursor and self._has_instants(cursor):
            theirs = column(cursor, "t")
            conditions.append(exp.or_(theirs.is_(exp.null()), theirs < instant(self.plan.high)))
        if self.layout.marks and self.plan.on_delete == "mark":
            conditions.append(column(DELETED_AT_COLUMN, "t").is_(exp.null()))
        return self._render(
            "INSERT INTO changes (seq, target, action) SELECT NULL, :address, 'absent' FROM target AS t"
            " WHERE NOT EXISTS (SELECT 1 FROM winners AS s WHERE :same) AND :old",
            {"winners": self._winners()},
            address=column(self.dialect.row_address, "t"),
            same=self._same_identity(),
            old=exp.and_(exp.true(), *conditions) if conditions else exp.true(),
        )

    def count_candidates(self, rows_step: int) -> str:
        """Candidates by range of target addresses: rows (range, candidates), ranges of ``rows_step`` addresses."""
        return self._render(
            "SELECT CAST(FLOOR(target / :step) AS BIGINT) AS part, COUNT(*) FROM changes WHERE action = 'candidate'"
            " GROUP BY part ORDER BY part",
            step=number(rows_step),
        )

    def compare(self, first: int, last: int) -> str:
        """Finds the candidates that differ in any source column, null-safe, among the addresses first to last.

        The range bounds the memory of the join whatever the table's size (BOUNDED); each range is read once.
        """
        differ = [
            exp.NullSafeNEQ(this=column(name, "s"), expression=column(name, "t"))
            for name in self.plan.columns.names
            if name not in self.plan.key and name != self.plan.cursor
        ]
        return self._render(
            "INSERT INTO changes (seq, target, action) SELECT c.seq, c.target, 'differs' FROM changes AS c"
            " JOIN winners AS s ON s._syncline_seq = c.seq JOIN target AS t ON :address = c.target"
            " WHERE c.action = 'candidate' AND c.target BETWEEN :first AND :last AND :differ",
            {"winners": self._staged()},
            address=column(self.dialect.row_address, "t"),
            first=number(first),
            last=number(last),
            differ=exp.or_(*differ) if differ else exp.false(),
        )

    # --- writing --------------------------------------------------------------------------------------------------

    def fill(self) -> str:
        """The first load: the staged rows go straight into the empty target."""
        names = self.plan.columns.names
        return self._render(
            "INSERT INTO target (hole) SELECT 1 FROM winners AS s WHERE NOT s._syncline_deleted",
            {"winners": self._winners()},
            columns=[*names, SYNCED_AT_COLUMN],
            values=[*(column(name, "s") for name in names), instant(self.committed_at)],
        )

    def count_moot(self) -> str:
        """The winning staged rows that an empty target takes no notice of."""
        return self._render("SELECT COUNT(*) FROM winners AS s WHERE s._syncline_deleted", {"winners": self._winners()})

    def insert(self) -> str:
        """New versions of rows whose data is staged; columns the source no longer has are taken over."""
        plan = self.plan
        words = ["insert", "update", "differs", *(["delete"] if plan.on_delete == "mark" else [])]
        extras = self._extras()
        names = [*plan.columns.names, *extras, SYNCED_AT_COLUMN]
        values: list[exp.Expr] = [column(name, "s") for name in plan.columns.names]
        values += [column(name, "t") for name in extras]
        values.append(instant(self.committed_at))
        if plan.on_delete == "mark":
            since = exp.Coalesce(this=column(DELETED_AT_COLUMN, "t"), expressions=[instant(self.committed_at)])
            names.append(DELETED_AT_COLUMN)
            values.append(exp.Case(ifs=[exp.If(this=column(DELETED_COLUMN, "s"), true=since)], default=exp.null()))
        old = " LEFT JOIN target AS t ON :address = c.target" if extras or plan.on_delete == "mark" else ""
        return self._render(
            "INSERT INTO target (hole) SELECT 1 FROM changes AS c JOIN winners AS s ON s._syncline_seq = c.seq"
            + old
            + " WHERE :chosen",
            {"winners": self._staged()},
            columns=names,
            values=values,
            address=column(self.dialect.row_address, "t"),
            chosen=_among("c", words),
        )

    def mark(self) -> str:
        """With marks: rows known to be deleted by key alone keep their data and are marked as of this commit."""
        kept = [name for name in self.layout.types if name not in (SYNCED_AT_COLUMN, DELETED_AT_COLUMN)]
        return self._render(
            "INSERT INTO target (hole) SELECT 1 FROM changes AS c JOIN target AS t ON :address = c.target"
            " WHERE :chosen",
            columns=[*kept, SYNCED_AT_COLUMN, DELETED_AT_COLUMN],
            values=[*(column(name, "t") for name in kept), *[instant(self.committed_at)] * 2],
            address=column(self.dialect.row_address, "t"),
            chosen=_among("c", ["mark", "absent"]),
        )

    def delete(self) -> str:
        """Takes out the old versions of what was changed and what was deleted."""
        return self._render(
            "DELETE FROM target WHERE :address IN (SELECT c.target FROM changes AS c WHERE :chosen)",
            address=column(self.dialect.row_address),
            chosen=_among("c", ["update", "differs", "delete", "mark", "absent"]),
        )

    # --- parts ----------------------------------------------------------------------------------------------------

    def _staged(self) -> exp.Expr:
        """The staged rows in the target's types: casts only ever widen, exactly (TYPES-FROM-SOURCE)."""
        selected: list[exp.Expr] = []
        for field in self.plan.columns:
            own = self.layout.find(field.name, self.dialect)
            held = self.dialect.arrow_type(self.layout.types[own]) if own else None
            value: exp.Expr = column(field.name)
            if held is not None and held != lattice.canonical(field.type):
                cast = exp.cast(value, self.dialect.column_type(held))
                value = exp.alias_(cast, field.name, quoted=True)
            selected.append(value)
        flags = (column(name) for name in (DELETED_COLUMN, SEQUENCE_COLUMN, TOMBSTONE_COLUMN))
        return exp.select(*selected, *flags).from_(staging(self.plan).rows).subquery()

    def _winners(self) -> exp.Expr:
        query = self._staged()
        if not self.duplicated:
            return query
        select = query.this
        assert isinstance(select, exp.Select)
        losers = exp.select(column("seq")).from_(staging(self.plan).changes)
        losers = losers.where(column("action").eq(text("superseded")))
        return select.where(exp.not_(column(SEQUENCE_COLUMN).isin(query=losers))).subquery()

    def _extras(self) -> list[str]:
        """The target's columns that the source does not have, or has no longer."""
        own = {self.dialect.fold(name) for name in (*self.plan.columns.names, SYNCED_AT_COLUMN, DELETED_AT_COLUMN)}
        return [name for name in self.layout.types if self.dialect.fold(name) not in own]

    def _same_identity(self) -> exp.Expr:
        return _same(identity(self.plan), "s", "t", nulls=not self.plan.key)

    def _has_instants(self, name: str) -> bool:
        return bool(pa.types.is_temporal(self.plan.columns.field(name).type))

    def _render(
        self,
        skeleton: str,
        tables: Mapping[str, exp.Expr] | None = None,
        *,
        columns: Sequence[str] = (),
        values: Sequence[exp.Expr] = (),
        **holes: exp.Expr,
    ) -> str:
        own = staging(self.plan)
        known = {"target": self.place.table(self.plan.target), "staged": own.rows, "changes": own.changes}
        tree = fill(skeleton, {**known, **(tables or {})}, **holes)
        if columns:
            assert isinstance(tree, exp.Insert)
            tree.this.set("expressions", [exp.to_identifier(name, quoted=True) for name in columns])
            tree.expression.set("expressions", [value.copy() for value in values])
        return self.dialect.render(tree)


def row_counts(staged: int, actions: Mapping[str, int]) -> RowCounts:
    """The counts by action as the port names them."""
    differs = actions.get("differs", 0)
    return RowCounts(
        staged=staged,
        inserted=actions.get("insert", 0),
        updated=actions.get("update", 0) + differs,
        unchanged=actions.get("unchanged", 0) + actions.get("candidate", 0) - differs,
        deleted=actions.get("delete", 0) + actions.get("mark", 0),
        superseded=actions.get("superseded", 0),
        stale=actions.get("stale", 0),
        moot=actions.get("moot", 0),
        absent=actions.get("absent", 0),
    )


def _same(names: Sequence[str], one: str, other: str, *, nulls: bool = True) -> exp.Expr:
    """Both rows are of one identity. A key is never null, so plain equality serves; a whole row may hold nulls."""
    kind: type[exp.Expr] = exp.NullSafeEQ if nulls else exp.EQ
    return exp.and_(*(kind(this=column(name, one), expression=column(name, other)) for name in names))


def _among(table: str, words: Sequence[str]) -> exp.Expr:
    return column("action", table).isin(*(text(word) for word in words))
