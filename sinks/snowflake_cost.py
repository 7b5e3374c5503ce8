"""What a run costs, as far as this process can count it; ``snowflake_history`` asks the account."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from syncline.sinks.snowflake_settings import CREDITS_PER_HOUR

RESUME_S_MIN = 60.0
"""Each resume of a warehouse is billed for a minute at least (Snowflake guide, warehouse considerations)."""

_NO_WAREHOUSE = re.compile(
    r"\s*(?:BEGIN|COMMIT|ROLLBACK|SHOW|DESC|DESCRIBE|USE|ALTER|DROP|PUT|GET|LIST|REMOVE|TRUNCATE|GRANT"
    r"|CREATE(?!\b.*\bAS\b\s*\(?\s*(?:SELECT|WITH)\b)|SELECT\s+(?:CURRENT_\w+\(\)|SYSTEM\$\w+\(\s*'?-?\w*'?\s*\))\s*$)",
    re.IGNORECASE | re.DOTALL,
)


def needs_warehouse(statement: str) -> bool:
    """Whether it runs on a warehouse; what only touches metadata or files does not. In doubt it does."""
    return not _NO_WAREHOUSE.match(statement)


@dataclass
class Meter:
    """Counts what one warehouse object sends. ``clock`` is monotonic, in seconds."""

    size: str = "XSMALL"
    clock: Callable[[], float] = time.monotonic
    statements: int = 0
    bytes_loaded: int = 0
    first_s: float | None = None
    last_s: float | None = None

    def now_s(self) -> float:
        return self.clock()

    def sent(self, statement: str, began_s: float) -> None:
        """Called when a statement has ended, well or not."""
        self.statements += 1
        if needs_warehouse(statement):
            self.first_s = began_s if self.first_s is None else self.first_s
            self.last_s = self.clock()

    def spent(self) -> dict[str, Any]:
        """For the run's report: since this was last asked."""
        told = {
            "statements": self.statements,
            "warehouse_s": round(self.warehouse_s, 3),
            "bytes_loaded": self.bytes_loaded,
            "credits_estimated": round(self.credits, 6),
        }
        self.statements = self.bytes_loaded = 0
        self.first_s = self.last_s = None
        return told

    @property
    def warehouse_s(self) -> float:
        """From the first statement that needed the warehouse to the end of the last: it does not suspend between."""
        return 0.0 if self.first_s is None or self.last_s is None else self.last_s - self.first_s

    @property
    def credits(self) -> float:
        """Had the warehouse been resumed for this run alone; the wait until it suspends comes on top."""
        if self.first_s is None:
            return 0.0
        return CREDITS_PER_HOUR[self.size] * max(self.warehouse_s, RESUME_S_MIN) / 3600
