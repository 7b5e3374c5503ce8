"""How a run is followed: bars, JSON lines or nothing; and a console to print on, a terminal and a file alike.

What draws is imported when something is drawn: a run from cron writes JSON lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

from syncline.pipelines.events import Events, JsonLines, Quiet

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console

LogFormat: TypeAlias = Literal["auto", "bars", "json", "quiet"]

WIDTH_WITHOUT_TERMINAL = 200
"""Columns for output that goes to a file or a mail: wide enough that no table is folded."""


@contextmanager
def following(log_format: LogFormat) -> Iterator[Events]:
    """The writer for this format; ``auto`` is bars if stderr is a terminal and JSON lines if it is not."""
    if log_format == "auto":
        log_format = "bars" if sys.stderr.isatty() else "json"
    if log_format == "bars":
        from syncline.pipelines.bars import Bars

        with Bars(console_on(sys.stderr)) as bars:
            yield bars
    elif log_format == "json":
        yield JsonLines(sys.stderr)
    else:
        yield Quiet()


def console_on(file: TextIO) -> Console:
    """A console that uses the terminal's width, or a generous one where there is no terminal."""
    from rich.console import Console

    terminal = file.isatty()
    return Console(
        file=file,
        width=None if terminal else WIDTH_WITHOUT_TERMINAL,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not terminal,
    )
