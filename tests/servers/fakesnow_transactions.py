"""Snowflake's rules of transactions that fakesnow does not know: names, ids, lists, aborting, and DDL that commits.

Statements are answered before fakesnow sees them: ``BEGIN ... NAME``, ``SELECT CURRENT_TRANSACTION()``,
``SHOW TRANSACTIONS``, ``DESCRIBE TRANSACTION``, ``SYSTEM$ABORT_TRANSACTION``, ``ALTER SESSION``; and ``REMOVE``, which
fakesnow lacks, too.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlglot import exp

from tests.servers.fakesnow_patches import fake_cursor, fake_server, fake_stage, roll_back

BEGIN = re.compile(r"^\s*(?:BEGIN(?:\s+(?:TRANSACTION|WORK))?|START\s+TRANSACTION)(?:\s+NAME\s+(\S+?))?\s*;?\s*$", re.I)
END = re.compile(r"^\s*(COMMIT|ROLLBACK)(?:\s+WORK)?\s*;?\s*$", re.I)
DDL = re.compile(r"^\s*(CREATE|ALTER\s+(?!SESSION)|DROP|RENAME|GRANT|UNDROP|COMMENT)\b", re.I)
ASKED = re.compile(
    r"^\s*(?:(?P<show>SHOW\s+TRANSACTIONS)|DESCRIBE\s+TRANSACTION\s+(?P<describe>\d+)"
    r"|SELECT\s+(?P<current>CURRENT_TRANSACTION\(\))|SELECT\s+SYSTEM\$ABORT_TRANSACTION\((?P<abort>\d+)\)"
    r"|REMOVE\s+'@(?P<remove>[^']+)'|(?P<alter>ALTER\s+SESSION\s+(?:UN)?SET\s+(?!AUTOCOMMIT).*))\s*;?\s*$",
    re.I | re.S,
)


@dataclass
class Running:
    """A transaction; ``state`` is running, committed or rolled back."""

    id: int
    name: str
    connection: Any
    started_at: datetime
    state: str = "running"


class Transactions:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[int, Running] = {}

    def begin(self, connection: Any, name: str | None) -> bool:
        """False where one is open already: Snowflake ignores a second BEGIN."""
        with self._lock:
            if self.of(connection):
                return False
            id = 1_700_000_000_000_000_000 + len(self._all)
            shown = (name or f"00000000-0000-4000-8000-{len(self._all):012}").strip('"')
            self._all[id] = Running(id, shown, connection, datetime.now(UTC))
            return True

    def end(self, connection: Any, state: str) -> None:
        running = self.of(connection)
        if running:
            running.state = state

    def of(self, connection: Any) -> Running | None:
        mine = (each for each in self._all.values() if each.connection is connection and each.state == "running")
        return next(mine, None)

    def forget_closed(self) -> None:
        alive = {id(connection) for connection in fake_server.sessions.values()}
        for each in self._all.values():
            if each.state == "running" and id(each.connection) not in alive:
                each.state = "rolled back"

    def abort(self, id: int) -> str:
        running = self._all.get(id)
        if running is None or running.state != "running":
            return f"Transaction with id {id} not found."
        roll_back(running.connection)
        running.state = "rolled back"
        return "Aborted transaction id: " + str(id)

    def rows(self, only: int | None = None) -> list[tuple[str, ...]]:
        self.forget_closed()
        wanted = [each for each in self._all.values() if (each.state == "running" if only is None else each.id == only)]
        return [(str(each.id), "SYNCLINE", "1", each.name, each.started_at.isoformat(), each.state) for each in wanted]


def apply(transactions: Transactions) -> None:
    plain: Callable[..., Any] = fake_cursor.FakeSnowflakeCursor.execute
    parse = fake_server.parse_one

    def execute(self: Any, command: str, params: Any = None, *args: Any, **kwargs: Any) -> Any:
        return plain(self, _rewritten(transactions, self._conn, command), params, *args, **kwargs)

    def parsed(command: str) -> Any:
        return parse("SELECT 1" if ASKED.match(command) else "BEGIN" if BEGIN.match(command) else command)

    fake_cursor.FakeSnowflakeCursor.execute = execute
    fake_server.parse_one = parsed


def _rewritten(transactions: Transactions, connection: Any, command: str) -> str:
    """The statement that fakesnow runs in place of ``command``, after what it cannot do was done."""
    if begin := BEGIN.match(command):
        return "BEGIN" if transactions.begin(connection, begin[1]) else _status("Statement executed successfully.")
    if end := END.match(command):
        transactions.end(connection, "committed" if end[1].upper() == "COMMIT" else "rolled back")
    elif DDL.match(command) and transactions.of(connection):
        connection._duck_conn.commit()
        connection._in_transaction = False
        transactions.end(connection, "committed")
    elif asked := ASKED.match(command):
        return _answer(transactions, connection, asked)
    return command


def _answer(transactions: Transactions, connection: Any, asked: re.Match[str]) -> str:
    if asked["abort"]:
        return _status(transactions.abort(int(asked["abort"])))
    if asked["remove"]:
        return _status(_removed(asked["remove"]))
    if asked["alter"]:
        return _status("Statement executed successfully.")
    if asked["current"]:
        running = transactions.of(connection)
        return f"SELECT '{running.id}' AS id" if running else "SELECT NULL::VARCHAR AS id"
    rows = transactions.rows(int(asked["describe"]) if asked["describe"] else None)
    names = ("id", "user", "session", "name", "started_on", "state")
    listed = rows or [("",) * len(names)]
    columns: list[Any] = [exp.to_identifier(name, quoted=True) for name in names]
    values = exp.values(listed, alias="t", columns=columns)
    query = exp.select(*(exp.column(name, quoted=True) for name in names)).from_(values)
    return query.where(exp.true() if rows else exp.false()).sql(dialect="snowflake")


def _removed(place: str) -> str:
    stage, _, path = place.partition("/")
    database, schema, name = fake_stage.parts_from_var(stage, None, None)
    shutil.rmtree(fake_stage.internal_dir(f"{database}.{schema}.{name}", path), ignore_errors=True)
    return "removed"


def _status(text: str) -> str:
    return exp.select(exp.alias_(exp.Literal.string(text), "status", quoted=True)).sql(dialect="snowflake")
