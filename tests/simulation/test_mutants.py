"""Every law, once switched off, is seen broken: a simulation that nothing can fail proves nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from syncline.pipelines.simulation.checking import play
from syncline.pipelines.simulation.process import Crashed
from tests.simulation.mutants import MUTANTS, Mutant, histories
from tests.simulation.worlds import practice_org

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"


@pytest.mark.parametrize("mutant", MUTANTS, ids=[each.patch.__name__ for each in MUTANTS])
def test_a_law_that_is_switched_off_is_seen_broken(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the law that the mutant names, never by a crash; and by the mutant alone: without it the history is lawful."""
    with monkeypatch.context() as patching:
        mutant.patch(patching)
        outcomes = (play(history, practice_org) for history in histories(mutant))
        shown = next((each for each in outcomes if each.broken is not None), None)
    assert shown is not None, "no history shows it"
    assert shown.broken is not None
    assert not isinstance(shown.broken, Crashed), shown
    assert shown.broken.law == (mutant.seen_as or mutant.law), shown
    assert play(shown.history, practice_org).broken is None


@pytest.mark.checkout
def test_every_law_has_a_mutant() -> None:
    laws = re.findall(r"^\| ([A-Z]+(?:-[A-Z]+)*) \|", ARCHITECTURE.read_text(), re.MULTILINE)
    assert len(laws) == 17
    assert set(laws) <= {mutant.law for mutant in MUTANTS}
