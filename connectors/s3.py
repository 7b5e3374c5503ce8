"""A bucket on S3: opening it, and what its refusals mean. For the landing and for the state kept there.

Retries are obstore's own (connection errors, 5xx, throttling), bounded in number and in time (BOUNDED); what is left
after them is told apart here by S3's error code (S3 API reference, error responses).
"""

from __future__ import annotations

import os
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from syncline.connectors.errors import SignInError
from syncline.connectors.s3_errors import HINT_CREDENTIALS
from syncline.connectors.s3_errors import s3_code as s3_code
from syncline.connectors.s3_errors import s3_error as s3_error
from syncline.connectors.s3_settings import (
    CONNECT_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    S3Settings,
    endpoint_in_use,
    region_in_use,
)

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Store

    from syncline.connectors.aws import SessionCredentials

RETRY_TIMEOUT_S = 120
"""Below five minutes: a request is retried with the signature it was made with, which expires."""

BACKOFF_FIRST_S = 0.2
BACKOFF_LONGEST_S = 15.0


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
