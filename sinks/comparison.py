"""Holding a staged snapshot against its target, row by row and column by column, as statements (``syncline verify``).

Rows pair up by key in a full join that reads keys only; pairs are then compared range by range like a merge's
candidates, on every source column. Deleted staged rows and marked target rows are left out on both sides; with
``on_delete="ignore"`` a target row that the source lacks is as it should be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from syncline.sinks.dialect import column, fill, number, text
from syncline.sinks.match import Match
from syncline.sinks.staging import identity, staging
from syncline.sinks.warehouse import DIFFERENCES_MAX, Comparison, Difference, TablePlan

DIFFERENCES = ("differs", "extra", "missing")


def pair(match: Match) -> str:
    """Fills the changes with ``missing`` (staged only), ``extra`` (target only) and ``candidate`` (both)."""
    one = column("_syncline_seq", "s").is_(exp.null())
    other = match.address().is_(exp.null())
    extra = "moot" if match.plan.on_delete == "ignore" else "extra"
    word = exp.Case(
        ifs=[exp.If(this=other, true=text("missing")), exp.If(this=one, true=text(extra))],
        default=text("candidate" if match.plan.key else "unchanged"),
    )
    live = exp.select(match.address(), *(column(name, "t") for name in identity(match.plan)))
    live = live.from_(exp.alias_(match.place.table(match.plan.target), "t", table=True, quoted=True))
    return match.render(
        "INSERT INTO changes (seq, target, action) SELECT s._syncline_seq, :address, :word"
        " FROM (SELECT * FROM winners AS w WHERE NOT w._syncline_deleted) AS s FULL JOIN live AS t ON :same",
        {"winners": match.winners(), "live": live.where(match.is_live()).subquery()},
        address=match.address(),
        word=word,
        same=match.same_identity(),
    )


def columns_to_compare(match: Match) -> list[str]:
    return [name for name in match.plan.columns.names if name not in match.plan.key]


def examples(match: Match) -> str:
    """Some differences: action, the key's columns, then for each compared column whether it differs."""
    keys = [
        exp.alias_(exp.Coalesce(this=column(name, "s"), expressions=[column(name, "t")]), name, quoted=True)
        for name in identity(match.plan)
    ]
    differ = [
        exp.alias_(exp.NullSafeNEQ(this=column(name, "s"), expression=column(name, "t")), name, quoted=True)
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
    width = len(identity(plan))
    key, differ = row[1 : 1 + width], row[1 + width :]
    if row[0] != "differs":
        return Difference("missing" if row[0] == "missing" else "extra", tuple(key))
    return Difference(
        "different", tuple(key), tuple(name for name, is_so in zip(columns, differ, strict=True) if is_so)
    )


def comparison(actions: Mapping[str, int], rows_target: int, examples: Sequence[Difference]) -> Comparison:
    """The counts by action as the port says them."""
    missing = actions.get("missing", 0)
    return Comparison(
        rows_source=missing + actions.get("candidate", 0) + actions.get("unchanged", 0),
        rows_target=rows_target,
        missing=missing,
        extra=actions.get("extra", 0),
        different=actions.get("differs", 0),
        examples=tuple(examples),
    )
