"""Fixtures' parts for the state in Postgres: a schema as good as a new database, and questions of an administrator."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg

from syncline.state.postgres import PostgresState
from tests.servers.postgres import PgAddress

SCHEMAS = count(1)


@dataclass(frozen=True)
class Home:
    """One state of its own in a database that tests share."""

    address: PgAddress
    schema: str

    def open(self, **settings: Any) -> PostgresState:
        return PostgresState(self.address.dsn, **{"schema": self.schema, "sleep": lambda _: None, **settings})

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """As the administrator; ``STATE`` stands for the schema."""
        quoted = '"' + self.schema.replace('"', '""') + '"'
        with psycopg.connect(self.address.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.replace("STATE", quoted).encode(), values or None)
            return cursor.fetchall() if cursor.description else []


def new_home(address: PgAddress) -> Home:
    return Home(address, f'State {next(SCHEMAS)} "odd"')
