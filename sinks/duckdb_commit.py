"""The one transaction on DuckDB: fences, each stream's merge, the run's row (ONE-TRANSACTION, DDL-BEFORE)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from syncline.connectors.connector import Tally
from syncline.connectors.errors import FenceLost, SynclineError
from syncline.sinks import bookkeeping, comparison, doubles, fitness, targets, twins
from syncline.sinks.dialect import DUCKDB, Place
from syncline.sinks.duckdb_session import Session
from syncline.sinks.duckdb_settings import deletion_bytes
from syncline.sinks.guards import check_changed, check_deletes, check_explained, check_owners
from syncline.sinks.match import Bounds, Match
from syncline.sinks.merge import Merge, row_counts
from syncline.sinks.warehouse import CommitCounts, CommitUnit, Comparison, Mark, RowCounts, TablePlan


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is known of a staged table. ``duplicated``: a key is staged twice; ``compare_rows_max``: how many rows may
    be compared at once (BOUNDED)."""

    run_id: str
    duplicated: bool
    compare_rows_max: int
    bounds: Bounds


def commit(
    session: Session, unit: CommitUnit, loaded: Mapping[str, Loaded], place: Place, committed_at: datetime
) -> CommitCounts:
    """Commits the unit; see the port."""
    matches = _matches(session, sorted(unit.tables, key=lambda plan: plan.stream), loaded, place)
    counts: dict[str, RowCounts] = {}
    with session.transaction():
        for mark in sorted(unit.marks, key=lambda mark: mark.stream):
            _move_watermark(session, unit, mark, place, committed_at)
        owners = session.run(bookkeeping.select_owners(place, DUCKDB))
        check_owners(unit.pipeline, {mark.stream: mark.target for mark in unit.marks}, owners, DUCKDB.fold)
        for match in matches:
            stream = match.plan.stream
            counts[stream] = _write_stream(session, Merge(match, committed_at), loaded[stream].compare_rows_max)
        bookkeeping.write_run(session.run, unit, committed_at, place, DUCKDB)
    return CommitCounts(committed_at=committed_at, tables=counts)


def compare(
    session: Session, plan: TablePlan, loaded: Mapping[str, Loaded], place: Place, differences_max: int
) -> Comparison:
    """Holds what is staged against the target, in one transaction that is rolled back; see ``Comparer``."""
    (match,) = _matches(session, [plan], loaded, place)
    fitness.check_fit(plan, match.layout, DUCKDB)
    columns = comparison.columns_to_compare(match)
    with session.reading():
        if match.duplicated:
            session.run(match.supersede())
        session.run(comparison.pair(match))
        if plan.key:
            session.run(comparison.doubles(match))
        rows_max = loaded[plan.stream].compare_rows_max
        for first, last in _ranges(session, match, rows_max):
            session.run(comparison.compare(match, first, last, columns))
        actions = dict(session.run(match.count_changes()))
        rows = session.table(comparison.examples(match, differences_max))
        examples = [comparison.difference(row, plan, columns) for row in _rows_of(rows)]
        found = comparison.comparison(actions, examples)
        return twins.added(match, found, lambda text: _rows_of(session.table(text)), differences_max)


def tally(
    session: Session, plan: TablePlan, loaded: Mapping[str, Loaded], place: Place, edges: Sequence[datetime]
) -> list[Tally]:
    """Counts the target's rows whose key is not staged, by ranges of the cursor; see ``Comparer``."""
    (match,) = _matches(session, [plan], loaded, place)
    fitness.check_fit(plan, match.layout, DUCKDB)
    return comparison.tallies(_rows_of(session.table(comparison.tally(match, edges))), edges)


def _rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*table.to_pydict().values(), strict=True))


def _matches(session: Session, plans: Sequence[TablePlan], loaded: Mapping[str, Loaded], place: Place) -> list[Match]:
    shown = targets.layouts(session.run(targets.select_columns(place, DUCKDB)), DUCKDB)
    views = views_of(session, place)
    matches = []
    for plan in plans:
        target, staged = shown.get(DUCKDB.fold(plan.target)), loaded.get(plan.stream)
        if target is None:
            raise fitness.missing(plan)
        fitness.check_table(plan, views, DUCKDB)
        if staged is None or staged.run_id != plan.run_id:
            raise SynclineError("use staged rows", plan.target, "they were not loaded by this warehouse")
        matches.append(Match(plan, target, place, DUCKDB, staged.duplicated, bounds=staged.bounds))
    return matches


def views_of(session: Session, place: Place) -> set[str]:
    return {DUCKDB.fold(name) for (name,) in session.run(fitness.select_views(place, DUCKDB))}


def _move_watermark(session: Session, unit: CommitUnit, mark: Mark, place: Place, committed_at: datetime) -> None:
    changed = _changed(session, bookkeeping.move_watermark(unit, mark, committed_at, place, DUCKDB))
    if changed != 1:
        raise FenceLost(
            "move watermark",
            f"{unit.pipeline}.{mark.stream}",
            f"its version is not {mark.version} any more: another run committed first",
            "nothing was written; run again",
        )


def _write_stream(session: Session, merge: Merge, compare_rows_max: int) -> RowCounts:
    if merge.match.duplicated:
        session.run(merge.match.supersede())
    made_one = doubles.make_one(merge.match, session.run, lambda text: _changed(session, text), RowCounts())
    return replace(_merge_table(session, merge, compare_rows_max), doubled=made_one.doubled)


def _merge_table(session: Session, merge: Merge, compare_rows_max: int) -> RowCounts:
    rows, live, staged = session.run(merge.match.count_rows())[0]
    if rows == 0:
        return _fill(session, merge, staged)
    counts = _classify(session, merge, staged, compare_rows_max)
    check_explained(merge.plan, counts)
    check_deletes(merge.plan, counts, live)
    session.make_room(deletion_bytes(rows, counts.updated + counts.deleted + counts.absent))
    _write(session, merge, counts)
    return counts


def _fill(session: Session, merge: Merge, staged: int) -> RowCounts:
    actions = dict(session.run(merge.match.count_changes())) if merge.match.duplicated else {}
    actions["moot"] = session.run(merge.count_moot())[0][0]
    actions["insert"] = _changed(session, merge.fill())
    counts = row_counts(staged, actions)
    check_explained(merge.plan, counts)
    return counts


def _classify(session: Session, merge: Merge, staged: int, compare_rows_max: int) -> RowCounts:
    session.run(merge.classify())
    if merge.plan.mode == "snapshot" and merge.plan.on_delete != "ignore":
        session.run(merge.absent())
    for first, last in _ranges(session, merge.match, compare_rows_max):
        session.run(merge.compare(first, last))
    return row_counts(staged, dict(session.run(merge.match.count_changes())))


def _ranges(session: Session, match: Match, rows_max: int) -> Iterator[tuple[int, int]]:
    return ranges(session.run(match.count_candidates(rows_max)), rows_max)


def ranges(parts: Sequence[tuple[int, int]], rows_max: int) -> Iterator[tuple[int, int]]:
    """Joins neighbouring parts of ``rows_max`` addresses into ranges of at most ``rows_max`` rows: ``first, last``."""
    first: int | None = None
    last = rows = 0
    for part, count in parts:
        if first is not None and rows + count > rows_max:
            yield first * rows_max, (last + 1) * rows_max - 1
            first, rows = None, 0
        first, last, rows = part if first is None else first, part, rows + count
    if first is not None:
        yield first * rows_max, (last + 1) * rows_max - 1


def _write(session: Session, merge: Merge, counts: RowCounts) -> None:
    """Inserts before it deletes, because new versions take columns over from the old ones."""
    plan = merge.plan
    doomed = counts.deleted + counts.absent
    if plan.on_delete != "mark":
        _change(session, plan, "insert", counts.inserted + counts.updated, merge.insert())
    else:
        by_key = _count(session, merge)
        _change(session, plan, "insert", counts.inserted + counts.updated + doomed - by_key, merge.insert())
        _change(session, plan, "mark", by_key, merge.mark())
    _change(session, plan, "delete", counts.updated + doomed, merge.delete())


def _count(session: Session, merge: Merge) -> int:
    actions = dict(session.run(merge.match.count_changes()))
    return int(actions.get("mark", 0) + actions.get("absent", 0))


def _change(session: Session, plan: TablePlan, what: str, expected: int, statement: str) -> None:
    if expected:
        check_changed(plan, what, expected, _changed(session, statement))


def _changed(session: Session, statement: str) -> int:
    return int(session.run(statement)[0][0])
