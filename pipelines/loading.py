"""From sealed manifests to one committed transaction, and finding out whether it stands (KNOWN-OUTCOME)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta

import pyarrow as pa

import syncline
from syncline.connectors.errors import CommitUnknown, CountMismatch, Transient
from syncline.pipelines.context import Context
from syncline.pipelines.reading import Landed
from syncline.pipelines.task import Task
from syncline.sinks.manifest import Manifest
from syncline.sinks.warehouse import CommitCounts, CommitUnit, Mark, TablePlan, Watermark

LOOKS_AFTER_UNKNOWN = 5
LOOK_PAUSE_S = 2.0
"""How often, and how far apart, the watermarks are looked at after a lost COMMIT: a reader on another session may see
a commit slightly later (Snowflake, READ_CONSISTENCY_MODE)."""

MENDING = ("reload", "repair")
"""The kinds of run that put right what other programs did to a target; a sync that meets a key twice stops instead."""


def table_plan(context: Context, task: Task, run_id: str) -> TablePlan:
    return TablePlan(
        pipeline=context.pipeline.name,
        stream=task.schema.name,
        run_id=run_id,
        target=task.stream.target,
        columns=task.schema.columns,
        key=task.schema.key,
        cursor=task.schema.cursor,
        on_delete=task.stream.on_delete,
        mode=task.mode,
        # A repair reads after the versions that the fence holds it to: no increment can have come between.
        high=None if context.report.kind == "repair" and task.mode == "snapshot" else task.horizon,
        delete_share_max=None if context.allow_deletes else context.pipeline.delete_share_max,
        must_exist=task.base.version > 0 and not task.whole,
        doubles=context.report.kind in MENDING,
        overlap=task.stream.overlap_duration if context.report.kind == "reload" else timedelta(),
    )


def mark_of(task: Task, version: int) -> Mark:
    """The watermark is the horizon, never the largest cursor seen (COMPLETE-WINDOW)."""
    watermark = None if task.schema.cursor is None else task.horizon
    return Mark(task.schema.name, version, watermark, task.columns_covered, task.stream.target, task.definition)


def load_and_commit(
    context: Context,
    landed: Sequence[Landed],
    versions: Mapping[str, int],
    run_id: str,
    started_at: datetime,
    staged: Set[str] = frozenset(),
) -> datetime:
    """Loads what has rows, commits every stream's watermark with them, and returns the instant of the commit.

    The streams ``staged`` were loaded before, and then every table was prepared.

    Raises:
        FenceLost: another run moved a watermark first; nothing was written.
        CountMismatch: a hop lost or gained rows; nothing was written.
    """
    changed = [each for each in landed if not each.same]
    plans = {each.task.schema.name: table_plan(context, each.task, run_id) for each in changed}
    manifests = {each.task.schema.name: each.manifest for each in changed}
    marks = [mark_of(each.task, versions[each.task.schema.name]) for each in landed]
    return carry_out(context, unit_of(context, run_id, started_at, plans, marks, manifests), manifests, staged)


def unit_of(
    context: Context,
    run_id: str,
    started_at: datetime,
    plans: Mapping[str, TablePlan],
    marks: Sequence[Mark],
    manifests: Mapping[str, Manifest],
) -> CommitUnit:
    """One transaction of these tables and marks; tables in sorted order, the run's row told of their rows.

    A run commits more than once where its streams commit each by itself, or where an heir finishes what it left.
    """
    return CommitUnit(
        pipeline=context.pipeline.name,
        run_id=run_id,
        started_at=started_at,
        tables=[plans[name] for name in sorted(plans)],
        marks=marks,
        run={
            "kind": context.report.kind,
            "version": syncline.__version__,
            "rows": {name: manifest.rows for name, manifest in manifests.items()},
        },
        again=run_id != context.report.run_id or context.pipeline.commit == "each",
    )


def carry_out(
    context: Context, unit: CommitUnit, manifests: Mapping[str, Manifest], staged: Set[str] = frozenset()
) -> datetime:
    """Prepares and loads the unit's tables, each from its stream's manifest, commits, and returns the commit's instant.

    Raises:
        FenceLost: another run moved a watermark first; nothing was written.
        CountMismatch: a hop lost or gained rows; nothing was written.
    """
    warehouse = context.warehouse
    # Reading is over: what it used for batches is worth more to an embedded warehouse (BOUNDED).
    pa.default_memory_pool().release_unused()
    context.stop.check()
    if not staged:
        warehouse.prepare(unit.tables)
    for plan in unit.tables:
        context.stop.check()
        if plan.stream not in staged:
            load(context, plan, manifests[plan.stream])
    context.stop.check()
    try:
        counts = warehouse.commit(unit)
    except CommitUnknown as error:
        return resolve_unknown(context, unit, error)
    account(context, counts)
    return counts.committed_at


def load(context: Context, plan: TablePlan, manifest: Manifest) -> None:
    staged = context.warehouse.load(plan, manifest, context.landing)
    if staged != manifest.rows:
        raise CountMismatch(
            "load",
            f"{plan.stream} into staging",
            f"COUNTED-HOPS: the manifest has {manifest.rows} rows, staging {staged}",
            "run again: the sealed manifest is loaded anew",
        )
    context.emit("table_loaded", stream=plan.stream, rows=staged)


def account(context: Context, counts: CommitCounts) -> None:
    """The runner's side of COUNTED-HOPS: the warehouse checked the same before its COMMIT."""
    for name, rows in counts.tables.items():
        context.report.stream(name).add(rows)
        context.emit(
            "committed",
            stream=name,
            inserted=rows.inserted,
            updated=rows.updated,
            deleted=rows.deleted + rows.absent,
            unchanged=rows.unchanged,
        )


def resolve_unknown(context: Context, unit: CommitUnit, error: CommitUnknown) -> datetime:
    """Looks for the run's id in the watermark rows, on a fresh connection.

    Never guesses: when the rows still show the old versions after several looks, the run fails. The sealed manifests
    stay; the next run looks again and loads them if need be, and the fence keeps a late COMMIT from counting twice.
    Of a run that was gone on with, the id does not tell: the one that began it may just have been slow, and have
    committed under it what it had read itself. The next run plans from what stands.
    """
    context.emit("commit_unknown", error=error.cause)
    if unit.run_id in context.report.resumed and context.report.kind == "run":
        raise error
    for look in range(LOOKS_AFTER_UNKNOWN):
        if look:
            context.seams.sleep(LOOK_PAUSE_S)
        context.warehouse.close()
        try:
            found = context.warehouse.watermarks(unit.pipeline)
        except Transient:
            continue
        if (instant := committed_by(found, unit)) is not None:
            context.warn("the reply to COMMIT was lost; the run's id stands in the watermarks, so it was committed")
            return instant
    raise error


def committed_by(found: Mapping[str, Watermark], unit: CommitUnit) -> datetime | None:
    """When the unit's transaction committed, if it did: all of its marks carry its run id, or none does."""
    marks = [found.get(mark.stream) for mark in unit.marks]
    for mark in marks:
        if mark is None or mark.run_id != unit.run_id:
            return None
    return marks[0].committed_at if marks and marks[0] is not None else None
