"""One history played through the whole pipeline, with every law looked at on the way.

::

    source (in process) ─▶ landing (memory) ─▶ warehouse (memory, or DuckDB in memory)
            │                    │                     │             state (memory, or SQLite)
            └────────────────────┴── operations ───────┴──────────────────┘
                          each may fail, be the last, take long, happen twice

What outlives a kill is here: the source, the landing's objects, the warehouse, the state. Everything else is made anew
for each process. Time is the source's clock, and only the simulation moves it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Literal

from obstore.store import MemoryStore

from syncline.connectors.errors import SynclineError
from syncline.connectors.secret import forgetting
from syncline.pipelines import runner
from syncline.pipelines.context import Seams
from syncline.pipelines.events import Event
from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.report import RunReport
from syncline.pipelines.simulation.history import History, Step
from syncline.pipelines.simulation.houses import DuckHouse, House, MakeHouse, Mark, MemoryHouse
from syncline.pipelines.simulation.laws import LONG_AGO, Book, require_given_back, require_loud
from syncline.pipelines.simulation.process import Crashed, Killed, LawBroken, Process, Tally
from syncline.pipelines.simulation.seams import Seals, SteppedState, SteppedStore
from syncline.pipelines.simulation.source import Source
from syncline.pipelines.simulation.turns import Turns
from syncline.sinks.landing import Landing
from syncline.sinks.object_store import BucketStore
from syncline.state.lease import Claim
from syncline.state.memory import MemoryState
from syncline.state.sqlite import SqliteState
from syncline.state.store import Remembered

PIPELINE = "simulated"
DELETE_SHARE_MAX = 0.5
QUIET_PAUSE_S = 100.0
"""So short that runs with nothing new read the last rows again, in their overlap."""

QUIET_RUNS_MAX = 3
"""The latest run with nothing new that must be idle: a whole read has no need of the delete log, so the one after it
may still have rows, and the one after that knows them."""


class Quiet:
    """Events that nobody looks at."""

    def emit(self, event: Event) -> None: ...


class Simulation:
    """A context manager: ``play`` the history, then ``finish``. Both raise LawBroken.

    ``make_house`` makes another warehouse than the history's.
    """

    def __init__(self, history: History, source: Source, make_house: MakeHouse | None = None) -> None:
        self.history = history
        self.source = source
        self.tally = Tally(histories=1)
        self.told: list[str] = []
        self.operations: list[tuple[str, ...]] = []
        self._random = Random(f"process {history.seed}")
        self.turns = Turns(Random(f"turns {history.seed}"))
        self._skew = timedelta()
        self._broken: LawBroken | None = None
        self._restored = False
        self._reload_broke_off = False
        self._beside = False
        self._lost: set[str] = set()
        """What only a state knew of that is gone, or a process that died before the state was told."""
        self._kept: object = None
        self._files = ExitStack()
        self._files.enter_context(forgetting())  # each text is scrubbed of every secret: of thousands of histories'
        self._new_landing()
        self._new_state()
        make_house = make_house or (DuckHouse if history.house == "duckdb" else MemoryHouse)
        self.house: House = make_house(PIPELINE, source.key, lambda: source.secrets)
        self.book = Book(source, DELETE_SHARE_MAX)

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.close()

    # --- surroundings of a process

    def now(self) -> datetime:
        return self.source.now()

    def clock(self) -> datetime:
        """The clock of the machine the program runs on."""
        return self.source.now() + self._skew

    def pass_time(self, seconds: float) -> None:
        self.source.advance(seconds)

    def note(self, broken: LawBroken) -> None:
        self._broken = self._broken or broken

    def happen(self, seed: int) -> None:
        random = Random(seed)
        self._tell("meanwhile " + self.source.change(random.choice(self.source.changes), random))
        self.tally.changes += 1

    # --- a history

    def play(self) -> None:
        for step in self.history.steps:
            self.do(step)

    def do(self, step: Step) -> None:
        random = Random(step.seed)
        if step.kind == "change":
            self._tell(self.source.change(step.what, random))
            self.tally.changes += 1
        elif step.kind == "wait":
            self.source.advance(float(step.what))
        elif step.kind in ("run", "reload"):
            self._attempt(self._process(step), random)
        elif step.kind == "overlap":
            self._overlap(step, random)
        else:
            self._accident(step.kind, random)

    def finish(self) -> None:
        """The faults have ended: one run succeeds, and target = org; nothing is left over; then runs are idle."""
        self._skew = timedelta()
        self._outwait_lease()
        self.source.settle()
        self.run_well()
        self.book.check_equal(self.house.look())
        if self._reload_broke_off:
            self.run_well("reload")
            self.run_well()  # a reload that goes on with an old snapshot moves the watermark back to it
            self.book.check_equal(self.house.look())
        self._check_leftovers()
        self._require_idle()
        self.book.check_equal(self.house.look())

    def _outwait_lease(self) -> None:
        """Processes that were killed on a machine whose clock was fast have left leases that stand until that time."""

        def wait(claim: Claim | None) -> Claim | None:
            if claim is not None and not claim.spent:
                self.source.advance(max(0.0, (claim.until - self.source.now()).total_seconds()))
            return claim

        for each in (PIPELINE, f"{PIPELINE}.reload"):
            self._state.swap(each, wait)

    def _require_idle(self) -> None:
        for _ in range(QUIET_RUNS_MAX):
            self.source.advance(QUIET_PAUSE_S)
            report = self.run_well()
            if report.status == "idle" and not report.warehouse_statements:
                return
        what = f"nothing was new, and the run is {report.status} after {report.warehouse_statements} statements"
        raise LawBroken("IDLE-IS-FREE", what)

    def run_well(self, kind: Literal["run", "reload"] = "run") -> RunReport:
        """A run, or a reload of every stream, that nothing disturbs; it must succeed."""
        process = Process(self, kind)
        report = self.run(process, Random(f"well {self.history.seed} {self.tally.runs}"), allow_deletes=True)
        if isinstance(report, BaseException):
            raise Crashed(f"a run that nothing disturbed failed: {report!r}") from report
        return report

    # --- a run

    def run(self, process: Process, random: Random, *, allow_deletes: bool = False) -> RunReport | BaseException:
        """One process from its start to its end; what it reports, or what it dies of."""
        self.tally.runs += 1
        started = self.source.now()
        marks_before = dict(self.book.seen.marks)
        options: dict[str, Any] = {"events": Quiet(), "allow_deletes": allow_deletes, "seams": self._seams(random)}
        pipeline = self._pipeline(process, random, allow_deletes)
        outcome: RunReport | BaseException
        try:
            if process.kind == "reload":
                names = [stream.name for stream in self.source.streams]
                chosen = names if allow_deletes else [random.choice(names)]
                outcome = runner.reload(pipeline, streams=chosen, **options)
            else:
                outcome = runner.run(pipeline, **options)
        except (SynclineError, Killed) as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - any other error is a defect, and is told as one
            outcome = error
            if self._broken is None:
                self._broken = error if isinstance(error, LawBroken) else _unforeseen(error)
        process.end()
        self.operations.append(tuple(process.log))
        self._tell(f"{process.kind}: {_word(outcome)}" + "".join(f"\n     {each}" for each in process.struck))
        if self._broken is not None:
            raise self._broken
        if isinstance(outcome, SynclineError):
            require_loud(outcome)
        if not isinstance(outcome, RunReport):
            process.broke_off = True
            self._reload_broke_off |= process.kind == "reload"
            left = set(self.source.leftovers())
            if id(process) in self._elsewhere:
                self._lost |= left
            elif process.forgetful:
                known = [*(text for _, text in process.remembered), *process.recalled]
                self._lost |= {each for each in left if not _named(each, known)}
        else:
            self._check_success(outcome, started, marks_before)
        return outcome

    def _attempt(self, process: Process, random: Random) -> None:
        self.run(process, random)

    def _overlap(self, step: Step, random: Random) -> None:
        """Two runs at once, or a run and a reload; every other time from machines that share no state."""
        kinds = random.choice((("run", "run"), ("run", "reload")))
        processes = [
            Process(self, kind, dict(step.faults[i::2]), dict(step.during[i::2]))  # type: ignore[arg-type]
            for i, kind in enumerate(kinds)
        ]
        shared = random.random() < 0.5
        seeds = [random.getrandbits(32) for _ in processes]

        def work(process: Process, seed: int, alone: bool) -> None:
            if alone:
                self._elsewhere.add(id(process))
            self.run(process, Random(seed))

        works = [
            (lambda process=process, seed=seed, i=i: work(process, seed, i > 0 and not shared))
            for i, (process, seed) in enumerate(zip(processes, seeds, strict=True))
        ]
        self._beside = True
        outcomes = self.turns.beside(works)
        self._beside = False
        for process in processes:
            seen = [text for each in processes if each is not process for text in each.recalled]
            self._excuse_overwritten(process, seen)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def _excuse_overwritten(self, process: Process, seen: Sequence[str]) -> None:
        """A lease ran out, and two processes wrote one state: what one that then died or broke off had told, to be gone
        on with, the other, which had not ``seen`` it, has overwritten."""
        marks = (mark for scope in (PIPELINE, f"{PIPELINE}.reload") for mark in self._state.recall(scope).values())
        known = [*seen, *(json.dumps(mark.checkpoint) for mark in marks)]
        left = self.source.leftovers() if process.broke_off else ()
        told = dict(process.remembered).values()
        self._lost |= {each for each in left if _named(each, told) and not _named(each, known)}

    def _process(self, step: Step) -> Process:
        kind = "reload" if step.kind == "reload" else "run"
        return Process(self, kind, dict(step.faults), dict(step.during))  # type: ignore[arg-type]

    def _pipeline(self, process: Process, random: Random, allow_deletes: bool) -> Pipeline:
        def watch() -> None:
            if self.book.look(self.house.look(), process, allow_deletes):
                self.tally.commits += 1
                self._restored = False

        def secrets() -> Sequence[str]:
            return self.source.secrets

        store = SteppedStore(self._store, process, self._seals, secrets)
        inner = self._state
        if id(process) in self._elsewhere:
            inner = MemoryState(clock=self.clock, random=random.randbytes)
        connector = self.source.connect(process, random)
        digest_rows_max = random.choice((20_000, 20_000, 4)) if not allow_deletes else 20_000
        return Pipeline(
            PIPELINE,
            connector,
            self.source.streams,
            landing=Landing.over(store, random=random.randbytes, pool=self.turns.pool),
            warehouse=self.house.open(process, self.clock, watch),
            state=SteppedState(inner, inner, process, self.clock, random.randbytes, secrets, digest_rows_max),
            workers=2,
            delete_share_max=DELETE_SHARE_MAX,
            digest_rows_max=digest_rows_max,
        )

    def _seams(self, random: Random) -> Seams:
        return Seams(self.clock, self.pass_time, random.randbytes, self.turns.pool, self.turns.wait)

    # --- what goes wrong around it

    def _accident(self, kind: str, random: Random) -> None:
        self._tell(kind)
        if kind == "lose state":
            self._lost |= set(self.source.leftovers())
        if kind == "back up warehouse":
            self._kept = self.house.keep()
        elif kind == "restore warehouse" and self._kept is not None:
            self.house.restore(self._kept)
            self.book.seen = self.house.look()
            self._restored = True
        elif kind == "lose state":
            self._new_state()
        elif kind == "lose landing":
            self._new_landing()
        elif kind == "skew":
            self._skew = timedelta(seconds=random.choice((-7_200, -90, 0, 90, 7_200)))

    def _new_state(self) -> None:
        self._elsewhere: set[int] = set()
        if self.history.state == "memory":
            self._state: Any = MemoryState(clock=self.clock, random=self._random.randbytes)
            return
        folder = self._files.enter_context(tempfile.TemporaryDirectory(dir=_quick_folder()))
        self._state = SqliteState(Path(folder) / "state.db", clock=self.clock, random=self._random.randbytes)

    def _new_landing(self) -> None:
        self._store = BucketStore(MemoryStore(), "memory://simulated")
        self._seals = Seals()

    # --- looking

    def _check_success(self, report: RunReport, started: datetime, before: Mapping[str, Mark]) -> None:
        """A run that says it has succeeded has: its streams stand at its horizon, and what that claims is there."""
        found = self.house.look()
        mirror = self._state.recall(PIPELINE)
        for stream in self.source.streams:
            mark, known = found.marks.get(stream.name), mirror.get(stream.name)
            if mark is None or report.kind == "reload":
                continue
            self._check_reached(report, stream.name, mark, known)
            self.book.check_claim(stream.name, mark, found.rows.get(stream.target, {}), "ROWS-THEN-MARK")
            if known is None or known.watermark is None or self._restored or known.version != mark.version:
                continue
            claimed = Mark(known.watermark, known.version, known.run_id, known.columns)
            self.book.check_claim(stream.name, claimed, found.rows.get(stream.target, {}), "COMPLETE-WINDOW")

    def _check_reached(self, report: RunReport, stream: str, mark: Mark, known: Remembered | None) -> None:
        """A run that says it has committed has, or the mirror of that very version says that nothing was new since.

        Another run beside it may have moved the mark back again.
        """
        window = report.streams[stream].window
        if report.status != "done" or window is None or self._beside or mark.watermark is None:
            return
        idle = known is not None and known.version == mark.version and (known.watermark or LONG_AGO) >= window.high
        if mark.watermark < window.high and not idle:
            what = f"the run is done up to {window.high}, and {stream} stands at {mark.watermark}"
            raise LawBroken("KNOWN-OUTCOME", what)

    def _check_leftovers(self) -> None:
        left = {*self.source.leftovers(), *self.house.leftovers()} - self._lost
        if left:
            raise LawBroken("nothing outlives the next run", ", ".join(sorted(left)))
        self._state.swap(PIPELINE, require_given_back)

    def _tell(self, text: str) -> None:
        self.told.append(f"{self.source.now():%d %H:%M:%S}  {text}")


def _unforeseen(error: Exception) -> LawBroken:
    broken = Crashed(f"not one of the tree's errors: {error!r}")
    broken.__cause__ = error
    return broken


def _named(leftover: str, texts: Iterable[str]) -> bool:
    """Whether the last word of what was left over, which is its id, stands in one of the texts."""
    return any(leftover.split()[-1] in text for text in texts)


def _word(outcome: RunReport | BaseException) -> str:
    if isinstance(outcome, RunReport):
        return outcome.status
    return f"{type(outcome).__name__} {str(outcome).splitlines()[0][:150]}"


def _quick_folder() -> str | None:
    """Memory where the system offers a folder in it: SQLite syncs every transaction."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
