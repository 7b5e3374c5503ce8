"""One session of Snowflake through its own driver: counted, tagged, bounded in time, its errors told by number.

Outside a transaction a lost session is replaced and the statement sent again, for ``run`` is given only statements that
may be repeated. Inside one nothing is repeated: the transaction is gone with its session, so the error goes up.
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
from syncline.sinks.snowflake_errors import SessionGone, cause_of, translate
from syncline.sinks.snowflake_settings import Settings
from syncline.sinks.snowflake_transactions import Memory, Process

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

Connect: TypeAlias = "Callable[..., SnowflakeConnection]"
Sleep: TypeAlias = Callable[[float], None]

RECONNECTS_MAX = 2
RECONNECT_WAIT_S = 2.0

COMMIT_SEEN_AFTER_S = 2.0
"""Another session may see a commit a little later where READ_CONSISTENCY_MODE is SESSION."""

TIMEOUT_MARGIN_S = 60
"""The server ends a statement that takes too long; the driver waits this much longer for it to say so."""

# The driver reports what it also raises; without a handler of the user's own that would land on stderr.
logging.getLogger("snowflake").addHandler(logging.NullHandler())


class SnowflakeSession:
    """Belongs to one thread. Connects at the first statement; ``count`` is called before each one.

    ``memory`` outlives the session: what it knows of earlier transactions is settled when the session opens.
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
        self._count, self._sleep, self._connector = count, sleep, connect
        self._connection: SnowflakeConnection | None = None
        self._inside = False
        self._transaction_id = ""
        self._looked = False
        self._labels: dict[str, str] = {}

    def tag(self, **labels: str) -> None:
        """Labels for the statements that follow: ``pipeline``, ``run``, ``stream``; they become the QUERY_TAG."""
        self._labels = labels

    # ---- statements ----

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Sends one statement that may be repeated; its rows."""
        return _rows(self._patiently(statement))

    def named_rows(self, statement: str) -> list[dict[str, Any]]:
        """The same, each row by its columns' names: the order of what SHOW and COPY return is not promised."""
        cursor = self._patiently(statement)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in _rows(cursor)]

    def attempt(self, statement: str) -> list[dict[str, Any]]:
        """Like ``named_rows``, sent once: for statements whose repetition the caller must prepare.

        Raises:
            SessionGone: it may have been carried out or not, and may even still run.
        """
        cursor = self._send(statement)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in _rows(cursor)]

    def change(self, statement: str) -> tuple[int, ...]:
        """Sends one DML statement; rows changed. For a MERGE: inserted, updated, deleted."""
        cursor = self._send(statement)
        rows = cursor.fetchall()
        counts = {str(column.name).lower(): int(_first(rows, index)) for index, column in enumerate(cursor.description)}
        if statement.lstrip()[:5].upper() == "MERGE":
            return tuple(counts.get(f"number of rows {word}", 0) for word in ("inserted", "updated", "deleted"))
        told = (counts.get(f"number of rows {word}") for word in ("inserted", "updated", "deleted"))
        return (next((count for count in told if count is not None), max(cursor.rowcount or 0, 0)),)

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
            self._drop()
            hint = "the watermark's run id tells; the next run looks before it does anything"
            raise CommitUnknown("commit", self._settings.place, error.cause, hint) from error
        self._memory.ended(self._transaction_id)

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        # Whatever goes wrong here, the error that led here matters more, and the memory keeps the id.
        with suppress(SynclineError):
            self._send("ROLLBACK")
            self._memory.ended(self._transaction_id)

    def _end_abandoned(self, process: Process) -> None:
        """Once a session: what a dead process of this machine left open would hold its locks for minutes."""
        if self._looked:
            return
        self._looked = True
        for each in transactions.abandoned(self._transactions(), process):
            with suppress(SynclineError):
                self.run(transactions.abort(each.id))

    def _transactions(self) -> list[transactions.Running]:
        # Without the right to list them the lock's own timeout is what remains.
        with suppress(SynclineError):
            return transactions.running(self.named_rows("SHOW TRANSACTIONS"))
        return []

    # ---- the connection ----

    def close(self) -> None:
        """Ends the session, which rolls back what is open. Idempotent; raises nothing."""
        self._drop()

    def _patiently(self, statement: str) -> SnowflakeCursor:
        for attempt in range(RECONNECTS_MAX + 1):
            try:
                return self._send(statement)
            except SessionGone:
                if self._inside or attempt == RECONNECTS_MAX:
                    raise
                self.reopen()
                self._sleep(RECONNECT_WAIT_S * attempt)
        raise AssertionError("unreachable")

    def reopen(self) -> None:
        """Drops a session that is gone; the next statement opens another and stops what the old one may still run."""
        old = self._connection
        self._drop()
        session_id = getattr(old, "session_id", None)
        if session_id:
            with suppress(SynclineError):
                self._send(transactions.cancel_queries(session_id))

    def _send(self, statement: str) -> SnowflakeCursor:
        from snowflake.connector.errors import Error

        connection = self._open()
        self._count()
        began_s = self._meter.now_s()
        tag = json.dumps({"app": "syncline", **self._labels}, separators=(",", ":"))
        try:
            cursor = connection.cursor()
            cursor.execute(
                statement,
                timeout=self._timeout_s(statement),
                _statement_params={"QUERY_TAG": tag},
            )
        except Error as error:
            told = self._told(error, statement)
            if isinstance(told, SessionGone) and self._inside:
                # Nothing more can be said to it, and asking again would take the driver's whole patience.
                self._drop()
            raise told from error
        finally:
            self._meter.sent(statement, began_s)
        return cursor

    def _timeout_s(self, statement: str) -> int:
        """How long the driver tries; what works on a warehouse may take as long as the server lets it."""
        if needs_warehouse(statement) or statement.startswith(("PUT", "COMMIT")):
            return self._settings.statement_timeout_s + TIMEOUT_MARGIN_S
        return self._settings.network_timeout_s

    def _told(self, error: Any, statement: str) -> SynclineError:
        operation = f"run {' '.join(statement.split()[:3])}"
        told = translate(error, operation, self._settings.place)
        if error.errno == 625 and self._inside:
            found = transactions.blockers(self._listed_in_transaction(), self._transaction_id)
            told.cause = f"{told.cause}; {found}" if found else told.cause
        return told

    def _listed_in_transaction(self) -> Sequence[transactions.Running]:
        from snowflake.connector.errors import Error

        assert self._connection is not None
        self._count()
        with suppress(Error):
            cursor = self._connection.cursor()
            cursor.execute("SHOW TRANSACTIONS", timeout=TIMEOUT_MARGIN_S)
            names = [column.name for column in cursor.description or ()]
            return transactions.running(dict(zip(names, row, strict=True)) for row in cursor.fetchall())
        return []

    def _open(self) -> SnowflakeConnection:
        if self._connection is None:
            if self._inside:
                raise SessionGone("run statement", self._settings.place, "the session ended within its transaction")
            self._connection = self._connected()
            self._looked = False
            self._settle()
        return self._connection

    def _connected(self) -> SnowflakeConnection:
        import snowflake.connector
        from snowflake.connector.errors import Error

        connect = self._connector or snowflake.connector.connect
        try:
            return connect(**self._settings.arguments())
        except Error as error:
            raise translate(error, "sign in to Snowflake", self._settings.place, signing_in=True) from error
        except OSError as error:
            cause = f"{type(error).__name__}: {error.strerror or 'no answer'}"
            raise Transient("sign in to Snowflake", self._settings.place, cause, "check the network") from None

    def _settle(self) -> None:
        """Ends by id what lost sessions left open. What did commit stays so, and is given time to show."""
        for id, committing in list(self._memory.unsettled.items()):
            self._asked(transactions.abort(id))
            if committing:
                told = self._asked(transactions.describe(id))
                # Where it is not told, waiting is the safe side.
                if told is None or any("commit" in str(value).lower() for row in told for value in row):
                    self._sleep(COMMIT_SEEN_AFTER_S)
            self._memory.ended(id)

    def _asked(self, statement: str) -> list[tuple[Any, ...]] | None:
        """Its rows; ``None`` where it is refused: the transaction may have ended, or the right to ask is missing."""
        try:
            return _rows(self._send(statement))
        except SessionGone:
            self._drop()
            raise
        except SynclineError:
            return None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(retry=False)


def _rows(cursor: SnowflakeCursor) -> list[tuple[Any, ...]]:
    from snowflake.connector.errors import Error

    try:
        fetched = cursor.fetchall()
    except Error as error:
        raise SessionGone("fetch rows", "Snowflake", cause_of(error), "run again") from error
    return [tuple(_plain(value) for value in row) for row in fetched]


def _plain(value: Any) -> Any:
    """Instants in UTC, bytes that cannot change; everything else as the driver gives it."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return bytes(value) if isinstance(value, bytearray) else value


def _first(rows: Sequence[Any], index: int) -> int:
    try:
        return int(rows[0][index])
    except (IndexError, TypeError, ValueError):
        return 0
