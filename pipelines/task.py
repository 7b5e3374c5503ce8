"""What one stream has to do in one round: pure functions from what is remembered to a window (COMPLETE-WINDOW)."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyarrow as pa

from syncline.connectors.connector import StreamSchema, Window
from syncline.connectors.errors import ConfigError
from syncline.pipelines.checkpoint import Checkpoint
from syncline.pipelines.pipeline import Stream
from syncline.sinks.manifest import Mode
from syncline.sinks.warehouse import Watermark
from syncline.state.store import Remembered

NEVER = Remembered(watermark=None, version=0, run_id="")

SNAPSHOT_AHEAD = timedelta(days=30)
"""How far beyond its horizon a snapshot reads: longer than any reading lasts. A snapshot says what is gone by what it
lacks, so it must hold the records that are edited while it is read, whose stamps leave the range below the horizon."""


@dataclass(frozen=True, slots=True)
class Task:
    """One stream in one round. ``base`` is what its window starts from; ``notes`` go into the report.

    ``horizon`` is the watermark once the round has committed: the window's ``high``, but for a snapshot, which reads on
    beyond it (``SNAPSHOT_AHEAD``). Whatever lies there is read again by the next run.
    ``known_low`` bounds the rows whose digests the next run may need: those within one overlap of ``horizon``;
    ``None`` for a stream without a cursor, whose next run reads everything again.
    """

    stream: Stream
    schema: StreamSchema
    window: Window
    horizon: datetime
    mode: Mode
    base: Remembered
    definition: str
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return self.window.low is None

    @property
    def covered(self) -> Window:
        """What the round vouches for, as reports show it."""
        return Window(self.window.low, self.horizon)

    @property
    def known_low(self) -> datetime | None:
        return None if self.schema.cursor is None else self.horizon - self.stream.overlap_duration

    @property
    def columns_covered(self) -> tuple[str, ...]:
        """A column that went away is covered no longer: rows change without it until it comes back."""
        names = self.schema.columns.names
        return tuple(names) if self.whole else tuple(name for name in self.base.columns if name in names)


def make_task(stream: Stream, schema: StreamSchema, base: Remembered, high: datetime) -> Task | None:
    """The stream's window up to ``high``; ``None`` when it has been read that far already."""
    definition = fingerprint(schema, stream)
    if (reached := base.watermark or base.full_at) is not None and high <= reached:
        return None
    if base.definition and base.definition != definition:
        note = "the filter, key, cursor, target or on_delete was changed: the whole stream is read again"
        return Task(stream, schema, all_of(schema, high), high, "snapshot", base, definition, (note,))
    if schema.cursor is None:
        return Task(stream, schema, all_of(schema, high), high, "snapshot", base, definition)
    if base.watermark is None:
        return Task(stream, schema, Window(None, high), high, "changes", base, definition)
    added = [name for name in schema.columns.names if name not in base.columns]
    if added:
        note = f"new columns {', '.join(added)}: the whole stream is read again to fill them"
        # A window from the beginning has no log of deletions: what was purged since the watermark is told by absence.
        return Task(stream, schema, all_of(schema, high), high, "snapshot", base, definition, (note,))
    if stream.full_every_duration is not None and due(base.full_at, high, stream.full_every_duration):
        note = f"full_every={stream.full_every}: the whole stream is read again"
        return Task(stream, schema, all_of(schema, high), high, "snapshot", base, definition, (note,))
    window = Window(base.watermark - stream.overlap_duration, high)
    return Task(stream, schema, window, high, "changes", base, definition)


def make_reload(stream: Stream, schema: StreamSchema, base: Remembered, high: datetime) -> Task:
    """A whole read that replaces what the target holds."""
    return Task(stream, schema, all_of(schema, high), high, "snapshot", base, fingerprint(schema, stream))


def same_commit(truth: Watermark, mark: Remembered) -> bool:
    """Whether the mirror tells of the commit that the warehouse tells of.

    A version alone does not say so: another warehouse, or one that was put back and went on, may have come as far.
    """
    return (truth.version, truth.run_id) == (mark.version, mark.run_id)


def all_of(schema: StreamSchema, horizon: datetime) -> Window:
    """What a snapshot reads: every record there is, edited since the horizon or not."""
    return Window(None, horizon if schema.cursor is None else horizon + SNAPSHOT_AHEAD)


def scope_of(pipeline: str) -> str:
    """The name that proofs keep their state under: the source's jobs, and when a stream was last proved."""
    return f"{pipeline}.verify"


def due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    return last is None or now - last >= every


def fingerprint(schema: StreamSchema, stream: Stream) -> str:
    """Changes when the same cursor range would mean other rows, the same key another record, another table, or when
    rows that were deleted before would stand there otherwise."""
    text = repr((schema.where, schema.key, schema.cursor, stream.target, stream.on_delete))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def still_valid(checkpoint: Checkpoint, task: Task) -> bool:
    """Whether what an earlier run landed is what this task would read."""
    return (
        checkpoint.version == task.base.version
        and checkpoint.window == task.window
        and checkpoint.mode == task.mode
        and checkpoint.columns == tuple(task.schema.columns.names)
        and checkpoint.definition == task.definition
    )


def narrow(schema: StreamSchema, stream: Stream) -> StreamSchema:
    """The source's description, narrowed to what the user asked for.

    Raises:
        ConfigError: a field, key or cursor that the stream does not have, with the nearest names.
    """
    names = schema.columns.names
    key = tuple(stream.key) if stream.key is not None else schema.key
    cursor = stream.cursor if stream.cursor is not None else schema.cursor
    for setting, wanted in (("fields", stream.fields or ()), ("exclude", stream.exclude), ("key", key)):
        require_known(schema, stream.name, setting, wanted)
    if cursor is not None:
        require_known(schema, stream.name, "cursor", [cursor])
        if not pa.types.is_timestamp(schema.columns.field(cursor).type) or (
            schema.cursors and cursor not in schema.cursors
        ):
            raise ConfigError(
                "read the pipeline",
                f"stream {stream.name}, cursor={cursor!r}",
                "the source cannot select by this column in time order",
                f"use one of: {', '.join(schema.cursors) or 'none is suitable'}",
            )
    needed = {*key, *([cursor] if cursor else [])}
    if lost := sorted(needed & set(stream.exclude)):
        raise ConfigError(
            "read the pipeline",
            f"stream {stream.name}, exclude",
            f"{', '.join(lost)} is the key or the cursor",
            "leave key and cursor in",
        )
    chosen = [n for n in names if (not stream.fields or n in stream.fields or n in needed) and n not in stream.exclude]
    return replace(schema.select(chosen), key=key, cursor=cursor, where=stream.where)


def require_known(schema: StreamSchema, stream: str, setting: str, wanted: Sequence[str]) -> None:
    for name in wanted:
        if name in schema.columns.names:
            continue
        if name in schema.left_out:
            raise ConfigError(
                "read the pipeline",
                f"stream {stream}, {setting}",
                f"{name} is not read: {schema.left_out[name]}",
                "take it out of the setting",
            )
        near = difflib.get_close_matches(name, schema.columns.names, 3, 0.6)
        raise ConfigError(
            "read the pipeline",
            f"stream {stream}, {setting}",
            f"the source has no column {name!r}, or hides it from this user",
            f"did you mean {', '.join(near)}?" if near else "compare with `syncline plan`, which lists every column",
        )
