"""One page of a Bulk result: fetched, proved whole, and only then handed on, as often as it takes (BOUNDED).

A page is proved by its transfer (``body.py``), by its header, and by ``Sforce-NumberOfRecords``. While it is small it
is held back until it is proved; a large one flows on at once, and if it then breaks off it is fetched again and the
rows already handed on are passed over, after a digest of their keys has shown that they are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

import pyarrow as pa

from syncline.connectors.errors import CountMismatch, DataError, Transient
from syncline.connectors.salesforce.body import Body, CsvBytes
from syncline.connectors.salesforce.faults import Faulted, Refused
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.sheets import BLOCK_BYTES, BLOCK_BYTES_MAX, RowTooLong, sheet_of
from syncline.connectors.salesforce.transport import RESULT_TIMEOUT_S, Call, Transport

ATTEMPTS_MAX: Final = 4
RETRY_PAUSE_S: Final = 1.0
HELD_BYTES_MAX: Final = 16 * 1024 * 1024
COUNT_HEADER: Final = "Sforce-NumberOfRecords"
LOCATOR_HEADER: Final = "Sforce-Locator"
HINT: Final = "run again: the job is kept, and only this page is read anew; if it stays, report it"


class Digest:
    """Rows so far and a digest of their keys, whatever the batches they came in."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.rows = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def take(self, rows: pa.RecordBatch) -> None:
        self.rows += rows.num_rows
        if self.key:
            self._hash.update(_text_bytes(rows.column(self.key)))

    def value(self) -> bytes:
        return self._hash.digest()


@dataclass(slots=True)
class Pages:
    """The pages of each job seen so far, so that one delivered twice under two names is noticed. Two jobs may hold the
    same records: one that was edited after the first had ended is in the later one as well."""

    mended: int = 0
    """How many halves of surrogate pairs were replaced."""
    _digests: dict[tuple[str, bytes], str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def add_mended(self, count: int) -> None:
        with self._lock:
            self.mended += count

    def claims(self, name: str, digest: Digest) -> str:
        """Whose rows these are: ``name`` itself, or the page that brought the very same ones before."""
        with self._lock:
            return self._digests.setdefault((name.partition("/results")[0], digest.value()), name)


class PageReader:
    """Reads result pages of one object; thread-safe, one call a page."""

    def __init__(self, transport: Transport, shape: Shape, pages: Pages) -> None:
        self._transport = transport
        self._shape = shape
        self._pages = pages
        self._key = "Id" if "Id" in shape.fields else ""

    def open(self, path: str) -> tuple[Mapping[str, str], Body]:
        """The page's headers, and its body unread: whoever takes it reads it to the end or closes it.

        Raises:
            Transient: the job is gone; another run makes a new one.
        """
        call = Call(
            "read Bulk page",
            f"{self._shape.object}, {path.rpartition('/jobs/query/')[2]}",
            path,
            headers={"Accept": "text/csv"},
            read_timeout_s=RESULT_TIMEOUT_S,
        )
        try:
            return self._transport.open(call)
        except Refused as refused:
            if refused.answer.status in (404, 409):
                hint = "run again: a new job will be made"
                raise Transient(call.operation, call.object, f"the job is gone: {refused.answer}", hint) from None
            raise

    def read(self, path: str, opened: tuple[Mapping[str, str], Body] | None = None) -> Iterator[pa.RecordBatch]:
        """The page's rows, settled; ``opened`` is its answer if it was already asked for.

        Raises:
            CountMismatch: the page has other rows than it announces, or the rows of another page, time and again.
            Faulted: it breaks off, time and again.
        """
        passed = Digest(self._key)
        block_bytes, attempt = BLOCK_BYTES, 1
        while True:
            answer = opened or self.open(path)
            opened = None
            try:
                yield from self._once(path, answer, passed, block_bytes)
                return
            except RowTooLong:
                block_bytes *= 8
                if block_bytes > BLOCK_BYTES_MAX:
                    raise DataError("read Bulk page", path, f"a row is longer than {BLOCK_BYTES_MAX} bytes") from None
            except (Faulted, CountMismatch):
                if attempt == ATTEMPTS_MAX:
                    raise
                self._transport.pause(RETRY_PAUSE_S * attempt)
                attempt += 1

    def _once(
        self, path: str, opened: tuple[Mapping[str, str], Body], passed: Digest, block_bytes: int
    ) -> Iterator[pa.RecordBatch]:
        headers, body = opened
        source = CsvBytes(body)
        try:
            announced = announced_rows(headers, path)
            if announced == 0:
                return
            held: list[pa.RecordBatch] = []
            held_bytes, seen, again = 0, Digest(self._key), Digest(self._key)
            for rows in sheet_of(source, self._shape, block_bytes):
                seen.take(rows)
                fresh = _beyond(rows, passed, again, path)
                if fresh.num_rows:
                    held.append(fresh)
                    held_bytes += fresh.get_total_buffer_size()
                if held_bytes > HELD_BYTES_MAX:
                    yield from _hand_on(held, passed, again)
                    held_bytes = 0
            self._prove(path, announced, seen)
        finally:
            source.close()
        self._pages.add_mended(source.mended)
        yield from _hand_on(held, passed, again)

    def _prove(self, path: str, announced: int, seen: Digest) -> None:
        if seen.rows != announced:
            cause = f"COUNTED-HOPS: the page announced {announced} rows, {seen.rows} came"
            raise CountMismatch("read Bulk page", f"{self._shape.object}, {path}", cause, HINT)
        if self._key and (other := self._pages.claims(path, seen)) != path:
            cause = f"COUNTED-HOPS: it brought the very rows of another page, {other}"
            raise CountMismatch("read Bulk page", f"{self._shape.object}, {path}", cause, HINT)


def announced_rows(headers: Mapping[str, str], path: str) -> int:
    """Raises DataError for a page that does not say how many rows it has: that is an error, not zero rows."""
    text = headers.get(COUNT_HEADER, "")
    if not text.isdigit():
        raise DataError("read Bulk page", path, f"the header {COUNT_HEADER} is missing or no number: {text!r}", HINT)
    return int(text)


def _beyond(rows: pa.RecordBatch, passed: Digest, again: Digest, path: str) -> pa.RecordBatch:
    """The part of ``rows`` that was not handed on by an earlier attempt."""
    old = min(passed.rows - again.rows, rows.num_rows)
    if old <= 0:
        return rows
    again.take(rows.slice(0, old))
    if again.rows == passed.rows and again.value() != passed.value():
        raise Transient("read Bulk page", path, "the page changed between two readings", HINT)
    return rows.slice(old)


def _hand_on(held: list[pa.RecordBatch], passed: Digest, again: Digest) -> Iterator[pa.RecordBatch]:
    for rows in held:
        passed.take(rows)
        again.take(rows)
        yield rows
    held.clear()


def _text_bytes(texts: pa.Array) -> memoryview:
    """The bytes of a text column's values, without copying: offsets, then bytes (Arrow columnar format)."""
    _, offsets_buffer, values = texts.buffers()
    if values is None or not len(texts):
        return memoryview(b"")
    offsets = memoryview(offsets_buffer).cast("i")
    return memoryview(values)[offsets[texts.offset] : offsets[texts.offset + len(texts)]]
