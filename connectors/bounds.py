"""A window's bounds in the form in which a source writes its cursor.

What a source is told may be wider than the window, never narrower: low is rounded down and high up to the precision of
the source's own spelling, and the rows are filtered by the exact window afterwards (COMPLETE-WINDOW).
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

from syncline.connectors.connector import Window
from syncline.connectors.values import instant_of

_SPELLING = re.compile(r"\d{4}-\d\d-\d\d(?:([T ])\d\d:\d\d:\d\d(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?)?")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """``window`` for a cursor that ``example`` is written like: a text, a datetime, or nothing known.

    ``naive`` says that the source's column has no time zone; its values are read as UTC. ``floor`` and ``ceiling`` are
    the source's own limits (dlt: initial and end value): nothing outside them is asked for.
    """

    window: Window
    example: object = None
    naive: bool = False
    floor: object = None
    ceiling: object = None

    def exact(self) -> Window:
        """The window within the source's own limits: the rows that count."""
        low, high = self.window.low, self.window.high
        floor, ceiling = _limit(self.floor), _limit(self.ceiling)
        if floor is not None:
            low = floor if low is None else max(low, floor)
        return Window(low, high if ceiling is None else min(high, ceiling))

    def values(self) -> tuple[object, object]:
        """Low and high as the source expects them; low is ``None`` for "from the beginning"."""
        exact = self.exact()
        if exact.low is None or exact.low == _limit(self.floor):
            return self.floor, self._spelt(exact.high, up=True)
        return self._spelt(exact.low, up=False), self._spelt(exact.high, up=True)

    def _spelt(self, instant: datetime, *, up: bool) -> object:
        if isinstance(self.example, str):
            return spelt_like(self.example, instant, up=up)
        return instant.replace(tzinfo=None) if self.naive else instant


def _limit(value: object) -> datetime | None:
    """A limit the user wrote: an instant, or the start of a day; ``None`` for what is neither."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return instant_of(value)


def spelt_like(example: str, instant: datetime, *, up: bool) -> str:
    """The instant as ISO 8601 text of the example's shape, rounded up or down to its precision.

    An example of another shape gives seconds and ``Z``, which most interfaces take.
    """
    match = _SPELLING.fullmatch(example)
    if match is None:
        match = _SPELLING.fullmatch("2000-01-01T00:00:00Z")
        assert match is not None
    separator, digits, zone = match.groups()
    instant = instant.astimezone(_zone_of(zone))
    if separator is None:
        return rounded(instant, _DAY, up=up).date().isoformat()
    places = min(len(digits or ""), 6)
    instant = rounded(instant, timedelta(microseconds=10 ** (6 - places)), up=up)
    fraction = f".{instant.microsecond:06}"[: places + 1].ljust(len(digits or "") + 1, "0") if digits else ""
    return f"{instant:%Y-%m-%d}{separator}{instant:%H:%M:%S}{fraction}{zone or ''}"


def rounded(instant: datetime, step: timedelta, *, up: bool) -> datetime:
    """To the nearest multiple of ``step`` since midnight, below or above."""
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    beyond = (instant - midnight) % step
    if not beyond:
        return instant
    return instant - beyond + (step if up else timedelta(0))


def _zone_of(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
