"""JSON documents that a warehouse behind a network cannot hold, found before the transaction (LOUD)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

from syncline.connectors.errors import ValueOutOfType
from syncline.sinks import lattice
from syncline.sinks.dialect import column, number, text
from syncline.sinks.match import Match


def documents(match: Match) -> list[str]:
    """The columns whose staged texts become documents: not those that the target holds as text."""
    return [name for name in match.plan.columns.names if lattice.is_json(match.common_type(name))]


def count_nul(match: Match, names: Sequence[str]) -> str:
    r"""One row: for each column, how many staged documents hold U+0000, which JSON spells ``\u0000``.

    Two backslashes are one that was escaped, and begin nothing.
    """
    counts = []
    for name in names:
        unescaped = exp.Anonymous(this="REPLACE", expressions=[column(name, "s"), text("\\\\"), text("")])
        place = exp.Anonymous(this="STRPOS", expressions=[unescaped, text("\\u0000")])
        counts.append(
            exp.Count(this=exp.Case(ifs=[exp.If(this=exp.GT(this=place, expression=number(0)), true=number(1))]))
        )
    return match.render("SELECT 1 FROM staged AS s", values=counts)


def check_documents(match: Match, run: Callable[[str], Sequence[Sequence[Any]]]) -> None:
    """Raises ValueOutOfType for a document with U+0000 in it, where no text of the warehouse may hold that."""
    held, plan = match.dialect.capabilities, match.plan
    names = [] if held.nul_in_text else documents(match)
    if not names:
        return
    [counts] = run(count_nul(match, names))
    for name, rows in zip(names, counts, strict=True):
        if rows:
            cause = f"{rows} JSON documents hold U+0000, which no column of {held.name} can hold"
            hint = f"take it out at the source, or leave the field out with exclude=[{name!r}]"
            raise ValueOutOfType("load manifest", f"{plan.stream}.{name}, run {plan.run_id}", cause, hint)
