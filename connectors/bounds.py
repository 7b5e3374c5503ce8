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
_SECOND = timedelta(seconds=1)


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
        floor, ceiling = limit_of(self.floor), limit_of(self.ceiling)
        if floor is not None:
            low = floor if low is None else max(low, floor)
        return Window(low, high if ceiling is None else min(high, ceiling))

    def values(self) -> tuple[object, object]:
        """Low and high as the source expects them; low is ``None`` for "from the beginning"."""
        exact = self.exact()
        if exact.low is None or exact.low == limit_of(self.floor):
            return self.floor, self._spelt(exact.high, up=True)
        return self._spelt(exact.low, up=False), self._spelt(exact.high, up=True)

    def _spelt(self, instant: datetime, *, up: bool) -> object:
        if isinstance(self.example, str):
            return spelt_like(self.example, instant, up=up)
        return instant.replace(tzinfo=None) if self.naive else instant


def limit_of(value: object) -> datetime | None:
    """A limit the user wrote: an instant, or the start of a day; ``None`` for what is neither."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return instant_of(value)


def spelt_like(example: str, instant: datetime, *, up: bool) -> str:
    """The instant as ISO 8601 text of the example's shape, rounded to its precision and a second further.

    The second keeps ties: many sources compare such texts as texts, where ``10Z`` comes after ``10.5Z``, or take only
    what is later than low. An example of another shape gives seconds and ``Z``, which most interfaces read.
    """
    match = _SPELLING.fullmatch(example)
    separator, digits, zone = match.groups() if match is not None else ("T", None, "Z")
    instant = instant.astimezone(_zone_of(zone))
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    if separator is None:
        return ((midnight + _DAY if instant > midnight else instant) if up else midnight - _DAY).date().isoformat()
    places = min(len(digits or ""), 6)
    beyond = (instant - midnight) % timedelta(microseconds=10 ** (6 - places))
    step = timedelta(microseconds=10 ** (6 - places)) if beyond else timedelta(0)
    instant += step - beyond + _SECOND if up else -beyond - _SECOND
    fraction = f".{instant.microsecond:06}"[: places + 1].ljust(len(digits or "") + 1, "0") if digits else ""
    return f"{instant:%Y-%m-%d}{separator}{instant:%H:%M:%S}{fraction}{zone or ''}"


def _zone_of(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
