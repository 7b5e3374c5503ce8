"""``make bench``: figures of speed and memory, Syncline beside straight-line scripts and dlt, in one run.

Every program runs in a fresh process and reads from the same practice org in another one. Goals are printed as met or
not met; the exit code does not tell, for a machine that is busy is not a defect.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from benchmarks.cases import CASES, LONG, Bench, run_cases
from benchmarks.publish import publish
from benchmarks.served import NOTES, measure_served, table_of
from benchmarks.served import ROWS as SERVED_ROWS
from benchmarks.show import LATEST, line_of, machine, print_report, report_of, write_report

ROWS = 1_000_000
SERVED = "served"
QUICK_ROWS = 100_000
WIDTH_MIN = 150
BUSY_SHARE = 0.5
"""Of the CPUs, waiting or running, before the bench begins: more, and wall time says little."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="Accounts in the org (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS} rows, for trying the bench itself")
    pieces = [*CASES, SERVED]
    named = f"of {', '.join(pieces)}; may be repeated"
    parser.add_argument("--only", action="append", choices=pieces, metavar="NAME", help=named)
    parser.add_argument("--json", type=Path, default=LATEST, help="where to write the report (default: %(default)s)")
    parser.add_argument("--publish", action="store_true", help="put the figures into README, docs and the history")
    asked = parser.parse_args()
    if asked.publish and (asked.only or asked.quick):
        parser.error("--publish is for a whole run: leave --only and --quick out")
    rows = QUICK_ROWS if asked.quick else asked.rows
    whole = [each for each in CASES if not (asked.quick and each in LONG)]
    console = Console(highlight=False)
    if console.width < WIDTH_MIN:
        console.width = WIDTH_MIN
    before = machine()
    console.print(f"Machine: {before}")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as orgs:
        bench = Bench(rows, Path(folder), orgs, lambda each: console.print(line_of(each), style="dim"))
        run_cases(bench, [each for each in asked.only or whole if each != SERVED])
    served = measure_served(min(rows, SERVED_ROWS)) if SERVED in (asked.only or (SERVED,)) else []
    print_report(console, bench.measured)
    if served:
        console.print(table_of(served))
        console.print(NOTES, style="dim")
    if before["load_1m"] > BUSY_SHARE * before["cpus"]:
        console.print(f"\nThe machine was busy (load {before['load_1m']}) before it began: trust CPU, not wall time.")
    report = {**report_of(bench.measured, rows, before), "served": served}
    write_report(asked.json, report)
    console.print(f"\nWritten to {asked.json}")
    if asked.publish:
        publish(report)
        console.print("Published in README.md, docs/benchmarks.* and benchmarks/history.jsonl")


if __name__ == "__main__":
    main()
