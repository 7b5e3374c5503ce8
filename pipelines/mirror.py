"""What a run takes the mirror's word for, and where it asks the warehouse instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from syncline.connectors.connector import Json
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.task import NEVER, same_commit
from syncline.sinks.warehouse import Watermark
from syncline.state.store import Remembered

NO_VERSION = -1
"""Of no commit, ever: what was landed for it is not gone on with."""


def recall(
    pipeline: Pipeline, scope: str, streams: Sequence[Stream], warn: Callable[[str], None] = lambda text: None
) -> dict[str, Remembered]:
    """The mirror of the streams, kept under ``scope``. The warehouse is asked, and closed again, if the mirror knows
    nothing of one of them, or tells of a warehouse in another place: that one's watermarks say nothing about this one
    (ROWS-THEN-MARK). The mirror of this very place is believed unasked (IDLE-IS-FREE)."""
    mirror, place = pipeline.state.recall(scope), pipeline.warehouse.place
    if all(stream.name in mirror and mirror[stream.name].place == place for stream in streams):
        return {stream.name: mirror[stream.name] for stream in streams}
    truth = pipeline.warehouse.watermarks(pipeline.name)
    pipeline.warehouse.close()  # a long extraction follows; an embedded warehouse must not stay locked through it
    marks = {stream.name: believed(mirror.get(stream.name), truth.get(stream.name), place) for stream in streams}
    if any(name in mirror and mark is not mirror[name] for name, mark in marks.items()):
        warn("the warehouse is not the one that was remembered: planned from its own watermarks")
    return marks


def believed(mark: Remembered | None, found: Watermark | None, place: str) -> Remembered:
    """What the mirror says where it tells of this place, or of a copy that was moved here; what was found otherwise.

    A checkpoint stays, for what it names must be removed; but its rows are those that another warehouse lacked.
    """
    if mark is None:
        return from_truth(found)
    if mark.place == place or tells_of(mark, found):
        return mark
    return replace(from_truth(found), checkpoint=_unfit(mark.checkpoint))


def tells_of(mark: Remembered, found: Watermark | None) -> bool:
    return not mark.version if found is None else same_commit(found, mark)


def from_truth(found: Watermark | None) -> Remembered:
    if found is None:
        return NEVER
    return Remembered(found.watermark, found.version, found.run_id, found.columns, definition=found.definition)


def _unfit(checkpoint: Mapping[str, Json] | None) -> Mapping[str, Json] | None:
    return None if checkpoint is None else {**checkpoint, "version": NO_VERSION}
