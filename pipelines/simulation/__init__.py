"""A whole pipeline in one process, under faults, from one seed; for Syncline itself and for authors of connectors.

A history is played through the real runner, landing, state and warehouse, while every operation of every seam (a
request to the source, a call of the object store or of the state, a statement of the warehouse) may fail before or
after it happened, take minutes, happen twice, or be the last one of its process. Time is the source's clock and never
passes for real. After every commit a reader looks whether the laws hold; when the faults have ended and a run has
succeeded, the target must equal the source, nothing may be left over, and a run with nothing new must be idle.

To try a connector of your own, write a ``Source`` (``practice_org.py`` is the example): records that change, a clock
that is moved, and a ``connect`` whose requests call ``process.enter`` or ``process.operate``. Then::

    from syncline.pipelines.simulation import draw_history, require_laws

    for seed in range(500):
        require_laws(draw_history(seed, MySource.changes, MySource.damages), MySource)

``require_laws`` raises LawBroken with the seed, the smallest history found that breaks the same law, and the key, the
column, what was expected and what was found. A thread that holds a lock over a request enters it with ``alone=True``.
"""

from __future__ import annotations

from syncline.pipelines.simulation.checking import Outcome, play, require_laws, shrink
from syncline.pipelines.simulation.history import History, Step, draw_history
from syncline.pipelines.simulation.process import LawBroken, Process, Tally
from syncline.pipelines.simulation.source import Source

__all__ = [
    "History",
    "LawBroken",
    "Outcome",
    "Process",
    "Source",
    "Step",
    "Tally",
    "draw_history",
    "play",
    "require_laws",
    "shrink",
]
