"""The org's own clock: real or frozen, steerable by tests, never going backwards.

Every stamp, ``Date`` header, expiry and job follows it. Inside the sandbox an instant is an ``int`` of milliseconds
since 1970 UTC; on the wire it is text whose order is the order of time.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime, cut (not rounded) to the millisecond."""
    if instant.utcoffset() is None:
        raise ValueError("an instant is an aware datetime")
    return (instant - EPOCH) // timedelta(milliseconds=1)


def from_ms(at_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=at_ms)


def wire_text(at_ms: int) -> str:
    """The stored and Bulk form, ``2024-01-15T12:00:00.000Z``."""
    return from_ms(at_ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def rest_text(at_ms: int) -> str:
    """The REST form, ``2024-01-15T12:00:00.000+0000``."""
    return wire_text(at_ms)[:-1] + "+0000"


def http_date(at_ms: int) -> str:
    return format_datetime(from_ms(at_ms), usegmt=True)


class Clock:
    """Real time until frozen; ``advance`` moves it in both states.

    Things that are to happen at an instant are scheduled with ``at``; ``settle`` runs those that are due, in the order
    of time, each seeing its own instant as now.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._frozen_ms: int | None = None if start is None else to_ms(start)
        self._offset_ms = 0
        self._now_ms: int | None = None
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = itertools.count()

    @property
    def frozen(self) -> bool:
        return self._frozen_ms is not None

    def now_ms(self) -> int:
        if self._now_ms is not None:
            return self._now_ms
        if self._frozen_ms is not None:
            return self._frozen_ms
        return time.time_ns() // 1_000_000 + self._offset_ms

    def now(self) -> datetime:
        return from_ms(self.now_ms())

    def freeze(self, at: datetime | None = None) -> datetime:
        """Stops the clock, now or at a later instant."""
        wanted_ms = self.now_ms() if at is None else to_ms(at)
        if wanted_ms < self.now_ms():
            raise ValueError("the clock never goes backwards")
        self._frozen_ms = wanted_ms
        return self.now()

    def thaw(self) -> datetime:
        """Lets the clock run on from where it stands."""
        if self._frozen_ms is not None:
            self._offset_ms = self._frozen_ms - time.time_ns() // 1_000_000
            self._frozen_ms = None
        return self.now()

    def advance(self, seconds: float) -> datetime:
        if seconds < 0:
            raise ValueError("the clock never goes backwards")
        if self._frozen_ms is not None:
            self._frozen_ms += round(seconds * 1000)
        else:
            self._offset_ms += round(seconds * 1000)
        return self.now()

    def at(self, at_ms: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at_ms, next(self._sequence), action))

    def settle(self) -> None:
        """Runs every scheduled action that is due."""
        until_ms = self.now_ms()
        while self._due and self._due[0][0] <= until_ms:
            at_ms, _, action = heapq.heappop(self._due)
            self._now_ms = at_ms
            try:
                action()
            finally:
                self._now_ms = None
