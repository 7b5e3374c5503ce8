"""The org behind a socket: HTTP/1.1 with keep-alive, chunked answers, optional TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from syncline.connectors.sandbox.http import Request, Response
from syncline.connectors.sandbox.org import Org

_REQUEST_BODY_MAX: Final = 64 * 1024 * 1024
_WHOLE_BODY_MAX: Final = 64 * 1024
_BODILESS: Final = frozenset({204, 304})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _REQUEST_BODY_MAX:
            self.close_connection = True
            return
        body = self.rfile.read(length) if length else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        # The base class folds slashes at the start of the path; the org must see them.
        target = self.requestline.split()[1]
        try:
            self._send(self.server.org.handle(Request(self.command, target, headers, body)))
        except ConnectionError:
            self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve

    def _send(self, response: Response) -> None:
        if response.delay_s:
            time.sleep(response.delay_s)
        if response.breakage == "reset":
            self._reset()
            return
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        chunked = self._announce_body(response)
        self.end_headers()
        if response.status not in _BODILESS:
            self._send_body(response, chunked)
        if response.breakage == "reset_in_body":
            self.wfile.flush()
            self._reset()
        elif response.breakage:
            self.close_connection = True
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _announce_body(self, response: Response) -> bool:
        """A short whole body has its length told; others, and spoilt ones, are chunked."""
        if response.status in _BODILESS:
            return False
        body, spoilt = response.body, response.breakage or response.stall_s
        if isinstance(body, tuple) and not spoilt and (size := sum(map(len, body))) <= _WHOLE_BODY_MAX:
            self.send_header("Content-Length", str(size))
            return False
        self.send_header("Transfer-Encoding", "chunked")
        return True

    def _send_body(self, response: Response, chunked: bool) -> None:
        if not response.stall_s:
            for chunk in response.body:
                self._write(chunk, chunked)
            return
        body = response.content()
        self._write(body[: len(body) // 2], chunked)
        self.wfile.flush()
        time.sleep(response.stall_s)
        self._write(body[len(body) // 2 :], chunked)

    def _write(self, chunk: bytes | memoryview, chunked: bool) -> None:
        if not len(chunk):
            return
        if chunked:
            self.wfile.write(b"%x\r\n" % len(chunk))
        self.wfile.write(chunk)
        if chunked:
            self.wfile.write(b"\r\n")

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

    def __init__(self, port: int, org: Org, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.org = org
        self._tls = tls
        self._threads_open: dict[threading.Thread, socket.socket] = {}

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Serves one connection; the TLS handshake is done here, where it holds up nobody else."""
        try:
            if self._tls is not None:
                request = self._tls.wrap_socket(request, server_side=True)
            self._threads_open[threading.current_thread()] = request
            super().process_request_thread(request, client_address)
        except (ssl.SSLError, ConnectionError):
            self.shutdown_request(request)
        finally:
            self._threads_open.pop(threading.current_thread(), None)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of the server; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def hang_up(self) -> None:
        """Ends every open connection and waits for its thread."""
        for thread, connection in list(self._threads_open.items()):
            with contextlib.suppress(OSError):  # The client closed it already.
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(1.0)


class SandboxServer:
    """Serves an org on 127.0.0.1 until closed; a context manager.

    ``port`` 0 takes a free one. ``tls`` is a server context with a certificate for 127.0.0.1 (``trustme`` makes one).
    The org's ``instance_url`` becomes the server's address.
    """

    def __init__(self, org: Org, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.org = org
        self._server = _Server(port, org, tls)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        org.instance_url = self.url
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def client_id(self) -> str:
        return self.org.client_id

    @property
    def client_secret(self) -> str:
        return self.org.client_secret

    def close(self) -> None:
        """Stops listening and ends every connection, kept-alive ones too."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
