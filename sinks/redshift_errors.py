"""What redshift_connector's errors mean, in the one tree.

SQLSTATEs are PostgreSQL's (``(unconfirmed)`` of some of Redshift's own), so that Redshift's numbers and words are read
as well: 1023, 1018, Spectrum's codes, and what IAM and S3 say within COPY's errors.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from syncline.connectors.errors import (
    ConfigError,
    DataError,
    SignInError,
    SynclineError,
    Transient,
    ValueOutOfType,
)
from syncline.connectors.secret import scrub

WIRE_ERRORS = (OSError, ValueError, AttributeError, LookupError, struct.error)
"""What the driver raises besides its own errors when a connection breaks within a message."""


class ScanRefused(DataError):
    """COPY read a file and refused it. ``column_type`` is what Redshift says the offending column is, if it says so."""

    column_type: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What the server said: SQLSTATE, message and detail. An empty state: nothing came from the server."""

    sqlstate: str
    text: str

    @staticmethod
    def of(error: BaseException) -> Told:
        said = error.args[0] if error.args else ""
        if isinstance(said, Mapping):
            texts = (str(said.get(part, "")) for part in ("M", "D", "H"))
            return Told(str(said.get("C", "")), " ".join(" ".join(texts).split()))
        return Told("", " ".join(str(error).split()))


def translate(error: BaseException, operation: str, place: str) -> SynclineError:
    """The error of a statement."""
    told = Told.of(error)
    cause = scrub(
        _shortened(f"{told.sqlstate} {told.text}" if told.sqlstate else f"{type(error).__name__}: {told.text}")
    )
    if not told.sqlstate:
        return Transient(operation, place, cause, "the connection broke; run again")
    for pattern, kind, hint in _BY_TEXT:
        if re.search(pattern, told.text, re.IGNORECASE):
            return _made(kind, operation, place, cause, hint)
    if "spectrum" in told.text.lower() or re.search(r"\b1500[0-9]\b", told.text):
        return _scan_refused(operation, place, cause, told.text)
    for prefix, kind, hint in _BY_STATE:
        if told.sqlstate.startswith(prefix):
            return _made(kind, operation, _object(place, told.text, kind), cause, hint)
    return SynclineError(operation, place, cause)


def translate_connect(error: BaseException, place: str) -> SynclineError:
    """The error of signing in."""
    operation, told = "connect to Redshift", Told.of(error)
    cause = scrub(_shortened(told.text or type(error).__name__))
    if told.sqlstate:
        return translate(error, operation, place)
    inner = next((each for each in (*error.args, error) if isinstance(each, OSError)), None)
    if isinstance(inner, ssl.SSLCertVerificationError):
        hint = "connect by the name that the certificate is for; behind a tunnel of your own use tls='verify-ca'"
        return ConfigError(operation, place, f"the server's certificate is not accepted: {inner.verify_message}", hint)
    if isinstance(inner, socket.gaierror) and inner.errno == socket.EAI_NONAME:
        return ConfigError(operation, place, cause, "check REDSHIFT_HOST: there is no host of this name")
    if "refuses SSL" in told.text:
        return ConfigError(operation, place, cause, "this is not a Redshift endpoint, or a proxy before it ends TLS")
    if type(error).__module__.startswith("botocore"):
        return _aws_error(error, operation, place, cause)
    hint = "run again; if it goes on, check the security group, the network's path and that the cluster is not paused"
    return Transient(operation, place, cause, hint)


def is_answer(error: BaseException) -> bool:
    """Whether the server itself answered COMMIT, so that its outcome is known: it was refused (KNOWN-OUTCOME)."""
    state = Told.of(error).sqlstate
    return bool(state) and not state.startswith(("57P", "08"))


_RETRY = "nothing was written; it is done again"
_ROLE = (
    "let Redshift assume the role (its trust policy names redshift.amazonaws.com, and the role is attached to the"
    " cluster), and the role read the landing: s3:GetObject, s3:ListBucket, s3:GetBucketLocation, with KMS also"
    " kms:Decrypt"
)
_CHANGE = "a table changed under the run; run again"

_BY_TEXT: tuple[tuple[str, type[SynclineError], str], ...] = (
    (r"\b1023\b|serializable isolation violation", Transient, _RETRY),
    (r"\b1018\b.*does not exist|could not open relation", Transient, _RETRY),
    (r"not authorized to (assume|get credentials)|access ?denied|s3serviceexception.*403", ConfigError, _ROLE),
    (r"s3serviceexception.*(503|slow ?down)|internalerror", Transient, "S3 was busy; run again"),
    (
        r"permanentredirect|bucket.*(different|another) region|s3serviceexception.*301",
        ConfigError,
        "the landing's bucket must be in the cluster's own region: COPY of Parquet takes no other",
    ),
    (r"value too long for type|string length exceeds", ValueOutOfType, "a text has at most 65535 bytes in Redshift"),
)

_BY_STATE: tuple[tuple[str, type[SynclineError], str], ...] = (
    ("40", Transient, _RETRY),
    ("55P03", Transient, "another session holds the table's lock; run again"),
    ("57014", Transient, "it ran longer than statement_timeout_s, or was cancelled; run again, or raise it"),
    ("57P", Transient, "the server restarted or ended the session; run again"),
    ("08", Transient, "the connection broke; run again"),
    ("53100", ConfigError, "the cluster's disks are full: free space or resize it"),
    ("53", Transient, "the cluster is out of connections or memory; run again later"),
    ("42501", ConfigError, "grant what docs/warehouses.md lists for Redshift"),
    ("28", SignInError, "check REDSHIFT_USER and REDSHIFT_PASSWORD, or what IAM may sign in as"),
    ("3D000", ConfigError, "create the database, or correct REDSHIFT_DATABASE"),
    ("3F000", ConfigError, "create the schema, or grant CREATE ON DATABASE"),
    ("2BP01", ConfigError, "drop the view that depends on the column, or make it WITH NO SCHEMA BINDING"),
    ("42P01", Transient, _CHANGE),
    ("42703", Transient, _CHANGE),
    ("42P07", Transient, _CHANGE),
    ("42701", Transient, _CHANGE),
    ("22", ValueOutOfType, "a value does not fit its column's type exactly"),
    ("25P02", SynclineError, "report it: a statement was sent in an aborted transaction"),
)


def _made(kind: type[SynclineError], operation: str, object: str, cause: str, hint: str) -> SynclineError:
    return kind(operation, object, cause, hint)


def _object(place: str, text: str, kind: type[SynclineError]) -> str:
    """With the column, where the server names one."""
    found = re.search(r'column "?([^"\s,]+)"?', text) if kind is ValueOutOfType else None
    return f"{place}, column {found[1]}" if found else place


def _scan_refused(operation: str, place: str, cause: str, text: str) -> ScanRefused:
    hint = "report it: a landed file and its staging table differ"
    refused = ScanRefused(operation, place, cause, hint)
    found = re.search(r"Column type: ([A-Z][A-Z ]*[A-Z])", text)
    refused.column_type = found[1] if found else None
    return refused


def _aws_error(error: BaseException, operation: str, place: str, cause: str) -> SynclineError:
    code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
    if code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"):
        hint = "allow redshift:GetClusterCredentials (serverless: redshift-serverless:GetCredentials), as documented"
        return ConfigError(operation, place, cause, hint)
    if code in ("ClusterNotFound", "ResourceNotFoundException"):
        return ConfigError(
            operation, place, cause, "check the cluster_identifier or serverless_workgroup and the region"
        )
    if "Throttl" in code or code in ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError"):
        return Transient(operation, place, cause, "run again")
    return SignInError(operation, place, cause, "check the AWS credentials of this machine and their rights")


def _shortened(text: str, chars_max: int = 600) -> str:
    return text if len(text) <= chars_max else text[:chars_max] + " ..."
