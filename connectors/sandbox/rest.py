"""The REST side: versions, describe, query with paging, getUpdated and getDeleted, limits (REST API guide)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

import numpy as np
import pyarrow.compute as pc

from syncline.connectors.connector import Json
from syncline.connectors.sandbox.clock import DAY_MS, http_date, rest_text, to_ms, wire_text
from syncline.connectors.sandbox.core import VERSION_LATEST, VERSION_LEAST, Core
from syncline.connectors.sandbox.http import ApiError, Chunk, Request, Response, json_response, not_found
from syncline.connectors.sandbox.identifiers import DIGITS, id_texts, normalise
from syncline.connectors.sandbox.meaning import Meaning
from syncline.connectors.sandbox.pages import json_rows
from syncline.connectors.sandbox.schema import ObjectType
from syncline.connectors.sandbox.soql import SoqlError
from syncline.connectors.sandbox.store import Selection, Table, deleted_mask

CURSORS_MAX: Final = 500
REPLICATION_IDS_MAX: Final = 600_000
_HINT: Final = re.compile(r"\s*batchSize\s*=\s*(\d+)\s*\Z")


@dataclass(slots=True)
class Cursor:
    """An open query: its rows, and its pages by the suffix of their locator."""

    meaning: Meaning
    selection: Selection
    include_deleted: bool
    verb: str
    expires_ms: int
    parents: dict[str, Table]
    pages: dict[str, tuple[int, int]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)


class Rest:
    """Answers for everything below ``/services/data`` but Bulk."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._cursors: dict[str, Cursor] = {}

    # Discovery

    def versions(self) -> Response:
        seasons = ("Spring", "Summer", "Winter")
        told = []
        for number in range(VERSION_LEAST, VERSION_LATEST + 1):
            season, year = seasons[number % 3], 4 + number // 3
            label = f"{season} '{year + (1 if season == 'Winter' else 0)}"
            told.append({"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"})
        return json_response(told)

    def resources(self, version: str) -> Response:
        base = f"/services/data/v{version}"
        return json_response({name: f"{base}/{name}" for name in ("sobjects", "query", "queryAll", "limits", "jobs")})

    def sobjects(self, request: Request, version: str) -> Response:
        seen = [kind for kind in self._core.types.values() if not kind.hidden]
        if unchanged := self._unchanged(request, max(kind.changed_ms for kind in seen)):
            return unchanged
        told = {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [kind.summary(version) for kind in seen]}
        return json_response(told)

    def describe(self, request: Request, version: str, name: str) -> Response:
        kind = self._visible(name)
        headers = {"Last-Modified": http_date(kind.changed_ms)}
        return self._unchanged(request, kind.changed_ms) or json_response(kind.describe(version), headers=headers)

    def _unchanged(self, request: Request, changed_ms: int) -> Response | None:
        for name in ("If-Modified-Since", "If-Unmodified-Since"):
            given = request.header(name)
            if not given:
                continue
            try:
                since_ms = to_ms(parsedate_to_datetime(given))
            except (ValueError, TypeError) as error:
                raise ApiError(400, "INVALID_HEADER", f"{name} is not an HTTP date: {given}") from error
            changed = changed_ms // 1000 * 1000 > since_ms
            if name == "If-Modified-Since" and not changed:
                return Response(304, {"Last-Modified": http_date(changed_ms)})
            if name == "If-Unmodified-Since" and changed:
                return Response(412)
        return None

    def _visible(self, name: str) -> ObjectType:
        kind = self._core.kind(name)
        if kind is None:
            raise not_found()
        return kind

    def basic(self, version: str, name: str) -> Response:
        return json_response({"objectDescribe": self._visible(name).summary(version), "recentItems": []})

    def record(self, request: Request, version: str, name: str, record_id: str) -> Response:
        """One row with every visible field; deleted ones are gone for this call."""
        kind = self._visible(name)
        full = normalise(record_id)
        if full is None or not kind.key_prefix or not full.startswith(kind.key_prefix):
            raise ApiError(400, "MALFORMED_ID", f"{kind.name} ID: id value of incorrect type: {record_id}", ["Id"])
        wanted = request.params.get("fields") or ",".join(field.name for field in kind.visible())
        meaning = self._understood(f"SELECT {wanted} FROM {kind.name} WHERE Id = '{full}'")
        selection = self._selected(meaning, include_deleted=False)
        if not selection.rows:
            raise not_found("Provided external ID field does not exist or is not accessible: " + record_id)
        return Response(200, _json_headers(), (self._records(meaning, selection, version, {}),), rows=1)

    # Query

    def query(self, request: Request, version: str, include_deleted: bool) -> Response:
        soql = request.params.get("q")
        if not soql:
            raise ApiError(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
        meaning = self._understood(soql)
        if meaning.query.count:
            count = self._selected(meaning, include_deleted).rows
            return json_response({"totalSize": count, "done": True, "records": []})
        rows_max = self._page_rows(request, meaning)
        selection = self._selected(meaning, include_deleted)
        expires_ms = self._core.clock.now_ms() + round(self._core.settings.locator_life_s * 1000)
        verb = self._core.settings.query_all_next if include_deleted else "query"
        cursor = Cursor(meaning, selection, include_deleted, verb, expires_ms, self._core.parents_of(meaning))
        self._cut_pages(cursor, rows_max)
        locator = "0r8" + "".join(self._core.random.choices(DIGITS, k=15))
        if len(cursor.pages) > 1:
            self._cursors[locator] = cursor
            while len(self._cursors) > CURSORS_MAX:
                del self._cursors[next(iter(self._cursors))]
        return self._page(cursor, locator, "0", version)

    def _page_rows(self, request: Request, meaning: Meaning) -> int:
        rows_max = self._core.settings.page_rows_max
        if hint := request.header("Sforce-Query-Options"):
            found = _HINT.match(hint)
            if found is None:
                raise ApiError(400, "INVALID_QUERY_OPTIONS", f"Sforce-Query-Options is malformed: {hint}")
            rows_max = min(rows_max, min(2_000, max(200, int(found.group(1)))))
        long_texts = sum(1 for c in meaning.columns if c.field.long_text and c.field.custom)
        return min(rows_max, 200) if long_texts >= 2 else rows_max

    def _cut_pages(self, cursor: Cursor, rows_max: int) -> None:
        """Decides every page when the query is made, so that a locator always means the same rows."""
        settings, random = self._core.settings, self._core.random
        start, total = 0, cursor.selection.rows
        while True:
            rows = random.randint(1, rows_max) if settings.uneven_pages else rows_max
            if settings.empty_pages and 0 < start < total:
                cursor.pages[f"{start}0"] = (start, 0)
            cursor.pages[str(start)] = (start, min(rows, total - start))
            start += rows
            if start >= total:
                return

    def more(self, version: str, locator: str) -> Response:
        name, _, suffix = locator.partition("-")
        cursor = self._cursors.get(name)
        settings = self._core.settings
        spent = cursor is not None and settings.single_use_locators and suffix in cursor.used
        if (
            cursor is None or suffix not in cursor.pages or spent
            or self._core.clock.now_ms() >= cursor.expires_ms
        ):  # fmt: skip
            raise ApiError(settings.locator_status, "INVALID_QUERY_LOCATOR", "invalid query locator")
        cursor.used.add(suffix)
        return self._page(cursor, name, suffix, version)

    def _page(self, cursor: Cursor, locator: str, suffix: str, version: str) -> Response:
        start, rows = cursor.pages[suffix]
        order = list(cursor.pages)
        number = order.index(suffix)
        page = cursor.selection.page(start, rows)
        if self._core.settings.live_pages:
            page = self._as_now(cursor, page)
        opening = f'{{"totalSize":{cursor.selection.rows},"done":{"false" if number + 1 < len(order) else "true"},'
        if number + 1 < len(order):
            opening += f'"nextRecordsUrl":"/services/data/v{version}/{cursor.verb}/{locator}-{order[number + 1]}",'
        return Response(200, _json_headers(), self._body(opening, cursor, page, version), rows=page.rows)

    def _body(self, opening: str, cursor: Cursor, page: Selection, version: str) -> Iterator[Chunk]:
        """Made when it is sent, outside the org's lock: the page's rows no longer change."""
        yield opening.encode() + b'"records":['
        if page.rows:
            yield self._records(cursor.meaning, page, version, cursor.parents)
        yield b"]}"

    def _as_now(self, cursor: Cursor, page: Selection) -> Selection:
        table = self._core.records.table(cursor.meaning.kind.name)
        positions = table.locate(page.serials())
        now = table.select(positions[positions >= 0])
        if cursor.include_deleted or "IsDeleted" not in cursor.meaning.kind.fields:
            return now
        return table.select(now.positions[~deleted_mask(now.column("IsDeleted"))])

    def _records(self, meaning: Meaning, page: Selection, version: str, parents: Mapping[str, Table]) -> memoryview:
        return json_rows(page, meaning.kind, meaning.columns, parents, self._core.settings.wire, version)

    def _understood(self, soql: str) -> Meaning:
        try:
            return self._core.understand(soql)
        except SoqlError as error:
            raise ApiError(400, error.code, error.message) from error

    def _selected(self, meaning: Meaning, include_deleted: bool) -> Selection:
        try:
            return self._core.select(meaning, include_deleted)
        except SoqlError as error:
            raise ApiError(400, error.code, error.message) from error

    # Replication

    def updated(self, request: Request, name: str) -> Response:
        kind, start_ms, end_ms = self._window(request, name, days=30)
        stamp = "SystemModstamp" if "SystemModstamp" in kind.fields else "LastModifiedDate"
        if stamp not in kind.fields:
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", f"{kind.name} has no modification stamp")
        rows = self._core.records.table(kind.name).everything()
        stamps = rows.column(stamp)
        within = pc.and_(pc.greater_equal(stamps, wire_text(start_ms)), pc.less(stamps, wire_text(end_ms)))
        hit = np.asarray(pc.fill_null(within, False))
        if "IsDeleted" in kind.fields:
            hit = hit & ~deleted_mask(rows.column("IsDeleted"))
        self._bounded(int(hit.sum()))
        ids = id_texts(kind.key_prefix, rows.serials()[hit]).to_pylist()
        return json_response({"ids": ids, "latestDateCovered": self._covered(end_ms)})

    def deleted(self, request: Request, name: str) -> Response:
        kind, start_ms, end_ms = self._window(request, name, days=15)
        log = self._core.records.logs[kind.name]
        hits = [(serial, at) for serial, at in log.deleted_ms.items() if start_ms <= at < end_ms]
        self._bounded(len(hits))
        ids = id_texts(kind.key_prefix, np.array([serial for serial, _ in hits], np.int64)).to_pylist()
        told = [{"id": i, "deletedDate": rest_text(at)} for i, (_, at) in zip(ids, hits, strict=True)]
        covered = self._covered(end_ms)
        earliest = rest_text(log.starts_ms)
        return json_response({"deletedRecords": told, "earliestDateAvailable": earliest, "latestDateCovered": covered})

    def _bounded(self, count: int) -> None:
        if count > REPLICATION_IDS_MAX:
            raise ApiError(400, "EXCEEDED_ID_LIMIT", f"more than {REPLICATION_IDS_MAX} ids in the time span")

    def _covered(self, end_ms: int) -> str:
        return rest_text(min(end_ms, self._core.latest_covered_ms()) // 60_000 * 60_000)

    def _window(self, request: Request, name: str, days: int) -> tuple[ObjectType, int, int]:
        """The object and the span asked for, cut to minutes and checked as the guide says."""
        kind = self._visible(name)
        if not kind.replicateable:
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", f"object type {kind.name} is not replicateable")
        start_ms, end_ms = (self._instant(request, key) // 60_000 * 60_000 for key in ("start", "end"))
        now_ms = self._core.clock.now_ms()
        if end_ms < start_ms:
            raise ApiError(400, "INVALID_REPLICATION_DATE", "endDate cannot be before startDate")
        if end_ms - start_ms <= 60_000:
            raise ApiError(400, "INVALID_REPLICATION_DATE", "startDate and endDate must differ by more than one minute")
        if start_ms < (now_ms - days * DAY_MS) // 60_000 * 60_000:
            raise ApiError(400, "INVALID_REPLICATION_DATE", f"startDate cannot be more than {days} days ago")
        if start_ms > now_ms:
            raise ApiError(400, "INVALID_REPLICATION_DATE", "startDate is after the current time")
        return kind, start_ms, end_ms

    def _instant(self, request: Request, key: str) -> int:
        given = request.params.get(key, "")
        try:
            return to_ms(datetime.fromisoformat(given))
        except ValueError as error:
            told = f"{key} is not a datetime with an offset: {given}"
            raise ApiError(400, "INVALID_REPLICATION_DATE", told) from error

    # Limits

    def limits(self, jobs_left: int, results_kb_left: int) -> Response:
        settings = self._core.settings
        left = max(0, settings.api_calls_max - self._core.quota.used())
        return json_response({
            "DailyApiRequests": {"Max": settings.api_calls_max, "Remaining": left},
            "DailyBulkV2QueryJobs": {"Max": settings.bulk_jobs_max, "Remaining": jobs_left},
            "DailyBulkV2QueryFileStorageMB": {
                "Max": settings.bulk_result_kb_max // 1024, "Remaining": results_kb_left // 1024,
            },
            "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
        })  # fmt: skip

    def record_count(self, request: Request) -> Response:
        """Approximate on purpose: rounded down to hundreds, deleted records included."""
        told: list[Json] = []
        for name in request.params.get("sObjects", "").split(","):
            kind = self._core.kind(name)
            if kind is not None:
                told.append({"count": self._core.records.table(kind.name).count() // 100 * 100, "name": kind.name})
        return json_response({"sObjects": told})


def _json_headers() -> dict[str, str]:
    return {"Content-Type": "application/json;charset=UTF-8"}
