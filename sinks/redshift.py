"""Redshift as a warehouse, provisioned or serverless: Parquet in S3, COPY, and UPDATE, DELETE, INSERT as one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from syncline.connectors.connector import SliceKind
from syncline.connectors.errors import ConfigError
from syncline.sinks.manifest import FileEntry
from syncline.sinks.redshift_settings import CAPABILITIES, Settings, require_bucket, settings_from
from syncline.sinks.served import Served
from syncline.sinks.session import Session
from syncline.sinks.warehouse import TablePlan

if TYPE_CHECKING:
    from sqlglot import exp

    from syncline.connectors.finding import Finding
    from syncline.sinks.dialect import Dialect, Place
    from syncline.sinks.landing import Landing
    from syncline.sinks.redshift_copy import Copier
    from syncline.sinks.redshift_session import RedshiftSession


class Redshift(Served):
    """A warehouse in a Redshift database. Make it with :meth:`from_env`, or with ``settings`` of your own.

    The landing must be in S3, in the cluster's region. Names become lower case, which Redshift does to them in any
    case. Connects when a run has rows, never before (IDLE-IS-FREE).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        connect: Callable[..., Any] | None = None,
    ) -> None:
        self.settings = settings
        backend = RedshiftBackend(settings, connect)
        shown = f"Redshift({settings.place!r}, schema={settings.schema!r})"
        super().__init__(
            backend, CAPABILITIES, shown, settings.place_url, dialect, clock=clock, sleep=sleep, jitter=jitter
        )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Any) -> Redshift:
        """A warehouse from the REDSHIFT_* variables; ``settings`` go before them (see ``redshift_settings.Settings``).

        Raises:
            ConfigError: something is missing or contradicts itself; it is named.
        """
        return cls(settings_from(environ, **settings))

    def setup(self, landing: Landing) -> str:
        """The SQL and IAM text that an administrator runs once. Connects to nothing."""
        from syncline.sinks.redshift_setup import setup

        return setup(self.settings, landing)

    def require_landing(self, landing: Landing) -> None:
        """See ``lifecycle.ReadsLandings``."""
        require_bucket(landing)

    def check(self) -> Sequence[Finding]:
        """Signs in and looks at the schemas. Writes nothing."""
        from syncline.sinks import redshift_check

        return self._attempt(
            lambda session, _: [redshift_check.sign_in(self.settings), *redshift_check.schemas(self.settings, session)]
        )

    def check_landing(self, landing: Landing) -> Sequence[Finding]:
        """Whether Redshift can read what lands there, as far as settings tell."""
        from syncline.sinks import redshift_check

        return [redshift_check.route(self.settings, landing)]


def dialect() -> Dialect:
    from syncline.sinks.redshift_dialect import REDSHIFT

    return REDSHIFT


class RedshiftBackend:
    """See ``served.Backend``."""

    def __init__(self, settings: Settings, connect: Callable[..., Any] | None) -> None:
        self._settings, self._connector = settings, connect
        self._copier: Copier | None = None

    def connect(self, count: Callable[[], None]) -> tuple[Session, Dialect]:
        try:
            from redshift_connector import connect as driver

            from syncline.sinks.redshift_session import RedshiftSession
        except ImportError as error:
            hint = 'install it: pip install "syncline[redshift]"'
            raise ConfigError(
                "connect to Redshift", "redshift_connector", "the driver is not installed", hint
            ) from error
        return RedshiftSession(self._settings, count, self._connector or driver), dialect()

    def places(self) -> tuple[Place, Place]:
        from syncline.sinks.dialect import Place

        return Place("", self._settings.schema), Place("", self._settings.staging_schema)

    def tables(self, session: Session, place: Place) -> Mapping[str, Mapping[str, str]] | None:
        from syncline.sinks.redshift_dialect import select_columns, select_schema, tables_of

        found = tables_of(session.run(select_columns(place)))
        return found if found or session.run(select_schema(place)) else None

    def copy(
        self,
        session: Session,
        table: exp.Table,
        columns: pa.Schema,
        files: Sequence[FileEntry],
        landing: Landing,
        kind: SliceKind,
    ) -> int:
        from syncline.sinks.redshift_copy import Copier

        if self._copier is None:
            self._copier = Copier(self._settings.iam_role)
        return self._copier.copy(session, table, columns, files, landing)

    def label(self, session: Session, plan: TablePlan | None, pipeline: str, run_id: str) -> None:
        parts = ["syncline", pipeline, run_id, plan.stream if plan else ""]
        cast("RedshiftSession", session).label(":".join(part for part in parts if part))
