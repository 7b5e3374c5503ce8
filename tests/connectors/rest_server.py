"""A small REST API on localhost: pages with a next link, filters by time, wants a key, can misbehave."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

API_KEY = "key-that-must-not-show"
PAGE_ROWS = 2


@dataclass
class RestServer:
    """``rows`` by collection. ``requests`` holds the path and query of each request seen."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    fail_with: int | None = None
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, object]:
        self.requests.append((path, query))
        if query.get("key") != API_KEY:
            return 401, {"error": "bad key"}
        if self.fail_with is not None:
            return self.fail_with, {"error": "as asked"}
        rows = self.rows.get(path)
        if rows is None:
            return 404, {"error": "no such collection"}
        rows = [row for row in rows if query.get("since", "") <= row.get("updated_at", "")]
        first = int(query.get("first", "0"))
        more = first + PAGE_ROWS < len(rows)
        link = f"{self.address}{path}?{urlencode({**query, 'first': first + PAGE_ROWS})}" if more else None
        return 200, {"data": rows[first : first + PAGE_ROWS], "next": link}


@contextmanager
def rest_server() -> Iterator[RestServer]:
    state = RestServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, document = state.answer(parts.path.strip("/"), query)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
