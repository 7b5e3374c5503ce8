"""Asking a run to stop: Ctrl-C and SIGTERM become one flag that is looked at where stopping is safe."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from syncline.connectors.errors import Stopped


class StopSignal:
    """A flag that is raised once. Code that may wait long registers how to be woken.

    The first signal asks; a run then ends cleanly within seconds. A second one falls back to Python's own handling, so
    that a user who insists is obeyed.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._wakers: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def request(self) -> None:
        self._event.set()
        for wake in list(self._wakers):
            wake()

    def check(self) -> None:
        """Raises Stopped if the flag is up."""
        if self._event.is_set():
            raise Stopped("run", "the run", "a stop was asked for", "run again: it goes on where this one ended")

    def wait(self, seconds: float) -> None:
        """Waits, but no longer than until the flag is raised; then raises Stopped."""
        self._event.wait(seconds)
        self.check()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Calls ``wake`` when a stop is asked for inside the block."""
        self._wakers.append(wake)
        try:
            if self.requested:
                wake()
            yield
        finally:
            self._wakers.remove(wake)

    @contextmanager
    def installed(self) -> Iterator[StopSignal]:
        """Handles SIGINT and SIGTERM inside the block; only the main thread may call this."""
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in signals}

        def handle(number: int, frame: FrameType | None) -> None:
            for each, handler in before.items():
                signal.signal(each, handler)
            # Wakers close sockets and take locks: not inside a handler that may have interrupted their holder.
            threading.Thread(target=self.request, name="syncline-stop", daemon=True).start()

        for number in signals:
            signal.signal(number, handle)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
