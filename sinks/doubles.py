"""Making one row of a staged key that a target holds more than once; what only a repair asks for.

No merge makes such rows: another program wrote them, and a merge that met them could not explain what it counted. Which
of them was the right one is unknown, so all go, and the staged row is written as a new one in the same transaction. Of
values that the source does not have (columns it lost), nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp

from syncline.connectors.connector import DELETED_COLUMN
from syncline.sinks.dialect import column
from syncline.sinks.guards import check_changed, check_deletes
from syncline.sinks.match import Match
from syncline.sinks.warehouse import RowCounts


def count(match: Match) -> str:
    """One row: how many staged keys the target holds more than once, the rows it holds of them, and all its rows."""
    return match.render(
        "SELECT COUNT(*), COALESCE(SUM(d.held), 0), (SELECT COUNT(*) FROM target AS t WHERE :live) FROM doubled AS d",
        {"doubled": _doubled(match)},
        live=match.is_live(),
    )


def remove(match: Match) -> str:
    """Takes out every row of those keys; the statement's table has no other name, for Snowflake and Redshift know none
    in DELETE, and no column of it is named within the query."""
    theirs = [unqualified(each) for each in match.theirs_apart()]
    chosen = match.fill("SELECT 1 FROM doubled AS s", {"doubled": _doubled(match)})
    assert isinstance(chosen, exp.Select)
    chosen.set("expressions", match.ours_apart())
    apart = theirs[0] if len(theirs) == 1 else exp.Tuple(expressions=theirs)
    return match.render("DELETE FROM target WHERE :chosen", chosen=exp.In(this=apart, query=chosen.subquery()))


def unqualified(value: exp.Expr) -> exp.Expr:
    """The value with its columns named alone."""
    for each in value.find_all(exp.Column):
        each.set("table", None)
    return value


def make_one(
    match: Match, run: Callable[[str], Sequence[Sequence[Any]]], change: Callable[[str], int], counts: RowCounts
) -> RowCounts:
    """Removes the rows inside the transaction, if the plan asks for it; ``counts`` with ``doubled`` filled in.

    Raises:
        MassDelete: GUARDED-DELETE; what one key has more than one row of would be more than the allowed share.
        CountMismatch: as many rows as were counted did not go (COUNTED-HOPS).
    """
    plan = match.plan
    if not plan.doubles or not plan.key:
        return counts
    [(keys, held, live)] = run(count(match))
    if not keys:
        return counts
    found = replace(counts, doubled=int(held) - int(keys))
    check_deletes(plan, found, int(live))
    check_changed(plan, "rows of doubled keys", int(held), change(remove(match)))
    return found


def _doubled(match: Match) -> exp.Expr:
    """The keys, and how many rows each has. A row that is only to be marked as deleted must stay: it is not among them,
    and the merge refuses it."""
    names = match.plan.key
    chosen = exp.true() if match.plan.on_delete == "delete" else exp.not_(column(DELETED_COLUMN, "s"))
    query = match.fill(
        "SELECT COUNT(*) AS held FROM winners AS s JOIN target AS t ON :same WHERE :chosen HAVING COUNT(*) > 1",
        {"winners": match.winners()},
        same=match.same_identity(),
        chosen=chosen,
    )
    assert isinstance(query, exp.Select)
    keys = [column(name, "s") for name in names]
    return query.select(*keys).group_by(*match.ours_apart()).subquery()  # trailing blanks tell keys apart, too
