"""What the simulations of this folder are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

from syncline.pipelines.simulation.history import History, Step
from syncline.pipelines.simulation.practice_org import PracticeOrg

START: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)


def practice_org(seed: int) -> PracticeOrg:
    return PracticeOrg(seed, START)


def reference(
    house: Literal["memory", "duckdb"] = "memory",
    state: Literal["memory", "sqlite"] = "memory",
    faults: tuple[tuple[int, str], ...] = (),
) -> History:
    """A first run, then changes of every kind, then the run that faults strike."""
    steps = (
        Step("run", 1),
        Step("change", 2, "update"),
        Step("change", 3, "delete"),
        Step("change", 4, "insert"),
        Step("wait", 5, "300"),
        Step("run", 6, faults=faults),
        Step("wait", 7, "600"),
    )
    return History(0, house, state, steps)
