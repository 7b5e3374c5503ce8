"""``syncline check``: everything a run needs, tried before the first run is scheduled; every finding with its cure.

The parts know best what can be wrong with them: a connector, landing, warehouse or store that offers ``check()`` is
asked. What every one of them owes (an answer to the port's harmless questions) is tried for those that do not. Nothing
is created in the warehouse or at the source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, runtime_checkable

from syncline.connectors.errors import SynclineError
from syncline.connectors.finding import Finding
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.task import narrow
from syncline.sinks.landing import Landing

CLOCK_ERROR = timedelta(minutes=10)
CLOCK_WARNING = timedelta(minutes=2)


@runtime_checkable
class Checkable(Protocol):
    """A part that can say what is wrong with it. Errors it raises become findings, too."""

    def check(self) -> Sequence[Finding]: ...


@runtime_checkable
class LandingReader(Protocol):
    """A warehouse that reads the landing itself, and can say whether it may."""

    def check_landing(self, landing: Landing) -> Sequence[Finding]: ...


@runtime_checkable
class NeedsSetup(Protocol):
    """A warehouse that an administrator has to set up."""

    def setup(self, landing: Landing) -> str:
        """What he runs, with the least rights that do. No secrets, and nothing is connected to."""
        ...


def setup_of(pipeline: Pipeline) -> str:
    """What an administrator runs before the first run; empty where that is nothing."""
    warehouse = pipeline.warehouse
    return warehouse.setup(pipeline.landing) if isinstance(warehouse, NeedsSetup) else ""


def check(pipeline: Pipeline, streams: Sequence[str], now: datetime) -> Sequence[Finding]:
    """The findings in the order a run would meet them; ``now`` is this machine's clock."""
    findings: list[Finding] = []
    findings += _try_part(pipeline.source, f"source {type(pipeline.source).__name__}", pipeline.source.horizon)
    if all(finding.level != "error" for finding in findings):
        findings += _try(f"source {type(pipeline.source).__name__}, clock", partial(_clock, pipeline, now))
        for stream in pipeline.select(streams):
            findings += _try(f"stream {stream.name}", partial(_stream, pipeline, stream))
    findings += _try_part(pipeline.state, "state", lambda: pipeline.state.recall(pipeline.name))
    findings += _try_part(pipeline.landing, "landing", lambda: None)
    findings += _try_part(
        pipeline.warehouse, f"warehouse {pipeline.warehouse.capabilities.name}", lambda: _reach(pipeline)
    )
    if isinstance(pipeline.warehouse, LandingReader):
        subject = f"warehouse {pipeline.warehouse.capabilities.name}, landing"
        findings += _try(subject, partial(pipeline.warehouse.check_landing, pipeline.landing))
    pipeline.source.close()
    pipeline.warehouse.close()
    return findings


def _try_part(part: object, subject: str, otherwise: Callable[[], object]) -> Sequence[Finding]:
    if isinstance(part, Checkable):
        return _try(subject, part.check)

    def answers() -> Sequence[Finding]:
        otherwise()
        return [Finding("ok", subject, "it answers")]

    return _try(subject, answers)


def _try(subject: str, look: Callable[[], Sequence[Finding]]) -> Sequence[Finding]:
    try:
        return look()
    except SynclineError as error:
        cure = error.hint or "mend the cause, then check again"
        return [Finding("error", subject, f"{error.operation}: {error.object}: {error.cause}", cure)]


def _reach(pipeline: Pipeline) -> None:
    pipeline.warehouse.watermarks(pipeline.name)


def _clock(pipeline: Pipeline, now: datetime) -> Sequence[Finding]:
    """Windows follow the source's clock alone (COMPLETE-WINDOW), but tokens and certificates need a right one here."""
    subject = f"source {type(pipeline.source).__name__}, clock"
    lag_s: float = getattr(pipeline.source, "settling_lag_s", 0.0)
    apart = now - pipeline.source.horizon() - timedelta(seconds=lag_s)
    seconds = abs(apart).total_seconds()
    text = f"this machine is {seconds:.0f} s {'ahead of' if apart > timedelta(0) else 'behind'} the source"
    cure = "set this machine's clock, for instance with chrony or timedatectl set-ntp true"
    if abs(apart) >= CLOCK_ERROR:
        return [Finding("error", subject, f"{text}: sign-in tokens would be refused, lags would be wrong", cure)]
    if abs(apart) >= CLOCK_WARNING:
        return [Finding("warn", subject, text, cure)]
    return [Finding("ok", subject, text)]


def _stream(pipeline: Pipeline, stream: Stream) -> Sequence[Finding]:
    schema = narrow(pipeline.source.describe([stream.name])[0], stream)
    subject = f"stream {stream.name}"
    text = f"{len(schema.columns)} columns, key {', '.join(schema.key) or 'none'}, cursor {schema.cursor or 'none'}"
    if schema.left_out:
        text += f"; not read: {', '.join(f'{name} ({reason})' for name, reason in schema.left_out.items())}"
    if schema.warnings:
        return [Finding("warn", subject, f"{text}; {'; '.join(schema.warnings)}", "see docs on deletes and cursors")]
    return [Finding("ok", subject, text)]
