"""A proof as a person reads it: the picture of each stream's time, the counts, and the first keys that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from syncline.connectors.secret import scrub
from syncline.pipelines.tables import counts_table, instant, number, print_warnings

if TYPE_CHECKING:
    from rich.console import Console

    from syncline.connectors.connector import Json

Document = Mapping[str, "Json"]

CELLS = {"equal": ("■", "green"), "different": ("✗", "red"), "empty": ("·", "bright_black")}
"""A sign besides its colour: reports are mailed and printed, and not everybody tells red from green."""

COUNTS = ("rows_source", "rows_target", "missing", "extra", "stale", "different")


def print_verify(console: Console, report: Document) -> None:
    """Counts and verdicts first, then when it differs, then where."""
    streams: Mapping[str, Document] = report.get("streams") or {}
    table = counts_table("stream", right=tuple(name.replace("_", " ") for name in COUNTS), last="verdict")
    for name, each in sorted(streams.items()):
        verdict = Text("equal", "green") if each.get("equal") else Text("different", "red")
        table.add_row(name, *(number(each.get(field)) for field in COUNTS), verdict)
    console.print(table)
    _print_pictures(console, streams)
    for name, each in sorted(streams.items()):
        for example in each.get("examples") or ():
            key = ", ".join(str(part) for part in example.get("key", ()))
            where = f" in {', '.join(example['columns'])}" if example.get("columns") else ""
            console.print(Text(scrub(f"  {name} {key}: {example.get('kind')}{where}")))
    for name, each in sorted(streams.items()):
        console.print(Text(f"{name}: {_checked(each)}"))
    for name, rows in sorted((report.get("repaired") or {}).items()):
        console.print(Text(f"{name}: {rows:,} differences were repaired, and looked at again afterwards", "bold"))
    print_warnings(console, report)


def _print_pictures(console: Console, streams: Mapping[str, Document]) -> None:
    """A cell a stretch of time; streams are of different age, so each says its own bounds."""
    width = max((len(name) for name in streams), default=0)
    for name, each in sorted(streams.items()):
        cells: Sequence[Document] = each.get("buckets") or ()
        if cells:
            line = Text(f"{name:<{width}}  ").append(_picture(cells))
            beginning = cells[1]["low"] if len(cells) > 1 else None
            line.append(f"  before {instant(beginning, '-')} to {instant(cells[-1]['high'], '-')}" if beginning else "")
            console.print(line)


def _picture(cells: Sequence[Document]) -> Text:
    line = Text()
    for cell in cells:
        line.append(*CELLS.get(str(cell.get("state")), ("?", "")))
    return line


def _checked(each: Document) -> str:
    """What share was looked at, in words; a proof must not claim more than it looked at."""
    if each.get("level") == "counts":
        return "counts and newest cursors by time agree; no row was compared"
    keys, rows = each.get("keys_share", 1.0), each.get("rows_share", 1.0)
    notes = [f"key and cursor of {keys:.0%} of rows compared, every column of {rows:.1%}"]
    if pending := each.get("pending"):
        notes.append(f"{pending:,} pending, for the next run")
    if gone := each.get("rechecked"):
        notes.append(f"{gone:,} gone when looked at again")
    return "; ".join(notes)
