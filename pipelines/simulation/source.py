"""The source of a simulation, as connector authors provide it.

A source is a system whose records the simulation may change, with a clock that only the simulation moves, and
connectors to it whose requests are operations of a process. It knows the truth: what a right copy holds now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from syncline.connectors.connector import Connector
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.simulation.process import Process

Row: TypeAlias = Mapping[str, Any]


class Source(Protocol):
    """``key`` and ``cursor`` name the columns of every stream; ``lag`` is how far its horizon stays below its clock,
    at least. ``changes`` are the kinds of what may happen, and
    ``damages`` kinds of faults that only its answers can have. ``secrets`` must never be shown."""

    streams: Sequence[Stream]
    changes: Sequence[str]
    damages: Sequence[str]
    key: str
    cursor: str
    lag: timedelta

    @property
    def secrets(self) -> Sequence[str]: ...

    def connect(self, process: Process, random: Random) -> Connector:
        """A connector as a new process makes it, with every request an operation of ``process``."""
        ...

    def now(self) -> datetime: ...

    def advance(self, seconds: float) -> None: ...

    def change(self, kind: str, random: Random) -> str:
        """Something happens, decided by ``random``; what, in words. ``kind`` is one of ``changes``."""
        ...

    def settle(self) -> None:
        """What is under way comes to its end, what was made to fail fails no more, each stream has something new, and
        all of it is older than the lag."""
        ...

    def truth(self, stream: str) -> Mapping[str, Row]:
        """What a right copy holds now, by key."""
        ...

    def columns(self, stream: str) -> pa.Schema:
        """The columns of a right copy now, each in a type as wide as it ever had. Only names that begin with ``Extra``
        may be missing here later on."""
        ...

    def gone(self, stream: str) -> Mapping[str, datetime]:
        """Deleted records, by key, and the instant of deletion."""
        ...

    def visible_at(self, stamp: datetime) -> datetime:
        """When the last of the records with this stamp became visible (late commits)."""
        ...

    def leftovers(self) -> Sequence[str]:
        """What connectors made at the source and did not remove."""
        ...
