"""The state port: what is remembered between runs outside the warehouse.

It is a mirror, never the truth: losing it costs reads, not rows. The watermark rows of the warehouse are the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

RunStatus: TypeAlias = Literal["running", "done", "idle", "failed", "stopped", "guarded", "killed"]


@dataclass(frozen=True, slots=True)
class Remembered:
    """The mirror of one stream.

    ``watermark`` may be ahead of the warehouse's: idle runs move only the mirror. ``version`` and ``run_id`` are
    those of the warehouse's row as last seen; ``columns`` the source columns it covers. ``known`` packs the 16-byte
    digests of committed rows whose cursor lies within the overlap below ``watermark``; ``None`` means "not known"
    (over the bound, or never computed), which is not the same as "no rows" (empty bytes).
    ``checkpoint`` is an unfinished extraction as JSON, opaque to the store; ``None`` when there is none.
    ``full_at`` is the horizon of the last committed whole read. ``definition`` fingerprints what the user asked for
    (filter, key, cursor): when it changes, what is in the target no longer answers to it. ``place`` is that of the
    warehouse whose row was seen (``Warehouse.place``); empty, as older programs left it: not known.
    """

    watermark: datetime | None
    version: int
    run_id: str
    columns: tuple[str, ...] = ()
    known: bytes | None = None
    checkpoint: Mapping[str, Any] | None = None
    full_at: datetime | None = None
    definition: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run in the history. ``report`` is the run's JSON report. Recording the same ``run_id`` again, with the same
    ``started_at``, replaces it."""

    run_id: str
    pipeline: str
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None = None
    report: Mapping[str, Any] = field(default_factory=dict)


class Lease(Protocol):
    """A held lease. It is advisory: what protects the data is the fence in the warehouse (FENCED-COMMIT)."""

    def renew(self) -> None:
        """Extends the lease by its time to live.

        Raises:
            LeaseHeld: it had run out and another run took it, even if that one has given it back since.
        """
        ...


class StateStore(Protocol):
    """Implementations are safe to use from several processes at once and survive a kill at any instruction."""

    def lease(self, pipeline: str, ttl_s: float) -> AbstractContextManager[Lease]:
        """Takes the pipeline's lease at once or raises; released on the way out, or by running out after ``ttl_s``.

        Raises:
            LeaseHeld: another holder's lease has not run out; the message says who and until when.
        """
        ...

    def recall(self, pipeline: str) -> Mapping[str, Remembered]:
        """The mirror by stream; empty for a pipeline never seen."""
        ...

    def remember(self, pipeline: str, marks: Mapping[str, Remembered]) -> None:
        """Replaces the given streams' mirrors, all of them or none; other streams are left as they are."""
        ...

    def record(self, run: RunRecord) -> None: ...

    def runs(self, pipeline: str, limit: int) -> Sequence[RunRecord]:
        """The newest ``limit`` runs, newest first."""
        ...
