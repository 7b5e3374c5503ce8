"""One fault at each step of the reference scenario: every step, every kind.

The memory warehouse has no statements, so its steps are the calls of the port; in DuckDB each statement is one. There
the steps before the warehouse are left out, as they are the same, and so are statements merely slow or repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from syncline.pipelines.simulation.checking import play, require_laws
from syncline.pipelines.simulation.practice_org import DAMAGES
from syncline.pipelines.simulation.process import KINDS
from tests.simulation.worlds import BULK, REST, practice_org, reference

House = Literal["memory", "duckdb"]


def steps(house: House, by: int = BULK) -> Sequence[str]:
    """The operations of the run that the faults strike."""
    return play(reference(house, by=by), practice_org).operations[1]


def strike(house: House, kind: str, at: int, by: int = BULK) -> None:
    tally = require_laws(reference(house, faults=((at, kind),), by=by), practice_org)
    assert tally.faults == 1, f"{kind} at {at} struck {tally.faults} times"


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_any_step_breaks_no_law(kind: str) -> None:
    for at in range(len(steps("memory"))):
        strike("memory", kind, at)


@pytest.mark.parametrize("by", [BULK, REST], ids=["bulk", "rest"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_any_answer_of_the_source_may_be_damaged(kind: str, by: int) -> None:
    for at, step in enumerate(steps("memory", by)):
        if step.startswith("source: "):
            strike("memory", kind, at, by)


@pytest.mark.parametrize("kind", ["before", "after", "kill"])
def test_a_fault_at_any_statement_breaks_no_law_known_outcome(kind: str) -> None:
    found = steps("duckdb")
    statements = [at for at, step in enumerate(found) if step.startswith("warehouse: ")]
    assert any("COMMIT" in found[at] for at in statements)
    for at in statements:
        strike("duckdb", kind, at)
