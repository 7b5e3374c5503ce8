"""Where a Postgres server is and how it is entered: read without the driver, secrets kept apart from the rest.

What is shown or handed to libpq as text never holds a secret, however the url was written (NO-SECRETS).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from syncline.connectors.errors import ConfigError
from syncline.connectors.s3_settings import is_loopback
from syncline.connectors.secret import Secret, secret

_SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
_IN_THE_CLEAR = ("disable", "allow", "prefer")
_KEY_WORDS = (
    "application_name channel_binding client_encoding connect_timeout dbname fallback_application_name gssdelegation"
    " gssencmode gsslib host hostaddr keepalives keepalives_count keepalives_idle keepalives_interval krbsrvname"
    " load_balance_hosts max_protocol_version min_protocol_version oauth_client_id oauth_client_secret oauth_issuer"
    " oauth_scope options passfile password port replication require_auth requirepeer requiressl scram_client_key"
    " scram_server_key service servicefile ssl_max_protocol_version ssl_min_protocol_version sslcert sslcertmode"
    " sslcompression sslcrl sslcrldir sslkey sslkeylogfile sslmode sslnegotiation sslpassword sslrootcert sslsni"
    " target_session_attrs tcp_user_timeout user"
)
"""PostgreSQL manual, libpq, parameter key words. Another name is a slip, or the rest of a password."""

_SHAPE = 'write it as "postgresql://user@host:5432/database"'
_ESCAPES = (
    "write signs such as / ? # @ : in user and password as %2F %3F %23 %40 %3A, or leave the password to PGPASSWORD"
)


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """``conninfo`` is what libpq reads, without secrets: what it says about it in errors gives none away. ``shown`` is
    where the database is, for messages.

    What is left out comes from libpq's own PG* variables, service and password files (PostgreSQL manual, libpq,
    connection strings).
    """

    conninfo: str
    shown: str
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    sslmode: str | None = None

    @property
    def place(self) -> str:
        """Which database it is, whoever enters it: server and name, what was left out filled in as libpq does."""
        parts = urlsplit(self.conninfo)
        said = dict(parse_qsl(parts.query))
        user, hosts, _ = _entered(parts.netloc)
        known = os.environ.get
        server = said.get("hostaddr") or said.get("host") or hosts or known("PGHOSTADDR") or known("PGHOST") or ""
        port = said.get("port") or known("PGPORT") or "5432"
        if server != hosts or not hosts.rpartition("]")[2].partition(":")[2]:
            server = f"{server}:{port}"
        owner = unquote(user) or said.get("user") or known("PGUSER") or ""
        database = said.get("dbname") or unquote(parts.path[1:]) or known("PGDATABASE") or owner
        service = said.get("service") or known("PGSERVICE")
        if service:
            server = f"service={service},{server}"
        return f"{quote(server, safe=':,=[]')}/{quote(database, safe='')}"

    def parameters(self) -> dict[str, Any]:
        """For the driver; the secrets are revealed in it."""
        revealed = {name: each.reveal() for name, each in self.secrets.items()}
        return {"conninfo": self.conninfo, **revealed, **({"sslmode": self.sslmode} if self.sslmode else {})}


def parse_postgres_url(url: Secret | str, password: Secret | str | None = None) -> PostgresUrl:
    """
    Raises:
        ConfigError: not a Postgres url, no server at all, or one whose traffic anybody on the way could read.
    """
    text = url.reveal() if isinstance(url, Secret) else url
    secret(os.environ.get("PGPASSWORD", ""))  # scrubbed from then on, whoever prints it
    given = {"password": secret(password)} if password else {}
    if not text:
        if not any(os.environ.get(name) for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE")):
            _refuse("no url", "and neither PGHOST nor PGSERVICE is set", f"give a url: {_SHAPE}")
        return PostgresUrl("", _shown_of_variables(), given, _sslmode("", {}))
    parts = _split(text)
    user, hosts, secrets = _entered(parts.netloc)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    secrets |= {name: secret(query.pop(name)) for name in _SECRETS if name in query}
    options = f"?{urlencode(query)}" if query else ""
    shown = f"postgresql://{user}{'@' if user else ''}{hosts}{parts.path}"
    return PostgresUrl(shown + options, shown, secrets | given, _sslmode(hosts, query))


def _split(text: str) -> SplitResult:
    """The parts; what cannot be told apart is refused without being shown: a password may be anywhere in it."""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = None
    if parts is None:
        _refuse("url", "it cannot be read", _ESCAPES)
    if parts.scheme not in ("postgresql", "postgres"):
        _refuse("url", "it does not begin with postgresql://", _SHAPE)
    # An unescaped / ? or # in a password ends the host early and leaves the rest of the password behind it.
    if "@" in parts.path + parts.query + parts.fragment or parts.fragment:
        _refuse("url", "a sign in it ends the host too early", _ESCAPES)
    if any(setting.partition("=")[0] not in _KEY_WORDS.split() for setting in parts.query.split("&") if setting):
        _refuse("url", "a setting behind the ? is none of libpq's", "check its name, and write & in a password as %26")
    hosts = parts.netloc.rpartition("@")[2]
    if any(not _is_port(host) for host in hosts.split(",")):
        _refuse("url", "the port is not a number", _ESCAPES)
    return parts


def _is_port(host: str) -> bool:
    port = host.rpartition("]")[2].partition(":")[2]
    return not port or (port.isascii() and port.isdigit())


def _entered(netloc: str) -> tuple[str, str, dict[str, Secret]]:
    """User, hosts and password; libpq takes several hosts with a port each."""
    userinfo, _, hosts = netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    return user, hosts, {"password": secret(unquote(password))} if password else {}


def _shown_of_variables() -> str:
    said = {name: os.environ.get(f"PG{name.upper()}", "") for name in ("service", "user", "host", "port", "database")}
    if said["service"]:
        return f"service {said['service']}"
    host = said["host"] or os.environ.get("PGHOSTADDR", "")
    user, port = said["user"] and f"{said['user']}@", said["port"] and f":{said['port']}"
    return f"postgresql://{user}{host}{port}/{said['database']}"


def _sslmode(hosts: str, query: Mapping[str, str]) -> str | None:
    """What to add: TLS is asked for beyond this machine when nothing was said, and missing TLS is refused there."""
    said = query.get("sslmode") or os.environ.get("PGSSLMODE")
    if "service" in query or os.environ.get("PGSERVICE"):
        return None
    away = [host for host in _hosts(hosts, query) if not host.startswith(("/", "@")) and not is_loopback(host)]
    if away and said in _IN_THE_CLEAR:
        hint = 'use sslmode=verify-full, or at least "require", except on this machine'
        _refuse(f"sslmode={said}, {away[0]}", "it lets the connection go without TLS", hint)
    return "require" if away and not said else None


def _hosts(hosts: str, query: Mapping[str, str]) -> Iterator[str]:
    given = query.get("hostaddr") or query.get("host")
    if given:
        yield from given.split(",")
    elif hosts:
        for each in hosts.split(","):
            yield unquote(each.partition("]")[0][1:] if each.startswith("[") else each.partition(":")[0])
    else:
        yield from filter(None, (os.environ.get("PGHOSTADDR") or os.environ.get("PGHOST", "")).split(","))


def _refuse(object: str, cause: str, hint: str) -> NoReturn:
    raise ConfigError("read Postgres settings", object, cause, hint)
