"""What a run tells while it goes on: small values, and the writers that show them.

The runner knows only ``Events.emit``. A terminal shows progress bars (``console.Bars``); anything else gets one JSON
line an event (``JsonLines``), which cron, journald and log collectors can read. No event holds a secret (NO-SECRETS).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TextIO

from syncline.connectors.secret import scrubbed

if TYPE_CHECKING:
    from syncline.connectors.connector import Json


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run.

    ``name`` is a past participle ("run_started", "stream_planned", "stream_resumed", "request_retried", "rows_read",
    "slice_landed", "stream_landed", "warehouse_connected", "table_loaded", "committed", "run_finished"; of a proof
    "proof_started", "stream_counted", "stream_staged", "stream_compared", "proof_paused", "proof_finished"; of upkeep
    "runs_merged") or "warning".
    ``at`` is aware, in UTC.
    ``fields`` survive ``json.dumps``: ``run_id``, ``pipeline``, ``stream``, ``rows``, ``rows_expected``, ``bytes``, ...
    """

    name: str
    at: datetime
    fields: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """One flat object; ``event`` and ``at`` come first and win over fields of the same name."""
        at = self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        rest = {name: value for name, value in self.fields.items() if name not in ("event", "at")}
        return {"event": self.name, "at": at, **rest}


class Events(Protocol):
    """Where events go. Called from any thread; never raises and never blocks for long: a log is not worth a run."""

    def emit(self, event: Event) -> None: ...


class Quiet:
    """Shows nothing."""

    def emit(self, event: Event) -> None:
        pass


class LastRun:
    """Remembers the id of the last run that started: the key to its report when the run raises."""

    def __init__(self) -> None:
        self.run_id: str | None = None

    def emit(self, event: Event) -> None:
        if event.name == "run_started":
            self.run_id = str(event.fields.get("run_id"))


class Several:
    """Hands each event to several writers, in order."""

    def __init__(self, writers: Sequence[Events]) -> None:
        self._writers = writers

    def emit(self, event: Event) -> None:
        for writer in self._writers:
            writer.emit(event)


class JsonLines:
    """Writes one JSON object a line, whole lines even from several threads.

    ``rows_read``, which comes with every batch, is for progress bars and left out: a log has ``slice_landed``.
    A reader that went away (a closed pipe, a full disk under the log) silences the log; the run goes on.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._gone = False

    def emit(self, event: Event) -> None:
        if event.name == "rows_read":
            return
        line = json.dumps(scrubbed(event.to_json()), ensure_ascii=False)
        with self._lock:
            if self._gone:
                return
            try:
                self._file.write(line + "\n")
                self._file.flush()
            except (OSError, ValueError):
                self._gone = True
