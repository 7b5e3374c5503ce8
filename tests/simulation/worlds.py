"""What the simulations of this folder are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from syncline.pipelines.simulation.history import History, Step
from syncline.pipelines.simulation.practice_org import PracticeOrg

BULK, REST = 7, 6
"""Seeds of a run that reads by Bulk, and of one that reads by REST in pages of three rows."""

CHANGES: Final = ((2, "update"), (3, "delete"), (4, "insert"), (10, "tie"), (11, "delete"))
"""Rows and deletes in both streams, and several versions of a record within one second."""

House: TypeAlias = Literal["memory", "duckdb"]

START: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)


def practice_org(seed: int) -> PracticeOrg:
    return PracticeOrg(seed, START)


def reference(
    house: House = "memory",
    state: Literal["memory", "sqlite"] = "memory",
    faults: tuple[tuple[int, str], ...] = (),
    by: int = BULK,
    wait_s: int = 300,
) -> History:
    """A first run, then changes, then the run that faults strike."""
    changes = (Step("change", seed, what) for seed, what in CHANGES)
    steps = (Step("run", 1), *changes, Step("wait", 5, str(wait_s)))
    return History(0, house, state, (*steps, Step("run", by, faults=faults), Step("wait", 7, "600")))
