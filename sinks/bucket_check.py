"""What ``syncline check`` reads about a bucket: who may enter it, how it is encrypted, what clears it up.

Only a bucket that is public is an error: it shows customers' records to everyone. What may not be read, or what a
store other than S3 does not answer, is unknown, which is a warning and never a failure: a writer needs none of these
rights. The rules are the S3 user guide's: blocking public access, object ownership, bucket policy status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from syncline.connectors.errors import SynclineError
from syncline.connectors.finding import Finding
from syncline.connectors.s3_settings import endpoint_in_use, region_in_use
from syncline.sinks.lifecycle_rules import covers, rules_of

if TYPE_CHECKING:
    from syncline.sinks.landing_url import Bucket

_EVERYONE = {
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
}
_ABSENT = {
    "NoSuchPublicAccessBlockConfiguration",
    "OwnershipControlsNotFoundError",
    "NoSuchBucketPolicy",
    "ServerSideEncryptionConfigurationNotFoundError",
    "NoSuchLifecycleConfiguration",
}
_ASPECTS = "public access block, ownership, policy, encryption, versioning, lifecycle, region"
_RIGHTS = (
    "grant s3:GetBucketPublicAccessBlock, s3:GetBucketOwnershipControls, s3:GetBucketPolicy, s3:GetBucketPolicyStatus, "
    "s3:GetBucketAcl, s3:GetEncryptionConfiguration, s3:GetBucketVersioning, s3:GetLifecycleConfiguration and "
    "s3:GetBucketLocation to whoever runs the check, or let the bucket's owner look"
)


@dataclass(slots=True)
class _Looks:
    """The answers of S3: a mapping, empty where nothing is set up; ``None`` where it could not be told."""

    client: Any
    bucket: str
    unknown: list[str] = field(default_factory=list)

    def ask(self, aspect: str, operation: str) -> Mapping[str, Any] | None:
        from botocore.exceptions import ClientError

        from syncline.connectors.aws import aws_errors, code_of

        try:
            with aws_errors(f"read the bucket's {aspect}", self.bucket):
                answer: Mapping[str, Any] = getattr(self.client, operation)(Bucket=self.bucket)
        except SynclineError as error:
            code = code_of(error.__cause__) if isinstance(error.__cause__, ClientError) else error.cause
            if code in _ABSENT:
                return {}
            self.unknown.append(f"{aspect} ({code})")
            return None
        return answer


def check_bucket(bucket: Bucket, subject: str) -> list[Finding]:
    """The findings, without changing anything. Without boto3 one that says what was not looked at."""
    from syncline.connectors.aws import boto3_is_there, client_of

    if not boto3_is_there():
        cure = "pip install 'syncline[aws]', or look at them in the console"
        return [Finding("warn", subject, f"not looked at, boto3 is missing: {_ASPECTS}", cure)]
    looks = _Looks(client_of(bucket.settings, "s3"), bucket.name)
    findings = [*_privacy(looks, subject), *_transport(looks, subject), *_encryption(looks, bucket, subject)]
    findings += [*_clearing(looks, bucket, subject), *_region(looks, bucket, subject)]
    if bucket.settings.accelerate:
        findings += _acceleration(looks, subject)
    if looks.unknown:
        findings.append(Finding("warn", subject, f"unknown: {', '.join(looks.unknown)}", _RIGHTS))
    return findings


def _privacy(looks: _Looks, subject: str) -> Sequence[Finding]:
    block = looks.ask("public access block", "get_public_access_block")
    ownership = looks.ask("ownership", "get_bucket_ownership_controls")
    flags = None if block is None else block.get("PublicAccessBlockConfiguration", {})
    switched = ",".join(f"{name}=true" for name in _FLAGS)
    cure = (
        f"run: aws s3api put-public-access-block --bucket {looks.bucket} --public-access-block-configuration {switched}"
    )
    holes = [*_policy_holes(looks, flags or {}), *_acl_holes(looks, flags or {}, _owner_decides(ownership))]
    if holes:
        return [Finding("error", subject, f"the bucket is public: {' and '.join(holes)}", cure)]
    if flags is None:
        return []
    off = [name for name in _FLAGS if not flags.get(name)]
    findings = [Finding("ok", subject, "public access is blocked")]
    if off:
        findings = [Finding("warn", subject, f"public access is not blocked for good: {', '.join(off)} is off", cure)]
    if ownership is not None and not _owner_decides(ownership):
        enforce = "set object ownership to BucketOwnerEnforced, so that no ACL can open it"
        findings.append(Finding("warn", subject, "access control lists are in force", enforce))
    return findings


_FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def _owner_decides(ownership: Mapping[str, Any] | None) -> bool:
    rules = (ownership or {}).get("OwnershipControls", {}).get("Rules", [])
    return any(rule.get("ObjectOwnership") == "BucketOwnerEnforced" for rule in rules)


def _policy_holes(looks: _Looks, flags: Mapping[str, bool]) -> Sequence[str]:
    status = looks.ask("policy status", "get_bucket_policy_status")
    if status and status["PolicyStatus"].get("IsPublic") and not flags.get("RestrictPublicBuckets"):
        return ["its policy lets everyone in"]
    return []


def _acl_holes(looks: _Looks, flags: Mapping[str, bool], owner_decides: bool) -> Sequence[str]:
    if owner_decides or flags.get("IgnorePublicAcls"):
        return []
    acl = looks.ask("access control list", "get_bucket_acl")
    given = [grant["Permission"] for grant in (acl or {}).get("Grants", []) if grant["Grantee"].get("URI") in _EVERYONE]
    return [f"its access control list gives everyone {', '.join(given)}"] if given else []


def _transport(looks: _Looks, subject: str) -> Sequence[Finding]:
    found = looks.ask("policy", "get_bucket_policy")
    if found is None:
        return []
    if any(_refuses_plain_http(each) for each in _statements(found.get("Policy"))):
        return [Finding("ok", subject, "its policy refuses plain http")]
    arn = f"arn:aws:s3:::{looks.bucket}"
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return [
        Finding(
            "warn", subject, "its policy does not refuse plain http", f"add this statement: {json.dumps(statement)}"
        )
    ]


def _statements(policy: str | None) -> Sequence[Mapping[str, Any]]:
    found = json.loads(policy)["Statement"] if policy else []
    return found if isinstance(found, list) else [found]


def _refuses_plain_http(statement: Mapping[str, Any]) -> bool:
    conditions = statement.get("Condition", {}).get("Bool", {})
    secure = {name.lower(): value for name, value in conditions.items()}.get("aws:securetransport")
    actions = statement.get("Action", [])
    return (
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and str(secure).lower() in ("false", "['false']")
        and bool({"s3:*", "*"} & set([actions] if isinstance(actions, str) else actions))
    )


def _encryption(looks: _Looks, bucket: Bucket, subject: str) -> Sequence[Finding]:
    asked = bucket.settings.sse
    found = looks.ask("encryption", "get_bucket_encryption")
    if found is None:
        return []
    rules = found.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    default = rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") if rules else None
    if asked:
        return [Finding("ok", subject, f'objects are encrypted with sse="{asked}"')]
    if default is None:
        cure = 'set a default encryption on the bucket, or sse="s3" on the landing'
        return [Finding("warn", subject, "the bucket encrypts nothing by default", cure)]
    if default.startswith("aws:kms") and not rules[0].get("BucketKeyEnabled"):
        text = "encrypts with KMS and without a bucket key, so that every object costs a call of KMS"
        return [Finding("warn", subject, text, "switch the bucket key on in the bucket's default encryption")]
    return [Finding("ok", subject, f"encrypts by default ({default})")]


def _clearing(looks: _Looks, bucket: Bucket, subject: str) -> Sequence[Finding]:
    found = looks.ask("lifecycle", "get_bucket_lifecycle_configuration")
    versioning = looks.ask("versioning", "get_bucket_versioning")
    if found is None:
        return []
    mine = [rule for rule in rules_of(found) if covers(rule, bucket.prefix)]
    cure = "run: syncline landing lifecycle PIPELINE --apply"
    checks: list[tuple[bool, str, str]] = [
        (
            any("AbortIncompleteMultipartUpload" in rule for rule in mine),
            "a lifecycle rule clears up unfinished uploads",
            "no lifecycle rule aborts the uploads of killed runs, which are billed and seen by nobody",
        )
    ]
    if (versioning or {}).get("Status") == "Enabled":
        checks.append(
            (
                any("NoncurrentVersionExpiration" in rule for rule in mine),
                "keeps versions, and a lifecycle rule ends old ones",
                "keeps versions, and no lifecycle rule ends them: removed files stay and are billed",
            )
        )
    return [Finding("ok", subject, good) if held else Finding("warn", subject, bad, cure) for held, good, bad in checks]


def _region(looks: _Looks, bucket: Bucket, subject: str) -> Sequence[Finding]:
    found = looks.ask("region", "get_bucket_location")
    if found is None:
        return []
    # Two values of the first days of S3: none for us-east-1, EU for eu-west-1 (S3 API reference, GetBucketLocation).
    region = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}.get(
        found.get("LocationConstraint"), found.get("LocationConstraint")
    )
    used = region_in_use(bucket.settings)
    if region == used:
        return [Finding("ok", subject, f"is in {region}")]
    text, cure = f"is in {region}, asked for in {used}", f'set region="{region}" on the landing, or AWS_REGION'
    return [Finding("warn" if endpoint_in_use(bucket.settings) else "error", subject, text, cure)]


def _acceleration(looks: _Looks, subject: str) -> Sequence[Finding]:
    found = looks.ask("acceleration", "get_bucket_accelerate_configuration")
    if found is None:
        return []
    if found.get("Status") == "Enabled":
        return [Finding("ok", subject, "transfer acceleration is on")]
    cure = "switch transfer acceleration on at the bucket, or drop accelerate=True"
    return [Finding("error", subject, "transfer acceleration is off at the bucket", cure)]
