"""Names for runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime


def new_run_id(now: datetime, random: Callable[[int], bytes]) -> str:
    """A name such as ``20261123T140211123456Z-a1b2c3``: sorts by time, unique, safe in file and table names.

    ``now`` is aware; ``random(n)`` returns ``n`` bytes and tells apart runs that start in the same microsecond.
    """
    if now.utcoffset() is None:
        raise ValueError("a run starts at an aware instant")
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S%f}Z-{random(3).hex()}"
