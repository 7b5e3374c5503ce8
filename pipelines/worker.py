"""What a worker process does: it makes connector and landing by their recipes, lands one slice, and tells.

Nothing is remembered, sealed or committed here; the run's own process does that with what it is told. So a worker may
be killed at any instruction, and the same order may be carried out twice: what counts is the one ``Told`` that the run
takes (SEALED-MANIFEST).
"""

from __future__ import annotations

import os
import threading
import traceback
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import syncline
from syncline.connectors import errors
from syncline.connectors.connector import Json, Portable, Wait
from syncline.connectors.errors import ConfigError, SourceBusy, SynclineError
from syncline.connectors.recipe import Recipe, make
from syncline.connectors.secret import scrub
from syncline.pipelines.checkpoint import LandedSlice
from syncline.pipelines.slices import SliceWork, land
from syncline.sinks.landing import Landing

PARTS_KEPT_MAX = 4
"""Connectors that a worker keeps between orders: it signs in once a run. A worker may serve several runs at once."""

WAITS_TOLD_MAX = 100


@dataclass(frozen=True, slots=True)
class Order:
    """One slice to be landed by a worker. Holds no secrets: recipes name what is read there (NO-SECRETS).

    ``run`` tells runs apart; a connector is kept for one. ``version`` is of the program that gives the order.
    """

    work: SliceWork
    source: Recipe
    landing: Recipe
    briefing: Json
    run: str
    version: str = syncline.__version__


@dataclass(frozen=True, slots=True)
class Told:
    """What became of an order: ``landed`` or ``error``, and what the run's report and log must have.

    ``api_calls`` are those since this worker's last one for the same run.
    """

    landed: LandedSlice | None
    error: SynclineError | None
    api_calls: int = 0
    warnings: tuple[str, ...] = ()
    waits: tuple[Wait, ...] = ()


@dataclass(slots=True)
class Parts:
    """One run's connector and landing in this process."""

    source: Any
    landing: Landing
    users: int = 0
    calls_told: int = 0
    waits: deque[Wait] = field(default_factory=lambda: deque(maxlen=WAITS_TOLD_MAX))

    def news(self) -> tuple[int, tuple[Wait, ...]]:
        """Requests and waits that nobody was told of yet."""
        calls, told = self.source.api_calls, self.calls_told
        self.calls_told = calls
        waits = []
        while self.waits:
            waits.append(self.waits.popleft())
        return calls - told, tuple(waits)


_parts: dict[tuple[str, str, str], Parts] = {}
_lock = threading.RLock()


def carry_out(order: Order) -> Told:
    """Lands the order's slice. Never raises: an error is told, in a form that any process can read."""
    try:
        parts = _take(order)
    except Exception as error:  # noqa: BLE001 this is the boundary of a process
        return Told(None, plain(error, order))
    landed: LandedSlice | None = None
    failed: SynclineError | None = None
    warnings: tuple[str, ...] = ()
    try:
        source: Portable = parts.source
        reader = source.reader(order.work.task.schema, order.work.task.window, order.briefing)
        landed = land(order.work, parts.landing, reader.read(order.work.slice))
        warnings = tuple(reader.warnings)
    except Exception as error:  # noqa: BLE001 as above
        failed = plain(error, order)
    with _lock:
        parts.users -= 1
        calls, waits = parts.news()
    return Told(landed, failed, calls, warnings, waits)


def plain(error: Exception, order: Order) -> SynclineError:
    """The error as one of the tree's own classes, which every process has; secrets of this one are scrubbed here,
    where they are known (NO-SECRETS)."""
    if not isinstance(error, SynclineError):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        object = f"{order.work.task.schema.name}, {order.work.slice.id}"
        cause = f"unexpected {type(error).__name__} in a worker, at {Path(frame.filename).name}:{frame.lineno}"
        return SynclineError("read slice", object, cause, "report it with the run id; executor='threads' tells more")
    kind = next(each for each in type(error).__mro__ if each.__module__ == errors.__name__)
    told = kind(*(scrub(text) for text in (error.operation, error.object, error.cause, error.hint)))
    if isinstance(told, SourceBusy) and isinstance(error, SourceBusy):
        told.retry_after_s = error.retry_after_s
    assert isinstance(told, SynclineError)
    return told


def _take(order: Order) -> Parts:
    key = (order.run, order.source.text, order.landing.text)
    with _lock:
        if key not in _parts:
            _require_version(order)
            _close_idle()
            _parts[key] = _make(order)
        parts = _parts[key]
        parts.users += 1
        return parts


def _make(order: Order) -> Parts:
    parts = Parts(make(order.source), make(order.landing))
    if (on_wait := getattr(parts.source, "on_wait", None)) is not None:
        on_wait(parts.waits.append)
    return parts


def _close_idle() -> None:
    """Oldest first, so that a worker that serves one run after another keeps few connections."""
    for key in [key for key, parts in _parts.items() if not parts.users]:
        if len(_parts) >= PARTS_KEPT_MAX:
            _parts.pop(key).source.close()


def _require_version(order: Order) -> None:
    if order.version != syncline.__version__:
        raise ConfigError(
            "read slice",
            f"worker, process {os.getpid()}",
            f"it runs Syncline {syncline.__version__}, the run {order.version}",
            "install the same version for the workers and the run",
        )
