"""Proof: compares source and target, says what is missing, extra, stale or different, and mends exactly that.

Nothing is written but a landing set aside (``aside``) and staging tables that are dropped; with ``repair`` what differs
is read anew and committed under the same laws as a run. See ``proving`` for how the comparison goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from syncline.connectors.connector import StreamSchema
from syncline.connectors.errors import ConfigError
from syncline.pipelines.aside import cleared, landing_aside
from syncline.pipelines.context import Context, Seams
from syncline.pipelines.events import Events
from syncline.pipelines.extract import extract_all
from syncline.pipelines.keyed import narrowed
from syncline.pipelines.lifecycle import LEASE_TTL_S, heartbeat
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.proving import Level, Proving, StreamProof
from syncline.pipelines.repair import mend
from syncline.pipelines.report import RunReport
from syncline.pipelines.runner import describe
from syncline.pipelines.sampling import Sample
from syncline.pipelines.stop import StopSignal
from syncline.pipelines.task import NEVER, fingerprint, make_reload, scope_of
from syncline.sinks.manifest import text_of
from syncline.sinks.warehouse import DIFFERENCES_MAX, Comparer, Difference, Kind, Watermark
from syncline.state.run_id import new_run_id
from syncline.state.store import Remembered

__all__ = ["Level", "Sample", "StreamProof", "VerifyReport", "verify"]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """``equal`` only if every stream is, after the repair if there was one. ``repaired`` maps streams to rows mended
    by the run ``repair_run``."""

    run_id: str
    pipeline: str
    api_calls: int
    streams: tuple[StreamProof, ...]
    warnings: tuple[str, ...] = ()
    repaired: Mapping[str, int] = field(default_factory=dict)
    repair_runs: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        return all(each.comparison.equal for each in self.streams)

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "pipeline": self.pipeline,
            "equal": self.equal,
            "api_calls": self.api_calls,
            "streams": {each.stream: proof_json(each) for each in self.streams},
            "repaired": dict(self.repaired),
            "repair_runs": list(self.repair_runs),
            "warnings": list(self.warnings),
        }


def proof_json(proof: StreamProof) -> dict[str, Any]:
    """One stream's proof; of each kind of difference the first keys."""
    comparison = proof.comparison
    rows = comparison.rows_source
    counts = asdict(replace(comparison, examples=()))
    return {
        "equal": comparison.equal,
        "level": proof.level,
        "watermark": text_of(proof.watermark),
        **counts,
        "keys_share": 0.0 if proof.level == "counts" else 1.0,
        "rows_share": min(1.0, proof.rows_checked / rows) if rows else float(proof.level == "rows"),
        "rechecked": proof.rechecked,
        "examples": [example_json(each) for each in first_of_each(comparison.examples)],
        "buckets": [bucket.to_json() for bucket in proof.buckets],
    }


def first_of_each(examples: Sequence[Difference]) -> list[Difference]:
    counts: dict[Kind, int] = {}
    found = []
    for each in examples:
        counts[each.kind] = counts.get(each.kind, 0) + 1
        if counts[each.kind] <= DIFFERENCES_MAX:
            found.append(each)
    return found


def example_json(each: Difference) -> dict[str, Any]:
    return {"kind": each.kind, "key": list(each.key), "columns": list(each.columns), "at": text_of(each.at)}


def verify(
    pipeline: Pipeline,
    *,
    streams: Sequence[str] = (),
    level: Level = "rows",
    sample: Sample | None = None,
    repair: bool = False,
    allow_deletes: bool = False,
    leased: bool = False,
    events: Events,
    stop: StopSignal | None = None,
    seams: Seams | None = None,
) -> VerifyReport:
    """Compares the targets with the source and, if asked to, mends what differs.

    ``level="counts"`` counts by time and reads keys only where the counts differ; ``"keys"`` compares key and cursor of
    every row; ``"rows"`` every column, of a ``sample`` if one is given. ``leased`` says that the caller holds the
    pipeline's lease.

    Raises:
        ConfigError: the warehouse cannot compare, or a stream was never synced.
        LeaseHeld: another proof of the pipeline is under way. Runs may go on meanwhile.
        MassDelete: the repair would delete more than the pipeline allows; nothing was written.
    """
    seams, stop = seams or Seams(), stop or StopSignal()
    if not hasattr(pipeline.warehouse, "compare"):
        cause = f"{pipeline.warehouse.capabilities.name} cannot be compared"
        raise ConfigError("verify", pipeline.name, cause, "the warehouse has to implement sinks.warehouse.Comparer")
    calls_before = pipeline.source.api_calls
    with _looking(pipeline, streams, events, stop, seams) as context:
        context.emit("proof_started", level=level, streams=[each.name for each in context.pipeline.streams])
        proving = prepare(context, pipeline)
        proofs = prove_all(proving, level, sample)
        report = context.report
        mended: dict[str, int] = {}
        runs: tuple[str, ...] = ()
        if repair and not all(each.comparison.equal for each in proofs):
            runs = mend(pipeline, proofs, allow_deletes=allow_deletes, leased=leased, events=events, stop=stop,
                        seams=seams)  # fmt: skip
            mended = {each.stream: each.comparison.differences for each in proofs if not each.comparison.equal}
            proofs = prove_again(proving, proofs)
        calls = pipeline.source.api_calls - calls_before
        context.emit("proof_finished", equal=all(each.comparison.equal for each in proofs), api_calls=calls)
    warnings = [*report.warnings, *(text for each in report.streams.values() for text in each.warnings)]
    return VerifyReport(report.run_id, pipeline.name, calls, tuple(proofs), tuple(warnings), mended, runs)


@contextmanager
def _looking(
    pipeline: Pipeline, streams: Sequence[str], events: Events, stop: StopSignal, seams: Seams
) -> Iterator[Context]:
    """A context whose landing is set aside. Its state is the pipeline's, under a name of its own, so that a job that a
    killed proof left at the source is found and removed by the next one."""
    with landing_aside(pipeline) as landing:
        aside = Pipeline(
            pipeline.name,
            pipeline.source,
            pipeline.select(streams),
            landing=landing,
            warehouse=pipeline.warehouse,
            state=pipeline.state,
            workers=pipeline.workers,
        )
        started_at = seams.clock()
        report = RunReport(new_run_id(started_at, seams.random), pipeline.name, started_at, "verify")
        context = Context(aside, report, events, stop, seams=seams, scope=scope_of(pipeline.name))
        try:
            with (
                context.state.lease(context.scope, LEASE_TTL_S) as lease,
                heartbeat(context, lease),
                cleared(pipeline, landing),
            ):
                yield context
        finally:
            pipeline.warehouse.close()
            pipeline.source.close()


def prepare(context: Context, pipeline: Pipeline) -> Proving:
    """What is to be compared, narrowed to the columns that the copy covers."""
    streams = context.pipeline.streams
    mirror = context.state.recall(pipeline.name)
    proving = Proving(context, cast(Comparer, context.warehouse), mirror, {})
    proving.look_up_truth()
    for stream in streams:
        if stream.name not in proving.truth:
            hint = f"run `syncline run {pipeline.name}` first"
            raise ConfigError("verify", f"stream {stream.name}", "it was never synced", hint)
    described = describe(context, streams)
    for stream in streams:
        warn_of_definition(context, stream, described[stream.name], mirror.get(stream.name))
    proving.schemas = {name: covered(context, schema, proving.truth[name]) for name, schema in described.items()}
    return proving


def covered(context: Context, schema: StreamSchema, truth: Watermark) -> StreamSchema:
    """Without the columns that no run has filled yet: the next one reads the whole stream for them."""
    kept = {*schema.key, *([schema.cursor] if schema.cursor else [])}
    new = [name for name in schema.columns.names if name not in truth.columns and name not in kept]
    if not new or not truth.columns:
        return schema
    context.warn(f"not compared, for the next run fills them: {', '.join(new)}", schema.name)
    return schema.select([name for name in schema.columns.names if name not in new])


def warn_of_definition(context: Context, stream: Stream, schema: StreamSchema, mirror: Remembered | None) -> None:
    if mirror is not None and mirror.definition and mirror.definition != fingerprint(schema, stream):
        context.warn("its definition was changed since the last run, which differs from it therefore", stream.name)


def prove_all(proving: Proving, level: Level, sample: Sample | None) -> list[StreamProof]:
    names = [stream.name for stream in proving.context.pipeline.streams]
    cheap = {name: proving.counts(name) for name in names} if level == "counts" else {}
    deeper = [name for name in names if cheap.get(name) is None]
    full = level == "rows" and sample is None
    found = read_and_prove(proving, deeper, full, sample if level == "rows" else None)
    return [cheap.get(name) or found[name] for name in names]


def read_and_prove(proving: Proving, names: Sequence[str], full: bool, sample: Sample | None) -> dict[str, StreamProof]:
    """Reads the streams whole, in all columns or in key and cursor alone, and compares."""
    if not names:
        return {}
    context = proving.context
    horizon, remembered = context.connector.horizon(), context.state.recall(context.scope)
    streams = {stream.name: stream for stream in context.pipeline.streams}
    tasks = []
    for name in names:
        schema = proving.schemas[name]
        base = replace(remembered.get(name, NEVER), version=0)
        wanted = schema if full or not schema.key else narrowed(schema)
        tasks.append(make_reload(streams[name], wanted, base, horizon))
    proofs = {}
    run_id = new_run_id(context.seams.clock(), context.seams.random)  # a second reading is another manifest
    for landed in extract_all(context, tasks, run_id, context.report.started_at):
        name = landed.task.schema.name
        everything = full or not landed.task.schema.key
        proofs[name] = proving.prove(landed, "rows" if everything or sample else "keys", sample)
    context.remember({name: replace(remembered.get(name, NEVER), version=0, checkpoint=None) for name in names})
    return proofs


def prove_again(proving: Proving, proofs: Sequence[StreamProof]) -> list[StreamProof]:
    """The streams that differed, looked at once more after the repair: the same keys, or everything."""
    proving.mirror = proving.context.state.recall(proving.context.pipeline.name)
    found = []
    for proof in proofs:
        schema = proving.schemas[proof.stream]
        if proof.comparison.equal:
            found.append(proof)
        elif proof.is_askable:
            found.append(proving.again(proof, schema, wait=False))
        else:
            found.append(read_and_prove(proving, [proof.stream], proof.level == "rows", None)[proof.stream])
    return found
