"""A window of many rows cut into parts, by the source's own counts: what a first load shares out.

::

    1999 ──────────────── 2012 ────────────── 2019 ── 2022 ── horizon ─ ─ high
     │         0 rows      │      0 rows       │  9 M  │  8 M    │  tail
     └──────────────────────────── part 1 ────────────┘└ part 2 ┘└ last ┘

Each part is a query of its own, so it is read by whom it is given, and read again alone if it fails. Records leave a
part only upwards, when they are edited, and nobody edits into the range below the horizon. So the parts below it may be
read side by side; what lies beyond, where a snapshot looks for the records edited meanwhile, is a part read last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from syncline.connectors.connector import Window
from syncline.connectors.salesforce.faults import Faulted, Refused
from syncline.connectors.salesforce.spans import halves

CUTS_MAX: Final = 256
"""Parts that a window is cut into; of more rows than so many parts should hold, each holds more."""
AT_ONCE: Final = 4

Piece: TypeAlias = tuple[Window, int | None]
"""A range, and its rows; ``None`` where counting them took the source too long."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """Cuts windows on one stream's cursor. ``count`` asks the source, ``None`` if the cursor is not fit for cutting;
    ``horizon`` is as high as a run may vouch for."""

    count: Callable[[Window], int] | None
    pool: Callable[[int, str], Executor]
    earliest: datetime
    horizon: datetime

    def parts(self, window: Window, rows: int | None, part_rows: int) -> list[Window]:
        """The window in consecutive parts of ``part_rows`` rows at most; itself, where it holds no more, or where the
        source does not count. What lies beyond the horizon is the last of several, whatever it holds.

        A part may hold more: rows of one second stay together, and ``CUTS_MAX`` bounds the number.
        """
        if self.count is None or (rows is not None and rows <= part_rows):
            return [window]
        if rows is not None:
            part_rows = max(part_rows, 2 * rows // CUTS_MAX)
        settled, tail = self._settled(window)
        try:
            cut = self._cut((settled, rows), part_rows)
        except Refused:
            return [window]
        return [window] if len(cut) == 1 else [*cut, *tail]

    def is_last(self, part: Window, whole: Window) -> bool:
        """Whether the part is to be read after all others: records come into it from them."""
        return part != whole and part.high > self.horizon

    def _settled(self, window: Window) -> tuple[Window, list[Window]]:
        above_low = window.low is None or window.low < self.horizon
        if not above_low or window.high <= self.horizon:
            return window, []
        return Window(window.low, self.horizon), [Window(self.horizon, window.high)]

    def _cut(self, whole: Piece, part_rows: int) -> list[Window]:
        pieces = [whole]
        while True:
            split = {
                piece: two
                for piece in pieces
                if (piece[1] is None or piece[1] > part_rows) and (two := halves(piece[0], self.earliest))
            }
            if not split or len(pieces) + len(split) > CUTS_MAX:
                return [window for window, _ in pieces]
            counted = self._counted([(piece, *split[piece]) for piece in split])
            pieces = _joined([each for piece in pieces for each in counted.get(piece, [piece])], part_rows)

    def _counted(self, wanted: Sequence[tuple[Piece, Window, Window]]) -> dict[Piece, list[Piece]]:
        """Each piece as its two halves with their rows; the upper half has what the lower leaves, if that is known."""
        with self.pool(AT_ONCE, "syncline-count") as pool:
            lower = [pool.submit(self._count, below) for _, below, _ in wanted]
            rows = [future.result() for future in lower]
            upper = [
                None if piece[1] is not None and below is not None else pool.submit(self._count, above)
                for (piece, _, above), below in zip(wanted, rows, strict=True)
            ]
            found = {}
            for (piece, below, above), low_rows, asked in zip(wanted, rows, upper, strict=True):
                high_rows = max(0, (piece[1] or 0) - (low_rows or 0)) if asked is None else asked.result()
                found[piece] = [(below, low_rows), (above, high_rows)]
            return found

    def _count(self, window: Window) -> int | None:
        assert self.count is not None
        try:
            return self.count(window)
        except Faulted as fault:
            if fault.rule.verdict != "smaller":
                raise
        return None


def _joined(pieces: Sequence[Piece], part_rows: int) -> list[Piece]:
    """Neighbours put together as long as they do not hold too much: half of a span may hold nothing."""
    joined = [pieces[0]]
    for window, rows in pieces[1:]:
        before, held = joined[-1]
        if rows is not None and held is not None and rows + held <= part_rows:
            joined[-1] = (Window(before.low, window.high), rows + held)
        else:
            joined.append((window, rows))
    return joined
