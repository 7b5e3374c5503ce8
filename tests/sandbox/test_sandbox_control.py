"""The control API over HTTP, and the sandbox in a process of its own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from typing import Any

import pyarrow as pa
import pytest
import requests

from syncline.connectors.sandbox import Org, SandboxServer, serve, start_process
from syncline.connectors.sandbox.process import SandboxProcess, org_rows


def ask(server: SandboxServer, name: str, **arguments: Any) -> Any:
    answer = requests.post(f"{server.url}/__sandbox__/{name}", json=arguments, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def test_every_kind_of_change_works_over_http(org: Org, server: SandboxServer) -> None:
    ids = ask(server, "insert", object="Account", values={"Name": ["a", "b"], "AnnualRevenue": 5})
    ask(server, "update", object="Account", ids=ids, values={"Name": "c"}, touch="system")
    assert ask(server, "count", object="Account", where="Name = 'c'") == 2
    ask(server, "delete", object="Account", ids=ids[:1])
    ask(server, "undelete", object="Account", ids=ids[:1])
    ask(server, "hard_delete", object="Account", ids=ids)
    assert ask(server, "ids", object="Account", where="Name = 'c'", include_deleted=True) == []
    field = {"name": "New__c", "type": "picklist", "picklist": ["x", "y"]}
    ask(server, "add_field", object="Account", field=field, value="x")
    assert org.object_type("Account").fields["New__c"].picklist == ("x", "y")
    ask(server, "retype_field", object="Account", field="New__c", type="string", length=80)
    ask(server, "drop_field", object="Account", field="New__c")


def test_clock_transactions_and_settings_over_http(org: Org, server: SandboxServer) -> None:
    assert ask(server, "advance", seconds=60) == "2026-01-15T12:01:00+00:00"
    assert ask(server, "freeze", at="2026-01-16T00:00:00+00:00") == ask(server, "now")
    number = ask(server, "begin")
    ask(server, "insert", object="Account", values={"Name": "T"}, transaction=number)
    assert ask(server, "count", object="Account", where="Name = 'T'") == 0
    ask(server, "commit", transaction=number)
    assert ask(server, "count", object="Account", where="Name = 'T'") == 1
    ask(server, "settings", bulk_running_s=5, result_pages_keys=["resultpages", "nextRecordUrl"])
    ask(server, "settings", **{"wire.exponents": False})
    assert (org.settings.bulk_running_s, org.settings.wire.exponents) == (5, False)
    assert org.settings.result_pages_keys == ("resultpages", "nextRecordUrl")


def test_faults_jobs_quota_and_log_over_http(org: Org, server: SandboxServer) -> None:
    number = ask(server, "inject", kind="error", path="*/limits", status=503)
    ask(server, "plan_job", ending="failed", message="no")
    ask(server, "set_quota", used=5, limit=10)
    headers = {"Authorization": f"Bearer {ask(server, 'access_token')}"}
    assert requests.get(f"{server.url}/services/data/v60.0/limits", headers=headers, timeout=10).status_code == 503
    assert ask(server, "faults")[str(number)]["struck"] == 1
    assert ask(server, "totals") == {"all": 1, "limits": 1}
    assert [entry["status"] for entry in ask(server, "log")] == [503]
    assert ask(server, "log", after=1) == []
    ask(server, "clear_log")
    assert ask(server, "totals") == {"all": 0}
    assert ask(server, "api_calls_used") == 5


def test_snapshots_come_as_arrow(org: Org, server: SandboxServer) -> None:
    answer = requests.post(f"{server.url}/__sandbox__/snapshot", json={"object": "Account"}, timeout=10)
    with pa.ipc.open_stream(answer.content) as stream:
        assert stream.read_all().equals(org.snapshot("Account"))


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("explode", {}, "no control call 'explode'"),
        ("insert", {"object": "Nope"}, "no object 'Nope'"),
        ("insert", {"thing": 1}, "TypeError"),
        ("settings", {"nope": 1}, "no setting 'nope'"),
        ("ids", {"object": "Account", "where": "nonsense"}, "unexpected token"),
        ("commit", {"transaction": 99}, "KeyError"),
    ],
)
def test_wrong_control_calls_are_told_so(
    server: SandboxServer, name: str, arguments: dict[str, object], words: str
) -> None:
    answer = requests.post(f"{server.url}/__sandbox__/{name}", json=arguments, timeout=10)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_serve_seeds_answers_and_stops() -> None:
    found: list[SandboxServer] = []
    stop = threading.Event()

    def ready(server: SandboxServer) -> None:
        found.append(server)
        assert ask(server, "count", object="Contact") == 15
        stop.set()

    serve(0, rows=10, seed=3, settings={"bulk_running_s": 1.5}, ready=ready, stop=stop)
    assert found[0].org.settings.bulk_running_s == 1.5
    with pytest.raises(ValueError, match="no setting 'nope'"):
        serve(0, settings={"nope": 1}, stop=stop)
    assert org_rows({"Account": 5}) == {"Account": 5}


@pytest.fixture(scope="module")
def process() -> Any:
    with start_process(rows={"Account": 50}, seed=2) as running:
        yield running


def test_a_sandbox_process_answers_at_once_and_can_be_steered(process: SandboxProcess) -> None:
    assert process.control("count", object="Account") == 50
    assert process.pid != os.getpid()
    assert process.cpu_s() > 0
    form = {"grant_type": "client_credentials", "client_id": process.client_id, "client_secret": process.client_secret}
    assert requests.post(f"{process.url}/services/oauth2/token", data=form, timeout=10).status_code == 200
    with pytest.raises(ValueError, match="no control call"):
        process.control("explode")


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waiting for another's child needs pidfd_open")
def test_a_sandbox_process_ends_with_its_parent() -> None:
    script = (
        "import sys; from syncline.connectors.sandbox import start_process; "
        "print(start_process().pid, flush=True); sys.stdin.read()"
    )
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert select.select([child], [], [], 20)[0], "the sandbox outlived its parent"
    finally:
        os.close(child)


def test_a_process_that_cannot_start_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="ended with code"):
        start_process(rows={"Nope": 5})


def test_stop_ends_the_process(process: SandboxProcess) -> None:
    process.stop()
    process.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
