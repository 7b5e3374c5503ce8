"""What a user may set about Snowflake, and the login request that follows from it. Nothing connects here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args
from urllib.parse import quote, urlsplit

from syncline.connectors.errors import ConfigError
from syncline.sinks.snowflake_signin import ADDITIONS, PREFIX, WAYS, NamedConnection, SignIn, sign_in_from
from syncline.sinks.warehouse import Capabilities

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing

Names: TypeAlias = Literal["upper", "exact"]
Loads: TypeAlias = Literal["early", "late"]

PLACES: Final = ("ACCOUNT", "USER", "ROLE", "WAREHOUSE", "DATABASE", "SCHEMA", "HOST")
VARIABLES: Final = (*PLACES, *(name for way in WAYS for name in way), *ADDITIONS)

# Identifiers hold at most 255 characters, and quoted ones keep their case (Snowflake reference, identifiers).
CAPABILITIES: Final = Capabilities("snowflake", case_sensitive_names=True, name_bytes_max=255, loads_early=True)

CREDITS_PER_HOUR: Final[Mapping[str, int]] = {
    "XSMALL": 1,
    "SMALL": 2,
    "MEDIUM": 4,
    "LARGE": 8,
    "XLARGE": 16,
    "XXLARGE": 32,
    "XXXLARGE": 64,
    "X4LARGE": 128,
    "X5LARGE": 256,
    "X6LARGE": 512,
}
"""By the warehouse's size, standard kind (Snowflake guide, warehouse overview)."""


@dataclass(frozen=True, slots=True)
class Name:
    """A possibly qualified name of a stage, a role, a schema, as Snowflake keeps it."""

    parts: tuple[str, ...]

    @staticmethod
    def parse(text: str, setting: str, parts_max: int = 1) -> Name:
        """As SQL reads it: plain words mean upper case, ``"quoted"`` ones are kept.

        Raises:
            ConfigError: it is neither.
        """
        found = re.findall(r'"((?:[^"]|"")+)"|([A-Za-z_][\w$]*)|(.)', text.strip(), re.ASCII | re.DOTALL)
        words = found[::2]
        dots = found[1::2]
        if not words or any(word[2] for word in words) or any(dot[2] != "." for dot in dots) or len(found) % 2 == 0:
            raise _wrong(setting, text, "write a plain word, or quote it as SQL does: '\"my name\"'")
        if len(words) > parts_max:
            raise _wrong(setting, text, f"write at most {parts_max} parts")
        return Name(tuple(quoted.replace('""', '"') if quoted else plain.upper() for quoted, plain, _ in words))

    def sql(self) -> str:
        return ".".join('"' + part.replace('"', '""') + '"' for part in self.parts)

    @property
    def last(self) -> str:
        return self.parts[-1]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the copy lives and how it gets there.

    Names of databases, schemas, roles and warehouses are read as SQL reads them: ``sales`` is ``SALES``, ``'"sales"'``
    is ``sales``. ``names`` is how the source's names are spelled: ``upper`` so that plain SQL works, or ``exact``.
    ``stage`` names an existing stage at or above the landing, ``storage_integration`` one that may read it; with
    neither, files of a local landing are uploaded to an internal stage. ``loads`` is when tables are staged: ``early``,
    as each stream has landed, or ``late``, when all have, for which the virtual warehouse runs a shorter time. Seconds:
    ``statement_timeout_s`` of one statement, ``queue_timeout_s`` before the warehouse takes it, ``lock_timeout_s`` for
    a lock, ``login_timeout_s``, and ``network_timeout_s`` without an answer to a short statement.
    """

    sign_in: SignIn
    database: str
    schema: str
    account: str = ""
    user: str = ""
    warehouse: str = ""
    role: str = ""
    host: str = ""
    staging_schema: str = ""
    names: Names = "upper"
    stage: str = ""
    storage_integration: str = ""
    warehouse_size: str = "XSMALL"
    loads: Loads = "early"
    statement_timeout_s: int = 3600
    queue_timeout_s: int = 1800
    lock_timeout_s: int = 600
    login_timeout_s: int = 60
    network_timeout_s: int = 300
    _named: Mapping[str, Name] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for each in fields(self):
            kind = int if each.name.endswith("_s") else str
            value = getattr(self, each.name)
            if each.init and each.name != "sign_in" and (not isinstance(value, kind) or isinstance(value, bool)):
                raise _wrong(each.name, value, "write whole seconds" if kind is int else "write a text")
        named = {
            setting: Name.parse(text, setting, 3 if setting == "stage" else 1)
            for setting in ("database", "schema", "staging_schema", "warehouse", "role", "stage", "storage_integration")
            if (text := getattr(self, setting))
        }
        object.__setattr__(self, "_named", named)
        if self.names not in get_args(Names):
            raise _wrong("names", self.names, 'write "upper" or "exact"')
        if self.loads not in get_args(Loads):
            raise _wrong("loads", self.loads, 'write "early" or "late"')
        if self.stage and self.storage_integration:
            raise _wrong("stage and storage_integration", "both", "name the stage alone: it has its own integration")
        if self.warehouse_size not in CREDITS_PER_HOUR:
            raise _wrong("warehouse_size", self.warehouse_size, f"write one of {', '.join(CREDITS_PER_HOUR)}")
        for setting, seconds in self._timeouts().items():
            if seconds < 1:
                raise _wrong(setting, seconds, "write whole seconds, 1 or more")
        if self.host:
            address_of(self.host)

    def _timeouts(self) -> dict[str, int]:
        names = ("statement_timeout_s", "queue_timeout_s", "lock_timeout_s", "login_timeout_s", "network_timeout_s")
        return {name: getattr(self, name) for name in names}

    # ---- names ----

    @property
    def place(self) -> str:
        """What errors call the warehouse."""
        return f"Snowflake {self.account or 'account'}, {self.catalog}.{self.target_schema}"

    @property
    def place_url(self) -> str:
        """See ``Warehouse.place``. Of a connection that ``connections.toml`` describes, its name."""
        named = f"connection={self.sign_in.name}" if isinstance(self.sign_in, NamedConnection) else ""
        server = ",".join(part for part in (self.account or named, self.host) if part)
        names = "/".join(quote(name, safe="") for name in (self.catalog, self.target_schema))
        return f"snowflake://{quote(server, safe=':,=')}/{names}"

    @property
    def catalog(self) -> str:
        """The database's name as Snowflake keeps it."""
        return self._named["database"].last

    @property
    def target_schema(self) -> str:
        return self._named["schema"].last

    @property
    def staging(self) -> str:
        """Where staging tables live: the schema given for them, or the target's with ``_STAGING`` after it."""
        if "staging_schema" in self._named:
            return self._named["staging_schema"].last
        return f"{self.target_schema}_STAGING" if self.target_schema.isupper() else f"{self.target_schema}_staging"

    def name(self, setting: str) -> Name | None:
        """The ``stage``, ``role``, ``warehouse`` or ``storage_integration`` as given; ``None`` where it is not."""
        return self._named.get(setting)

    # ---- the login request ----

    def arguments(self) -> dict[str, Any]:
        """What the driver's ``connect`` is called with. Holds secrets: never kept, never shown."""
        given: dict[str, Any] = {
            "account": self.account,
            "user": self.user,
            **(address_of(self.host) if self.host else {}),
            **{name: self._named[name].sql() for name in ("warehouse", "role", "database") if name in self._named},
        }
        return {
            **{name: value for name, value in given.items() if value},
            **self.sign_in.arguments(),
            "application": "Syncline",
            "session_parameters": self.session_parameters(),
            "login_timeout": self.login_timeout_s,
            "network_timeout": self.network_timeout_s,
            # Without it the driver asks the metadata services of three clouds where it runs, for its statistics.
            "platform_detection_timeout_seconds": 0.0,
        }

    def session_parameters(self) -> dict[str, Any]:
        """Set by the login itself: an ALTER SESSION later on could commit a transaction (reference, parameters)."""
        return {
            "TIMEZONE": "UTC",
            "QUERY_TAG": '{"app":"syncline"}',
            "AUTOCOMMIT": True,
            "STATEMENT_TIMEOUT_IN_SECONDS": self.statement_timeout_s,
            "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": self.queue_timeout_s,
            "LOCK_TIMEOUT": self.lock_timeout_s,
            "ABORT_DETACHED_QUERY": True,
            "TRANSACTION_ABORT_ON_ERROR": True,
            "ERROR_ON_NONDETERMINISTIC_MERGE": True,
            "ERROR_ON_NONDETERMINISTIC_UPDATE": True,
            "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
            "CLIENT_SESSION_KEEP_ALIVE": False,
            "CLIENT_TELEMETRY_ENABLED": False,
        }


def settings_from(environ: Mapping[str, str] | None, **given: Any) -> Settings:
    """The settings from ``SNOWFLAKE_*`` variables; what is ``given`` goes before them.

    Raises:
        ConfigError: something is missing or contradicts itself; it names the variables.
    """
    _check_names(given)
    source = os.environ if environ is None else environ
    variables = {name: value for name in VARIABLES if (value := source.get(PREFIX + name, "").strip())}
    sign_in = given.pop("sign_in", None) or sign_in_from(variables)
    settings: dict[str, Any] = {name.lower(): variables[name] for name in PLACES if name in variables}
    settings |= {name: value for name, value in given.items() if value is not None}
    needed = ["DATABASE", "SCHEMA"]
    if not isinstance(sign_in, NamedConnection):
        needed += ["ACCOUNT", "WAREHOUSE"]
        if sign_in.arguments()["authenticator"] in ("SNOWFLAKE_JWT", "SNOWFLAKE"):
            needed.append("USER")
    if missing := [name for name in needed if not settings.get(name.lower())]:
        wanted = ", ".join(PREFIX + name for name in missing)
        raise ConfigError(
            "read the Snowflake settings",
            "the environment",
            f"{wanted} {'is' if len(missing) == 1 else 'are'} missing",
            "set it in the environment or in .env, or give it to Snowflake.from_env(...)",
        )
    if "." in str(settings.get("account", "")) and "snowflakecomputing" in settings["account"]:
        raise _wrong("account", settings["account"], "write the part before .snowflakecomputing.com alone")
    return Settings(sign_in=sign_in, **settings)


def _check_names(given: Mapping[str, Any]) -> None:
    known = [each.name for each in fields(Settings) if each.init]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"its settings are {', '.join(known)}"
            raise ConfigError("set up Snowflake", name, "there is no setting of this name", hint)


def address_of(host: str) -> dict[str, Any]:
    """``host``, ``port`` and ``protocol`` for the driver; https, or http to this machine (stand-ins in tests)."""
    parts = urlsplit(host if "://" in host else f"https://{host}")
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or parts.username or parts.path not in ("", "/"):
        raise _wrong("host", host, "write a host's name, such as acme-prod.privatelink.snowflakecomputing.com")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise _wrong("host", host, "use https: http would send credentials and records in the clear")
    return {"host": parts.hostname, "port": parts.port or 443, "protocol": parts.scheme}


def is_bucket(landing: Landing) -> bool:
    return landing.url.startswith("s3://")


def require_route(settings: Settings, landing: Landing) -> None:
    """Raises ConfigError for a landing that Snowflake cannot be made to read with these settings."""
    if is_bucket(landing) and not (settings.stage or settings.storage_integration):
        raise ConfigError(
            "load from the landing",
            landing.url,
            "Snowflake was not told how to read this bucket",
            "name an existing stage with stage=, or an integration with storage_integration=;"
            " syncline check --show-setup prints what an administrator runs",
        )
    if settings.storage_integration and not is_bucket(landing):
        cause = "a storage integration reads buckets, and the landing is none"
        raise ConfigError("load from the landing", landing.url, cause, "drop storage_integration, or land in S3")


def _wrong(setting: str, value: object, hint: str) -> ConfigError:
    return ConfigError("set up Snowflake", setting, f"{value!r} is not a valid value", hint)
