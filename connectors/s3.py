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
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import urlsplit

from syncline.connectors.errors import ConfigError, SignInError, SynclineError, Transient
from syncline.connectors.secret import Secret

if TYPE_CHECKING:
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Store

Encryption: TypeAlias = Literal["s3", "kms"]

RETRY_TIMEOUT_S = 120
"""Below five minutes: a request is retried with the signature it was made with, which expires."""

BACKOFF_FIRST_S = 0.2
BACKOFF_LONGEST_S = 15.0
CONNECT_TIMEOUT_S = 10
REQUEST_TIMEOUT_S = 300

_REGION = "us-east-1"


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

    def __post_init__(self) -> None:
        if self.sse not in (None, "s3", "kms"):
            raise wrong_setting(f"sse={self.sse!r}", "not a kind of encryption", 'use "s3", "kms" or leave it out')
        if self.kms_key_id and self.sse != "kms":
            raise wrong_setting("kms_key_id", 'it needs sse="kms"', 'add sse="kms" or drop kms_key_id')
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise wrong_setting("access_key_id and secret_access_key", "one is missing", "give both or neither")
        if self.endpoint:
            check_endpoint(self.endpoint)


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
    """The setting, else the AWS variables in the order the AWS SDKs read them."""
    if settings.endpoint or os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return settings.endpoint
    found = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if found:
        check_endpoint(found)
    return found or None


def open_bucket(settings: S3Settings, signed: bool = True) -> S3Store:
    """Connects to nothing yet. ``signed=False`` makes a store that asks as a stranger would.

    Raises:
        SignInError: no credentials are to be had.
    """
    from obstore.store import S3Store

    endpoint = endpoint_in_use(settings)
    config = _encryption(settings)
    config["region"] = (
        settings.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _REGION
    )
    if endpoint:
        config["endpoint"] = endpoint
    provider = None
    if not signed:
        config["skip_signature"] = True
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
        client_options=_client_options(endpoint),
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


def _client_options(endpoint: str | None) -> ClientConfig:
    return {
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
    }


def _retries(settings: S3Settings) -> RetryConfig:
    return {
        "max_retries": settings.retries_max,
        "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S),
        "backoff": {
            "init_backoff": timedelta(seconds=BACKOFF_FIRST_S),
            "max_backoff": timedelta(seconds=BACKOFF_LONGEST_S),
        },
    }


def _profile_credentials(settings: S3Settings) -> Boto3CredentialProvider | None:
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
        try:
            from boto3 import Session
            from obstore.auth.boto3 import Boto3CredentialProvider
        except ImportError:
            raise _no_credentials(settings, "AWS profiles are read with boto3, which is not installed") from None
        return Boto3CredentialProvider(Session(region_name=settings.region))
    disabled = environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"
    if disabled and not any(environment.get(name) for name in _OTHER_SOURCES):
        raise _no_credentials(settings, "none in settings or environment, and AWS_EC2_METADATA_DISABLED is set")
    return None


_OTHER_SOURCES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_HINT_CREDENTIALS = "give access_key_id and secret_access_key, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def _no_credentials(settings: S3Settings, cause: str) -> SignInError:
    return SignInError("open bucket", f"s3://{settings.bucket}", f"no AWS credentials: {cause}", _HINT_CREDENTIALS)


def wrong_setting(object: str, cause: str, hint: str) -> ConfigError:
    return ConfigError("read S3 settings", object, cause, hint)


_HINT_RIGHTS = (
    "grant s3:PutObject, s3:GetObject, s3:AbortMultipartUpload on the prefix and s3:ListBucket on the bucket; "
    "with KMS also kms:GenerateDataKey and kms:Decrypt on the key"
)
_HINT_REGION = "set region to the bucket's own"
_HINT_BUSY = "run again; if it goes on, check the network and the store's status"

_REFUSALS: dict[str, tuple[type[SynclineError], str]] = {
    "NoSuchBucket": (ConfigError, "create the bucket, or correct its name in the url"),
    "InvalidBucketName": (ConfigError, "correct the bucket's name in the url"),
    "AccessDenied": (ConfigError, _HINT_RIGHTS),
    "AllAccessDisabled": (ConfigError, _HINT_RIGHTS),
    "PermanentRedirect": (ConfigError, _HINT_REGION),
    "AuthorizationHeaderMalformed": (ConfigError, _HINT_REGION),
    "RequestTimeTooSkewed": (ConfigError, "set this machine's clock; S3 allows 15 minutes of difference"),
    "InvalidAccessKeyId": (SignInError, _HINT_CREDENTIALS),
    "SignatureDoesNotMatch": (SignInError, _HINT_CREDENTIALS),
    "ExpiredToken": (SignInError, "the temporary credentials ran out: get new ones"),
    "InvalidToken": (SignInError, _HINT_CREDENTIALS),
}


def s3_code(error: Exception) -> str | None:
    """S3's error code, which obstore passes on only within its text."""
    found = re.search(r"<Code>([\w.]+)</Code>", str(error))
    return found[1] if found else None


def s3_error(operation: str, object: str, error: Exception) -> SynclineError:
    """What obstore's error means to the user; its debug text, which repeats requests, is left out."""
    text = str(error).partition("\n\nDebug source")[0]
    code = s3_code(error)
    said = re.search(r"<Message>([^<]*)</Message>", text)
    status = re.search(r"status code: (\d{3})", text)
    cause = f"{code}: {said[1] if said else ''}" if code else text.partition(" - ")[2] or text
    if code in _REFUSALS:
        kind, hint = _REFUSALS[code]
        return kind(operation, object, cause, hint)
    if "169.254." in text or "metadata" in text.lower():
        return SignInError(operation, object, "no AWS credentials were found on this machine", _HINT_CREDENTIALS)
    if code and code.startswith("KMS.") and "Throttling" not in code:
        return ConfigError(operation, object, cause, "check the KMS key's id, state and policy")
    number = int(status[1]) if status else 0
    if number == 401 or number == 403:
        return ConfigError(operation, object, cause, _HINT_RIGHTS)
    if 300 <= number < 400 or "configured region" in text:
        return ConfigError(operation, object, cause, _HINT_REGION)
    if 400 <= number < 500 and number not in (408, 409, 425, 429) and "Throttling" not in (code or ""):
        return ConfigError(operation, object, cause, "check the settings against the store's answer")
    return Transient(operation, object, cause, _HINT_BUSY)
