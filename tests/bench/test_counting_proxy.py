"""What the counting proxy counts is what passes; nothing of it is changed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from benchmarks.counting_proxy import PART_BYTES, CountingProxy, Traffic, counting
from tests.servers.postgres import PgAddress

pytestmark = pytest.mark.checkout

WAIT_S = 10.0


def echo(connection: socket.socket) -> None:
    """Gives every line back, in capitals, until the client has said all; then says goodbye."""
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            connection.sendall(line.upper())
        connection.sendall(b"BYE\n")


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Answers one client after another, each by ``talk``; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            talk(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(WAIT_S)


@pytest.fixture
def proxy() -> Iterator[CountingProxy]:
    with server(echo) as port, counting("127.0.0.1", port) as found:
        yield found


def dial(proxy: CountingProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), WAIT_S)


def ask(connection: socket.socket, line: bytes) -> bytes:
    connection.sendall(line)
    answer = b""
    while not answer.endswith(b"\n"):
        answer += connection.recv(1 << 16)
    return answer


def test_a_question_and_its_answer_are_one_round_trip(proxy: CountingProxy) -> None:
    with dial(proxy) as connection:
        assert ask(connection, b"one\n") == b"ONE\n"
        assert proxy.traffic() == Traffic(1, 1, 4, 4)
        assert ask(connection, b"three\n") == b"THREE\n"
        assert proxy.traffic() == Traffic(1, 2, 10, 10)


def test_a_question_and_an_answer_in_many_parts_are_one_round_trip(proxy: CountingProxy) -> None:
    size = 8 * PART_BYTES
    with dial(proxy) as connection:
        assert ask(connection, b"x" * (size - 1) + b"\n") == b"X" * (size - 1) + b"\n"
        assert proxy.traffic() == Traffic(1, 1, size, size)


def test_every_connection_has_round_trips_of_its_own(proxy: CountingProxy) -> None:
    for _ in range(2):
        before = proxy.traffic()
        with dial(proxy) as connection:
            ask(connection, b"x\n")
        proxy.settle()
        assert proxy.traffic() - before == Traffic(1, 1, 2, 2 + len(b"BYE\n"))


def test_a_client_that_says_it_is_done_still_hears_the_end(proxy: CountingProxy) -> None:
    with dial(proxy) as connection:
        ask(connection, b"x\n")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"BYE\n"
        assert connection.recv(100) == b""
    proxy.settle()


def test_both_may_talk_at_once() -> None:
    """The server says more than all buffers hold before it listens, and so does the client."""
    size = 8 << 20

    def talk(connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"s" * size)
            received = 0
            while part := connection.recv(1 << 16):
                received += len(part)
            assert received == size

    with server(talk) as port, counting("127.0.0.1", port) as proxy, dial(proxy) as connection:

        def say() -> None:
            connection.sendall(b"c" * size)
            connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=say)
        thread.start()
        received = bytearray()
        while part := connection.recv(1 << 16):
            received += part
        thread.join(WAIT_S)
        proxy.settle()
        assert bytes(received) == b"s" * size
        assert (proxy.traffic().bytes_sent, proxy.traffic().bytes_received) == (size, size)


def test_an_open_connection_does_not_settle(proxy: CountingProxy) -> None:
    with dial(proxy) as connection:
        ask(connection, b"x\n")
        with pytest.raises(TimeoutError, match="still open after 0 s"):
            proxy.settle(0)


def test_a_server_that_is_gone_ends_the_client_and_not_the_proxy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with counting("127.0.0.1", port) as proxy:
        for _ in range(2):
            with dial(proxy) as connection:
                assert connection.recv(100) == b""
        assert proxy.traffic().connections == 2


def test_a_statement_to_postgres_is_one_round_trip(pg_database: PgAddress) -> None:
    address = pg_database
    with counting(address.host, address.port) as proxy:
        dsn = address.dsn.replace(f":{address.port}/", f":{proxy.port}/")
        with psycopg.connect(dsn, autocommit=True) as connection:
            signed_in = proxy.traffic()
            for _ in range(3):
                assert connection.execute("SELECT 1").fetchall() == [(1,)]
            assert (proxy.traffic() - signed_in).round_trips == 3
        proxy.settle()
        total = proxy.traffic()
    assert total.connections == 1
    assert total.round_trips == signed_in.round_trips + 4, "the farewell is the last"
