"""A stream's time in cells: how source and target agree, from its oldest record to the watermark.

The first cell reaches back without end, so that every row below the watermark is in one. Cells are of equal length, in
whole days or hours where the stream is old enough: a reader can name the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from syncline.connectors.connector import Tally
from syncline.sinks.manifest import text_of
from syncline.sinks.warehouse import Difference

CELLS_MAX = 24
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        60,
        300,
        900,
        3_600,
        10_800,
        21_600,
        43_200,
        *(days * 86_400 for days in (1, 2, 7, 14, 28, 91, 182)),
    )
)
LONG_STEP = timedelta(days=364)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Rows with a cursor in ``[low, high)``. ``rows_source`` is ``None`` where the source was not counted."""

    low: datetime
    high: datetime
    rows_target: int
    rows_source: int | None = None
    differences: int = 0

    @property
    def state(self) -> str:
        """``empty``, ``equal`` or ``different``."""
        if self.differences:
            return "different"
        return "equal" if self.rows_target or self.rows_source else "empty"

    def to_json(self) -> dict[str, Any]:
        return {
            "low": text_of(self.low),
            "high": text_of(self.high),
            "rows_source": self.rows_source,
            "rows_target": self.rows_target,
            "differences": self.differences,
            "state": self.state,
        }


def edges_of(least: datetime | None, watermark: datetime) -> list[datetime]:
    """Ascending, the watermark last; each but the last begins a cell, and the first cell begins at ``EARLIEST``."""
    if least is None or least >= watermark:
        return [watermark]
    span = watermark - least
    step = next((each for each in STEPS if span / each <= CELLS_MAX - 1), None)
    if step is None:
        step = LONG_STEP * max(1, -(-span // (LONG_STEP * (CELLS_MAX - 1))))
    first = EARLIEST + step * ((least - EARLIEST) // step + 1)
    inner = [first + step * number for number in range(CELLS_MAX) if first + step * number < watermark]
    return [*inner, watermark]


def buckets_of(
    edges: Sequence[datetime], target: Sequence[Tally], source: Sequence[Tally] | None = None
) -> list[Bucket]:
    """The cells below the last edge, which is the watermark; what is counted above it is pending."""
    bounds = list(pairwise([EARLIEST, *edges]))
    counted: Sequence[Tally | None] = [None] * len(bounds) if source is None else source
    return [
        Bucket(low, high, theirs.rows, None if ours is None else ours.rows, 0 if ours is None else unlike(ours, theirs))
        for (low, high), theirs, ours in zip(bounds, target, counted, strict=False)
    ]


def unlike(ours: Tally, theirs: Tally) -> int:
    """By how many rows two counts differ at least; equal counts with another newest row differ by one."""
    if ours.rows == theirs.rows:
        return int(ours.rows > 0 and ours.largest != theirs.largest)
    return abs(ours.rows - theirs.rows)


def with_differences(buckets: Sequence[Bucket], found: Iterable[Difference]) -> list[Bucket]:
    """The cells with the differences that fall into them; one without an instant goes into the first."""
    counts = [0] * len(buckets)
    for each in found:
        at = each.at or EARLIEST
        place = next((n for n, bucket in enumerate(buckets) if at < bucket.high), len(buckets) - 1)
        if buckets:
            counts[place] += 1
    return [replace(bucket, differences=count) for bucket, count in zip(buckets, counts, strict=True)]
