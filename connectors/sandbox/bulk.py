"""Bulk API 2.0 query jobs (Bulk API 2.0 guide, query jobs)."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np

from syncline.connectors.connector import Json
from syncline.connectors.sandbox.clock import DAY_MS, rest_text
from syncline.connectors.sandbox.core import Core
from syncline.connectors.sandbox.http import ApiError, Chunk, Request, Response, json_response, not_found
from syncline.connectors.sandbox.identifiers import id_text
from syncline.connectors.sandbox.meaning import Meaning
from syncline.connectors.sandbox.pages import DELIMITERS, LINE_ENDINGS, CsvForm, csv_blocks
from syncline.connectors.sandbox.soql import SoqlError
from syncline.connectors.sandbox.store import Selection, Table

KEPT_MS: Final = 7 * DAY_MS
LIST_ROWS: Final = 1_000
LINKS_MAX: Final = 5
RESULT_PAGES_SINCE: Final = 58
_DONE: Final = frozenset({"JobComplete", "Failed", "Aborted"})
_KEYS: Final = frozenset({"operation", "query", "contentType", "columnDelimiter", "lineEnding"})

State: TypeAlias = Literal["UploadComplete", "InProgress", "JobComplete", "Failed", "Aborted"]
Ending: TypeAlias = Literal["complete", "failed", "aborted", "stuck_queued", "stuck_running"]


@dataclass(slots=True)
class JobPlan:
    """What is to become of a job: how long it waits and runs (``None``: as the settings say) and how it ends.

    ``aborted`` is an admin's doing. ``message`` is the job's errorMessage, left out when empty.
    """

    ending: Ending = "complete"
    queued_s: float | None = None
    running_s: float | None = None
    message: str = ""
    retries: int = 0


@dataclass(slots=True)
class Job:
    id: str
    operation: str
    meaning: Meaning
    version: str
    delimiter: str
    line_ending: str
    created_ms: int
    plan: JobPlan
    state: State = "UploadComplete"
    changed_ms: int = 0
    running_ms: int = 0
    result: Selection | None = None
    parents: dict[str, Table] = field(default_factory=dict)
    message: str = ""
    locators: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    def told(self) -> dict[str, Json]:
        """The job as each answer shows it while it is young."""
        return {
            "id": self.id, "operation": self.operation, "object": self.meaning.kind.name,
            "createdById": id_text("005", 1), "createdDate": rest_text(self.created_ms),
            "systemModstamp": rest_text(self.changed_ms or self.created_ms), "state": self.state,
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(self.version),
            "lineEnding": self.line_ending, "columnDelimiter": self.delimiter,
        }  # fmt: skip

    def told_in_full(self) -> dict[str, Json]:
        whole = self.meaning.query.order == () and self.meaning.query.limit is None
        told = self.told() | {"jobType": "V2Query", "retries": self.plan.retries, "isPkChunkingSupported": whole}
        if self.state in ("JobComplete", "InProgress"):
            told["numberRecordsProcessed"] = self.result.rows if self.result and self.state == "JobComplete" else 0
        if self.state in _DONE:
            told["totalProcessingTime"] = self.running_ms
        if self.message:
            told["errorMessage"] = self.message
        return told


class Jobs:
    """All query jobs of the org and the calls on them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._jobs: dict[str, Job] = {}
        self._made: list[int] = []
        self._stored: list[tuple[int, int]] = []
        self._next_plans: list[JobPlan] = []
        self._serials = itertools.count(core.random.randrange(1_000_000))

    def plan_next(self, plan: JobPlan) -> None:
        """Decides the fate of the next job that is created; several calls queue up."""
        self._next_plans.append(plan)

    def clear_plans(self) -> None:
        self._next_plans.clear()
        for job in self._jobs.values():
            stuck, waits = job.plan.ending in ("stuck_queued", "stuck_running"), job.state == "UploadComplete"
            if stuck:
                job.plan = JobPlan()
            if stuck and waits:
                self._run(job)
            elif stuck and job.state == "InProgress":
                self._go_on(job)

    def all(self) -> list[Job]:
        return list(self._jobs.values())

    # Create

    def create(self, request: Request, version: str) -> Response:
        if "json" not in request.header("Content-Type"):
            given = request.header("Content-Type") or "(none)"
            told = f"The content type {given} is not supported, use application/json"
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", told)
        asked = request.json()
        if not isinstance(asked, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "The request body must be an object")
        if unknown := set(asked) - _KEYS:
            raise ApiError(400, "JSON_PARSER_ERROR", f'Unrecognized field "{sorted(unknown)[0]}"')
        self._check_form(asked)
        self._check_caps()
        meaning = self._understood(str(asked.get("query", "")))
        return json_response(self._start(asked, meaning, version).told())

    def _check_form(self, asked: dict[str, Json]) -> None:
        for key, known, default in (
            ("operation", ("query", "queryAll"), None),
            ("contentType", ("CSV",), "CSV"),
            ("columnDelimiter", tuple(DELIMITERS), "COMMA"),
            ("lineEnding", tuple(LINE_ENDINGS), "LF"),
        ):
            if asked.get(key, default) not in known:
                raise ApiError(400, "INVALIDJOB", f"InvalidJob : {key} must be one of {', '.join(known)}")

    def _check_caps(self) -> None:
        since_ms = self._core.clock.now_ms() - DAY_MS
        jobs_max, kb_max = self._core.settings.bulk_jobs_max, self._core.settings.bulk_result_kb_max
        self._made = [at for at in self._made if at > since_ms]
        if len(self._made) >= jobs_max:
            told = f"Max bulk v2 query jobs ({jobs_max}) per 24 hrs has been reached"
            raise ApiError(400, "LIMIT_EXCEEDED", told)
        if sum(size for at, size in self._stored if at > since_ms) // 1024 >= kb_max:
            told = f"Max bulk v2 query result size stored ({kb_max}) kb per 24 hrs has been exceeded"
            raise ApiError(400, "LIMIT_EXCEEDED", told)

    def left(self) -> tuple[int, int]:
        """How many jobs, and how many kilobytes of results, the next hours may still have."""
        since_ms, settings = self._core.clock.now_ms() - DAY_MS, self._core.settings
        made = sum(at > since_ms for at in self._made)
        stored_kb = sum(size for at, size in self._stored if at > since_ms) // 1024
        return max(0, settings.bulk_jobs_max - made), max(0, settings.bulk_result_kb_max - stored_kb)

    def _understood(self, soql: str) -> Meaning:
        """The statement, if Bulk takes it (guide, SOQL considerations)."""
        try:
            meaning = self._core.understand(soql)
        except SoqlError as error:
            code = "API_ERROR" if error.feature else error.code
            raise ApiError(400, code, self._refusal(error)) from error
        query, kind = meaning.query, meaning.kind
        if not kind.bulk:
            raise ApiError(400, "INVALIDENTITY", f"Entity '{kind.name}' is not supported by the Bulk API.")
        if query.count or query.group:
            raise ApiError(400, "API_ERROR", "Aggregate Relationships not supported in Bulk Query")
        if query.offset is not None:
            raise ApiError(400, "API_ERROR", "OFFSET clause is not supported in Bulk Query")
        for column in meaning.columns:
            if column.field.parts:
                raise ApiError(400, "API_ERROR", "Selecting compound data not supported in Bulk Query")
            if column.field.type == "base64":
                told = f"Cannot serialize value for '{column.asked}' in CSV format"
                raise ApiError(400, "FEATURENOTENABLED", told)
        return meaning

    def _refusal(self, error: SoqlError) -> str:
        if error.feature == "a sub-query":
            return "Aggregate Relationships not supported in Bulk Query"
        return error.message

    def _start(self, asked: dict[str, Json], meaning: Meaning, version: str) -> Job:
        clock, settings = self._core.clock, self._core.settings
        plan = self._next_plans.pop(0) if self._next_plans else JobPlan()
        now_ms = clock.now_ms()
        job = Job(
            id_text("750", next(self._serials)),
            asked["operation"], meaning, version, asked.get("columnDelimiter", "COMMA"), asked.get("lineEnding", "LF"),
            now_ms, plan,
        )  # fmt: skip
        self._jobs[job.id] = job
        self._made.append(now_ms)
        clock.at(now_ms + KEPT_MS, lambda: self._forget(job))
        if plan.ending != "stuck_queued":
            queued_s = settings.bulk_queued_s if plan.queued_s is None else plan.queued_s
            clock.at(now_ms + round(queued_s * 1000), lambda: self._run(job))
        return job

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)

    # Run, by the clock

    def _run(self, job: Job) -> None:
        if job.state != "UploadComplete":
            return
        self._turn(job, "InProgress")
        if job.plan.ending != "stuck_running":
            self._go_on(job)

    def _go_on(self, job: Job) -> None:
        running_s = self._core.settings.bulk_running_s if job.plan.running_s is None else job.plan.running_s
        job.running_ms = round(running_s * 1000)
        try:
            early = self._core.select(job.meaning, job.operation == "queryAll", self._parity(job, 0))
        except SoqlError as error:
            job.plan = JobPlan("failed", message=f"{error.code}: {error.message}")
            early = None
        self._core.clock.at(self._core.clock.now_ms() + job.running_ms, lambda: self._finish(job, early))

    def _parity(self, job: Job, half: int) -> int | None:
        plain = not job.meaning.query.order and job.meaning.query.limit is None
        return half if self._core.settings.bulk_chunked and plain else None

    def _finish(self, job: Job, early: Selection | None) -> None:
        if job.state != "InProgress":
            return
        if job.plan.ending in ("failed", "aborted") or early is None:
            job.message = job.plan.message
            self._turn(job, "Aborted" if job.plan.ending == "aborted" else "Failed")
            return
        job.result = early
        if self._parity(job, 1) is not None:
            late = self._core.select(job.meaning, job.operation == "queryAll", parity=1)
            job.result = _both(early, late)
        job.parents = self._core.parents_of(job.meaning)
        self._turn(job, "JobComplete")

    def _turn(self, job: Job, state: State) -> None:
        job.state = state
        job.changed_ms = self._core.clock.now_ms()

    # Look, abort, delete

    def _found(self, job_id: str, version: str) -> Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise not_found()
        if job.version != version:
            told = f"The job was created with API version {job.version}; use the same version for all its requests"
            raise ApiError(409, "API_VERSION_MISMATCH", told)
        return job

    def show(self, job_id: str, version: str) -> Response:
        return json_response(self._found(job_id, version).told_in_full())

    def patch(self, request: Request, job_id: str, version: str) -> Response:
        job = self._found(job_id, version)
        if request.json() != {"state": "Aborted"}:
            raise ApiError(400, "INVALIDJOB", "InvalidJob : only the state Aborted can be set on a query job")
        if job.state in _DONE:
            told = f"InvalidJobState : Aborting a job in state {job.state} is not allowed"
            raise ApiError(400, "INVALIDJOBSTATE", told)
        self._turn(job, "Aborted")
        return json_response(job.told_in_full())

    def delete(self, job_id: str, version: str) -> Response:
        job = self._found(job_id, version)
        if job.state not in _DONE:
            raise ApiError(400, "API_ERROR", "job is not terminated")
        del self._jobs[job_id]
        return Response(204)

    def list(self, request: Request, version: str) -> Response:
        jobs = sorted(self._jobs.values(), key=lambda job: (job.created_ms, job.id))
        start = int(request.params.get("queryLocator", "0") or 0)
        page = jobs[start : start + LIST_ROWS]
        done = start + LIST_ROWS >= len(jobs)
        further = None if done else f"/services/data/v{version}/jobs/query?queryLocator={start + LIST_ROWS}"
        records = [job.told() | {"jobType": "V2Query"} for job in page]
        return json_response({"done": done, "records": records, "nextRecordsUrl": further})

    # Results

    def results(self, request: Request, job_id: str, version: str) -> Response:
        job = self._found(job_id, version)
        if (early := self._too_early(job)) is not None:
            return early
        result = job.result or Selection((), np.empty(0, np.int64))
        if not result.rows and self._core.settings.bulk_empty == "204":
            return Response(204, {"Sforce-NumberOfRecords": "0", "Sforce-Locator": "null"})
        start, rows = self._span(job, request)
        end = min(start + rows, result.rows)
        headers = {
            "Content-Type": "text/csv", "Sforce-NumberOfRecords": str(end - start),
            "Sforce-Locator": self._locator(job, end) if end < result.rows else "null",
        }  # fmt: skip
        return Response(200, headers, self._csv(job, result.page(start, end - start)), rows=end - start)

    def _too_early(self, job: Job) -> Response | None:
        if job.state == "JobComplete":
            return None
        if self._core.settings.bulk_early == 204 and job.state not in _DONE:
            return Response(204)
        raise ApiError(400, "INVALIDJOBSTATE", f"InvalidJobState : the job is in state {job.state}, it has no results")

    def _span(self, job: Job, request: Request) -> tuple[int, int]:
        settings = self._core.settings
        try:
            asked = int(request.params.get("maxRecords", settings.bulk_page_rows_default))
        except ValueError as error:
            raise ApiError(400, "INVALID_MAX_RECORDS", "maxRecords must be a number") from error
        if asked < 1:
            raise ApiError(400, "INVALID_MAX_RECORDS", "maxRecords must be positive")
        rows = min(asked, settings.bulk_page_rows_max)
        locator = request.params.get("locator")
        if not locator:
            return 0, rows
        if locator not in job.locators:
            raise ApiError(400, "INVALID_LOCATOR", f"invalid query locator: {locator}")
        start, bound = job.locators[locator]
        return start, rows if bound is None else bound

    def _locator(self, job: Job, start: int, bound: int | None = None) -> str:
        """An opaque text for a place in the result, the same each time it is asked for."""
        digest = hashlib.sha256(f"{job.id}/{start}/{bound}".encode()).digest()
        locator = base64.urlsafe_b64encode(digest[:9]).decode()
        job.locators[locator] = (start, bound)
        return locator

    def _csv(self, job: Job, page: Selection) -> Iterator[Chunk]:
        settings = self._core.settings
        if not page.rows and settings.bulk_empty == "body":
            return
        names = tuple(column.asked for column in job.meaning.columns)
        form = CsvForm(names, DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending])
        yield form.header()
        size = 0
        for block in csv_blocks(page, job.meaning.columns, job.parents, form, settings.wire):
            size += len(block)
            yield block
        self._stored.append((self._core.clock.now_ms(), size))

    def result_pages(self, request: Request, job_id: str, version: str) -> Response:
        if float(version) < RESULT_PAGES_SINCE:
            raise not_found()
        job = self._found(job_id, version)
        if (early := self._too_early(job)) is not None:
            return early
        total = job.result.rows if job.result else 0
        start, rows = self._span(job, request)
        base = f"/services/data/v{version}/jobs/query/{job.id}"
        starts = range(start, total, rows)[:LINKS_MAX] if total else range(1)
        links = [{"resultUrl": f"{base}/results?locator={self._locator(job, at, rows)}"} for at in starts]
        end = starts[-1] + rows
        pages_key, next_key = self._core.settings.result_pages_keys
        further = f"{base}/resultPages?locator={self._locator(job, end, rows)}" if end < total else None
        return json_response({pages_key: links, next_key: further, "done": further is None})


def _both(early: Selection, late: Selection) -> Selection:
    """The rows of two selections, each with its own segments."""
    moved = late.positions + (len(early.segments) << 32)
    return Selection(early.segments + late.segments, np.concatenate([early.positions, moved]))
