"""Playing a history, and making one that fails as small as it can be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from syncline.pipelines.simulation.history import History
from syncline.pipelines.simulation.process import LawBroken, Tally
from syncline.pipelines.simulation.simulation import Simulation
from syncline.pipelines.simulation.source import Source

MakeSource: TypeAlias = Callable[[int], Source]
"""A fresh source from a seed: the same seed gives the same source."""

SHRINK_TRIES_MAX = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """``broken`` is the first law that did not hold, or ``None``; ``told`` what happened, in order; ``operations`` the
    operations of each process, in order."""

    history: History
    tally: Tally
    broken: LawBroken | None
    told: tuple[str, ...]
    operations: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        told = "\n".join(self.told)
        return f"{self.broken or 'every law holds'}\n\nThe history: {self.history}\n\nWhat happened:\n{told}"


def play(history: History, make_source: MakeSource) -> Outcome:
    """The history from its start to a run that succeeds, with every law looked at; each time with the same outcome."""
    simulation = Simulation(history, make_source(history.seed))
    broken: LawBroken | None = None
    with simulation:
        try:
            simulation.play()
            simulation.finish()
        except LawBroken as error:
            broken = error
    return Outcome(history, simulation.tally, broken, tuple(simulation.told), tuple(simulation.operations))


def require_laws(history: History, make_source: MakeSource) -> Tally:
    """Plays the history.

    Raises:
        LawBroken: with the smallest history found that breaks the same law, and key, column, expected and found.
    """
    outcome = play(history, make_source)
    if outcome.broken is None:
        return outcome.tally
    smallest = shrink(outcome, make_source)
    assert smallest.broken is not None
    text = f"{smallest.broken.what}\n\n{smallest}\n\nRepeat it with seed {history.seed}."
    raise LawBroken(smallest.broken.law, text) from smallest.broken


def shrink(failed: Outcome, make_source: MakeSource) -> Outcome:
    """The smallest history found that breaks the same law: whatever it breaks without is left out."""
    assert failed.broken is not None
    smallest, tries, smaller = failed, 0, True
    while smaller and tries < SHRINK_TRIES_MAX:
        smaller = False
        for history in _smaller(smallest.history):
            tries += 1
            outcome = play(history, make_source)
            if outcome.broken is not None and outcome.broken.law == failed.broken.law:
                smallest, smaller = outcome, True
                break
            if tries == SHRINK_TRIES_MAX:
                break
    return smallest


def _smaller(history: History) -> Iterator[History]:
    """Histories with something left out: large parts first."""
    steps, size = history.steps, len(history.steps) // 2
    while size >= 1:
        for at in range(0, len(steps), size):
            yield replace(history, steps=steps[:at] + steps[at + size :])
        size //= 2
    for at, step in enumerate(steps):
        for each in step.smaller():
            yield replace(history, steps=(*steps[:at], each, *steps[at + 1 :]))
