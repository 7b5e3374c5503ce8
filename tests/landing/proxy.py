"""An HTTP proxy in front of the S3 server that can misbehave."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TypeAlias
from urllib.parse import urlsplit

KEPT_BYTES_MAX = 64 * 1024


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    """Of small requests only."""


Answer: TypeAlias = tuple[int, str] | None
"""A status and an S3 error code to answer with, or ``None`` to pass the request on."""


@dataclass
class FaultProxy:
    """Speaks HTTP in front of the S3 server; ``fault`` sees each request first."""

    endpoint: str = ""
    fault: Callable[[Request], Answer] = lambda request: None
    seen: list[Request] = field(default_factory=list)
    lose: Callable[[Request], bool] = lambda request: False
    """Whether the server acts on a request and its reply is then lost: the client sees a 500."""
    cut_after_bytes: int | None = None
    """Ends the connection after so much of an answer's body."""


def proxy_handler(proxy: FaultProxy, upstream: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers_sent = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers_sent, body if len(body) <= KEPT_BYTES_MAX else b"")
            proxy.seen.append(request)
            answer = proxy.fault(request)
            if answer is not None:
                status, code = answer
                text = f"<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"
                self.reply(status, [], text.encode())
                return
            connection = http.client.HTTPConnection(urlsplit(upstream).netloc)
            connection.request(self.command, self.path, body, dict(self.headers))
            with connection.getresponse() as response:
                status, headers, body = response.status, response.getheaders(), response.read()
            connection.close()
            if proxy.lose(request):
                status, headers, body = 500, [], b"<Error><Code>InternalError</Code><Message>lost</Message></Error>"
            self.reply(status, headers, body)

        def reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            dropped = {"content-length", "transfer-encoding", "connection", "date", "server"}
            length = next((value for name, value in headers if name.lower() == "content-length"), str(len(body)))
            for name, value in headers:
                if name.lower() not in dropped:
                    self.send_header(name, value)
            self.send_header("content-length", length if self.command == "HEAD" else str(len(body)))
            self.end_headers()
            if proxy.cut_after_bytes is not None:
                self.wfile.write(body[: proxy.cut_after_bytes])
                self.close_connection = True
                return
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler
