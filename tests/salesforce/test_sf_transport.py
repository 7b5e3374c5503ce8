"""Requests: repeated where the vendor allows, stopped where it does not, never leaking, always counted."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
import requests

from syncline.connectors.connector import Wait
from syncline.connectors.errors import ConfigError, QuotaReached, SignInError, SourceBusy, Stopped, Transient
from syncline.connectors.salesforce.faults import Refused
from syncline.connectors.salesforce.patience import RETRY_AFTER_MAX_S
from syncline.connectors.salesforce.quota import Quota
from syncline.connectors.salesforce.signin import ReadyToken
from syncline.connectors.salesforce.transport import Call, Seams, Transport
from syncline.connectors.salesforce.wires import Sockets, open_session
from syncline.connectors.secret import Secret
from tests.salesforce.org_world import Site, read_object
from tests.salesforce.scripted import Asked, Scripted, answer

CALL = Call("ask", "Account", "/services/data/v62.0/limits")
HTML = "<html><head><title>Maintenance</title></head></html>"
TOKEN = "00Dxx!the-token"


def transport_to(url: str, waits: list[float] | None = None, share: float = 0.8) -> Transport:
    seams = Seams(sleep=(waits if waits is not None else []).append, random=lambda: 0.5)
    return Transport(ReadyToken(url, Secret(TOKEN)), "62.0", Quota(share), seams)


def times(count: int, trouble: bytes, then: bytes = answer(200, b"{}")) -> Callable[[Asked], bytes]:
    left = [trouble] * count
    return lambda asked: left.pop() if left else then


@pytest.mark.parametrize("status", [500, 502, 503, 504, 406, 420, 429, 408])
def test_a_passing_fault_is_repeated_with_growing_jittered_pauses(status: int) -> None:
    waits: list[float] = []
    with Scripted(times(2, answer(status, HTML.encode()))) as server:
        assert transport_to(server.url, waits).fetch_json(CALL) == {}
        assert len(server.asked) == 3
    assert 0 < waits[0] < waits[1]


@pytest.mark.parametrize(("status", "attempts"), [(500, 5), (503, 8), (420, 3)])
def test_attempts_end_bounded_and_say_so(status: int, attempts: int) -> None:
    with Scripted(times(99, answer(status))) as server, pytest.raises(Transient, match=f"after {attempts} attempts"):
        transport_to(server.url).fetch_json(CALL)
    assert len(server.asked) == attempts


@pytest.mark.parametrize("status", [300, 400, 403, 404, 405, 409, 410, 414, 431])
def test_a_final_answer_is_asked_for_once(status: int) -> None:
    with Scripted(times(99, answer(status, HTML.encode()))) as server, pytest.raises(Refused):
        transport_to(server.url).fetch_json(CALL)
    assert len(server.asked) == 1


def test_retry_after_is_honoured_in_both_forms() -> None:
    waits: list[float] = []
    now = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)
    later = format_datetime(datetime(2031, 5, 1, 12, 0, 41, tzinfo=UTC), usegmt=True)
    troubles = [answer(503, Retry_After="37"), answer(429, Retry_After=later)]
    with Scripted(lambda asked: troubles.pop(0) if troubles else answer(200, b"{}")) as server:
        seams = Seams(sleep=waits.append, random=lambda: 0.5, now=lambda: now)
        Transport(ReadyToken(server.url, Secret(TOKEN)), "62.0", Quota(1), seams).fetch_json(CALL)
    assert waits == [37.0, 41.0]


def test_a_source_that_asks_for_too_long_a_wait_ends_the_run_and_is_quoted_bounded() -> None:
    wish = RETRY_AFTER_MAX_S + 1
    with Scripted(times(9, answer(503, Retry_After=f"{wish:.0f}"))) as server, pytest.raises(SourceBusy) as caught:
        transport_to(server.url).fetch_json(CALL)
    assert len(server.asked) == 1
    assert caught.value.retry_after_s == wish


@pytest.mark.parametrize(
    "trouble",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        answer(200, b'{"cut": "in the mid'),
        answer(200, HTML.encode()),
        answer(200, b""),
    ],
    ids=["no answer", "short of its length", "no last chunk", "cut JSON", "HTML with 200", "empty with 200"],
)
def test_an_answer_that_is_not_whole_is_asked_for_again(trouble: bytes) -> None:
    with Scripted(times(1, trouble, answer(200, b'{"ok":1}'))) as server:
        assert transport_to(server.url).fetch_json(CALL) == {"ok": 1}
        assert len(server.asked) == 2


def test_nobody_listening_is_a_passing_fault_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Transient, match="attempts"):
        transport_to(f"http://127.0.0.1:{port}").fetch_json(CALL)


# ---- the session ----


def test_many_threads_that_meet_an_ended_session_sign_in_once_single_flight(site: Site) -> None:
    source = site.connect()
    source.describe(["Account"])
    site.org.revoke_sessions()
    before = site.calls("POST */token")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: source.describe(["Account"]), range(16)))
    assert site.calls("POST */token") == before + 1


@pytest.mark.parametrize("path", ["*/describe", "*/queryAll*", "*/jobs/query", "*/jobs/query/750*", "*/results"])
def test_a_session_that_ends_anywhere_is_renewed_and_nothing_is_lost(site: Site, path: str) -> None:
    site.org.insert("Account", {}, count=50)
    site.org.advance(120)
    site.org.inject("expire_session", path=path)
    source = site.connect(api="bulk", page_rows=20)
    assert len(read_object(source).ids()) == 50
    assert site.calls("POST */token") == 2


def test_sessions_that_end_every_few_calls_only_cost_sign_ins(site: Site) -> None:
    site.org.insert("Account", {}, count=50)
    site.org.advance(120)
    site.org.limit_session_calls(3)
    assert len(read_object(site.connect(api="bulk", page_rows=10)).ids()) == 50


def test_a_session_refused_right_after_signing_in_ends_the_run(site: Site) -> None:
    """Peers loop here for ever."""
    told = [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}]
    site.org.inject("error", path="/services/data/v62.0", status=401, body=told, times=99)
    with pytest.raises(SignInError):
        site.connect().horizon()
    assert site.calls("GET /services/data/v62.0") == 2


def test_a_refusal_that_no_new_session_cures_is_not_answered_with_one(site: Site) -> None:
    told = [{"errorCode": "INVALID_SESSION_ID", "message": "This session is not valid for use with the REST API"}]
    site.org.inject("error", path="/services/data/v62.0", status=401, body=told, times=99)
    with pytest.raises(SignInError):
        site.connect().horizon()
    assert (site.calls("GET /services/data/v62.0"), site.calls("POST */token")) == (1, 1)


def test_the_instance_of_a_new_session_is_used_from_then_on(site: Site) -> None:
    source = site.connect()
    source.horizon()
    moved = site.server.url.replace("127.0.0.1", "localhost")
    site.org.instance_url = moved
    site.org.revoke_sessions()
    source.horizon()
    assert source._transport is not None
    assert source._transport._keeper.current().instance_url == moved


# ---- trust ----


def test_a_redirect_to_another_host_never_gets_the_token_no_secrets() -> None:
    with Scripted(lambda asked: answer(200, b"{}")) as other:
        with Scripted(lambda asked: answer(302, Location=other.url + "/elsewhere")) as server:
            transport_to(server.url).fetch_json(CALL)
        assert "authorization" in server.asked[0].headers
        assert "authorization" not in other.asked[0].headers


def test_a_redirect_within_the_host_keeps_the_token() -> None:
    def script(asked: Asked) -> bytes:
        return answer(200, b"{}") if asked.target == "/b" else answer(307, Location="/b")

    with Scripted(script) as server:
        transport_to(server.url).fetch_json(CALL)
    assert server.asked[1].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_redirect_to_an_unsafe_address_is_refused_no_secrets() -> None:
    with Scripted(lambda asked: answer(302, Location="http://attacker.example/")) as server, pytest.raises(ConfigError):
        transport_to(server.url).fetch_json(CALL)


def test_a_password_file_in_the_home_folder_never_replaces_the_token(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:
        file.write("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", netrc)
    with Scripted(lambda asked: answer(200, b"{}")) as server:
        transport_to(server.url).fetch_json(CALL)
    assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_an_error_that_echoes_the_token_does_not_show_it_no_secrets() -> None:
    body = json.dumps([{"errorCode": "X", "message": f"bad header Bearer {TOKEN}"}]).encode()
    with Scripted(lambda asked: answer(400, body)) as server, pytest.raises(Refused) as caught:
        transport_to(server.url).fetch_json(CALL)
    assert TOKEN not in str(caught.value)


# ---- quota ----


def usage(used: int, more: str = "") -> bytes:
    return answer(200, b"{}", Sforce_Limit_Info=f"api-usage={used}/100{more}")


def test_a_run_stops_before_the_call_that_its_share_forbids_quota() -> None:
    with Scripted(lambda asked: usage(79 + len(server.asked))) as server:
        transport = transport_to(server.url)
        transport.fetch_json(CALL)
        with pytest.raises(QuotaReached, match="80 of the org's 100") as caught:
            transport.fetch_json(CALL)
        assert caught.value.exit_code == 4
        assert len(server.asked) == 1, "the call that would exceed the share was sent"


def test_the_limit_of_the_app_counts_as_well_as_that_of_the_org() -> None:
    with Scripted(lambda asked: usage(1, "; per-app-api-usage=17/20(appName=x)")) as server:
        transport = transport_to(server.url)
        transport.fetch_json(CALL)
        with pytest.raises(QuotaReached, match="per-app"):
            transport.fetch_json(CALL)


def test_a_quota_that_recovers_lets_the_next_run_go_on(site: Site) -> None:
    site.org.insert("Account", {}, count=5)
    site.org.set_quota(used=79_999, limit=100_000)
    source = site.connect()
    with pytest.raises(QuotaReached):
        read_object(source)
    source.close()
    site.org.advance(120)
    site.org.set_quota(used=10)
    assert len(read_object(source).ids()) == 5


def test_every_request_to_the_data_api_is_counted_and_no_other(site: Site) -> None:
    site.org.insert("Account", {}, count=5)
    site.org.advance(120)
    source = site.connect(api="bulk")
    site.org.inject("error", path="*/describe", status=503)
    read_object(source)
    assert source.api_calls == site.org.log.totals()["all"] - site.calls("POST */token")


# ---- stopping ----


def test_a_stop_breaks_a_request_that_hangs_at_once() -> None:
    begun = threading.Event()

    def script(asked: Asked) -> None:
        begun.set()

    with Scripted(script) as server, ThreadPoolExecutor(1) as pool:
        transport = Transport(ReadyToken(server.url, Secret(TOKEN)), "62.0", Quota(1), Seams())
        hanging = pool.submit(transport.fetch_json, CALL)
        assert begun.wait(5)
        before = time.monotonic()
        transport.abort()
        with pytest.raises(Stopped):
            hanging.result(5)
        assert time.monotonic() - before < 2


def test_a_stop_breaks_a_body_that_hangs_at_once() -> None:
    with Scripted(lambda asked: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") as server:
        server._handle = lambda connection: connection.sendall(server.script(None))  # type: ignore
        transport = Transport(ReadyToken(server.url, Secret(TOKEN)), "62.0", Quota(1), Seams())
        _, body = transport.open(CALL)
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(body.read, 9)
            transport.abort()
            with pytest.raises(Stopped):
                hanging.result(5)


def test_a_stop_breaks_a_pause_between_attempts_at_once() -> None:
    with Scripted(times(99, answer(503, Retry_After="200"))) as server, ThreadPoolExecutor(1) as pool:
        transport = Transport(ReadyToken(server.url, Secret(TOKEN)), "62.0", Quota(1), Seams())
        waiting = pool.submit(transport.fetch_json, CALL)
        while not server.asked:
            time.sleep(0.001)
        transport.abort()
        with pytest.raises(Stopped):
            waiting.result(5)


def test_after_a_stop_nothing_is_sent_but_what_tidies_up() -> None:
    with Scripted(lambda asked: answer(204)) as server:
        transport = transport_to(server.url)
        transport.abort()
        with pytest.raises(Stopped):
            transport.fetch_json(CALL)
        transport.settle(Call("remove", "job", "/services/data/v62.0/jobs/query/1", method="DELETE"))
    assert [asked.method for asked in server.asked] == ["DELETE"]


def test_paths_are_joined_without_double_slashes() -> None:
    path = transport_to("http://127.0.0.1:1").data_path("jobs", "query", "750", "results")
    assert path == "/services/data/v62.0/jobs/query/750/results"


def test_a_stop_while_a_connection_is_being_made_breaks_its_request() -> None:
    """It is none of the open ones yet. Unbroken it would wait as long as the server likes."""

    class Interrupted(requests.Session):
        def __init__(self, sockets: Sockets) -> None:
            super().__init__()
            self.inner = open_session(sockets)

        def request(self, *args: Any, **kwargs: Any) -> requests.Response:
            transport.abort()
            return self.inner.request(*args, **kwargs)

    with Scripted(lambda asked: answer(200, b"{}")) as server:
        seams = Seams(random=lambda: 0.5, sessions=Interrupted)
        transport = Transport(ReadyToken(server.url, Secret(TOKEN)), "62.0", Quota(0.8), seams)
        with pytest.raises(Stopped):
            transport.fetch_json(CALL)
        assert server.asked == [], "the request was never sent"


def test_each_pause_is_told_of_before_it_and_none_that_is_not_taken(site: Site) -> None:
    """LOUD: also while it signs in, and also by a connection that a later use opened."""
    told: list[tuple[Wait, int]] = []
    source = site.connect()
    source.on_wait(lambda wait: told.append((wait, len(site.waits))))
    site.org.inject("error", path="*/token", status=503)
    source.horizon()
    source.close()
    site.org.inject("error", method="GET", path="*", status=503, times=2)
    source.horizon()
    assert [(wait.operation, wait.attempt, before) for wait, before in told] == [
        ("sign in to Salesforce", 1, 0),
        ("ask the time", 1, 1),
        ("ask the time", 2, 2),
    ]
    assert [wait.wait_s for wait, _ in told] == site.waits
    assert all("503" in wait.cause for wait, _ in told)
    source.on_wait(None)
    site.org.inject("error", method="GET", path="*", status=503)
    source.horizon()
    assert (len(told), len(site.waits)) == (3, 4)
