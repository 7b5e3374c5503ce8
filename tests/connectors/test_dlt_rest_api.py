"""dlt's own ``rest_api`` source over HTTP: paging, windows, parents and children, refusals, secrets."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors import ConfigError, DltSource, SignInError, SourceBusy, SynclineError, Transient, Window
from tests.connectors.reading import described, rows_of
from tests.connectors.rest_server import API_KEY, RestServer, rest_server

NOW = datetime(2031, 5, 1, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[RestServer]:
    with rest_server() as server:
        server.rows["posts"] = [
            {
                "id": number,
                "title": f"post {number}",
                "updated_at": f"2031-01-0{number}T00:00:00Z",
                "My_Field__c": number,
            }
            for number in range(1, 6)
        ]
        for number in range(1, 6):
            server.rows[f"posts/{number}/comments"] = [{"id": 10 * number, "text": "first"}, {"id": 10 * number + 1}]
        yield server


@pytest.fixture
def session() -> Iterator[Any]:
    """dlt leaves its connections to the garbage collector; this one is closed, so that no test sees another's."""
    from dlt.sources.helpers.requests import Client

    made = Client(request_max_attempts=1, raise_for_status=False).session
    yield made
    made.close()


@pytest.fixture
def source(server: RestServer, session: Any, tmp_path: Path) -> DltSource:
    return made(server.address, session, tmp_path)


def made(address: str, session: Any, tmp_path: Path, key: str = API_KEY) -> DltSource:
    from dlt.sources.rest_api import rest_api_source

    config: Any = {
        "client": {
            "base_url": address,
            "paginator": {"type": "json_link", "next_url_path": "next"},
            "auth": {"type": "api_key", "name": "key", "api_key": key, "location": "query"},
            "session": session,
        },
        "resources": [
            {
                "name": "posts",
                "primary_key": "id",
                "write_disposition": "merge",
                "columns": {"updated_at": {"data_type": "timestamp"}},
                "endpoint": {
                    "path": "posts",
                    "data_selector": "data",
                    "params": {"since": "{incremental.start_value}", "until": "{incremental.end_value}"},
                    "incremental": {"cursor_path": "updated_at", "initial_value": "2031-01-02T00:00:00Z"},
                },
            },
            {
                "name": "comments",
                "primary_key": "id",
                "endpoint": {"path": "posts/{resources.posts.id}/comments", "data_selector": "data"},
            },
        ],
    }
    return DltSource(rest_api_source(config), clock=lambda: NOW, types_file=tmp_path / "types.json")


def test_key_cursor_and_types_come_from_hints_and_one_sample(server: RestServer, source: DltSource) -> None:
    schema = described(source, "posts")
    assert schema.key == ("id",)
    assert schema.cursor == "updated_at"
    assert schema.deletes == "absent"
    assert schema.columns == pa.schema(
        [
            ("id", pa.int64()),
            ("title", pa.string()),
            ("updated_at", pa.timestamp("us", tz="UTC")),
            ("My_Field__c", pa.int64()),
        ]
    )
    sampled = len(server.requests)
    described(source, "posts")
    assert len(server.requests) == sampled, "the sample is taken once"


def test_all_pages_of_a_window_are_read_with_its_bounds_as_parameters_complete_window(
    server: RestServer, source: DltSource
) -> None:
    described(source, "posts")
    server.requests.clear()
    low, high = datetime(2031, 1, 3, tzinfo=UTC), datetime(2031, 1, 5, tzinfo=UTC)
    assert [row["id"] for row in rows_of(source, "posts", low, high)] == [3, 4]
    [_, first] = server.requests[0]
    assert (first["since"], first["until"]) == ("2031-01-02T23:59:59Z", "2031-01-05T00:00:01Z")
    assert len(server.requests) == 2


def test_the_first_window_starts_at_the_initial_value_and_says_so(server: RestServer, source: DltSource) -> None:
    assert [row["id"] for row in rows_of(source, "posts", None)] == [2, 3, 4, 5]
    forecast = source.plan(described(source, "posts"), Window(None, NOW)).forecast
    assert "2031-01-02T00:00:00Z" in forecast.query


def test_bounds_finer_than_the_source_spells_them_are_widened_never_narrowed_complete_window(
    server: RestServer, source: DltSource
) -> None:
    server.rows["posts"].append({"id": 6, "title": "t", "updated_at": "2031-01-06T00:00:10.600Z", "My_Field__c": 6})
    low = datetime(2031, 1, 6, 0, 0, 10, 600_000, tzinfo=UTC)
    high = datetime(2031, 1, 6, 0, 0, 10, 600_001, tzinfo=UTC)
    assert [row["id"] for row in rows_of(source, "posts", low, high)] == [6]
    [_, query] = server.requests[-1]
    assert (query["since"], query["until"]) == ("2031-01-06T00:00:09Z", "2031-01-06T00:00:12Z")


def test_a_child_is_read_for_every_parent_whatever_window_the_parent_had(server: RestServer, source: DltSource) -> None:
    """The parent's incremental is shared with the child: a window left in it would hide other parents' children."""
    everything = [20, 21, 30, 31, 40, 41, 50, 51]
    assert sorted(row["id"] for row in rows_of(source, "comments", None)) == everything
    rows_of(source, "posts", datetime(2031, 1, 5, tzinfo=UTC))
    assert sorted(row["id"] for row in rows_of(source, "comments", None)) == everything


def test_names_keep_the_source_s_spelling_exact_names(server: RestServer, source: DltSource) -> None:
    assert set(rows_of(source, "posts", None)[0]) == {"id", "title", "updated_at", "My_Field__c"}


def test_a_misspelt_stream_names_the_nearest(server: RestServer, source: DltSource) -> None:
    with pytest.raises(ConfigError, match="did you mean posts"):
        source.describe(["post"])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ConfigError),
        (401, SignInError),
        (403, ConfigError),
        (404, ConfigError),
        (429, SourceBusy),
        (503, SourceBusy),
    ],
)
def test_a_refusal_is_told_apart_by_its_status_loud(
    server: RestServer, source: DltSource, status: int, error: type[SynclineError]
) -> None:
    server.fail_with = status
    with pytest.raises(SynclineError, match=str(status)) as caught:
        rows_of(source, "posts", None)
    assert type(caught.value) is error


def test_refused_credentials_show_neither_key_nor_query_no_secrets(
    server: RestServer, session: Any, tmp_path: Path
) -> None:
    wrong = "wrong-key-that-must-not-show"
    source = made(server.address, session, tmp_path, wrong)
    with pytest.raises(SignInError) as caught:
        rows_of(source, "posts", None)
    shown = "".join(traceback.format_exception(caught.value)) + repr(source)
    assert wrong not in shown
    assert "since=" not in shown


def test_a_source_that_is_not_there_is_transient(session: Any, tmp_path: Path) -> None:
    with rest_server() as gone:
        address = gone.address
    with pytest.raises(Transient, match="posts"):
        rows_of(made(address, session, tmp_path), "posts", None)


def test_a_page_lost_midway_fails_the_read_loud(server: RestServer, source: DltSource) -> None:
    source.describe(["posts"])
    pages = 0

    def fail_later(path: str, query: dict[str, str]) -> tuple[int, object]:
        nonlocal pages
        pages += 1
        return (500, {}) if pages == 2 else RestServer.answer(server, path, query)

    server.answer = fail_later  # type: ignore[method-assign]
    with pytest.raises(SourceBusy):
        rows_of(source, "posts", None)
    assert pages == 2
