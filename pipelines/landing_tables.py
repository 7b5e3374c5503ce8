"""What ``syncline landing`` reports, as a person reads it; from the very document that ``--json`` prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.text import Text

from syncline.connectors.secret import scrub
from syncline.pipelines.tables import Document, counts_table, number

if TYPE_CHECKING:
    from rich.console import Console


def print_expire(console: Console, report: Document) -> None:
    shown = counts_table("stream", right=("runs expired", "files", "orphans", "MB"), last="runs kept")
    for name, each in sorted(report["streams"].items()):
        kept = ", ".join(f"{count:,} {reason}" for reason, count in sorted(each["kept"].items()))
        counts = (len(each["expired"]), each["files"], each["orphans"])
        shown.add_row(name, *(number(count) for count in counts), f"{each['bytes'] / 1e6:,.1f}", kept or "none")
    console.print(shown)
    if report["uploads_aborted"]:
        console.print(f"{len(report['uploads_aborted']):,} unfinished uploads aborted")
    print_warnings(console, report)
    console.print("nothing was removed" if report["dry_run"] else "removed")


def print_lifecycle(console: Console, report: Document) -> None:
    """As the AWS command takes it, so that it can be handed to whoever owns the bucket."""
    console.print_json(json.dumps({"Rules": report["rules"]}))
    if report["applied"]:
        done = "now has these rules" if report["changed"] else "has these rules already"
        console.print(f"{report['bucket']} {done}", soft_wrap=True)


def print_compact(console: Console, report: Document) -> None:
    shown = counts_table("stream", right=("runs merged", "files", "became", "rows", "MB"), last="removed of earlier")
    for name, each in sorted(report["streams"].items()):
        counts = (each[field] for field in ("runs", "files_before", "files_after", "rows"))
        removed = f"{len(each['removed']):,} runs" if each["removed"] else "none"
        shown.add_row(name, *(number(count) for count in counts), f"{each['bytes'] / 1e6:,.1f}", removed)
    console.print(shown)
    console.print("nothing was changed" if report["dry_run"] else "compacted")


def print_register(console: Console, report: Document) -> None:
    shown = counts_table("stream", "table", right=("partitions", "created", "updated", "deleted"), last="table was")
    for name, each in sorted(report["streams"].items()):
        counts = (number(each[field]) for field in ("partitions", "created", "updated", "deleted"))
        shown.add_row(name, each["table"], *counts, each["change"])
    console.print(shown)
    print_warnings(console, report)


def print_warnings(console: Console, report: Document) -> None:
    for text in report.get("warnings") or ():
        console.print(Text(scrub(f"warning: {text}"), "yellow"))
