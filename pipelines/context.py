"""What every step of a run needs, put together once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from syncline.connectors.connector import Connector, Json, Wait
from syncline.pipelines.events import Event, Events
from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.report import RunReport
from syncline.pipelines.stop import StopSignal
from syncline.sinks.landing import Landing
from syncline.sinks.warehouse import Warehouse
from syncline.state.store import Remembered, StateStore


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Seams:
    """What a test replaces so that nothing waits and everything repeats: clock, sleep, randomness, and threads.

    ``pool`` makes the threads that read slices side by side, and ``wait`` waits for them, as ``concurrent.futures``
    does; a simulation lets them take turns instead.
    """

    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[int], bytes] = os.urandom
    pool: Callable[[int, str], Executor] = ThreadPoolExecutor
    wait: Callable[..., Any] = wait


@dataclass(slots=True)
class Context:
    """One run under way. ``scope`` is the name its state is kept under: the pipeline's, or that of its reload.

    ``calls_elsewhere`` counts the requests of workers, which the run's own connector does not see.
    """

    pipeline: Pipeline
    report: RunReport
    events: Events
    stop: StopSignal
    allow_deletes: bool = False
    seams: Seams = field(default_factory=Seams)
    scope: str = ""
    calls_elsewhere: int = 0
    failed: threading.Event = field(default_factory=threading.Event)
    _remembering: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.scope = self.scope or self.pipeline.name

    @property
    def connector(self) -> Connector:
        return self.pipeline.source

    @property
    def landing(self) -> Landing:
        return self.pipeline.landing

    @property
    def warehouse(self) -> Warehouse:
        return self.pipeline.warehouse

    @property
    def state(self) -> StateStore:
        return self.pipeline.state

    def emit(self, name: str, **fields: Json) -> None:
        named = {"run_id": self.report.run_id, "pipeline": self.pipeline.name, **fields}
        self.events.emit(Event(name, self.seams.clock(), named))

    def tell(self, wait: Wait) -> None:
        """Why the run stands still."""
        self.emit(
            "request_retried",
            operation=wait.operation,
            object=wait.object,
            cause=wait.cause,
            attempt=wait.attempt,
            wait_s=round(wait.wait_s, 3),
        )

    def warn(self, text: str, stream: str | None = None) -> None:
        """Into the report and onto the screen; said once."""
        target = self.report.warnings if stream is None else self.report.stream(stream).warnings
        if text not in target:
            target.append(text)
            self.emit("warning", text=text, **({} if stream is None else {"stream": stream}))

    def remember(self, marks: Mapping[str, Remembered]) -> None:
        """Streams are read in several threads; the store sees one writer. It is told whose watermarks these are."""
        placed = {name: replace(mark, place=self.warehouse.place) for name, mark in marks.items()}
        with self._remembering:
            self.state.remember(self.scope, placed)
