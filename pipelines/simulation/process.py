"""One execution of the program as the simulation sees it: its operations in order, and the faults that strike them.

Every call that leaves the program is an operation of one of four seams: a request to the source, a call of the object
store, a call of the state store, a statement of the warehouse. The n-th operation of a process can fail before it
happened or after it, take long, happen twice, or be the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias, TypeVar

from syncline.pipelines.simulation.turns import Turns

T = TypeVar("T")

Seam: TypeAlias = Literal["source", "landing", "state", "warehouse"]
Kind: TypeAlias = Literal["before", "after", "kill", "slow", "twice"]
"""``before``: an error, and it did not happen. ``after``: it happened, the reply is lost. ``kill``: it happened, and
nothing after it runs. ``slow``: it takes minutes. ``twice``: it happens twice, and the second reply is the one seen."""

KINDS: tuple[Kind, ...] = ("before", "after", "kill", "slow", "twice")
SLOW_S = (20.0, 150.0, 290.0, 700.0)
"""Within a lease, beyond it, just within a read's timeout, and beyond that."""

OPERATIONS_MAX = 4_000
"""BOUNDED: no run of a simulation's few records may take more."""

LASTS_MAX = timedelta(hours=6)
"""BOUNDED: nor longer, with every wait that a source, a warehouse or a fault may cost it."""


class Killed(BaseException):
    """The process died here. No code may catch it; what it holds in memory is gone."""


class LawBroken(AssertionError):
    """A law does not hold: which, and where it shows."""

    def __init__(self, law: str, what: str) -> None:
        super().__init__(f"{law}: {what}")
        self.law = law
        self.what = what


class Crashed(LawBroken):
    """A run ended where no law asked for it: LOUD, and no proof that any other law is looked at."""

    def __init__(self, what: str) -> None:
        super().__init__("LOUD", what)


@dataclass(slots=True)
class Tally:
    """What was tried."""

    operations: int = 0
    faults: int = 0
    kills: int = 0
    runs: int = 0
    commits: int = 0
    changes: int = 0
    histories: int = 0

    def add(self, other: Tally) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, name):,} {name}" for name in self.__slots__)


class Surroundings(Protocol):
    """What a process is told by and tells."""

    turns: Turns
    tally: Tally

    def now(self) -> datetime:
        """The source's clock."""
        ...

    def pass_time(self, seconds: float) -> None: ...

    def note(self, broken: LawBroken) -> None:
        """A law does not hold."""
        ...

    def happen(self, seed: int) -> None:
        """Something happens at the source, meanwhile."""
        ...


@dataclass(slots=True)
class Process:
    """``faults`` and ``during`` (what happens at the source meanwhile, by seed) go by the operation's number.
    ``remembered`` is what the state was told of each stream's unfinished reading, ``recalled`` what it told of them."""

    around: Surroundings
    kind: Literal["run", "reload"] = "run"
    faults: Mapping[int, str] = field(default_factory=dict)
    during: Mapping[int, int] = field(default_factory=dict)
    count: int = 0
    dead: bool = False
    killed: bool = False
    broke_off: bool = False
    began: datetime | None = None
    log: list[str] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)
    remembered: list[tuple[str, str]] = field(default_factory=list)
    recalled: list[str] = field(default_factory=list)
    endings: list[Callable[[], object]] = field(default_factory=list)

    def operate(
        self,
        seam: Seam,
        name: str,
        work: Callable[[], T],
        fails: Callable[[str], BaseException],
        *,
        repeatable: bool = True,
        alone: bool = False,
    ) -> T:
        """``work()`` as one operation; ``fails`` makes the seam's own error from a cause; ``alone`` as in ``enter``."""
        kind, number = self.enter(seam, name, alone=alone)
        if kind == "before":
            raise fails("injected, before it happened")
        if kind == "slow":
            self.around.pass_time(SLOW_S[number % len(SLOW_S)])
        result = self._checked(work)
        if kind == "twice" and repeatable:
            result = self._checked(work)
        if kind == "kill":
            self.die()
        if kind == "after":
            raise fails("injected, after it happened: the reply is lost")
        return result

    def _checked(self, work: Callable[[], T]) -> T:
        """Whatever the program makes of it afterwards, a broken law is known."""
        try:
            return work()
        except LawBroken as broken:
            self.around.note(broken)
            raise

    def enter(self, seam: Seam, name: str, *, alone: bool = False) -> tuple[str | None, int]:
        """Counts the operation; which fault strikes it, and its number.

        ``alone``: no other thread goes on meanwhile, because the caller holds a lock that others wait for.
        """
        if not alone:
            self.around.turns.step()
        if self.dead:
            raise Killed(name)
        number = self.count
        self.count += 1
        self.around.tally.operations += 1
        self.log.append(f"{seam}: {name}")
        self._require_bounded(name)
        if (seed := self.during.get(number)) is not None:
            self.around.happen(seed)
        kind = self.faults.get(number)
        if kind is not None:
            self.around.tally.faults += 1
            self.struck.append(f"{kind} at operation {number}, {seam}: {name}")
        return kind, number

    def _require_bounded(self, name: str) -> None:
        now = self.around.now()
        self.began = self.began or now
        if self.count <= OPERATIONS_MAX and now - self.began <= LASTS_MAX:
            return
        what = f"a run of few records is at operation {self.count} after {now - self.began}: {name}"
        broken = LawBroken("BOUNDED", what)
        self.around.note(broken)
        raise broken

    def die(self) -> None:
        self.dead = self.killed = True
        self.around.tally.kills += 1
        raise Killed(self.log[-1])

    @property
    def forgetful(self) -> bool:
        """Whether the state once was not told, and the process died before it could put that right."""
        return self.killed and any(each.startswith("before") and "state: remember" in each for each in self.struck)

    def end(self) -> None:
        """What the system does when a process is gone: its connections break."""
        self.dead = True
        for ending in self.endings:
            ending()
