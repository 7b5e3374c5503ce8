"""From a request to the handler that answers it: paths, versions, sessions, quota, in the order a real org checks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from syncline.connectors.connector import Json
from syncline.connectors.sandbox.auth import Auth
from syncline.connectors.sandbox.bulk import Jobs
from syncline.connectors.sandbox.core import RETIRED_FROM, VERSION_LATEST, VERSION_LEAST, Core
from syncline.connectors.sandbox.http import (
    REQUEST_BYTES_MAX,
    ApiError,
    Request,
    Response,
    html_response,
    json_response,
    not_found,
)
from syncline.connectors.sandbox.rest import Rest

BATCH_MAX: Final = 25
COMPOSITE_QUERIES_MAX: Final = 5

_Handler: TypeAlias = Callable[["Routes", Request, str, tuple[str, ...]], Response]


class Routes:
    """The data API and the sign-in endpoints over one org's parts."""

    def __init__(self, core: Core, auth: Auth, rest: Rest, jobs: Jobs) -> None:
        self.core = core
        self.auth = auth
        self.rest = rest
        self.jobs = jobs

    def answer(self, request: Request) -> Response:
        """The answer without faults; every error already in its shape."""
        try:
            return self._answer(request)
        except ApiError as error:
            response = error.response()
            if request.path.startswith("/services/data/v") and error.status != 401:
                self._tell_usage(response)
            return response

    def _answer(self, request: Request) -> Response:
        path = request.path
        if len(request.target) > REQUEST_BYTES_MAX or request.size_bytes() > REQUEST_BYTES_MAX:
            status = self.core.settings.long_url_status
            return html_response(status, "URI Too Long" if status == 414 else "Bad Message 431")
        if not path.startswith("/services/"):
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        if path.rstrip("/") == "/services/oauth2/token":
            return self.auth.token(request) if request.method == "POST" else _wrong_method(request)
        if path.startswith("/services/Soap/u/"):
            return self.auth.soap_login(request)
        if path.rstrip("/") == "/services/data":
            return self.rest.versions()
        self.auth.check(request)
        if self.core.quota.used() >= self.core.settings.api_calls_max:
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.core.quota.count()
        if path.rstrip("/") == "/services/oauth2/userinfo":
            return self.auth.userinfo()
        return self._tell_usage(self._data(request))

    def _tell_usage(self, response: Response) -> Response:
        usage = f"api-usage={self.core.quota.used()}/{self.core.settings.api_calls_max}"
        response.headers["Sforce-Limit-Info"] = usage
        return response

    def _data(self, request: Request) -> Response:
        found = re.match(r"/services/data/v(\d+\.\d)(/.*)?\Z", request.path)
        if found is None:
            raise not_found()
        version, rest = found.group(1), (found.group(2) or "/").removesuffix("/")
        number = float(version)
        if RETIRED_FROM <= number < VERSION_LEAST:
            raise ApiError(410, "GONE", f"API version {version} is retired")
        if not VERSION_LEAST <= number <= VERSION_LATEST or version[-1] != "0":
            raise not_found()
        return self._route(request, version, rest)

    def _route(self, request: Request, version: str, rest: str) -> Response:
        known = False
        for method, shape, handler in _ROUTES:
            found = shape.match(rest)
            if found is None:
                continue
            known = True
            if method == request.method:
                return handler(self, request, version, found.groups())
        if known:
            return _wrong_method(request)
        raise not_found()

    def batch(self, request: Request, version: str) -> Response:
        """Composite batch: up to 25 sub-requests, one call toward the limit."""
        asked = request.json()
        inner = asked.get("batchRequests") if isinstance(asked, dict) else None
        if not isinstance(inner, list) or not 0 < len(inner) <= BATCH_MAX:
            raise ApiError(400, "LIMIT_EXCEEDED", f"a batch holds 1 to {BATCH_MAX} requests")
        answers = [self._sub_answer(one) for one in inner]
        results = [{"statusCode": a.status, "result": json.loads(a.content() or b"null")} for a in answers]
        return json_response({"hasErrors": any(answer.status >= 400 for answer in answers), "results": results})

    def composite(self, request: Request, version: str) -> Response:
        """Composite: up to 25 sub-requests, 5 of them queries, one call toward the limit. Each stands for itself."""
        asked = request.json()
        inner = asked.get("compositeRequest") if isinstance(asked, dict) else None
        if not isinstance(inner, list) or not 0 < len(inner) <= BATCH_MAX:
            raise ApiError(400, "LIMIT_EXCEEDED", f"a composite request holds 1 to {BATCH_MAX} requests")
        if sum("/query" in str(one.get("url")) for one in inner) > COMPOSITE_QUERIES_MAX:
            raise ApiError(400, "LIMIT_EXCEEDED", f"{COMPOSITE_QUERIES_MAX} of them may be queries")
        answers = [(one, self._sub_answer(one)) for one in inner]
        told = [
            {
                "body": json.loads(answer.content() or b"null"),
                "httpHeaders": {},
                "httpStatusCode": answer.status,
                "referenceId": one["referenceId"],
            }
            for one, answer in answers
        ]
        return json_response({"compositeResponse": told})

    def _sub_answer(self, one: Mapping[str, Json]) -> Response:
        target = str(one.get("url", "")).removeprefix("/services/data/").lstrip("/")
        try:
            return self._data(Request(str(one.get("method", "GET")), f"/services/data/{target}"))
        except ApiError as error:
            return error.response()


def _wrong_method(request: Request) -> Response:
    told = f"HTTP Method '{request.method}' not allowed."
    return ApiError(405, "METHOD_NOT_ALLOWED", told).response()


_ROUTES: Final[tuple[tuple[str, re.Pattern[str], _Handler], ...]] = tuple(
    (method, re.compile(shape + r"\Z"), handler)
    for method, shape, handler in (
        ("GET", r"", lambda r, q, v, p: r.rest.resources(v)),
        ("GET", r"/sobjects", lambda r, q, v, p: r.rest.sobjects(q, v)),
        ("GET", r"/sobjects/(\w+)", lambda r, q, v, p: r.rest.basic(v, p[0])),
        ("GET", r"/sobjects/(\w+)/describe", lambda r, q, v, p: r.rest.describe(q, v, p[0])),
        ("GET", r"/sobjects/(\w+)/updated", lambda r, q, v, p: r.rest.updated(q, p[0])),
        ("GET", r"/sobjects/(\w+)/deleted", lambda r, q, v, p: r.rest.deleted(q, p[0])),
        ("GET", r"/sobjects/(\w+)/(\w+)", lambda r, q, v, p: r.rest.record(q, v, p[0], p[1])),
        ("GET", r"/query", lambda r, q, v, p: r.rest.query(q, v, False)),
        ("GET", r"/queryAll", lambda r, q, v, p: r.rest.query(q, v, True)),
        ("GET", r"/query(?:All)?/([\w-]+)", lambda r, q, v, p: r.rest.more(v, p[0])),
        ("GET", r"/limits", lambda r, q, v, p: r.rest.limits(*r.jobs.left())),
        ("GET", r"/limits/recordCount", lambda r, q, v, p: r.rest.record_count(q)),
        ("POST", r"/composite", lambda r, q, v, p: r.composite(q, v)),
        ("POST", r"/composite/batch", lambda r, q, v, p: r.batch(q, v)),
        ("POST", r"/jobs/query", lambda r, q, v, p: r.jobs.create(q, v)),
        ("GET", r"/jobs/query", lambda r, q, v, p: r.jobs.list(q, v)),
        ("GET", r"/jobs/query/(\w+)", lambda r, q, v, p: r.jobs.show(p[0], v)),
        ("PATCH", r"/jobs/query/(\w+)", lambda r, q, v, p: r.jobs.patch(q, p[0], v)),
        ("DELETE", r"/jobs/query/(\w+)", lambda r, q, v, p: r.jobs.delete(p[0], v)),
        ("GET", r"/jobs/query/(\w+)/results", lambda r, q, v, p: r.jobs.results(q, p[0], v)),
        ("GET", r"/jobs/query/(\w+)/resultPages", lambda r, q, v, p: r.jobs.result_pages(q, p[0], v)),
    )
)
