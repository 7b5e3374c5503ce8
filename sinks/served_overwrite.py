"""A snapshot that takes the place of a target's rows in one INSERT OVERWRITE, which grants survive.

Every pair of a full join is given a word first, so that the guards speak before anything is written and a snapshot that
changes nothing writes nothing; then the rows to be are selected, by the same words, over the rows that are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN
from syncline.sinks.dialect import column, found, instant, text
from syncline.sinks.served_merge import ServedMerge
from syncline.sinks.staging import TOMBSTONE_COLUMN
from syncline.sinks.warehouse import DELETED_AT_COLUMN, SYNCED_AT_COLUMN, RowCounts

WRITTEN = ("insert", "update", "delete", "mark", "absent")


@dataclass(frozen=True, slots=True)
class Overwrite:
    """The two statements of one stream."""

    merge: ServedMerge

    def classify(self) -> str:
        """Pairs by word."""
        return self._over("SELECT p.action, COUNT(*) FROM pairs AS p GROUP BY p.action", [self._word_alias()])

    def write(self) -> str:
        """Replaces the target's rows; as many are written as ``rows_after`` says."""
        match = self.merge.match
        gone = ["gone", "delete", *([] if self.merge.plan.on_delete == "mark" else ["absent"])]
        names = [found(name) for name in match.layout.types]
        values = [exp.alias_(value, name.copy()) for value, name in zip(self._row(), names, strict=True)]
        pairs = exp.alias_(self._joined(self._both()).subquery(), "p", table=True, quoted=True)
        query = exp.select(*values).from_(pairs).where(exp.not_(_is(*gone)))
        schema = exp.Schema(this=self.merge.target(), expressions=[name.copy() for name in names])
        return match.dialect.render(exp.Insert(this=schema, expression=query, overwrite=True))

    def rows_after(self, words: Mapping[str, int]) -> int:
        kept = ["insert", "update", "unchanged", "stale", "kept", "ignored", "mark"]
        return sum(words.get(word, 0) for word in kept) + (
            words.get("absent", 0) if self.merge.plan.on_delete == "mark" else 0
        )

    # --- parts ----------------------------------------------------------------------------------------------------

    def _over(self, skeleton: str, values: list[exp.Expr]) -> str:
        return self.merge.match.render(skeleton, {"pairs": self._joined(values).subquery()})

    def _joined(self, values: list[exp.Expr]) -> exp.Select:
        match = self.merge.match
        return (
            exp.select(*values)
            .from_(exp.alias_(match.staged(), "s", table=True, quoted=True))
            .join(
                exp.alias_(self.merge.target(), "t", table=True, quoted=True),
                on=match.same_identity(),
                join_type="full",
            )
        )

    def _word_alias(self) -> exp.Expr:
        return exp.alias_(self._word(), "action", quoted=True)

    def _word(self) -> exp.Case:
        merge, plan = self.merge, self.merge.plan
        deleted, ignores = column(DELETED_COLUMN, "s"), plan.on_delete == "ignore"
        lacking = column(SEQUENCE_COLUMN, "s").is_(exp.null())
        absent = exp.not_(merge.is_present())
        cases: list[tuple[exp.Expr, str]] = [
            (lacking if ignores else exp.and_(lacking, exp.not_(merge.is_old())), "kept"),
            (lacking, "absent"),
            (exp.and_(deleted, absent), "gone"),
            (absent, "insert"),
        ]
        if ignores:
            cases.append((deleted, "ignored"))
        cases.append((merge.is_stale(), "stale"))
        if plan.on_delete == "delete":
            cases.append((deleted, "delete"))
        live = merge.match.is_live()
        if plan.on_delete == "mark":
            cases.append((exp.and_(deleted, live), "mark"))
            cases.append((column(TOMBSTONE_COLUMN, "s"), "unchanged"))
        back = exp.and_(exp.not_(deleted), exp.not_(live)) if merge.match.layout.marks else exp.false()
        cases.append((exp.or_(merge.differs(), back), "update"))
        return exp.Case(
            ifs=[exp.If(this=condition, true=text(word)) for condition, word in cases], default=text("unchanged")
        )

    def _both(self) -> list[exp.Expr]:
        """The word, both sides' columns by place, and the staged row's flags."""
        ours = [column(name, "s") for name in self.merge.plan.columns.names]
        theirs = [exp.column(found(name), table=exp.to_identifier("t", quoted=True)) for name in self._names()]
        return [
            self._word_alias(),
            *(exp.alias_(value, f"ours_{place}", quoted=True) for place, value in enumerate(ours)),
            *(exp.alias_(value, f"theirs_{place}", quoted=True) for place, value in enumerate(theirs)),
            exp.alias_(column(DELETED_COLUMN, "s"), "deleted", quoted=True),
            exp.alias_(column(TOMBSTONE_COLUMN, "s"), "tombstone", quoted=True),
        ]

    def _names(self) -> list[str]:
        return list(self.merge.match.layout.types)

    def _row(self) -> list[exp.Expr]:
        """The values of the target's columns, in its order: the source's where the word says so."""
        merge, fold = self.merge, self.merge.match.dialect.fold
        own = {fold(name): place for place, name in enumerate(merge.plan.columns.names)}
        now = instant(merge.committed_at)
        values: list[exp.Expr] = []
        for place, shown in enumerate(self._names()):
            theirs = column(f"theirs_{place}", "p")
            if (ours := own.get(fold(shown))) is not None:
                values.append(_when(self._is_ours_to_say(), column(f"ours_{ours}", "p"), theirs))
            elif fold(shown) == fold(SYNCED_AT_COLUMN):
                values.append(_when(_is("insert", "update", "mark", "absent"), now, theirs))
            elif fold(shown) == fold(DELETED_AT_COLUMN):
                values.append(self._deleted_at(theirs))
            else:
                values.append(theirs)
        return values

    def _is_ours_to_say(self) -> exp.Expr:
        data = _is("insert", "update")
        if self.merge.plan.on_delete != "mark":
            return data
        return exp.or_(data, exp.and_(_is("mark"), exp.not_(column("tombstone", "p"))))

    def _deleted_at(self, theirs: exp.Expr) -> exp.Expr:
        cleared = exp.and_(_is("insert", "update"), exp.not_(column("deleted", "p")))
        ifs = [exp.If(this=cleared, true=exp.cast(exp.null(), "TIMESTAMPTZ"))]
        if self.merge.plan.on_delete == "mark":
            ifs.append(exp.If(this=_is("mark", "absent"), true=instant(self.merge.committed_at)))
        return exp.Case(ifs=ifs, default=theirs)


def _is(*words: str) -> exp.Expr:
    return column("action", "p").isin(*(text(word) for word in words))


def _when(condition: exp.Expr, ours: exp.Expr, theirs: exp.Expr) -> exp.Expr:
    return exp.Case(ifs=[exp.If(this=condition, true=ours)], default=theirs)


def counts_of(words: Mapping[str, int], staged: int, superseded: int) -> RowCounts:
    """The words as the port counts them."""
    return RowCounts(
        staged=staged,
        inserted=words.get("insert", 0),
        updated=words.get("update", 0),
        unchanged=words.get("unchanged", 0),
        deleted=words.get("delete", 0) + words.get("mark", 0),
        superseded=superseded,
        stale=words.get("stale", 0),
        moot=words.get("gone", 0) + words.get("ignored", 0),
        absent=words.get("absent", 0),
    )
