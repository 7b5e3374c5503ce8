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

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlglot import exp

from syncline.connectors.connector import DELETED_COLUMN
from syncline.sinks.dialect import column, instant, text
from syncline.sinks.match import Match, among
from syncline.sinks.staging import TOMBSTONE_COLUMN
from syncline.sinks.targets import Layout
from syncline.sinks.warehouse import DELETED_AT_COLUMN, SYNCED_AT_COLUMN, RowCounts, TablePlan

Case = list[tuple[exp.Expr, str]]


@dataclass(frozen=True, slots=True)
class Merge:
    """One stream's merge; every row it writes carries ``committed_at``."""

    match: Match
    committed_at: datetime

    @property
    def plan(self) -> TablePlan:
        return self.match.plan

    @property
    def layout(self) -> Layout:
        return self.match.layout

    # --- classifying ----------------------------------------------------------------------------------------------

    def classify(self) -> str:
        """Says of every winning staged row what becomes of it; reads only key, cursor and marks of the target."""
        address = self.match.address()
        cases = self._cases(address)
        action = exp.Case(
            ifs=[exp.If(this=condition, true=text(word)) for condition, word in cases],
            default=text("candidate" if self.plan.key else "unchanged"),
        )
        return self.match.render(
            "INSERT INTO changes (seq, target, action) SELECT s._syncline_seq, :address, :action"
            " FROM winners AS s LEFT JOIN target AS t ON :same",
            {"winners": self.match.winners()},
            address=address,
            action=action,
            same=self.match.same_within(),
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
        if self.plan.mode == "snapshot" and self.match.has_instants(cursor):
            if self.plan.newest_low is None:
                return exp.false()
            known = theirs >= instant(self.plan.newest_low)
        return exp.and_(known, newer)

    def absent(self) -> str:
        """The target's rows that no staged row was matched with, but for those committed since the snapshot began."""
        conditions: list[exp.Expr] = []
        cursor = self.plan.cursor
        if cursor and self.plan.high is not None and self.match.has_instants(cursor):
            theirs = column(cursor, "t")
            conditions.append(exp.or_(theirs.is_(exp.null()), theirs < instant(self.plan.high)))
        if self.plan.on_delete == "mark":
            conditions.append(self.match.is_live())
        return self.match.render(
            "INSERT INTO changes (seq, target, action) SELECT NULL, :address, 'absent' FROM target AS t"
            " WHERE NOT :address IN (SELECT c.target FROM changes AS c WHERE NOT c.target IS NULL) AND :old",
            address=self.match.address(),
            old=exp.and_(*conditions) if conditions else exp.true(),
        )

    def compare(self, first: int, last: int) -> str:
        """Finds the candidates that differ, among a range of target addresses; key and cursor are known to be equal."""
        known = {*self.plan.key, self.plan.cursor}
        names = [name for name in self.plan.columns.names if name not in known]
        return self.match.compare(first, last, names, text("differs"))

    # --- writing --------------------------------------------------------------------------------------------------

    def fill(self) -> str:
        """The first load: the staged rows go straight into the empty target."""
        names = self.plan.columns.names
        return self.match.render(
            "INSERT INTO target (hole) SELECT 1 FROM winners AS s WHERE NOT s._syncline_deleted",
            {"winners": self.match.winners()},
            columns=[*names, SYNCED_AT_COLUMN],
            values=[*(column(name, "s") for name in names), instant(self.committed_at)],
        )

    def count_moot(self) -> str:
        """The winning staged rows that an empty target takes no notice of."""
        return self.match.render(
            "SELECT COUNT(*) FROM winners AS s WHERE s._syncline_deleted", {"winners": self.match.winners()}
        )

    def insert(self) -> str:
        """New versions of rows whose data is staged; columns the source no longer has are taken over."""
        plan = self.plan
        words = ["insert", "update", "differs", *(["delete"] if plan.on_delete == "mark" else [])]
        extras = self.match.extras()
        names = [*plan.columns.names, *extras, SYNCED_AT_COLUMN]
        values: list[exp.Expr] = [column(name, "s") for name in plan.columns.names]
        values += [column(name, "t") for name in extras]
        values.append(instant(self.committed_at))
        if plan.on_delete == "mark":
            since = exp.Coalesce(this=column(DELETED_AT_COLUMN, "t"), expressions=[instant(self.committed_at)])
            names.append(DELETED_AT_COLUMN)
            values.append(exp.Case(ifs=[exp.If(this=column(DELETED_COLUMN, "s"), true=since)], default=exp.null()))
        old = " LEFT JOIN target AS t ON :address = c.target" if extras or plan.on_delete == "mark" else ""
        return self.match.render(
            "INSERT INTO target (hole) SELECT 1 FROM changes AS c JOIN winners AS s ON s._syncline_seq = c.seq"
            + old
            + " WHERE :chosen",
            {"winners": self.match.staged()},
            columns=names,
            values=values,
            address=self.match.address(),
            chosen=among("c", words),
        )

    def mark(self) -> str:
        """With marks: rows known to be deleted by key alone keep their data and are marked as of this commit."""
        kept = [name for name in self.layout.types if name not in (SYNCED_AT_COLUMN, DELETED_AT_COLUMN)]
        return self.match.render(
            "INSERT INTO target (hole) SELECT 1 FROM changes AS c JOIN target AS t ON :address = c.target"
            " WHERE :chosen",
            columns=[*kept, SYNCED_AT_COLUMN, DELETED_AT_COLUMN],
            values=[*(column(name, "t") for name in kept), *[instant(self.committed_at)] * 2],
            address=self.match.address(),
            chosen=among("c", ["mark", "absent"]),
        )

    def delete(self) -> str:
        """Takes out the old versions of what was changed and what was deleted."""
        return self.match.render(
            "DELETE FROM target WHERE :address IN (SELECT c.target FROM changes AS c WHERE :chosen)",
            address=self.match.address(None),
            chosen=among("c", ["update", "differs", "delete", "mark", "absent"]),
        )


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
