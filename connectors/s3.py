"""A bucket on S3: settings, opening it, and what its refusals mean. For the landing and for the state kept there.

Retries are obstore's own (connection errors, 5xx, throttling), bounded in number and in time (BOUNDED); what is left
after them is told apart here by S3's error code (S3 API reference, error responses).
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import urlsplit

from syncline.connectors.errors import ConfigError, SignInError
from syncline.connectors.s3_errors import HINT_CREDENTIALS
from syncline.connectors.s3_errors import s3_code as s3_code
from syncline.connectors.s3_errors import s3_error as s3_error
from syncline.connectors.secret import Secret

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Store

    from syncline.connectors.aws import SessionCredentials

Encryption: TypeAlias = Literal["s3", "kms"]

RETRY_TIMEOUT_S = 120
"""Below five minutes: a request is retried with the signature it was made with, which expires."""

BACKOFF_FIRST_S = 0.2
BACKOFF_LONGEST_S = 15.0
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


def open_bucket(settings: S3Settings, signed: bool = True, owned: bool = False) -> S3Store:
    """Connects to nothing yet. ``signed=False`` makes a store that asks as a stranger would.

    ``owned`` sends ``expected_bucket_owner``, if set, with every request, but must not be used to list: obstore 0.12
    leaves that header out of a listing's signature, and S3 refuses what is not signed.

    Raises:
        SignInError: no credentials are to be had.
    """
    from obstore.store import S3Store

    endpoint = endpoint_in_use(settings)
    config = _encryption(settings)
    config["region"] = region_in_use(settings)
    if settings.checksums:
        # Of the whole object in one put, of each part otherwise; S3 refuses bytes that were damaged on the way and
        # keeps the checksum with the object (S3 user guide, checking object integrity).
        config["checksum_algorithm"] = "SHA256"
    if endpoint:
        config["endpoint"] = endpoint
        config["virtual_hosted_style_request"] = settings.accelerate
    provider = None
    if not signed:
        config["skip_signature"] = True
    elif settings.role_arn:
        provider = _session_credentials(settings)
    elif settings.access_key_id and settings.secret_access_key:
        config["access_key_id"] = settings.access_key_id
        config["secret_access_key"] = settings.secret_access_key.reveal()
        if settings.session_token:
            config["session_token"] = settings.session_token.reveal()
    else:
        provider = _profile_credentials(settings)
    return S3Store(
        settings.bucket,
        config=config,
        client_options=_client_options(endpoint, settings.expected_bucket_owner if signed and owned else None),
        retry_config=_retries(settings),
        credential_provider=provider,
    )


def _encryption(settings: S3Settings) -> S3Config:
    if settings.sse == "s3":
        return {"server_side_encryption": "AES256"}
    if settings.sse is None:
        return {}
    # With a bucket key up to 99 % fewer calls go to KMS (S3 user guide, bucket keys).
    config: S3Config = {"server_side_encryption": "aws:kms", "sse_bucket_key_enabled": True}
    if settings.kms_key_id:
        config["sse_kms_key_id"] = settings.kms_key_id
    return config


def _client_options(endpoint: str | None, owner: str | None) -> ClientConfig:
    options: ClientConfig = {
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
    }
    if owner:
        # S3 answers 403 when the bucket is somebody else's (S3 user guide, verifying bucket ownership).
        options["default_headers"] = {"x-amz-expected-bucket-owner": owner}
    return options


def _retries(settings: S3Settings) -> RetryConfig:
    return {
        "max_retries": settings.retries_max,
        "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S),
        "backoff": {
            "init_backoff": timedelta(seconds=BACKOFF_FIRST_S),
            "max_backoff": timedelta(seconds=BACKOFF_LONGEST_S),
        },
    }


def _session_credentials(settings: S3Settings) -> SessionCredentials:
    from syncline.connectors.aws import SessionCredentials, session_of

    found = SessionCredentials(session_of(settings))
    if not found.found:
        raise _no_credentials(settings, "boto3 found none")
    return found


def _profile_credentials(settings: S3Settings) -> SessionCredentials | None:
    """Credentials of an AWS profile; ``None`` leaves the search to obstore.

    obstore reads the environment, web identity, containers and the machine's metadata service, but no profiles.
    """
    environment = os.environ
    if environment.get("AWS_ACCESS_KEY_ID"):
        return None
    files = (
        environment.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        environment.get("AWS_CONFIG_FILE", "~/.aws/config"),
    )
    if environment.get("AWS_PROFILE") or any(Path(file).expanduser().exists() for file in files):
        if find_spec("boto3") is None:
            raise _no_credentials(settings, "AWS profiles are read with boto3, which is not installed")
        return _session_credentials(settings)
    disabled = environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"
    if disabled and not any(environment.get(name) for name in _OTHER_SOURCES):
        raise _no_credentials(settings, "none in settings or environment, and AWS_EC2_METADATA_DISABLED is set")
    return None


_OTHER_SOURCES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def _no_credentials(settings: S3Settings, cause: str) -> SignInError:
    return SignInError("open bucket", f"s3://{settings.bucket}", f"no AWS credentials: {cause}", HINT_CREDENTIALS)


def wrong_setting(object: str, cause: str, hint: str) -> ConfigError:
    return ConfigError("read S3 settings", object, cause, hint)
