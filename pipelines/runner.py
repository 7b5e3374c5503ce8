"""The sync algorithm, with no vendor's name in it.

::

    lease ─▶ horizon, describe ─▶ recall ─▶ windows ─▶ read, land, seal ─┬▶ nothing new: remember
                                     ▲                                   ├▶ versions as expected: load, commit, remember
                                     └──── the warehouse is right ◀──────┴▶ versions differ

A run first finishes what an earlier one left unfinished, up to that run's horizon, and then goes on to its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from syncline.connectors.connector import Json, StreamSchema
from syncline.connectors.errors import (
    DataError,
    FenceLost,
    LeaseHeld,
    MassDelete,
    QuotaReached,
    Stopped,
    SynclineError,
    TargetMissing,
)
from syncline.pipelines.checkpoint import Checkpoint
from syncline.pipelines.context import Context, Seams
from syncline.pipelines.early import EarlyLoads
from syncline.pipelines.events import Events
from syncline.pipelines.extract import extract_all
from syncline.pipelines.fit import require_fit
from syncline.pipelines.lifecycle import LEASE_TTL_S, new_report, recorded
from syncline.pipelines.loading import load_and_commit
from syncline.pipelines.mirror import from_truth, recall, tells_of
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.reading import Landed
from syncline.pipelines.report import RunReport
from syncline.pipelines.resume import is_taken
from syncline.pipelines.stop import StopSignal
from syncline.pipelines.task import NEVER, Task, make_reload, make_task, narrow
from syncline.sinks.warehouse import Watermark
from syncline.state.run_id import new_run_id
from syncline.state.store import Remembered

REPLANS_MAX = 3
"""How often a round starts over because the warehouse was not where the mirror said."""

LEASE_TRIES = 60
LEASE_PAUSE_S = 5.0
"""How long a reload, once it has read everything, waits for a running increment to end: five minutes."""

CLOCK_STEP_MAX = timedelta(minutes=5)
"""How far a source's clock may be behind the watermark without a word: its machines differ by seconds."""

Schemas = Mapping[str, StreamSchema]


def run(
    pipeline: Pipeline,
    *,
    streams: Sequence[str] = (),
    events: Events,
    allow_deletes: bool = False,
    stop: StopSignal | None = None,
    seams: Seams | None = None,
) -> RunReport:
    """One sync of the pipeline, or of some of its streams.

    Raises:
        SynclineError: after the report was recorded; its class says whether a retry may help.
    """
    chosen = pipeline.select(streams)
    context = Context(
        pipeline, new_report(pipeline, "run", seams), events, stop or StopSignal(), allow_deletes, seams or Seams()
    )
    with recorded(context):
        for stream in chosen:
            # Also one that has nothing to read, because the source's clock stands where its watermark does.
            context.report.stream(stream.name)
        horizon = context.connector.horizon()
        schemas = describe(context, chosen)
        if pipeline.commit == "together":
            sync(context, chosen, schemas, horizon)
        else:
            sync_each(context, chosen, schemas, horizon)
    return context.report


def sync_each(context: Context, streams: Sequence[Stream], schemas: Schemas, horizon: datetime) -> None:
    """Each stream by itself: one that fails does not hold up the others, and is raised when they are done."""
    errors: list[SynclineError] = []
    for stream in streams:
        try:
            sync(context, [stream], schemas, horizon)
        except (Stopped, QuotaReached):
            raise
        except SynclineError as error:
            context.warn(str(error), stream.name)
            errors.append(error)
    if errors:
        raise errors[0]


def describe(context: Context, streams: Sequence[Stream]) -> Schemas:
    described = context.connector.describe([stream.name for stream in streams])
    return {stream.name: narrow(schema, stream) for stream, schema in zip(streams, described, strict=True)}


def sync(context: Context, streams: Sequence[Stream], schemas: Schemas, horizon: datetime) -> None:
    """Streams that commit together: first the unfinished run's round, if there is one, then this run's."""
    unfinished = unfinished_run(context, streams)
    if unfinished is not None:
        context.report.resumed.append(unfinished.run_id)
        context.emit("run_resumed", from_run=unfinished.run_id)
        sync_round(context, streams, schemas, unfinished.horizon, unfinished.run_id, unfinished.started_at)
    sync_round(context, streams, schemas, horizon, context.report.run_id, context.report.started_at)


def unfinished_run(context: Context, streams: Sequence[Stream]) -> Checkpoint | None:
    """The newest checkpoint of any of the streams; checkpoints of still older runs are stale."""
    mirror = context.state.recall(context.scope)
    left = [mirror[stream.name].checkpoint for stream in streams if stream.name in mirror]
    found = [Checkpoint.from_json(checkpoint) for checkpoint in left if checkpoint is not None]
    return max(found, key=lambda checkpoint: checkpoint.run_id, default=None)


def sync_round(
    context: Context, streams: Sequence[Stream], schemas: Schemas, high: datetime, run_id: str, started_at: datetime
) -> None:
    """Brings the streams to ``high`` in one transaction, or finds that nothing is new."""
    marks, found = recall(context.pipeline, context.scope, streams, context.warn), False
    for _ in range(REPLANS_MAX):
        made = (make_task(stream, schemas[stream.name], marks[stream.name], high) for stream in streams)
        tasks = [task for task in made if task is not None]
        if idle := without_task(marks, tasks) if found else {}:
            context.remember(idle)
        if run_id == context.report.run_id:
            warn_of_clock(context, marks, high)
        elif is_taken(context, tasks, run_id):
            run_id, started_at = fresh_id(context)
        require_fit(context.pipeline, tasks)
        early = EarlyLoads(context, tasks, run_id, partial(agree, marks=marks))
        landed = extract_all(context, tasks, run_id, started_at, early.take)
        if all(each.same for each in landed):
            remember_idle(context, landed)
            return
        truth = context.warehouse.watermarks(context.pipeline.name) if early.truth is None else early.truth
        if agree(truth, marks):
            try:
                commit_round(context, landed, run_id, started_at, early.staged)
                return
            except FenceLost:
                truth = context.warehouse.watermarks(context.pipeline.name)
            except TargetMissing as missing:
                context.warn(str(missing))
                truth = without_rows(truth, missing.streams)
        # Not even where its own id stands there: an heir may have read more than the run whose commit went unnoticed.
        context.warn("the warehouse's watermarks differ from the remembered ones: planned again from the warehouse")
        marks, found = {name: found_mark(truth.get(name), mark, landed) for name, mark in marks.items()}, True
        run_id, started_at = fresh_id(context)
    raise FenceLost(
        "run",
        context.pipeline.name,
        f"FENCED-COMMIT: the watermarks moved {REPLANS_MAX} times while the run was reading",
        "see that only one scheduler runs this pipeline",
    )


def found_mark(truth: Watermark | None, mark: Remembered, landed: Sequence[Landed]) -> Remembered:
    """What the warehouse says; a stream that was not read in this round may have leavings yet, which stay noted."""
    read = any(each.task.base is mark for each in landed)
    found = replace(from_truth(truth), checkpoint=None if read else mark.checkpoint)
    if mark.full_at is None or found.watermark is None or found.watermark < mark.full_at:
        return found
    return replace(found, full_at=mark.full_at)


def without_task(marks: Mapping[str, Remembered], tasks: Sequence[Task]) -> Mapping[str, Remembered]:
    """Streams that another run brought so far that there is nothing to read: the mirror must learn of that as well."""
    read = {task.schema.name for task in tasks}
    return {name: mark for name, mark in marks.items() if name not in read}


def fresh_id(context: Context) -> tuple[str, datetime]:
    """An id for a round whose own cannot be used a second time, and its beginning."""
    return new_run_id(context.seams.clock(), context.seams.random), context.seams.clock()


def warn_of_clock(context: Context, marks: Mapping[str, Remembered], high: datetime) -> None:
    """A source whose clock went back has nothing to read for a while, which must not pass for a quiet source (LOUD)."""
    for name, mark in marks.items():
        if mark.watermark is not None and mark.watermark > high + CLOCK_STEP_MAX:
            context.warn(f"{name}: the source's clock stands at {high}, before the watermark {mark.watermark}: nothing"
                         " is read until it has passed that; `syncline reload` does not wait")  # fmt: skip


def without_rows(truth: Mapping[str, Watermark], streams: Sequence[str]) -> Mapping[str, Watermark]:
    """The watermarks as if these streams had never been read, but for their versions."""
    emptied = {name: replace(truth[name], watermark=None, columns=()) for name in streams}
    return {**truth, **emptied}


def agree(truth: Mapping[str, Watermark], marks: Mapping[str, Remembered]) -> bool:
    """Whether every stream stands where its window started from, those that have nothing to read among them: in a
    warehouse put back to an earlier day they would otherwise stay behind the others (ONE-TRANSACTION)."""
    return all(tells_of(mark, truth.get(name)) for name, mark in marks.items())


def version_of(truth: Mapping[str, Watermark], name: str) -> int:
    return truth[name].version if name in truth else 0


def committed_before(truth: Mapping[str, Watermark], landed: Sequence[Landed]) -> bool:
    """Whether a reload that died between COMMIT and remembering it has committed these already: it seals each of its
    streams, so that there is one manifest of each for its id."""
    marks = [(truth.get(each.task.schema.name), each.checkpoint) for each in landed]
    return bool(marks) and all(mark is not None and mark.run_id == checkpoint.run_id for mark, checkpoint in marks)


def commit_round(
    context: Context, landed: Sequence[Landed], run_id: str, started_at: datetime, staged: Set[str]
) -> None:
    versions = {each.task.schema.name: each.task.base.version for each in landed}
    try:
        load_and_commit(context, landed, versions, run_id, started_at, staged)
    except (DataError, MassDelete):
        forget(context, landed)
        raise
    context.report.commits += 1
    remember_commit(context, landed, {name: version + 1 for name, version in versions.items()}, run_id)


def forget(context: Context, landed: Sequence[Landed]) -> None:
    """What was landed cannot or must not be loaded: the next run asks the source again instead of failing for ever."""
    context.remember({each.task.schema.name: replace(each.task.base, checkpoint=None) for each in landed})


def remember_commit(context: Context, landed: Sequence[Landed], versions: Mapping[str, int], run_id: str) -> None:
    """After COMMIT the run has succeeded: a mirror that cannot be written is reported; it costs the next run a look."""
    marks = {each.task.schema.name: settled(each, versions[each.task.schema.name], run_id) for each in landed}
    try:
        context.remember(marks)
    except SynclineError as error:
        context.warn(f"committed, but the state could not be written: {error}")


def remember_idle(context: Context, landed: Sequence[Landed]) -> None:
    context.remember(
        {each.task.schema.name: settled(each, each.task.base.version, each.task.base.run_id) for each in landed}
    )


def settled(landed: Landed, version: int, run_id: str) -> Remembered:
    task = landed.task
    return Remembered(
        watermark=None if task.schema.cursor is None else task.horizon,
        version=version,
        run_id=run_id,
        columns=task.columns_covered,
        known=landed.known,
        checkpoint=None,
        full_at=task.horizon if task.whole else task.base.full_at,
        definition=task.definition,
    )


def reload(
    pipeline: Pipeline,
    *,
    streams: Sequence[str],
    events: Events,
    allow_deletes: bool = False,
    leased: bool = False,
    stop: StopSignal | None = None,
    seams: Seams | None = None,
) -> RunReport:
    """Reads the streams whole and replaces what their targets hold, in one transaction.

    Increments may go on meanwhile: the reload keeps its state under a name of its own and takes the pipeline's lease
    only to commit; ``leased`` says that the caller holds it. It moves the watermark to the horizon it read up to, even
    backwards, so that the next increment reads again whatever happened while it was reading.
    """
    chosen = pipeline.select(streams)
    context = Context(
        pipeline,
        new_report(pipeline, "reload", seams),
        events,
        stop or StopSignal(),
        allow_deletes,
        seams or Seams(),
        scope=f"{pipeline.name}.reload",
    )
    with recorded(context):
        horizon = context.connector.horizon()
        schemas = describe(context, chosen)
        unfinished = unfinished_run(context, chosen)
        if unfinished is not None:
            context.report.resumed.append(unfinished.run_id)
        run_id = unfinished.run_id if unfinished else context.report.run_id
        started_at = unfinished.started_at if unfinished else context.report.started_at
        high = unfinished.horizon if unfinished else horizon
        mirror = context.state.recall(context.scope)
        bases = {stream.name: replace(NEVER, checkpoint=checkpoint_of(mirror, stream)) for stream in chosen}
        tasks = [make_reload(stream, schemas[stream.name], bases[stream.name], high) for stream in chosen]
        if unfinished is not None and is_taken(context, tasks, run_id):
            run_id, started_at = fresh_id(context)
        require_fit(context.pipeline, tasks)
        landed = extract_all(context, tasks, run_id, started_at)
        with nullcontext() if leased else main_lease(context):
            commit_reload(context, landed, run_id, started_at)
    return context.report


def checkpoint_of(mirror: Mapping[str, Remembered], stream: Stream) -> Mapping[str, Json] | None:
    return mirror[stream.name].checkpoint if stream.name in mirror else None


def commit_reload(context: Context, landed: Sequence[Landed], run_id: str, started_at: datetime) -> None:
    truth = context.warehouse.watermarks(context.pipeline.name)
    versions = {each.task.schema.name: version_of(truth, each.task.schema.name) for each in landed}
    if not committed_before(truth, landed):
        try:
            load_and_commit(context, landed, versions, run_id, started_at)
        except (DataError, MassDelete):
            forget(context, landed)
            raise
        versions = {name: version + 1 for name, version in versions.items()}
        context.report.commits += 1
    remember_reload(context, landed, versions, run_id)
    context.remember({each.task.schema.name: replace(NEVER, checkpoint=None) for each in landed})


def remember_reload(context: Context, landed: Sequence[Landed], versions: Mapping[str, int], run_id: str) -> None:
    """In the increments' mirror. What one of them left unfinished stays noted there: the next one removes it."""
    reload_scope, context.scope = context.scope, context.pipeline.name
    try:
        mirror = context.state.recall(context.scope)
        marks = {}
        for each in landed:
            name = each.task.schema.name
            left = mirror[name].checkpoint if name in mirror else None
            marks[name] = replace(settled(each, versions[name], run_id), checkpoint=left)
        context.remember(marks)
    except SynclineError as error:
        context.warn(f"committed, but the state could not be written: {error}")
    finally:
        context.scope = reload_scope


@contextmanager
def main_lease(context: Context) -> Iterator[None]:
    """The pipeline's own lease, waited for: an increment may be running."""
    for attempt in range(LEASE_TRIES):
        try:
            with context.state.lease(context.pipeline.name, LEASE_TTL_S):
                yield
                return
        except LeaseHeld:
            if attempt + 1 == LEASE_TRIES:
                raise
            context.stop.check()
            context.seams.sleep(LEASE_PAUSE_S)
