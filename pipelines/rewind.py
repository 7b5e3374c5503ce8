"""Putting a pipeline's tables back to what they were after a run: ``syncline rewind``.

::

    landing ──▶ replayed up to the run, into a DuckDB file of its own ──▶ landed as snapshots, sealed
                                                                      └─▶ one transaction: rows and watermarks go back

The rows come from the landing alone, so the landing must still hold what that state was made from; if it does not,
nothing is touched. Rows and watermarks go back together (ONE-TRANSACTION, ROWS-THEN-MARK): the next run reads
everything from there on again. What was sealed after the run stays in the landing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from syncline.connectors.connector import BATCH_ROWS_MAX, Batch, StreamSchema, Window
from syncline.pipelines.context import Context, Seams
from syncline.pipelines.keyed import Gathered
from syncline.pipelines.lifecycle import new_report, recorded
from syncline.pipelines.loading import carry_out, unit_of
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.replay import UNKNOWN, Score, compose, is_whole, plan_of, play_into
from syncline.pipelines.report import RunReport
from syncline.pipelines.scratch import remove_left, scratch
from syncline.pipelines.task import NEVER
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.manifest import Manifest
from syncline.sinks.warehouse import DELETED_AT_COLUMN, Mark, Watermark

if TYPE_CHECKING:
    from syncline.pipelines.events import Events
    from syncline.pipelines.stop import StopSignal

FAR = datetime(9000, 1, 1, tzinfo=UTC)
"""A snapshot's horizon beyond every cursor."""


def rewind(
    pipeline: Pipeline,
    *,
    to: str,
    allow_deletes: bool = False,
    events: Events,
    stop: StopSignal,
    seams: Seams,
) -> RunReport:
    """Puts every stream that was read by then back to what it was when the run ``to`` had committed.

    Raises:
        ConfigError: no such run committed, or the landing lacks what that state was made from.
        MassDelete: GUARDED-DELETE, unless ``allow_deletes``; nothing was written.
        LeaseHeld: a run is under way.
        FenceLost: another run committed meanwhile; nothing was written.
    """
    context = Context(pipeline, new_report(pipeline, "rewind", seams), events, stop, allow_deletes, seams=seams)
    with recorded(context), scratch("rewind", pipeline) as folder:
        remove_left("rewind", pipeline, but=folder)
        score, whole = compose(pipeline, to, all_sealed=False), compose_whole(pipeline)
        file = folder / "then.duckdb"
        then = DuckDB(file)
        try:
            play_into(pipeline, then, score, events=events, stop=stop, seams=seams)
            marks = then.watermarks(pipeline.name)
        finally:
            then.close()
        truth = context.warehouse.watermarks(pipeline.name)
        context.warehouse.close()
        manifests = {}
        for stream in pipeline.streams:
            if stream.name in marks:
                last = last_read(score, stream.name)
                manifests[stream.name] = land(context, file, stream, last, marks[stream.name], to)
            elif stream.name in truth:
                context.warn("it was first read after that run, and is left as it is", stream.name)
        moved = {
            name: back(context, marks[name], truth[name], last_whole(score, name) == whole.get(name))
            for name in manifests
        }
        commit(context, manifests, moved)
    return context.report


def compose_whole(pipeline: Pipeline) -> Mapping[str, str | None]:
    """Each stream's last read of everything up to now."""
    score = compose(pipeline, None, all_sealed=False)
    return {stream.name: last_whole(score, stream.name) for stream in pipeline.streams}


def last_whole(score: Score, stream: str) -> str | None:
    found = [step.manifests[stream] for step in score.steps if stream in step.manifests]
    return next((each.run_id for each in reversed(found) if is_whole(each)), None)


def last_read(score: Score, stream: str) -> Manifest:
    """The last manifest that is no repair: it has the key and the cursor."""
    found = [step.manifests[stream] for step in score.steps if stream in step.manifests]
    return next(each for each in reversed(found) if each.api != "keys")


# --- landing ----------------------------------------------------------------------------------------------------------


def land(context: Context, file: Path, stream: Stream, last: Manifest, mark: Watermark, to: str) -> Manifest:
    """The table of that time as a sealed snapshot of this run; what was marked as deleted is a deletion."""
    schema = StreamSchema(stream.name, last.columns, last.key, last.cursor)
    gathered = Gathered(context, schema, context.report.run_id, context.report.started_at)
    gathered.add("rewind", "records", rows_of(file, stream.target, schema.columns))
    manifest = replace(
        gathered.manifest("snapshot", FAR, f"as of run {to}"),
        window=Window(None, FAR),
        api="rewind",
        cursor_largest=mark.watermark,
    )
    context.landing.seal(manifest)
    report = context.report.stream(stream.name)
    report.mode, report.api = "snapshot", "rewind"
    report.read = report.landed = manifest.rows
    context.emit("stream_landed", stream=stream.name, rows=manifest.rows, read=manifest.rows, known=0)
    return manifest


def rows_of(file: Path, target: str, columns: pa.Schema) -> Iterator[Batch]:
    """The rows of the replayed table, in the landed types and bounded batches."""
    import duckdb
    from sqlglot import exp

    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        table = exp.to_identifier(target, quoted=True).sql("duckdb")
        shown = [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
        reader = connection.sql(f"SELECT * FROM {table}").to_arrow_reader(BATCH_ROWS_MAX)
        for batch in reader:
            rows = pa.Table.from_batches([batch])
            deleted: Any = None
            if DELETED_AT_COLUMN in shown:
                deleted = rows[DELETED_AT_COLUMN].is_valid().combine_chunks()
            for part in rows.select(columns.names).cast(columns).combine_chunks().to_batches():
                yield Batch(part, deleted)


# --- committing -------------------------------------------------------------------------------------------------------


def back(context: Context, mark: Watermark, truth: Watermark, same_definition: bool) -> Mark:
    """The watermark of that time upon the version of now. Where everything was read again since then, it is not known
    what the rows were selected by, and the next run reads everything once more."""
    definition = truth.definition if same_definition else UNKNOWN
    return Mark(mark.stream, truth.version, mark.watermark, mark.columns, truth.target, definition)


def commit(context: Context, manifests: Mapping[str, Manifest], marks: Mapping[str, Mark]) -> None:
    """Rows and watermarks in one transaction. The mirror goes back before it: were it written afterwards and that
    failed, idle runs would go on from where it stood, and never read again what the warehouse no longer has."""
    guard = None if context.allow_deletes else context.pipeline.delete_share_max
    plans = {
        name: replace(plan_of(context, manifest), high=None, delete_share_max=guard, doubles=True)
        for name, manifest in manifests.items()
    }
    run_id = context.report.run_id
    context.remember(
        {
            name: replace(
                NEVER,
                watermark=mark.watermark,
                version=mark.version + 1,
                run_id=run_id,
                columns=mark.columns,
                definition=mark.definition,
            )
            for name, mark in marks.items()
        }
    )
    unit = unit_of(
        context, run_id, context.report.started_at, plans, [marks[name] for name in sorted(marks)], manifests
    )
    carry_out(context, unit, manifests)
    context.report.commits += 1
