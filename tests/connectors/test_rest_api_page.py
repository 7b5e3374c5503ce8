"""docs/rest-api.md: its pipeline, read over HTTP from its own issue tracker, does what the page says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from syncline.connectors import Connector
from tests.connectors.reading import described, rows_of
from tests.docs.pages import blocks

pytestmark = pytest.mark.checkout

PAGE = "docs/rest-api.md"


def block(number: int) -> str:
    return [each.text for each in blocks(PAGE) if each.language == "python"][number]


@contextmanager
def tracker() -> Iterator[str]:
    names: dict[str, Any] = {"__name__": "tracker_api"}
    exec(block(1), names)
    with ThreadingHTTPServer(("127.0.0.1", 0), names["Tracker"]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def source_at(address: str) -> Connector:
    names: dict[str, Any] = {"__name__": "pipelines.tracker"}
    text = block(0).replace("http://127.0.0.1:8000", address)
    assert address in text
    exec(text, names)
    connector: Connector = names["pipeline"].source
    return connector


def test_it_is_twenty_lines() -> None:
    assert len(block(0).splitlines()) == 20


def test_the_page_s_pipeline_copies_everything_and_then_what_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with tracker() as address:
        source = source_at(address)
        assert len(rows_of(source, "issues", None)) == 250
        assert str(described(source, "issues").columns.field("estimate").type) == "decimal128(10, 2)"
        changed = requests.post(f"{address}/issues/7", json={"title": "Issue 7, urgent"}, timeout=5)
        changed.close()
        low = datetime.fromisoformat(changed.json()["updated_at"])
        assert low.tzinfo is not None
        rows = rows_of(source, "issues", low, datetime.now(UTC) + timedelta(minutes=1))
        assert [(row["id"], row["title"]) for row in rows] == [(7, "Issue 7, urgent")]
