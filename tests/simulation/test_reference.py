"""The reference scenario without a fault: what the others stand on."""

from __future__ import annotations

from typing import Literal

import pytest

from syncline.pipelines.simulation.checking import play
from tests.simulation.worlds import practice_org, reference

HOUSES = ("memory", "duckdb")
STATES = ("memory", "sqlite")


@pytest.mark.parametrize("house", HOUSES)
@pytest.mark.parametrize("state", STATES)
def test_every_law_holds_where_nothing_goes_wrong(
    house: Literal["memory", "duckdb"], state: Literal["memory", "sqlite"]
) -> None:
    outcome = play(reference(house, state), practice_org)
    assert outcome.broken is None, outcome
    assert outcome.tally.commits == 3, outcome
    assert outcome.tally.faults == 0
    for seam in ("source", "landing", "state", "warehouse"):
        assert any(each.startswith(f"{seam}: ") for each in outcome.operations[1])


def test_the_same_history_gives_the_same_operations_in_the_same_order() -> None:
    one, other = (play(reference("duckdb"), practice_org) for _ in range(2))
    assert one.operations == other.operations
    assert one.told == other.told
