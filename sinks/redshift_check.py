"""What ``syncline check`` finds out about Redshift, and the way from the landing into it. Writes nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from syncline.connectors.finding import Finding
from syncline.connectors.s3_settings import region_in_use
from syncline.sinks.dialect import Place
from syncline.sinks.redshift_dialect import select_columns, select_schema, tables_of
from syncline.sinks.redshift_settings import Settings

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing
    from syncline.sinks.session import Session

SETUP = "syncline check --show-setup prints what an administrator runs"


def sign_in(settings: Settings) -> Finding:
    """How it signs in, which just worked."""
    way = "short-lived credentials from IAM" if settings.iam else "a password"
    return Finding("ok", f"warehouse {settings.place}, sign-in", f"signed in with {way}")


def schemas(settings: Settings, session: Session) -> Sequence[Finding]:
    """Whether targets and staging tables have a place; one that is missing is made by the first run."""
    findings = []
    for schema in (settings.schema, settings.staging_schema):
        subject, place = f"warehouse {settings.place}, schema {schema}", Place("", schema)
        if not session.run(select_schema(place)):
            text = "it does not exist; the first run will try to create it"
            findings.append(Finding("warn", subject, text, f"create it, or grant CREATE ON DATABASE; {SETUP}"))
            continue
        [(usage, create)] = session.run(select_rights(schema))
        if usage and create:
            tables = tables_of(session.run(select_columns(place)))
            findings.append(Finding("ok", subject, f"{len(tables)} tables are to be seen"))
        else:
            findings.append(Finding("error", subject, "the user may not create tables in it", SETUP))
    return findings


def select_rights(schema: str) -> str:
    """One row: whether the user may use the schema, and create in it (HAS_SCHEMA_PRIVILEGE)."""
    from syncline.sinks.dialect import fill, text
    from syncline.sinks.redshift_dialect import REDSHIFT

    query = fill(
        "SELECT HAS_SCHEMA_PRIVILEGE(:schema, 'usage'), HAS_SCHEMA_PRIVILEGE(:schema, 'create')", schema=text(schema)
    )
    return REDSHIFT.render_exact(query)


def route(settings: Settings, landing: Landing) -> Finding:
    """How landed files get in. Whether the role may read them only a COPY can tell, and the first run does."""
    subject = f"warehouse {settings.place}, landing"
    if landing.bucket is None:
        cure = 'give the pipeline landing=Landing("s3://bucket/prefix"), a bucket in the region of the cluster'
        return Finding("error", subject, f"Redshift loads files from S3 only, not from {landing.url}", cure)
    theirs, ours = region_of(settings), region_in_use(landing.bucket.settings)
    if theirs and theirs != ours:
        cure = f"take a bucket in {theirs}, or say region={theirs!r} where the landing's is wrong"
        return Finding("error", subject, f"COPY of Parquet reads the cluster's own region, {theirs}, not {ours}", cure)
    role = "the cluster's default role" if settings.iam_role == "default" else settings.iam_role
    return Finding("ok", subject, f"COPY reads {landing.url} as {role}; whether it may, the first COPY shows")


def region_of(settings: Settings) -> str:
    """The cluster's region, as far as the settings or an endpoint's name show it."""
    found = re.search(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.redshift(?:-serverless)?\.amazonaws\.com", settings.host)
    return settings.region or (found[1] if found else "")
