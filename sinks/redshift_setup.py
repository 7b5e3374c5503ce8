"""What an administrator runs once so that a pipeline can write to Redshift, with the least rights that do.

Text for people to read and run; it holds no secret, and nothing here connects. The user owns what it creates, so it
needs nothing on tables. That the rights are enough is tested by whole runs of a user who has no others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from syncline.sinks.redshift_settings import Settings

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing

USER = "syncline"
"""What is made where the settings name none."""

SERVICES = ("redshift.amazonaws.com", "redshift-serverless.amazonaws.com")


def setup(settings: Settings, landing: Landing) -> str:
    """SQL for Redshift and JSON for IAM, in the order they are run."""
    parts = [
        (
            f"1. Redshift: a user and its schemas (as a superuser, in the database {settings.database})",
            _place(settings),
        ),
        ("2. Redshift: only where REVOKE ASSUMEROLE ON ALL FROM PUBLIC was run", _assume(settings)),
        (f"3. AWS: {_ROLE_STEPS}", _role(landing)),
    ]
    if settings.iam:
        parts.append(("4. AWS: what the identity of this machine may do, to sign in", [_sign_in(settings)]))
    return "\n\n".join("\n".join([f"-- {title}", *lines]) for title, lines in parts) + "\n"


_ROLE_STEPS = "the role that COPY reads the landing as, attached to the cluster: this policy, and this trust"


def _place(settings: Settings) -> Sequence[str]:
    user = _name(_user(settings))
    made = f"CREATE USER {user} PASSWORD '<8 to 64 characters, capital and small letters and a digit>';"
    if settings.iam:
        made = f"CREATE USER {user} PASSWORD DISABLE;"
    schemas = [_name(schema) for schema in (settings.schema, settings.staging_schema)]
    return [
        made,
        *(f"CREATE SCHEMA IF NOT EXISTS {schema};" for schema in schemas),
        *(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {user};" for schema in schemas),
    ]


def _user(settings: Settings) -> str:
    """With Serverless the database's user is the identity itself (serverless guide, GetCredentials)."""
    return "IAMR:<the machine's role>" if settings.iam and settings.serverless_workgroup else settings.user or USER


def _assume(settings: Settings) -> Sequence[str]:
    roles = exp.Literal.string(settings.iam_role).sql(dialect="redshift")
    shown = "default" if settings.iam_role == "default" else roles
    return [f"GRANT ASSUMEROLE ON {shown} TO {_name(_user(settings))} FOR COPY;"]


def _role(landing: Landing) -> Sequence[str]:
    """What reading for COPY takes (COPY guide, authorization parameters; columnar files)."""
    place = landing.bucket
    if place is None:
        return ["-- give the pipeline a landing in S3 first: Redshift loads files from nowhere else"]
    bucket, prefix = f"arn:aws:s3:::{place.name}", place.key("")
    statements: list[dict[str, object]] = [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{bucket}/{prefix}*"},
        {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": bucket},
    ]
    if place.settings.sse == "kms":
        key = place.settings.kms_key_id or "<the ARN of the bucket's KMS key>"
        statements.append({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key})
    trust = {"Effect": "Allow", "Principal": {"Service": list(SERVICES)}, "Action": "sts:AssumeRole"}
    return [_policy(*statements), _policy(trust)]


def _sign_in(settings: Settings) -> str:
    """Short-lived credentials, and where the host is left out, the endpoint (management guides, GetClusterCredentials
    and GetCredentials)."""
    place = f"{settings.region}:<AWS account>"
    if settings.serverless_workgroup:
        actions = ["redshift-serverless:GetCredentials"]
        if not settings.host:
            actions.append("redshift-serverless:GetWorkgroup")
        resource = f"arn:aws:redshift-serverless:{place}:workgroup/<id of {settings.serverless_workgroup}>"
        return _policy({"Effect": "Allow", "Action": actions, "Resource": resource})
    cluster = settings.cluster_identifier
    resources = [
        f"arn:aws:redshift:{place}:dbuser:{cluster}/{settings.user}",
        f"arn:aws:redshift:{place}:dbname:{cluster}/{settings.database}",
    ]
    statements = [{"Effect": "Allow", "Action": "redshift:GetClusterCredentials", "Resource": resources}]
    if not settings.host:
        found = f"arn:aws:redshift:{place}:cluster:{cluster}"
        statements.append({"Effect": "Allow", "Action": "redshift:DescribeClusters", "Resource": [found]})
    return _policy(*statements)


def _policy(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def _name(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql(dialect="redshift")
