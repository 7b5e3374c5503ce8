"""Every law, once switched off, is seen: a simulation that nothing can fail proves nothing."""

from __future__ import annotations

import pytest

from syncline.pipelines.simulation.checking import play
from tests.simulation.mutants import MUTANTS, Mutant, histories
from tests.simulation.worlds import practice_org


@pytest.mark.parametrize("mutant", MUTANTS, ids=[each.patch.__name__ for each in MUTANTS])
def test_a_law_that_is_switched_off_is_seen_broken(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.patch(monkeypatch)
    assert any(play(history, practice_org).broken is not None for history in histories(mutant)), "no history shows it"
