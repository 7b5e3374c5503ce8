"""The figures as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.goals import Ratio, Verdict, ratios, verdicts
from benchmarks.measure import ROOT, Measurement

LATEST: Final = ROOT / "benchmarks" / "out" / "latest.json"
PACKAGES: Final = ("syncline", "pyarrow", "duckdb", "dlt", "msgspec", "urllib3", "orjson", "numpy")
NAMES: Final = {
    "plain_csv": "plain script (CSV)",
    "plain_json": "plain script (JSON)",
    "plain_merge": "plain script (SQL)",
    "syncline": "Syncline",
    "dlt": "dlt",
}


def line_of(each: Measurement) -> str:
    """One measurement, told as soon as it is there."""
    if each.reading is None:
        return f"{each.case}, {NAMES[each.program]}: failed: {each.error}"
    return f"{each.case}, {NAMES[each.program]}: {each.reading.rows:,} rows in {each.reading.wall_s:.2f} s"


def print_report(console: Console, measured: Sequence[Measurement]) -> None:
    for table in (figures_table(measured), ratios_table(ratios(measured)), goals_table(verdicts(measured))):
        if table.row_count:
            console.print()
            console.print(table)
    for each in measured:
        if each.program == "dlt" and each.reading is not None:
            settings = ", ".join(f"{name}={value}" for name, value in each.reading.detail["settings"].items())
            console.print(f"\ndlt {each.reading.detail['dlt']}: {settings}", style="dim")
            break


def figures_table(measured: Sequence[Measurement]) -> Table:
    table = Table(title="Measured", title_justify="left")
    table.add_column("work")
    table.add_column("program")
    for name in ("rows", "wall s", "rows/s", "CPU s", "CPU s/M rows", "peak MB", "process s", "org CPU s"):
        table.add_column(name, justify="right")
    for each in measured:
        table.add_row(each.case, NAMES[each.program], *_cells(each))
    return table


def _cells(each: Measurement) -> list[str]:
    found = each.reading
    if found is None:
        return ["failed", "", "", "", "", "", f"{each.process_s:.2f}", f"{each.org_cpu_s:.2f}"]
    per_row = [f"{each.rows_per_s:,.0f}", f"{found.cpu_s:.2f}", f"{each.cpu_s_per_million:.1f}"]
    if not found.rows:
        per_row = ["", f"{found.cpu_s:.2f}", ""]
    peak = f"{found.peak_rss_mb:,.0f}" + (f" + {found.workers_peak_rss_mb:,.0f}" if found.workers_peak_rss_mb else "")
    return [
        f"{found.rows:,}", f"{found.wall_s:.2f}", *per_row, peak, f"{each.process_s:.2f}", f"{each.org_cpu_s:.2f}",
    ]  # fmt: skip


def ratios_table(found: Sequence[Ratio]) -> Table:
    table = Table(title="Syncline over the other", title_justify="left")
    table.add_column("work")
    table.add_column("other")
    for name in ("rows/s", "CPU per row", "peak memory"):
        table.add_column(name, justify="right")
    for each in found:
        cells = (each.rows_per_s, each.cpu_per_row, each.peak_rss)
        table.add_row(each.case, NAMES[each.against], *(f"{cell:.2f} x" for cell in cells))
    return table


def goals_table(found: Sequence[Verdict]) -> Table:
    table = Table(title="Goals", title_justify="left")
    for name in ("goal", "wanted", "measured", ""):
        table.add_column(name)
    words = {True: "[green]met[/]", False: "[red]not met[/]", None: ""}
    for each in found:
        table.add_row(each.name, each.goal, each.value, words[each.met])
    return table


def report_of(measured: Sequence[Measurement], rows: int, before: dict[str, Any]) -> dict[str, Any]:
    """``before`` is the machine as it was when the bench began."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "benchmarks.bench", *sys.argv[1:]],
        "commit": _commit(),
        "machine": before,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "rows": rows,
        "measurements": [each.to_json() for each in measured],
        "ratios": [asdict(each) for each in ratios(measured)],
        "goals": [asdict(each) for each in verdicts(measured)],
    }


def write_report(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """Enough to judge the figures by; ``load_1m`` tells whether others were using the machine."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000
    return {
        "system": platform.system(), "architecture": platform.machine(), "cpus": cpus, "memory_mb": memory_mb,
        "load_1m": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()
