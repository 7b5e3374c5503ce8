"""What ``syncline maintain`` reports, as a person reads it; from the very document that ``--json`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncline.pipelines.tables import Document, counts_table, number

if TYPE_CHECKING:
    from rich.console import Console


def print_maintenance(console: Console, report: Document) -> None:
    if report["cares_itself"]:
        console.print(f"{report['warehouse']} looks after its tables by itself: nothing was sent", soft_wrap=True)
        return
    if not report["tables"]:
        console.print(f"{report['warehouse']} holds no tables of {report['pipeline']} yet", soft_wrap=True)
        return
    shown = counts_table("table", right=("dead rows before", "after"))
    for each in report["tables"]:
        counts = (each["dead_before"], each["dead_after"])
        shown.add_row(each["table"], *("not told" if count is None else number(count) for count in counts))
    console.print(shown)
    if report["file_bytes"] is not None:
        size, free = (f"{report[field] / 1e6:,.1f} MB" for field in ("file_bytes", "free_bytes"))
        console.print(f"the file has {size}, of which {free} are free for later runs")
