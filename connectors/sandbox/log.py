"""The request log: what was asked, when, of which kind and with what result, for call budgets and duplicate reads."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

ENTRIES_KEPT: Final = 100_000

_KINDS: Final = tuple(
    (method, re.compile(pattern), kind)
    for method, pattern, kind in (
        ("POST", r"/services/oauth2/token/?\Z", "token"),
        ("POST", r"/services/Soap/u/", "soap_login"),
        ("GET", r"/services/oauth2/userinfo", "userinfo"),
        ("GET", r"/services/data/?\Z", "versions"),
        ("GET", r"/services/data/[^/]+/sobjects/?\Z", "sobjects"),
        ("GET", r"/services/data/[^/]+/sobjects/[^/]+/describe/?\Z", "describe"),
        ("GET", r"/services/data/[^/]+/sobjects/[^/]+/updated/?\Z", "updated"),
        ("GET", r"/services/data/[^/]+/sobjects/[^/]+/deleted/?\Z", "deleted"),
        ("GET", r"/services/data/[^/]+/sobjects/", "record"),
        ("GET", r"/services/data/[^/]+/query(All)?/?\Z", "query"),
        ("GET", r"/services/data/[^/]+/query(All)?/[^/]+\Z", "query_more"),
        ("GET", r"/services/data/[^/]+/limits", "limits"),
        ("POST", r"/services/data/[^/]+/composite/?\Z", "composite"),
        ("POST", r"/services/data/[^/]+/composite/batch/?\Z", "batch"),
        ("POST", r"/services/data/[^/]+/jobs/query/?\Z", "bulk_create"),
        ("GET", r"/services/data/[^/]+/jobs/query/?\Z", "bulk_list"),
        ("GET", r"/services/data/[^/]+/jobs/query/[^/]+/results\Z", "bulk_results"),
        ("GET", r"/services/data/[^/]+/jobs/query/[^/]+/resultPages\Z", "bulk_pages"),
        ("GET", r"/services/data/[^/]+/jobs/query/[^/]+\Z", "bulk_poll"),
        ("PATCH", r"/services/data/[^/]+/jobs/query/[^/]+\Z", "bulk_abort"),
        ("DELETE", r"/services/data/[^/]+/jobs/query/[^/]+\Z", "bulk_delete"),
    )
)


@dataclass(slots=True)
class LogEntry:
    """One request. ``status`` is 0 when no answer was sent."""

    number: int
    at_ms: int
    method: str
    target: str
    kind: str
    status: int = 0
    rows: int = 0


def kind_of(method: str, path: str) -> str:
    return next((kind for wanted, shape, kind in _KINDS if wanted == method and shape.match(path)), "other")


class RequestLog:
    """``entries`` are the latest requests, at least ``ENTRIES_KEPT`` of them; totals count all since ``clear``."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self._counts: Counter[str] = Counter()

    def add(self, at_ms: int, method: str, target: str, path: str) -> LogEntry:
        entry = LogEntry(self._counts.total() + 1, at_ms, method, target, kind_of(method, path))
        self._counts[entry.kind] += 1
        self.entries.append(entry)
        if len(self.entries) > 2 * ENTRIES_KEPT:
            del self.entries[:ENTRIES_KEPT]
        return entry

    def totals(self) -> dict[str, int]:
        """Requests by kind, every attempt counted; ``all`` is their sum."""
        return {"all": self._counts.total(), **dict(sorted(self._counts.items()))}

    def clear(self) -> None:
        self.entries.clear()
        self._counts.clear()
