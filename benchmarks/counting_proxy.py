"""Stands between a client and a server on this machine and counts what passes, whatever the protocol.

::

    client ──▶ proxy ──▶ server      every byte goes on unchanged; it is counted before it does

A byte is counted before it goes on and a client that asks and waits cannot be ahead of the count, so that the figures
of such protocols (Postgres, HTTP/1.1) do not depend on how threads are scheduled.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, field
from typing import Final

PART_BYTES: Final = 1 << 18
SETTLE_S_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """``bytes_sent`` are the client's, ``bytes_received`` the server's, both without the headers of TCP and IP.

    A round trip begins whenever the client sends for the first time, or again after the server has; the handshake that
    opens a connection is counted in ``connections`` alone.
    """

    connections: int = 0
    round_trips: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, earlier: Traffic) -> Traffic:
        return Traffic(*(now - then for now, then in zip(astuple(self), astuple(earlier), strict=True)))


@dataclass
class CountingProxy:
    """Listens on a free port of 127.0.0.1 from when it is made; one thread a direction of each connection."""

    host: str
    upstream_port: int
    _traffic: Traffic = field(default_factory=Traffic)
    _links: list[Link] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def traffic(self) -> Traffic:
        """Everything since the proxy was made."""
        with self._lock:
            return self._traffic

    def count(self, passed: Traffic) -> None:
        with self._lock:
            self._traffic += passed

    def settle(self, timeout_s: float = SETTLE_S_MAX) -> None:
        """Waits for the last bytes of a client that has hung up everywhere: a farewell is not answered.

        Raises:
            TimeoutError: a connection is still open.
        """
        for link in list(self._links):
            if not link.ended(timeout_s):
                raise TimeoutError(f"a connection to port {self.upstream_port} is still open after {timeout_s:g} s")

    def stop(self) -> None:
        """Hangs up on everybody."""
        # Closing alone does not wake a thread that waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for link in self._links:
            link.hang_up()

    def _accept(self) -> None:
        with suppress(OSError):  # stop() ends the waiting
            while True:
                client = self._listener.accept()[0]
                self.count(Traffic(connections=1))
                try:
                    server = socket.create_connection((self.host, self.upstream_port))
                except OSError:
                    client.close()
                    continue
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # Nothing passes uncounted, and so no client has its answer before settle() knows of its link.
                with self._lock:
                    self._links.append(Link(self, client, server))


class Link:
    """One connection of a client, carried on to the server by one of its own."""

    def __init__(self, proxy: CountingProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._turn = threading.Lock()
        self._asking = False
        self._threads = [threading.Thread(target=self._carry, args=(asks,)) for asks in (True, False)]
        for thread in self._threads:
            thread.start()

    def ended(self, timeout_s: float) -> bool:
        for thread in self._threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in self._threads)

    def hang_up(self) -> None:
        for each in (self._client, self._server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._server.close()

    def _carry(self, asks: bool) -> None:
        """From the client to the server (``asks``) or back, until one hangs up; the other is then told so."""
        come, go = (self._client, self._server) if asks else (self._server, self._client)
        with suppress(OSError):
            while part := come.recv(PART_BYTES):
                self._proxy.count(self._passing(asks, len(part)))
                go.sendall(part)
        with suppress(OSError):
            go.shutdown(socket.SHUT_WR)

    def _passing(self, asks: bool, size: int) -> Traffic:
        with self._turn:
            turned, self._asking = asks and not self._asking, asks
        return Traffic(0, int(turned), size, 0) if asks else Traffic(0, 0, 0, size)


@contextmanager
def counting(host: str, port: int) -> Iterator[CountingProxy]:
    proxy = CountingProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.stop()
