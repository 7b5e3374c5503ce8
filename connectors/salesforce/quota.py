"""The org's daily request quota, read from each answer, and how much of it a run may help to use.

The quota is shared with the customer's other integrations; a connector that eats it stops their business. The run
stops before a request, never after one whose answer it already has, so a stop loses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from threading import Lock
from typing import Final

from syncline.connectors.errors import QuotaReached

HEADER: Final = "Sforce-Limit-Info"
_USAGE: Final = re.compile(r"(?<![\w-])((?:per-app-)?api-usage)=(\d+)/(\d+)")


class Quota:
    """Thread-safe. ``share`` is of each limit that the org tells: the org's and, if there is one, the app's."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.calls = 0
        self._lock = Lock()
        self._usage: dict[str, tuple[int, int]] = {}

    @property
    def usage(self) -> Mapping[str, tuple[int, int]]:
        """Requests used and allowed, by limit, as the newest answer told."""
        with self._lock:
            return dict(self._usage)

    def note(self, header: str | None) -> None:
        """Takes what the newest answer said (REST API guide, Limit Info Header)."""
        with self._lock:
            for name, used, limit in _USAGE.findall(header or ""):
                self._usage[name] = (int(used), int(limit))

    def spend(self, operation: str, object: str) -> None:
        """Counts one request about to be sent.

        Raises:
            QuotaReached: the org's share is used, as far as the answers so far have told.
        """
        with self._lock:
            for name, (used, limit) in self._usage.items():
                if limit > 0 and used >= self.share * limit:
                    raise QuotaReached(
                        operation,
                        object,
                        f"{used} of the org's {limit} requests of the last 24 h are used ({name}), "
                        f"and the run stops at {self.share:.0%}",
                        "run again when the quota has recovered; the run goes on from here. quota_share sets the share",
                    )
            self.calls += 1

    def forget(self) -> None:
        """Unlearns the usage, which is old news for the next run."""
        with self._lock:
            self._usage.clear()

    def count(self) -> None:
        """Counts a request that tidies up, which must be sent even with the share used."""
        with self._lock:
            self.calls += 1
