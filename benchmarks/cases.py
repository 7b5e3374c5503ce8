"""The pieces of work that are measured, each by every program that can do it, in one order, in one run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.cases_command import cron, help_
from benchmarks.cases_streams import idle_many, small, two_streams
from benchmarks.cases_target import merge, upkeep
from benchmarks.measure import Measurement, run_program
from benchmarks.practice_org import PracticeOrg, practice_org

CHANGES: Final = 10_000
LARGER: Final = 5
"""How many times more rows the second memory measurement has."""
LARGEST: Final = 20
"""And the third."""
SLOW_ROWS: Final = 100_000
"""Rows for programs that would take minutes for a million."""

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


def largest(bench: Bench) -> None:
    """The full load by Bulk of so many rows that whatever grows with them shows; its org is gone afterwards."""
    with practice_org(bench.rows * LARGEST) as org:
        bench.run("largest", "syncline", org, "largest-syncline", "--api", "bulk")
    shutil.rmtree(bench.folder / "largest-syncline", ignore_errors=True)


def many_changes(bench: Bench) -> None:
    """A tenth of the rows changed: by the road that is cheapest for so many, and by the other one."""
    if not bench.has("bulk"):
        bulk(bench)
    org = bench.org(bench.rows)
    since = org.change(org.rows // 10, "Renamed again")
    other = bench.folder / "many-plain_json"
    other.mkdir()
    shutil.copy2(bench.folder / "bulk-plain_csv" / "plain.duckdb", other)
    bench.run("a tenth changed", "plain_csv", org, "bulk-plain_csv", "--api", "bulk", "--since", since)
    bench.run("a tenth changed", "plain_json", org, other.name, "--since", since)
    bench.run("a tenth changed", "syncline", org, "bulk-syncline")


CASES: Final[Mapping[str, Callable[[Bench], None]]] = {
    "bulk": bulk,
    "rest": rest,
    "incremental": incremental,
    "many_changes": many_changes,
    "two_streams": two_streams,
    "small": small,
    "idle_many": idle_many,
    "merge": merge,
    "upkeep": upkeep,
    "help": help_,
    "cron": cron,
    "larger": larger,
    "largest": largest,
}
LONG: Final = frozenset({"largest"})
"""What takes minutes by itself: ``--quick`` leaves it out unless it is asked for."""


def run_cases(bench: Bench, names: Iterable[str]) -> None:
    for name in names:
        if name == "bulk" and bench.has("bulk"):
            continue
        CASES[name](bench)
