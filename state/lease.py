"""How a lease is taken, renewed and given back, over any store that can swap one claim for another at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

from syncline.connectors.errors import LeaseHeld, SynclineError
from syncline.state.holder import Holder, is_dead, this_process

Clock: TypeAlias = Callable[[], datetime]
Random: TypeAlias = Callable[[int], bytes]

_log = logging.getLogger(__name__)


SPENT = datetime.min.replace(tzinfo=UTC)
"""Until when a lease stands that was given back. The claim stays: a run that slept past its lease must find out that
others were there meanwhile, also when they have gone."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease as it stands in a store: who holds it, since when, until when; ``token`` is the holder's mark."""

    token: str
    holder: Holder
    since: datetime
    until: datetime

    def stands(self, now: datetime) -> bool:
        """Whether others must respect it: it has not run out, and its process is not known to be gone."""
        return self.until > now and not is_dead(self.holder)

    @property
    def spent(self) -> bool:
        """Whether its holder gave it back."""
        return self.until == SPENT

    def refusal(self, operation: str, pipeline: str) -> LeaseHeld:
        until = "and gave it back" if self.spent else f"until {_shown(self.until)}"
        verb = "took" if self.spent else "holds"
        cause = f"another run {verb} the lease: {self.holder}, since {_shown(self.since)}, {until}"
        hint = "wait for that run to end, or stop that process; a lease that is not renewed runs out by itself"
        return LeaseHeld(operation, pipeline, cause, hint)


def _shown(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class Claims(Protocol):
    """What a store offers: compare-and-set on the claim of a pipeline."""

    def swap(self, pipeline: str, decide: Callable[[Claim | None], Claim | None]) -> None:
        """Replaces the claim by what ``decide`` makes of it, before anyone else can look.

        ``decide`` is given ``None`` where nobody ever held the lease; returns ``None``, or the very claim it was given,
        to leave everything as it is; and may be asked more than once. What it raises is passed on, and leaves the
        claim as it is, too.
        """
        ...


class HeldLease:
    """A lease this process holds; safe to renew from another thread."""

    def __init__(self, claims: Claims, pipeline: str, ttl_s: float, clock: Clock, token: str) -> None:
        self._claims = claims
        self._pipeline = pipeline
        self._ttl = timedelta(seconds=ttl_s)
        self._clock = clock
        self._held = True
        self._lock = threading.Lock()
        now = clock()
        self._claim = Claim(token, this_process(), now, now + self._ttl)
        claims.swap(pipeline, self._taken)

    def renew(self) -> None:
        """Extends the lease by its time to live; one that ran out and that nobody took is held again.

        Raises:
            LeaseHeld: another run took it, even if it has given it back since.
        """
        with self._lock:
            if self._held:
                self._claim = replace(self._claim, until=self._clock() + self._ttl)
                self._claims.swap(self._pipeline, self._renewed)

    def release(self) -> None:
        with self._lock:
            self._held = False
            try:
                self._claims.swap(self._pipeline, self._released)
            except SynclineError as error:
                _log.warning("the lease runs out by itself; it could not be given back: %s", error)

    def _taken(self, held: Claim | None) -> Claim:
        if held is not None and held.stands(self._clock()):
            raise held.refusal("take lease", self._pipeline)
        return self._claim

    def _renewed(self, held: Claim | None) -> Claim:
        if held is not None and held.token != self._claim.token:
            raise held.refusal("renew lease", self._pipeline)
        return self._claim

    def _released(self, held: Claim | None) -> Claim | None:
        return replace(held, until=SPENT) if held is not None and held.token == self._claim.token else held


@contextmanager
def hold(claims: Claims, pipeline: str, ttl_s: float, clock: Clock, random: Random) -> Iterator[HeldLease]:
    """Takes the lease at once or raises LeaseHeld; gives it back on the way out."""
    lease = HeldLease(claims, pipeline, ttl_s, clock, random(16).hex())
    try:
        yield lease
    finally:
        lease.release()
