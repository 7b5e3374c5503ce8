"""What ``syncline check`` finds out about Snowflake, and the way from the landing into it. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from syncline.connectors.finding import Finding
from syncline.sinks.snowflake_catalog import select_columns, tables_of
from syncline.sinks.snowflake_copy import Copier
from syncline.sinks.snowflake_settings import Settings, is_bucket, require_route
from syncline.sinks.snowflake_signin import Password

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing
    from syncline.sinks.snowflake_session import SnowflakeSession

SETUP = "syncline check --show-setup prints what an administrator runs"


def sign_in(settings: Settings) -> Finding:
    """How it signs in, which just worked."""
    subject, way = f"warehouse {settings.place}, sign-in", settings.sign_in.way
    if isinstance(settings.sign_in, Password):
        cure = "make a key pair: set SNOWFLAKE_PRIVATE_KEY_FILE, and the user's RSA_PUBLIC_KEY and TYPE = SERVICE"
        return Finding("warn", subject, f"{way} is for trials: a service user cannot have one", cure)
    return Finding("ok", subject, f"signed in with {way}")


def schemas(settings: Settings, session: SnowflakeSession) -> Sequence[Finding]:
    """Whether targets and staging tables have a place; the one of the two that is missing is made by the first run."""
    findings = []
    for schema in (settings.target_schema, settings.staging):
        subject = f"warehouse {settings.place}, schema {schema}"
        tables = tables_of(session.run(select_columns(settings.catalog, schema)))
        if tables is None:
            text = "it does not exist or the role has no USAGE on it; the first run will try to create it"
            findings.append(Finding("warn", subject, text, f"create it, or grant CREATE SCHEMA; {SETUP}"))
        else:
            findings.append(Finding("ok", subject, f"{len(tables)} tables are to be seen"))
    return findings


def route(settings: Settings, session: SnowflakeSession, copier: Copier, landing: Landing) -> Finding:
    """How landed files get in.

    Raises:
        ConfigError: they cannot, with these settings, or the stage leads elsewhere.
    """
    subject = f"warehouse {settings.place}, landing"
    require_route(settings, landing)
    if settings.storage_integration:
        return Finding("ok", subject, f"COPY reads {landing.url} by the integration {settings.storage_integration}")
    if settings.stage:
        return Finding("ok", subject, f"COPY reads {copier.place_of(session, landing)}")
    assert not is_bucket(landing)
    return Finding("ok", subject, "files are uploaded to an internal stage")
