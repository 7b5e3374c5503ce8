"""Proof: reads the source whole, stages it beside the target and compares every key and every column.

Nothing is written but a temporary folder and a staging table that is dropped. Records that changed after the watermark
are not differences yet: their rows are left to the next run and counted as ``pending``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, cast

from syncline.connectors.errors import ConfigError
from syncline.pipelines.context import Context, Seams
from syncline.pipelines.events import Events
from syncline.pipelines.extract import extract_all
from syncline.pipelines.loading import table_plan
from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.report import RunReport
from syncline.pipelines.runner import describe
from syncline.pipelines.stop import StopSignal
from syncline.pipelines.task import NEVER, make_reload
from syncline.sinks.landing import Landing
from syncline.sinks.manifest import text_of
from syncline.sinks.warehouse import Comparer, Comparison, Watermark
from syncline.state.memory import MemoryState
from syncline.state.run_id import new_run_id
from syncline.state.store import Remembered


@dataclass(frozen=True, slots=True)
class StreamProof:
    """One stream's comparison, as of the target's ``watermark``."""

    stream: str
    watermark: datetime | None
    comparison: Comparison

    def to_json(self) -> dict[str, Any]:
        return {"equal": self.comparison.equal, "watermark": text_of(self.watermark), **asdict(self.comparison)}


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """``equal`` only if every stream is."""

    run_id: str
    pipeline: str
    api_calls: int
    streams: tuple[StreamProof, ...]
    warnings: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        return all(each.comparison.equal for each in self.streams)

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "pipeline": self.pipeline,
            "equal": self.equal,
            "api_calls": self.api_calls,
            "streams": {each.stream: each.to_json() for each in self.streams},
            "warnings": list(self.warnings),
        }


def verify(
    pipeline: Pipeline,
    *,
    streams: Sequence[str] = (),
    events: Events,
    stop: StopSignal | None = None,
    seams: Seams | None = None,
) -> VerifyReport:
    """Compares the targets with the source, row by row.

    Raises:
        ConfigError: the warehouse cannot compare, or a stream was never synced.
    """
    chosen = pipeline.select(streams)
    seams = seams or Seams()
    warehouse = pipeline.warehouse
    if not hasattr(warehouse, "compare"):
        raise ConfigError(
            "verify",
            pipeline.name,
            f"{warehouse.capabilities.name} cannot be compared yet",
            "verify works with the embedded warehouse",
        )
    with tempfile.TemporaryDirectory(prefix="syncline-verify-") as folder:
        aside = Pipeline(
            pipeline.name,
            pipeline.source,
            chosen,
            landing=Landing(folder),
            warehouse=warehouse,
            state=MemoryState(),
            workers=pipeline.workers,
        )
        started_at = seams.clock()
        report = RunReport(new_run_id(started_at, seams.random), pipeline.name, started_at, "verify")
        context = Context(aside, report, events, stop or StopSignal(), seams=seams)
        mirror = pipeline.state.recall(pipeline.name)
        calls_before = pipeline.source.api_calls
        try:
            proofs = compare_all(context, cast(Comparer, warehouse), mirror)
        finally:
            warehouse.close()
            pipeline.source.close()
        warnings = [*report.warnings, *(text for each in report.streams.values() for text in each.warnings)]
        return VerifyReport(
            report.run_id, pipeline.name, pipeline.source.api_calls - calls_before, tuple(proofs), tuple(warnings)
        )


def compare_all(context: Context, comparer: Comparer, mirror: Mapping[str, Remembered]) -> list[StreamProof]:
    truth = context.warehouse.watermarks(context.pipeline.name)
    context.warehouse.close()  # a long extraction follows
    streams, report = context.pipeline.streams, context.report
    for stream in streams:
        if stream.name not in truth:
            raise ConfigError(
                "verify",
                f"stream {stream.name}",
                "it was never synced",
                f"run `syncline run {context.pipeline.name}` first",
            )
    horizon = context.connector.horizon()
    schemas = describe(context, streams)
    tasks = [make_reload(stream, schemas[stream.name], NEVER, horizon) for stream in streams]
    proofs = []
    for landed in extract_all(context, tasks, report.run_id, report.started_at):
        watermark = reached(truth[landed.task.schema.name], mirror.get(landed.task.schema.name))
        plan = replace(table_plan(context, landed.task, report.run_id), high=watermark or horizon)
        context.warehouse.load(plan, landed.manifest, context.landing)
        proofs.append(StreamProof(plan.stream, watermark, comparer.compare(plan)))
    return proofs


def reached(truth: Watermark, remembered: Remembered | None) -> datetime | None:
    """How far the copy is complete: idle runs move only the mirror."""
    if remembered is not None and remembered.version == truth.version and remembered.watermark is not None:
        return remembered.watermark
    return truth.watermark
