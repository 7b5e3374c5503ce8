"""Bulk API 2.0 query jobs: made, waited for, removed; and the verdicts of the create call that mean "not by Bulk"."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from syncline.connectors.connector import Json
from syncline.connectors.errors import SynclineError, Transient
from syncline.connectors.salesforce.faults import Answer, Faulted, Refused
from syncline.connectors.salesforce.transport import Call, Transport
from syncline.connectors.secret import scrub

logger = logging.getLogger(__name__)

POLL_FIRST_S: Final = 0.2
POLL_MOST_S: Final = 30.0
REMOVED_AT_ONCE: Final = 8

State: TypeAlias = Literal["JobComplete", "Failed", "Aborted"]
ENDED: Final[frozenset[str]] = frozenset({"JobComplete", "Failed", "Aborted"})

NOT_BY_BULK: Final = (
    "compound data not supported",
    "is not supported by the Bulk API",
    "Max bulk v2 query jobs",
    "Max bulk v2 query result size",
    "Cannot serialize value",
    "Implementation restriction",
)
"""What the create call, or a failed job, says when only REST can read it (Bulk API 2.0 guide, errors and limits)."""
NOT_BY_BULK_CODES: Final = frozenset({"INVALIDENTITY", "InvalidEntity", "FEATURENOTENABLED", "FeatureNotEnabled"})


class Stuck(Transient):
    """A job that did not end within the deadline."""


class NotByBulk(Exception):
    """Bulk refuses this query for good or for today; REST may not."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A job in its last state. ``rows`` is its own count of its result, ``None`` if it did not tell."""

    state: State
    rows: int | None
    message: str

    @property
    def not_by_bulk(self) -> bool:
        return any(text in self.message for text in NOT_BY_BULK)


class Jobs:
    """The calls on query jobs of one object. ``deadline_s`` bounds the wait for one job."""

    def __init__(self, transport: Transport, object: str, deadline_s: float) -> None:
        self._transport = transport
        self._object = object
        self._deadline_s = deadline_s

    def path(self, *parts: str) -> str:
        return self._transport.data_path("jobs", "query", *parts)

    def create(self, query: str) -> str:
        """Makes a job and returns its id. Deleted records come too (operation queryAll).

        Raises:
            NotByBulk: the verdict is about Bulk, not about the query.
        """
        body: dict[str, Json] = {
            "operation": "queryAll",
            "query": query,
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }
        call = Call("create Bulk job", self._object, self.path(), method="POST", body=body, creates=True)
        try:
            return str(self._transport.fetch(call, lambda content, headers: _job_id(content)))
        except Refused as refused:
            if _is_about_bulk(refused.answer):
                raise NotByBulk(str(refused.answer)) from None
            raise

    def look(self, job_id: str) -> str | None:
        """The job's state, or ``None`` if the org no longer has it (results are kept for 7 days)."""
        try:
            return str(self._show(job_id)["state"])
        except Refused as refused:
            if refused.answer.status in (400, 404, 409):
                return None
            raise

    def wait(self, job_id: str) -> Ended:
        """Polls, ever less often, until the job has ended.

        Raises:
            Stuck: it did not end within the deadline.
        """
        clock, delay_s = self._transport.seams.clock, POLL_FIRST_S
        give_up = clock() + self._deadline_s
        while True:
            job = self._show(job_id)
            if job["state"] in ENDED:
                rows = job.get("numberRecordsProcessed")
                return Ended(job["state"], None if rows is None else int(rows), scrub(job.get("errorMessage") or ""))
            left_s = give_up - clock()
            if left_s <= 0:
                raise Stuck(
                    "wait for Bulk job",
                    f"{self._object}, job {job_id}",
                    f"it is still {job['state']} after {self._deadline_s:.0f} s",
                    "look at Setup, Bulk Data Load Jobs; job_deadline_s sets how long to wait",
                )
            self._transport.pause(min(delay_s, left_s))
            delay_s = min(2 * delay_s, POLL_MOST_S)

    def remove(self, job_id: str, running: bool, version: str | None = None) -> bool:
        """Aborts the job if it may be ``running``, and deletes it; whether the org answered. A failure is logged: jobs
        expire after 7 days.

        A job is only reached with the API version it was made with; ``version`` if that is not this connector's.
        """
        path = self._transport.data_path("jobs", "query", job_id, version=version)
        if running and not self._settle(job_id, path, "PATCH", {"state": "Aborted"}):
            return False
        return self._settle(job_id, path, "DELETE", None)

    def remove_all(self, jobs: Sequence[tuple[str, bool]]) -> None:
        """The same for several, until the org does not answer: a stop must not wait for each of them in turn."""
        for first in range(0, len(jobs), REMOVED_AT_ONCE):
            some = jobs[first : first + REMOVED_AT_ONCE]
            with self._transport.seams.pool(len(some), "syncline-remove") as pool:
                futures = [pool.submit(self.remove, job, running) for job, running in some]
                answered = [future.result() for future in futures]
            if not any(answered):
                return

    def _settle(self, job_id: str, path: str, method: str, body: Json) -> bool:
        call = Call("remove Bulk job", f"{self._object}, job {job_id}", path, method=method, body=body)
        try:
            self._transport.settle(call)
        except SynclineError as error:
            logger.info("not removed: %s", error)
            return not isinstance(error, Faulted) or error.answer.status > 0
        return True

    def _show(self, job_id: str) -> dict[str, Json]:
        call = Call("look at Bulk job", f"{self._object}, job {job_id}", self.path(job_id))
        job: dict[str, Json] = self._transport.fetch_json(call)
        return job


def _job_id(content: bytes) -> str:
    job_id = json.loads(content).get("id")
    if not job_id:
        raise ValueError("the answer names no job")
    return str(job_id)


def _is_about_bulk(answer: Answer) -> bool:
    return answer.code in NOT_BY_BULK_CODES or any(text in answer.message for text in NOT_BY_BULK)
