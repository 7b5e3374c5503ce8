"""Run ids sort by time and fit everywhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.state.run_id import new_run_id

INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_a_run_id_reads_like_its_start() -> None:
    now = datetime(2026, 11, 23, 23, 2, 11, 123456, tzinfo=timezone(timedelta(hours=9)))
    assert new_run_id(now, lambda size: b"\xa1" * size) == "20261123T140211123456Z-a1a1a1"


@given(one=INSTANTS, other=INSTANTS, random=st.binary(min_size=3, max_size=3))
def test_run_ids_sort_by_time(one: datetime, other: datetime, random: bytes) -> None:
    if one != other:
        ids = [new_run_id(one, lambda _: b"\x77\x77\x77"), new_run_id(other, lambda _: random)]
        assert (ids[0] < ids[1]) == (one < other)


@given(now=INSTANTS)
def test_run_ids_are_safe_in_names(now: datetime) -> None:
    assert re.fullmatch(r"[0-9TZa-f-]{29}", new_run_id(now, lambda size: bytes(size)))


def test_a_run_starts_at_an_aware_instant() -> None:
    with pytest.raises(ValueError, match="aware"):
        new_run_id(datetime(2026, 1, 1), lambda size: bytes(size))  # noqa: DTZ001
