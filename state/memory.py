"""State in memory: the reference implementation, which says in few lines what every store must do."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from syncline.connectors.connector import Json
from syncline.state.lease import Claim, Clock, HeldLease, Random, hold, utc_now
from syncline.state.store import Remembered, RunRecord


class MemoryState:
    """Forgets everything with the process. For tests, and for runs whose state nobody wants."""

    def __init__(self, *, clock: Clock = utc_now, random: Random = os.urandom) -> None:
        self._clock = clock
        self._random = random
        self._lock = threading.RLock()
        self._claims: dict[str, Claim] = {}
        self._marks: dict[str, dict[str, Remembered]] = {}
        self._runs: dict[str, dict[str, RunRecord]] = {}

    def lease(self, pipeline: str, ttl_s: float) -> AbstractContextManager[HeldLease]:
        return hold(self, pipeline, ttl_s, self._clock, self._random)

    def recall(self, pipeline: str) -> Mapping[str, Remembered]:
        with self._lock:
            return dict(self._marks.get(pipeline, {}))

    def remember(self, pipeline: str, marks: Mapping[str, Remembered]) -> None:
        copies = {stream: replace(mark, checkpoint=_json_copy(mark.checkpoint)) for stream, mark in marks.items()}
        with self._lock:
            self._marks.setdefault(pipeline, {}).update(copies)

    def record(self, run: RunRecord) -> None:
        copy = replace(run, report=_json_copy(run.report))
        with self._lock:
            self._runs.setdefault(run.pipeline, {})[run.run_id] = copy

    def runs(self, pipeline: str, limit: int) -> Sequence[RunRecord]:
        with self._lock:
            runs = list(self._runs.get(pipeline, {}).values())
        return sorted(runs, key=lambda run: (run.started_at, run.run_id), reverse=True)[:limit]

    def swap(self, pipeline: str, decide: Callable[[Claim | None], Claim | None]) -> None:
        with self._lock:
            claim = decide(self._claims.get(pipeline))
            if claim is not None:
                self._claims[pipeline] = claim


def _json_copy(value: Json) -> Json:
    """What a store that writes JSON would give back; refuses what it could not write."""
    return json.loads(json.dumps(value))
