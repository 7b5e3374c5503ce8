"""What the figures are held against: Syncline's goals, and the other programs in the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.measure import Measurement

Measured = Sequence[Measurement]

MEMORY_SPREAD_MAX: Final = 0.10


@dataclass(frozen=True, slots=True)
class Verdict:
    """``met`` is None when the run did not measure it."""

    name: str
    goal: str
    value: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Syncline's figure over the other program's: rows a second, CPU per row, peak memory."""

    case: str
    against: str
    rows_per_s: float
    cpu_per_row: float
    peak_rss: float


def find(measured: Measured, case: str, program: str = "syncline") -> Measurement | None:
    return next((each for each in measured if (each.case, each.program) == (case, program) and each.reading), None)


def verdicts(measured: Measured) -> list[Verdict]:
    """Every goal of the benchmark, whether this run measured it or not."""
    return [
        _judge("full load by Bulk", ">= 150,000 rows/s", _rate(measured, "bulk"), lambda v: v >= 150_000, "{:,.0f}"),
        _judge("full load by REST", ">= 60,000 rows/s", _rate(measured, "rest"), lambda v: v >= 60_000, "{:,.0f}"),
        _judge("peak memory", "<= 600 MB", _peak(measured, "bulk"), lambda v: v <= 600, "{:,.0f} MB"),
        _judge(
            "peak memory, more rows", "+-10 %", _growth(measured), lambda v: abs(v) <= MEMORY_SPREAD_MAX, "{:+.1%}"
        ),
        _judge(
            "changed rows into the full target", "< 3 s", _wall(measured, "incremental"), lambda v: v < 3, "{:.2f} s"
        ),
        _judge("idle run", "0 statements", _statements(measured, "idle"), lambda v: v == 0, "{:.0f}"),
        _judge(
            "idle run, changes in the overlap", "0 statements", _statements(measured, "idle, changes in the overlap"),
            lambda v: v == 0, "{:.0f}",
        ),
        _judge("syncline --help", "< 0.3 s", _wall(measured, "help"), lambda v: v < 0.3, "{:.3f} s"),
        _judge("the org's own CPU, Bulk", "< 3 s per M rows", _org_cpu(measured), lambda v: v < 3, "{:.2f} s"),
    ]  # fmt: skip


def ratios(measured: Measured) -> list[Ratio]:
    """Syncline beside every other program that did the same work."""
    found = []
    for other in measured:
        mine = find(measured, other.case)
        if other.program == "syncline" or not other.reading or mine is None or mine.reading is None:
            continue
        cpu = mine.cpu_s_per_million / other.cpu_s_per_million
        peak = mine.reading.peak_rss_mb / other.reading.peak_rss_mb
        found.append(Ratio(other.case, other.program, mine.rows_per_s / other.rows_per_s, cpu, peak))
    return found


def _judge(name: str, goal: str, value: float | None, holds: Callable[[float], bool], form: str) -> Verdict:
    if value is None:
        return Verdict(name, goal, "not measured", None)
    return Verdict(name, goal, form.format(value), holds(value))


def _rate(measured: Measured, case: str) -> float | None:
    found = find(measured, case)
    return found.rows_per_s if found else None


def _peak(measured: Measured, case: str) -> float | None:
    found = find(measured, case)
    return found.reading.peak_rss_mb if found and found.reading else None


def _wall(measured: Measured, case: str) -> float | None:
    found = find(measured, case)
    return found.reading.wall_s if found and found.reading else None


def _growth(measured: Measured) -> float | None:
    small, large = _peak(measured, "bulk"), _peak(measured, "larger")
    return None if small is None or large is None else large / small - 1


def _statements(measured: Measured, case: str) -> float | None:
    found = find(measured, case)
    return float(found.reading.detail["warehouse_statements"]) if found and found.reading else None


def _org_cpu(measured: Measured) -> float | None:
    found = find(measured, "bulk")
    return found.org_cpu_s_per_million if found else None
