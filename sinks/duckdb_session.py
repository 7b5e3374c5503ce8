"""One connection to a DuckDB file: counted, bounded, with DuckDB's errors told in Syncline's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import tenacity

from syncline.connectors.errors import (
    CommitUnknown,
    ConfigError,
    FenceLost,
    SynclineError,
    Transient,
    ValueOutOfType,
)
from syncline.sinks.duckdb_settings import Settings
from syncline.sinks.warehouse import WATERMARKS_TABLE

LOCK_POLL_S = 0.5
SLACK_BYTES = 8_000_000
"""Of DuckDB's memory, what a small need fits into without a statement to say so."""

Connect: TypeAlias = Callable[[str], duckdb.DuckDBPyConnection]
Sleep: TypeAlias = Callable[[float], None]


class Session:
    """Runs statements; ``count`` is called before each one."""

    def __init__(self, settings: Settings, connect: Connect, sleep: Sleep, count: Callable[[], None]) -> None:
        self._count = count
        self._path = settings.path
        self._settings = settings
        self._needed_bytes = self._granted_bytes = 0
        self._connection = _open(settings, connect, sleep)
        with _closing_on_failure(self._connection):
            for statement in settings.statements():
                self.run(statement)
            self.catalog = str(self.run("SELECT current_database()")[0][0])

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Runs one statement and returns its rows; for DML one row with the number of rows changed."""
        self._count()
        with self._told(statement):
            return self._connection.execute(statement).fetchall()

    def make_room(self, more_bytes: int) -> None:
        """Lets DuckDB take so much more memory until the connection closes, unless the user set its limit."""
        self._needed_bytes += more_bytes
        if self._settings.memory_limit is None and self._needed_bytes - self._granted_bytes > SLACK_BYTES:
            self._granted_bytes = self._needed_bytes
            self.run(f"SET memory_limit = '{self._settings.memory_limit_bytes + self._granted_bytes}B'")

    def table(self, statement: str) -> pa.Table:
        """The rows of a query in Arrow."""
        self._count()
        with self._told(statement):
            return self._connection.sql(statement).to_arrow_table()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN, then COMMIT, or ROLLBACK on any way out but the last line.

        Raises:
            FenceLost: DuckDB refused the commit because another transaction wrote the same rows; nothing stands.
            CommitUnknown: any other error of COMMIT itself (KNOWN-OUTCOME).
        """
        self.run("BEGIN TRANSACTION")
        begun = True
        try:
            yield
            self._count()
            begun = False
            self._commit()
        finally:
            if begun:
                self._roll_back()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One consistent view of the warehouse; whatever is written meanwhile is thrown away."""
        self.run("BEGIN TRANSACTION")
        try:
            yield
        finally:
            self._roll_back()

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except (duckdb.TransactionException, duckdb.ConstraintException) as error:
            # DuckDB checks for conflicts before it writes anything, and rolls back when it finds one.
            raise translate(error, "COMMIT", self._path) from error
        except duckdb.Error as error:
            hint = "the watermark's run id tells; the next run looks before it does anything"
            raise CommitUnknown("commit", self._path, _first_line(error), hint) from error

    def _roll_back(self) -> None:
        # A failing rollback must not hide the error that led here; closing the connection rolls back as well.
        with suppress(duckdb.Error):
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _told(self, statement: str) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise translate(error, statement, self._path) from error


@contextmanager
def _closing_on_failure(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            connection.close()


def _open(settings: Settings, connect: Connect, sleep: Sleep) -> duckdb.DuckDBPyConnection:
    """Opens the file; waits while another process holds it, up to ``lock_wait_s``."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_locked),
        stop=tenacity.stop_after_attempt(1 + int(settings.lock_wait_s / LOCK_POLL_S)),
        wait=tenacity.wait_fixed(LOCK_POLL_S),
        sleep=sleep,
        reraise=True,
    )
    try:
        return attempts(connect, settings.path)
    except duckdb.Error as error:
        if not _is_locked(error):
            hint = "check that the folder exists and may be written, and that the file is a DuckDB database"
            raise ConfigError("open DuckDB file", settings.path, _first_line(error), hint) from error
        holder = re.search(r"PID (\d+)", str(error))
        by = f"process {holder[1]}" if holder else "another process"
        raise Transient(
            "open DuckDB file",
            settings.path,
            f"{by} holds the file, still after {settings.lock_wait_s:g} s",
            f"close it in {by} (an open shell or notebook counts, even a read-only one), or raise lock_wait_s",
        ) from error


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, duckdb.IOException) and "lock on file" in str(error)


def translate(error: duckdb.Error, statement: str, path: str) -> SynclineError:
    """DuckDB's error in the one tree."""
    operation = f"run {' '.join(statement.split()[:3])}"
    cause = _first_line(error)
    if isinstance(error, duckdb.ConstraintException) and statement != "COMMIT" and WATERMARKS_TABLE not in statement:
        # The watermarks' key is the only constraint that Syncline makes; old and new version of a row meet in a target.
        hint = "somebody added a constraint or a unique index to the target: drop it (ALTER TABLE, DROP INDEX)"
        return ConfigError(operation, path, cause, hint)
    if isinstance(error, duckdb.TransactionException | duckdb.ConstraintException):
        # Of the watermarks' key, or a conflict: only a run writes.
        return FenceLost(operation, path, cause, "another run committed first; nothing was written, run again")
    if isinstance(error, duckdb.OutOfMemoryException):
        return ConfigError(operation, path, cause, "raise memory_limit of DuckDB(...), or lower its threads to 1")
    if isinstance(error, duckdb.ConversionException | duckdb.OutOfRangeException):
        return ValueOutOfType(operation, path, cause, "a value does not fit its column's type exactly")
    if isinstance(error, duckdb.IOException):
        hint = "check the free disk space and that the landing's files are still there, then run again"
        return Transient(operation, path, cause, hint)
    return SynclineError(operation, path, cause)


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
