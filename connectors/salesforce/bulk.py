"""A window read by Bulk API 2.0: jobs, and their result pages as slices (VALUE-RESUME).

The window is a list of parts, one job each: one part, or as many as its rows ask for (``cuts``). A job that fails for
its size is split in two; what Bulk refuses goes to REST. What identifies the jobs is remembered the moment each one
exists, so a killed run leaves none behind: the next run goes on with those that answer the same query, and removes the
others. The last part's job is made when all others have ended (``cuts``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import pyarrow as pa

from syncline.connectors.connector import Json, Outcome, Slice, StreamSchema, Window
from syncline.connectors.errors import Stopped, SynclineError, Transient
from syncline.connectors.salesforce.cuts import CUTS_MAX, Cuts
from syncline.connectors.salesforce.faults import Refused
from syncline.connectors.salesforce.jobs import Ended, Jobs, NotByBulk, Stuck
from syncline.connectors.salesforce.listing import Listing, Tally
from syncline.connectors.salesforce.results import PageReader, Pages
from syncline.connectors.salesforce.settings import Settings
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.soql import fits_url, select
from syncline.connectors.salesforce.spans import bounds, halves, tiles, window_from
from syncline.connectors.salesforce.transport import Call, Transport

JOBS_AHEAD: Final = 3
"""Jobs that the org has at once: while one is waited for, it works at those that follow."""
SPLITS_MAX: Final = 15
"""How many failed jobs are split in one run. The halves are remembered, so the next run goes on from there."""
RESTARTS_MAX: Final = 2
"""How often a job that cannot be split, or was aborted by somebody, is made anew."""
SLICES_MIN: Final = 16
"""As long as there are fewer slices, each is one page: enough for the threads or workers that share them."""
SLICE_ROWS_MIN: Final = 10_000
"""Fewer are not worth a look at how many rows a page has."""
SLICE_VALUES_MAX: Final = 32_000_000
"""Rows times columns of a slice of several pages. A slice becomes a file, and the practice org's Accounts land as some
3 bytes a value: about 100 MB, the least that Snowflake advises for a file to be copied (Snowflake guide, file sizing).
"""


@dataclass(slots=True)
class Part:
    """A piece of the window and its job. ``rows`` is known once the job has ended, ``pages`` is how many of its result
    make a slice."""

    window: Window
    query: str
    job: str | None = None
    rows: int | None = None
    running: bool = True
    pages: int | None = None
    by_rest: bool = False
    restarts: int = RESTARTS_MAX


class BulkReading:
    """One window of one stream by Bulk; ``rows`` as ``plan`` counted. ``slices`` by one thread, ``read`` by many."""

    def __init__(
        self,
        transport: Transport,
        stream: StreamSchema,
        shape: Shape,
        window: Window,
        *,
        settings: Settings,
        earliest: datetime,
        rows: int | None,
    ) -> None:
        self._transport = transport
        self._stream = stream
        self._shape = shape
        self._window = window
        self._settings = settings
        self._earliest = earliest
        self._rows = rows
        self._refused = ""
        self._cuts: Cuts
        self._remember: Callable[[Json], None]
        self._jobs = Jobs(transport, stream.name, settings.job_deadline_s)
        self.pages = Pages()
        self._reader = PageReader(transport, shape, self.pages)
        self._listing = Listing(transport, stream.name, self._jobs, self._reader, settings.page_rows)
        self._parts: list[Part] = []
        self._splits = SPLITS_MAX
        self._tallies: dict[str, Tally] = {}

    @property
    def rows(self) -> int | None:
        """The jobs' own count, once all have ended and none is left to REST."""
        counts = [part.rows for part in self._parts if not part.by_rest]
        if len(counts) < len(self._parts) or not counts:
            return None
        return None if None in counts else sum(count or 0 for count in counts)

    def slices(
        self,
        resume: Json | None,
        cuts: Cuts,
        remember: Callable[[Json], None],
        by_rest: Callable[[Window, str], Slice],
    ) -> Iterator[Slice]:
        """Every page of every part; a part that Bulk refuses comes from ``by_rest`` with the reason."""
        self._cuts, self._remember = cuts, remember
        if not self._resumed(resume):
            self._parts = [self._part(each) for each in cuts.parts(self._window, self._rows, self._settings.part_rows)]
        index = 0
        while index < len(self._parts):
            part = self._parts[index]
            # A job made now would end before the parts that REST reads: what is edited until then would be in neither.
            part.by_rest |= self._is_last(part) and any(each.by_rest for each in self._parts[:index])
            if part.by_rest:
                yield by_rest(part.window, self._refused)
                index += 1
                continue
            try:
                self._begin(index)
                ended = self._wait(part)
            except NotByBulk as verdict:
                self._leave_to_rest(index, str(verdict))
                continue
            if ended.state == "JobComplete":
                part.rows = ended.rows
                yield from self._slices_of(part)
                index += 1
            else:
                self._recover(index, ended)

    def read(self, slice: Slice) -> Iterator[pa.RecordBatch]:
        """The slice's pages, one after another; whoever reads the last page of a job checks the job's count."""
        tally = self._tallies.get(str(slice.params["job"]))
        for path in slice.params["paths"]:
            rows_read = 0
            for rows in self._reader.read(path, self._listing.take(path)):
                rows_read += rows.num_rows
                yield rows
            if tally is not None:
                tally.add(path, rows_read)

    def close(self, outcome: Outcome, left: Json | None = None) -> None:
        """See ``Extraction.close``: the jobs are removed unless they are ``kept``."""
        for job, version in _jobs_of(left):
            self._jobs.remove(job, running=False, version=version)
        self._listing.close()
        if outcome != "kept":
            self._jobs.remove_all([(part.job, part.running) for part in self._parts if part.job is not None])

    # Jobs

    def _begin(self, index: int) -> None:
        """Makes the job of this part and those of the next ones: the last part's not before all others have ended."""
        for place in range(index, min(index + JOBS_AHEAD, len(self._parts))):
            part, ahead = self._parts[place], place > index
            if part.job is not None or part.by_rest or (ahead and self._is_last(part)):
                continue
            try:
                part.job, part.running = self._jobs.create(part.query), True
            except (NotByBulk, SynclineError) as error:
                if ahead and not isinstance(error, Stopped):
                    return  # said again when it is its turn: until then there are pages to read
                raise
            self._remember(self._token())

    def _wait(self, part: Part) -> Ended:
        assert part.job is not None
        try:
            ended = self._jobs.wait(part.job)
        except Stuck:
            self._drop(part)
            raise
        part.running = False
        if ended.state == "Failed" and ended.not_by_bulk:
            self._drop(part)
            raise NotByBulk(ended.message)
        return ended

    def _drop(self, part: Part) -> None:
        """Removes the part's job, and remembers that it is gone before anything else can go wrong."""
        assert part.job is not None
        self._jobs.remove(part.job, part.running)
        part.job = part.pages = None
        self._remember(self._token())

    def _is_last(self, part: Part) -> bool:
        return self._cuts.is_last(part.window, self._window)

    def _leave_to_rest(self, index: int, reason: str) -> None:
        part, self._refused = self._parts[index], reason
        rows = self._rows if part.window == self._window else self._cuts.rows_in(part.window)
        room = CUTS_MAX - len(self._parts)
        windows = self._cuts.parts(part.window, rows, self._settings.rest_part_rows, room)
        self._parts[index : index + 1] = [replace(self._part(each), by_rest=True) for each in windows]
        self._remember(self._token())

    def _recover(self, index: int, ended: Ended) -> None:
        """Splits a failed part, or has its job made anew.

        Raises:
            Transient: neither can be done any more.
        """
        part = self._parts[index]
        job = part.job
        self._drop(part)
        failed = self._stream.cursor and ended.state == "Failed"
        split = halves(part.window, self._earliest) if failed and self._splits > 0 else None
        if split:
            self._splits -= 1
            self._parts[index : index + 1] = [self._part(window) for window in split]
            self._remember(self._token())
        elif part.restarts > 0:
            part.restarts -= 1
        else:
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
        for pages in self._pages(part, part.job):
            paths = [path for path, _ in pages]
            for path in paths:
                tally.expect(path)
            known = [rows for _, rows in pages if rows is not None]
            yield Slice(
                f"{part.job}-{_short(paths)}",
                {"api": "bulk", "job": part.job, "paths": paths, **self._settled(), **bounds(part.window)},
                rows_expected=sum(known) if len(known) == len(pages) else None,
                result=part.job,
                result_rows=part.rows,
            )
        tally.close_list()

    def _pages(self, part: Part, job: str) -> Iterator[Sequence[tuple[str, int | None]]]:
        """The pages that make each slice, with their rows where they are known beforehand."""
        one_page = part.rows is not None and part.rows <= self._settings.page_rows
        links = None if one_page else self._listing.links(job)
        if links is None:
            for page in self._listing.serial(job):
                yield [page]
            return
        group: list[tuple[str, int | None]] = []
        for link in links:
            if part.pages is None:
                part.pages = self._pages_per_slice(part, link)
                self._remember(self._token())
            group.append((link, None))
            if len(group) == part.pages:
                yield group
                group = []
        if group:
            yield group

    def _pages_per_slice(self, part: Part, first: str) -> int:
        """The list of pages does not say what they hold; the first one does, and the others hold as much."""
        rows = max(part.rows or 0, self._rows or 0)
        slice_rows = min(rows // SLICES_MIN, SLICE_VALUES_MAX // len(self._shape.fields))
        if slice_rows < SLICE_ROWS_MIN:
            return 1
        _, page_rows = self._listing.open(first)
        return max(1, slice_rows // max(1, page_rows))

    # Parts, as they begin and as they are remembered

    def _part(self, window: Window) -> Part:
        return Part(window, select(self._stream, self._shape.fields, window))

    def _settled(self) -> dict[str, Json]:
        return {"settled": self._cuts.settled.isoformat()}

    def _token(self) -> Json:
        """What a later run needs: the jobs, what they were asked, and how their pages are cut."""
        return {
            "api": "bulk",
            "version": self._transport.api_version,
            "page_rows": self._settings.page_rows,
            "refused": self._refused,
            **self._settled(),
            "parts": [
                {
                    **bounds(part.window),
                    "query": _short([part.query]),
                    "job": part.job,
                    "pages": part.pages,
                    "by_rest": part.by_rest,
                }
                for part in self._parts
            ],
        }

    def _resumed(self, resume: Json | None) -> bool:
        """Takes over the remembered parts if they are this very window. What is left of their jobs is used, the rest is
        made anew; all are removed if it is another window."""
        if not isinstance(resume, dict) or resume.get("api") != "bulk":
            return False
        same = (resume["version"], resume["page_rows"]) == (self._transport.api_version, self._settings.page_rows)
        if not (same and (parts := self._ours(resume["parts"]))):
            for job, version in _jobs_of(resume):
                self._jobs.remove(job, running=True, version=version)
            return False
        self._parts, self._refused = parts, resume["refused"]  # known before anything is asked: a stop removes them
        anew = False
        for part in parts:
            if part.job is not None and self._jobs.look(part.job) in (None, "Failed", "Aborted"):
                part.running = False
                self._drop(part)
            # What lies above the settled line must be read later than all that is read now.
            elif part.job is not None and anew and part.window.high > self._cuts.settled:
                self._drop(part)
            anew |= part.job is None
        return True

    def _ours(self, remembered: Sequence[Json]) -> list[Part] | None:
        parts = [self._part(window_from(each)) for each in remembered]
        for part, each in zip(parts, remembered, strict=True):
            if each["query"] != _short([part.query]):
                return None
            part.job, part.pages, part.by_rest = each["job"], each["pages"], each["by_rest"]
        return parts if tiles(self._window, (part.window for part in parts)) else None


def _jobs_of(token: Json | None) -> list[tuple[str, str]]:
    """The jobs that a run remembered, and the API version they were made with."""
    if not isinstance(token, dict) or token.get("api") != "bulk":
        return []
    return [(part["job"], token["version"]) for part in token["parts"] if part["job"] is not None]


def _short(texts: Sequence[str]) -> str:
    """A name that depends on nothing but what is asked."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
