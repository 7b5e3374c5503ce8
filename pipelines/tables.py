"""Reports as a person reads them: one short heading, one table of counts, then what needs attention.

Every function takes the JSON of a report, the very document that ``--json`` prints, so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from syncline.connectors.secret import scrub
from syncline.pipelines.history import picture

if TYPE_CHECKING:
    from rich.console import Console

    from syncline.connectors.connector import Json

Document = Mapping[str, "Json"]

STYLES = {
    "done": "green",
    "idle": "green",
    "failed": "red",
    "killed": "red",
    "stopped": "yellow",
    "guarded": "yellow",
    "running": "cyan",
}

WIDE_COLUMNS = 140

_COUNTS = (
    "announced", "read", "known", "landed", "staged", "inserted", "updated", "unchanged", "deleted", "absent",
    "superseded", "stale", "moot",
)  # fmt: skip
_WIDE = {"announced", "staged"}
_ALWAYS = {"read", "landed", "inserted", "updated", "deleted"}


def print_starter(console: Console, report: Document) -> None:
    for file in report["files"]:
        console.print(f"{'wrote' if file['written'] else 'kept '}  {file['path']}")
    console.print(f"\n{report['next_steps']}", end="")


def print_run(console: Console, report: Document) -> None:
    """The counts at every hop; a count that is zero everywhere and rarely matters has no column."""
    streams: Mapping[str, Document] = report.get("streams") or {}
    line = Text(f"{report['pipeline']}: ").append(str(report["status"]), STYLES.get(str(report["status"]), ""))
    line.append(f" in {seconds(report)}, run {report.get('run_id')}")
    console.print(line)
    if streams:
        console.print(_counts(streams, wide=console.width >= WIDE_COLUMNS))
    console.print(
        f"{report.get('api_calls', 0):,} API calls, {report.get('warehouse_statements', 0):,} warehouse statements"
    )
    if (cost := report.get("warehouse_cost")) and cost["statements"]:
        console.print(
            f"the warehouse was needed for {cost['warehouse_s']:,.0f} s and loaded {cost['bytes_loaded']:,} bytes:"
            f" about {cost['credits_estimated']:.4f} credits"
        )
    if report.get("resumed"):
        console.print(f"went on with what run {', '.join(report['resumed'])} had left unfinished")
    print_warnings(console, report)


def _counts(streams: Mapping[str, Document], wide: bool) -> Table:
    """A narrow screen has no room for windows and for the hops that equal their neighbours."""
    names = [name for name in _COUNTS if name in _ALWAYS or any(each.get(name) for each in streams.values())]
    shown = [name for name in names if wide or name not in _WIDE]
    table = counts_table("stream", "api", *(("window from", "window to") if wide else ()), right=shown)
    for name, each in sorted(streams.items()):
        window = each.get("window") or {}
        low = instant(window.get("low"), "the beginning" if window else "-")
        bounds = (low, instant(window.get("high"), "-")) if wide else ()
        table.add_row(name, each.get("api") or "-", *bounds, *(number(each.get(count)) for count in shown))
    if len(streams) > 1:
        sums = (number(sum(each.get(count) or 0 for each in streams.values())) for count in shown)
        table.add_row("all streams", "", *(("", "") if wide else ()), *sums, style="bold")
    return table


def print_plan(console: Console, report: Document) -> None:
    for name, each in (report.get("streams") or {}).items():
        window = each.get("window") or {}
        console.print(Text(name, "bold"))
        lines = {
            "target": f"{each.get('target')}, on_delete {each.get('on_delete')}",
            "mode": each.get("mode"),
            "window": f"{instant(window.get('low'), 'the beginning')} to {instant(window.get('high'), '-')}",
            "read by": each.get("api"),
            "rows": "not known before reading" if each.get("rows") is None else number(each["rows"]),
            "API calls": number(each.get("calls")),
            "query": each.get("query"),
            "key": _listed(each.get("key")) or "none",
            "cursor": each.get("cursor") or "none",
            "columns": _listed(each.get("columns")),
            "left out": _listed([f"{column} ({reason})" for column, reason in (each.get("left_out") or {}).items()]),
            "DDL": "\n".join(each.get("ddl") or ()),
            "notes": "\n".join(each.get("notes") or ()),
        }
        grid = Table.grid(padding=(0, 2))
        for label, value in lines.items():
            if value:
                grid.add_row(f"  {label}", Text(scrub(str(value)), overflow="fold"))
        console.print(grid)
    print_warnings(console, report)
    console.print("nothing was read, written or created")


def print_check(console: Console, report: Document) -> None:
    marks = {"ok": Text("ok", "green"), "warn": Text("warn", "yellow"), "error": Text("error", "red")}
    grid = Table.grid(padding=(0, 2))
    for finding in report["findings"]:
        level = str(finding["level"])
        body = Text(scrub(f"{finding['text']}"), overflow="fold")
        if finding.get("cure"):
            body.append(f"\n→ {scrub(str(finding['cure']))}", "cyan")
        grid.add_row(marks.get(level, Text(level)), str(finding["subject"]), body)
    console.print(grid)


def print_status(console: Console, report: Document) -> None:
    for pipeline in report["pipelines"]:
        line = Text(str(pipeline["pipeline"]), "bold").append(f"  {picture(pipeline['recent'])}", "")
        last = pipeline.get("last_run")
        if last is None:
            line.append("  never ran", "yellow")
        else:
            line.append("  last run ").append(str(last["status"]), STYLES.get(str(last["status"]), ""))
            line.append(f" {ago(last['age_s'])}")
        console.print(line)
        if last is not None and last.get("error"):
            console.print(Text(f"  {scrub(one_line(last['error']))}", "red"))
        if pipeline["streams"]:
            table = counts_table("stream", "watermark", right=("lag", "rows last run"), last="unfinished")
            for name, each in sorted(pipeline["streams"].items()):
                lag = "-" if each["lag_s"] is None else span(each["lag_s"])
                rows = "-" if each["rows_last_run"] is None else number(each["rows_last_run"])
                table.add_row(name, instant(each["watermark"], "none"), lag, rows, "yes" if each["unfinished"] else "")
            console.print(table)
        if pipeline.get("cost") is not None:
            print_cost(console, pipeline["cost"])
    for error in report.get("errors") or ():
        console.print(Text(f"error: {scrub(str(error))}", "red"))


def print_cost(console: Console, cost: Document) -> None:
    """The account's own figures, by day."""
    if cost["by_day"] is None:
        console.print("the warehouse is not billed by use")
        return
    if not cost["by_day"]:
        console.print(f"the account's history has no statement of the last {cost['days']} days yet; it is hours late")
        return
    table = counts_table("day", right=("runs", "statements", "credits", "bytes scanned"))
    for day in cost["by_day"]:
        credits = "-" if day["credits"] is None else f"{day['credits']:.4f}"
        table.add_row(day["day"], number(day["runs"]), number(day["queries"]), credits, number(day["bytes_scanned"]))
    console.print(table)


def print_runs(console: Console, report: Document) -> None:
    runs: Sequence[Document] = report["runs"]
    if not runs:
        console.print(f"{report['pipeline']} never ran; start it with `syncline run {report['pipeline']}`")
        return
    counts = ("read", "inserted", "updated", "deleted", "API calls", "statements")
    table = counts_table("run", "kind", "status", "started", right=("took", *counts), last="remarks")
    for run in runs:
        status = Text(str(run["status"]), STYLES.get(str(run["status"]), ""))
        remarks = one_line(run["error"]) if run.get("error") else "; ".join(run.get("warnings") or ())
        numbers = (run.get(field) for field in ("read", "inserted", "updated", "deleted", "api_calls", "statements"))
        table.add_row(
            run["run_id"],
            run.get("kind") or "run",
            status,
            instant(run["started_at"], "-"),
            seconds(run),
            *(number(value) for value in numbers),
            Text(scrub(remarks), overflow="ellipsis", no_wrap=True),
        )
    console.print(table)


def number(value: Json) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else "-"


def instant(text: str | None, absent: str) -> str:
    """Seconds are enough for the eye; ``--json`` has microseconds."""
    if not text:
        return absent
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%SZ")
    except ValueError:
        return text


def seconds(report: Document) -> str:
    started, finished = report.get("started_at"), report.get("finished_at")
    if not started or not finished:
        return "-"
    return f"{(datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds():,.1f} s"


def span(value_s: float) -> str:
    """``42 s``, ``3 min``, ``5 h``, ``12 d``: one unit, rounded down."""
    units: Sequence[tuple[float, str]] = ((86_400, "d"), (3_600, "h"), (60, "min"))
    for unit_s, name in units:
        if value_s >= 2 * unit_s:
            return f"{value_s / unit_s:,.0f} {name}"
    return f"{value_s:,.0f} s"


def ago(value_s: float | None) -> str:
    return "" if value_s is None else f"{span(value_s)} ago"


def one_line(error: Document) -> str:
    return f"{error.get('operation')}: {error.get('object')}: {error.get('cause')}".replace("\n", " ")


def counts_table(*left: str, right: Sequence[str] = (), last: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in left:
        table.add_column(title)
    for title in right:
        table.add_column(title, justify="right")
    if last is not None:
        table.add_column(last)
    return table


def _listed(values: Sequence[Json] | None) -> str:
    return ", ".join(str(value) for value in values or ())


def print_warnings(console: Console, report: Document) -> None:
    for text in report.get("warnings") or ():
        console.print(Text(scrub(f"warning: {text}"), "yellow"))
    for name, each in (report.get("streams") or {}).items():
        for text in each.get("warnings") or ():
            console.print(Text(scrub(f"warning: {name}: {text}"), "yellow"))
