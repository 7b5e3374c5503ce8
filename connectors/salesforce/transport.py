"""All HTTP that the connector sends, so that the vendor's rules on time, repetition and trust stand in one place.

* connect and read timeouts on every request; ``abort`` breaks even a request that hangs;
* repeats exactly what ``faults.RULES`` calls retryable, with jitter, within bounds, honouring Retry-After;
* an ended session is renewed once a request, by one thread for all (single-flight);
* credentials go to https addresses only (loopback excepted), and never follow a redirect to another host;
* every answer's quota header is read; every body is whole or an error.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar
from urllib.parse import urljoin

import msgspec
import requests

import syncline
from syncline.connectors.connector import Json, Wait
from syncline.connectors.errors import ConfigError, Stopped, SynclineError
from syncline.connectors.salesforce.body import NETWORK_ERRORS, Body
from syncline.connectors.salesforce.faults import RETRY_HINT, Answer, answer_of, broken, error_of, rule_for
from syncline.connectors.salesforce.hosts import require_safe, same_origin
from syncline.connectors.salesforce.patience import patiently, retry_after_s
from syncline.connectors.salesforce.quota import HEADER as LIMIT_HEADER
from syncline.connectors.salesforce.quota import Quota
from syncline.connectors.salesforce.signin import Credentials, Reply, Session, TokenKeeper
from syncline.connectors.salesforce.wires import Sockets, open_session

logger = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 300.0
RESULT_TIMEOUT_S: Final = 600.0
"""A first result page may take minutes, and a query ten (REST API guide: calls end after 10 minutes)."""
CREATE_GRACE_S: Final = 5.0
WRAPPINGS_MAX: Final = 8
SETTLE_TIMEOUT_S: Final = (2.0, 3.0)
ERROR_BYTES_MAX: Final = 64 * 1024
REDIRECTS_MAX: Final = 3
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
SOAP_TRANSIENT: Final = frozenset({"", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"})
"""SOAP tells every fault with status 500; only these are the platform's and not the caller's."""
HEADERS: Final = {
    "User-Agent": f"syncline/{syncline.__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
}


@dataclass(frozen=True, slots=True)
class Seams:
    """What a test replaces. ``sleep`` left out waits in a way that ``abort`` can break.

    ``sessions`` opens HTTP sessions (the practice org answers in process, ``sandbox.in_process``); ``pool`` makes the
    thread that fetches a page ahead.
    """

    sleep: Callable[[float], None] | None = None
    random: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sessions: Callable[[Sockets], requests.Session] = open_session
    pool: Callable[[int, str], Executor] = ThreadPoolExecutor


@dataclass(frozen=True, slots=True)
class Call:
    """One request, relative to the org's address. ``operation`` and ``object`` are for the error it may end in.

    ``creates`` says that the answer names something made at the org: ``abort`` gives it ``CREATE_GRACE_S`` to arrive,
    because what was made and is not known by name cannot be removed.
    """

    operation: str
    object: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: Mapping[str, Json] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    read_timeout_s: float = READ_TIMEOUT_S
    creates: bool = False

    def fails(self, error: Exception) -> SynclineError:
        """The error for a request that got no answer."""
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            hint = "set REQUESTS_CA_BUNDLE to the file of your network's certificate authority"
            return ConfigError(self.operation, self.object, "the server's certificate is not trusted", hint)
        fault = broken(self.operation, self.object, plain_cause(error))
        if isinstance(error, requests.ConnectionError | requests.ConnectTimeout):
            fault.hint = f"{RETRY_HINT}; if it never worked, check SALESFORCE_INSTANCE_URL or SALESFORCE_DOMAIN"
        return fault

    def refused(self, response: requests.Response, now: datetime) -> SynclineError:
        answer = _answer_of(response)
        return error_of(self.operation, self.object, answer, retry_after_s(response.headers.get("Retry-After"), now))


class Transport:
    """Thread-safe. After ``abort`` every request, running or new, raises Stopped; only ``settle`` still works."""

    def __init__(
        self,
        credentials: Credentials,
        api_version: str,
        quota: Quota,
        seams: Seams,
        tell: Callable[[Wait], None] = lambda wait: None,
    ) -> None:
        self.api_version = api_version
        self._tell = tell
        self.seams = seams
        self._quota = quota
        self._sockets, self._creating = Sockets(), Sockets()
        self._http, self._http_creating = seams.sessions(self._sockets), seams.sessions(self._creating)
        self._stopped = threading.Event()
        self._keeper = TokenKeeper(credentials, self._post, seams.now)

    def data_path(self, *parts: str, version: str | None = None) -> str:
        """``/services/data/vNN.N/...`` joined so that no double slash can arise, which the platform answers 404."""
        return "/".join(("/services/data", f"v{version or self.api_version}", *parts))

    def fetch(self, call: Call, parse: Callable[[bytes, Mapping[str, str]], T]) -> T:
        """The whole body, parsed. One that ``parse`` rejects with ValueError counts as cut and is asked for again.

        Raises:
            Refused, Faulted, Throttled, SignInError, QuotaReached, Stopped: by ``faults.RULES``.
        """

        def attempt() -> T:
            headers, body = self._open(call)
            try:
                content = body.read_all()
            finally:
                body.close()
            try:
                return parse(content, headers)
            except (ValueError, msgspec.MsgspecError) as error:
                cause = f"the answer is not what was asked for ({error}); it begins {content[:80]!r}"
                raise broken(call.operation, call.object, cause) from error

        return self.patiently(attempt)

    def fetch_json(self, call: Call) -> Json:
        return self.fetch(call, lambda content, headers: msgspec.json.decode(content))

    def open(self, call: Call) -> tuple[Mapping[str, str], Body]:
        """Headers and unread body of a good answer. The caller closes the body, and asks again if it breaks off."""
        return self.patiently(lambda: self._open(call))

    def patiently(self, attempt: Callable[[], T]) -> T:
        """``attempt``, repeated as its faults allow."""
        return patiently(attempt, self.pause, self.seams.random, self._tell)

    def settle(self, call: Call) -> None:
        """Sends a tidying request once, shortly; also after ``abort`` and with the quota used up.

        Raises:
            SynclineError: it did not work; the caller logs that and goes on.
        """
        session = self._keeper.current()
        with self.seams.sessions(Sockets()) as http:
            try:
                response = self._send(http, call, session, SETTLE_TIMEOUT_S)
                if response.status_code == 401 and not self._stopped.is_set():
                    response = self._send(http, call, self._keeper.renew(session), SETTLE_TIMEOUT_S)
            except NETWORK_ERRORS as error:
                raise call.fails(error) from None
            self._quota.count()
            if response.status_code >= 300:
                raise call.refused(response, self.seams.now())

    def pause(self, seconds: float) -> None:
        """Waits; ``abort`` ends the wait early."""
        (self.seams.sleep or self._stopped.wait)(seconds)
        self.require_running()

    def require_running(self) -> None:
        if self._stopped.is_set():
            raise Stopped("read Salesforce", "the connection", "the run was asked to stop", "")

    def abort(self) -> None:
        """Breaks every request and every wait, from any thread. Idempotent; there is no way back."""
        self._stopped.set()
        self._sockets.cut()
        self._http.close()
        # Closing leaves a request under way alone; the timer ends one that takes too long.
        self._http_creating.close()
        if self._creating.in_use():
            timer = threading.Timer(CREATE_GRACE_S, self._creating.cut)
            timer.daemon = True
            timer.start()

    def _open(self, call: Call) -> tuple[Mapping[str, str], Body]:
        session = self._keeper.current()
        response = self._exchange(call, session)
        if response.status_code >= 300:
            answer = _answer_of(response)
            if rule_for(answer).verdict != "renew":
                wait_s = retry_after_s(response.headers.get("Retry-After"), self.seams.now())
                raise error_of(call.operation, call.object, answer, wait_s)
            response = self._exchange(call, self._keeper.renew(session))
            if response.status_code >= 300:
                raise call.refused(response, self.seams.now())
        interrupted = _carry_on if call.creates else self.require_running
        return response.headers, Body(response, call.operation, call.object, interrupted)

    def _exchange(self, call: Call, session: Session) -> requests.Response:
        self.require_running()
        self._quota.spend(call.operation, call.object)
        http = self._http_creating if call.creates else self._http
        try:
            response = self._send(http, call, session, (CONNECT_TIMEOUT_S, call.read_timeout_s))
        except NETWORK_ERRORS as error:
            self.require_running()
            raise call.fails(error) from error
        self._quota.note(response.headers.get(LIMIT_HEADER))
        logger.debug("%s %s: %s", call.method, call.path, response.status_code)
        return response

    def _send(
        self, http: requests.Session, call: Call, session: Session, timeout_s: tuple[float, float]
    ) -> requests.Response:
        url, params = session.instance_url + call.path, call.params
        for _ in range(REDIRECTS_MAX):
            response = http.request(
                call.method,
                url,
                params=params,
                json=call.body,
                headers={**HEADERS, **call.headers},
                auth=_Bearer(session if same_origin(url, session.instance_url) else None),
                stream=True,
                timeout=timeout_s,
                allow_redirects=False,
            )
            if response.status_code not in REDIRECTS or call.method != "GET":
                break
            response.close()
            url, params = urljoin(url, response.headers.get("Location", "")), {}
            require_safe(url, "the address of a redirect")
        return response

    def _post(self, url: str, body: Mapping[str, str] | bytes, headers: Mapping[str, str]) -> Reply:
        """Sends what signs in: repeated for faults of the platform, never for a refusal; follows no redirect."""
        call = Call("sign in to Salesforce", url, "")
        return self.patiently(lambda: self._post_once(call, url, body, headers))

    def _post_once(self, call: Call, url: str, body: Mapping[str, str] | bytes, headers: Mapping[str, str]) -> Reply:
        self.require_running()
        try:
            response = self._http.post(
                url,
                data=body if isinstance(body, bytes) else dict(body),
                headers={**HEADERS, **headers},
                auth=_Bearer(None),
                stream=True,
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                allow_redirects=False,
            )
        except NETWORK_ERRORS as error:
            self.require_running()
            raise call.fails(error) from error
        reader = Body(response, call.operation, call.object, self.require_running)
        try:
            reply = Reply(response.status_code, response.headers, reader.read_all())
        finally:
            reader.close()
        _check_sign_in(call, reply, self.seams.now())
        return reply


def plain_cause(error: BaseException) -> str:
    """What the system said, without the names of the layers it passed through ("Connection refused")."""
    inner: object = error
    for _ in range(WRAPPINGS_MAX):
        if isinstance(inner, OSError) and inner.strerror:
            return f"no connection: {inner.strerror}"
        wrapped = [*getattr(inner, "args", ()), getattr(inner, "reason", None), getattr(inner, "__cause__", None)]
        nested = [each for each in wrapped if isinstance(each, BaseException)]
        if not nested:
            break
        inner = nested[0]
    return f"{type(error).__name__}: {error}"


def _carry_on() -> None:
    """What is read to its end although the run was stopped."""


def _check_sign_in(call: Call, reply: Reply, now: datetime) -> None:
    """Raises for what is not the sign-in's own yes or no: a redirect, a fault of the platform."""
    if reply.status in REDIRECTS:
        host = reply.headers.get("Location", "nowhere")
        raise ConfigError(call.operation, call.object, f"it redirects to {host}", "set SALESFORCE_DOMAIN to that host")
    answer = answer_of(reply.status, reply.body)
    if reply.status >= 400 and rule_for(answer).patience is not None and answer.code in SOAP_TRANSIENT:
        raise error_of(call.operation, call.object, answer, retry_after_s(reply.headers.get("Retry-After"), now))


def _answer_of(response: requests.Response) -> Answer:
    """The refusal's text, limited; whatever goes wrong while reading it, the status alone decides."""
    try:
        content = response.raw.read(ERROR_BYTES_MAX, decode_content=True)
    except NETWORK_ERRORS:
        content = b""
    response.close()
    return answer_of(response.status_code, content)


class _Bearer(requests.auth.AuthBase):
    """Given for every request, also with nobody to name: without it requests would take a password from ~/.netrc."""

    def __init__(self, session: Session | None) -> None:
        self._session = session

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._session is not None:
            request.headers["Authorization"] = f"Bearer {self._session.token.reveal()}"
        return request


def instant_of(headers: Mapping[str, str]) -> datetime | None:
    """The source's clock, from the ``Date`` header, whole seconds, UTC."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None
