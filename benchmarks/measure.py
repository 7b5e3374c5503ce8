"""Runs one measured program in a process of its own and keeps what it said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.meter import Reading
from benchmarks.practice_org import PracticeOrg

PROGRAM_TIMEOUT_S: Final = 1_800
ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Measurement:
    """One program doing one piece of work. ``reading`` is None when it failed; ``error`` then says how.

    ``process_s`` is from start to exit, imports included. ``org_cpu_s`` is what the practice org spent meanwhile.
    """

    case: str
    program: str
    reading: Reading | None
    process_s: float
    org_cpu_s: float
    error: str = ""

    @property
    def rows_per_s(self) -> float:
        return 0.0 if self.reading is None else self.reading.rows / self.reading.wall_s

    @property
    def cpu_s_per_million(self) -> float:
        return 0.0 if not self.reading or not self.reading.rows else self.reading.cpu_s / self.reading.rows * 1e6

    @property
    def org_cpu_s_per_million(self) -> float:
        return 0.0 if not self.reading or not self.reading.rows else self.org_cpu_s / self.reading.rows * 1e6

    def to_json(self) -> dict[str, Any]:
        derived = {
            "rows_per_s": round(self.rows_per_s),
            "cpu_s_per_million": round(self.cpu_s_per_million, 3),
            "org_cpu_s_per_million": round(self.org_cpu_s_per_million, 3),
        }
        return {**asdict(self), **derived}


def run_program(
    case: str, program: str, module: str, org: PracticeOrg, folder: Path, flags: Sequence[str] = ()
) -> Measurement:
    command = [sys.executable, "-m", f"benchmarks.{module}", *org.flags(), "--folder", str(folder), *flags]
    org_cpu_s, started_s = org.cpu_s(), time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=PROGRAM_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Measurement(case, program, None, PROGRAM_TIMEOUT_S, 0.0, f"not done after {PROGRAM_TIMEOUT_S} s")
    process_s, org_cpu_s = time.perf_counter() - started_s, org.cpu_s() - org_cpu_s
    if done.returncode:
        return Measurement(case, program, None, process_s, org_cpu_s, error_in(done.stderr) or str(done.returncode))
    reading = Reading(**json.loads(last_line(done.stdout)))
    return Measurement(case, program, reading, process_s, org_cpu_s)


def error_in(text: str) -> str:
    """The line that names the error, which is not always the last."""
    lines = [line for line in text.splitlines() if re.match(r"[\w.]+(Error|Failed|Exception|Mismatch)\b", line)]
    return lines[-1] if lines else last_line(text)


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
