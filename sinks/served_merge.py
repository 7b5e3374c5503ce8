"""What a commit does to one target behind a network, as statements: plan in, SQL out.

::

    staged winners ──▶ write: MERGE, or UPDATE, DELETE, INSERT ──▶ rows changed are counted
                                                                  └─▶ a rest? explain it against what stands now

Written first and explained afterwards: a sync whose every staged row changed something, which is the usual one, scans
the target once. Only when rows are left over does one more statement tell the unchanged, the stale and the moot ones
apart; it looks at what stands after the writing, so it also proves that every row did arrive (COUNTED-HOPS). The guards
speak before the COMMIT, and undo what was written. Rows equal to the target's are not rewritten.

Within a statement ``s`` is the staged row and ``t`` the target's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlglot import exp

from syncline.connectors.connector import DELETED_COLUMN
from syncline.sinks.dialect import column, instant, text
from syncline.sinks.match import Match
from syncline.sinks.staging import TOMBSTONE_COLUMN
from syncline.sinks.warehouse import DELETED_AT_COLUMN, SYNCED_AT_COLUMN, TablePlan


@dataclass(frozen=True, slots=True)
class ServedMerge:
    """One stream's merge; every row it writes carries ``committed_at``."""

    match: Match
    committed_at: datetime
    has_tombstones: bool = True

    @property
    def plan(self) -> TablePlan:
        return self.match.plan

    # --- counting -------------------------------------------------------------------------------------------------

    def count_live(self) -> str:
        """The target's rows that are not marked as deleted."""
        return self.match.render("SELECT COUNT(*) FROM target AS t WHERE :live", live=self.match.is_live())

    def explain(self) -> str:
        """One row: deletions of what is not there, stale rows, marked rows, rows that stand in the target as staged."""
        deleted, present = column(DELETED_COLUMN, "s"), self.is_present()
        ignored = exp.and_(deleted, exp.true() if self.plan.on_delete == "ignore" else exp.not_(present))
        stale = exp.and_(present, self.is_stale())
        marked = exp.and_(deleted, present)
        equal = exp.and_(present, exp.not_(deleted), exp.not_(self.differs()), self.match.is_live())
        word = exp.Case(
            ifs=[
                exp.If(this=ignored, true=text("gone")),
                exp.If(this=stale, true=text("stale")),
                exp.If(this=marked, true=text("marked" if self.plan.on_delete == "mark" else "wrong")),
                exp.If(this=equal, true=text("equal")),
            ],
            default=text("wrong"),
        )
        return self.match.render(
            "SELECT action, COUNT(*) FROM (SELECT :word AS action FROM staged AS s LEFT JOIN target AS t ON :same) AS e"
            " GROUP BY action",
            {"staged": self.match.staged()},
            word=word,
            same=self.match.same_within(),
        )

    # --- writing --------------------------------------------------------------------------------------------------

    def merge(self) -> str:
        """Updates, deletes and inserts in one statement."""
        whens: list[exp.Expr] = []
        if self.plan.on_delete == "delete":
            gone = exp.and_(column(DELETED_COLUMN, "s"), exp.not_(self.is_stale()))
            whens.append(exp.When(matched=True, source=False, condition=gone, then=exp.Var(this="DELETE")))
        update = exp.Update(expressions=self._assignments())
        whens.append(exp.When(matched=True, source=False, condition=self._changes(), then=update))
        names, values = self._new_row()
        insert = exp.Insert(this=exp.Tuple(expressions=names), expression=exp.Tuple(expressions=values))
        alive = exp.not_(column(DELETED_COLUMN, "s"))
        whens.append(exp.When(matched=False, source=False, condition=alive, then=insert))
        return self._merge(whens)

    def update(self) -> str:
        return self._update(self._assignments(), self._changes())

    def delete(self) -> str:
        """Rows deleted at the source go."""
        return self.match.render(
            "DELETE FROM target AS t WHERE EXISTS (SELECT 1 FROM staged AS s WHERE :same AND :gone)",
            {"staged": self.match.staged()},
            same=self.match.same_within(),
            gone=exp.and_(column(DELETED_COLUMN, "s"), exp.not_(self.is_stale())),
        )

    def insert(self) -> str:
        """Rows whose key the target lacks."""
        names, values = self._new_row()
        return self.match.render(
            "INSERT INTO target (hole) SELECT 1 FROM staged AS s LEFT JOIN target AS t ON :same"
            " WHERE :absent AND :alive",
            {"staged": self.match.staged()},
            columns=[name.name for name in names],
            values=values,
            same=self.match.same_within(),
            absent=exp.not_(self.is_present()),
            alive=exp.not_(column(DELETED_COLUMN, "s")),
        )

    def mark(self) -> str:
        """With marks: rows deleted at the source are marked; what came along of them is written, a tombstone is not."""
        assignments = []
        for name in self.values():
            value: exp.Expr = column(name, "s")
            if self.has_tombstones:
                kept = exp.If(this=column(TOMBSTONE_COLUMN, "s"), true=self.match.theirs(name))
                value = exp.Case(ifs=[kept], default=value)
            assignments.append(_assign(name, value))
        assignments += [_assign(name, instant(self.committed_at)) for name in (SYNCED_AT_COLUMN, DELETED_AT_COLUMN)]
        deleted = exp.and_(column(DELETED_COLUMN, "s"), self.match.is_live(), exp.not_(self.is_stale()))
        if self.match.dialect.merges:
            update = exp.Update(expressions=assignments)
            return self._merge([exp.When(matched=True, source=False, condition=deleted, then=update)])
        return self._update(assignments, deleted)

    def absent(self) -> str:
        """The target's rows that a snapshot lacks go, or are marked, but for those committed since it began."""
        skeleton = "DELETE FROM target AS t WHERE :old AND NOT EXISTS (SELECT 1 FROM staged AS s WHERE :same)"
        if self.plan.on_delete == "mark":
            skeleton = (
                "UPDATE target AS t SET _syncline_synced_at = :now, _syncline_deleted_at = :now"
                " WHERE :old AND NOT EXISTS (SELECT 1 FROM staged AS s WHERE :same)"
            )
        return self.match.render(
            skeleton,
            {"staged": self.match.staged()},
            old=self.is_old(),
            same=self.match.same_identity(),
            now=instant(self.committed_at),
        )

    # --- parts of statements --------------------------------------------------------------------------------------

    def is_present(self) -> exp.Expr:
        """The outer join found a target's row: what it is joined by is not null, nor the commit time where that is a
        digest. Of a row with a key the commit time does not say so, for another program may have cleared it."""
        return exp.not_(column(self.plan.key[0] if self.plan.key else SYNCED_AT_COLUMN, "t").is_(exp.null()))

    def is_stale(self) -> exp.Expr:
        """The target's row is newer. In a snapshot the source is right, except about what changed since it began."""
        cursor = self.plan.cursor
        if not cursor:
            return exp.false()
        ours, theirs = column(cursor, "s"), self.match.theirs(cursor)
        newer = exp.or_(ours.is_(exp.null()), ours < theirs)
        known: exp.Expr = exp.not_(theirs.is_(exp.null()))
        if self.plan.mode == "snapshot" and self.match.has_instants(cursor):
            if self.plan.newest_low is None:
                return exp.false()
            known = exp.and_(known, theirs >= instant(self.plan.newest_low))
        return exp.and_(known, newer)

    def is_old(self) -> exp.Expr:
        """The target's row was committed before the snapshot began, and is not marked as deleted already."""
        old: list[exp.Expr] = [exp.true()]
        cursor = self.plan.cursor
        if cursor and self.plan.high is not None and self.match.has_instants(cursor):
            theirs = column(cursor, "t")
            old.append(exp.or_(theirs.is_(exp.null()), theirs < instant(self.plan.high)))
        if self.plan.on_delete == "mark":
            old.append(self.match.is_live())
        return exp.and_(*old)

    def differs(self) -> exp.Expr:
        """Any source column outside the key has another value, null-safe."""
        pairs = [(name, self.match.common_type(name)) for name in self.values()]
        differ = [self.match.dialect.differs(column(name, "s"), self.match.theirs(name), type) for name, type in pairs]
        return exp.or_(*differ, copy=False) if differ else exp.false()

    def _changes(self) -> exp.Expr:
        """The target's row is to be rewritten: it is not newer, and differs or comes back from deletion."""
        deleted, marks = column(DELETED_COLUMN, "s"), self.match.layout.marks
        differs = self.differs()
        if self.plan.on_delete != "mark":
            back = exp.or_(differs, exp.not_(self.match.is_live())) if marks else differs
            return exp.and_(exp.not_(deleted), exp.not_(self.is_stale()), exp.paren(back))
        # Deletions of live rows were marked before; of marked ones the data may still have changed.
        back = exp.and_(exp.not_(deleted), exp.not_(self.match.is_live()))
        either = exp.paren(exp.or_(differs, back))
        return exp.and_(exp.not_(column(TOMBSTONE_COLUMN, "s")), exp.not_(self.is_stale()), either)

    def _assignments(self) -> list[exp.Expr]:
        assignments: list[exp.Expr] = [_assign(name, column(name, "s")) for name in self.values()]
        assignments.append(_assign(SYNCED_AT_COLUMN, instant(self.committed_at)))
        if self.match.layout.marks:
            since: exp.Expr = exp.null()
            if self.plan.on_delete == "mark":
                kept = exp.Coalesce(this=column(DELETED_AT_COLUMN, "t"), expressions=[instant(self.committed_at)])
                since = exp.Case(ifs=[exp.If(this=column(DELETED_COLUMN, "s"), true=kept)], default=exp.null())
            assignments.append(_assign(DELETED_AT_COLUMN, since))
        return assignments

    def _new_row(self) -> tuple[list[exp.Identifier], list[exp.Expr]]:
        names = [*self.plan.columns.names, SYNCED_AT_COLUMN]
        values: list[exp.Expr] = [column(name, "s") for name in self.plan.columns.names]
        return [exp.to_identifier(name, quoted=True) for name in names], [*values, instant(self.committed_at)]

    def values(self) -> list[str]:
        return [name for name in self.plan.columns.names if name not in self.plan.key]

    def _merge(self, whens: Sequence[exp.Expr]) -> str:
        tree = exp.Merge(
            this=exp.alias_(self.target(), "t", table=True, quoted=True),
            using=exp.alias_(self.match.staged(), "s", table=True, quoted=True),
            on=self.match.same_within(),
            whens=exp.Whens(expressions=list(whens)),
        )
        return self.match.dialect.render(tree)

    def _update(self, assignments: Sequence[exp.Expr], condition: exp.Expr) -> str:
        tree = exp.Update(
            this=exp.alias_(self.target(), "t", table=True, quoted=True),
            expressions=list(assignments),
            from_=exp.From(this=exp.alias_(self.match.staged(), "s", table=True, quoted=True)),
            where=exp.Where(this=exp.and_(self.match.same_within(), condition)),
        )
        return self.match.dialect.render(tree)

    def target(self) -> exp.Table:
        return self.match.place.table(self.plan.target)


def _assign(name: str, value: exp.Expr) -> exp.EQ:
    return exp.EQ(this=column(name), expression=value)
