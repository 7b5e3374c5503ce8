"""What a run would do, found out without touching anything: the source is asked for descriptions and counts only.

The warehouse is not connected to, unless the mirror knows nothing of a stream or tells of a warehouse elsewhere: then
its watermarks are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from syncline.connectors.connector import Forecast, StreamSchema, Window
from syncline.pipelines.fit import require_fit
from syncline.pipelines.mirror import recall
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.task import Task, make_task, narrow
from syncline.sinks import lattice
from syncline.sinks.manifest import text_of
from syncline.state.store import Remembered


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """``columns`` maps each column to its type; ``added`` are those the target does not have yet."""

    stream: str
    target: str
    on_delete: str
    mode: str
    window: Window | None
    forecast: Forecast | None
    key: tuple[str, ...]
    cursor: str | None
    columns: dict[str, str]
    added: tuple[str, ...]
    left_out: dict[str, str]
    volatile: tuple[str, ...]
    creates: bool
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        window, forecast = self.window, self.forecast
        return {
            "target": self.target,
            "on_delete": self.on_delete,
            "mode": self.mode,
            "window": None if window is None else {"low": text_of(window.low), "high": text_of(window.high)},
            "api": None if forecast is None else forecast.api,
            "query": None if forecast is None else forecast.query,
            "rows": None if forecast is None else forecast.rows,
            "calls": None if forecast is None else forecast.calls,
            "key": list(self.key),
            "cursor": self.cursor,
            "columns": self.columns,
            "ddl": self.ddl(),
            "left_out": self.left_out,
            "volatile": list(self.volatile),
            "notes": list(self.notes),
        }

    def ddl(self) -> list[str]:
        if self.creates:
            return [f"create table {self.target} with {len(self.columns)} columns"]
        return [f"add column {name} {self.columns[name]} to {self.target}" for name in self.added]


@dataclass(frozen=True, slots=True)
class PlanReport:
    pipeline: str
    api_calls: int
    streams: tuple[StreamPlan, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "api_calls": self.api_calls,
            "streams": {each.stream: each.to_json() for each in self.streams},
        }


def plan(pipeline: Pipeline, streams: Sequence[str] = ()) -> PlanReport:
    """What ``run`` would do now.

    Raises:
        SynclineError: as ``run`` would for a wrong setting, a wrong name, or a source that refuses.
    """
    chosen = pipeline.select(streams)
    connector = pipeline.source
    calls_before = connector.api_calls
    try:
        horizon = connector.horizon()
        schemas = connector.describe([stream.name for stream in chosen])
        marks = recall(pipeline, pipeline.name, chosen)
        known = [narrow(described, stream) for stream, described in zip(chosen, schemas, strict=True)]
        bases = [marks[stream.name] for stream in chosen]
        tasks = [make_task(*each, horizon) for each in zip(chosen, known, bases, strict=True)]
        require_fit(pipeline, [task for task in tasks if task is not None])
        forecasts = [None if task is None else connector.plan(task.schema, task.window).forecast for task in tasks]
        plans = map(stream_plan, chosen, known, bases, tasks, forecasts)
        return PlanReport(pipeline.name, connector.api_calls - calls_before, tuple(plans))
    finally:
        pipeline.warehouse.close()
        connector.close()


def stream_plan(
    stream: Stream, schema: StreamSchema, base: Remembered, task: Task | None, forecast: Forecast | None
) -> StreamPlan:
    """``task`` is ``None`` when the watermark already stands at the horizon."""
    unfinished = ("an unfinished run is finished first",) if base.checkpoint is not None else ()
    notes = ("nothing to do: the watermark has reached the horizon",) if task is None else task.notes
    return StreamPlan(
        stream=stream.name,
        target=stream.target,
        on_delete=stream.on_delete,
        mode="nothing" if task is None else "whole" if task.whole else "incremental",
        window=None if task is None else task.covered,
        forecast=forecast,
        key=schema.key,
        cursor=schema.cursor,
        columns={field.name: lattice.name_of(field.type) for field in schema.columns},
        added=tuple(name for name in schema.columns.names if name not in base.columns),
        left_out=dict(schema.left_out),
        volatile=schema.volatile,
        creates=base.version == 0,
        notes=(*unfinished, *notes, *schema.warnings),
    )
