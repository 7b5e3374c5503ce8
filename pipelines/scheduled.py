"""The scheduled run: a sync, and then the proof of those streams for which one is due (``Stream.verify_every``).

When a stream was last proved is kept in the state, and in a watermark row of the warehouse under the proofs' own name,
so that it survives a lost state. It is told by the source's clock, as watermarks are: the proof vouches for everything
below the watermark that it was held against. A read of everything proves as much, so it counts as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from syncline.connectors.errors import CommitUnknown, FenceLost, LeaseHeld, QuotaReached, Transient
from syncline.pipelines.context import Seams
from syncline.pipelines.events import Event, Events
from syncline.pipelines.lifecycle import record_of
from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.report import RunReport
from syncline.pipelines.runner import run
from syncline.pipelines.stop import StopSignal
from syncline.pipelines.task import NEVER, due, scope_of
from syncline.sinks.warehouse import CommitUnit, Mark

if TYPE_CHECKING:
    from syncline.pipelines.verify import VerifyReport


def run_scheduled(
    pipeline: Pipeline,
    *,
    streams: Sequence[str] = (),
    events: Events,
    allow_deletes: bool = False,
    stop: StopSignal | None = None,
    seams: Seams | None = None,
) -> RunReport:
    """One sync, as ``runner.run`` does it; then each stream that is due is compared by key and mended.

    A proof that the source's quota or another proof does not let through is put off to the next run, with a warning.

    Raises:
        SynclineError: of the sync; or of the proof, after the sync's own outcome was recorded.
    """
    seams, stop = seams or Seams(), stop or StopSignal()
    report = run(pipeline, streams=streams, events=events, allow_deletes=allow_deletes, stop=stop, seams=seams)
    names = due_streams(pipeline, streams)
    if not names:
        return report
    from syncline.pipelines.verify import verify

    try:
        proof = verify(
            pipeline,
            streams=names,
            level="keys",
            repair=True,
            allow_deletes=allow_deletes,
            events=events,
            stop=stop,
            seams=seams,
        )
    except (QuotaReached, LeaseHeld) as error:
        warn(report, events, seams, f"the proof of {', '.join(names)} is due, and was put off to the next run: {error}")
    else:
        account(pipeline, report, proof, events, seams)
    pipeline.state.record(record_of(report))
    return report


def due_streams(pipeline: Pipeline, names: Sequence[str]) -> tuple[str, ...]:
    """The chosen streams whose last proof lies ``verify_every`` or more behind their watermark.

    The warehouse is asked only when the state has no word of a proof or of a read of everything (IDLE-IS-FREE).
    """
    chosen = [stream for stream in pipeline.select(names) if stream.verify_every_duration is not None]
    if not chosen:
        return ()
    mirror, proved = pipeline.state.recall(pipeline.name), proofs(pipeline, [stream.name for stream in chosen])
    found = []
    for stream in chosen:
        mark, every = mirror.get(stream.name), stream.verify_every_duration
        if mark is None or mark.watermark is None or every is None:
            continue  # never synced; or without a cursor, and so read whole by every run
        known = [at for at in (mark.full_at, proved.get(stream.name)) if at is not None]
        if due(max(known, default=None), mark.watermark, every):
            found.append(stream.name)
    return tuple(found)


def proofs(pipeline: Pipeline, names: Sequence[str]) -> Mapping[str, datetime]:
    """Up to when each stream was last proved."""
    scope = scope_of(pipeline.name)
    mirror, own = pipeline.state.recall(scope), pipeline.state.recall(pipeline.name)
    found = {name: mark.full_at for name, mark in mirror.items() if mark.full_at is not None}
    if all(name in found or (name in own and own[name].full_at is not None) for name in names):
        return found
    try:
        truth = pipeline.warehouse.watermarks(scope)
    finally:
        pipeline.warehouse.close()
    told = {name: mark.watermark for name, mark in truth.items() if mark.watermark is not None}
    marks = {
        name: replace(mirror.get(name, NEVER), version=0, full_at=at) for name, at in told.items() if name not in found
    }
    pipeline.state.remember(scope, marks)
    return {**told, **found}


def account(pipeline: Pipeline, report: RunReport, proof: VerifyReport, events: Events, seams: Seams) -> None:
    """The proof into the run's report, and its instant to where the next run looks for it."""
    report.proof = proof.to_json()
    report.api_calls += proof.api_calls
    for text in proof.warnings:
        warn(report, events, seams, text)
    for name, rows in proof.repaired.items():
        warn(report, events, seams, f"{name}: {rows} rows differed from the source and were repaired")
    proved = {each.stream: each.watermark for each in proof.streams if each.comparison.equal and each.watermark}
    if lost := [each.stream for each in proof.streams if not each.comparison.equal]:
        warn(report, events, seams, f"{', '.join(lost)} still differs from the source: look with `syncline verify`")
    if proved:
        note(pipeline, proof.run_id, proved, report, events, seams)


def note(
    pipeline: Pipeline, run_id: str, proved: Mapping[str, datetime], report: RunReport, events: Events, seams: Seams
) -> None:
    """Written to the warehouse at its best effort: without it a lost state costs one proof too many."""
    scope = scope_of(pipeline.name)
    mirror = pipeline.state.recall(scope)
    marks = {name: replace(mirror.get(name, NEVER), version=0, full_at=at) for name, at in proved.items()}
    pipeline.state.remember(scope, marks)
    try:
        truth = pipeline.warehouse.watermarks(scope)
        moved = [Mark(name, truth[name].version if name in truth else 0, at, ()) for name, at in sorted(proved.items())]
        pipeline.warehouse.commit(CommitUnit(scope, run_id, report.started_at, (), moved, {"kind": "verify"}))
    except (FenceLost, CommitUnknown, Transient) as error:
        warn(report, events, seams, f"when the proof was done could not be noted in the warehouse: {error}")
    finally:
        pipeline.warehouse.close()


def warn(report: RunReport, events: Events, seams: Seams, text: str) -> None:
    report.warnings.append(text)
    fields = {"run_id": report.run_id, "pipeline": report.pipeline, "text": text}
    events.emit(Event("warning", seams.clock(), fields))
