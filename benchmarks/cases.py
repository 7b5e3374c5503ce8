"""The pieces of work that are measured, each by every program that can do it, in one order, in one run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.measure import Measurement, run_program
from benchmarks.meter import Reading
from benchmarks.practice_org import PracticeOrg, practice_org

CHANGES: Final = 10_000
LARGER: Final = 5
"""How many times more rows the second memory measurement has."""
SLOW_ROWS: Final = 100_000
"""Rows for programs that would take minutes for a million."""
HELP_RUNS: Final = 7

Show = Callable[[Measurement], None]


@dataclass(slots=True)
class Bench:
    """``rows`` Accounts in the org. Orgs start when first asked for and end with ``orgs``; folders are kept apart."""

    rows: int
    folder: Path
    orgs: ExitStack
    show: Show
    measured: list[Measurement] = field(default_factory=list)
    _running: dict[int, PracticeOrg] = field(default_factory=dict)

    def org(self, rows: int) -> PracticeOrg:
        if rows not in self._running:
            self._running[rows] = self.orgs.enter_context(practice_org(rows))
        return self._running[rows]

    def add(self, measurement: Measurement) -> None:
        self.measured.append(measurement)
        self.show(measurement)

    def run(self, case: str, program: str, org: PracticeOrg, folder: str, *flags: str) -> None:
        self.add(run_program(case, program, f"run_{program}", org, self.folder / folder, flags))

    def has(self, case: str) -> bool:
        return any(each.case == case for each in self.measured)


def bulk(bench: Bench) -> None:
    """A full load by Bulk API 2.0 into an empty DuckDB file."""
    org = bench.org(bench.rows)
    for program in ("plain_csv", "syncline", "dlt"):
        bench.run("bulk", program, org, f"bulk-{program}", "--api", "bulk")


def rest(bench: Bench) -> None:
    """A full load by REST queries into an empty DuckDB file."""
    org = bench.org(bench.rows)
    for program in ("plain_json", "syncline"):
        bench.run("rest", program, org, f"rest-{program}", "--api", "rest")
    bench.run("rest", "dlt", bench.org(min(SLOW_ROWS, bench.rows)), "rest-dlt", "--api", "rest")


def incremental(bench: Bench) -> None:
    """Changed rows into the full target, each program into the one it made; then Syncline with nothing to do."""
    if not bench.has("bulk"):
        bulk(bench)
    org = bench.org(bench.rows)
    since = org.change(min(CHANGES, org.rows // 10), "Renamed")
    bench.run("incremental", "plain_json", org, "bulk-plain_csv", "--since", since)
    bench.run("incremental", "syncline", org, "bulk-syncline")
    bench.run("incremental", "dlt", org, "bulk-dlt", "--api", "bulk", "--since", since)
    org.advance(120)
    bench.run("idle, changes in the overlap", "syncline", org, "bulk-syncline")
    org.advance(86_400)
    bench.run("idle", "syncline", org, "bulk-syncline")


def larger(bench: Bench) -> None:
    """The full load by Bulk again, with more rows: does memory grow?"""
    if not bench.has("bulk"):
        bulk(bench)
    org = bench.org(bench.rows * LARGER)
    for program in ("plain_csv", "syncline"):
        bench.run("larger", program, org, f"larger-{program}", "--api", "bulk")


def command(bench: Bench) -> None:
    """``syncline --help``: the median of several starts, after one that fills the caches."""
    start = [str(Path(sys.executable).with_name("syncline")), "--help"]
    walls_s = list(_starts(start, 1 + HELP_RUNS))[1:]
    wall_s = statistics.median(walls_s)
    detail = {"walls_s": [round(each, 3) for each in walls_s]}
    bench.add(Measurement("help", "syncline", Reading(0, wall_s, 0.0, 0.0, 0.0, detail), wall_s, 0.0))


def _starts(command: list[str], times: int) -> Iterator[float]:
    for _ in range(times):
        began_s = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        yield time.perf_counter() - began_s


CASES: Final[Mapping[str, Callable[[Bench], None]]] = {
    "bulk": bulk,
    "rest": rest,
    "incremental": incremental,
    "larger": larger,
    "help": command,
}


def run_cases(bench: Bench, names: Iterable[str]) -> None:
    for name in names:
        if name == "bulk" and bench.has("bulk"):
            continue
        CASES[name](bench)
