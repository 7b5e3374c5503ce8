"""Mending a stream by a whole read, where its differences are too many, or have no key, to be asked for one by one.

Unlike ``syncline reload`` no increment may commit meanwhile: the pipeline's lease is held, and the versions are read
before the source is asked, so that the fence lets the snapshot pass only over what it is newer than (FENCED-COMMIT).
Therefore the snapshot is right whatever the target's own stamps say (NEWEST-WINS): a row that was stamped into the
future by hand is mended or removed as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from syncline.connectors.errors import DataError, FenceLost, MassDelete
from syncline.pipelines.checkpoint import Checkpoint
from syncline.pipelines.context import Context
from syncline.pipelines.extract import extract_all
from syncline.pipelines.loading import load_and_commit
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.reading import Landed
from syncline.pipelines.resume import is_taken
from syncline.pipelines.runner import (
    REPLANS_MAX,
    checkpoint_of,
    describe,
    forget,
    fresh_id,
    remember_reload,
    unfinished_run,
    version_of,
)
from syncline.pipelines.task import NEVER, make_reload, same_commit
from syncline.sinks.warehouse import Watermark


def mend_whole(context: Context, streams: Sequence[Stream]) -> str:
    """Reads the streams whole and replaces what their targets hold, in one transaction (ONE-TRANSACTION); the id of the
    run whose transaction stands. The watermark moves to the horizon it read up to.

    Raises:
        MassDelete: GUARDED-DELETE; nothing was written.
        FenceLost: other runs committed each time.
    """
    run_id, started_at = context.report.run_id, context.report.started_at
    for attempt in range(REPLANS_MAX):
        try:
            return _attempt(context, streams, run_id, started_at)
        except FenceLost:
            if attempt + 1 == REPLANS_MAX:
                raise
            context.warn("another run committed while the streams were read whole: read again")
            run_id, started_at = fresh_id(context)
    raise AssertionError("unreachable")


def _attempt(context: Context, streams: Sequence[Stream], run_id: str, started_at: datetime) -> str:
    truth = context.warehouse.watermarks(context.pipeline.name)  # before the source is asked: see above
    context.warehouse.close()
    landed = _read(context, streams, truth, run_id, started_at)
    checkpoint = landed[0].checkpoint  # perhaps of a repair that was killed
    versions = {stream.name: version_of(truth, stream.name) for stream in streams}
    try:
        load_and_commit(context, landed, versions, checkpoint.run_id, checkpoint.started_at)
    except (DataError, FenceLost, MassDelete):
        forget(context, landed)
        raise
    context.report.commits += 1
    remember_reload(context, landed, {name: version + 1 for name, version in versions.items()}, checkpoint.run_id)
    context.remember({stream.name: replace(NEVER, checkpoint=None) for stream in streams})
    return checkpoint.run_id


def _read(
    context: Context, streams: Sequence[Stream], truth: Mapping[str, Watermark], run_id: str, started_at: datetime
) -> list[Landed]:
    """Everything there is, landed and sealed; what a repair that was killed had read is gone on with, unless something
    was committed since that one began."""
    horizon, schemas = context.connector.horizon(), describe(context, streams)
    left = _left(context, streams, truth)
    if left is not None:
        run_id, started_at, horizon = left.run_id, left.started_at, left.horizon
    mirror = context.state.recall(context.scope)
    tasks = []
    for stream in streams:
        mark, checkpoint = truth[stream.name], checkpoint_of(mirror, stream)
        base = replace(NEVER, version=mark.version, run_id=mark.run_id, checkpoint=checkpoint)
        tasks.append(make_reload(stream, schemas[stream.name], base, horizon))
    if left is not None and is_taken(context, tasks, run_id):
        run_id, started_at = fresh_id(context)
    elif left is not None:
        context.report.resumed.append(run_id)
    return extract_all(context, tasks, run_id, started_at)


def _left(context: Context, streams: Sequence[Stream], truth: Mapping[str, Watermark]) -> Checkpoint | None:
    mirror = context.state.recall(context.scope)
    begun = [stream.name for stream in streams if checkpoint_of(mirror, stream) is not None]
    if not all(same_commit(truth[name], mirror[name]) for name in begun):
        return None
    return unfinished_run(context, streams)
