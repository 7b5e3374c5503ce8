"""A window of many rows cut into parts, by the source's own counts: what a first load shares out.

::

    1999 ──────────────── 2012 ────────────── 2019 ── 2022 ── settled ─ ─ high
     │         0 rows      │      0 rows       │  9 M  │  8 M    │   last
     └──────────────────────────── part ──────────────┘└─ part ─┘└─ part

Each part is a query of its own, so it is read by whom it is given, and read again alone if it fails. Records leave a
part only upwards, when they are edited, and no edit arrives below the settled line any more, however late its
transaction commits. So the parts below it may be read side by side; what lies above, where the records go that are
edited meanwhile, is the last part, and is read after all others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from syncline.connectors.connector import Window
from syncline.connectors.salesforce.faults import Faulted, Refused
from syncline.connectors.salesforce.spans import halves

CUTS_MAX: Final = 256
"""Parts that a window is cut into; of more rows than so many parts should hold, each holds more."""
COUNTS_AT_ONCE: Final = 4
UNCOUNTED_MAX: Final = 8
"""Pieces that took too long to count, each some minutes: with more of them the window is not cut any further."""

Piece: TypeAlias = tuple[Window, int | None]
"""A range, and its rows; ``None`` where counting them took the source too long."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """Cuts windows on one stream's cursor. ``count`` asks the source, ``None`` if the stream is not fit for cutting."""

    count: Callable[[Window], int] | None
    pool: Callable[[int, str], Executor]
    earliest: datetime
    settled: datetime

    def parts(self, window: Window, rows: int | None, part_rows: int, parts_max: int = CUTS_MAX) -> list[Window]:
        """The window in consecutive parts of ``part_rows`` rows at most; itself, where it holds no more, or where the
        source does not count. The last of several is what lies above the settled line, whatever it holds.

        A part may hold more: rows of one second stay together, and ``parts_max`` bounds the number.
        """
        few = rows is not None and rows <= part_rows
        # An increment that the source cannot count is not made of more than it can give at once.
        unknown = rows is None and window.low is not None
        recent = window.low is not None and window.low >= self.settled
        if self.count is None or few or unknown or recent or parts_max < 2:
            return [window]
        if rows is not None:
            part_rows = max(part_rows, 2 * rows // parts_max)
        settled, last = window, []
        if window.high > self.settled:
            settled, last = Window(window.low, self.settled), [Window(self.settled, window.high)]
        try:
            cut = self._cut((settled, rows), part_rows, parts_max - len(last))
        except Refused:
            return [window]
        return [window] if len(cut) == 1 else [*cut, *last]

    def rows_in(self, part: Window) -> int | None:
        """What the source counts there; ``None`` where it does not."""
        try:
            return None if self.count is None else self._count(part)
        except Refused:
            return None

    def is_last(self, part: Window, whole: Window) -> bool:
        """Whether the part is to be read after all others: records may come into it from them."""
        return part != whole and part.high > self.settled

    def _cut(self, whole: Piece, part_rows: int, parts_max: int) -> list[Window]:
        pieces = [whole]
        while True:
            split = {
                piece: two
                for piece in pieces
                if (piece[1] is None or piece[1] > part_rows) and (two := halves(piece[0], self.earliest))
            }
            if not split or len(pieces) + len(split) > parts_max:
                return [window for window, _ in pieces]
            counted = self._counted(split)
            if all(rows is None for two in counted.values() for _, rows in two):
                return [whole[0]]
            pieces = _joined([each for piece in pieces for each in counted.get(piece, [piece])], part_rows)
            if sum(rows is None for _, rows in pieces) > UNCOUNTED_MAX:
                return [window for window, _ in pieces]

    def _counted(self, split: dict[Piece, tuple[Window, Window]]) -> dict[Piece, list[Piece]]:
        """Each piece as its two halves with their rows. The upper half has what the lower one leaves of the piece's
        rows; it is counted where one of the two is not known."""
        lower = self._count_all([below for below, _ in split.values()])
        left = [
            None if rows is None or low is None else max(0, rows - low)
            for (_, rows), low in zip(split, lower, strict=True)
        ]
        wanted = [above for (_, above), rows in zip(split.values(), left, strict=True) if rows is None]
        asked = dict(zip(wanted, self._count_all(wanted), strict=True))
        return {
            piece: [(below, low), (above, asked.get(above, rows))]
            for (piece, (below, above)), low, rows in zip(split.items(), lower, left, strict=True)
        }

    def _count_all(self, windows: Sequence[Window]) -> list[int | None]:
        futures: list[Future[int | None]] = []
        with self.pool(COUNTS_AT_ONCE, "syncline-count") as pool:
            try:
                futures += [pool.submit(self._count, window) for window in windows]
                return [future.result() for future in futures]
            finally:
                for future in futures:
                    future.cancel()

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
