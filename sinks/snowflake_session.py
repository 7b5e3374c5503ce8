"""One session of Snowflake through its own driver: counted, tagged, bounded in time, its errors told by number.

A session that is gone is not replaced here: the engine does the whole step again on a new one. What the old one left
open is ended by id when the new one opens (``snowflake_transactions``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from syncline.connectors.errors import CommitUnknown, SynclineError, Transient
from syncline.sinks import snowflake_transactions as transactions
from syncline.sinks.snowflake_cost import Meter, needs_warehouse
from syncline.sinks.snowflake_errors import SessionGone, translate
from syncline.sinks.snowflake_settings import Settings
from syncline.sinks.snowflake_transactions import Memory, Process

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

Connect: TypeAlias = "Callable[..., SnowflakeConnection]"
Sleep: TypeAlias = Callable[[float], None]

COMMIT_SEEN_AFTER_S = 2.0
"""Another session may see a commit a little later where READ_CONSISTENCY_MODE is SESSION."""

TIMEOUT_MARGIN_S = 60
"""The server ends a statement that takes too long; the driver waits this much longer for it to say so."""

MERGE_COUNTS = ("inserted", "updated", "deleted")

# The driver reports what it also raises; without a handler of the user's own that would land on stderr.
logging.getLogger("snowflake").addHandler(logging.NullHandler())


class SnowflakeSession:
    """See ``session.Session``. Signs in when made; ``count`` is called before each statement.

    ``memory`` outlives the session: what it knows of earlier transactions is settled here first. ``connect`` is the
    driver's where it is left out; ``sleep`` is a seam for tests.

    Raises:
        SignInError: refused; never retried, for repeated attempts lock users out.
    """

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        meter: Meter,
        count: Callable[[], None],
        sleep: Sleep,
        connect: Connect | None = None,
    ) -> None:
        self._settings, self._memory, self._meter = settings, memory, meter
        self._count, self._sleep = count, sleep
        self._inside = self._looked = False
        self._transaction_id = ""
        self._tag = ""
        self.tag()
        self._connection: SnowflakeConnection | None = _connected(settings, connect)
        try:
            self._settle()
        except SynclineError:
            self.close()
            raise

    def tag(self, **labels: str) -> None:
        """Labels of the statements that follow: ``pipeline``, ``run``, ``stream``; they become their QUERY_TAG.

        It goes with each statement as its own parameter, for an ALTER SESSION could commit.
        """
        known = {name: label for name, label in labels.items() if label}
        self._tag = json.dumps({"app": "syncline", **known}, separators=(",", ":"))

    # ---- statements ----

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Sends one statement; its rows."""
        return self._rows(self._send(statement), statement)

    def named_rows(self, statement: str) -> list[dict[str, Any]]:
        """The same, each row by its columns' names: the order of what SHOW and COPY return is not promised."""
        cursor = self._send(statement)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in self._rows(cursor, statement)]

    def change(self, statement: str) -> tuple[int, ...]:
        """Sends one DML statement; rows changed. For a MERGE: inserted, updated, deleted."""
        [row] = self.named_rows(statement)
        counts = {name.lower(): int(value or 0) for name, value in row.items() if name.lower().startswith("number of")}
        told = [counts.get(f"number of rows {word}") for word in MERGE_COUNTS]
        if statement.lstrip()[:5].upper() == "MERGE":
            return tuple(count or 0 for count in told)
        return (next(count for count in told if count is not None),)

    # ---- transactions ----

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN, then COMMIT, or ROLLBACK on any way out but the last line. A failing ROLLBACK never hides the error.

        Raises:
            CommitUnknown: COMMIT was sent and no success came back (KNOWN-OUTCOME). The session is closed then; the
                next one ends the transaction by id first, so that what it finds is final.
        """
        process = Process.own(self._settings.place)
        self._end_abandoned(process)
        self.run(transactions.begin(process))
        self._inside = begun = True
        try:
            self._transaction_id = str(self.run("SELECT CURRENT_TRANSACTION()")[0][0])
            self._memory.began(self._transaction_id)
            yield
            begun = False
            self._commit()
        finally:
            self._inside = False
            if begun:
                self._roll_back()

    def _commit(self) -> None:
        self._memory.committing(self._transaction_id)
        try:
            self._send("COMMIT")
        except SynclineError as error:
            self.close()
            hint = "the watermark's run id tells; the next run looks before it does anything"
            raise CommitUnknown("commit", self._settings.place, error.cause, hint) from error
        self._memory.ended(self._transaction_id)

    def _roll_back(self) -> None:
        # Whatever goes wrong here, the error that led here matters more, and the memory keeps the id.
        if self._connection is not None:
            with suppress(SynclineError):
                self._send("ROLLBACK")
                self._memory.ended(self._transaction_id)

    # ---- transactions that others left behind ----

    def _end_abandoned(self, process: Process) -> None:
        """Once a session: what a dead process of this machine left open would hold its locks for minutes."""
        if self._looked:
            return
        self._looked = True
        rows = self._asked("SHOW TRANSACTIONS")
        for each in transactions.abandoned(transactions.running(rows or ()), process):
            self._asked(transactions.abort(each.id))

    def _settle(self) -> None:
        """Ends by id what lost sessions left open. What did commit stays so, and is given time to show."""
        for id, committing in list(self._memory.unsettled.items()):
            self._asked(transactions.abort(id))
            if committing:
                told = self._asked(transactions.describe(id))
                # Where it is not told, waiting is the safe side.
                if told is None or any("commit" in str(value).lower() for row in told for value in row.values()):
                    self._sleep(COMMIT_SEEN_AFTER_S)
            self._memory.ended(id)

    def _asked(self, statement: str) -> list[dict[str, Any]] | None:
        """Its rows; ``None`` where it is refused: the transaction may have ended, or the right to ask is missing."""
        try:
            return self.named_rows(statement)
        except SessionGone:
            raise
        except SynclineError:
            return None

    # ---- the connection ----

    def close(self) -> None:
        """Ends the session, which rolls back what is open. Idempotent; raises nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(retry=False)

    def _send(self, statement: str) -> SnowflakeCursor:
        from snowflake.connector.errors import Error

        if self._connection is None:
            raise SessionGone(_operation(statement), self._settings.place, "the session has ended", "run again")
        self._count()
        began_s = self._meter.now_s()
        try:
            cursor = self._connection.cursor()
            cursor.execute(statement, timeout=self._timeout_s(statement), _statement_params={"QUERY_TAG": self._tag})
        except Error as error:
            raise self._told(error, statement) from error
        except OSError as error:
            raise self._lost(error, statement) from error
        finally:
            self._meter.sent(statement, began_s)
        return cursor

    def _rows(self, cursor: SnowflakeCursor, statement: str) -> list[tuple[Any, ...]]:
        from snowflake.connector.errors import Error

        try:
            fetched: Sequence[Any] = cursor.fetchall()
        except Error as error:
            raise self._told(error, statement) from error
        except OSError as error:
            raise self._lost(error, statement) from error
        return [tuple(_plain(value) for value in row) for row in fetched]

    def _timeout_s(self, statement: str) -> int:
        """How long the driver tries; what works on a warehouse may take as long as the server lets it."""
        if needs_warehouse(statement) or statement.startswith(("PUT", "COMMIT")):
            return self._settings.statement_timeout_s + TIMEOUT_MARGIN_S
        return self._settings.network_timeout_s

    def _told(self, error: Any, statement: str) -> SynclineError:
        told = translate(error, _operation(statement), self._settings.place)
        if isinstance(told, SessionGone):
            # Nothing more can be said to it, and asking again would take the driver's whole patience.
            self.close()
        elif error.errno == 625 and self._inside:
            # What failed took the transaction along (TRANSACTION_ABORT_ON_ERROR), which answers nothing but ROLLBACK.
            self._inside = False
            self._roll_back()
            found = transactions.running(self._asked("SHOW TRANSACTIONS") or ())
            blockers = transactions.blockers(found, self._transaction_id)
            told.cause = f"{told.cause}; {blockers}" if blockers else told.cause
        return told

    def _lost(self, error: OSError, statement: str) -> SessionGone:
        """The driver repeats a request without a reply, but lets pass what breaks off in the middle of one."""
        self.close()
        cause = f"the reply broke off ({type(error).__name__})"
        return SessionGone(_operation(statement), self._settings.place, cause, "run again; look at the network")


def _connected(settings: Settings, connect: Connect | None) -> SnowflakeConnection:
    import snowflake.connector
    from snowflake.connector.errors import Error

    try:
        return (connect or snowflake.connector.connect)(**settings.arguments())
    except Error as error:
        raise translate(error, "sign in to Snowflake", settings.place, signing_in=True) from error
    except OSError as error:
        cause = f"{type(error).__name__}: {error.strerror or 'no answer'}"
        raise Transient("sign in to Snowflake", settings.place, cause, "check the network") from None


def _operation(statement: str) -> str:
    return f"run {' '.join(statement.split()[:3])}"


def _plain(value: Any) -> Any:
    """Instants in UTC, bytes that cannot change; everything else as the driver gives it."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return bytes(value) if isinstance(value, bytearray) else value
