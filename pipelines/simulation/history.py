"""A history: what happens, step by step. Each step carries its own seed, so that one may be left out and the others
stay what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, TypeAlias

from syncline.pipelines.simulation.process import KINDS

StepKind: TypeAlias = Literal[
    "change", "wait", "run", "reload", "overlap", "back up warehouse", "restore warehouse", "lose state",
    "lose landing", "skew",
]  # fmt: skip

WAITS_S = (61, 130, 305, 3_600, 20_000, 86_400, 2 * 86_400)
OPERATIONS_USUAL = 90
"""About as many as a run of two streams has; faults beyond a run's end do not strike."""

FAULT_COUNTS = (0, 0, 0, 1, 1, 1, 2, 4)
DAMAGE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Step:
    """``faults`` go by operation and ``during`` by operation and seed; of an overlap, alternately to its runs."""

    kind: StepKind
    seed: int
    what: str = ""
    faults: tuple[tuple[int, str], ...] = ()
    during: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        text = f"{self.kind} {self.what}".strip()
        if self.faults:
            text += "; faults: " + ", ".join(f"{kind} at {at}" for at, kind in self.faults)
        if self.during:
            text += "; meanwhile a change at " + ", ".join(str(at) for at, _ in self.during)
        return text

    def smaller(self) -> list[Step]:
        """The same step with one fault or one change less."""
        without = [replace(self, faults=self.faults[:i] + self.faults[i + 1 :]) for i in range(len(self.faults))]
        quiet = [replace(self, during=self.during[:i] + self.during[i + 1 :]) for i in range(len(self.during))]
        return [*without, *quiet]


@dataclass(frozen=True, slots=True)
class History:
    """``house`` and ``state`` name where the copy and the mirror live."""

    seed: int
    house: Literal["memory", "duckdb"]
    state: Literal["memory", "sqlite"]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        lines = [f"{number}. {step}" for number, step in enumerate(self.steps, 1)]
        return f"seed {self.seed}, warehouse {self.house}, state {self.state}\n" + "\n".join(lines)


def draw_history(seed: int, changes: Sequence[str], damages: Sequence[str]) -> History:
    """A history of some days or weeks: runs at all distances, among whatever may happen."""
    random = Random(f"history {seed}")
    steps: list[Step] = [_run(random, damages, "run")] if random.random() < 0.8 else []
    for _ in range(random.randrange(2, 6)):
        steps += [Step("change", random.getrandbits(32), random.choice(changes)) for _ in range(random.randrange(4))]
        steps.append(Step("wait", random.getrandbits(32), str(random.choice(WAITS_S))))
        if random.random() < 0.25:
            steps.append(_accident(random))
        steps.append(_run(random, damages, random.choices(("run", "overlap", "reload"), (8, 2, 1))[0]))
    house: Literal["memory", "duckdb"] = "duckdb" if seed % 10 == 0 else "memory"
    return History(seed, house, "sqlite" if seed % 4 == 1 else "memory", tuple(steps))


def _accident(random: Random) -> Step:
    kinds: tuple[StepKind, ...] = (
        "back up warehouse", "restore warehouse", "restore warehouse", "lose state", "lose landing", "skew",
    )  # fmt: skip
    return Step(random.choice(kinds), random.getrandbits(32))


def _run(random: Random, damages: Sequence[str], kind: StepKind) -> Step:
    faults = []
    for _ in range(random.choice(FAULT_COUNTS)):
        kinds = damages if random.random() < DAMAGE_SHARE else KINDS
        faults.append((random.randrange(OPERATIONS_USUAL), random.choice(kinds)))
    during = [(random.randrange(OPERATIONS_USUAL), random.getrandbits(32)) for _ in range(random.choice((0, 0, 1, 3)))]
    return Step(kind, random.getrandbits(32), faults=tuple(sorted(faults)), during=tuple(sorted(during)))
