"""The least that talks to an org: what the straight-line programs need of the Salesforce API, and no more.

No retries, no checks beyond the row counts: these programs are the limit that a framework is held against.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3

API: Final = "/services/data/v60.0"
POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Access:
    """Where the org is and how to sign in there."""

    url: str
    client_id: str
    client_secret: str


class PlainOrg:
    """A signed-in client. Every body comes whole."""

    def __init__(self, access: Access) -> None:
        self._url = access.url
        self._pool = urllib3.PoolManager(maxsize=4)
        self._headers = {"Accept-Encoding": "identity"}
        form = {
            "grant_type": "client_credentials", "client_id": access.client_id, "client_secret": access.client_secret,
        }  # fmt: skip
        told = json.loads(
            self._send("POST", "/services/oauth2/token", urlencode(form), "application/x-www-form-urlencoded")
        )
        self._headers["Authorization"] = f"Bearer {told['access_token']}"

    def get(self, path: str) -> bytes:
        return self._send("GET", path)

    def query_all(self, soql: str) -> Iterator[bytes]:
        """The pages of a REST query, following ``next_url_of``."""
        path: str | None = f"{API}/queryAll?q={quote(soql)}"
        while path is not None:
            page = self.get(path)
            yield page
            path = next_url_of(page)

    def bulk_query_all(self, soql: str) -> tuple[str, int]:
        """Runs a Bulk query job to its end: the job's path and its number of records."""
        asked = {"operation": "queryAll", "query": soql}
        job = json.loads(self._send("POST", f"{API}/jobs/query", json.dumps(asked), "application/json"))
        path = f"{API}/jobs/query/{job['id']}"
        while (told := json.loads(self.get(path)))["state"] != "JobComplete":
            if told["state"] in ("Failed", "Aborted"):
                raise RuntimeError(f"the job ended as {told}")
            time.sleep(POLL_S)
        return path, int(told["numberRecordsProcessed"])

    def result_links(self, job_path: str) -> Iterator[str]:
        """The paths of a job's result pages, which may be read at once."""
        path: str | None = f"{job_path}/resultPages"
        while path is not None:
            told: Mapping[str, Any] = json.loads(self.get(path))
            yield from (page["resultUrl"] for page in told["resultPages"])
            path = None if told["done"] else told["nextRecordsUrl"]

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def _send(self, method: str, path: str, body: str | None = None, kind: str | None = None) -> bytes:
        headers = self._headers if kind is None else {**self._headers, "Content-Type": kind}
        answer = self._pool.request(method, self._url + path, body=body, headers=headers, retries=False, timeout=600)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.data[:300]!r}")
        return answer.data


def next_url_of(page: bytes) -> str | None:
    """``nextRecordsUrl`` stands before the records, so that the page need not be parsed to ask for the next."""
    head = page[:1000].partition(b'"records"')[0]
    found = head.partition(b'"nextRecordsUrl":"')[2].partition(b'"')[0]
    return found.decode() or None
