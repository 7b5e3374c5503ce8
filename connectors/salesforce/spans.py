"""Windows cut in parts, proved whole again, named, and written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from syncline.connectors.connector import Json, Slice, Window


def halves(window: Window, earliest: datetime) -> tuple[Window, Window] | None:
    """The window in two that together are exactly it; ``None`` once it is too small. No low means ``earliest``."""
    low = window.low or earliest
    middle = (low + (window.high - low) / 2).replace(microsecond=0)
    if not low < middle < window.high:
        return None
    return Window(window.low, middle), Window(middle, window.high)


def tiles(whole: Window, parts: Iterable[Window]) -> bool:
    """Whether the parts, in any order, cover ``whole`` without a gap and without an overlap (COMPLETE-WINDOW)."""
    ordered = sorted(parts, key=lambda part: part.high)
    low = whole.low
    for part in ordered:
        if part.low != low:
            return False
        low = part.high
    return bool(ordered) and low == whole.high


def bounds(window: Window) -> dict[str, Json]:
    return {"low": None if window.low is None else window.low.isoformat(), "high": window.high.isoformat()}


def window_from(document: Mapping[str, Json]) -> Window:
    """What ``bounds`` wrote down."""
    low, high = document["low"], document["high"]
    return Window(None if low is None else datetime.fromisoformat(low), datetime.fromisoformat(high))


def window_of(slice: Slice) -> Window:
    return window_from(slice.params)


def label(window: Window) -> str:
    """A name for the window that can be part of a file's name."""
    low = "start" if window.low is None else _compact(window.low)
    return f"{low}-{_compact(window.high)}"


def _compact(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f").rstrip("0").rstrip(".") + "Z"
