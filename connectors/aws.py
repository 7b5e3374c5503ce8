"""AWS through boto3, an optional extra: credentials of a role or a profile, clients for what obstore does not speak.

Only asking (``syncline check``), upkeep (``syncline landing``) and signing in with ``role_arn`` or a profile come here;
records themselves go through obstore. boto3 is imported inside functions: it costs half a second.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from syncline.connectors.errors import ConfigError, SignInError, SynclineError, Transient
from syncline.connectors.s3_errors import REFUSALS, refusal

if TYPE_CHECKING:
    from obstore.store import S3Credential

    from syncline.connectors.s3_settings import S3Settings

HINT_INSTALL = "install it with: pip install 'syncline[aws]'"
ATTEMPTS_MAX = 8
ROLE_LASTS_S = 3600
"""The longest that a role may last when a role takes another one on (IAM user guide, role chaining)."""

CREDENTIALS_KEPT = timedelta(minutes=10)
"""botocore renews temporary credentials that have less than ten minutes left, and obstore asks again five minutes
before what it was told: so no request is signed with credentials that run out within five minutes."""


def boto3_is_there() -> bool:
    return find_spec("boto3") is not None


def session_of(settings: S3Settings) -> Any:
    """A boto3 session that signs as the settings say: by their keys or what boto3 finds, then as ``role_arn``.

    The role's credentials are fetched when first used and renewed before they run out.

    Raises:
        ConfigError: boto3 is not installed.
    """
    try:
        from boto3 import Session
    except ImportError:
        raise ConfigError("open AWS session", f"s3://{settings.bucket}", "it needs boto3", HINT_INSTALL) from None
    keys = (settings.access_key_id, settings.secret_access_key, settings.session_token)
    session = Session(
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1].reveal() if keys[1] else None,
        aws_session_token=keys[2].reveal() if keys[2] else None,
        region_name=settings.region,
    )
    return _taking_role(session, settings) if settings.role_arn else session


def _taking_role(base: Any, settings: S3Settings) -> Any:
    """A session whose credentials are the role's (STS API reference, AssumeRole)."""
    import botocore.session
    from boto3 import Session
    from botocore.credentials import DeferredRefreshableCredentials

    signing = botocore.session.Session()
    # botocore offers no public way to hand a session credentials that renew themselves.
    signing._credentials = DeferredRefreshableCredentials(partial(_assume, base, settings), "assume-role")
    return Session(botocore_session=signing, region_name=settings.region)


def _assume(base: Any, settings: S3Settings) -> dict[str, str]:
    asked = {"RoleArn": settings.role_arn, "RoleSessionName": settings.role_session_name}
    if settings.external_id:
        asked["ExternalId"] = settings.external_id
    with aws_errors("assume role", str(settings.role_arn)):
        sts = _client(base, settings, "sts")
        found = sts.assume_role(DurationSeconds=ROLE_LASTS_S, **asked)["Credentials"]
    return {
        "access_key": found["AccessKeyId"],
        "secret_key": found["SecretAccessKey"],
        "token": found["SessionToken"],
        "expiry_time": found["Expiration"].isoformat(),
    }


def client_of(settings: S3Settings, service: str) -> Any:
    """A boto3 client of one AWS service, signed as the settings say, with adaptive retries and https only.

    Raises:
        ConfigError: boto3 is not installed, or a variable of the environment leads the service to plain http.
    """
    return _client(session_of(settings), settings, service)


def _client(session: Any, settings: S3Settings, service: str) -> Any:
    from botocore.config import Config

    from syncline.connectors.s3_settings import (
        CONNECT_TIMEOUT_S,
        REQUEST_TIMEOUT_S,
        check_endpoint,
        endpoint_in_use,
        region_in_use,
    )

    endpoint = endpoint_in_use(settings) if service == "s3" and not settings.accelerate else None
    # Adaptive: after throttling the client also paces what it sends (boto3 guide, retries).
    attempts = min(ATTEMPTS_MAX, settings.retries_max + 1)
    client = session.client(
        service,
        region_name=region_in_use(settings),
        endpoint_url=endpoint,
        config=Config(
            retries={"mode": "adaptive", "total_max_attempts": attempts},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=REQUEST_TIMEOUT_S,
            s3={"addressing_style": "path"} if endpoint else {},
        ),
    )
    check_endpoint(client.meta.endpoint_url)
    if service == "s3" and settings.expected_bucket_owner:
        client.meta.events.register("provide-client-params.s3", partial(_name_owner, settings.expected_bucket_owner))
    return client


def _name_owner(owner: str, params: dict[str, Any], **_: object) -> dict[str, Any]:
    """Every operation on a bucket says whose it must be; S3 refuses with 403 when it is not."""
    return {"ExpectedBucketOwner": owner, **params} if "Bucket" in params else params


class SessionCredentials:
    """Hands a boto3 session's credentials to obstore, renewed as long as the session renews them."""

    def __init__(self, session: Any) -> None:
        self._credentials = session.get_credentials()
        self._one_at_a_time = threading.Lock()

    @property
    def found(self) -> bool:
        return self._credentials is not None

    def __call__(self) -> S3Credential:
        with self._one_at_a_time:
            now = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": datetime.now(UTC) + CREDENTIALS_KEPT,
        }


@contextmanager
def aws_errors(operation: str, object: str, hint: str = "") -> Iterator[None]:
    """What boto3 raises, as the house's errors; ``hint`` is for refusals the user must mend."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

    try:
        yield
    except ClientError as error:
        raise client_error(operation, object, error, hint) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise SignInError(
            operation, object, f"no AWS credentials: {error}", REFUSALS["InvalidAccessKeyId"][1]
        ) from error
    except BotoCoreError as error:
        raise Transient(operation, object, str(error), "run again; if it stays, check the network") from error


def client_error(operation: str, object: str, error: Any, hint: str = "") -> SynclineError:
    said = error.response.get("Error", {})
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(said.get("Code", ""))
    found = refusal(operation, object, code, f"{code}: {said.get('Message', '')}", status)
    if hint and isinstance(found, ConfigError):
        return type(found)(operation, object, found.cause, hint)
    return found


def code_of(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
