"""The practice org without a socket: a ``requests`` adapter that hands each request to ``Org.handle``.

Everything above the socket is the real thing: the connector's sessions, timeouts, body reader and repeats. What a
socket would do, the adapter does by the org's clock: a delay moves it, and one beyond the read timeout is a timeout;
a reset is the error that urllib3 raises for one. Nothing here waits, so a simulation of weeks takes moments.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter
from urllib3.exceptions import IncompleteRead, ProtocolError

from syncline.connectors.sandbox.http import Request, Response
from syncline.connectors.sandbox.org import Org

ORG_URL: Final = "https://practice.my.salesforce.com"
"""The address that the org answers to; nothing is looked up by it."""

Handle: TypeAlias = Callable[[Request], Response]


class InProcess(BaseAdapter):
    """Answers every request from ``handle``, which is ``org.handle`` or something around it that makes faults."""

    def __init__(self, org: Org, handle: Handle | None = None) -> None:
        super().__init__()
        self._org = org
        self._handle = handle or org.handle
        org.instance_url = ORG_URL

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        parts = urlsplit(request.url or "")
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = self._handle(Request(request.method or "GET", str(target), headers, body))
        self._pass_time(answer, timeout, request)
        if answer.breakage == "reset":
            raise requests.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")))
        return _as_requests(answer, request)

    def close(self) -> None:
        """Holds nothing open."""

    def _pass_time(self, answer: Response, timeout: Any, request: requests.PreparedRequest) -> None:
        read_s = timeout[1] if isinstance(timeout, tuple) else timeout
        for pause_s in (answer.delay_s, answer.stall_s):
            if read_s is not None and pause_s > read_s:
                self._org.advance(read_s)
                raise requests.ReadTimeout(f"Read timed out. (read timeout={read_s})", request=request)
            if pause_s:
                self._org.advance(pause_s)


def session_to(org: Org, handle: Handle | None = None) -> requests.Session:
    """A session whose every request, to whatever host, ends at the org."""
    session = requests.Session()
    session.trust_env = False  # no proxy, no ~/.netrc: nothing of this machine takes part
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, InProcess(org, handle))
    return session


class _Wire(io.RawIOBase):
    """A body on its way. One that breaks off raises, once its bytes are read, what urllib3 raises then."""

    def __init__(self, content: bytes, error: Exception | None) -> None:
        super().__init__()
        self._content = io.BytesIO(content)
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._content.readinto(buffer)
        if not read and len(buffer) and self._error is not None:
            raise self._error
        return read


def _as_requests(answer: Response, request: requests.PreparedRequest) -> requests.Response:
    content = answer.content()
    error: Exception | None = None
    if answer.breakage == "reset_in_body":
        error = ConnectionResetError(104, "Connection reset by peer")
    elif answer.breakage == "no_terminator":
        error = IncompleteRead(0, 1)
    framing = {"Transfer-Encoding": "chunked"} if error else {"Content-Length": str(len(content))}
    # The raw answer is told no framing: its bytes are here already, and only their end may be missing.
    raw = urllib3.HTTPResponse(
        body=_Wire(content, error), headers=answer.headers, status=answer.status, preload_content=False
    )
    response = requests.Response()
    response.status_code = answer.status
    response.headers.update({**answer.headers, **framing})
    response.raw = raw
    response.request = request
    response.url = request.url or ""
    return response
