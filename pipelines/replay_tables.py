"""What a replay or a rewind did, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from syncline.connectors.secret import scrub
from syncline.pipelines.tables import counts_table, number, print_warnings

if TYPE_CHECKING:
    from rich.console import Console

    from syncline.connectors.connector import Json

COUNTS = ("staged", "inserted", "updated", "deleted", "absent")


def print_replay(console: Console, report: Mapping[str, Json]) -> None:
    line = f"{report['runs']:,} runs of {report['pipeline']} into {report['into']}, as of {report['until']}"
    console.print(Text(scrub(line), "bold"))
    table = counts_table("stream", right=COUNTS)
    for name, each in sorted(report["streams"].items()):
        table.add_row(name, *(number(each.get(count)) for count in COUNTS))
    console.print(table)
    if report["skipped"]:
        console.print(f"{report['skipped']:,} sealed runs never committed, and were left out")
    print_warnings(console, report)
