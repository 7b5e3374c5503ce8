"""What is tidied up after a commit on DuckDB. The commit stands whatever happens here, so the caller forgives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from syncline.connectors.errors import ConfigError
from syncline.sinks import fitness, staging, targets
from syncline.sinks.dialect import DUCKDB, Place, fill, text
from syncline.sinks.duckdb_session import Session
from syncline.sinks.duckdb_settings import Settings
from syncline.sinks.maintenance import Maintenance, TableUpkeep
from syncline.sinks.warehouse import RUNS_TABLE, WATERMARKS_TABLE, RowCounts, TablePlan

DEAD_SHARE_MAX = 0.3
"""Rewriting a table costs as much as loading it, so it waits until this share of its rows are deleted ones."""

SCRATCH_TABLE = "_syncline_maintenance"


def drop_staging(session: Session, plans: Sequence[TablePlan]) -> None:
    for plan in plans:
        for statement in staging.drops(plan, DUCKDB):
            session.run(statement)


def compact(session: Session, plans: Sequence[TablePlan], counts: Mapping[str, RowCounts], place: Place) -> None:
    """Rewrites tables that hold too many deleted rows; their space is used again by later commits.

    Checkpoints do not vacuum otherwise (``Settings``): the rows that each small commit replaces stay where they are.
    Only tables that the commit took rows out of are looked at: it left no dead ones in another.
    """
    tables = [plan.target for plan in plans if _took_out(counts[plan.stream])]
    if any(dead > DEAD_SHARE_MAX * held for dead, held in _dead_rows(session, tables, place)):
        _vacuum(session)


def maintain(session: Session, tables: Sequence[str], place: Place, settings: Settings) -> Maintenance:
    """Vacuums the file: DuckDB has no way to do it for one table. The file gets no smaller, but has room inside.

    A table of one row group, 122,880 rows, may stay as it is. Raises ConfigError for a view under a target's name.
    """
    views = {DUCKDB.fold(name) for (name,) in session.run(fitness.select_views(place, DUCKDB))}
    for table in tables:
        if DUCKDB.fold(table) in views:
            raise ConfigError("maintain table", table, "a view has the target's name", "rename or drop the view")
    shown = targets.layouts(session.run(targets.select_columns(place, DUCKDB)), DUCKDB)
    tables = [table for table in (*tables, WATERMARKS_TABLE, RUNS_TABLE) if DUCKDB.fold(table) in shown]
    before = [dead for dead, _ in _dead_rows(session, tables, place)]
    # A checkpoint with nothing to write does nothing at all, vacuuming included (measured, 2.0).
    scratch = {"scratch": place.table(SCRATCH_TABLE)}
    for skeleton in ("CREATE OR REPLACE TABLE scratch AS SELECT 1 AS one", "DROP TABLE scratch"):
        session.run(DUCKDB.render(fill(skeleton, scratch)))
    _vacuum(session)
    after = [dead for dead, _ in _dead_rows(session, tables, place)]
    upkeeps = tuple(map(TableUpkeep, tables, before, after))
    if settings.in_memory:
        return Maintenance(upkeeps)
    [(free_bytes,)] = session.run("SELECT free_blocks * block_size FROM pragma_database_size()")
    return Maintenance(upkeeps, file_bytes=Path(settings.path).stat().st_size, free_bytes=int(free_bytes))


def _vacuum(session: Session) -> None:
    session.run("SET max_vacuum_tasks = 100")
    session.run("CHECKPOINT")
    session.run("SET max_vacuum_tasks = 0")


def _took_out(counts: RowCounts) -> bool:
    """A changed row is a new one beside its old version, which is deleted; so is one that is only marked."""
    return bool(counts.updated or counts.deleted or counts.absent or counts.doubled)


def _dead_rows(session: Session, tables: Sequence[str], place: Place) -> list[tuple[int, int]]:
    """By table, how many of the rows that its storage holds are deleted ones, and how many it holds.

    The catalog's table function looks at every table there is, however few are asked for, so it is asked once.
    """
    if not tables:
        return []
    query = fill(
        "SELECT table_name, estimated_size FROM DUCKDB_TABLES()"
        " WHERE database_name = :catalog AND schema_name = :schema",
        catalog=text(place.catalog),
        schema=text(place.schema),
    )
    held = {DUCKDB.fold(name): int(size) for name, size in session.run(DUCKDB.render(query))}
    found = []
    for table in tables:
        count = fill("SELECT COUNT(*) FROM target", {"target": place.table(table)})
        [(live,)] = session.run(DUCKDB.render(count))
        rows = held[DUCKDB.fold(table)]
        found.append((rows - int(live), rows))
    return found
