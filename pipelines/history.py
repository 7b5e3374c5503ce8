"""What the state store remembers, as ``syncline status`` and ``syncline runs`` show it. The warehouse is not asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.pipeline import Pipeline
    from syncline.state.store import Remembered, RunRecord

RECENT_RUNS = 24

SHARED_LEASES = {"rewind": "run"}
"""Kinds of run that hold another kind's lease from beginning to end; each of the others has its own."""

_BARS = "▁▂▃▄▅▆▇█"
_MARKS = {"failed": "✗", "stopped": "■", "guarded": "!", "killed": "✗", "running": "…", "idle": "·"}


def status_of(pipeline: Pipeline, now: datetime) -> dict[str, Json]:
    """Watermarks, lags and the last run of one pipeline. ``recent`` lists its last runs, oldest first."""
    runs = settled(pipeline.state.runs(pipeline.name, RECENT_RUNS))
    place = pipeline.warehouse.place
    # What is remembered of a warehouse elsewhere says nothing about this one, which the next run will ask.
    mirror = {name: mark for name, mark in pipeline.state.recall(pipeline.name).items() if mark.place in ("", place)}
    last = runs[0] if runs else None
    succeeded = next((run for run in runs if run.status in ("done", "idle")), None)
    rows = {} if last is None else last.report.get("streams") or {}
    return {
        "pipeline": pipeline.name,
        "last_run": None if last is None else {**run_of(last), "age_s": _age_s(last, now)},
        "last_success_at": None if succeeded is None else _text(succeeded.finished_at),
        "recent": [{"status": run.status, "rows": _sum(run, "landed")} for run in reversed(runs)],
        "streams": {
            stream.name: _stream_status(mirror.get(stream.name), rows.get(stream.name), now)
            for stream in pipeline.streams
        },
    }


def runs_of(pipeline: Pipeline, limit: int) -> dict[str, Json]:
    """The newest runs, newest first."""
    runs = settled(pipeline.state.runs(pipeline.name, limit))
    return {"pipeline": pipeline.name, "runs": [run_of(run) for run in runs]}


def settled(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs, newest first, as they ended: one that still says "running" when the next one under its lease began was
    killed, for the lease lets only one at a time."""
    later, found = set[str](), []
    for run in runs:
        kind = str(run.report.get("kind", "run"))
        lease = SHARED_LEASES.get(kind, kind)
        died = run.status == "running" and lease in later
        found.append(replace(run, status="killed") if died else run)
        later.add(lease)
    return found


def run_of(run: RunRecord) -> dict[str, Json]:
    """One line of history: the run's sums over all streams."""
    return {
        "run_id": run.run_id,
        "kind": run.report.get("kind", "run"),
        "status": run.status,
        "started_at": _text(run.started_at),
        "finished_at": _text(run.finished_at),
        "read": _sum(run, "read"),
        "inserted": _sum(run, "inserted"),
        "updated": _sum(run, "updated"),
        "deleted": _sum(run, "deleted") + _sum(run, "absent"),
        "api_calls": run.report.get("api_calls", 0),
        "statements": run.report.get("warehouse_statements", 0),
        "warnings": _warnings(run),
        "error": run.report.get("error"),
    }


def picture(recent: Sequence[Mapping[str, Json]]) -> str:
    """A sign a run, oldest first: a bar for rows; ``·`` idle, ``✗`` failed or killed, ``■`` stopped, ``!`` guarded."""
    most = max((run["rows"] or 0 for run in recent), default=0)
    return "".join(_MARKS.get(run["status"]) or _bar(run["rows"] or 0, most) for run in recent)


def _bar(rows: int, most: int) -> str:
    """Each bar stands for half the rows of the next one: the sizes of runs differ by orders of magnitude."""
    if not rows or not most:
        return _BARS[0]
    step, left = len(_BARS) - 1, rows
    while step > 0 and left < most:
        step, left = step - 1, left * 2
    return _BARS[step]


def _stream_status(mark: Remembered | None, rows: Mapping[str, Json] | None, now: datetime) -> dict[str, Json]:
    watermark = None if mark is None else mark.watermark
    return {
        "watermark": _text(watermark),
        "lag_s": None if watermark is None else max(0.0, (now - watermark).total_seconds()),
        "version": 0 if mark is None else mark.version,
        "rows_last_run": None if rows is None else rows.get("landed"),
        "unfinished": mark is not None and mark.checkpoint is not None,
    }


def _age_s(run: RunRecord, now: datetime) -> float:
    return max(0.0, (now - (run.finished_at or run.started_at)).total_seconds())


def _sum(run: RunRecord, count: str) -> int:
    streams: Mapping[str, Mapping[str, Json]] = run.report.get("streams") or {}
    return sum(each.get(count) or 0 for each in streams.values())


def _warnings(run: RunRecord) -> list[str]:
    streams: Mapping[str, Mapping[str, Json]] = run.report.get("streams") or {}
    own = [str(text) for text in run.report.get("warnings") or ()]
    return own + [f"{name}: {text}" for name, each in streams.items() for text in each.get("warnings") or ()]


def _text(instant: datetime | None) -> str | None:
    from syncline.sinks.manifest import text_of

    return text_of(instant)
