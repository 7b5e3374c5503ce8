"""What a source is told is never narrower than the window (COMPLETE-WINDOW)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as some

from syncline.connectors import Window
from syncline.connectors.bounds import Bounds, spelt_like

SHAPES = [
    "2024-01-01T00:00:00Z",
    "2024-01-01T00:00:00.000Z",
    "2024-01-01T00:00:00.000000+00:00",
    "2024-01-01T00:00:00.000000000Z",
    "2024-01-01 00:00:00",
    "2024-01-01T00:00:00-05:30",
    "2024-01-01T00:00:00.5+0900",
    "2024-01-01",
    "last week",
]
instants = some.timedeltas(timedelta(0), timedelta(days=3_000_000)).map(
    lambda age: datetime(1000, 1, 3, tzinfo=UTC) + age
)


def parsed(text: str) -> datetime:
    """As most servers read it: without a zone it is UTC, a date is its midnight."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


@given(instants, some.sampled_from(SHAPES))
def test_a_spelt_bound_is_never_narrower_than_the_instant_complete_window(instant: datetime, shape: str) -> None:
    low, high = spelt_like(shape, instant, up=False), spelt_like(shape, instant, up=True)
    assert parsed(low) < instant <= parsed(high)
    assert parsed(high) - parsed(low) <= timedelta(days=2 if shape == "2024-01-01" else 0, seconds=4)
    if shape != "last week":
        assert len(low) == len(high) == len(shape)


@given(instants, some.integers(0, 6), some.sampled_from([shape for shape in SHAPES if shape.endswith("Z")]))
def test_a_source_that_compares_texts_as_texts_keeps_every_tie(instant: datetime, digits: int, shape: str) -> None:
    """Whatever number of digits the row was written with."""
    instant = instant.replace(microsecond=instant.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
    fraction = f".{instant.microsecond:06}"[: digits + 1] if digits else ""
    row = f"{instant:%Y-%m-%dT%H:%M:%S}{fraction}Z"
    assert spelt_like(shape, instant, up=False) < row
    assert (
        row < spelt_like(shape, instant + timedelta(microseconds=1), up=True) or digits == 0 or not fraction.strip(".0")
    )


NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Bounds(Window(NOON, NOON + HOUR)), (NOON, NOON + HOUR)),
        (Bounds(Window(None, NOON)), (None, NOON)),
        (Bounds(Window(None, NOON), floor="2031-01-01"), ("2031-01-01", NOON)),
        (
            Bounds(Window(NOON, NOON + HOUR), naive=True),
            (NOON.replace(tzinfo=None), (NOON + HOUR).replace(tzinfo=None)),
        ),
        (Bounds(Window(NOON, NOON + HOUR), floor=NOON + HOUR / 2), (NOON + HOUR / 2, NOON + HOUR)),
        (Bounds(Window(NOON, NOON + HOUR), ceiling=NOON + HOUR / 2), (NOON, NOON + HOUR / 2)),
        (Bounds(Window(NOON, NOON + HOUR), floor=7), (NOON, NOON + HOUR)),
    ],
)
def test_bounds_take_the_form_and_the_limits_of_the_source(bounds: Bounds, expected: tuple[object, object]) -> None:
    assert bounds.values() == expected


def test_rows_outside_the_source_s_own_limits_do_not_count() -> None:
    bounds = Bounds(Window(None, NOON), floor="2031-05-01T10:00:00+02:00", ceiling=NOON - HOUR)
    assert bounds.exact() == Window(datetime(2031, 5, 1, 10, tzinfo=timezone(2 * HOUR)), NOON - HOUR)
