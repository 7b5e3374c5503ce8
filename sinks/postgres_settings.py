"""What a user may set about Postgres, checked early and without loading the driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Never, TypeAlias
from urllib.parse import quote

from syncline.connectors.errors import ConfigError
from syncline.connectors.postgres_url import PostgresUrl, parse_postgres_url
from syncline.connectors.secret import Secret
from syncline.sinks.warehouse import Capabilities

Spelling: TypeAlias = Literal["lower", "exact"]

# Identifiers longer than 63 bytes are cut silently (PostgreSQL manual, lexical structure): longer ones are refused.
# Texts hold no NUL (PostgreSQL manual, character types).
LOWER: Final = Capabilities(
    "postgres", case_sensitive_names=False, name_bytes_max=63, nul_in_text=False, loads_early=True
)
EXACT: Final = replace(LOWER, case_sensitive_names=True)

CONNECT_TIMEOUT_S: Final = 15
ASLEEP_S: Final = 600
"""After so long without a word the server ends a transaction, so that a process that was stopped locks no table."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the tables are and how long anything may take; ``url`` keeps its secrets apart."""

    url: PostgresUrl
    schema: str
    staging_schema: str
    names: Spelling
    statement_timeout_s: float
    lock_timeout_s: float

    def __post_init__(self) -> None:
        if self.names not in ("lower", "exact"):
            _wrong("names", f"{self.names!r} is not a way of spelling", 'write "lower" or "exact"')
        for name in (self.schema, self.staging_schema):
            if not name or len(name.encode()) > LOWER.name_bytes_max or "\0" in name:
                _wrong("schema", f"{name!r} cannot name a schema", "write a name of 1 to 63 bytes")
        for setting, value in (
            ("statement_timeout_s", self.statement_timeout_s),
            ("lock_timeout_s", self.lock_timeout_s),
        ):
            if not 0.001 <= value <= 86_400:
                _wrong(setting, f"{value!r} is not a time", "write seconds, from 0.001 to 86,400")

    @property
    def capabilities(self) -> Capabilities:
        return EXACT if self.names == "exact" else LOWER

    @property
    def schemas(self) -> tuple[str, str]:
        """Of targets and bookkeeping, and of staging tables."""
        return self.schema, self.staging_schema

    @property
    def shown(self) -> str:
        """Where the database is, without secrets."""
        return self.url.shown

    @property
    def place_url(self) -> str:
        """See ``Warehouse.place``."""
        return f"postgres://{self.url.place}/{quote(self.schema, safe='')}"

    def connection(self) -> Mapping[str, Any]:
        """Keyword arguments for the driver, secrets revealed. Every transaction is at the level that the engine's locks
        are made for, whatever the database's default is."""
        parameters = {
            "timezone": "UTC",
            "datestyle": "ISO",
            "client_min_messages": "warning",
            "default_transaction_isolation": "read\\ committed",
            "default_transaction_read_only": "off",
            "statement_timeout": int(self.statement_timeout_s * 1000),
            "lock_timeout": int(self.lock_timeout_s * 1000),
            "idle_in_transaction_session_timeout": ASLEEP_S * 1000,
        }
        return self.url.parameters() | {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "keepalives_idle": 60,
            "options": " ".join(f"-c {name}={value}" for name, value in parameters.items()),
            "application_name": "syncline",
            "client_encoding": "UTF8",
        }


def settings_of(
    url: Secret | str,
    password: Secret | str | None,
    schema: str,
    staging_schema: str | None,
    names: Spelling,
    statement_timeout_s: float,
    lock_timeout_s: float,
) -> Settings:
    spelled = schema if names == "exact" else schema.encode().lower().decode()
    return Settings(
        parse_postgres_url(url, password),
        spelled,
        staging_schema or f"{spelled}_staging",
        names,
        statement_timeout_s,
        lock_timeout_s,
    )


def _wrong(setting: str, cause: str, hint: str) -> Never:
    raise ConfigError("set up Postgres", setting, cause, hint)
