"""One connection to Redshift through redshift_connector: counted, bounded, its errors told in Syncline's words.

The driver's autocommit is on and transactions are begun and ended in so many words: with it off, the driver sends a
BEGIN of its own before the first statement, and its ``with`` closes without a commit (driver's documentation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redshift_connector.error import Error
from sqlglot import exp

from syncline.connectors.errors import CommitUnknown, SynclineError
from syncline.connectors.secret import scrub
from syncline.sinks.redshift_errors import WIRE_ERRORS, is_answer, translate, translate_connect
from syncline.sinks.redshift_settings import Settings

QUERY_GROUP_CHARS_MAX = 320
"""What SYS_QUERY_HISTORY.query_label keeps."""

REPLY_MARGIN_S = 60
"""How much longer than the server's own statement timeout the client waits for its answer."""


class RedshiftSession:
    """See ``session.Session``. ``count`` is called before each statement.

    Raises:
        SignInError, ConfigError, Transient: it could not connect.
    """

    def __init__(self, settings: Settings, count: Callable[[], None], connect: Callable[..., Any]) -> None:
        self._count, self._place = count, settings.place
        self._group: str | None = None
        self._by_hand = False
        self._connection = _open(settings, connect)
        done = False
        try:
            for statement in settings.session():
                self.run(statement)
            done = True
        finally:
            if not done:
                self.close()

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """A transaction may also be begun and ended by statements; an error then rolls it back at once."""
        self._by_hand = statement == "BEGIN" or (self._by_hand and statement != "COMMIT")
        try:
            cursor = self._send(statement)
        except SynclineError:
            if self._by_hand:
                self._by_hand = False
                self._roll_back()
            raise
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def change(self, statement: str) -> tuple[int, ...]:
        rows = self._send(statement).rowcount
        if rows < 0:
            raise SynclineError(_operation(statement), self._place, "the server did not say how many rows it changed")
        return (rows,)

    def label(self, text: str) -> None:
        """Sets the query group, by which costs are told apart and queues are chosen; sends nothing for the same one."""
        group = text[:QUERY_GROUP_CHARS_MAX].replace("\\", "/")
        if group != self._group:
            self.run(f"SET query_group TO {exp.Literal.string(group).sql(dialect='redshift')}")
            self._group = group

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._send("BEGIN")
        begun = True
        try:
            yield
            self._count()
            begun = False
            self._commit()
        finally:
            if begun:
                self._roll_back()

    def close(self) -> None:
        # The server rolls back when it is told that the client goes, or finds that it went.
        with suppress(Error, *WIRE_ERRORS):
            self._connection.close()

    def _send(self, statement: str) -> Any:
        self._count()
        cursor = self._connection.cursor()
        try:
            cursor.execute(statement)
        except (Error, *WIRE_ERRORS) as error:
            raise translate(error, _operation(statement), self._place) from error
        return cursor

    def _commit(self) -> None:
        try:
            self._connection.cursor().execute("COMMIT")
        except (Error, *WIRE_ERRORS) as error:
            if is_answer(error):
                raise translate(error, "commit", self._place) from error
            hint = "the watermark's run id tells; the next run looks before it does anything"
            raise CommitUnknown("commit", self._place, scrub(f"{type(error).__name__}: {error}"), hint) from error

    def _roll_back(self) -> None:
        # A failing rollback must not hide the error that led here; a broken connection is rolled back by the server.
        self._count()
        with suppress(Error, *WIRE_ERRORS):
            self._connection.cursor().execute("ROLLBACK")


def _open(settings: Settings, connect: Callable[..., Any]) -> Any:
    errors: tuple[type[BaseException], ...] = (Error, *WIRE_ERRORS)
    if settings.iam:
        from botocore.exceptions import BotoCoreError, ClientError

        errors = (*errors, BotoCoreError, ClientError)
    try:
        connection = connect(**settings.arguments())
    except errors as error:
        raise translate_connect(error, settings.place) from error
    connection.autocommit = True
    # The driver has one timeout for connecting and for every later answer; statements may take longer.
    connection._usock.settimeout(settings.statement_timeout_s + REPLY_MARGIN_S)
    return connection


def _operation(statement: str) -> str:
    return f"run {' '.join(statement.split()[:3])}"
