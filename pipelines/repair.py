"""Mending what a proof found: exactly the differing keys are read anew and committed under the laws of every run.

A stream that cannot be asked key by key is read whole instead (``repair_whole``), in the same order of steps.

The order of steps is what makes it safe. The watermarks' versions are read first, the source is asked afterwards, and
the fence lets the commit pass only while those versions stand (FENCED-COMMIT). So nothing in the target is newer than
what the source was asked after it, and the source's word is right whatever the cursors say (NEWEST-WINS): a target row
whose own cursor was damaged is mended as well. The watermark stays where it is; its version moves on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace

import pyarrow as pa

from syncline.connectors.connector import StreamSchema
from syncline.connectors.errors import FenceLost
from syncline.pipelines.context import Context, Seams
from syncline.pipelines.events import Events
from syncline.pipelines.keyed import Gathered, gather_keys, keys_table, uncursored
from syncline.pipelines.lifecycle import new_report, recorded
from syncline.pipelines.loading import carry_out, table_plan, unit_of
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.proving import StreamProof
from syncline.pipelines.repair_whole import mend_whole
from syncline.pipelines.runner import REPLANS_MAX, describe, main_lease
from syncline.pipelines.stop import StopSignal
from syncline.pipelines.task import NEVER, make_reload, same_commit
from syncline.sinks.manifest import Manifest
from syncline.sinks.warehouse import Difference, Mark, TablePlan, Watermark
from syncline.state.run_id import new_run_id


def mend(
    pipeline: Pipeline,
    proofs: Sequence[StreamProof],
    *,
    allow_deletes: bool,
    leased: bool,
    events: Events,
    stop: StopSignal,
    seams: Seams,
) -> tuple[str, ...]:
    """Mends every stream that differs; the ids of the runs that did.

    A stream without a key, with rows whose key has no value, or with more differences than are named, is read whole;
    the others are mended together, in one transaction (ONE-TRANSACTION). Increments wait until it is done.

    Raises:
        MassDelete: GUARDED-DELETE, unless ``allow_deletes``; nothing was written.
        FenceLost: other runs committed each time.
        CountMismatch: a hop lost or gained rows; nothing was written.
    """
    by_key = {each.stream: each for each in proofs if not each.comparison.equal and each.is_askable}
    whole = [each.stream for each in proofs if not each.comparison.equal and each.stream not in by_key]
    ways: list[Callable[[Context], str]] = []
    if by_key:
        ways.append(lambda context: mend_keys(context, by_key))
    if whole:
        ways.append(lambda context: mend_whole(context, pipeline.select(whole)))
    runs = []
    for way in ways:
        report = new_report(pipeline, "repair", seams)
        context = Context(pipeline, report, events, stop, allow_deletes, seams, scope=f"{pipeline.name}.repair")
        with recorded(context), nullcontext() if leased else main_lease(context):
            runs.append(way(context))
    return tuple(runs)


def mend_keys(context: Context, proofs: Mapping[str, StreamProof]) -> str:
    """Reads the keys and commits them; the id of the run whose transaction stands."""
    run_id = context.report.run_id
    for attempt in range(REPLANS_MAX):
        try:
            _attempt(context, proofs, run_id)
        except FenceLost:
            if attempt + 1 == REPLANS_MAX:
                raise
            context.warn("another run committed while the differing keys were read: read again")
            run_id = new_run_id(context.seams.clock(), context.seams.random)
            continue
        break
    return run_id


def _attempt(context: Context, proofs: Mapping[str, StreamProof], run_id: str) -> None:
    truth = context.warehouse.watermarks(context.pipeline.name)  # before the source is asked: see above
    context.warehouse.close()
    horizon = context.connector.horizon()
    streams = [each for each in context.pipeline.streams if each.name in proofs]
    schemas = describe(context, streams)
    manifests: dict[str, Manifest] = {}
    plans: dict[str, TablePlan] = {}
    for stream in streams:
        schema = uncursored(_filled(schemas[stream.name], truth[stream.name]))
        gathered = Gathered(context, schema, run_id, context.report.started_at)
        examples = proofs[stream.name].comparison.examples
        spared = gather_keys(
            gathered, keys_table(schema, (e.key for e in examples)), horizon, twice(stream, schema, examples)
        )
        warn_of_spared(context, stream, spared)
        manifest = gathered.manifest("changes", horizon, f"{len(examples)} keys")
        context.landing.seal(manifest)
        task = make_reload(stream, schema, NEVER, horizon)
        plans[stream.name] = replace(table_plan(context, task, run_id), mode="changes", must_exist=True)
        manifests[stream.name] = manifest
        note(context, stream, manifest)
    marks = [unmoved(truth[name]) for name in sorted(plans)]
    unit = unit_of(context, run_id, context.report.started_at, plans, marks, manifests)
    carry_out(context, unit, manifests)
    context.report.commits += 1
    _remember(context, truth, run_id, sorted(plans))


def twice(stream: Stream, schema: StreamSchema, examples: Sequence[Difference]) -> pa.Table:
    """The keys whose rows in the target are more than one, where a row that left the source stays and is marked."""
    if stream.on_delete != "mark":
        return keys_table(schema, ())
    counts = Counter(each.key for each in examples)
    return keys_table(schema, (each.key for each in examples if each.twice or counts[each.key] > 1))


def warn_of_spared(context: Context, stream: Stream, spared: pa.Table) -> None:
    """Of rows that are gone at the source, nobody but the user can say which one of a key is to be kept."""
    if len(spared):
        first = ", ".join(map(str, min((tuple(row.values()) for row in spared.to_pylist()), key=repr)))
        text = f"{len(spared)} keys that left the source stand in {stream.target} more than once ({first} first)"
        context.warn(f"{text}: delete all rows but one of each, then verify again", stream.name)


def note(context: Context, stream: Stream, manifest: Manifest) -> None:
    report = context.report.stream(stream.name)
    report.mode, report.api, report.window = "keys", manifest.api, manifest.window
    report.read += manifest.rows
    report.landed += manifest.rows
    report.size_bytes += sum(entry.size_bytes for entry in manifest.files)
    context.emit("stream_landed", stream=stream.name, rows=manifest.rows, read=manifest.rows, known=0)


def _filled(schema: StreamSchema, truth: Watermark) -> StreamSchema:
    """Without columns that the copy does not cover: some rows alone must not seem to fill them."""
    if not truth.columns:
        return schema
    kept = {*truth.columns, *schema.key, *([schema.cursor] if schema.cursor else [])}
    return schema.select([name for name in schema.columns.names if name in kept])


def unmoved(truth: Watermark) -> Mark:
    """ROWS-THEN-MARK: what the watermark covers is as it was; only its version tells other runs that rows changed."""
    return Mark(truth.stream, truth.version, truth.watermark, truth.columns, truth.target, truth.definition)


def _remember(context: Context, truth: Mapping[str, Watermark], run_id: str, names: Sequence[str]) -> None:
    """The mirror follows, without its digests: what they say is committed may not be what the target held."""
    mirror = context.state.recall(context.pipeline.name)
    marks = {
        name: replace(mirror[name], version=truth[name].version + 1, run_id=run_id, known=None)
        for name in names
        if name in mirror and same_commit(truth[name], mirror[name])
    }
    context.state.remember(context.pipeline.name, marks)
