"""PostgreSQL's messages (protocol 3.0, message formats), as much as a proxy needs."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Message(NamedTuple):
    kind: bytes
    body: bytes


class Hangup(Exception):
    """The other side is gone."""


@dataclass
class Wire:
    """One side's connection, in whole messages."""

    socket: socket.socket

    def exactly(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = self.socket.recv(min(size, 1 << 16))
            except OSError as error:
                raise Hangup from error
            if not part:
                raise Hangup
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def first(self) -> bytes:
        """A start-up message, which has no kind."""
        (size,) = struct.unpack("!i", self.exactly(4))
        return self.exactly(size - 4)

    def read(self) -> Message:
        kind = self.exactly(1)
        (size,) = struct.unpack("!i", self.exactly(4))
        return Message(kind, self.exactly(size - 4))

    def until_ready(self) -> Iterator[Message]:
        """Everything up to ReadyForQuery, that included; or up to CopyInResponse."""
        while True:
            message = self.read()
            yield message
            if message.kind in (b"Z", b"G"):
                return

    def send(self, *messages: Message) -> None:
        data = b"".join(kind + struct.pack("!i", len(body) + 4) + body for kind, body in messages)
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Hangup from error

    def send_first(self, body: bytes) -> None:
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def query(sql: str) -> Message:
    return Message(b"Q", text(sql))


def ready(status: bytes) -> Message:
    return Message(b"Z", status)


def row_of(message: Message) -> list[str | None]:
    """The values of a DataRow in text format."""
    (count,) = struct.unpack_from("!h", message.body)
    values: list[str | None] = []
    position = 2
    for _ in range(count):
        (size,) = struct.unpack_from("!i", message.body, position)
        position += 4
        values.append(None if size < 0 else message.body[position : position + size].decode())
        position += max(size, 0)
    return values


def failing(sqlstate: str, message: str, detail: str = "") -> str:
    """A statement that fails so, and takes the transaction with it."""
    said = ", ".join(
        f"{name} = {_literal(value)}"
        for name, value in (("ERRCODE", sqlstate), ("MESSAGE", message), ("DETAIL", detail))
        if value
    )
    return f"DO $refusal$ BEGIN RAISE EXCEPTION USING {said}; END $refusal$"


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''").replace("$refusal$", "") + "'"
