"""The one transaction on DuckDB: fences, each stream's merge, the run's row (ONE-TRANSACTION, DDL-BEFORE)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from syncline.connectors.errors import FenceLost, SynclineError
from syncline.sinks import bookkeeping, targets
from syncline.sinks.dialect import DUCKDB, Place
from syncline.sinks.duckdb_session import Session
from syncline.sinks.guards import check_changed, check_deletes, check_explained
from syncline.sinks.merge import Merge, row_counts
from syncline.sinks.warehouse import CommitCounts, CommitUnit, Mark, RowCounts, TablePlan


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is known of a staged table: whether a key is staged twice, how many rows may be compared at once."""

    run_id: str
    duplicated: bool
    compare_rows_max: int


def commit(
    session: Session, unit: CommitUnit, loaded: Mapping[str, Loaded], place: Place, committed_at: datetime
) -> CommitCounts:
    """Commits the unit; see the port."""
    tables = sorted(unit.tables, key=lambda plan: plan.stream)
    shown = targets.layouts(session.run(targets.select_columns(place, DUCKDB)), DUCKDB)
    merges = [_merge(plan, shown, loaded, place, committed_at) for plan in tables]
    counts: dict[str, RowCounts] = {}
    with session.transaction():
        for mark in sorted(unit.marks, key=lambda mark: mark.stream):
            _move_watermark(session, unit, mark, place, committed_at)
        for merge in merges:
            counts[merge.plan.stream] = _merge_table(session, merge, loaded[merge.plan.stream].compare_rows_max)
        session.run(bookkeeping.insert_run(unit, committed_at, place, DUCKDB))
    return CommitCounts(committed_at=committed_at, tables=counts)


def _merge(
    plan: TablePlan,
    shown: Mapping[str, targets.Layout],
    loaded: Mapping[str, Loaded],
    place: Place,
    committed_at: datetime,
) -> Merge:
    target = shown.get(DUCKDB.fold(plan.target))
    staged = loaded.get(plan.stream)
    if target is None or staged is None or staged.run_id != plan.run_id:
        raise SynclineError("commit", plan.target, "its rows were not prepared and loaded by this warehouse")
    return Merge(plan, target, place, DUCKDB, committed_at, staged.duplicated)


def _move_watermark(session: Session, unit: CommitUnit, mark: Mark, place: Place, committed_at: datetime) -> None:
    changed = _changed(session, bookkeeping.move_watermark(unit, mark, committed_at, place, DUCKDB))
    if changed != 1:
        raise FenceLost(
            "move watermark",
            f"{unit.pipeline}.{mark.stream}",
            f"its version is not {mark.version} any more: another run committed first",
            "nothing was written; run again",
        )


def _merge_table(session: Session, merge: Merge, compare_rows_max: int) -> RowCounts:
    rows, live, staged = session.run(merge.count_rows())[0]
    if merge.duplicated:
        session.run(merge.supersede())
    if rows == 0:
        return _fill(session, merge, staged)
    counts = _classify(session, merge, staged, compare_rows_max)
    check_explained(merge.plan, counts)
    check_deletes(merge.plan, counts, live)
    _write(session, merge, counts)
    return counts


def _fill(session: Session, merge: Merge, staged: int) -> RowCounts:
    actions = dict(session.run(merge.count_changes())) if merge.duplicated else {}
    actions["moot"] = session.run(merge.count_moot())[0][0]
    actions["insert"] = _changed(session, merge.fill())
    counts = row_counts(staged, actions)
    check_explained(merge.plan, counts)
    return counts


def _classify(session: Session, merge: Merge, staged: int, compare_rows_max: int) -> RowCounts:
    session.run(merge.classify())
    if merge.plan.mode == "snapshot" and merge.plan.on_delete != "ignore":
        session.run(merge.absent())
    parts = session.run(merge.count_candidates(compare_rows_max))
    for first, last in ranges(parts, compare_rows_max):
        session.run(merge.compare(first, last))
    return row_counts(staged, dict(session.run(merge.count_changes())))


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
    actions = dict(session.run(merge.count_changes()))
    return int(actions.get("mark", 0) + actions.get("absent", 0))


def _change(session: Session, plan: TablePlan, what: str, expected: int, statement: str) -> None:
    if expected:
        check_changed(plan, what, expected, _changed(session, statement))


def _changed(session: Session, statement: str) -> int:
    return int(session.run(statement)[0][0])
