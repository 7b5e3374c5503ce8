"""Records that are gone for good: hard deletes, emptied bins and what cascades, from the object's delete log.

The log (REST API guide, sObject Get Deleted) reaches back 15 days at most, ignores seconds, and also lists records that
were only moved to the bin or that live again. So the span is widened to whole minutes, every id is looked up before it
is believed, and whatever the log cannot vouch for is said in the report: MISSED is the phrase to look for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from syncline.connectors.connector import BATCH_ROWS_MAX, Batch, Json, Slice, StreamSchema, Window
from syncline.connectors.salesforce.columns import INSTANT
from syncline.connectors.salesforce.composite import address
from syncline.connectors.salesforce.faults import Refused
from syncline.connectors.salesforce.rest import Notes, Query
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.soql import DELETED_FIELD, by_ids, encoded_bytes, split_ids
from syncline.connectors.salesforce.spans import bounds, label
from syncline.connectors.salesforce.transport import Call, Transport

MISSED: Final = "deletes may have been missed, run verify"
LOG_REACH: Final = timedelta(days=15)
MINUTE: Final = timedelta(minutes=1)
SPAN_MIN: Final = timedelta(minutes=2)
COVERAGE_LAG_MAX: Final = timedelta(minutes=10)
LOOKUPS_MAX: Final = 20_000
"""Ids that are looked up, some 430 a request; beyond that the newest of row and tombstone decides unaided."""
KEY: Final = "Id"

_ID_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


@dataclass(frozen=True, slots=True)
class Gone:
    """One entry of the log. ``at`` is the instant of deletion; an edit in the same second is older (NEWEST-WINS)."""

    id: str
    at: datetime


class DeleteLog:
    """The purged records of one stream in one window, as the tombstones of one slice."""

    def __init__(self, transport: Transport, stream: StreamSchema, flagged: bool, notes: Notes) -> None:
        self._transport = transport
        self._stream = stream
        self._flagged = flagged
        self._notes = notes
        self._query = Query(transport, notes)

    def slice(self, window: Window) -> Slice:
        return Slice(f"deleted-{label(window)}", {"api": "deleted", **bounds(window)}, kind="tombstones")

    def address(self, window: Window, now: datetime) -> str | None:
        """Where the window's entries stand, for another request to ask; ``None`` where the log begins later."""
        start, end = minutes_of(window)
        return None if start < _reach(now) else address(self._path(), _params(start, max(end, start + SPAN_MIN)))

    def read(self, window: Window, now: datetime, told: Json | None = None) -> Iterator[Batch]:
        """Key and instant of deletion of each record that is gone.

        ``now`` is the source's clock; ``told`` is what stood at ``address``.
        """
        assert window.low is not None
        start, end = minutes_of(window)
        reach = _reach(now)
        if start < reach:
            self._warn(f"the delete log of {self._stream.name} reaches 15 days back, the window begins {window.low}")
            start = reach
        end = max(end, start + SPAN_MIN)
        found = self._listed(start, end, window) if told is None else self._entries(told, start, window)
        kept = self._believed([each for each in found if window.low <= each.at < window.high], window)
        for first in range(0, len(kept), BATCH_ROWS_MAX):
            yield self._batch(kept[first : first + BATCH_ROWS_MAX])

    def _listed(self, start: datetime, end: datetime, window: Window) -> list[Gone]:
        """The log's entries; a span with more than 600,000 is halved."""
        try:
            answer = self._transport.fetch_json(
                Call("read deletes", self._stream.name, self._path(), _params(start, end))
            )
        except Refused as refused:
            middle = _ceil(start + (end - start) / 2)
            if refused.answer.code == "EXCEEDED_ID_LIMIT" and middle - start >= SPAN_MIN <= end - middle:
                return [*self._listed(start, middle, window), *self._listed(middle, end, window)]
            self._warn(f"the delete log of {self._stream.name} was refused ({refused.answer})")
            return []
        return self._entries(answer, start, window)

    def _path(self) -> str:
        return self._transport.data_path("sobjects", self._stream.name, "deleted/")

    def _entries(self, answer: Mapping[str, Any], start: datetime, window: Window) -> list[Gone]:
        self._check_coverage(answer, start, window)
        return [Gone(id18(each["id"]), instant(each["deletedDate"])) for each in answer["deletedRecords"]]

    def _check_coverage(self, answer: Mapping[str, Any], start: datetime, window: Window) -> None:
        earliest, latest = answer.get("earliestDateAvailable"), answer.get("latestDateCovered")
        if earliest and window.low and instant(earliest) > max(window.low, start):
            self._warn(f"the delete log of {self._stream.name} begins {earliest}, the window {window.low}")
        if latest and instant(latest) + COVERAGE_LAG_MAX < window.high:
            self._warn(f"the delete log of {self._stream.name} ends {latest} so far, the window {window.high}")

    def _warn(self, cause: str) -> None:
        self._notes.say(f"{cause}: {MISSED}")

    def _believed(self, found: Sequence[Gone], window: Window) -> Sequence[Gone]:
        """Entries whose record does not live, nor comes anyway as a row of this window."""
        newest = {each.id: each for each in sorted(found, key=lambda each: each.at)}
        if len(newest) > LOOKUPS_MAX:
            self._notes.say(f"{len(newest)} deletions of {self._stream.name} were not looked up one by one, run verify")
            return list(newest.values())
        for some in split_ids(list(newest), encoded_bytes(by_ids(self._stream, self._fields(), ()))):
            for rows in self._look_up(some):
                for each in rows:
                    if not each.get(DELETED_FIELD) or self._comes_as_row(each, window):
                        newest.pop(each[KEY], None)
        return list(newest.values())

    def _look_up(self, ids: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        fields = self._fields()
        columns = [pa.field(each, INSTANT if each == self._stream.cursor else pa.string()) for each in fields]
        shape = Shape(self._stream.name, pa.schema([each for each in columns if each.name != DELETED_FIELD]), fields,
                      frozenset())  # fmt: skip
        for rows, _ in self._query.rows(shape, by_ids(self._stream, fields, ids)):
            yield rows.to_pylist()

    def _fields(self) -> tuple[str, ...]:
        fields = (KEY, *((DELETED_FIELD,) if self._flagged else ()), *([self._stream.cursor or KEY]))
        return tuple(dict.fromkeys(fields))

    def _comes_as_row(self, row: Mapping[str, Any], window: Window) -> bool:
        stamp = row.get(self._stream.cursor or "")
        if self._stream.where or not isinstance(stamp, datetime) or window.low is None:
            return False
        return window.low <= stamp < window.high

    def _batch(self, gone: Sequence[Gone]) -> Batch:
        columns = self._stream.columns
        names = [*self._stream.key, *([self._stream.cursor] if self._stream.cursor else [])]
        values = [pa.array([each.id for each in gone], pa.string())]
        if self._stream.cursor:
            values.append(pa.array([each.at for each in gone], INSTANT))
        return Batch(pa.RecordBatch.from_arrays(values, schema=pa.schema([columns.field(name) for name in names])))


def minutes_of(window: Window) -> tuple[datetime, datetime]:
    """The window in whole minutes, never narrower, and longer than the least span that is accepted."""
    assert window.low is not None
    start, end = window.low.astimezone(UTC).replace(second=0, microsecond=0), _ceil(window.high)
    return min(start, end - SPAN_MIN), end


def _reach(now: datetime) -> datetime:
    """The first whole minute that the log may be asked for."""
    return _ceil(now - LOG_REACH) + MINUTE


def _params(start: datetime, end: datetime) -> dict[str, str]:
    return {"start": start.isoformat(), "end": end.isoformat()}


def _ceil(at: datetime) -> datetime:
    floor = at.astimezone(UTC).replace(second=0, microsecond=0)
    return floor if floor == at else floor + MINUTE


def instant(text: str) -> datetime:
    """``2024-01-15T00:10:00.000+0000`` and its kin, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def id18(text: str) -> str:
    """The 18-character form of an id: three more characters tell the case of each five (Salesforce help, ids)."""
    if len(text) != 15:
        return text
    fives = (text[start : start + 5] for start in (0, 5, 10))
    return text + "".join(_ID_DIGITS[sum(each.isupper() << at for at, each in enumerate(five))] for five in fives)
