"""The org's front door: logs each request, lets faults strike, packs the answer."""

from __future__ import annotations

import json

from syncline.connectors.sandbox.auth import Auth
from syncline.connectors.sandbox.clock import http_date
from syncline.connectors.sandbox.core import Core
from syncline.connectors.sandbox.faults import FaultPlan, spoil
from syncline.connectors.sandbox.http import Request, Response, gzipped
from syncline.connectors.sandbox.log import LogEntry, RequestLog
from syncline.connectors.sandbox.routes import Routes

_ROADS = {"query": "rest", "query_more": "rest", "bulk_results": "bulk"}


class Front:
    def __init__(self, core: Core, auth: Auth, routes: Routes) -> None:
        self._core = core
        self._auth = auth
        self._routes = routes
        self._pages: dict[str, bytes] = {}
        self.faults = FaultPlan()
        self.log = RequestLog()

    def answer(self, request: Request) -> Response:
        """The answer as it reaches the client, or does not."""
        now_ms = self._core.clock.now_ms()
        entry = self.log.add(now_ms, request.method, request.target, request.path)
        response = self._struck(request, entry)
        response.headers.setdefault("Date", http_date(now_ms))
        entry.status = 0 if response.breakage == "reset" else response.status
        entry.rows = response.rows
        return response

    def _struck(self, request: Request, entry: LogEntry) -> Response:
        strikers = self.faults.strikers(request)
        for fault in strikers:
            if fault.kind == "error":
                return fault.error_response()
            if fault.kind == "reset_before":
                return Response(0, breakage="reset")
            if fault.kind in ("expire_session", "revoke_session"):
                token = request.header("Authorization").partition(" ")[2]
                self._auth.revoke(token if fault.kind == "expire_session" else None)
        response = self._routes.answer(request)
        if self.faults.holds("duplicate_page"):
            self._repeat(entry, response, any(fault.kind == "duplicate_page" for fault in strikers))
        for fault in strikers:
            response = spoil(fault, response)
        return self._packed(request, response, any(fault.kind == "gzip_trailer" for fault in strikers))

    def _repeat(self, entry: LogEntry, response: Response, strike: bool) -> None:
        """Remembers each page, and puts the one before in place of this one when the fault strikes."""
        road = _ROADS.get(entry.kind)
        if road is None or response.status != 200:
            return
        page, before = response.content(), self._pages.get(road)
        if strike and before is not None:
            if road == "rest":
                merged = json.loads(page) | {"records": json.loads(before)["records"]}
                before = json.dumps(merged, ensure_ascii=False).encode()
            response.body = (before,)
        self._pages[road] = page

    def _packed(self, request: Request, response: Response, cut_trailer: bool) -> Response:
        manner = self._core.settings.gzip
        wanted = "gzip" in request.header("Accept-Encoding") and response.status == 200 and manner != "never"
        if not wanted or (manner == "sometimes" and self._core.random.random() < 0.5):
            return response
        response.headers["Content-Encoding"] = "gzip"
        response.body = gzipped(response.body)
        if cut_trailer:
            response.body = (response.content()[:-8],)
        return response
