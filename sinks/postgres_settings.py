"""What a user may set about Postgres, checked early and without loading the driver."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, Never, TypeAlias
from urllib.parse import parse_qs, urlsplit

from syncline.connectors.errors import ConfigError
from syncline.connectors.secret import Secret, secret
from syncline.sinks.warehouse import Capabilities

Spelling: TypeAlias = Literal["lower", "exact"]

# Identifiers longer than 63 bytes are cut silently (PostgreSQL manual, lexical structure): longer ones are refused.
# Texts hold no NUL (PostgreSQL manual, character types).
LOWER: Final = Capabilities("postgres", case_sensitive_names=False, name_bytes_max=63, nul_in_text=False)
EXACT: Final = replace(LOWER, case_sensitive_names=True)

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
VARIABLES: Final = ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT")


@dataclass(frozen=True, slots=True)
class Settings:
    """``url`` may hold a password, so it is a secret; libpq's own PG* variables fill what it leaves out."""

    url: Secret
    schema: str
    staging_schema: str
    names: Spelling
    statement_timeout_s: float
    lock_timeout_s: float

    def __post_init__(self) -> None:
        parts = urlsplit(self.url.reveal())
        if self.url and parts.scheme not in ("postgresql", "postgres"):
            _wrong("url", "it does not begin with postgresql://", 'write it as "postgresql://user@host:5432/database"')
        if not self.url and not os.environ.get("PGHOST") and not os.environ.get("PGSERVICE"):
            _wrong("url", "there is none, and PGHOST is not set", "give a url, or set " + ", ".join(VARIABLES[:5]))
        if self.names not in ("lower", "exact"):
            _wrong("names", f"{self.names!r} is not a way of spelling", 'write "lower" or "exact"')
        for name in (self.schema, self.staging_schema):
            if not name or len(name.encode()) > LOWER.name_bytes_max:
                _wrong("schema", f"{name!r} cannot name a schema", "write a name of 1 to 63 bytes")
        for setting, value in (
            ("statement_timeout_s", self.statement_timeout_s),
            ("lock_timeout_s", self.lock_timeout_s),
        ):
            if value <= 0:
                _wrong(setting, f"{value!r} is not a time", "write seconds, more than 0")

    @property
    def capabilities(self) -> Capabilities:
        return EXACT if self.names == "exact" else LOWER

    @property
    def shown(self) -> str:
        """Where the database is, without secrets."""
        parts = urlsplit(self.url.reveal())
        host = parts.hostname or os.environ.get("PGHOST", "")
        database = parts.path.strip("/") or os.environ.get("PGDATABASE", "")
        return f"{host}:{parts.port or os.environ.get('PGPORT', '5432')}/{database}"

    def connection(self) -> Mapping[str, str | int]:
        """Keyword arguments for the driver. TLS is asked for except on this machine, unless something was said."""
        parts = urlsplit(self.url.reveal())
        host = parts.hostname or os.environ.get("PGHOST", "")
        parameters = {
            "timezone": "UTC",
            "datestyle": "ISO",
            "client_min_messages": "warning",
            "statement_timeout": int(self.statement_timeout_s * 1000),
            "lock_timeout": int(self.lock_timeout_s * 1000),
            "idle_in_transaction_session_timeout": 600_000,
        }
        found: dict[str, str | int] = {
            "conninfo": self.url.reveal(),
            "connect_timeout": 15,
            "keepalives_idle": 60,
            "options": " ".join(f"-c {name}={value}" for name, value in parameters.items()),
            "application_name": "syncline",
            "client_encoding": "UTF8",
        }
        said = "sslmode" in parse_qs(parts.query) or os.environ.get("PGSSLMODE")
        if not said and host not in LOOPBACK and not host.startswith("/"):
            found["sslmode"] = "require"
        return found


def settings_of(
    url: Secret | str,
    schema: str,
    staging_schema: str | None,
    names: Spelling,
    statement_timeout_s: float,
    lock_timeout_s: float,
) -> Settings:
    wrapped = secret(url)
    for hidden in (urlsplit(wrapped.reveal()).password, os.environ.get("PGPASSWORD")):
        if hidden:
            Secret(hidden)  # so that it is scrubbed from whatever the driver says
    spelled = schema if names == "exact" else schema.encode().lower().decode()
    return Settings(
        wrapped, spelled, staging_schema or f"{spelled}_staging", names, statement_timeout_s, lock_timeout_s
    )


def _wrong(setting: str, cause: str, hint: str) -> Never:
    raise ConfigError("set up Postgres", setting, cause, hint)
