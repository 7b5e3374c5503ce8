"""A run's evidence as a person reads it: who and when, then per stream what was asked, counted and sealed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from syncline.connectors.secret import scrub
from syncline.pipelines.tables import STYLES, counts_table, instant, number, one_line, seconds

if TYPE_CHECKING:
    from rich.console import Console

    from syncline.connectors.connector import Json

Document = Mapping[str, "Json"]

FATES = ("staged", "inserted", "updated", "unchanged", "deleted", "superseded", "stale", "moot", "absent", "doubled")


def print_evidence(console: Console, report: Document) -> None:
    run = report.get("run")
    line = Text(f"run {report['run_id']} of {report['pipeline']}", "bold")
    if run is None:
        line.append("  not in the history", "yellow")
    else:
        line.append(f"  {run['kind']}  ").append(str(run["status"]), STYLES.get(str(run["status"]), ""))
        line.append(f"  started {instant(run['started_at'], '-')}, took {seconds(run)}")
    console.print(line)
    if run is not None and run.get("error"):
        console.print(Text(f"  {scrub(one_line(run['error']))}", "red"))
    for name, each in sorted(report["streams"].items()):
        _print_stream(console, name, each)


def _print_stream(console: Console, name: str, stream: Document) -> None:
    console.print(Text(f"\n{name}", "bold"))
    if not stream["manifests"]:
        console.print("  nothing was sealed in the landing, or it has been removed from there")
    for manifest in stream["manifests"]:
        _print_manifest(console, manifest)
    if counts := stream.get("counts"):
        told = [f"{fate} {number(counts[fate])}" for fate in FATES if counts.get(fate)]
        console.print(Text(f"  in the warehouse: {', '.join(told) or 'no row'}"))


def _print_manifest(console: Console, manifest: Document) -> None:
    rows, window, versions = manifest["rows"], manifest["window"], manifest["versions"]
    merged = f", compacted with {len(manifest['merged'])} runs" if manifest.get("merged") else ""
    low, high = instant(window["low"], "the beginning"), instant(window["high"], "-")
    facts = {
        "manifest": f"{manifest['run_id']}{merged}, started {instant(manifest['started_at'], '-')}",
        "window": f"[{low}, {high})  {manifest['mode']}",
        "query": manifest["query"],
        "API": f"{manifest['api']}; " + ", ".join(f"{name} {text}" for name, text in sorted(versions.items())),
        "rows": ", ".join(f"{name} {number(rows.get(name))}" for name in ("announced", "read", "known")),
        "landed": f"{number(rows['records'])} records, {number(rows['tombstones'])} tombstones",
        "cursors": f"{instant(manifest['cursor_least'], '-')} to {instant(manifest['cursor_largest'], '-')}",
        "landing": manifest["landing"],
    }
    for title, text in facts.items():
        console.print(Text(scrub(f"  {title:<9} {text}")), soft_wrap=True)
    table = counts_table("file", right=("rows", "bytes"), last="sha256")
    for entry in manifest["files"]:
        table.add_row(entry["path"], number(entry["rows"]), number(entry["size_bytes"]), entry["sha256"])
    console.print(table)
