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
from syncline.sinks.warehouse import WATERMARKS_TABLE

VERSION_MIN = 150_000
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
        self._passed_over: list[str] = []
        count()
        try:
            self._connection = psycopg.connect(**connection, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise refused(error, shown) from error
        self._connection.add_notice_handler(self._note)
        version = self._connection.info.server_version
        if version < VERSION_MIN:
            self.close()
            cause = f"it is version {version // 10_000}, MERGE came with {VERSION_MIN // 10_000}"
            raise ConfigError("connect to Postgres", shown, cause, "use Postgres 15 or newer")

    @property
    def counts_merges(self) -> bool:
        return self._connection.info.server_version >= MERGE_RETURNS_VERSION

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        self._count()
        with self._told(statement):
            self._passed_over.clear()
            cursor = self._connection.execute(statement.encode())
            if self._passed_over and statement.startswith("VACUUM"):
                cause = scrub("; ".join(self._passed_over))
                raise ConfigError("run VACUUM", self._shown, cause, _HINT_OWNER)
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
            said = self._connection.execute(b"COMMIT").statusmessage
        except psycopg.Error as error:
            answered = error.sqlstate and not error.sqlstate.startswith(_UNSETTLED)
            if answered and not self._connection.closed:
                raise translate(error, "COMMIT", self._shown) from error  # refused, and the server says so
            hint = "the watermark's run id tells; the next run looks before it does anything"
            raise CommitUnknown("commit", self._shown, first_line(error), hint) from error
        if said != "COMMIT":  # a transaction that failed before ends so, and without an error
            raise Transient("commit", self._shown, f"the server answered {said}: nothing stands", _AGAIN)

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        """VACUUM warns of a table it passes over, for lack of a right or because it is none, and succeeds (manual)."""
        if notice.severity_nonlocalized == "WARNING":
            self._passed_over.append(notice.message_primary or "")

    @contextmanager
    def _told(self, statement: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise translate(error, statement, self._shown) from error


_UNSETTLED = ("08", "40003", "57P")
"""Of a COMMIT these settle nothing: a server that stops, or a pooler before it whose server is gone, says them whether
the transaction stands or not (PostgreSQL manual, appendix A)."""

_HINT_RIGHTS = "grant what docs/warehouses.md lists for Postgres"
_HINT_OWNER = "run it as the owner of the tables; a view under a target's name has to be renamed or dropped"
_HINT_UNIQUE = (
    "run again if another program wrote that row meanwhile; if the constraint was added to the table, drop it"
)
_AGAIN = "run again; if it stays, look at the database server's log"
_RULES: tuple[tuple[tuple[str, ...], type[SynclineError], str], ...] = (
    (("22021",), DataError, "Postgres holds no NUL in a text: leave the field out with exclude=[...], or clean it"),
    (("22",), ValueOutOfType, "a value does not fit its column's type exactly"),
    (("23505",), DataError, _HINT_UNIQUE),
    (("23",), DataError, "a constraint that was added to the table refuses it: drop that, or mend the source"),
    (("54",), DataError, "leave the wide field out with exclude=[...], or choose a shorter key"),
    (("0A000", "2BP01"), ConfigError, "drop the view or rule that stands in the way, run, and make it again"),
    (("42501", "25006"), ConfigError, _HINT_RIGHTS),
    (("53100",), Transient, "free disk space on the database server, then run again"),
    (("55P03",), Transient, "another transaction keeps the table locked: end it, or raise lock_timeout_s"),
    (("57014",), Transient, "raise statement_timeout_s, or see what the statement waits for"),
    # 42P06, 42P07, 42701: another run made the same thing first. 25P03: the server ended a transaction that slept.
    (("08", "25P03", "3F000", "40", "42701", "42P01", "42P06", "42P07", "53", "55", "57", "58"), Transient, _AGAIN),
)
"""By the beginning of the SQLSTATE, the first that fits (PostgreSQL manual, appendix A)."""


def translate(error: psycopg.Error, statement: str, shown: str) -> SynclineError:
    """The error in the one tree."""
    operation, state = f"run {' '.join(statement.split()[:3])}", error.sqlstate or ""
    context = (error.diag.context or "").split("\n", 1)[0]
    cause = f"{first_line(error)} ({context})" if context else first_line(error)
    if state == "23505" and error.diag.schema_name == "pg_catalog":
        return Transient(operation, shown, cause, _AGAIN)  # two runs made the same thing at once
    if state == "23505" and error.diag.table_name == WATERMARKS_TABLE:  # spelled so whatever the case of names
        return FenceLost(operation, shown, cause, "another run committed first; nothing was written, run again")
    if state.startswith("23") and error.diag.constraint_name:
        cause = f"{cause} (table {error.diag.table_name}, constraint {error.diag.constraint_name})"
    for beginnings, kind, hint in _RULES:
        if state.startswith(beginnings):
            return kind(operation, shown, cause, hint)
    return SynclineError(operation, shown, cause, _AGAIN) if state else Transient(operation, shown, cause, _AGAIN)


def refused(error: psycopg.Error, shown: str) -> SynclineError:
    """Why no connection came about; libpq tells most of it in words only (PostgreSQL manual, client authentication)."""
    cause = first_line(error)
    said = cause.lower()
    if error.sqlstate in ("28P01", "28000") or "authentication failed" in said or "no password supplied" in said:
        return SignInError("connect to Postgres", shown, cause, "check user and password, and the server's pg_hba.conf")
    if "permission denied" in said or "not permitted" in said:
        return ConfigError("connect to Postgres", shown, cause, _HINT_RIGHTS)
    if "pg_hba.conf" in said or "does not exist" in said:
        return ConfigError("connect to Postgres", shown, cause, "check database and user, and the server's pg_hba.conf")
    if "translate host name" in said or "ssl" in said or "certificate" in said or "invalid" in said:
        return ConfigError("connect to Postgres", shown, cause, "check the host, and sslmode in the url")
    return Transient("connect to Postgres", shown, cause, "see that the server runs and can be reached, then run again")


def first_line(error: psycopg.Error) -> str:
    return scrub(str(error).strip().split("\n", 1)[0]) or type(error).__name__
