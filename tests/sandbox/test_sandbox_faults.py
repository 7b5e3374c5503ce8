"""Injected trouble: it strikes the calls it names, as often as told, and arrives as it does in the wild."""

from __future__ import annotations

import http.client
import json
import zlib
from typing import Any

import pytest
import requests

from syncline.connectors.sandbox import Org, SandboxServer
from tests.sandbox.calling import Caller

SOQL = "SELECT Id, Name, Description FROM Account"


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": "ErrorId 1"}], {}),
        (503, "<html>maintenance</html>", {}),
        (406, "", {}),
        (429, "", {"Retry-After": "7"}),
        (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentPerOrgLongTxn Limit exceeded"}], {}),
        (401, [{"errorCode": "INVALID_SESSION_ID", "message": "This session is not valid for use with the API"}], {}),
    ],
)
def test_an_error_of_any_shape_comes_in_place_of_the_work(
    org: Org, call: Caller, status: int, body: Any, headers: dict[str, str]
) -> None:
    org.inject("error", status=status, body=body, headers=headers)
    used = org.api_calls_used()
    answer = call.get("/limits")
    assert answer.status == status
    assert (answer.body.decode() if isinstance(body, str) else answer.json) == body
    assert headers.items() <= answer.headers.items()
    assert org.api_calls_used() == used
    assert call.get("/limits").status == 200


def test_faults_match_method_path_and_nth_call(org: Org, call: Caller) -> None:
    number = org.inject("error", method="GET", path="*/jobs/query/*/results", nth=2, times=2, status=500)
    job_id = call.job(SOQL)
    assert [call.results(job_id).status for _ in range(5)] == [200, 500, 500, 200, 200]
    assert call.get(f"/jobs/query/{job_id}").status == 200
    fault = org.faults()[number]
    assert (fault.seen, fault.struck) == (5, 2)
    org.inject("error", path="*/limits", times=10**9)
    org.clear_faults()
    assert call.get("/limits").status == 200
    with pytest.raises(ValueError, match="no fault of kind"):
        org.inject("mischief")


@pytest.mark.parametrize("path", ["*/query/0r8*", "*/jobs/query/*/results", "*/describe", "*/jobs/query/750*"])
def test_sessions_expire_in_the_middle_of_anything(org: Org, call: Caller, path: str) -> None:
    org.settings.page_rows_max = 100
    org.inject("expire_session", path=path)
    following = call.query(SOQL).json["nextRecordsUrl"]
    job_id = call.job(SOQL)
    answers = [
        call.send("GET", following).status,
        call.results(job_id).status,
        call.get("/sobjects/Account/describe").status,
        call.get(f"/jobs/query/{job_id}").status,
    ]
    assert 401 in answers
    assert answers == sorted(answers), "once expired it stays expired"
    call.headers["authorization"] = f"Bearer {org.access_token()}"
    assert call.send("GET", following).status == 200


def csv_ends(body: bytes) -> tuple[int, bool]:
    """Quotes in the body and whether it ends at a row's edge."""
    return body.count(b'"'), body.endswith(b'"\n')


def test_csv_is_cut_at_an_edge_within_a_row_or_within_quotes(org: Org, call: Caller) -> None:
    job_id = call.job(SOQL)
    whole = call.results(job_id)
    for kind, even_quotes, at_edge in (
        ("truncate_row_edge", True, True),
        ("truncate_mid_row", True, False),
        ("truncate_in_quotes", False, False),
    ):
        org.inject(kind, path="*/results")
        cut = call.results(job_id)
        quotes, edge = csv_ends(cut.body)
        assert (cut.status, quotes % 2 == 0, edge) == (200, even_quotes, at_edge), kind
        assert cut.headers["Sforce-NumberOfRecords"] == "300"
        assert whole.body.startswith(cut.body)
        assert len(cut.body) < len(whole.body)


def test_json_is_cut_or_short_of_rows_without_an_http_error(org: Org, call: Caller) -> None:
    org.inject("truncate_half", path="*/query")
    cut = call.query(SOQL)
    assert cut.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut.body)
    org.inject("fewer_rows", path="*/query", rows=3)
    short = call.query(SOQL).json
    assert (short["totalSize"], short["done"], len(short["records"])) == (300, True, 297)


def test_bulk_pages_lack_rows_or_counts(org: Org, call: Caller) -> None:
    job_id = call.job("SELECT Id FROM Account")
    org.inject("fewer_rows", path="*/results", rows=2)
    short = call.results(job_id)
    assert (short.body.count(b"\n"), short.headers["Sforce-NumberOfRecords"]) == (299, "300")
    org.inject("wrong_count", path="*/results")
    assert call.results(job_id).headers["Sforce-NumberOfRecords"] == "301"
    org.inject("no_count", path="*/results")
    assert "Sforce-NumberOfRecords" not in call.results(job_id).headers


def test_a_page_is_delivered_twice(org: Org, call: Caller) -> None:
    org.settings.page_rows_max = 100
    org.inject("duplicate_page", path="*/query/0r8*")
    first = call.query(SOQL).json
    second = call.send("GET", first["nextRecordsUrl"]).json
    assert second["records"] == first["records"]
    third = call.send("GET", second["nextRecordsUrl"]).json
    assert third["done"]
    assert third["records"] != first["records"]
    org.inject("duplicate_page", path="*/results", nth=2)
    job_id = call.job(SOQL)
    page = call.results(job_id, maxRecords=100)
    again = call.results(job_id, maxRecords=100, locator=page.headers["Sforce-Locator"])
    assert again.body == page.body
    assert again.headers["Sforce-Locator"] != page.headers["Sforce-Locator"]


def test_a_lost_answer_leaves_the_work_done(org: Org, call: Caller) -> None:
    org.inject("reset_after", method="POST", path="*/jobs/query")
    target = "/services/data/v60.0/jobs/query"
    body = json.dumps({"operation": "query", "query": SOQL}).encode()
    call.send("POST", target, body, content_type="application/json")
    assert org.log.entries[-1].status == 0
    assert len(org.jobs()) == 1
    org.inject("reset_before", method="POST", path="*/jobs/query")
    call.send("POST", target, body, content_type="application/json")
    assert len(org.jobs()) == 1


# Over a socket


@pytest.fixture
def session(server: SandboxServer) -> Any:
    with requests.Session() as opened:
        opened.trust_env = False
        opened.headers.update({"Authorization": f"Bearer {server.org.access_token()}", "Accept-Encoding": "identity"})
        yield opened


def get(server: SandboxServer, session: requests.Session, path: str, **params: str) -> requests.Response:
    return session.get(f"{server.url}/services/data/v60.0{path}", params=params, timeout=10)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset_before", requests.ConnectionError),
        ("reset_after", requests.ConnectionError),
        ("reset_in_body", (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)),
        ("no_terminator", requests.exceptions.ChunkedEncodingError),
    ],
)
def test_connections_die_as_the_fault_says(
    server: SandboxServer, session: requests.Session, kind: str, error: Any
) -> None:
    assert get(server, session, "/query", q=SOQL).status_code == 200
    server.org.inject(kind, path="*/query")
    with pytest.raises(error):
        get(server, session, "/query", q=SOQL)
    assert len(get(server, session, "/query", q=SOQL).json()["records"]) == 300


def test_gzip_without_its_trailer(server: SandboxServer, session: requests.Session) -> None:
    server.org.inject("gzip_trailer", path="*/query")
    target = f"{server.url}/services/data/v60.0/query"
    answer = session.get(target, params={"q": SOQL}, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=10)
    packed = answer.raw.read(decode_content=False)
    whole = zlib.decompressobj(31)
    assert whole.decompress(packed)
    assert not whole.eof


def test_slow_and_stalled_answers_take_their_time(
    server: SandboxServer, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("syncline.connectors.sandbox.server.time.sleep", waits.append)
    server.org.inject("slow", path="*/query", delay_s=30)
    server.org.inject("stall", path="*/query", nth=2, delay_s=45)
    pages = [get(server, session, "/query", q=SOQL).json() for _ in range(3)]
    assert waits == [30, 45]
    assert [len(page["records"]) for page in pages] == [300, 300, 300]


def test_connections_are_kept_alive_for_chunked_answers_too(server: SandboxServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"Authorization": f"Bearer {server.org.access_token()}"}
    sockets, codings = set(), []
    for path in ("query?q=SELECT+Id+FROM+Account", "limits", "query?q=SELECT+Id+FROM+Account"):
        connection.request("GET", f"/services/data/v60.0/{path}", headers=headers)
        answer = connection.getresponse()
        answer.read()
        codings.append(answer.headers["Transfer-Encoding"])
        sockets.add(connection.sock)
    connection.close()
    assert len(sockets) == 1
    assert codings == ["chunked", None, "chunked"]


def test_a_double_slash_is_404_wherever_it_stands(server: SandboxServer, session: requests.Session) -> None:
    for path in ("//services/data/v60.0/limits", "/services/data/v60.0//limits"):
        assert session.get(f"{server.url}{path}", timeout=10).status_code == 404


def test_a_closed_server_refuses_connections(org: Org) -> None:
    with SandboxServer(org) as server:
        url = server.url
        assert requests.get(f"{url}/services/data", timeout=5).status_code == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/services/data", timeout=5)
