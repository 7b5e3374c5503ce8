"""Holding a staged snapshot against its target, row by row and column by column, as statements (``syncline verify``).

Rows pair up by key in a full join that reads keys only; pairs are then compared range by range like a merge's
candidates, on every source column. Deleted staged rows and marked target rows are left out; with
``on_delete="ignore"`` a target row that the source lacks is as it should be.

Words of the table of changes here: ``missing`` (only staged), ``extra`` (only in the target), ``moot`` (to be ignored),
``candidate`` (both), ``differs``; and, for what changed at or after the target's watermark, ``later`` (only staged),
``leaving`` (deleted since) and ``differs later``, which together are pending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN
from syncline.sinks.dialect import column, fill, instant, number, text
from syncline.sinks.match import Match
from syncline.sinks.staging import identity, staging
from syncline.sinks.warehouse import DIFFERENCES_MAX, Comparison, Difference, TablePlan

DIFFERENCES = ("differs", "extra", "missing")


def pair(match: Match) -> str:
    """Says of every row which side has it; reads nothing but key, cursor and marks."""
    later = _is_later(match)
    staged_only = match.address().is_(exp.null())
    target_only = column(SEQUENCE_COLUMN, "s").is_(exp.null())
    leaving = column(DELETED_COLUMN, "s")
    ignored = match.plan.on_delete == "ignore"
    word = exp.Case(
        ifs=[
            exp.If(this=exp.and_(staged_only, leaving), true=text("unknown")),
            exp.If(this=leaving, true=text("moot" if ignored else "leaving")),
            exp.If(this=exp.and_(staged_only, later), true=text("later")),
            exp.If(this=staged_only, true=text("missing")),
            exp.If(this=target_only, true=text("moot" if ignored else "extra")),
        ],
        default=text("candidate" if match.plan.key else "unchanged"),
    )
    return match.render(
        "INSERT INTO changes (seq, target, action) SELECT s._syncline_seq, :address, :word"
        " FROM (SELECT * FROM winners AS s WHERE NOT s._syncline_deleted OR :later) AS s FULL JOIN live AS t ON :same",
        {"winners": match.winners(), "live": match.live()},
        address=match.address(),
        word=word,
        later=later,
        same=exp.and_(*(column(name, "s").eq(column(name, "t")) for name in identity(match.plan))),
    )


def compare(match: Match, first: int, last: int, names: Sequence[str]) -> str:
    """Finds the pairs that differ, among a range of target addresses."""
    word = exp.Case(ifs=[exp.If(this=_is_later(match), true=text("differs later"))], default=text("differs"))
    return match.compare(first, last, names, word)


def _is_later(match: Match) -> exp.Expr:
    cursor = match.plan.cursor
    if cursor is None or not match.has_instants(cursor):
        return exp.false()
    return column(cursor, "s") >= instant(match.plan.high)


def columns_to_compare(match: Match) -> list[str]:
    return [name for name in match.plan.columns.names if name not in match.plan.key]


def shown_key(plan: TablePlan) -> tuple[str, ...]:
    """What a difference is shown by: the key, or the whole row where there is none."""
    return plan.key or tuple(plan.columns.names)


def examples(match: Match) -> str:
    """Some differences: action, the key's columns, then for each compared column whether it differs."""
    keys = [
        exp.alias_(exp.Coalesce(this=column(name, "s"), expressions=[match.theirs(name)]), name, quoted=True)
        for name in shown_key(match.plan)
    ]
    differ = [
        exp.alias_(exp.NullSafeNEQ(this=column(name, "s"), expression=match.theirs(name)), name, quoted=True)
        for name in columns_to_compare(match)
    ]
    some = fill(
        "SELECT seq, target, action FROM changes WHERE :chosen ORDER BY action, seq, target LIMIT :most",
        {"changes": staging(match.plan).changes},
        chosen=column("action").isin(*(text(word) for word in DIFFERENCES)),
        most=number(DIFFERENCES_MAX),
    )
    return match.render(
        "SELECT 1 FROM some AS c LEFT JOIN winners AS s ON s._syncline_seq = c.seq"
        " LEFT JOIN target AS t ON :address = c.target ORDER BY c.action, c.seq, c.target",
        {"some": exp.Subquery(this=some), "winners": match.staged()},
        values=[column("action", "c"), *keys, *(differ if match.plan.key else ())],
        address=match.address(),
    )


def difference(row: tuple[object, ...], plan: TablePlan, columns: Sequence[str]) -> Difference:
    """One row of ``examples`` as the port says it."""
    width = len(shown_key(plan))
    key, differ = row[1 : 1 + width], row[1 + width :]
    if row[0] != "differs":
        return Difference("missing" if row[0] == "missing" else "extra", tuple(key))
    return Difference(
        "different", tuple(key), tuple(name for name, is_so in zip(columns, differ, strict=True) if is_so)
    )


def comparison(actions: Mapping[str, int], examples: Sequence[Difference]) -> Comparison:
    """The counts by action as the port says them."""

    def total(*words: str) -> int:
        return sum(actions.get(word, 0) for word in words)

    return Comparison(
        rows_source=total("candidate", "unchanged", "missing", "later"),
        rows_target=total("candidate", "unchanged", "extra", "moot", "leaving"),
        missing=total("missing"),
        extra=total("extra"),
        different=total("differs"),
        examples=tuple(examples),
        pending=total("later", "leaving", "differs later"),
    )
