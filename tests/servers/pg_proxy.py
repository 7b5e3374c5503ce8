"""Stands between a client and a real PostgreSQL, sees every statement, and strikes where a test says.

::

    client ──▶ proxy ──▶ server      faults: drop before the statement arrives, lose the reply to it, fail it

A statement that is to fail is replaced by one that raises that SQLSTATE on the server, so that the transaction, the
error and what the driver makes of them are the real ones. Only statements without parameters can be replaced.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Final

from tests.servers.postgres import PgAddress
from tests.servers.wire import Hangup, Message, Wire, failing, query

ENCRYPTION_REQUESTS: Final = (80877103, 80877104)
"""PostgreSQL manual, message formats: SSLRequest and GSSENCRequest; this server has neither."""

DROP: Final = "drop"
LOSE_REPLY: Final = "lose the reply"
"""Besides these two, a fault is the SQLSTATE to fail with."""

Strike = Callable[[str], str | None]


def nothing(statement: str) -> None:
    """The strike that never comes."""


@dataclass
class PgProxy:
    """``statements`` are those of all connections in the order they came; ``strike`` says what befalls the next."""

    upstream: PgAddress
    statements: list[str] = field(default_factory=list)
    strike: Strike = nothing
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[Wire] = []

    @property
    def address(self) -> PgAddress:
        return replace(self.upstream, port=self._listener.getsockname()[1])

    def start(self) -> None:
        self._run(self._accept)

    def stop(self) -> None:
        # Closing alone does not wake a thread that waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        hang_up(*self._open)
        for thread in self._threads:
            thread.join()

    def drop_connections(self) -> None:
        hang_up(*self._open)

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = Wire(self._listener.accept()[0])
                server = Wire(socket.create_connection((self.upstream.host, self.upstream.port)))
                for wire in (client, server):
                    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open += [client, server]
                self.connections += 1
                link = Link(self, client, server)
                self._run(link.requests)
                self._run(link.replies)


@dataclass
class Link:
    """One connection of a client, carried on to the server by one of its own."""

    proxy: PgProxy
    client: Wire
    server: Wire
    losing: bool = False

    def requests(self) -> None:
        with suppress(Hangup, OSError):
            first = self.client.first()
            while int.from_bytes(first[:4], "big") in ENCRYPTION_REQUESTS:
                self.client.socket.sendall(b"N")
                first = self.client.first()
            self.server.send_first(first)
            while True:
                message = self.client.read()
                statement = statement_of(message)
                self.server.send(message if statement is None else self._struck(message, statement))
        hang_up(self.client, self.server)

    def replies(self) -> None:
        with suppress(Hangup, OSError):
            while True:
                message = self.server.read()
                if not self.losing:
                    self.client.send(message)
                elif message.kind in (b"Z", b"G"):
                    break
        hang_up(self.client, self.server)

    def _struck(self, message: Message, statement: str) -> Message:
        self.proxy.statements.append(statement)
        fault = self.proxy.strike(statement)
        if fault == DROP:
            raise Hangup
        if fault == LOSE_REPLY:
            self.losing = True
        elif fault is not None:
            assert message.kind == b"Q", f"it has parameters: {statement}"
            return query(failing(fault, f"struck with {fault}"))
        return message


def statement_of(message: Message) -> str | None:
    """The SQL of Query and Parse."""
    if message.kind == b"Q":
        return message.body[:-1].decode()
    if message.kind == b"P":
        return message.body.split(b"\0")[1].decode()
    return None


def hang_up(*wires: Wire) -> None:
    for wire in wires:
        with suppress(OSError):
            wire.socket.shutdown(socket.SHUT_RDWR)
        wire.socket.close()


def once(fault: str, begins: str) -> Strike:
    """Strikes the first statement that begins so, and no other."""
    left = [fault]
    return lambda statement: left.pop() if left and statement.startswith(begins) else None


@contextmanager
def between(upstream: PgAddress) -> Iterator[PgProxy]:
    proxy = PgProxy(upstream)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
