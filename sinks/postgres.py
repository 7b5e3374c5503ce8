"""Postgres 15 and newer as a warehouse, through psycopg 3."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from syncline.connectors.connector import SliceKind
from syncline.connectors.errors import ConfigError, CountMismatch, DataError
from syncline.connectors.finding import Finding
from syncline.connectors.secret import Secret
from syncline.sinks.downloads import Downloads
from syncline.sinks.manifest import FileEntry
from syncline.sinks.postgres_settings import Settings, Spelling, settings_of
from syncline.sinks.served import Served
from syncline.sinks.session import Session
from syncline.sinks.warehouse import TablePlan

if TYPE_CHECKING:
    from sqlglot import exp

    from syncline.sinks.dialect import Dialect, Place
    from syncline.sinks.landing import Landing
    from syncline.sinks.postgres_session import PostgresSession


class Postgres(Served):
    """A warehouse in a Postgres database (15 or newer).

    ``url`` is ``postgresql://user@host:5432/database``; what it leaves out, the password above all, comes from libpq's
    PG* variables or its password file.
    Tables live in ``schema``, staging tables in ``staging_schema`` (``<schema>_staging``); either is made if missing.
    ``names="lower"`` spells tables and columns in lower case, so that plain SQL finds them; ``"exact"`` keeps the
    source's spelling. The key becomes the target's primary key. TLS is asked for except on this machine; say
    ``?sslmode=verify-full`` in the url to check the server's certificate too. A statement may take
    ``statement_timeout_s``, and wait ``lock_timeout_s`` of it for what another transaction has locked.

    Raises:
        ConfigError: a setting that cannot work.
    """

    def __init__(
        self,
        url: Secret | str = "",
        schema: str = "public",
        *,
        password: Secret | str | None = None,
        staging_schema: str | None = None,
        names: Spelling = "lower",
        statement_timeout_s: float = 3600.0,
        lock_timeout_s: float = 600.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        settings = settings_of(url, password, schema, staging_schema, names, statement_timeout_s, lock_timeout_s)
        self.settings = settings
        shown = f"Postgres({settings.shown!r}, schema={settings.schema!r})"
        backend = PostgresBackend(settings)
        super().__init__(
            backend,
            settings.capabilities,
            shown,
            settings.place_url,
            lambda: dialect_of(settings),
            clock=clock,
            sleep=sleep,
            jitter=jitter,
        )

    @classmethod
    def from_env(
        cls, schema: str = "public", *, staging_schema: str | None = None, names: Spelling = "lower"
    ) -> Postgres:
        """A warehouse from PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD, as psql reads them."""
        return cls("", schema, staging_schema=staging_schema, names=names)

    def setup(self, landing: Landing) -> str:
        """The SQL that an administrator runs once. Connects to nothing."""
        from syncline.sinks.postgres_setup import setup

        return setup(self.settings)

    def check(self) -> Sequence[Finding]:
        """Signs in and looks at the database and the schemas. Writes nothing."""
        from syncline.sinks import postgres_check

        return self._attempt(lambda session, _: postgres_check.look(self.settings, session))


def dialect_of(settings: Settings) -> Dialect:
    from syncline.sinks.postgres_dialect import POSTGRES

    return replace(POSTGRES, capabilities=settings.capabilities, names=settings.names)


class PostgresBackend:
    """See ``served.Backend``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def connect(self, count: Callable[[], None]) -> tuple[Session, Dialect]:
        try:
            from syncline.sinks.postgres_session import PostgresSession
        except ImportError as error:
            hint = 'install it: pip install "syncline[postgres]"'
            raise ConfigError("connect to Postgres", "psycopg", "the driver is not installed", hint) from error
        session = PostgresSession(self._settings.connection(), self._settings.shown, count)
        return session, replace(dialect_of(self._settings), merges=session.counts_merges)

    def places(self) -> tuple[Place, Place]:
        from syncline.sinks.dialect import Place

        return Place("", self._settings.schema), Place("", self._settings.staging_schema)

    def tables(self, session: Session, place: Place) -> Mapping[str, Mapping[str, str]] | None:
        from syncline.sinks.dialect import fill, text
        from syncline.sinks.postgres_dialect import POSTGRES

        query = fill(
            "SELECT c.relname, a.attname, FORMAT_TYPE(a.atttypid, a.atttypmod) FROM pg_catalog.pg_namespace AS n"
            " LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            " LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            " WHERE n.nspname = :schema ORDER BY c.relname, a.attnum",
            schema=text(place.schema),
        )
        rows = session.run(POSTGRES.render_exact(query))
        if not rows:
            return None
        found: dict[str, dict[str, str]] = {}
        for table, name, type in rows:
            if table is not None:
                columns = found.setdefault(table, {})
                if name is not None:
                    columns[name] = type
        return found

    def copy(
        self,
        session: Session,
        table: exp.Table,
        columns: pa.Schema,
        files: Sequence[FileEntry],
        landing: Landing,
        kind: SliceKind,
    ) -> int:
        from syncline.sinks.postgres_copy import column_with_nul, csv_chunks
        from syncline.sinks.postgres_dialect import POSTGRES

        statement = f"COPY {replace(POSTGRES, names='exact').render(table)} FROM STDIN WITH (FORMAT csv)"
        downloads = Downloads(None)
        total = 0
        try:
            for entry in files:
                [path] = landing.paths([entry], downloads.folder())
                try:
                    rows = cast("PostgresSession", session).copy(statement, csv_chunks(path, columns))
                except DataError as error:
                    name = column_with_nul(path)
                    if name is not None:
                        error.object = f"{entry.path}, column {name}"
                    raise
                if rows != entry.rows:
                    cause = f"{rows} rows arrived, its manifest says {entry.rows}"
                    raise CountMismatch("load landed file", entry.path, cause, "reload the stream")
                total += rows
        finally:
            downloads.discard()
        return total

    def label(self, session: Session, plan: TablePlan | None, pipeline: str, run_id: str) -> None:
        """Nothing: ``application_name`` would cost a statement a stream and tells a server's log little."""
