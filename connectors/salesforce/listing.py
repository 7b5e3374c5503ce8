"""The pages of a Bulk job's result: which there are, and whether they add up to the job's own count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any, Final, TypeAlias

from syncline.connectors.errors import CountMismatch, DataError
from syncline.connectors.salesforce.body import Body
from syncline.connectors.salesforce.faults import Refused
from syncline.connectors.salesforce.jobs import Jobs
from syncline.connectors.salesforce.results import HINT, LOCATOR_HEADER, PageReader, announced_rows
from syncline.connectors.salesforce.transport import Call, Transport

OPENED_MAX: Final = 4
LINKS_MAX: Final = 100_000
RESULT_PAGES_SINCE: Final = 58.0
LAST_LOCATOR: Final = "null"

Opened: TypeAlias = tuple[Mapping[str, str], Body]


class Tally:
    """The rows of one job, page by page, against the job's own count (COUNTED-HOPS); whoever is last checks."""

    def __init__(self, object: str, job: str, announced: int | None) -> None:
        self._object = f"{object}, job {job}"
        self._announced = announced
        self._rows: dict[str, int] = {}
        self._names: set[str] = set()
        self._complete = False
        self._lock = Lock()

    def expect(self, name: str) -> None:
        with self._lock:
            self._names.add(name)

    def close_list(self) -> None:
        """Every page is known by now."""
        with self._lock:
            self._complete = True
            self._check()

    def add(self, name: str, rows: int) -> None:
        with self._lock:
            self._rows[name] = rows
            self._check()

    def _check(self) -> None:
        if self._announced is None or not self._complete or self._names - self._rows.keys():
            return
        total = sum(self._rows[name] for name in self._names)
        if total != self._announced:
            cause = f"COUNTED-HOPS: the job announced {self._announced} rows, its {len(self._names)} pages hold {total}"
            raise CountMismatch("read Bulk result", self._object, cause, HINT)


class Listing:
    """Lists the pages of one object's jobs, from one thread. An answer that was asked for to learn of it stays open,
    unread, until whoever reads the page takes it, or until ``OPENED_MAX`` others were."""

    def __init__(self, transport: Transport, object: str, jobs: Jobs, reader: PageReader, page_rows: int) -> None:
        self._transport = transport
        self._object = object
        self._jobs = jobs
        self._reader = reader
        self._page_rows = page_rows
        self._opened: dict[str, Opened] = {}
        self._lock = Lock()

    def links(self, job: str) -> Iterator[str] | None:
        """The pages by ``/resultPages``, five at a time; ``None`` where the API has no such thing."""
        if float(self._transport.api_version) < RESULT_PAGES_SINCE:
            return None
        first = self._jobs.path(job, "resultPages")
        try:
            answer = self._transport.fetch_json(Call("list Bulk pages", f"{self._object}, job {job}", first))
        except Refused:
            return None
        return self._follow(job, answer)

    def serial(self, job: str) -> Iterator[tuple[str, int]]:
        """Page after page by locator, each with its rows."""
        results, locators = self._jobs.path(job, "results"), set[str]()
        path = f"{results}?maxRecords={self._page_rows}"
        while True:
            headers, rows = self.open(path)
            yield path, rows
            locator = headers.get(LOCATOR_HEADER)
            if locator == LAST_LOCATOR:
                return
            if not locator or locator in locators:
                cause = f"the page's {LOCATOR_HEADER} is {locator!r}: missing, or that of an earlier page"
                raise DataError("read Bulk page", f"{self._object}, {path}", cause, HINT)
            locators.add(locator)
            path = f"{results}?maxRecords={self._page_rows}&locator={locator}"

    def open(self, path: str) -> tuple[Mapping[str, str], int]:
        """Asks for the page; its headers, and the rows they announce."""
        headers, body = self._reader.open(path)
        with self._lock:
            self._opened[path] = (headers, body)
            oldest = next(iter(self._opened)) if len(self._opened) > OPENED_MAX else None
            dropped = self._opened.pop(oldest) if oldest is not None else None
        if dropped is not None:
            dropped[1].close()
        return headers, announced_rows(headers, path)

    def take(self, path: str) -> Opened | None:
        """The page's answer if it is open; from any thread."""
        with self._lock:
            return self._opened.pop(path, None)

    def close(self) -> None:
        with self._lock:
            opened, self._opened = list(self._opened.values()), {}
        for _, body in opened:
            body.close()

    def _follow(self, job: str, answer: Mapping[str, Any]) -> Iterator[str]:
        object, seen = f"{self._object}, job {job}", set[str]()
        while True:
            # The guide spells both keys in two ways.
            for page in answer.get("resultPages") or answer.get("resultpages") or ():
                link = _require_path(object, page["resultUrl"])
                if link in seen or len(seen) >= LINKS_MAX:
                    raise DataError("list Bulk pages", object, f"the list names {link} twice or does not end", HINT)
                seen.add(link)
                yield link
            further = answer.get("nextRecordsUrl") or answer.get("nextRecordUrl")
            if answer.get("done", not further):
                return
            if not further or further in seen:
                raise DataError("list Bulk pages", object, "the list is not done and names no further part", HINT)
            seen.add(further)
            answer = self._transport.fetch_json(Call("list Bulk pages", object, _require_path(object, further)))


def _require_path(object: str, link: str) -> str:
    if not link.startswith("/services/") or "//" in link.partition("?")[0]:
        raise DataError("list Bulk pages", object, f"a page's address is not a path of this org: {link[:100]}", HINT)
    return link
