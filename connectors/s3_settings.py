"""What is said of a bucket on S3: where it is, how to speak to it, and who signs; checked when made."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from syncline.connectors.errors import ConfigError
from syncline.connectors.secret import Secret

Encryption: TypeAlias = Literal["s3", "kms"]

CONNECT_TIMEOUT_S = 10
REQUEST_TIMEOUT_S = 300

_REGION = "us-east-1"
_ACCELERATED = "https://{bucket}.s3-accelerate.amazonaws.com"

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_ROLE_SESSION = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where a bucket is and how to speak to it; checked when made, so that a typing error shows before a run.

    Credentials left out come from the environment, the container or the machine, as obstore finds them; from AWS
    profiles where boto3 is installed.
    """

    bucket: str = ""
    endpoint: str | None = None
    region: str | None = None
    sse: Encryption | None = None
    kms_key_id: str | None = None
    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    retries_max: int = 8
    checksums: bool = True
    role_arn: str | None = None
    external_id: str | None = None
    role_session_name: str = "syncline"
    expected_bucket_owner: str | None = None
    accelerate: bool = False

    def __post_init__(self) -> None:
        self._check_role()
        self._check_bucket()
        if self.sse not in (None, "s3", "kms"):
            raise wrong_setting(f"sse={self.sse!r}", "not a kind of encryption", 'use "s3", "kms" or leave it out')
        if self.kms_key_id and self.sse != "kms":
            raise wrong_setting("kms_key_id", 'it needs sse="kms"', 'add sse="kms" or drop kms_key_id')
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise wrong_setting("access_key_id and secret_access_key", "one is missing", "give both or neither")
        if self.endpoint:
            check_endpoint(self.endpoint)

    def _check_role(self) -> None:
        """IAM user guide, quotas and name requirements; STS API reference, AssumeRole."""
        if self.role_arn is None:
            if self.external_id is not None or self.role_session_name != "syncline":
                raise wrong_setting("external_id or role_session_name", "it needs role_arn", "add role_arn or drop it")
            return
        if not _ROLE.fullmatch(self.role_arn):
            cure = 'write it as "arn:aws:iam::123456789012:role/name"'
            raise wrong_setting(f"role_arn={self.role_arn!r}", "not the name of a role", cure)
        if not _ROLE_SESSION.fullmatch(self.role_session_name):
            cure = "use 2 to 64 letters, digits and _+=,.@-"
            raise wrong_setting(f"role_session_name={self.role_session_name!r}", "STS does not take it", cure)
        if self.external_id is not None and not _EXTERNAL_ID.fullmatch(self.external_id):
            raise wrong_setting("external_id", "STS does not take it", "use 2 to 1224 letters, digits and _+=,.@:/-")
        if find_spec("boto3") is None:
            raise wrong_setting("role_arn", "it needs boto3, which is missing", "pip install 'syncline[aws]'")

    def _check_bucket(self) -> None:
        if self.expected_bucket_owner is not None and not _ACCOUNT.fullmatch(self.expected_bucket_owner):
            cure = 'write the 12 digits of the AWS account as a text: "123456789012"'
            raise wrong_setting(f"expected_bucket_owner={self.expected_bucket_owner!r}", "not an AWS account", cure)
        if self.accelerate and self.endpoint:
            raise wrong_setting("accelerate and endpoint", "each chooses where requests go", "give one of them")
        if self.accelerate and "." in self.bucket:
            cause = "S3 does not accelerate a bucket with dots in its name"  # S3 user guide, transfer acceleration
            raise wrong_setting(f"accelerate, s3://{self.bucket}", cause, "use another bucket or drop accelerate")


def options_of(settings: S3Settings) -> dict[str, str | int | bool]:
    """What was set otherwise than the defaults, by name, without the bucket and without secrets."""
    plain = S3Settings()
    hidden = {"bucket", "secret_access_key", "session_token"}
    return {
        each.name: getattr(settings, each.name)
        for each in fields(S3Settings)
        if each.name not in hidden and getattr(settings, each.name) != getattr(plain, each.name)
    }


def split_url(url: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://bucket/prefix``; the prefix without slashes around it, perhaps empty.

    Raises:
        ConfigError: it names no bucket, or holds more than names.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    cure = 'write it as "s3://bucket/prefix"'
    if not bucket or "@" in bucket or ":" in bucket:
        raise wrong_setting("s3://", "the bucket's name is missing or holds more than a name", cure)
    if prefix and any(segment in ("", ".", "..") for segment in prefix.split("/")):
        raise wrong_setting(f"s3://{bucket}/{prefix}", "the prefix has an empty or dotted part", cure)
    return bucket, prefix


def check_endpoint(endpoint: str) -> None:
    """Refuses an endpoint that would send data in the clear beyond this machine, or that holds a password."""
    parts = urlsplit(endpoint)
    shown = f"endpoint {parts.scheme}://{parts.hostname or ''}"
    if parts.username or parts.password:
        raise wrong_setting(shown, "it holds credentials", "give access_key_id and secret_access_key instead")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong_setting(f"endpoint {endpoint!r}", "not a web address", 'write it as "https://host:port"')
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise wrong_setting(shown, "http sends records in the clear", "use https, except on this machine")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def endpoint_in_use(settings: S3Settings) -> str | None:
    """The setting, else the AWS variables in the order the AWS SDKs read them; the bucket's own when accelerated."""
    if settings.accelerate:
        return _ACCELERATED.format(bucket=settings.bucket)
    if settings.endpoint or os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return settings.endpoint
    found = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if found:
        check_endpoint(found)
    return found or None


def region_in_use(settings: S3Settings) -> str:
    return settings.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _REGION


def wrong_setting(object: str, cause: str, hint: str) -> ConfigError:
    return ConfigError("read S3 settings", object, cause, hint)
