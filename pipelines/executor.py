"""Who reads the slices: threads of the run's own process, or workers elsewhere.

::

    slice ──▶ Here ─────────────────────────────────▶ land ──▶ LandedSlice
          └─▶ Elsewhere ──▶ Order ──▶ engine's Executor: worker.carry_out ──▶ Told ──▶ LandedSlice

In both cases a thread of the run waits for the slice and then remembers it; checkpoints, manifest and commit stay with
the run's own process. A worker that is lost costs its slice one more attempt, on another; a result that comes twice is
taken once, and the files of the other are named by no manifest (SEALED-MANIFEST).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, cast

from syncline.connectors.connector import Extraction, Json, Portable, StreamSchema
from syncline.connectors.errors import Transient
from syncline.pipelines.checkpoint import Checkpoint, LandedSlice
from syncline.pipelines.engine import Engine, SliceLost
from syncline.pipelines.slices import SliceWork, land

if TYPE_CHECKING:
    from syncline.pipelines.context import Context
    from syncline.pipelines.worker import Order, Told

LOST_MAX = 3
"""How often a slice is begun anew because its worker was lost: one that kills its workers must not kill them all."""

LOOK_UP_S = 5.0

HERE_ROWS_MAX = 2_000
"""A window of no more rows, one page of most sources, is read here: a process that starts and signs in costs more, and
a run that finds nothing or little new needs no cluster."""

LOST_HINT = (
    "run again: it goes on from here; look for what kills the workers, most often the kernel for want of memory "
    "(fewer `workers` take less). A script that calls run itself begins with: if __name__ == '__main__'"
)


class Readers(Protocol):
    """How slices are read in one extraction."""

    @property
    def waiting_min(self) -> int:
        """Slices of a stream that are handed out at least, if there are as many."""
        ...

    def brief(self, stream: StreamSchema, checkpoint: Checkpoint) -> Json:
        """Once a stream, when its reading begins: what ``read`` is to be given for each of its slices."""
        ...

    def read(
        self,
        work: SliceWork,
        extraction: Extraction,
        briefing: Json,
        before: Callable[[], None],
        after: Callable[[int], None],
    ) -> LandedSlice:
        """Lands the slice; ``before`` and ``after`` as in ``slices.land``, though perhaps once for all batches."""
        ...

    def abort(self) -> None:
        """Breaks off what is under way elsewhere. The caller has said why, so that ``before`` raises from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """By threads of this process."""

    context: Context
    waiting_min: int = 0

    def brief(self, stream: StreamSchema, checkpoint: Checkpoint) -> Json:
        return None

    def read(
        self,
        work: SliceWork,
        extraction: Extraction,
        briefing: Json,
        before: Callable[[], None],
        after: Callable[[int], None],
    ) -> LandedSlice:
        return land(work, self.context.landing, extraction.read(work.slice), before, after)

    def abort(self) -> None:
        """Threads look at the flag before each batch, and the closed connector breaks what they wait for."""


@dataclass(slots=True)
class Elsewhere:
    """By workers of an engine; what is small, here (``HERE_ROWS_MAX``)."""

    context: Context
    engine: Engine
    waiting_min: int
    mark: str
    lost: int = 0
    _begun: list[tuple[str, Checkpoint]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def brief(self, stream: StreamSchema, checkpoint: Checkpoint) -> Json:
        with self._lock:
            self._begun.append((stream.name, checkpoint))
        return self._source.brief(stream)

    def read(
        self,
        work: SliceWork,
        extraction: Extraction,
        briefing: Json,
        before: Callable[[], None],
        after: Callable[[int], None],
    ) -> LandedSlice:
        from syncline.pipelines.worker import Order

        rows = extraction.forecast.rows
        if rows is not None and rows <= HERE_ROWS_MAX:
            return Here(self.context).read(work, extraction, briefing, before, after)
        task = replace(work.task, base=replace(work.task.base, checkpoint=None))
        work = replace(work, task=task, mark=self.mark)
        landing = self.context.landing.recipe()
        order = Order(work, self._source.recipe(), landing, briefing, self.context.report.run_id)
        told = self._carried_out(order, before)
        landed = self._taken(told, task.schema.name)
        after(landed.rows_read)
        return landed

    def abort(self) -> None:
        self.engine.abort()

    def clear(self) -> None:
        """Removes what lost workers landed; call it when no worker is under way any more."""
        if not (self.lost or self.engine.rereads):
            return
        for name, checkpoint in self._begun:
            self.context.landing.discard_strays(
                self.context.pipeline.name,
                name,
                checkpoint.run_id,
                checkpoint.started_at,
                self.mark,
                checkpoint.files(),
            )

    @property
    def _source(self) -> Portable:
        return cast("Portable", self.context.connector)

    def _carried_out(self, order: Order, before: Callable[[], None]) -> Told:
        from syncline.pipelines.worker import carry_out

        work = order.work
        object = f"{work.task.schema.name}, {work.slice.id}"
        for _ in range(1 + LOST_MAX):
            before()
            try:
                with self.engine.executor() as executor:
                    return self._awaited(executor.submit(carry_out, order), before)
            except SliceLost as lost:
                before()
                raise Transient("read slice", object, str(lost), LOST_HINT) from lost
            except (BrokenExecutor, CancelledError):
                with self._lock:
                    self.lost += 1
                before()  # broken off by ourselves: says so
                self.context.warn("a worker was lost: its slice is read again by another", work.task.schema.name)
        raise Transient("read slice", object, f"{1 + LOST_MAX} workers were lost while reading it", LOST_HINT)

    def _awaited(self, future: Future[Told], before: Callable[[], None]) -> Told:
        """The result; looks up at times, so that no run waits for ever on an engine that is gone (BOUNDED)."""
        while not wait([future], LOOK_UP_S).done:
            before()
            if not self.engine.alive():
                raise BrokenExecutor("the engine is gone")
        return future.result()

    def _taken(self, told: Told, stream: str) -> LandedSlice:
        """What the worker tells, into report and log; its error raised as if it had happened here."""
        with self._lock:
            self.context.calls_elsewhere += told.api_calls
        for each in told.waits:
            self.context.tell(each)
        for warning in told.warnings:
            self.context.warn(warning, stream)
        if told.error is not None:
            raise told.error
        assert told.landed is not None
        return told.landed


@contextmanager
def readers_of(context: Context) -> Iterator[Readers]:
    """How this run reads its slices; inside the block no worker outlives the run's threads."""
    name = context.pipeline.executor
    if name == "threads":
        yield Here(context)
        return
    workers = context.pipeline.workers
    readers = Elsewhere(context, _engine(name), workers, context.seams.random(4).hex())
    try:
        yield readers
    finally:
        readers.engine.close()
        readers.clear()


def _engine(name: str) -> Engine:
    if name == "processes":
        from syncline.pipelines.processes import Processes

        return Processes()
    from syncline.pipelines.dask_engine import Dask, address_of

    return Dask(address_of(name))
