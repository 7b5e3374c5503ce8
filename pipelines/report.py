"""What a run did: the value behind the table on a terminal, ``--json`` and the run's history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, cast

from syncline.connectors.connector import Json, Window
from syncline.connectors.errors import SynclineError
from syncline.connectors.secret import scrubbed
from syncline.sinks.manifest import text_of
from syncline.sinks.warehouse import RowCounts
from syncline.state.store import RunStatus


@dataclass(slots=True)
class StreamReport:
    """Rows at every hop (COUNTED-HOPS). A run that first finishes an earlier one adds both up."""

    stream: str
    window: Window | None = None
    mode: str = "changes"
    api: str | None = None
    announced: int | None = None
    read: int = 0
    known: int = 0
    landed: int = 0
    size_bytes: int = 0
    counts: RowCounts = field(default_factory=RowCounts)
    warnings: list[str] = field(default_factory=list)

    def add(self, counts: RowCounts) -> None:
        self.counts = RowCounts(
            **{each.name: getattr(self.counts, each.name) + getattr(counts, each.name) for each in fields(RowCounts)}
        )

    def to_json(self) -> dict[str, Json]:
        window = self.window
        return {
            "window": None if window is None else {"low": text_of(window.low), "high": text_of(window.high)},
            "mode": self.mode,
            "api": self.api,
            "announced": self.announced,
            "read": self.read,
            "known": self.known,
            "landed": self.landed,
            "bytes": self.size_bytes,
            **{each.name: getattr(self.counts, each.name) for each in fields(RowCounts)},
            "warnings": list(self.warnings),
        }


@dataclass(slots=True)
class RunReport:
    """One run. ``warehouse_statements`` is 0 for an idle run (IDLE-IS-FREE). ``warehouse_cost``: see ``Metered``."""

    run_id: str
    pipeline: str
    started_at: datetime
    kind: str = "run"
    status: RunStatus = "running"
    finished_at: datetime | None = None
    api_calls: int = 0
    warehouse_statements: int = 0
    warehouse_cost: Mapping[str, Json] | None = None
    commits: int = 0
    resumed: list[str] = field(default_factory=list)
    streams: dict[str, StreamReport] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: dict[str, str] | None = None
    proof: Mapping[str, Json] | None = None

    def stream(self, name: str) -> StreamReport:
        return self.streams.setdefault(name, StreamReport(name))

    def fail(self, error: SynclineError, status: RunStatus) -> None:
        self.status = status
        self.error = {
            "kind": type(error).__name__,
            "operation": error.operation,
            "object": error.object,
            "cause": error.cause,
            "hint": error.hint,
        }

    def to_json(self) -> dict[str, Any]:
        """What is printed and kept; causes may quote a vendor's words, so all texts are scrubbed (NO-SECRETS)."""
        document: dict[str, Any] = {
            "run_id": self.run_id,
            "pipeline": self.pipeline,
            "kind": self.kind,
            "status": self.status,
            "started_at": text_of(self.started_at),
            "finished_at": text_of(self.finished_at),
            "api_calls": self.api_calls,
            "warehouse_statements": self.warehouse_statements,
            "warehouse_cost": None if self.warehouse_cost is None else dict(self.warehouse_cost),
            "commits": self.commits,
            "resumed": list(self.resumed),
            "streams": {name: report.to_json() for name, report in self.streams.items()},
            "warnings": list(self.warnings),
            "error": self.error,
            "proof": None if self.proof is None else dict(self.proof),
        }
        return cast("dict[str, Any]", scrubbed(document))
