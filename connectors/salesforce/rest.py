"""A window read by REST queries: pages one after another, as rows that are settled and proved.

The end is ``done``, never a page's size; a page that comes twice, a chain that loops, a count that does not add up are
errors. A query that takes too long is asked again for half the window, and both halves are proved read.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Final

import pyarrow as pa

from syncline.connectors.connector import StreamSchema, Window
from syncline.connectors.errors import CountMismatch, DataError
from syncline.connectors.salesforce.faults import Faulted
from syncline.connectors.salesforce.pages import Page, parse_page, table_of
from syncline.connectors.salesforce.results import Digest
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.soql import count, select
from syncline.connectors.salesforce.spans import halves, tiles
from syncline.connectors.salesforce.transport import RESULT_TIMEOUT_S, Call, Transport

PAGE_ROWS: Final = 2_000
EMPTY_PAGES_MAX: Final = 1_000
"""Pages without rows in a row; the platform may send some, and a loop is told from them by its addresses."""
REPEATS_MAX: Final = 2
RESTARTS_MAX: Final = 3
PARTS_MAX: Final = 1_024
SEEN_ROWS_MAX: Final = 1_000_000
"""Up to how many rows handed on a broken query may still be asked anew within the same reading."""
HINT: Final = "run again; if it stays, report it with the run id"


@dataclass(slots=True)
class Notes:
    """What reading found worth saying; thread-safe."""

    mended: int = 0
    texts: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add_mended(self, count: int) -> None:
        with self._lock:
            self.mended += count

    def say(self, text: str) -> None:
        with self._lock:
            if text not in self.texts:
                self.texts.append(text)


class Query:
    """The pages of SOQL queries on one object."""

    def __init__(self, transport: Transport, notes: Notes) -> None:
        self._transport = transport
        self._notes = notes

    def count(self, stream: StreamSchema, window: Window) -> int:
        return self._first(stream.name, count(stream, window), "count rows").total

    def rows(self, shape: Shape, query: str) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Each page's rows, settled, with the count that the query announced; one page is fetched ahead.

        Raises:
            DataError: the pages loop.
            CountMismatch: a page came twice.
        """
        page, path = self._first(shape.object, query, "query"), ""
        paths, digests, empty = {path}, set[bytes](), 0
        with self._transport.seams.pool(1, "syncline-page") as ahead:
            while True:
                page = self._forward(shape.object, path, page, paths)
                following = self._ask_ahead(ahead, shape.object, page)
                empty = 0 if page.records else empty + 1
                if empty > EMPTY_PAGES_MAX:
                    raise DataError("read query page", shape.object, f"{empty} pages without rows in a row", HINT)
                if page.records:
                    rows, again = self._not_twice(shape, path, table_of(page, shape), page, digests)
                    if again.next_path != page.next_path:
                        following = self._ask_ahead(ahead, shape.object, again)
                    page = again
                    self._notes.add_mended(page.mended)
                    yield rows, page.total
                else:
                    yield pa.RecordBatch.from_arrays([], names=[]), page.total
                if following is None or page.next_path is None:
                    return
                path = page.next_path
                paths.add(path)
                page = following.result()

    def _ask_ahead(self, ahead: Executor, object: str, page: Page) -> Future[Page] | None:
        return ahead.submit(self._more, object, page.next_path) if page.next_path else None

    def _forward(self, object: str, path: str, page: Page, paths: set[str]) -> Page:
        """The page, asked for again while it points back to one that was read."""
        for _ in range(REPEATS_MAX):
            if page.next_path not in paths or not path:
                break
            page = self._more(object, path)
        if page.next_path in paths:
            raise DataError("read query page", object, "the next page's address came before: a loop", HINT)
        return page

    def _not_twice(
        self, shape: Shape, path: str, rows: pa.RecordBatch, page: Page, digests: set[bytes]
    ) -> tuple[pa.RecordBatch, Page]:
        """The page, asked for again if it brought the very rows of an earlier one."""
        for _ in range(REPEATS_MAX + 1):
            digest = Digest("Id" if "Id" in shape.fields else "")
            digest.take(rows)
            if not digest.key or digest.value() not in digests:
                digests.add(digest.value())
                return rows, page
            if not path:
                break
            page = self._more(shape.object, path)
            rows = table_of(page, shape)
        cause = f"COUNTED-HOPS: a page brought the very {rows.num_rows} rows of an earlier page"
        raise CountMismatch("read query page", shape.object, cause, HINT)

    def _first(self, object: str, query: str, operation: str) -> Page:
        call = Call(
            operation,
            object,
            self._transport.data_path("queryAll"),
            params={"q": query},
            headers={"Sforce-Query-Options": f"batchSize={PAGE_ROWS}"},
            read_timeout_s=RESULT_TIMEOUT_S,
        )
        return self._transport.fetch(call, parse_page)

    def _more(self, object: str, path: str) -> Page:
        if not path.startswith("/services/") or "//" in path:
            raise DataError("read query page", object, f"the next page's address is no path: {path[:100]}", HINT)
        call = Call("read query page", object, path, read_timeout_s=RESULT_TIMEOUT_S)
        return self._transport.fetch(call, parse_page)


class Seen:
    """The ids handed on so far, so that a query asked anew does not bring its rows twice. Bounded."""

    def __init__(self, keyed: bool) -> None:
        self._keyed = keyed
        self._ids: list[pa.Array] = []
        self._rows = 0
        self._filter: pa.Array | None = None

    def require_restartable(self, fault: Faulted) -> None:
        """Raises ``fault`` if rows handed on could not be told from those that come again."""
        if self._rows and (not self._keyed or self._rows > SEEN_ROWS_MAX):
            raise fault
        self._filter = pa.concat_arrays(self._ids) if self._ids else None

    def fresh(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow.compute as pc

        if self._filter is not None:
            rows = rows.filter(pc.invert(pc.is_in(rows.column("Id"), value_set=self._filter)))
        self._rows += rows.num_rows
        if self._keyed and self._rows <= SEEN_ROWS_MAX:
            self._ids.append(rows.column("Id"))
        elif self._ids:
            self._ids = []
        return rows


class RestReading:
    """One window of one stream by REST; thread-safe."""

    def __init__(
        self, transport: Transport, stream: StreamSchema, shape: Shape, notes: Notes, earliest: datetime
    ) -> None:
        self._stream = stream
        self._shape = shape
        self._notes = notes
        self._earliest = earliest
        self._query = Query(transport, notes)

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        """Every row of the window once.

        Raises:
            CountMismatch: fewer or more rows came than announced, and a new count does not explain it.
            Faulted: the query is too heavy for the smallest window, or its locator is lost time and again.
        """
        seen = Seen("Id" in self._shape.fields)
        todo, done, restarts = [window], list[Window](), 0
        while todo:
            part = todo.pop()
            try:
                yield from self._read_part(part, seen)
                done.append(part)
            except Faulted as fault:
                if fault.rule.verdict == "smaller":
                    todo += self._smaller(part, fault, len(todo) + len(done))
                elif fault.rule.verdict == "restart" and restarts < RESTARTS_MAX:
                    restarts += 1
                    todo.append(part)
                else:
                    raise
                seen.require_restartable(fault)
        if not tiles(window, done):
            cause = f"COMPLETE-WINDOW: {len(done)} parts were read that are not the window"
            raise DataError("read window", self._stream.name, cause, "this is a defect of Syncline; report it")

    def _read_part(self, part: Window, seen: Seen) -> Iterator[pa.RecordBatch]:
        rows_read, announced = 0, None
        for rows, total in self._query.rows(self._shape, select(self._stream, self._shape.fields, part)):
            announced = total
            if rows.num_rows:
                rows_read += rows.num_rows
                yield seen.fresh(rows)
        if rows_read != announced:
            self._explain(part, announced or 0, rows_read)

    def _explain(self, part: Window, announced: int, rows_read: int) -> None:
        """Records edited or purged while pages are read leave the window; nothing else may make a difference."""
        now = self._query.count(self._stream, part)
        if min(announced, now) <= rows_read <= max(announced, now):
            self._notes.say(f"{announced} rows announced, {rows_read} read: {now} are left, records moved meanwhile")
            return
        cause = f"COUNTED-HOPS: the query announced {announced} rows, {rows_read} came, and now it counts {now}"
        raise CountMismatch("read query", self._stream.name, cause, HINT)

    def _smaller(self, part: Window, fault: Faulted, parts: int) -> list[Window]:
        split = halves(part, self._earliest) if self._stream.cursor and parts < PARTS_MAX else None
        if split is None:
            fault.hint = "the window cannot be cut further; exclude formula fields, or set api='bulk'"
            raise fault
        return [split[1], split[0]]
