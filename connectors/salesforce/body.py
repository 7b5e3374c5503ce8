"""An answer's body as a stream of bytes that is whole or an error, never quietly short.

A chunked, compressed body has three ends that can be missing: the announced length, the last chunk, the gzip trailer
with its checksum. HTTP libraries check the first; here all three are (Bulk API 2.0 guide: results come chunked and,
on request, compressed).
"""

from __future__ import annotations

import contextlib
import http.client
import re
import zlib
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import requests
import urllib3

from syncline.connectors.errors import DataError
from syncline.connectors.salesforce.faults import Faulted, broken

CHUNK_BYTES: Final = 256 * 1024
GZIP_CHUNK_BYTES: Final = 64 * 1024
BODY_BYTES_MAX: Final = 256 * 1024 * 1024
"""The largest body that is ever held whole: a page of a query, a description."""

NETWORK_ERRORS: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)

Interrupted: TypeAlias = Callable[[], None]
"""Raises Stopped if the transport was told to stop; a broken socket is then no fault of the network."""

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}".encode()
QUOTE: Final = ord('"')
HALF_PAIR: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")


class Body:
    """Reads one response. Not for several threads at once.

    Raises:
        Faulted: the body ended early, or its checksum is wrong.
        Stopped: the transport was aborted.
    """

    def __init__(self, response: requests.Response, operation: str, object: str, interrupted: Interrupted) -> None:
        self._response = response
        self._operation = operation
        self._object = object
        self._interrupted = interrupted
        self._ready = bytearray()
        self._ended = False
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("gzip", "identity", ""):
            raise DataError(operation, object, f"the body is encoded as {encoding}, which was not asked for", "")
        self._inflater = _Inflater() if encoding == "gzip" else None
        self.framed = encoding == "gzip" or bool({"Content-Length", "Transfer-Encoding"} & set(response.headers))
        """Whether the transfer itself tells its end."""

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes; fewer at the end, none after it."""
        taken = self._fill(size) if self._inflater is None else self._take_inflated(size)
        while len(taken) < size and not self._ended:
            taken += self._fill(size - len(taken)) if self._inflater is None else self._take_inflated(size - len(taken))
        return taken

    def read_all(self, bytes_max: int = BODY_BYTES_MAX) -> bytes:
        """Raises DataError for a body longer than ``bytes_max`` (BOUNDED)."""
        whole = self.read(bytes_max + 1)
        if len(whole) > bytes_max:
            raise DataError(self._operation, self._object, f"the body is longer than {bytes_max} bytes", "")
        return whole

    def close(self) -> None:
        """Gives the connection back if the body was read to its end, closes it otherwise."""
        if not self._ended:
            # A parser may be reading ahead on another thread: without the shutdown, closing waits for its read.
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                self._response.raw.shutdown()
            self._response.raw.close()
        self._response.close()

    def _take_inflated(self, size: int) -> bytes:
        assert self._inflater is not None
        while len(self._ready) < size and not self._ended:
            chunk = self._fill(GZIP_CHUNK_BYTES)
            try:
                self._ready += self._inflater.feed(chunk)
            except zlib.error as error:
                raise self.fails(f"the body broke off: {error}") from error
        taken = bytes(self._ready[:size])
        del self._ready[:size]
        return taken

    def _fill(self, size: int) -> bytes:
        try:
            chunk: bytes = self._response.raw.read(size, decode_content=False)
        except NETWORK_ERRORS as error:
            self._interrupted()
            raise self.fails(f"the body broke off: {type(error).__name__}") from error
        if not chunk:
            self._interrupted()
            self._ended = True
            if self._inflater is not None and not self._inflater.whole:
                raise self.fails("the body broke off: its gzip trailer is missing")
        return chunk

    def fails(self, cause: str) -> Faulted:
        return broken(self._operation, self._object, cause)


class _Inflater:
    """gzip, several members if need be. ``whole`` is true once the last member's checksum was seen, or for no body."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False

    @property
    def whole(self) -> bool:
        return self._member.eof or not self._begun

    def feed(self, data: bytes) -> bytes:
        self._begun = self._begun or bool(data)
        out = bytearray()
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            out += self._member.decompress(data)
            data = self._member.unused_data
        return bytes(out)


class CsvBytes:
    """A CSV body on its way to the parser: proves at its end that it was not cut, and mends what is no UTF-8.

    A body cut inside its last value parses without an error and with the right number of rows; an odd number of
    quotes gives it away, or, where the transfer itself has no end mark, the missing last line ending.
    Halves of surrogate pairs, three bytes from 0xED 0xA0, read as U+FFFD; ``mended`` counts them.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._held = b""
        self._quotes = 0
        self._last = b"\n"
        self.mended = 0
        self.closed = False

    def read(self, size: int) -> bytes:
        fresh = self._body.read(size - len(self._held))
        data, self._held = self._held + fresh, b""
        if not data:
            self._require_end()
            return data
        # Nearly every value is quoted, and bytes.count is five times as slow where there is much to be found.
        self._quotes += int(np.count_nonzero(np.frombuffer(fresh, np.uint8) == QUOTE))
        self._last = data[-1:]
        if b"\xed" in data:
            data = self._mend(data, whole=len(data) < size)
        if fresh and data.endswith(b"\r"):
            # Arrow's reader takes a line feed that begins a block for the rest of the line ending before it, even
            # inside a quoted value, and drops it: the two must not be parted.
            data, self._held = data[:-1], b"\r" + self._held
            return data or self.read(size)
        return data

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
        self._body.close()

    def _mend(self, data: bytes, whole: bool) -> bytes:
        start = -1 if whole else data.rfind(b"\xed", len(data) - 2)
        if start > 0:
            # The character's rest comes with the next read; quotes in it were not counted, for it has none.
            data, self._held = data[:start], data[start:]
        mended, count = HALF_PAIR.subn(REPLACEMENT, data)
        self.mended += count
        return mended

    def _require_end(self) -> None:
        if self._quotes % 2 or (self._last not in b"\r\n" and not self._body.framed):
            raise self._body.fails("the body broke off inside a value")
