"""A window read by Bulk API 2.0: jobs, and their result pages as slices (VALUE-RESUME).

The window is a list of parts, one job each; it starts as one part, and a job that fails for its size is split in two.
What identifies the jobs is remembered the moment each one exists, so a killed run leaves none behind: the next run goes
on with them if they answer the same query, and removes them otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any, Final

import pyarrow as pa

from syncline.connectors.connector import Json, Outcome, Slice, StreamSchema, Window
from syncline.connectors.errors import CountMismatch, DataError, Transient
from syncline.connectors.salesforce.body import Body
from syncline.connectors.salesforce.faults import Refused
from syncline.connectors.salesforce.jobs import Ended, Jobs, NotByBulk, Stuck
from syncline.connectors.salesforce.results import HINT, LOCATOR_HEADER, PageReader, Pages, announced_rows
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.soql import fits_url, select
from syncline.connectors.salesforce.spans import bounds, halves, tiles, window_from
from syncline.connectors.salesforce.transport import Call, Transport

PARTS_MAX: Final = 16
RESTARTS_MAX: Final = 2
"""How often a job that cannot be split, or was aborted by somebody, is made anew."""
OPENED_MAX: Final = 4
LINKS_MAX: Final = 100_000
RESULT_PAGES_SINCE: Final = 58.0
LAST_LOCATOR: Final = "null"


@dataclass(slots=True)
class Part:
    """A piece of the window and its job. ``rows`` is known once the job has ended."""

    window: Window
    query: str
    job: str | None = None
    rows: int | None = None
    running: bool = True
    by_rest: bool = False


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


class BulkReading:
    """One window of one stream by Bulk. ``slices`` from one thread; ``read`` from many."""

    def __init__(
        self,
        transport: Transport,
        stream: StreamSchema,
        shape: Shape,
        window: Window,
        *,
        page_rows: int,
        deadline_s: float,
        earliest: datetime,
    ) -> None:
        self._transport = transport
        self._stream = stream
        self._shape = shape
        self._window = window
        self._page_rows = page_rows
        self._earliest = earliest
        self._jobs = Jobs(transport, stream.name, deadline_s)
        self.pages = Pages()
        self._reader = PageReader(transport, shape, self.pages)
        self._parts: list[Part] = []
        self._tallies: dict[str, Tally] = {}
        self._opened: dict[str, tuple[Mapping[str, str], Body]] = {}
        self._lock = Lock()

    @property
    def rows(self) -> int | None:
        """The jobs' own count, once all have ended and none is left to REST."""
        counts = [part.rows for part in self._parts if not part.by_rest]
        if len(counts) < len(self._parts) or not counts:
            return None
        return None if None in counts else sum(count or 0 for count in counts)

    def slices(
        self, resume: Json | None, remember: Callable[[Json], None], by_rest: Callable[[Window, str], Iterator[Slice]]
    ) -> Iterator[Slice]:
        """Every page of every part; a part that Bulk refuses comes from ``by_rest`` with the reason."""
        self._parts = self._resumed(resume)
        restarts, index = RESTARTS_MAX, 0
        while index < len(self._parts):
            part = self._parts[index]
            try:
                ended = self._run(part, remember)
            except NotByBulk as verdict:
                part.by_rest = True
                yield from by_rest(part.window, str(verdict))
                index += 1
                continue
            if ended.state == "JobComplete":
                part.rows = ended.rows
                yield from self._slices_of(part)
                index += 1
                continue
            restarts -= self._recover(index, ended, restarts)
            remember(self._token())

    def read(self, slice: Slice) -> Iterator[pa.RecordBatch]:
        path, rows_read = str(slice.params["path"]), 0
        with self._lock:
            opened = self._opened.pop(path, None)
        for rows in self._reader.read(path, opened):
            rows_read += rows.num_rows
            yield rows
        tally = self._tallies.get(str(slice.params["job"]))
        if tally is not None:
            tally.add(path, rows_read)

    def close(self, outcome: Outcome, left: Json | None = None) -> None:
        for job, version in _jobs_of(left):
            self._jobs.remove(job, running=False, version=version)
        with self._lock:
            opened, self._opened = list(self._opened.values()), {}
        for _, body in opened:
            body.close()
        if outcome == "kept":
            return
        for part in self._parts:
            if part.job is not None:
                self._jobs.remove(part.job, part.running)

    def _run(self, part: Part, remember: Callable[[Json], None]) -> Ended:
        if part.job is None:
            part.job, part.running = self._jobs.create(part.query), True
            remember(self._token())
        try:
            ended = self._jobs.wait(part.job)
        except Stuck:
            self._jobs.remove(part.job, running=True)
            part.job = None
            remember(self._token())
            raise
        part.running = False
        if ended.state == "Failed" and ended.not_by_bulk:
            self._jobs.remove(part.job, running=False)
            part.job = None
            raise NotByBulk(ended.message)
        return ended

    def _recover(self, index: int, ended: Ended, restarts: int) -> int:
        """Splits a failed part, or makes its job anew; returns how many restarts that took."""
        part = self._parts[index]
        assert part.job is not None
        self._jobs.remove(part.job, running=False)
        job, part.job = part.job, None
        split = halves(part.window, self._earliest) if self._stream.cursor and ended.state == "Failed" else None
        if split and len(self._parts) < PARTS_MAX:
            self._parts[index : index + 1] = [self._part(window) for window in split]
            return 0
        if restarts > 0:
            return 1
        cause = f"it ended as {ended.state}: {ended.message or self._why(part)}"
        hint = "run again; a narrower `where` or fewer formula fields make the query lighter"
        raise Transient("run Bulk job", f"{self._stream.name}, job {job}", cause, hint)

    def _why(self, part: Part) -> str:
        """A failed job need not say why; the same query by REST often does."""
        call = Call(
            "ask why the job failed",
            self._stream.name,
            self._transport.data_path("queryAll"),
            params={"q": f"{part.query} LIMIT 1"},
        )
        if not fits_url(part.query):
            return "it gave no reason"
        try:
            self._transport.fetch_json(call)
        except (Refused, Transient) as error:
            return error.cause
        return "it gave no reason, and the same query by REST works"

    # Pages

    def _slices_of(self, part: Part) -> Iterator[Slice]:
        assert part.job is not None
        if part.rows == 0:
            return
        tally = self._tallies[part.job] = Tally(self._stream.name, part.job, part.rows)
        one_page = part.rows is not None and part.rows <= self._page_rows
        links = None if one_page else self._links(part.job)
        for path, rows in self._serial(part.job) if links is None else ((link, None) for link in links):
            tally.expect(path)
            params = {"api": "bulk", "job": part.job, "path": path}
            yield Slice(
                f"{part.job}-{_short(path)}", params, rows_expected=rows, result=part.job, result_rows=part.rows
            )
        tally.close_list()

    def _links(self, job: str) -> Iterator[str] | None:
        """The pages by ``/resultPages``, five at a time; ``None`` where the API has no such thing."""
        if float(self._transport.api_version) < RESULT_PAGES_SINCE:
            return None
        first = self._jobs.path(job, "resultPages")
        try:
            answer = self._transport.fetch_json(Call("list Bulk pages", f"{self._stream.name}, job {job}", first))
        except Refused:
            return None
        return self._follow(job, answer)

    def _follow(self, job: str, answer: Mapping[str, Any]) -> Iterator[str]:
        object, seen = f"{self._stream.name}, job {job}", set[str]()
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

    def _serial(self, job: str) -> Iterator[tuple[str, int]]:
        """Page after page by locator. Each answer stays open, unread, for whoever reads the slice."""
        results, locators = self._jobs.path(job, "results"), set[str]()
        path = f"{results}?maxRecords={self._page_rows}"
        while True:
            headers, body = self._reader.open(path)
            rows, locator = announced_rows(headers, path), headers.get(LOCATOR_HEADER)
            self._keep_open(path, headers, body)
            yield path, rows
            if locator == LAST_LOCATOR:
                return
            if not locator or locator in locators:
                cause = f"the page's {LOCATOR_HEADER} is {locator!r}: missing, or that of an earlier page"
                raise DataError("read Bulk page", f"{self._stream.name}, {path}", cause, HINT)
            locators.add(locator)
            path = f"{results}?maxRecords={self._page_rows}&locator={locator}"

    def _keep_open(self, path: str, headers: Mapping[str, str], body: Body) -> None:
        with self._lock:
            self._opened[path] = (headers, body)
            oldest = next(iter(self._opened)) if len(self._opened) > OPENED_MAX else None
            dropped = self._opened.pop(oldest) if oldest is not None else None
        if dropped is not None:
            dropped[1].close()

    # Resume

    def _part(self, window: Window) -> Part:
        return Part(window, select(self._stream, self._shape.fields, window))

    def _token(self) -> Json:
        """What a later run needs: the jobs, what they were asked, and how their pages are cut."""
        return {
            "api": "bulk",
            "version": self._transport.api_version,
            "page_rows": self._page_rows,
            "parts": [{**bounds(part.window), "query": part.query, "job": part.job} for part in self._parts],
        }

    def _resumed(self, resume: Json | None) -> list[Part]:
        """The remembered parts if they are this very window and their jobs are still there; else one new part."""
        if not isinstance(resume, dict) or resume.get("api") != "bulk":
            return [self._part(self._window)]
        parts = [Part(window_from(each), each["query"], each["job"]) for each in resume["parts"]]
        same = resume["version"] == self._transport.api_version and resume["page_rows"] == self._page_rows
        if same and self._are_ours(parts) and self._are_there(parts):
            return parts
        for job, version in _jobs_of(resume):
            self._jobs.remove(job, running=True, version=version)
        return [self._part(self._window)]

    def _are_ours(self, parts: Sequence[Part]) -> bool:
        whole = tiles(self._window, (part.window for part in parts))
        return whole and all(part.query == self._part(part.window).query for part in parts)

    def _are_there(self, parts: Sequence[Part]) -> bool:
        return all(part.job is None or self._jobs.look(part.job) not in (None, "Failed", "Aborted") for part in parts)


def _jobs_of(token: Json | None) -> list[tuple[str, str]]:
    """The jobs that a run remembered, and the API version they were made with."""
    if not isinstance(token, dict) or token.get("api") != "bulk":
        return []
    return [(part["job"], token["version"]) for part in token["parts"] if part["job"] is not None]


def _require_path(object: str, link: str) -> str:
    if not link.startswith("/services/") or "//" in link.partition("?")[0]:
        raise DataError("list Bulk pages", object, f"a page's address is not a path of this org: {link[:100]}", HINT)
    return link


def _short(path: str) -> str:
    """A name for a page that depends on nothing but what it is asked with."""
    return hashlib.sha256(path.encode()).hexdigest()[:12]
