"""What is tidied up after a commit on DuckDB. The commit stands whatever happens here, so the caller forgives."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.sinks import staging
from syncline.sinks.dialect import DUCKDB, Place, fill, text
from syncline.sinks.duckdb_session import Session
from syncline.sinks.warehouse import TablePlan

DEAD_SHARE_MAX = 0.3
"""Rewriting a table costs as much as loading it, so it waits until this share of its rows are deleted ones."""


def drop_staging(session: Session, plans: Sequence[TablePlan]) -> None:
    for plan in plans:
        for statement in staging.drops(plan, DUCKDB):
            session.run(statement)


def compact(session: Session, plans: Sequence[TablePlan], place: Place) -> None:
    """Rewrites tables that hold too many deleted rows; their space is used again by later commits.

    Checkpoints do not vacuum otherwise (``Settings``): the rows that each small commit replaces stay where they are.
    """
    if any(_dead_share(session, plan, place) > DEAD_SHARE_MAX for plan in plans):
        session.run("SET max_vacuum_tasks = 100")
        session.run("CHECKPOINT")
        session.run("SET max_vacuum_tasks = 0")


def _dead_share(session: Session, plan: TablePlan, place: Place) -> float:
    query = fill(
        "SELECT (SELECT COUNT(*) FROM target), estimated_size FROM DUCKDB_TABLES() WHERE database_name = :catalog"
        " AND schema_name = :schema AND LOWER(table_name) = LOWER(:name)",
        {"target": place.table(plan.target)},
        catalog=text(place.catalog),
        schema=text(place.schema),
        name=text(plan.target),
    )
    [(live, held)] = session.run(DUCKDB.render(query))
    return 1 - live / held if held else 0.0
