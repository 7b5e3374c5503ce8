"""One window of one stream being read: which road, its slices, and what became of it.

The road was chosen by ``plan``; if Bulk then refuses the query, REST takes its place, part by part, and the report says
so. Every slice names its road, so a slice remembered from an earlier run is read the way it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import pyarrow as pa

from syncline.connectors.connector import Batch, Forecast, Json, Outcome, Slice, StreamSchema, Window
from syncline.connectors.errors import DataError
from syncline.connectors.salesforce.bulk import BulkReading
from syncline.connectors.salesforce.cuts import Cuts
from syncline.connectors.salesforce.deletes import DeleteLog
from syncline.connectors.salesforce.departures import LEFT, Departures
from syncline.connectors.salesforce.rest import Notes, RestReading
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.spans import bounds, label, tiles, window_from, window_of
from syncline.connectors.salesforce.wide import WideReading

BULK: Final = "bulk"
REST: Final = "rest"


class SalesforceExtraction:
    """The port's Extraction; its promises are there. ``log`` and ``departures`` are ``None`` where not asked for.

    ``told`` is what the log said when the rows were counted. It is believed where none are read: of rows that are read
    later, some may be gone by then.
    """

    def __init__(
        self,
        stream: StreamSchema,
        window: Window,
        shape: Shape,
        forecast: Forecast,
        notes: Notes,
        *,
        rest: Callable[[], RestReading | WideReading],
        rest_part_rows: int,
        bulk: BulkReading,
        cuts: Cuts,
        log: DeleteLog | None,
        told: Json | None,
        departures: Departures | None,
        now: Callable[[], datetime],
    ) -> None:
        self._stream = stream
        self._window = window
        self._shape = shape
        self._forecast = forecast
        self._notes = notes
        self._make_rest = rest
        self._rest: RestReading | WideReading | None = None
        self._rest_part_rows = rest_part_rows
        self._bulk = bulk
        self._cuts = cuts
        self._log = log
        self._told = told
        self._departures = departures
        self._now = now

    @property
    def forecast(self) -> Forecast:
        """Counted by ``plan``; by Bulk, once its jobs have ended, their own and exact count."""
        rows = self._bulk.rows
        return self._forecast if rows is None else replace(self._forecast, rows=rows)

    @property
    def warnings(self) -> Sequence[str]:
        mended = self._notes.mended + self._bulk.pages.mended
        halves = f"{mended} texts of {self._stream.name} held half a surrogate pair, which reads as U+FFFD"
        return [*self._notes.texts, *([halves] if mended else [])]

    def slices(self, resume: Json | None, remember: Callable[[Json], None]) -> Iterator[Slice]:
        """An extraction that goes on keeps to the road it began on, whatever the rows count by now.

        An increment that has no rows, by the org's own count, asks for none.
        """
        begun_by = resume.get("api") if isinstance(resume, dict) else None
        by_bulk = (begun_by or self._forecast.api) == BULK
        if isinstance(resume, dict) and "settled" in resume:
            self._cuts = replace(self._cuts, settled=datetime.fromisoformat(resume["settled"]))
        empty = begun_by is None and is_empty(self._window, self._forecast.rows)
        if not empty:
            self._told = None
        parts: Sequence[Window] = ()
        if not by_bulk and not empty:
            self._forecast = replace(self._forecast, api=REST)
            parts = self._rest_parts(resume)
            settled = self._cuts.settled.isoformat()
            remember({"api": REST, "settled": settled, "parts": [bounds(part) for part in parts]})
        if self._departures is not None:
            # Before the rows: of two states with one stamp the later sequence number wins, and that is the row.
            yield self._departures.slice(self._window)
        if by_bulk and not empty:
            yield from self._bulk.slices(resume, self._cuts, remember, self._instead)
        yield from (self._rest_slice(part) for part in parts)
        if self._log is not None:
            yield self._log.slice(self._window)

    def read(self, slice: Slice) -> Iterator[Batch]:
        if slice.params["api"] == LEFT:
            assert self._departures is not None
            yield from self._departures.read(window_of(slice))
            return
        if slice.kind == "tombstones":
            assert self._log is not None
            yield from self._log.read(window_of(slice), self._now(), self._told)
            return
        for rows in self._bulk.read(slice) if slice.params["api"] == BULK else self._by_rest(slice):
            require_within(self._stream, slice, rows)
            yield from self._shape.batches(rows)

    def close(self, outcome: Outcome, left: Json | None = None) -> None:
        self._bulk.close(outcome, left)

    def _instead(self, window: Window, reason: str) -> Slice:
        self._notes.say(f"{self._stream.name} was read by REST, for Bulk refused it: {reason}")
        self._forecast = replace(self._forecast, api=REST)
        return self._rest_slice(window)

    def _rest_parts(self, resume: Json | None) -> Sequence[Window]:
        """The parts of a reading that goes on are those that it began with: its slices are named after them."""
        if isinstance(resume, dict):
            parts = [window_from(each) for each in resume.get("parts", [bounds(self._window)])]
            if tiles(self._window, parts):
                return parts
        return self._cuts.parts(self._window, self._forecast.rows, self._rest_part_rows)

    def _by_rest(self, slice: Slice) -> Iterator[pa.RecordBatch]:
        if self._rest is None:
            self._rest = self._make_rest()
        return self._rest.read(window_of(slice))

    def _rest_slice(self, window: Window) -> Slice:
        params = {"api": REST, "settled": self._cuts.settled.isoformat(), **bounds(window)}
        return Slice(f"rest-{label(window)}", params, last=self._cuts.is_last(window, self._window))


def require_within(stream: StreamSchema, slice: Slice, rows: pa.RecordBatch) -> None:
    """COMPLETE-WINDOW: an answer to another question has a right count of its own; a row from before the slice's part
    gives it away, and one from above it that no edit has moved there meanwhile, for edits move a record beyond the
    settled line. An answer to an earlier increment whose every row lies in the overlap is not noticed here.

    Below, to the second: stamps may be shown without their fraction.

    Raises:
        DataError: no answer to the part's query holds the row.
    """
    import pyarrow.compute as pc

    if stream.cursor not in rows.schema.names:
        return
    part, settled = window_of(slice), datetime.fromisoformat(slice.params["settled"])
    stamps, low = rows.column(stream.cursor), part.low.replace(microsecond=0) if part.low else None
    found = pc.min_max(stamps).as_py()
    if found["min"] is None or ((low is None or found["min"] >= low) and found["max"] < part.high):
        return
    for odd in pc.unique(stamps).drop_null().to_pylist():
        if (low is not None and odd < low) or part.high <= odd < settled:
            cause = f"COMPLETE-WINDOW: a row of {odd} came, asked was {part.low} to {part.high}: another query's answer"
            raise DataError("read window", stream.name, cause, "run again; if it stays, look for a proxy that caches")


def is_empty(window: Window, rows: int | None) -> bool:
    """Whether there is nothing to read. A whole read is made all the same: it would take every record for deleted."""
    return rows == 0 and window.low is not None
