"""Holding staged rows against their target, row by row and column by column, as statements (``syncline verify``).

A plan in mode ``snapshot`` has staged everything there is, so a target row without a staged one is extra. In mode
``changes`` it has staged some keys, asked for one by one: the target's other rows are none of its business, and a
deletion that is staged says that its key must not be there. Marked target rows are left out; with
``on_delete="ignore"`` a target row that the source lacks is as it should be.

Rows pair up by key in a join that reads keys only; pairs are then compared range by range like a merge's candidates.
A warehouse behind a network does both in one join: ``count_at_once``, ``examples_at_once``.

Words of the table of changes here: ``missing`` (only staged), ``extra`` (only in the target), ``double`` (a key's
second row in the target), ``moot`` (to be ignored), ``candidate`` (both), ``stale`` (the target's cursor is older),
``differs``; and, for what changed at or after the target's watermark, ``later`` (only staged), ``leaving`` (deleted
since) and ``differs later``, which together are pending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlglot import exp

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN, Tally
from syncline.sinks import lattice
from syncline.sinks.dialect import column, fill, instant, number, text
from syncline.sinks.match import Match
from syncline.sinks.staging import identity, staging
from syncline.sinks.warehouse import Comparison, Difference, TablePlan

DIFFERENCES = ("differs", "double", "extra", "missing", "stale")
KINDS: Mapping[str, Any] = {"differs": "different", "stale": "stale", "missing": "missing"}
"""What an action is called where it is shown; every other difference is an extra row."""


def pair(match: Match) -> str:
    """Says of every row which side has it; reads nothing but key, cursor and marks."""
    whole = match.plan.mode == "snapshot"
    return match.render(
        "INSERT INTO changes (seq, target, action) SELECT s._syncline_seq, :address, :word"
        f" FROM (SELECT * FROM winners AS s WHERE :asked) AS s {'FULL' if whole else 'LEFT'} JOIN live AS t ON :same",
        {"winners": match.winners(), "live": match.live()},
        address=match.address(),
        word=_pairing(match, match.address().is_(exp.null())),
        asked=_asked(match),
        same=exp.and_(*(column(name, "s").eq(column(name, "t")) for name in identity(match.plan))),
    )


def _asked(match: Match) -> exp.Expr:
    """The staged rows that say something: a snapshot's old deletions do not, for the row's absence says it."""
    if match.plan.mode != "snapshot":
        return exp.true()
    return exp.or_(exp.not_(column(DELETED_COLUMN, "s")), _is_later(match))


def _pairing(match: Match, staged_only: exp.Expr) -> exp.Case:
    later, leaving = _is_later(match), column(DELETED_COLUMN, "s")
    target_only = column(SEQUENCE_COLUMN, "s").is_(exp.null())
    ignored = match.plan.on_delete == "ignore"
    return exp.Case(
        ifs=[
            exp.If(this=exp.and_(staged_only, leaving), true=text("unknown")),
            exp.If(this=exp.and_(leaving, later), true=text("moot" if ignored else "leaving")),
            exp.If(this=leaving, true=text("moot" if ignored else "extra")),
            exp.If(this=exp.and_(staged_only, later), true=text("later")),
            exp.If(this=staged_only, true=text("missing")),
            exp.If(this=target_only, true=text("moot" if ignored else "extra")),
        ],
        default=text("candidate" if match.plan.key else "unchanged"),
    )


def doubles(match: Match) -> str:
    """Finds the rows of a key beyond its first in the target, which no merge can have made."""
    return match.render(
        "INSERT INTO changes (seq, target, action) SELECT NULL, c.target, 'double' FROM changes AS c"
        " JOIN (SELECT c.seq AS seq, MIN(c.target) AS kept FROM changes AS c"
        " WHERE NOT c.seq IS NULL AND NOT c.target IS NULL GROUP BY c.seq HAVING COUNT(*) > 1) AS d ON c.seq = d.seq"
        " WHERE c.target <> d.kept"
    )


def compare(match: Match, first: int, last: int, names: Sequence[str]) -> str:
    """Finds the pairs that differ, among a range of target addresses."""
    return match.compare(first, last, names, _differing(match))


def _differing(match: Match) -> exp.Case:
    """What a pair that differs is: changed since the watermark, an older version, or something else."""
    ifs = [exp.If(this=_is_later(match), true=text("differs later"))]
    if cursor := match.plan.cursor:
        theirs = match.theirs(cursor)
        older = exp.or_(column(cursor, "s") > theirs, theirs.is_(exp.null()))
        known = exp.not_(column(cursor, "s").is_(exp.null()))
        ifs.append(exp.If(this=exp.and_(known, older), true=text("stale")))
    return exp.Case(ifs=ifs, default=text("differs"))


def _is_later(match: Match) -> exp.Expr:
    cursor = match.plan.cursor
    if cursor is None or match.plan.high is None or not match.has_instants(cursor):
        return exp.false()
    return exp.Coalesce(this=exp.paren(column(cursor, "s") >= instant(match.plan.high)), expressions=[exp.false()])


def columns_to_compare(match: Match) -> list[str]:
    return [name for name in match.plan.columns.names if name not in match.plan.key]


SHOWN_FROM, SHOWN_TO = "0001-01-02", "9999-12-31"
"""Between them lie the instants and days that a reader can be given: Python has no ``infinity`` and no year 10,000."""


def showable(match: Match, name: str, value: exp.Expr) -> exp.Expr:
    """A column's value, or null for a point in time that cannot be shown."""
    type = match.common_type(name)
    if not (pa.types.is_timestamp(type) or pa.types.is_date(type)):
        return value
    kind = match.dialect.column_type(type)
    low, high = (exp.cast(text(bound), kind) for bound in (SHOWN_FROM, SHOWN_TO))
    return exp.Case(ifs=[exp.If(this=exp.Between(this=value.copy(), low=low, high=high), true=value)])


def shown_key(plan: TablePlan) -> tuple[str, ...]:
    """What a difference is shown by: the key, or the whole row where there is none."""
    return plan.key or tuple(plan.columns.names)


def examples(match: Match, most: int) -> str:
    """The first ``most`` differences of each action; see ``_shown`` for the columns."""
    some = fill(
        "SELECT c.seq AS seq, c.target AS target, c.action AS action FROM changes AS c WHERE :chosen"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY c.action ORDER BY c.seq, c.target) <= :most",
        {"changes": staging(match.plan).changes},
        chosen=column("action", "c").isin(*(text(word) for word in DIFFERENCES)),
        most=number(most),
    )
    return match.render(
        "SELECT 1 FROM some AS c LEFT JOIN winners AS s ON s._syncline_seq = c.seq"
        " LEFT JOIN target AS t ON :address = c.target ORDER BY c.action, c.seq, c.target",
        {"some": exp.Subquery(this=some), "winners": match.staged()},
        values=_shown(match, column("action", "c")),
        address=match.address(),
    )


def _shown(match: Match, action: exp.Expr) -> list[exp.Expr]:
    """Action, the row's cursor if it is an instant, the key's columns, then for each column whether it differs."""
    plan = match.plan
    either = {name: _either(match, name) for name in {*shown_key(plan), *([plan.cursor] if plan.cursor else [])}}
    at = either[plan.cursor] if plan.cursor and match.has_instants(plan.cursor) else exp.null()
    keys = [exp.alias_(either[name].copy(), name, quoted=True) for name in shown_key(plan)]
    differ = [
        exp.alias_(_differs(match, name), f"differs_{place}") for place, name in enumerate(columns_to_compare(match))
    ]
    return [action, exp.alias_(at, "_syncline_at", quoted=True), *keys, *(differ if plan.key else ())]


def count_at_once(match: Match) -> str:
    """Rows by action, for a warehouse that has no row addresses: one join of everything, its memory the warehouse's."""
    return match.render(
        "SELECT action, COUNT(*) FROM joined AS j GROUP BY action ORDER BY action", {"joined": _joined(match, [])}
    )


def actions_at_once(rows: Sequence[Sequence[Any]]) -> dict[str, int]:
    """The rows of ``count_at_once`` as the table of changes would count them: what differs stands beside its pair."""
    actions = {str(action): int(count) for action, count in rows}
    beside = sum(actions.get(word, 0) for word in ("differs", "differs later", "double", "stale"))
    return {**actions, "candidate": beside}


def examples_at_once(match: Match, most: int) -> str:
    """What ``examples`` says, by the same join."""
    shown = [_named(value, f"shown_{place}") for place, value in enumerate(_shown(match, exp.null())[1:])]
    names = [column(value.alias, "n") for value in shown]
    keys = exp.Order(
        expressions=[exp.Ordered(this=column(value.alias, "j")) for value in shown[1 : 1 + len(_keys(match))]]
    )
    place = exp.Window(this=exp.RowNumber(), partition_by=[column("action", "j")], order=keys)
    return match.render(
        "SELECT 1 FROM (SELECT j.*, :place AS place FROM joined AS j WHERE :chosen) AS n WHERE n.place <= :most"
        " ORDER BY n.action, n.place",
        {"joined": _joined(match, shown)},
        values=[column("action", "n"), *names],
        place=place,
        chosen=column("action", "j").isin(*(text(word) for word in DIFFERENCES)),
        most=number(most),
    )


def _keys(match: Match) -> tuple[str, ...]:
    return shown_key(match.plan)


def _named(value: exp.Expr, name: str) -> exp.Alias:
    alias = exp.alias_(value.this if isinstance(value, exp.Alias) else value, name, quoted=True)
    assert isinstance(alias, exp.Alias)
    return alias


def _joined(match: Match, shown: Sequence[exp.Expr]) -> exp.Expr:
    """Every pair with its action and what is to be shown of it."""
    plan, target = match.plan, {"target": match.place.table(match.plan.target)}
    target_only = column(SEQUENCE_COLUMN, "s").is_(exp.null())
    staged_only = column("_syncline_place", "t").is_(exp.null())  # never null in a row of the target
    differ = [_differs(match, name) for name in columns_to_compare(match)]
    pairing = _pairing(match, staged_only)
    pairing.set("default", text("unchanged"))
    second = exp.and_(column("_syncline_place", "t") > number(1), exp.not_(target_only))
    pairing.args["ifs"].append(exp.If(this=second, true=text("double")))
    if plan.key and differ:
        pairing.args["ifs"].append(exp.If(this=exp.or_(*differ, copy=False), true=_differing(match)))
    order = exp.Order(expressions=[exp.Ordered(this=match.theirs(plan.cursor or _keys(match)[0]), desc=True)])
    place = exp.Window(this=exp.RowNumber(), partition_by=match.theirs_apart(), order=order)
    live = fill(
        "SELECT t.*, :place AS _syncline_place FROM target AS t WHERE :live", target, place=place, live=match.is_live()
    )
    side = "FULL" if plan.mode == "snapshot" else "LEFT"
    query = fill(
        f"SELECT :word AS action FROM (SELECT * FROM winners AS s WHERE :asked) AS s {side} JOIN live AS t ON :same",
        {"winners": match.winners(), "live": exp.Subquery(this=live)},
        word=pairing,
        asked=_asked(match),
        same=match.same_identity(),
    )
    assert isinstance(query, exp.Select)
    return query.select(*(value.copy() for value in shown)).subquery()


def _differs(match: Match, name: str) -> exp.Expr:
    """Null-safe, as the warehouse spells it for the type."""
    return match.dialect.differs(column(name, "s"), match.theirs(name), match.common_type(name))


def _either(match: Match, name: str) -> exp.Expr:
    """The source's value, or the target's where the source has none, if it can be shown."""
    type, both = match.common_type(name), [column(name, "s"), match.theirs(name)]
    if lattice.is_json(type):
        both = [match.dialect.text_of(each, type) for each in both]
    return showable(match, name, exp.Coalesce(this=both[0], expressions=both[1:]))


def difference(row: Sequence[Any], plan: TablePlan, columns: Sequence[str]) -> Difference:
    """One row of ``examples`` as the port says it."""
    width = len(shown_key(plan))
    kind, at, key, differ = KINDS.get(row[0], "extra"), row[1], tuple(row[2 : 2 + width]), row[2 + width :]
    if row[0] not in ("differs", "stale"):
        return Difference(kind, key, at=at, twice=row[0] == "double")
    return Difference(kind, key, tuple(name for name, so in zip(columns, differ, strict=True) if so), at)


def comparison(actions: Mapping[str, int], examples: Sequence[Difference]) -> Comparison:
    """The counts by action as the port says them."""

    def total(*words: str) -> int:
        return sum(actions.get(word, 0) for word in words)

    pairs = total("candidate", "unchanged")
    return Comparison(
        rows_source=pairs - total("double") + total("missing", "later"),
        rows_target=pairs + total("extra", "moot", "leaving"),
        missing=total("missing"),
        extra=total("extra", "double"),
        stale=total("stale"),
        different=total("differs"),
        examples=tuple(examples),
        pending=total("later", "leaving", "differs later"),
    )


def tally(match: Match, edges: Sequence[datetime]) -> str:
    """Rows (range, rows, least cursor, largest cursor) of the target's live rows whose key is not staged.

    Range 0 lies below the first edge and takes rows without a cursor, range n begins at the n-th edge.
    """
    cursor = match.plan.cursor
    assert cursor is not None
    theirs = match.theirs(cursor)
    ranges = [exp.If(this=theirs >= instant(edge), true=number(place)) for place, edge in _latest_first(edges)]
    part: exp.Expr = exp.Case(ifs=ranges, default=number(0)) if ranges else number(0)
    return match.render(
        "SELECT part, COUNT(*), MIN(at), MAX(at) FROM (SELECT :part AS part, :at AS at FROM target AS t WHERE :live"
        " AND NOT EXISTS (SELECT 1 FROM staged AS s WHERE :same)) AS counted GROUP BY part ORDER BY part",
        {"staged": match.staged()},
        part=part,
        at=showable(match, cursor, theirs),
        live=match.is_live(),
        same=match.same_identity(),
    )


def _latest_first(edges: Sequence[datetime]) -> list[tuple[int, datetime]]:
    return sorted(enumerate(edges, 1), reverse=True)


def tallies(rows: Sequence[Sequence[Any]], edges: Sequence[datetime]) -> list[Tally]:
    """The rows of ``tally``, one for each range, those without rows too."""
    found = {int(part): Tally(int(rows), least, largest) for part, rows, least, largest in rows}
    return [found.get(part, Tally(0)) for part in range(len(edges) + 1)]
