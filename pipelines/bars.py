"""What a person at a terminal sees of a run: a bar a stream, on stderr, so that stdout stays for the report."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from syncline.connectors.secret import scrub
from syncline.pipelines.events import Event

WAIT_SHOWN_S = 5.0
"""Shorter pauses are over before they are read; the JSON lines have them all."""

_PHASES = {
    "stream_planned": "reading",
    "stream_resumed": "resumed",
    "rows_read": "reading",
    "slice_landed": "reading",
    "stream_landed": "landed",
    "table_loaded": "staged",
    "committed": "committed",
    "stream_counted": "counted",
    "stream_staged": "comparing",
    "stream_compared": "compared",
    "proof_paused": "waiting",
    "runs_merged": "merged",
}


class Bars:
    """One bar a stream; a stream whose rows nobody announced shows what it has read so far.

    Safe from several threads. Leaves the finished bars on the screen when the block ends.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=28),
            _Rows(),
            TextColumn("{task.fields[phase]}", style="cyan"),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=8,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def emit(self, event: Event) -> None:
        stream = event.fields.get("stream")
        if event.name == "warning":
            self._progress.console.print(_warning(event), style="yellow")
        elif event.name == "request_retried":
            if event.fields["wait_s"] >= WAIT_SHOWN_S:
                self._progress.console.print(_waiting(event), style="dim")
        elif event.name in _PHASES and isinstance(stream, str):
            self._advance(event, stream)

    def _advance(self, event: Event, stream: str) -> None:
        task = self._task(stream)
        phase = _PHASES[event.name]
        if event.name == "stream_planned":
            self._progress.update(task, total=_count(event, "rows_expected"), phase=f"{phase} ({event.fields['api']})")
        elif event.name == "rows_read":
            self._progress.update(task, advance=_count(event, "rows") or 0)
        elif event.name in ("stream_landed", "stream_resumed"):
            rows = _count(event, "rows") or 0
            self._progress.update(task, total=1, completed=1, rows=rows, phase=phase if rows else "nothing new")
        elif event.name == "runs_merged":
            done, total = _count(event, "runs") or 0, _count(event, "of")
            self._progress.update(task, total=total, advance=done, phase=phase, unit="runs")
        elif event.name == "stream_counted":
            self._progress.update(task, total=1, completed=1, rows=_count(event, "rows") or 0, phase=phase)
        elif event.name == "proof_paused":
            self._progress.update(task, phase=f"waiting {event.fields['wait_s']:.0f} s for deletions to be told")
        else:
            self._progress.update(task, phase=phase)

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=None, phase="", rows=None, unit="rows")
        return self._tasks[name]


class _Rows(ProgressColumn):
    """``120,000 / 200,000 rows`` while reading, ``200,000 rows`` once landed; of upkeep ``9 / 12 runs``."""

    def render(self, task: Task) -> Text:
        if task.fields.get("rows") is not None:
            return Text(f"{task.fields['rows']:,} rows", style="green")
        if task.total is None:
            return Text(f"{task.completed:,.0f} rows", style="green")
        return Text(f"{task.completed:,.0f} / {task.total:,.0f} {task.fields['unit']}", style="green")


def _warning(event: Event) -> str:
    stream = event.fields.get("stream")
    return scrub(f"warning: {f'{stream}: ' if stream else ''}{event.fields.get('text', '')}")


def _waiting(event: Event) -> str:
    what = f"{event.fields['operation']}: {event.fields['object']}: {event.fields['cause']}"
    return scrub(f"attempt {event.fields['attempt']} failed, the next in {event.fields['wait_s']:.0f} s: {what}")


def _count(event: Event, field: str) -> int | None:
    value = event.fields.get(field)
    return value if isinstance(value, int) else None
