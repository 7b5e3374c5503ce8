"""A report's figures where people look: the README's table, the page of benchmarks, a chart, and a line of history.

``python -m benchmarks.publish`` takes what ``python -m benchmarks.bench`` wrote; ``bench --publish`` does both. Nothing
is typed by hand: a test holds the pages against the report that is kept beside them.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.chart import draw
from benchmarks.measure import ROOT
from benchmarks.served import HEADS
from benchmarks.show import LATEST, NAMES

Report = Mapping[str, Any]
Measured = Mapping[str, Any]

PUBLISHED: Final = "benchmarks/published.json"
HISTORY: Final = "benchmarks/history.jsonl"
CHARTS: Final = ("docs/benchmarks.svg", "docs/benchmarks.png")
README: Final = "README.md"
PAGE: Final = "docs/benchmarks.md"
LOOKS: Final = "Speed, CPU and memory beside plain scripts and dlt"
FRONT: Final = ("bulk", "rest", "incremental", "a tenth changed")
"""What the README shows."""


def publish(report: Report, root: Path = ROOT) -> None:
    """Writes the pages, the charts, the report and its line of history below ``root``.

    Raises ValueError, before anything is written, when a page lacks its marks.
    """
    pages = {name: (root / name).read_text() for name in (README, PAGE)}
    pages[README] = put(pages[README], "bench", front(report))
    pages[PAGE] = put(put(pages[PAGE], "bench", figures(report)), "served", served(report))
    draw(report, [root / name for name in CHARTS])
    for name, text in pages.items():
        (root / name).write_text(text)
    (root / PUBLISHED).write_text(json.dumps(report, indent=1) + "\n")
    with (root / HISTORY).open("a") as history:
        history.write(json.dumps(line(report)) + "\n")


def put(page: str, mark: str, text: str) -> str:
    """The page with what stands between two marks of that name replaced."""
    between = rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)"
    page, times = re.subn(between, lambda each: each[1] + text + each[2], page, flags=re.S)
    if times != 1:
        raise ValueError(f"the page has not the marks <!-- {mark} --> and <!-- /{mark} --> once")
    return page


def said(report: Report) -> str:
    """Date, machine and command, and whether the machine was quiet."""
    machine, versions = report["machine"], report["versions"]
    programs = ", ".join(f"{name} {versions[name]}" for name in ("python", "pyarrow", "duckdb", "dlt"))
    busy = machine["load_1m"] > 0.5 * machine["cpus"]
    state = f"; the machine was busy before (load {machine['load_1m']}): trust CPU, not wall time" if busy else ""
    return (
        f"{report['at'][:10]}, `{' '.join(report['command'])}`, {report['rows']:,} records; {machine['system']}"
        f" {machine['architecture']}, {machine['cpus']} cores, {programs}{state}."
    )


def front(report: Report) -> str:
    """The README's table: full loads and a tenth changed, by whom and how fast."""
    rows = [each for each in report["measurements"] if each["case"] in FRONT and each["reading"]]
    lines = table(
        ("work", "program", "rows/s", "CPU s for a million rows", "peak MB"),
        ((each["case"], name_of(each), rate(each), cpu(each), peak(each)) for each in rows),
    )
    return "\n".join([*lines, "", said(report), "", f"![{LOOKS}]({CHARTS[0]})", ""])


def figures(report: Report) -> str:
    """Everything that was measured, and the goals."""
    heads = (
        "work",
        "program",
        "rows",
        "wall s",
        "rows/s",
        "CPU s",
        "CPU s/M rows",
        "peak MB",
        "process s",
        "org CPU s",
    )
    goals = (
        (each["name"], each["goal"], each["value"], {True: "met", False: "**not met**", None: ""}[each["met"]])
        for each in report["goals"]
    )
    return "\n".join(
        [
            said(report),
            "",
            *table(heads, (cells(each) for each in report["measurements"])),
            "",
            *table(("goal", "wanted", "measured", ""), goals),
            "",
            f"![{LOOKS}]({Path(CHARTS[0]).name})",
            "",
        ]
    )


def served(report: Report) -> str:
    """What went over the wire."""
    rows = (
        [each["target"], each["run"], *("" if (cell := each[name]) is None else f"{cell:,}" for name in HEADS.values())]
        for each in report["served"]
    )
    return "\n".join([said(report), "", *table(["target", "run", *HEADS], rows), ""])


def cells(each: Measured) -> Sequence[str]:
    found = each["reading"]
    ends = (f"{each['process_s']:.2f}", f"{each['org_cpu_s']:.2f}")
    if found is None:
        return (each["case"], name_of(each), "failed", "", "", "", "", "", *ends)
    wall_s, cpu_s = f"{found['wall_s']:.2f}", f"{found['cpu_s']:.2f}"
    return (each["case"], name_of(each), f"{found['rows']:,}", wall_s, rate(each), cpu_s, cpu(each), peak(each), *ends)


def name_of(each: Measured) -> str:
    name = NAMES[each["program"]]
    return f"**{name}**" if each["program"] == "syncline" else name


def rate(each: Measured) -> str:
    return f"{each['rows_per_s']:,}" if each["reading"]["rows"] else ""


def cpu(each: Measured) -> str:
    return f"{each['cpu_s_per_million']:.1f}" if each["reading"]["rows"] else ""


def peak(each: Measured) -> str:
    found = each["reading"]
    workers = f" + {found['workers_peak_rss_mb']:,.0f}" if found["workers_peak_rss_mb"] else ""
    return f"{found['peak_rss_mb']:,.0f}{workers}"


def table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(each)} |" for each in (heads, ["---"] * len(heads), *rows)]


def line(report: Report) -> Mapping[str, Any]:
    """What a later reader compares: the figures of each piece of work, and what they were measured with."""
    kept = ("case", "program", "rows_per_s", "cpu_s_per_million")
    return {
        **{name: report[name] for name in ("at", "commit", "rows", "machine", "versions", "served")},
        "measurements": [
            {
                **{name: each[name] for name in kept},
                **{name: round(each["reading"][name], 3) for name in ("wall_s", "cpu_s", "peak_rss_mb")},
            }
            for each in report["measurements"]
            if each["reading"]
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish", description=__doc__)
    parser.add_argument("--report", type=Path, default=LATEST, help="what the bench wrote (default: %(default)s)")
    publish(json.loads(parser.parse_args().report.read_bytes()))


if __name__ == "__main__":
    main()
