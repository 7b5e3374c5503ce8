"""Snowflake as a warehouse, through its own driver."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from syncline.connectors.connector import SliceKind
from syncline.sinks.manifest import FileEntry
from syncline.sinks.served import Served
from syncline.sinks.session import Session
from syncline.sinks.snowflake_settings import CAPABILITIES, Settings, require_route, settings_from
from syncline.sinks.warehouse import Capabilities, TablePlan

if TYPE_CHECKING:
    from sqlglot import exp

    from syncline.connectors.finding import Finding
    from syncline.sinks.dialect import Dialect, Place
    from syncline.sinks.landing import Landing
    from syncline.sinks.snowflake_copy import Copier
    from syncline.sinks.snowflake_session import Connect, SnowflakeSession
    from syncline.sinks.snowflake_transactions import Memory


class Snowflake(Served):
    """A warehouse in a schema of Snowflake. Make it with :meth:`from_env`, or with ``settings`` of your own.

    Tables and columns are spelled in upper case, so that plain SQL finds them; ``names="exact"`` keeps the source's
    spelling. Connects when a run has rows, never before (IDLE-IS-FREE).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        connect: Connect | None = None,
    ) -> None:
        self.settings = settings
        self.backend = SnowflakeBackend(settings, sleep, connect)
        shown = f"Snowflake({settings.place!r})"
        super().__init__(
            self.backend,
            capabilities_of(settings),
            shown,
            settings.place_url,
            lambda: dialect_of(settings),
            clock=clock,
            sleep=sleep,
            jitter=jitter,
        )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Any) -> Snowflake:
        """A warehouse from the SNOWFLAKE_* variables; ``settings`` go before them (see docs, settings).

        Raises:
            ConfigError: a variable is missing or contradicts another; it is named.
        """
        return cls(settings_from(environ, **settings))

    def spent(self) -> Mapping[str, Any]:
        """See ``costs.Metered``."""
        return self.backend.meter.spent()

    def costs(self, pipeline: str, days: int) -> Sequence[Mapping[str, Any]]:
        """See ``costs.Metered``; credits as ACCOUNT_USAGE has them, hours late and without what nobody used.

        Raises:
            ConfigError: the role may not read the account's history.
        """
        from syncline.sinks.snowflake_history import history

        return self._attempt(lambda session, dialect: history(cast("SnowflakeSession", session), pipeline, days))

    def setup(self, landing: Landing) -> str:
        """The SQL and IAM text that an administrator runs once. Connects to nothing."""
        from syncline.sinks.snowflake_setup import setup

        return setup(self.settings, landing)

    def require_landing(self, landing: Landing) -> None:
        """See ``lifecycle.ReadsLandings``."""
        require_route(self.settings, landing)

    def check(self) -> Sequence[Finding]:
        """Signs in and looks at the schemas; a password is warned of. Writes nothing."""
        from syncline.sinks import snowflake_check

        def look(session: Session, dialect: Dialect) -> Sequence[Finding]:
            known = cast("SnowflakeSession", session)
            return [snowflake_check.sign_in(self.settings), *snowflake_check.schemas(self.settings, known)]

        return self._attempt(look)

    def check_landing(self, landing: Landing) -> Sequence[Finding]:
        """Whether Snowflake can read what lands there."""
        from syncline.sinks import snowflake_check

        def look(session: Session, dialect: Dialect) -> Sequence[Finding]:
            known = cast("SnowflakeSession", session)
            return [snowflake_check.route(self.settings, known, self.backend.copier, landing)]

        return self._attempt(look)


def capabilities_of(settings: Settings) -> Capabilities:
    return replace(CAPABILITIES, case_sensitive_names=settings.names == "exact", loads_early=settings.loads == "early")


def dialect_of(settings: Settings) -> Dialect:
    from syncline.sinks.snowflake_dialect import SNOWFLAKE

    return replace(SNOWFLAKE, names=settings.names, capabilities=capabilities_of(settings))


class SnowflakeBackend:
    """See ``served.Backend``."""

    def __init__(self, settings: Settings, sleep: Callable[[float], None], connect: Connect | None) -> None:
        from syncline.sinks.snowflake_cost import Meter

        self._settings, self._sleep, self._connector = settings, sleep, connect
        self.meter = Meter(settings.warehouse_size)
        self._parts: tuple[Memory, Copier] | None = None

    def connect(self, count: Callable[[], None]) -> tuple[Session, Dialect]:
        from syncline.sinks.snowflake_session import SnowflakeSession

        settings, (memory, _) = self._settings, self._outliving_sessions()
        session = SnowflakeSession(settings, memory, self.meter, count, self._sleep, self._connector)
        return session, dialect_of(settings)

    def places(self) -> tuple[Place, Place]:
        from syncline.sinks.dialect import Place

        settings = self._settings
        return Place(settings.catalog, settings.target_schema), Place(settings.catalog, settings.staging)

    def tables(self, session: Session, place: Place) -> Mapping[str, Mapping[str, str]] | None:
        from syncline.sinks.snowflake_catalog import select_columns, tables_of

        return tables_of(session.run(select_columns(place.catalog, place.schema)))

    def copy(
        self,
        session: Session,
        table: exp.Table,
        columns: pa.Schema,
        files: Sequence[FileEntry],
        landing: Landing,
        kind: SliceKind,
    ) -> int:
        return self.copier.copy(cast("SnowflakeSession", session), table, columns, files, landing, kind)

    @property
    def copier(self) -> Copier:
        return self._outliving_sessions()[1]

    def _outliving_sessions(self) -> tuple[Memory, Copier]:
        from syncline.sinks.snowflake_copy import Copier
        from syncline.sinks.snowflake_transactions import Memory

        if self._parts is None:
            self._parts = Memory(), Copier(self._settings, self.meter)
        return self._parts

    def label(self, session: Session, plan: TablePlan | None, pipeline: str, run_id: str) -> None:
        labels = {"pipeline": pipeline, "run": run_id, "stream": "" if plan is None else plan.stream}
        cast("SnowflakeSession", session).tag(**{name: value for name, value in labels.items() if value})
