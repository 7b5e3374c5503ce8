"""One connection to a Postgres server for short transactions: made when needed, made again when it was lost.

Everything a transaction needs is said within it (``SET LOCAL``) and no statement is prepared, so that a pooler in
transaction mode may stand between (PgBouncer documentation, features). No wait is unbounded: connecting, a statement, a
row somebody else holds, a peer that went away, and a client of ours that was put to sleep in the middle.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from syncline.connectors.errors import ConfigError, SignInError, SynclineError, Transient
from syncline.connectors.postgres_url import PostgresUrl
from syncline.connectors.secret import scrub

if TYPE_CHECKING:
    import psycopg

    Connection: TypeAlias = psycopg.Connection[dict[str, Any]]
    Cursor: TypeAlias = psycopg.Cursor[dict[str, Any]]

Value = TypeVar("Value")

ATTEMPTS_MAX = 3
"""Of one transaction; all of them do the same when done twice, or look first."""

BACKOFF_FIRST_S = 0.5
KEEPALIVE_IDLE_S = 30
KEEPALIVE_INTERVAL_S = 10
KEEPALIVE_COUNT = 3
PEER_GONE_AFTER_S = 60
ASLEEP_S = 10.0
"""After so long without a word the server ends a transaction, so that a process that was stopped holds no row."""


class PostgresSession:
    """Transactions one after another, from any thread. Nothing is connected before the first."""

    def __init__(
        self,
        url: PostgresUrl,
        connect_timeout_s: int,
        statement_timeout_s: float,
        sleep: Callable[[float], None],
    ) -> None:
        self.shown = url.shown
        self._url = url
        self._connect_timeout_s = connect_timeout_s
        self._settings = _settings(statement_timeout_s)
        self._sleep = sleep
        self._lock = threading.RLock()
        self._open: list[Connection] = []
        # The driver warns of connections that are forgotten open.
        weakref.finalize(self, _close_all, self._open)

    def transact(self, operation: str, object: str, work: Callable[[Cursor], Value], undo: bool = False) -> Value:
        """What ``work`` returns, committed; ``undo`` takes it back instead.

        ``work`` may be called again after the connection was lost, also when its transaction was committed and only
        the reply to COMMIT is missing. What it raises of its own undoes the transaction and is passed on.

        Raises:
            ConfigError, Transient, SynclineError: by what the server or the driver says.
        """
        import psycopg

        with self._lock:
            for attempt in range(ATTEMPTS_MAX):
                try:
                    return self._once(work, undo)
                except psycopg.Error as error:
                    told = state_error(operation, f"{object}, {self.shown}", error)
                    self._drop_if_lost()
                    if not isinstance(told, Transient) or attempt == ATTEMPTS_MAX - 1:
                        # Not chained: the driver's traceback would repeat what was scrubbed.
                        raise told from None
                self._sleep(BACKOFF_FIRST_S * 4**attempt)
        raise AssertionError("every attempt returns or raises")

    def close(self) -> None:
        with self._lock:
            _close_all(self._open)

    def _once(self, work: Callable[[Cursor], Value], undo: bool) -> Value:
        connection = self._connected()
        with connection.transaction(force_rollback=undo), connection.cursor() as cursor:
            cursor.execute(self._settings)
            return work(cursor)

    def _connected(self) -> Connection:
        if not self._open:
            self._open.append(self._connect())
        return self._open[0]

    def _connect(self) -> Connection:
        import psycopg
        from psycopg.rows import dict_row

        connection = psycopg.connect(
            **self._url.parameters(),
            connect_timeout=self._connect_timeout_s,
            keepalives_idle=KEEPALIVE_IDLE_S,
            keepalives_interval=KEEPALIVE_INTERVAL_S,
            keepalives_count=KEEPALIVE_COUNT,
            tcp_user_timeout=PEER_GONE_AFTER_S * 1000,
            application_name="syncline state",
            client_encoding="UTF8",
            autocommit=True,
            prepare_threshold=None,
            row_factory=dict_row,
        )
        # Rows are locked where it matters; a database whose default is another level would refuse instead of waiting.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.read_only = False
        return connection

    def _drop_if_lost(self) -> None:
        if self._open and (self._open[0].closed or self._open[0].broken):
            _close_all(self._open)


def _close_all(connections: list[Connection]) -> None:
    while connections:
        with suppress(Exception):
            connections.pop().close()


def _settings(statement_timeout_s: float) -> bytes:
    """The dates of a mirror reach over the years 1 to 9999: only UTC shows them all."""
    settings = {
        "statement_timeout": int(statement_timeout_s * 1000),
        "lock_timeout": int(min(statement_timeout_s, ASLEEP_S * 1.5) * 1000),
        "idle_in_transaction_session_timeout": int(ASLEEP_S * 1000),
        "timezone": "'UTC'",
        "datestyle": "'ISO'",
    }
    return "; ".join(f"SET LOCAL {name} = {value}" for name, value in settings.items()).encode()


_HINT_RIGHTS = "grant what docs/warehouses.md lists for PostgresState"
_HINT_AGAIN = "run again; if it goes on, look at the server's log and the network"
_HINT_DROP = (
    "drop the state's schema while no run is under way: nothing is lost but time, the warehouse holds the truth"
)


def state_error(operation: str, object: str, error: psycopg.Error) -> SynclineError:
    """What it means to the user, by SQLSTATE (PostgreSQL manual, appendix A); by words where libpq has nothing else."""
    state = error.sqlstate or ""
    cause = scrub(str(error).strip().partition("\n")[0]) or type(error).__name__
    if not state:
        return _unanswered(operation, object, cause)
    if state.startswith("28"):
        return SignInError(operation, object, cause, "check user and password, and the server's pg_hba.conf")
    if state in ("42501", "3D000", "25006", "0A000"):
        return ConfigError(operation, object, cause, _HINT_RIGHTS)
    if state[:2] in ("42", "3F", "22", "23"):
        return ConfigError(operation, object, f"the state is damaged: {cause}", _HINT_DROP)
    if state == "53100":
        return SynclineError(operation, object, cause, "free disk space on the database server, then run again")
    # 25P03: the server ended a transaction of ours that had fallen asleep.
    if state[:2] in ("08", "40", "53", "55", "57", "58") or state == "25P03":
        return Transient(operation, object, cause, _HINT_AGAIN)
    return SynclineError(operation, object, cause, _HINT_AGAIN)


def _unanswered(operation: str, object: str, cause: str) -> SynclineError:
    """No connection came about, or it was lost (PostgreSQL manual, client authentication problems)."""
    said = cause.lower()
    if "authentication failed" in said or "no password supplied" in said:
        return SignInError(operation, object, cause, "check user and password, and the server's pg_hba.conf")
    if "permission denied" in said or "not permitted" in said:
        return ConfigError(operation, object, cause, _HINT_RIGHTS)
    if "pg_hba.conf" in said or "does not exist" in said:
        return ConfigError(operation, object, cause, "check database and user, and the server's pg_hba.conf")
    if "ssl" in said or "certificate" in said or "invalid" in said:
        return ConfigError(operation, object, cause, "check the url, its sslmode and certificates")
    return Transient(operation, object, cause, _HINT_AGAIN)
