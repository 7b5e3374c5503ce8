"""What ``syncline check`` says of a DuckDB file: tried as a run would use it, with nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from syncline.connectors.errors import SynclineError, Transient
from syncline.connectors.finding import Finding, Level
from syncline.sinks.duckdb_session import Connect, Session
from syncline.sinks.duckdb_settings import Settings

TRIAL: Final = "syncline-check"


def check_file(settings: Settings, connect: Connect, sleep: Callable[[float], None], mark: str) -> Sequence[Finding]:
    """Whether the file can be opened, or made where it is not there yet; a file that is held is not waited for.

    A database of its own is made beside it and removed: a log and what does not fit into memory will stand there, too.
    ``mark`` tells it from another check's.
    """
    subject = f"warehouse duckdb, {settings.path}"
    if settings.in_memory:
        return [Finding("warn", subject, "it is gone when the process ends", "give DuckDB(...) the path of a file")]
    file = Path(settings.path)
    once = replace(settings, lock_wait_s=0.0)
    try:
        _try_beside(replace(once, path=f"{file}.{TRIAL}-{mark}"), connect, sleep)
    except SynclineError as error:
        return [_finding("error", subject, error)]
    if not file.exists():
        return [Finding("ok", subject, "it can be made")]
    try:
        Session(once, connect, sleep, _uncounted).close()
    except Transient as error:
        return [_finding("warn", subject, error)]  # perhaps by a run that is under way
    except SynclineError as error:
        return [_finding("error", subject, error)]
    return [Finding("ok", subject, "it can be opened")]


def _finding(level: Level, subject: str, error: SynclineError) -> Finding:
    return Finding(
        level, subject, f"{error.operation}: {error.cause}", error.hint or "mend the cause, then check again"
    )


def _try_beside(settings: Settings, connect: Connect, sleep: Callable[[float], None]) -> None:
    try:
        session = Session(settings, connect, sleep, _uncounted)
        try:
            session.run("CREATE TABLE trial AS SELECT 1 AS one")
        finally:
            session.close()
    finally:
        for path in (settings.path, f"{settings.path}.wal"):
            with suppress(OSError):
                Path(path).unlink()


def _uncounted() -> None:
    """A check is no part of a run."""
