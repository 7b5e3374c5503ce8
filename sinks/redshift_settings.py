"""What a user may set about Redshift, checked early and without loading the driver. Nothing connects here."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Literal, Never, TypeAlias
from urllib.parse import quote

from syncline.connectors.errors import ConfigError
from syncline.connectors.secret import Secret
from syncline.sinks.warehouse import Capabilities

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing

TlsMode: TypeAlias = Literal["verify-full", "verify-ca", "disable"]

NAME_BYTES_MAX: Final = 127
TEXT_BYTES_MAX: Final = 65_535
BINARY_BYTES_MAX: Final = 1_024_000
"""VARBYTE holds up to 16 MB by now and held 1 MB at first; a length that every release takes."""

# Names longer than 127 bytes are cut silently and folded to lower case even when quoted (developer guide, names and
# identifiers); VARCHAR counts bytes, and a zero byte cannot be loaded (character types; COPY).
CAPABILITIES: Final = Capabilities(
    "redshift",
    case_sensitive_names=False,
    name_bytes_max=NAME_BYTES_MAX,
    nul_in_text=False,
    text_bytes_max=TEXT_BYTES_MAX,
    loads_early=True,
)

PREFIX: Final = "REDSHIFT_"
VARIABLES: Final = (
    "HOST", "PORT", "DATABASE", "SCHEMA", "USER", "PASSWORD", "IAM", "CLUSTER_IDENTIFIER", "SERVERLESS_WORKGROUP",
    "REGION", "IAM_ROLE",
)  # fmt: skip

KEEPALIVE_IDLE_S: Final = 60
"""Clouds cut connections that were idle for some six minutes; a keepalive goes out well before."""

KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_COUNT: Final = 8

_KINDS: Final[Mapping[str, type]] = {"int": int, "bool": bool}
_TAKES: Final[Mapping[type, str]] = {int: "write a whole number", bool: "write True or False", str: "write a text"}
"""By the type that a setting is declared with; the others are texts."""

_ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the copy lives and how it gets there.

    ``password``, or ``iam`` with one of ``cluster_identifier`` and ``serverless_workgroup``: then the driver fetches
    short-lived credentials, and the endpoint where ``host`` is left out. ``iam_role`` is what COPY reads the landing
    as: an ARN, chained ARNs separated by commas, or ``default`` for the cluster's own. ``tls="disable"`` is taken for
    this machine only. Seconds: ``statement_timeout_s`` of one statement, ``connect_timeout_s`` for a connection.
    """

    database: str
    schema: str
    host: str = ""
    port: int = 5439
    staging_schema: str = ""
    user: str = ""
    password: Secret | None = None
    iam: bool = False
    cluster_identifier: str = ""
    serverless_workgroup: str = ""
    region: str = ""
    iam_role: str = "default"
    tls: TlsMode = "verify-full"
    statement_timeout_s: int = 3600
    connect_timeout_s: int = 30

    def __post_init__(self) -> None:
        for each in fields(self):
            kind = _KINDS.get(str(each.type), str)
            value = getattr(self, each.name)
            fits = isinstance(value, Secret | None) if each.name == "password" else type(value) is kind
            if not fits:
                shown = "a secret" if each.name == "password" else repr(value)
                _wrong(each.name, f"{shown} is not what it takes", _TAKES[kind])
        for setting in ("schema", "staging_schema"):
            # Redshift folds them in any case; so the catalog is asked for what it has.
            object.__setattr__(self, setting, getattr(self, setting).encode().lower().decode())
        if not self.staging_schema:
            object.__setattr__(self, "staging_schema", f"{self.schema}_staging")
        for setting in ("database", "schema", "staging_schema"):
            name = getattr(self, setting)
            if not name or len(name.encode()) > NAME_BYTES_MAX:
                _wrong(setting, f"{name!r} cannot be a name", f"write a name of 1 to {NAME_BYTES_MAX} bytes")
        if not 0 < self.port < 65_536:
            _wrong("port", f"{self.port!r} is not a port", "Redshift listens at 5439 unless told otherwise")
        for setting in ("statement_timeout_s", "connect_timeout_s"):
            if getattr(self, setting) < 1:
                _wrong(setting, f"{getattr(self, setting)!r} is not a time", "write whole seconds, 1 or more")
        self._check_sign_in()
        self._check_tls()
        self._check_role()

    def _check_sign_in(self) -> None:
        if self.iam and self.password:
            _wrong("password and iam", "each is a way to sign in of its own", "keep one of them")
        if not self.iam:
            if missing := [name for name in ("host", "user", "password") if not getattr(self, name)]:
                _wrong(", ".join(missing), "missing", "give them, or iam=True with a cluster_identifier and a region")
            return
        if bool(self.cluster_identifier) == bool(self.serverless_workgroup):
            _wrong(
                "cluster_identifier and serverless_workgroup",
                "iam needs exactly one of them",
                "name the cluster, or for Redshift Serverless the workgroup",
            )
        if not self.region:
            _wrong("region", "iam needs it", "write the cluster's region, such as eu-central-1")
        if self.cluster_identifier and not self.user:
            _wrong(
                "user", "missing", "write the database user that IAM may sign in as (redshift:GetClusterCredentials)"
            )

    def _check_tls(self) -> None:
        if self.tls not in ("verify-full", "verify-ca", "disable"):
            _wrong("tls", f"{self.tls!r} is not a mode", 'write "verify-full" or "verify-ca"')
        if self.tls == "disable" and (self.iam or not _is_loopback(self.host)):
            _wrong("tls", "without TLS the password and the records cross the network in the clear", "leave it out")

    def _check_role(self) -> None:
        if self.iam_role != "default" and not re.fullmatch(rf"{_ROLE}(,{_ROLE})*", self.iam_role):
            hint = 'write "arn:aws:iam::123456789012:role/name", several joined by commas to chain them, or "default"'
            _wrong("iam_role", f"{self.iam_role!r} is not a role", hint)

    @property
    def place(self) -> str:
        """What errors call the warehouse."""
        return f"Redshift {self.host or self.cluster_identifier or self.serverless_workgroup}, {self.database}"

    @property
    def place_url(self) -> str:
        """See ``Warehouse.place``: the endpoint, or the name that the driver finds it by."""
        named = f"{self.cluster_identifier or self.serverless_workgroup}.{self.region}"
        server = f"{self.host}:{self.port}" if self.host else named
        return f"redshift://{quote(server, safe=':')}/{quote(self.database, safe='')}/{quote(self.schema, safe='')}"

    def arguments(self) -> dict[str, Any]:
        """What the driver's ``connect`` is called with. Holds a secret: never kept, never shown."""
        given: dict[str, Any] = {
            "database": self.database,
            "host": self.host or None,
            "port": self.port if self.host else None,
            "user": None if self.iam else self.user,
            "password": self.password.reveal() if self.password else None,
            "application_name": "syncline",
            # No prepared statement is left behind at the server, and none is run that was prepared for another table.
            "max_prepared_statements": 0,
            "timeout": self.connect_timeout_s,
            "tcp_keepalive": True,
            "tcp_keepalive_idle": KEEPALIVE_IDLE_S,
            "tcp_keepalive_interval": KEEPALIVE_INTERVAL_S,
            "tcp_keepalive_count": KEEPALIVE_COUNT,
            **({"ssl": False} if self.tls == "disable" else {"ssl": True, "sslmode": self.tls}),
        }
        if self.iam:
            given |= {"iam": True, "region": self.region, "db_user": self.user or None}
            given |= {"cluster_identifier": self.cluster_identifier or None}
            given |= {"is_serverless": bool(self.serverless_workgroup)}
            given |= {"serverless_work_group": self.serverless_workgroup or None}
        return {name: value for name, value in given.items() if value is not None}

    def session(self) -> list[str]:
        """Statements every session begins with.

        Instants without a zone are UTC; floats are shown with all their digits; no statement runs for ever.
        """
        return [
            "SET timezone TO 'UTC'",
            "SET extra_float_digits TO 2",
            f"SET statement_timeout TO {self.statement_timeout_s * 1000}",
        ]


def settings_from(environ: Mapping[str, str] | None, **given: Any) -> Settings:
    """The settings from ``REDSHIFT_*`` variables; what is ``given`` goes before them.

    Raises:
        ConfigError: something is missing or contradicts itself; it names the settings.
    """
    _check_names(given)
    source = os.environ if environ is None else environ
    found = {name.lower(): value for name in VARIABLES if (value := source.get(PREFIX + name, "").strip())}
    settings: dict[str, Any] = {**found, **{name: value for name, value in given.items() if value is not None}}
    if isinstance(password := settings.get("password"), str):
        settings["password"] = Secret(password)
    if isinstance(port := settings.get("port"), str):
        if not port.isdigit():
            _wrong(f"{PREFIX}PORT", f"{port!r} is not a port", "write a number, such as 5439")
        settings["port"] = int(port)
    if isinstance(iam := settings.get("iam"), str):
        if iam.lower() not in ("true", "false", "1", "0"):
            _wrong(f"{PREFIX}IAM", f"{iam!r} is neither true nor false", "write true or false")
        settings["iam"] = iam.lower() in ("true", "1")
    if missing := [name for name in ("database", "schema") if not settings.get(name)]:
        wanted = ", ".join(PREFIX + name.upper() for name in missing)
        _wrong(wanted, "missing", "set it in the environment or in .env, or give it to Redshift.from_env(...)")
    return Settings(**settings)


def _check_names(given: Mapping[str, Any]) -> None:
    known = [each.name for each in fields(Settings)]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"its settings are {', '.join(known)}"
            _wrong(name, "there is no setting of this name", hint)


def require_bucket(landing: Landing) -> None:
    """Raises ConfigError for a landing that COPY cannot read."""
    if not landing.url.startswith("s3://"):
        raise ConfigError(
            "load into Redshift",
            f"landing {landing.url}",
            "Redshift loads files from S3 only",
            'give the pipeline landing=Landing("s3://bucket/prefix"), a bucket in the region of the cluster',
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(setting: str, cause: str, hint: str) -> Never:
    raise ConfigError("set up Redshift", setting, cause, hint)
