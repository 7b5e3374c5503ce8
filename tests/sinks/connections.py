"""A DuckDB connection that tells what is sent through it, and can be made to fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import duckdb

from syncline.sinks.duckdb_session import Connect

Hook = Callable[[str], None]


def ignore(statement: str) -> None:
    """The hook that does nothing."""


@dataclass
class Tapped:
    """Hands on every statement; ``before`` and ``after`` see it first and last, and may raise."""

    connection: duckdb.DuckDBPyConnection
    before: Hook
    after: Hook

    def execute(self, statement: str) -> Any:
        return self._send(statement, self.connection.execute)

    def sql(self, statement: str) -> Any:
        return self._send(statement, self.connection.sql)

    def close(self) -> None:
        self.connection.close()

    def _send(self, statement: str, run: Callable[[str], Any]) -> Any:
        self.before(statement)
        result = run(statement)
        self.after(statement)
        return result


@dataclass
class Tap:
    """Records what goes through the connections it makes; ``setting`` replaces the hooks for all of them at once."""

    statements: list[str] = field(default_factory=list)
    before: Hook = ignore
    after: Hook = ignore

    @property
    def connect(self) -> Connect:
        def opened(path: str) -> duckdb.DuckDBPyConnection:
            tapped = Tapped(duckdb.connect(path), self._before, lambda statement: self.after(statement))
            return cast(duckdb.DuckDBPyConnection, tapped)

        return opened

    def _before(self, statement: str) -> None:
        self.statements.append(statement)
        self.before(statement)
