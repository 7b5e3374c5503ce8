"""What ``syncline check`` finds out about Postgres. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from syncline.connectors.finding import Finding
from syncline.sinks.postgres_settings import Settings

if TYPE_CHECKING:
    from syncline.sinks.session import Session

SETUP = "syncline check --show-setup prints what an administrator runs"


def look(settings: Settings, session: Session) -> Sequence[Finding]:
    """The server that was just signed in to, and whether targets and staging tables have a place."""
    return [server(settings, session), *(schema(settings, session, name) for name in settings.schemas)]


def server(settings: Settings, session: Session) -> Finding:
    """A text of a source may hold any sign (PostgreSQL manual, character set support)."""
    subject = f"warehouse {settings.shown}"
    [(version, encoding)] = session.run("SELECT CURRENT_SETTING('server_version'), CURRENT_SETTING('server_encoding')")
    if encoding != "UTF8":
        cure = "make another with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        return Finding("error", subject, f"its encoding is {encoding}, which cannot hold every text", cure)
    return Finding("ok", subject, f"signed in to Postgres {version.split()[0]}, encoding {encoding}")


def schema(settings: Settings, session: Session, name: str) -> Finding:
    """One that is missing is made by the first run, if it may."""
    subject = f"warehouse {settings.shown}, schema {name}"
    found = session.run(_rights(name))
    if not found:
        [(may_create,)] = session.run("SELECT HAS_DATABASE_PRIVILEGE(CURRENT_DATABASE(), 'CREATE')")
        if may_create:
            return Finding("ok", subject, "it does not exist; the first run creates it")
        return Finding("error", subject, "it does not exist, and the role may not create it", SETUP)
    [(usage, create)] = found
    if usage and create:
        return Finding("ok", subject, "the role may create tables in it")
    return Finding("error", subject, "the role may not create tables in it", SETUP)


def _rights(name: str) -> str:
    """No row where there is no such schema (PostgreSQL manual, access privilege inquiry functions)."""
    from syncline.sinks.dialect import fill, text
    from syncline.sinks.postgres_dialect import POSTGRES

    query = fill(
        "SELECT HAS_SCHEMA_PRIVILEGE(n.oid, 'USAGE'), HAS_SCHEMA_PRIVILEGE(n.oid, 'CREATE')"
        " FROM pg_catalog.pg_namespace AS n WHERE n.nspname = :name",
        name=text(name),
    )
    return POSTGRES.render_exact(query)
