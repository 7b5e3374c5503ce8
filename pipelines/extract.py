"""From the source to a sealed manifest: slices read in parallel under one bound on memory (BOUNDED).

Two pools: one thread a stream that plans, waits for jobs and hands out slices; and ``pipeline.workers`` threads shared
by all streams that read them, or wait for the workers that do (``executor``). Memory is bounded by the workers times
one batch, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future
from datetime import datetime

from syncline.connectors.connector import LooksAhead
from syncline.connectors.errors import Stopped
from syncline.pipelines.checkpoint import Checkpoint
from syncline.pipelines.context import Context
from syncline.pipelines.executor import Readers, readers_of
from syncline.pipelines.reading import Landed, Reading, known_of
from syncline.pipelines.resume import remove_job, resume_or_begin
from syncline.pipelines.task import Task

STREAMS_AT_ONCE = 4


def extract_all(
    context: Context,
    tasks: Sequence[Task],
    run_id: str,
    started_at: datetime,
    take: Callable[[Landed], None] = lambda landed: None,
) -> list[Landed]:
    """Lands every task, all or none: the first failure stops the others and is the one that is raised.

    ``take`` is handed each stream once it has landed, by the calling thread, while others are being read.
    """
    context.failed.clear()
    with (
        readers_of(context) as readers,
        context.seams.pool(context.pipeline.workers, "syncline-slice") as slices,
        context.seams.pool(STREAMS_AT_ONCE, "syncline-stream") as streams,
        context.stop.waking(context.connector.close),
        context.stop.waking(readers.abort),
    ):
        if isinstance(context.connector, LooksAhead):
            context.connector.look([(task.schema, task.window) for task in tasks])
        futures = [streams.submit(extract_one, context, task, run_id, started_at, slices, readers) for task in tasks]
        try:
            unfinished = hand_over(context, futures, take)
        except BaseException:
            break_off(context, readers)
            raise
        if unfinished:
            break_off(context, readers)
        context.seams.wait(futures)
    context.stop.check()
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        raise next((error for error in errors if not isinstance(error, Stopped)), errors[0])
    return [future.result() for future in futures]


def break_off(context: Context, readers: Readers) -> None:
    """Ends the reading of every stream, also what waits for an answer."""
    context.failed.set()
    context.connector.close()
    readers.abort()


def hand_over(
    context: Context, futures: Sequence[Future[Landed]], take: Callable[[Landed], None]
) -> set[Future[Landed]]:
    """Gives ``take`` each stream as it lands, until all have, or one failed; returns those that are unfinished then."""
    unfinished = set(futures)
    while unfinished:
        done, unfinished = context.seams.wait(unfinished, return_when=FIRST_COMPLETED)
        if any(future.exception() is not None for future in done):
            break
        for future in done:
            take(future.result())
    return unfinished


def extract_one(
    context: Context, task: Task, run_id: str, started_at: datetime, slices: Executor, readers: Readers
) -> Landed:
    checkpoint = resume_or_begin(context, task, run_id, started_at)
    try:
        if task.base.checkpoint is not None and (landed := sealed_before(context, task, checkpoint)) is not None:
            return landed
        return Reading(context, task, checkpoint, slices, readers).run()
    except BaseException:
        context.failed.set()
        raise


def sealed_before(context: Context, task: Task, checkpoint: Checkpoint) -> Landed | None:
    """The manifest an earlier run sealed and never committed; ``None`` if there is none in the landing.

    The landing is asked, not the checkpoint: the earlier run may have died between sealing and writing that down.
    """
    name = task.schema.name
    manifest = context.landing.find(context.pipeline.name, name, checkpoint.run_id)
    if manifest is None:
        if checkpoint.sealed:
            context.warn("the sealed manifest of an unfinished run is gone from the landing: reading again", name)
            checkpoint.sealed, checkpoint.slices = False, {}
        return None
    if checkpoint.token is not None:
        remove_job(context, task, checkpoint)
    report = context.report.stream(name)
    report.window, report.mode, report.api = task.covered, task.mode, manifest.api
    context.emit("stream_resumed", stream=name, rows=manifest.rows, from_run=checkpoint.run_id)
    return Landed(task, manifest, known_of(context, checkpoint), checkpoint)
