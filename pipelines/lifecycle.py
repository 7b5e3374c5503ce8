"""Around a run: its lease, its heartbeat, its report, and giving back what it held, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from syncline.connectors.connector import Wait
from syncline.connectors.errors import Guarded, LeaseHeld, Stopped, SynclineError
from syncline.pipelines.context import Context, Seams
from syncline.pipelines.costs import spent
from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.report import RunReport
from syncline.sinks.landing import Landing
from syncline.state.run_id import new_run_id
from syncline.state.store import Lease, RunRecord, RunStatus

LEASE_TTL_S = 120.0


@runtime_checkable
class ReadsLandings(Protocol):
    """A warehouse that not every landing gets into."""

    def require_landing(self, landing: Landing) -> None:
        """Raises ConfigError for a landing that its settings have no way for. Connects to nothing (IDLE-IS-FREE)."""
        ...


def new_report(pipeline: Pipeline, kind: str, seams: Seams | None) -> RunReport:
    seams = seams or Seams()
    now = seams.clock()
    return RunReport(new_run_id(now, seams.random), pipeline.name, now, kind)


@contextmanager
def recorded(context: Context) -> Iterator[None]:
    """The run inside the block: leased, recorded as it begins and as it ends, its parts closed.

    Raises:
        LeaseHeld: another run is under way; nothing was recorded.
    """
    report = context.report
    spent(context.warehouse)  # what came before is not this run's
    calls_before, statements_before = context.connector.api_calls, context.warehouse.statements
    with (
        context.state.lease(context.scope, LEASE_TTL_S) as lease,
        heartbeat(context, lease),
        waits_told(context),
    ):
        context.state.record(record_of(report))
        context.emit("run_started", streams=[stream.name for stream in context.pipeline.streams], kind=report.kind)
        try:
            require_route(context)
            yield
            report.status = "done" if report.commits else "idle"
        except SynclineError as error:
            report.fail(error, status_of(error))
            raise
        except BaseException as error:
            # Not foreseen by anybody: the record must not say "running" for ever, nor print what may hold a secret.
            report.fail(SynclineError("run", report.pipeline, f"unexpected {type(error).__name__}"), "failed")
            raise
        finally:
            context.warehouse.close()
            context.connector.close()
            report.api_calls = context.connector.api_calls - calls_before + context.calls_elsewhere
            report.warehouse_statements = context.warehouse.statements - statements_before
            report.warehouse_cost = spent(context.warehouse)
            report.finished_at = context.seams.clock()
            record_end(context)


def require_route(context: Context) -> None:
    """Before the source is read, which can take hours and a day's quota (LOUD)."""
    # The class is asked, not the object: an idle run must not touch the warehouse at all (IDLE-IS-FREE).
    if issubclass(type(context.warehouse), ReadsLandings):
        assert isinstance(context.warehouse, ReadsLandings)
        context.warehouse.require_landing(context.landing)


@contextmanager
def waits_told(context: Context) -> Iterator[None]:
    """Says why the run stands still while its source, one that tells (``TellsWaits``), is asked a second time."""
    on_wait: Callable[[Callable[[Wait], None] | None], None] | None = getattr(context.connector, "on_wait", None)
    if on_wait is None:
        yield
        return

    on_wait(context.tell)
    try:
        yield
    finally:
        on_wait(None)


def record_end(context: Context) -> None:
    """A history that cannot be written must not turn a committed run into a failed one, nor hide the first error."""
    try:
        context.state.record(record_of(context.report))
    except SynclineError as error:
        context.warn(f"the run's end could not be recorded: {error}")
    context.emit(
        "run_finished",
        status=context.report.status,
        api_calls=context.report.api_calls,
        warehouse_statements=context.report.warehouse_statements,
        warehouse_cost=context.report.warehouse_cost,
    )


def record_of(report: RunReport) -> RunRecord:
    return RunRecord(
        report.run_id, report.pipeline, report.status, report.started_at, report.finished_at, report.to_json()
    )


def status_of(error: SynclineError) -> RunStatus:
    if isinstance(error, Guarded):
        return "guarded"
    return "stopped" if isinstance(error, Stopped) else "failed"


@contextmanager
def heartbeat(context: Context, lease: Lease) -> Iterator[None]:
    """Renews the lease while the block runs. A lease lost to another run stops this one at the next safe place."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(LEASE_TTL_S / 3):
            try:
                lease.renew()
            except LeaseHeld:
                context.emit("warning", text="the lease was lost to another run: stopping")
                context.stop.request()
                return
            except SynclineError as error:
                context.emit("warning", text=f"the lease could not be renewed: {error.cause}")

    thread = threading.Thread(target=beat, name="syncline-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
