"""What the refusals of S3, and of the services beside it, mean to the user (S3 API reference, error responses)."""

from __future__ import annotations

import re

from syncline.connectors.errors import ConfigError, SignInError, SynclineError, Transient

HINT_CREDENTIALS = "give access_key_id and secret_access_key, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_HINT_RIGHTS = (
    "grant s3:PutObject, s3:GetObject, s3:AbortMultipartUpload on the prefix and s3:ListBucket on the bucket; "
    "with KMS also kms:GenerateDataKey and kms:Decrypt on the key; with expected_bucket_owner, look whose bucket it is"
)
_HINT_REGION = "set region to the bucket's own"
_HINT_BUSY = "run again; if it goes on, check the network and the store's status"

REFUSALS: dict[str, tuple[type[SynclineError], str]] = {
    "NoSuchBucket": (ConfigError, "create the bucket, or correct its name in the url"),
    "InvalidBucketName": (ConfigError, "correct the bucket's name in the url"),
    "AccessDenied": (ConfigError, _HINT_RIGHTS),
    "AllAccessDisabled": (ConfigError, _HINT_RIGHTS),
    "PermanentRedirect": (ConfigError, _HINT_REGION),
    "AuthorizationHeaderMalformed": (ConfigError, _HINT_REGION),
    "RequestTimeTooSkewed": (ConfigError, "set this machine's clock; S3 allows 15 minutes of difference"),
    "InvalidAccessKeyId": (SignInError, HINT_CREDENTIALS),
    "InvalidClientTokenId": (SignInError, HINT_CREDENTIALS),
    "SignatureDoesNotMatch": (SignInError, HINT_CREDENTIALS),
    "ExpiredToken": (SignInError, "the temporary credentials ran out: get new ones"),
    "ExpiredTokenException": (SignInError, "the temporary credentials ran out: get new ones"),
    "InvalidToken": (SignInError, HINT_CREDENTIALS),
    # Glue's errors come with status 400 whatever they mean (Glue API reference, common errors).
    "ConcurrentModificationException": (Transient, _HINT_BUSY),
    "OperationTimeoutException": (Transient, _HINT_BUSY),
    "InternalServiceException": (Transient, _HINT_BUSY),
}

_PROVIDER = re.compile(r"External AWS credential provider: (\w+): (.*)", re.DOTALL)
"""How obstore quotes what the credentials it was given raised when asked."""


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
    if (raised := _PROVIDER.search(text)) is not None:
        cause, _, hint = raised[2].partition("\n  hint: ")
        kind = Transient if raised[1] == "Transient" else SignInError
        return kind(operation, object, cause.strip(), hint.strip() or HINT_CREDENTIALS)
    if code is None and ("169.254." in text or "metadata" in text.lower()):
        return SignInError(operation, object, "no AWS credentials were found on this machine", HINT_CREDENTIALS)
    if code is None and "configured region" in text:
        return ConfigError(operation, object, cause, _HINT_REGION)
    return refusal(operation, object, code or "", cause, int(status[1]) if status else 0)


def refusal(operation: str, object: str, code: str, cause: str, status: int) -> SynclineError:
    """An answer by its code, else by its HTTP status; what nobody foresaw may pass, so it is transient."""
    if code in REFUSALS:
        kind, hint = REFUSALS[code]
        return kind(operation, object, cause, hint)
    if code.startswith("KMS.") and "Throttling" not in code:
        return ConfigError(operation, object, cause, "check the KMS key's id, state and policy")
    if status in (401, 403):
        return ConfigError(operation, object, cause, _HINT_RIGHTS)
    if 300 <= status < 400:
        return ConfigError(operation, object, cause, _HINT_REGION)
    passing = status in (408, 409, 425, 429) or "Throttl" in code or code == "RequestLimitExceeded"
    if 400 <= status < 500 and not passing:
        return ConfigError(operation, object, cause, "check the settings against the store's answer")
    return Transient(operation, object, cause, _HINT_BUSY)
