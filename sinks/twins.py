"""Finding keys that a target holds more than once where some of the rows are marked as deleted.

Comparing looks at live rows only, so a marked row beside a live one, or a second marked one, would pass unnoticed until
a run meets the key and cannot explain what it counts. Only other programs make such rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp

from syncline.sinks.comparison import showable
from syncline.sinks.dialect import column, fill, number
from syncline.sinks.match import Match
from syncline.sinks.warehouse import Comparison, Difference

Rows = Sequence[Sequence[Any]]


def added(match: Match, found: Comparison, run: Callable[[str], Rows], most: int) -> Comparison:
    """The comparison with those keys as extra ones, asked for where rows of the target can be marked."""
    if not match.plan.key or not match.layout.marks:
        return found
    rows = run(select(match, most))
    if not rows:
        return found
    count = int(rows[0][0])
    own = [Difference("extra", tuple(row[2:]), at=row[1], twice=True) for row in rows]
    room = max(0, most - sum(each.kind == "extra" for each in found.examples))
    return replace(
        found,
        rows_target=found.rows_target + count,
        extra=found.extra + count,
        examples=(*found.examples, *own[:room]),
    )


def select(match: Match, most: int) -> str:
    """Rows of: how many keys there are, the newest cursor, the key's columns; in mode ``changes`` of staged keys."""
    plan, keys = match.plan, [match.theirs(name) for name in match.plan.key]
    asked: list[exp.Expr] = [exp.not_(key.copy().is_(exp.null())) for key in keys]
    if plan.mode != "snapshot":
        tables = {"staged": match.staged()}
        same = match.fill("SELECT 1 FROM staged AS s WHERE :same", tables, same=match.same_identity())
        asked.append(exp.Exists(this=same))
    twice = match.fill(
        "SELECT :at AS at FROM target AS t WHERE :asked HAVING COUNT(*) > 1 AND COUNT(t._syncline_deleted_at) > 0",
        at=_newest(match),
        asked=exp.and_(*asked),
    )
    assert isinstance(twice, exp.Select)
    apart = {each.sql(): each for each in (*match.theirs_apart(), *keys)}
    shown = [showable(match, name, match.theirs(name)) for name in plan.key]
    named = [exp.alias_(value, f"key_{place}", quoted=True) for place, value in enumerate(shown)]
    twice = twice.select(*named).group_by(*apart.values())
    query = fill(
        "SELECT COUNT(*) OVER () AS many, g.* FROM twice AS g LIMIT :most",
        {"twice": twice.subquery()},
        most=number(most),
    )
    assert isinstance(query, exp.Select)
    query = query.order_by(*(column(value.alias, "g") for value in named))
    return match.dialect.render(query)


def _newest(match: Match) -> exp.Expr:
    cursor = match.plan.cursor
    if cursor is None or not match.has_instants(cursor):
        return exp.cast(exp.null(), "TIMESTAMPTZ")
    return exp.Max(this=showable(match, cursor, match.theirs(cursor)))
