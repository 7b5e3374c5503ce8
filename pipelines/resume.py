"""What a stream's reading begins with: the checkpoint of a run that did not end, or a new one (VALUE-RESUME)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncline.pipelines.checkpoint import Checkpoint
from syncline.pipelines.context import Context
from syncline.pipelines.task import Task, still_valid
from syncline.sinks.manifest import FileEntry


def resume_or_begin(context: Context, task: Task, run_id: str, started_at: datetime) -> Checkpoint:
    """The earlier run's checkpoint if its window is still this one's; its leavings are removed otherwise."""
    fresh = Checkpoint(
        run_id,
        started_at,
        task.window,
        task.horizon,
        task.mode,
        task.base.version,
        tuple(task.schema.columns.names),
        task.definition,
    )
    if task.base.checkpoint is None:
        return fresh
    earlier = Checkpoint.from_json(task.base.checkpoint)
    if earlier.run_id == run_id and still_valid(earlier, task):
        drop_lost(context, task.schema.name, earlier)
        return earlier
    discard_unsealed(context, task.schema.name, earlier)
    # The connector removes the old job, or goes on with it if it is the same query, which knows of no later rows.
    fresh.token = earlier.token
    if asked(earlier) == asked(fresh):
        fresh.announced = earlier.announced
    return fresh


def asked(checkpoint: Checkpoint) -> tuple[object, ...]:
    """The question that a reading answers."""
    return checkpoint.window, checkpoint.mode, checkpoint.columns, checkpoint.definition


def drop_lost(context: Context, stream: str, checkpoint: Checkpoint) -> None:
    """Forgets slices whose files are not in the landing any more, so that they are read again."""
    lost = set() if checkpoint.sealed else {entry.path for entry in context.landing.lost(checkpoint.files())}
    if not lost:
        return
    context.warn(f"{len(lost)} files of an unfinished run are gone from the landing: read again", stream)
    kept = {name for name, each in checkpoint.slices.items() if lost.isdisjoint(entry.path for entry in each.files)}
    discard_unless_sealed(context, stream, checkpoint.run_id, checkpoint.drop_all_but(kept))


def discard_unsealed(context: Context, stream: str, checkpoint: Checkpoint) -> None:
    """Removes the files that a checkpoint names, if no manifest stands."""
    if not checkpoint.sealed:
        discard_unless_sealed(context, stream, checkpoint.run_id, checkpoint.files())


def discard_unless_sealed(context: Context, stream: str, run_id: str, entries: Sequence[FileEntry]) -> None:
    """Removes files of a run, unless it has a manifest, which may name them: whoever sealed it may have died, or lost
    the reply, before the checkpoint said so (SEALED-MANIFEST)."""
    if entries and context.landing.find(context.pipeline.name, stream, run_id) is None:
        context.landing.discard(entries)


def is_taken(context: Context, tasks: Sequence[Task], run_id: str) -> bool:
    """Whether the run sealed a manifest of some stream that it cannot go on with, so that another would clash with it:
    the source's columns or the stream's definition changed since, or the state lost what it knew (SEALED-MANIFEST)."""

    def goes_on(task: Task) -> bool:
        left = task.base.checkpoint
        return left is not None and left["run_id"] == run_id and still_valid(Checkpoint.from_json(left), task)

    names = [task.schema.name for task in tasks if not goes_on(task)]
    return any(context.landing.find(context.pipeline.name, name, run_id) is not None for name in names)


def remove_job(context: Context, task: Task, checkpoint: Checkpoint) -> None:
    """The run that sealed the manifest died before it could close its job, so this one does; nothing is read again."""
    context.connector.plan(task.schema, task.window).close("landed", checkpoint.token)
