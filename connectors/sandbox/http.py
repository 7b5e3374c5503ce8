"""Requests, answers and error shapes, without a transport: the server and in-process simulation share them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from syncline.connectors.connector import Json

Chunk: TypeAlias = bytes | memoryview

Breakage: TypeAlias = Literal["", "reset", "reset_in_body", "no_terminator"]
"""How the transport spoils an answer: no byte of it arrives, the connection is reset after the body's bytes, or the
body's end mark is left out and the connection closed."""

REQUEST_BYTES_MAX: Final = 16_384


@dataclass(frozen=True, slots=True)
class Request:
    """``target`` is the path with its query string as sent; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return unquote(self.target.partition("?")[0])

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit("/?" + self.target.partition("?")[2]).query, keep_blank_values=True))

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")

    def size_bytes(self) -> int:
        return len(self.target) + sum(len(name) + len(value) + 4 for name, value in self.headers.items())

    def json(self) -> Json:
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ApiError(400, "JSON_PARSER_ERROR", f"The request body is not JSON: {error}") from error


@dataclass(slots=True)
class Response:
    """``body`` may be a generator; ``delay_s`` and ``stall_s`` are for the transport to wait before the first byte and
    before the last ones. ``rows`` is how many records the body holds, for the log."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterable[Chunk] = ()
    delay_s: float = 0.0
    stall_s: float = 0.0
    breakage: Breakage = ""
    rows: int = 0

    def content(self) -> bytes:
        """The whole body; for callers without a socket, and for faults."""
        found = b"".join(bytes(chunk) for chunk in self.body)
        self.body = (found,)
        return found


class ApiError(Exception):
    """An answer in the data API's error shape: a JSON array of one object."""

    def __init__(self, status: int, code: str, message: str, fields: list[str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    def response(self) -> Response:
        told: dict[str, Json] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            told["fields"] = self.fields
        return json_response([told], self.status)


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    return ApiError(404, "NOT_FOUND", message)


def json_response(value: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, {"Content-Type": "application/json;charset=UTF-8", **(headers or {})}, (body,))


def html_response(status: int, title: str, headers: Mapping[str, str] | None = None) -> Response:
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>".encode()
    return Response(status, {"Content-Type": "text/html;charset=UTF-8", **(headers or {})}, (body,))


def gzipped(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    import zlib

    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()


Handler: TypeAlias = Callable[[Request], Response]
