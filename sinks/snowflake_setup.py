"""What an administrator runs once so that a pipeline can write to Snowflake, with the least rights that do.

Text for people to read and run; it holds no secret, and nothing here connects. The role owns what it creates, so it
needs nothing on tables; that the rights are enough, and that each is needed, is tested against the statements of whole
runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from syncline.sinks.snowflake_copy import text
from syncline.sinks.snowflake_settings import Name, Settings, is_bucket
from syncline.sinks.snowflake_signin import KeyPair, Token, WorkloadIdentity

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing

ROLE, USER, WAREHOUSE, INTEGRATION = "SYNCLINE_ROLE", "SYNCLINE", "SYNCLINE_WH", "SYNCLINE_LANDING"
"""What is made where the settings name none."""

AWS_ROLE = "arn:aws:iam::<AWS account>:role/syncline-snowflake"


def setup(settings: Settings, landing: Landing) -> str:
    """SQL for Snowflake and, where the landing is a bucket, JSON for IAM, in the order they are run."""
    parts = [("1. Snowflake: a place, a role, a user (as ACCOUNTADMIN)", _place(settings, landing))]
    if is_bucket(landing) and not settings.stage:
        parts.append(("2. Snowflake: the way into the bucket (as ACCOUNTADMIN)", _integration(settings, landing.url)))
        parts.append(("3. AWS: " + _AWS_STEPS, _iam(landing)))
    elif settings.stage:
        parts.append(("2. Snowflake: the stage, which exists (as its owner)", _stage(settings, landing)))
    parts.append(("Only for syncline status --cost (as ACCOUNTADMIN)", _history(settings)))
    return "\n\n".join("\n".join([f"-- {title}", *lines]) for title, lines in parts) + "\n"


_AWS_STEPS = "a role of that name with this policy, and with this trust, filled in from DESC INTEGRATION above"


def _role(settings: Settings) -> Name:
    return settings.name("role") or Name((ROLE,))


def _place(settings: Settings, landing: Landing) -> Sequence[str]:
    role, user = _role(settings).sql(), Name((settings.user.upper() or USER,)).sql()
    warehouse = (settings.name("warehouse") or Name((WAREHOUSE,))).sql()
    database = Name((settings.catalog,)).sql()
    target = Name((settings.catalog, settings.target_schema)).sql()
    made = "CREATE TABLE" if is_bucket(landing) or settings.stage else "CREATE TABLE, CREATE STAGE"
    staging = Name((settings.catalog, settings.staging)).sql()
    size = f"WAREHOUSE_SIZE = {settings.warehouse_size} AUTO_SUSPEND = 60 AUTO_RESUME = TRUE"
    return [
        f"CREATE WAREHOUSE IF NOT EXISTS {warehouse} {size} INITIALLY_SUSPENDED = TRUE;",
        f"CREATE DATABASE IF NOT EXISTS {database};",
        f"CREATE SCHEMA IF NOT EXISTS {target};",
        f"CREATE SCHEMA IF NOT EXISTS {staging};",
        f"CREATE ROLE IF NOT EXISTS {role};",
        *_user(settings, user, role, warehouse),
        f"GRANT ROLE {role} TO USER {user};",
        f"GRANT USAGE ON WAREHOUSE {warehouse} TO ROLE {role};",
        f"GRANT USAGE ON DATABASE {database} TO ROLE {role};",
        f"GRANT USAGE, CREATE TABLE ON SCHEMA {target} TO ROLE {role};",
        f"GRANT USAGE, {made} ON SCHEMA {staging} TO ROLE {role};",
    ]


def _user(settings: Settings, user: str, role: str, warehouse: str) -> Sequence[str]:
    """What proves the user is named by a hole to fill in, never by its value (NO-SECRETS)."""
    way = settings.sign_in
    proof = ""
    if isinstance(way, KeyPair):
        proof = " RSA_PUBLIC_KEY = '<the public key without its BEGIN and END lines>'"
    elif isinstance(way, WorkloadIdentity):
        proof = f" WORKLOAD_IDENTITY = ({_IDENTITIES[way.provider]})"
    made = (
        f"CREATE USER IF NOT EXISTS {user} TYPE = SERVICE DEFAULT_ROLE = {role} DEFAULT_WAREHOUSE = {warehouse}{proof};"
    )
    if isinstance(way, Token) and way.kind == "PROGRAMMATIC_ACCESS_TOKEN":
        restricted = text(_role(settings).last)
        return [made, f"ALTER USER {user} ADD PROGRAMMATIC ACCESS TOKEN SYNCLINE ROLE_RESTRICTION = {restricted};"]
    return [made]


_IDENTITIES = {
    "AWS": "TYPE = AWS ARN = '<the ARN of the machine''s role>'",
    "AZURE": "TYPE = AZURE ISSUER = '<the tenant''s issuer>' SUBJECT = '<the managed identity''s object id>'",
    "GCP": "TYPE = GCP SUBJECT = '<the service account''s unique id>'",
    "OIDC": "TYPE = OIDC ISSUER = '<the issuer>' SUBJECT = '<the subject>'",
}


def _integration(settings: Settings, url: str) -> Sequence[str]:
    integration = (settings.name("storage_integration") or Name((INTEGRATION,))).sql()
    create = (
        f"CREATE STORAGE INTEGRATION IF NOT EXISTS {integration} TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3'"
        f" ENABLED = TRUE STORAGE_AWS_ROLE_ARN = '{AWS_ROLE}' STORAGE_ALLOWED_LOCATIONS = ({text(_folder(url))});"
    )
    lines = [
        create,
        f"GRANT USAGE ON INTEGRATION {integration} TO ROLE {_role(settings).sql()};",
        f"DESC INTEGRATION {integration};",
    ]
    if not settings.storage_integration:
        lines.append(f'-- then say storage_integration="{INTEGRATION}" in the pipeline')
    return lines


def _stage(settings: Settings, landing: Landing) -> Sequence[str]:
    named = settings.name("stage")
    assert named is not None
    stage = Name((settings.catalog, settings.target_schema)[: 3 - len(named.parts)] + named.parts)
    rights = "USAGE" if is_bucket(landing) else "READ, WRITE"
    role = _role(settings).sql()
    lines = [f"GRANT {rights} ON STAGE {stage.sql()} TO ROLE {role};"]
    if stage.parts[:2] != (settings.catalog, settings.target_schema):
        lines.insert(0, f"GRANT USAGE ON SCHEMA {Name(stage.parts[:2]).sql()} TO ROLE {role};")
    if stage.parts[0] != settings.catalog:
        lines.insert(0, f"GRANT USAGE ON DATABASE {Name(stage.parts[:1]).sql()} TO ROLE {role};")
    return lines


def _history(settings: Settings) -> Sequence[str]:
    """QUERY_HISTORY is shown to GOVERNANCE_VIEWER, QUERY_ATTRIBUTION_HISTORY to USAGE_VIEWER (SNOWFLAKE roles)."""
    roles = ("USAGE_VIEWER", "GOVERNANCE_VIEWER")
    return [f"GRANT DATABASE ROLE SNOWFLAKE.{role} TO ROLE {_role(settings).sql()};" for role in roles]


def _iam(landing: Landing) -> Sequence[str]:
    """What reading for COPY takes (Snowflake guide, configuring a storage integration for Amazon S3)."""
    place = landing.bucket
    assert place is not None
    bucket, prefix = f"arn:aws:s3:::{place.name}", place.key("")
    within = {"StringLike": {"s3:prefix": [f"{prefix}*"]}}
    statements: list[dict[str, object]] = [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": f"{bucket}/{prefix}*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket, "Condition": within},
        {"Effect": "Allow", "Action": "s3:GetBucketLocation", "Resource": bucket},
    ]
    if place.settings.sse == "kms":
        key = place.settings.kms_key_id or "<the ARN of the bucket's KMS key>"
        statements.append({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key})
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "<STORAGE_AWS_IAM_USER_ARN>"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "<STORAGE_AWS_EXTERNAL_ID>"}},
    }
    return [_policy(*statements), _policy(trust)]


def _policy(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def _folder(url: str) -> str:
    return url.rstrip("/") + "/"
