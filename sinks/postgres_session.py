"""One connection to Postgres: counted, bounded in time, with its errors told in Syncline's words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from syncline.connectors.errors import (
    CommitUnknown,
    ConfigError,
    DataError,
    FenceLost,
    SignInError,
    SynclineError,
    Transient,
    ValueOutOfType,
)
from syncline.connectors.secret import scrub

MERGE_RETURNS_VERSION = 170_000
"""From this version on MERGE says what it did (PostgreSQL 17 release notes)."""

COUNT_MERGED = (
    "WITH changed AS ({merge} RETURNING merge_action() AS action) SELECT COUNT(*) FILTER (WHERE action = 'INSERT'),"
    " COUNT(*) FILTER (WHERE action = 'UPDATE'), COUNT(*) FILTER (WHERE action = 'DELETE') FROM changed"
)


class PostgresSession:
    """See ``session.Session``. ``shown`` names the database without secrets."""

    def __init__(self, connection: Mapping[str, Any], shown: str, count: Callable[[], None]) -> None:
        self._shown, self._count = shown, count
        count()
        try:
            self._connection = psycopg.connect(**connection, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise refused(error, shown) from error

    @property
    def counts_merges(self) -> bool:
        return self._connection.info.server_version >= MERGE_RETURNS_VERSION

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        self._count()
        with self._told(statement):
            cursor = self._connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def change(self, statement: str) -> tuple[int, ...]:
        if statement.startswith("MERGE"):
            [counts] = self.run(COUNT_MERGED.format(merge=statement))
            return tuple(counts)
        self._count()
        with self._told(statement):
            return (self._connection.execute(statement.encode()).rowcount,)

    def copy(self, statement: str, chunks: Iterable[bytes | memoryview]) -> int:
        """COPY ... FROM STDIN; how many rows arrived."""
        self._count()
        with self._told(statement), self._connection.cursor() as cursor:
            with cursor.copy(statement.encode()) as copy:
                for chunk in chunks:
                    copy.write(chunk)
            return cursor.rowcount

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.run("BEGIN")
        begun = True
        try:
            yield
            begun = False
            self._commit()
        finally:
            if begun:
                # A failing rollback must not hide the error that led here; closing rolls back as well.
                with suppress(SynclineError):
                    self.run("ROLLBACK")

    def _commit(self) -> None:
        self._count()
        try:
            self._connection.execute(b"COMMIT")
        except psycopg.Error as error:
            if error.sqlstate and not self._connection.closed:
                raise translate(error, "COMMIT", self._shown) from error  # refused, and the server says so
            hint = "the watermark's run id tells; the next run looks before it does anything"
            raise CommitUnknown("commit", self._shown, first_line(error), hint) from error

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    @contextmanager
    def _told(self, statement: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise translate(error, statement, self._shown) from error


def translate(error: psycopg.Error, statement: str, shown: str) -> SynclineError:
    """The error in the one tree, by SQLSTATE (PostgreSQL manual, appendix A)."""
    operation, state = f"run {' '.join(statement.split()[:3])}", error.sqlstate or ""
    context = (error.diag.context or "").split("\n", 1)[0]
    cause = f"{first_line(error)} ({context})" if context else first_line(error)
    if state == "23505":
        return FenceLost(operation, shown, cause, "another run committed first; nothing was written, run again")
    if state == "22021":
        hint = "Postgres holds no NUL in a text: leave the field out with exclude=[...], or clean it at the source"
        return DataError(operation, shown, cause, hint)
    if state.startswith("22"):
        return ValueOutOfType(operation, shown, cause, "a value does not fit its column's type exactly")
    if state.startswith("54"):
        return DataError(
            operation, shown, cause, "leave the wide field out with exclude=[...], or choose a shorter key"
        )
    if state in ("42501", "25006", "0A000"):
        return ConfigError(operation, shown, cause, "grant what docs/warehouses.md lists for Postgres")
    if state == "53100":
        return Transient(operation, shown, cause, "free disk space on the database server, then run again")
    if not state or state[:2] in ("08", "40", "53", "55", "57", "58") or state in ("42P01", "3F000"):
        return Transient(operation, shown, cause, "run again; if it stays, look at the database server's log")
    return SynclineError(operation, shown, cause)


def refused(error: psycopg.Error, shown: str) -> SynclineError:
    """Why no connection came about; libpq tells most of it in words only (PostgreSQL manual, client authentication)."""
    cause = first_line(error)
    said = cause.lower()
    if error.sqlstate in ("28P01", "28000") or "authentication failed" in said or "no password supplied" in said:
        return SignInError("connect to Postgres", shown, cause, "check user and password, and the server's pg_hba.conf")
    if "pg_hba.conf" in said or "does not exist" in said:
        return ConfigError("connect to Postgres", shown, cause, "check database and user, and the server's pg_hba.conf")
    if "translate host name" in said or "ssl" in said or "certificate" in said or "invalid" in said:
        return ConfigError("connect to Postgres", shown, cause, "check the host, and sslmode in the url")
    return Transient("connect to Postgres", shown, cause, "see that the server runs and can be reached, then run again")


def first_line(error: psycopg.Error) -> str:
    return scrub(str(error).strip().split("\n", 1)[0]) or type(error).__name__
