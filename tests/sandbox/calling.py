"""A caller that speaks HTTP to an org without a socket."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from syncline.connectors.sandbox import Org, Request

START = datetime(2026, 1, 15, 12, tzinfo=UTC)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """Status and error code of the data API's error array."""
        return self.status, self.json[0]["errorCode"]

    @property
    def message(self) -> str:
        text: str = self.json[0]["message"]
        return text


@dataclass
class Caller:
    """Calls ``org.handle`` with a session of its own."""

    org: Org
    version: str = "60.0"
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.headers = {"authorization": f"Bearer {self.org.access_token()}", "host": "sandbox.my.salesforce.com"}

    def send(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.org.handle(Request(method, target, {**self.headers, **given}, body))
        return Answer(response.status, response.headers, response.content())

    def get(self, path: str, params: dict[str, Any] | None = None, **headers: str) -> Answer:
        target = f"/services/data/v{self.version}{path}" + ("?" + urlencode(params) if params else "")
        return self.send("GET", target, b"", **headers)

    def query(self, soql: str, verb: str = "query", **headers: str) -> Answer:
        return self.get(f"/{verb}", {"q": soql}, **headers)

    def rows(self, soql: str, verb: str = "query", **headers: str) -> list[dict[str, Any]]:
        """All records over all pages, without their attributes."""
        answer = self.query(soql, verb, **headers)
        found: list[dict[str, Any]] = []
        while True:
            assert answer.status == 200, answer.body
            page = answer.json
            found += [{key: value for key, value in row.items() if key != "attributes"} for row in page["records"]]
            if page["done"]:
                assert "nextRecordsUrl" not in page
                return found
            answer = self.send("GET", page["nextRecordsUrl"])

    def count(self, soql: str, verb: str = "query") -> int:
        size: int = self.query(soql, verb).json["totalSize"]
        return size

    def create_job(self, soql: str, operation: str = "query", **more: Any) -> Answer:
        body = json.dumps({"operation": operation, "query": soql, **more}).encode()
        return self.send("POST", f"/services/data/v{self.version}/jobs/query", body, content_type="application/json")

    def job(self, soql: str, operation: str = "query", **more: Any) -> str:
        """The id of a new job."""
        answer = self.create_job(soql, operation, **more)
        assert answer.status == 200, answer.body
        job_id: str = answer.json["id"]
        return job_id

    def results(self, job_id: str, **params: Any) -> Answer:
        return self.get(f"/jobs/query/{job_id}/results", params)
