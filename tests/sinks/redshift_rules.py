"""What the statements that reached the Redshift stand-in must keep, whatever they did there.

The stand-in refuses what Redshift refuses (``tests/servers/redshift_rules.py``). What Redshift carries out and Syncline
must not ask for is looked for here: DDL is transactional in Redshift (ALTER TABLE, CREATE TABLE) and takes the table's
exclusive lock until the commit, TRUNCATE commits, and so the one transaction of a run is DML (DDL-BEFORE).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from syncline.sinks.redshift_dialect import WIDENED_COLUMN

DML = re.compile(r"(LOCK|SELECT|INSERT INTO|UPDATE|DELETE FROM|MERGE INTO)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement, and the transaction it was sent in: 0 for none, else by order."""

    statement: str
    transaction: int


def sent(log: Sequence[str]) -> list[Sent]:
    """One client's statements; BEGIN and COMMIT count to their transaction."""
    found, open, count = list[Sent](), False, 0
    for statement in log:
        if statement == "BEGIN":
            open, count = True, count + 1
        found.append(Sent(statement, count if open else 0))
        if statement in ("COMMIT", "ROLLBACK"):
            open = False
    return found


def breaches(log: Sequence[str]) -> list[str]:
    """The statements that DDL-BEFORE does not allow where they stand."""
    return list(_breaches(sent(log)))


def _breaches(statements: Sequence[Sent]) -> Iterator[str]:
    transactions: dict[int, list[str]] = {}
    for each in statements:
        if each.transaction:
            transactions.setdefault(each.transaction, []).append(each.statement)
    for inside in transactions.values():
        if not is_widening(inside):
            yield from (each for each in inside if each not in ("BEGIN", "COMMIT", "ROLLBACK") and not DML.match(each))


def is_widening(inside: Sequence[str]) -> bool:
    """The one other transaction, long before the run's: a wider column takes the place of another, of one table."""
    plain = [" ".join(statement.split()) for statement in inside]
    begin, added, filled, dropped, renamed, commit = [*plain, *[""] * 6][:6]
    table = re.match(r'ALTER TABLE ("[^"]+"\."[^"]+") ADD COLUMN', added)
    return (
        table is not None
        and len(inside) == 6
        and (
            (begin, commit) == ("BEGIN", "COMMIT")
            and f'"{WIDENED_COLUMN}"' in added
            and filled.startswith(f"UPDATE {table[1]} SET")
            and dropped.startswith(f"ALTER TABLE {table[1]} DROP COLUMN")
            and renamed.startswith(f'ALTER TABLE {table[1]} RENAME COLUMN "{WIDENED_COLUMN}"')
        )
    )
