"""The org behind a socket: HTTP/1.1 with keep-alive, chunked answers, optional TLS."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from syncline.connectors.sandbox.http import Request, Response
from syncline.connectors.sandbox.org import Org

_REQUEST_BODY_MAX: Final = 64 * 1024 * 1024


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "SandboxOrg"
    sys_version = ""
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    org: Org

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _REQUEST_BODY_MAX:
            self.close_connection = True
            return
        body = self.rfile.read(length) if length else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            self._send(self.org.handle(Request(self.command, self.path, headers, body)))
        except ConnectionError:
            self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do_HEAD = _serve

    def _send(self, response: Response) -> None:
        if response.delay_s:
            self.wfile.flush()
            time.sleep(response.delay_s)
        if response.breakage == "reset":
            self._reset()
            return
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        chunked = self._announce_body(response)
        self.end_headers()
        if response.status not in (204, 304):
            self._send_body(response, chunked)
        if response.breakage == "reset_in_body":
            self.wfile.flush()
            self._reset()
        elif response.breakage:
            self.close_connection = True
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _announce_body(self, response: Response) -> bool:
        """Chunked for bodies of unknown length and for spoilt ones; a short known one has its length told."""
        if response.status in (204, 304):
            return False
        body = response.body
        if isinstance(body, tuple) and sum(map(len, body)) < 64 * 1024 and not (response.breakage or response.stall_s):
            self.send_header("Content-Length", str(sum(map(len, body))))
            return False
        self.send_header("Transfer-Encoding", "chunked")
        return True

    def _send_body(self, response: Response, chunked: bool) -> None:
        chunks = iter(response.body)
        if response.stall_s:
            body = response.content()
            middle = len(body) // 2
            self._write(body[:middle], chunked)
            self.wfile.flush()
            time.sleep(response.stall_s)
            chunks = iter((body[middle:],))
        for chunk in chunks:
            self._write(chunk, chunked)

    def _write(self, chunk: bytes | memoryview, chunked: bool) -> None:
        if not len(chunk):
            return
        if chunked:
            self.wfile.write(b"%x\r\n" % len(chunk))
            self.wfile.write(chunk)
            self.wfile.write(b"\r\n")
        else:
            self.wfile.write(chunk)

    def _reset(self) -> None:
        """Ends the connection with RST, as a lost server does, not with an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal; the org keeps its own log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of the server; anything else is shown."""
        import sys

        if not isinstance(sys.exc_info()[1], ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class SandboxServer:
    """Serves an org on 127.0.0.1 until closed; a context manager.

    ``port`` 0 takes a free one. ``tls`` is a server context with a certificate for 127.0.0.1 (``trustme`` makes one).
    The org's ``instance_url`` becomes the server's address.
    """

    def __init__(self, org: Org, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.org = org
        handler = type("_BoundHandler", (_Handler,), {"org": org})
        self._server = _Server(("127.0.0.1", port), handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        org.instance_url = self.url
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def client_id(self) -> str:
        return self.org.client_id

    @property
    def client_secret(self) -> str:
        return self.org.client_secret

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
