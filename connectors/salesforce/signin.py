"""The ways to sign in to an org, each a frozen value that can ask for a session and ask again when it has ended.

Client credentials is the recommended one, JWT bearer the classic one without a shared secret; a ready access token
serves trials; user name and password (SOAP ``login()``, which the platform ends in Summer '27) serves old orgs.
Nothing connects before the first use.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol, cast
from urllib.parse import urlsplit

from syncline.connectors.errors import ConfigError, SignInError
from syncline.connectors.salesforce.faults import Answer, answer_of, broken
from syncline.connectors.salesforce.hosts import audience_of, require_safe
from syncline.connectors.secret import Secret

if TYPE_CHECKING:
    import requests

TOKEN_PATH: Final = "/services/oauth2/token"
JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE: Final = timedelta(minutes=3)
CLOCK_SKEW_MAX: Final = timedelta(minutes=2)
SOAP_VERSION_MAX: Final = 64.0
"""``login()`` does not exist in later versions (SOAP API guide)."""


@dataclass(frozen=True, slots=True)
class Session:
    """What signing in gave: the token and the org's own address, which need not be the one signed in at."""

    token: Secret
    instance_url: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer of a sign-in host. ``status`` 5xx and cut bodies never get this far: they were retried."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Post(Protocol):
    """Sends a form or a document to a sign-in host, without redirects and without logging the body."""

    def __call__(self, url: str, body: Mapping[str, str] | bytes, headers: Mapping[str, str]) -> Reply: ...


class Credentials(Protocol):
    @property
    def origin(self) -> str: ...

    def sign_in(self, post: Post, now: Callable[[], datetime]) -> Session:
        """Raises SignInError if refused; it is never retried, for repeated attempts lock accounts."""
        ...


def identity_of(credentials: Credentials) -> str:
    """Where they sign in and who does, for telling one account from another; the names as a digest, no secrets."""
    names = [getattr(credentials, name, "") for name in ("client_id", "username")]
    who = hashlib.blake2b(repr(names).encode(), digest_size=6).hexdigest()
    return f"{credentials.origin} by {type(credentials).__name__} {who}"


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth client credentials, server to server, at the org's own address."""

    origin: str
    client_id: str
    client_secret: Secret

    def sign_in(self, post: Post, now: Callable[[], datetime]) -> Session:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret.reveal(),
        }
        return _token(post, self.origin, form, now)


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """OAuth JWT bearer: an assertion signed with the key whose certificate the connected app holds."""

    origin: str
    client_id: str
    username: str
    private_key: Secret
    audience: str = ""

    def sign_in(self, post: Post, now: Callable[[], datetime]) -> Session:
        return _token(post, self.origin, {"grant_type": JWT_GRANT, "assertion": self._assertion(now()).reveal()}, now)

    def _assertion(self, now: datetime) -> Secret:
        import jwt

        claims = {
            "iss": self.client_id,
            "sub": self.username,
            "aud": self.audience or audience_of(self.origin),
            "exp": int((now + ASSERTION_LIFE).timestamp()),
        }
        try:
            return Secret(jwt.encode(claims, self.private_key.reveal(), algorithm="RS256"))
        except (ValueError, TypeError, jwt.PyJWTError):
            # The parser's own message may quote the key, so neither it nor its chain is shown (NO-SECRETS).
            raise ConfigError(
                "sign in to Salesforce",
                "SALESFORCE_PRIVATE_KEY",
                "it is not an unencrypted RSA private key in PEM form",
                "give the whole text with its BEGIN and END lines, or name the file in SALESFORCE_PRIVATE_KEY_FILE",
            ) from None


@dataclass(frozen=True, slots=True)
class ReadyToken:
    """An access token made elsewhere. When it ends, nobody here can make another."""

    origin: str
    access_token: Secret

    def sign_in(self, post: Post, now: Callable[[], datetime]) -> Session:
        return Session(self.access_token, self.origin)


@dataclass(frozen=True, slots=True)
class UsernamePassword:
    """User name, password and security token, through simple-salesforce's SOAP login over our own transport."""

    origin: str
    username: str
    password: Secret
    security_token: Secret
    api_version: str

    def sign_in(self, post: Post, now: Callable[[], datetime]) -> Session:
        from xml.parsers.expat import ExpatError

        from simple_salesforce.exceptions import SalesforceAuthenticationFailed
        from simple_salesforce.login import SalesforceLogin

        courier = _Courier(post)
        try:
            token, _ = SalesforceLogin(
                username=self.username,
                password=self.password.reveal(),
                security_token=self.security_token.reveal(),
                sf_version=f"{min(float(self.api_version), SOAP_VERSION_MAX):.1f}",
                session=cast("requests.Session", courier),
                scratch_url=self.origin,
            )
        except SalesforceAuthenticationFailed:
            answer = answer_of(courier.last.status, courier.last.body)
            raise _refusal(self.origin, answer, courier.last, now) from None
        except ExpatError:
            raise broken("sign in to Salesforce", self.origin, "the login answer is not XML") from None
        return Session(Secret(token), _soap_instance(courier.last, self.origin))


class TokenKeeper:
    """The current session, renewed at most once for any number of threads that saw it end (single-flight)."""

    def __init__(self, credentials: Credentials, post: Post, now: Callable[[], datetime]) -> None:
        self._credentials = credentials
        self._post = post
        self._now = now
        self._lock = Lock()
        self._session: Session | None = None

    def current(self) -> Session:
        with self._lock:
            if self._session is None:
                self._session = self._credentials.sign_in(self._post, self._now)
            return self._session

    def renew(self, used: Session) -> Session:
        """A newer session than ``used``; another thread's new one serves as well.

        Raises:
            SignInError: no other session can be had.
        """
        with self._lock:
            if self._session is not None and self._session.token != used.token:
                return self._session
            fresh = self._credentials.sign_in(self._post, self._now)
            if isinstance(self._credentials, ReadyToken):
                raise SignInError(
                    "sign in to Salesforce",
                    used.instance_url,
                    "the access token has ended or was revoked",
                    "set a new SALESFORCE_ACCESS_TOKEN, or SALESFORCE_CLIENT_ID and _CLIENT_SECRET to have it renewed",
                )
            self._session = fresh
            return fresh


def _token(post: Post, origin: str, form: Mapping[str, str], now: Callable[[], datetime]) -> Session:
    reply = post(origin + TOKEN_PATH, form, {"Accept": "application/json"})
    if reply.status != 200:
        raise _refusal(origin, answer_of(reply.status, reply.body), reply, now)
    try:
        document = json.loads(reply.body)
        token, instance_url = document["access_token"], document["instance_url"]
    except (ValueError, KeyError, TypeError):
        raise broken("sign in to Salesforce", origin, "the token answer holds no token and instance address") from None
    require_safe(instance_url, "instance_url of the token answer")
    return Session(Secret(token), instance_url.rstrip("/"))


def _refusal(origin: str, answer: Answer, reply: Reply, now: Callable[[], datetime]) -> SignInError:
    return SignInError("sign in to Salesforce", origin, str(answer), _hint(answer, _skew(reply, now)))


def _skew(reply: Reply, now: Callable[[], datetime]) -> timedelta:
    """How far this machine's clock is ahead of Salesforce's."""
    said = reply.headers.get("Date")
    try:
        return now() - parsedate_to_datetime(said).astimezone(UTC) if said else timedelta()
    except ValueError:
        return timedelta()


def _hint(answer: Answer, skew: timedelta) -> str:
    if abs(skew) > CLOCK_SKEW_MAX:
        minutes, side = abs(skew).total_seconds() / 60, "ahead of" if skew > timedelta() else "behind"
        return f"this machine's clock is {minutes:.0f} min {side} Salesforce's, which spoils signed assertions; set it"
    if answer.code == "unsupported_grant_type":
        return "this way to sign in works at the org's My Domain only: set SALESFORCE_DOMAIN to it"
    for key, hint in _HINTS:
        if key in answer.code or key in answer.message:
            return hint
    return "compare the SALESFORCE_ settings with the connected app in Setup, App Manager"


_HINTS: Final = (
    ("approved this consumer", "pre-authorise the user's profile or permission set on the connected app"),
    ("inactive", "the user is inactive, or the org is: ask the Salesforce administrator"),
    ("no client credentials user", "set a Run As user under Client Credentials Flow in the connected app"),
    ("not supported on this domain", "set SALESFORCE_DOMAIN to the org's My Domain, such as acme.my"),
    ("invalid_client", "SALESFORCE_CLIENT_ID or SALESFORCE_CLIENT_SECRET is wrong"),
    ("invalid_grant", "the user name, the key or the connected app does not fit this org; a sandbox has its own"),
    ("INVALID_LOGIN", "user name, password or security token is wrong, or the org wants SALESFORCE_DOMAIN=test"),
    ("LOGIN_MUST_USE_SECURITY_TOKEN", "set SALESFORCE_SECURITY_TOKEN: this network is not a trusted one"),
    ("UNSUPPORTED_API_VERSION", "user name and password work up to API version 64; use OAuth client credentials"),
)


class _Courier:
    """Just enough of a requests session for simple-salesforce's login to post through our transport."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self.last = Reply(0, {}, b"")

    def post(self, url: str, data: str, headers: Mapping[str, str], proxies: object = None) -> _SoapReply:
        self.last = self._post(url, data.encode(), headers)
        return _SoapReply(self.last.status, self.last.body)


@dataclass(frozen=True, slots=True)
class _SoapReply:
    status_code: int
    content: bytes


def _soap_instance(reply: Reply, origin: str) -> str:
    """The instance of ``serverUrl``, with its scheme and port, which simple-salesforce drops."""
    from simple_salesforce.util import getUniqueElementValueFromXmlString

    parts = urlsplit(getUniqueElementValueFromXmlString(reply.body, "serverUrl") or origin)
    instance_url = f"{parts.scheme}://{parts.netloc.replace('-api.', '.', 1)}"
    require_safe(instance_url, "serverUrl of the login answer")
    return instance_url
