"""What a measured program says about itself: one JSON line, the last on its stdout.

Imports are done before the meter starts, so that a program that imports early and one that imports late compare.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MB = 1_000_000
MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """``wall_s`` is from the first request until the warehouse's file is closed after the commit.

    ``cpu_s`` is user and system time of the program and its worker processes in that span; ``peak_rss_mb`` of the
    program itself, ``workers_peak_rss_mb`` of its largest worker.
    """

    rows: int
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    workers_peak_rss_mb: float
    detail: dict[str, Any] = field(default_factory=dict)


class Meter:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._cpu_s = cpu_used_s()
        self._wall_s = time.perf_counter()

    def read(self, rows: int, **detail: Any) -> Reading:
        wall_s = time.perf_counter() - self._wall_s
        workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * MAXRSS_UNIT_BYTES / MB
        return Reading(rows, wall_s, cpu_used_s() - self._cpu_s, peak_rss_mb(), workers, detail)


def cpu_used_s() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def peak_rss_mb() -> float:
    """Of this process since it was started.

    On Linux ``ru_maxrss`` also remembers the parent the process was forked from, so the kernel's own mark is read.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT_BYTES / MB


def tell(reading: Reading) -> None:
    sys.stdout.flush()
    print(json.dumps(asdict(reading)), flush=True)
