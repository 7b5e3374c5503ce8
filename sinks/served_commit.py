"""The one transaction on a warehouse behind a network (ONE-TRANSACTION, DDL-BEFORE, FENCED-COMMIT).

The watermark's row is made before the transaction, with version 0 and no watermark: where primary keys are not
enforced, two first runs could otherwise both insert it and both win. In the transaction the fence is then always the
same compare-and-set, one statement for all streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from syncline.connectors.errors import CommitUnknown, FenceLost, Transient
from syncline.sinks import bookkeeping, doubles
from syncline.sinks.dialect import Dialect, Place
from syncline.sinks.guards import check_changed, check_deletes, check_explained, check_owners
from syncline.sinks.match import Match
from syncline.sinks.served_merge import ServedMerge
from syncline.sinks.served_overwrite import WRITTEN, Overwrite, counts_of
from syncline.sinks.served_staging import Loaded
from syncline.sinks.session import Session
from syncline.sinks.warehouse import DELETE_GUARD_ROWS_MIN, CommitCounts, CommitUnit, RowCounts


def commit(
    session: Session,
    unit: CommitUnit,
    matches: Mapping[str, Match],
    loaded: Mapping[str, Loaded],
    place: Place,
    dialect: Dialect,
    committed_at: datetime,
) -> CommitCounts:
    """Commits the unit; see the port."""
    seed(session, unit, committed_at, place, dialect)
    counts: dict[str, RowCounts] = {}
    with session.transaction():
        if dialect.lock:
            session.run(bookkeeping.lock(place, dialect))
        fence(session, unit, committed_at, place, dialect)
        owners = session.run(bookkeeping.select_owners(place, dialect))
        check_owners(unit.pipeline, {mark.stream: mark.target for mark in unit.marks}, owners, dialect.fold)
        for stream in sorted(matches):
            match, staged = matches[stream], loaded[stream]
            one = doubles.make_one(match, session.run, lambda text: session.change(text)[0], RowCounts())
            written = write(session, merge_of(match, staged, committed_at), staged)
            counts[stream] = replace(written, doubled=one.doubled)
        bookkeeping.write_run(session.run, unit, committed_at, place, dialect)
    return CommitCounts(committed_at=committed_at, tables=counts)


def seed(session: Session, unit: CommitUnit, at: datetime, place: Place, dialect: Dialect) -> None:
    """Rows for streams that never committed; harmless by itself and repeatable."""
    first = sorted(mark.stream for mark in unit.marks if not mark.version)
    statements = [bookkeeping.seed_watermark(unit.pipeline, stream, at, place, dialect) for stream in first]
    if not statements or not dialect.lock:
        for statement in statements:
            session.run(statement)
        return
    try:
        with session.transaction():
            for statement in (bookkeeping.lock(place, dialect), *statements):
                session.run(statement)
    except CommitUnknown as error:
        # Whether it stands or not, doing it again is right; the unit itself has not begun.
        raise Transient("seed watermarks", unit.pipeline, error.cause, "run again") from error


def fence(session: Session, unit: CommitUnit, at: datetime, place: Place, dialect: Dialect) -> None:
    """Moves every watermark at once, or none (FENCED-COMMIT)."""
    if not unit.marks:
        return
    [moved] = session.change(bookkeeping.move_watermarks(unit, at, place, dialect))
    if moved == len(unit.marks):
        return
    rows = session.run(bookkeeping.select_watermarks(unit.pipeline, place, dialect))
    ours = {mark.stream for row in rows if (mark := bookkeeping.watermark_of(row)).run_id == unit.run_id}
    lost = sorted(mark.stream for mark in unit.marks if mark.stream not in ours)
    raise FenceLost(
        "move watermarks",
        ", ".join(f"{unit.pipeline}.{stream}" for stream in lost) or unit.pipeline,
        f"{moved} of {len(unit.marks)} versions are as expected: another run committed first",
        "nothing was written; run again",
    )


def merge_of(match: Match, loaded: Loaded, committed_at: datetime) -> ServedMerge:
    has_tombstones = "tombstones" in loaded.staging.kinds
    return ServedMerge(match, committed_at, has_tombstones)


def write(session: Session, merge: ServedMerge, loaded: Loaded) -> RowCounts:
    """Writes one stream, explains every staged row, and asks the guards, all before the COMMIT."""
    plan = merge.plan
    if plan.mode == "snapshot" and merge.match.dialect.overwrites:
        return overwrite(session, Overwrite(merge), loaded)
    snapshot = plan.mode == "snapshot" and plan.on_delete != "ignore"
    live = 0
    if plan.delete_share_max is not None and (snapshot or loaded.deletions > DELETE_GUARD_ROWS_MIN):
        [(live,)] = session.run(merge.count_live())
    inserted, updated, deleted = changes(session, merge, loaded)
    absent = session.change(merge.absent())[0] if snapshot else 0
    rest = loaded.rows - loaded.superseded - inserted - updated - deleted
    counts = RowCounts(
        staged=loaded.rows,
        inserted=inserted,
        updated=updated,
        deleted=deleted,
        superseded=loaded.superseded,
        absent=absent,
    )
    if rest:
        counts = explained(counts, dict(session.run(merge.explain())), plan.on_delete)
    check_explained(plan, counts)
    check_deletes(plan, counts, int(live))
    return counts


def overwrite(session: Session, overwrite: Overwrite, loaded: Loaded) -> RowCounts:
    """Replaces a target's rows by a snapshot's, unless they are equal."""
    plan = overwrite.merge.plan
    words = {str(word): int(count) for word, count in session.run(overwrite.classify())}
    counts = counts_of(words, loaded.rows, loaded.superseded)
    live = sum(words.values()) - sum(words.get(word, 0) for word in ("insert", "gone"))
    check_explained(plan, counts)
    check_deletes(plan, counts, live)
    if any(words.get(word) for word in WRITTEN):
        check_changed(plan, "overwrite", overwrite.rows_after(words), session.change(overwrite.write())[0])
    return counts


def changes(session: Session, merge: ServedMerge, loaded: Loaded) -> tuple[int, int, int]:
    """Rows inserted, updated, deleted (with marks: newly marked)."""
    on_delete = merge.plan.on_delete
    marked = 0
    if on_delete == "mark" and loaded.deletions:
        marked = sum(session.change(merge.mark()))
    if merge.match.dialect.merges:
        inserted, updated, deleted = session.change(merge.merge())
        return inserted, updated, deleted + marked
    [updated] = session.change(merge.update())
    deleted = session.change(merge.delete())[0] if on_delete == "delete" and loaded.deletions else 0
    [inserted] = session.change(merge.insert())
    return inserted, updated, deleted + marked


def explained(counts: RowCounts, words: Mapping[str, int], on_delete: str) -> RowCounts:
    """The rest by what became of it: what stands as staged and was not written was unchanged."""
    equal, marked, gone = (int(words.get(word, 0)) for word in ("equal", "marked", "gone"))
    carried_out = counts.deleted if on_delete == "mark" else 0
    return RowCounts(
        staged=counts.staged,
        inserted=counts.inserted,
        updated=counts.updated,
        unchanged=equal + marked - counts.inserted - counts.updated - carried_out,
        deleted=counts.deleted,
        superseded=counts.superseded,
        stale=int(words.get("stale", 0)),
        moot=gone - (counts.deleted if on_delete == "delete" else 0),
        absent=counts.absent,
    )
