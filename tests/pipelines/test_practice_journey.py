"""What ``syncline init`` writes works at once: the practice org in its own process, the examples as they are copied."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

COMMAND = [sys.executable, "-c", "from syncline.pipelines.cli import main; main()"]


@pytest.fixture(scope="module")
def org() -> Iterator[str]:
    """What ``syncline sandbox salesforce`` prints; it ends cleanly on Ctrl-C."""
    words = [*COMMAND, "sandbox", "salesforce", "--port", "0", "--rows", "400", "--seed", "3"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "/__sandbox__/insert" in line:
            break
    yield "".join(lines)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=300)
    assert "The org is gone" in rest
    assert errors == ""
    assert process.returncode == 0


@pytest.fixture(scope="module")
def settings(org: str) -> dict[str, str]:
    """The variables that the command tells to export."""
    return dict(re.findall(r"export (\w+)=(\S+)", org))


@pytest.fixture
def home(tmp_path: Path, settings: dict[str, str]) -> Path:
    """A folder after ``syncline init``; only the port is another, so that tests can run side by side."""
    assert call(tmp_path, "init").returncode == 0
    practice = tmp_path / "pipelines/practice.py"
    text = practice.read_text(encoding="utf-8")
    assert "http://127.0.0.1:8080" in text, "the default port of `syncline sandbox salesforce`"
    practice.write_text(text.replace("http://127.0.0.1:8080", settings["SALESFORCE_INSTANCE_URL"]), encoding="utf-8")
    return tmp_path


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("SALESFORCE_")}
    return subprocess.run([*COMMAND, *words], cwd=folder, env=bare, capture_output=True, text=True, timeout=300)


def test_practice_pipeline_checks_plans_runs_and_verifies(home: Path) -> None:
    assert call(home, "check", "practice").returncode == 0
    plan = json.loads(call(home, "plan", "practice", "--json").stdout)
    assert plan["streams"]["Account"]["rows"] == 400
    run = json.loads(call(home, "run", "practice", "--json").stdout)
    assert {name: stream["inserted"] for name, stream in run["streams"].items()} == {
        "Account": 400,
        "Contact": 600,
        "Opportunity": 200,
    }
    assert call(home, "verify", "practice").returncode == 0
    with duckdb.connect(str(home / "practice.duckdb")) as connection:
        connection.execute("""UPDATE "Account" SET "Name" = 'x' WHERE "Id" = (SELECT min("Id") FROM "Account")""")
        connection.execute("""DELETE FROM "Contact" WHERE "Id" = (SELECT min("Id") FROM "Contact")""")
    proof = call(home, "verify", "practice")
    assert proof.returncode == 4, proof.stderr
    assert "different in Name" in proof.stdout
    assert "missing" in proof.stdout


def test_real_example_works_with_the_settings_of_its_environment_example(home: Path, settings: dict[str, str]) -> None:
    unset = call(home, "run", "crm")
    assert unset.returncode == 2
    assert "pipelines/crm.py:" in unset.stderr
    assert "SALESFORCE_CLIENT_SECRET" in unset.stderr
    lines = [f"{name}={value}" for name, value in settings.items()]
    (home / ".env").write_text("\n".join([*lines, "LANDING_URL=landing"]), encoding="utf-8")
    run = call(home, "run", "crm", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["streams"]["Contact"]["inserted"] == 600
    assert list((home / "landing/crm/Account/_manifests").glob("*.json"))


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        ('Stream("Acount")', 'Stream("Account")', ["Acount", "did you mean Account"]),
        ('"StageNmae"', '"StageName"', ["stream Opportunity, fields", "'StageNmae'", "did you mean StageName?"]),
        ('"AccountId ="', '"Amount > 0"', ["Opportunity"]),
    ],
)
def test_mistake_only_the_org_can_see_names_stream_and_setting(
    home: Path, settings: dict[str, str], wrong: str, right: str, says: list[str]
) -> None:
    crm = home / "pipelines/crm.py"
    crm.write_text(crm.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    lines = [f"{name}={value}" for name, value in settings.items()]
    (home / ".env").write_text("\n".join([*lines, "LANDING_URL=landing"]), encoding="utf-8")
    run = call(home, "run", "crm", "--log-format", "quiet")
    assert run.returncode == 2, run.stderr
    for part in says:
        assert part in run.stderr


def test_wrong_secret_is_refused_without_being_shown(home: Path, settings: dict[str, str]) -> None:
    """NO-SECRETS, and exit code 2: a refused sign-in is never tried again."""
    wrong = {**settings, "SALESFORCE_CLIENT_SECRET": "s3nt1nel-wrong-secret", "LANDING_URL": "landing"}
    (home / ".env").write_text("\n".join(f"{name}={value}" for name, value in wrong.items()), encoding="utf-8")
    run = call(home, "--debug", "run", "crm", "--json")
    assert run.returncode == 2
    assert json.loads(run.stdout)["error"]["kind"] == "SignInError"
    (home / ".env").unlink()
    left = b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
    assert b"s3nt1nel" not in left + (run.stdout + run.stderr).encode()


def test_taken_port_is_a_clear_error(home: Path, settings: dict[str, str]) -> None:
    port = settings["SALESFORCE_INSTANCE_URL"].rpartition(":")[2]
    taken = call(home, "sandbox", "salesforce", "--port", port, "--rows", "0")
    assert taken.returncode == 2
    assert f"serve the practice org: port {port}: Address already in use" in taken.stderr


def test_directions_for_other_clients_work_as_printed(org: str, tmp_path: Path) -> None:
    script = re.search(r"^  TOKEN=.*?FROM\+Account\"$", org, re.MULTILINE | re.DOTALL)
    assert script is not None
    done = subprocess.run(
        ["bash", "-c", script[0]], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode == 127:
        pytest.skip("curl is not installed")
    assert json.loads(done.stdout)["totalSize"] == 400
