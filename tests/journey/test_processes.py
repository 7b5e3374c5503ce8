"""The command against the practice org, each run a process of its own that is stopped, killed or starved."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from syncline.connectors.sandbox import Org, SandboxServer

COMMAND = [sys.executable, "-c", "from syncline.pipelines.cli import main; main()"]
HANG_S = 3_600.0
GIVE_UP_S = 300.0
"""A run that does not end by itself fails the test after so long; it lies far above what a busy machine needs, and far
below how long the source hangs."""

PIPELINE = """\
from syncline.connectors import Salesforce
from syncline.pipelines import Pipeline, Stream
from syncline.sinks import DuckDB, Landing

pipeline = Pipeline(
    "crm",
    source=Salesforce.from_env(bulk_rows_min=1, page_rows=200, settling_lag_s=0),
    landing={landing},
    streams=[Stream("Account"), Stream("Contact")],
    workers=1,
)
"""


class Desk:
    """A user's folder, and the org it syncs from; time is real here, because processes cannot share a frozen clock."""

    def __init__(self, org: Org, server: SandboxServer, folder: Path) -> None:
        self.org, self.server, self.folder = org, server, folder
        self.write('Landing(".syncline/landing")')

    def write(self, landing: str) -> None:
        (self.folder / "pipelines").mkdir(exist_ok=True)
        (self.folder / "pipelines/crm.py").write_text(PIPELINE.replace("{landing}", landing))

    def environment(self, **more: str) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SALESFORCE_"))}
        return {
            **clean,
            "SALESFORCE_INSTANCE_URL": self.server.url,
            "SALESFORCE_CLIENT_ID": self.org.client_id,
            "SALESFORCE_CLIENT_SECRET": self.org.client_secret,
            **more,
        }

    def start(self, *words: str, limit_bytes: int | None = None, **more: str) -> subprocess.Popen[str]:
        def starve() -> None:
            if limit_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

        return subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=starve,
        )

    def call(self, *words: str, **how: Any) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, **how)
        out, err = process.communicate(timeout=GIVE_UP_S)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def until(self, process: subprocess.Popen[str], event: str) -> None:
        """Reads the run's events up to one of this name."""
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("{") and json.loads(line)["event"] == event:
                return
        raise AssertionError(f"the run ended without {event}")

    def ids(self, table: str) -> list[str]:
        with duckdb.connect(str(self.folder / "crm.duckdb"), read_only=True) as connection:
            return [row[0] for row in connection.execute(f'SELECT "Id" FROM "{table}" ORDER BY 1').fetchall()]

    def equal(self) -> bool:
        return all(
            self.ids(name) == self.org.snapshot(name).column("Id").to_pylist() for name in ("Account", "Contact")
        )

    def jobs_under_way(self) -> list[Any]:
        return [job for job in self.org.jobs() if job["state"] in ("UploadComplete", "InProgress")]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    org = Org(seed=5, seed_rows={"Account": 2_000, "Contact": 1_000})
    with SandboxServer(org) as server:
        yield Desk(org, server, tmp_path)
        org.clear_faults()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("trouble", ["slow", "stuck"])
def test_a_signal_ends_a_run_that_hangs_and_leaves_nothing_under_way(
    desk: Desk, number: signal.Signals, trouble: str
) -> None:
    if trouble == "slow":
        desk.org.inject("stall", path="*/results", nth=2, times=100, delay_s=HANG_S)
    else:
        desk.org.settings.bulk_running_s = HANG_S
    process = desk.start("run", "crm")
    desk.until(process, "slice_landed" if trouble == "slow" else "stream_planned")
    process.send_signal(number)
    try:
        process.communicate(timeout=GIVE_UP_S)
    finally:
        process.kill()
    assert process.returncode == 1, "ended by itself, with the exit code of a stop"
    assert desk.jobs_under_way() == []
    desk.org.clear_faults()
    desk.org.settings.bulk_running_s = 0
    again = desk.call("run", "crm")
    assert again.returncode == 0, again.stderr
    assert desk.equal()


def test_a_killed_run_goes_on_with_the_pages_that_had_not_landed(desk: Desk) -> None:
    desk.org.settings.bulk_page_rows_default = 200
    process = desk.start("run", "crm")
    for _ in range(3):
        desk.until(process, "slice_landed")
    process.kill()
    process.communicate()
    landed = len(list((desk.folder / ".syncline/landing").rglob("*.parquet")))
    desk.org.log.clear()
    again = desk.call("run", "crm", "--json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert report["resumed"], "VALUE-RESUME"
    pages = 2_000 // 200 + 1_000 // 200
    read = desk.org.log.totals()["bulk_results"]
    assert landed >= 3
    assert read <= pages - landed + 1, f"{read} pages read again, {landed} of {pages} had landed"
    assert desk.equal()
    assert desk.jobs_under_way() == []


def test_a_full_disk_is_told_and_loses_nothing(desk: Desk) -> None:
    starved = desk.call("run", "crm", limit_bytes=20_000)
    assert starved.returncode in (1, 2)
    assert "error:" in starved.stderr
    assert "Traceback" not in starved.stderr
    again = desk.call("run", "crm")
    assert again.returncode == 0, again.stderr
    assert desk.equal()


def test_a_database_that_another_process_holds_is_named(desk: Desk) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import duckdb, sys; c = duckdb.connect('crm.duckdb'); print('held'); sys.stdout.flush(); sys.stdin.read()",
        ],
        cwd=desk.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    desk.write('Landing(".syncline/landing"), warehouse=DuckDB("crm.duckdb", lock_wait_s=0.1)')
    try:
        refused = desk.call("run", "crm")
    finally:
        holder.communicate("")
    assert refused.returncode == 1
    assert "crm.duckdb" in refused.stderr
    assert desk.call("run", "crm").returncode == 0
    assert desk.equal()


def test_the_landing_may_be_a_bucket(desk: Desk, bucket: tuple[str, str]) -> None:
    endpoint, name = bucket
    desk.write(f'Landing("s3://{name}/crm", endpoint="{endpoint}", region="us-east-1", sse="kms")')
    keys = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "bucket-s3cret"}
    first = desk.call("run", "crm", **keys)
    assert first.returncode == 0, first.stderr
    assert desk.equal()
    desk.org.delete("Account", desk.org.ids("Account", limit=5))
    desk.org.advance(5)  # the windows of this pipeline end at the org's last whole second
    second = desk.call("run", "crm", **keys)
    assert second.returncode == 0, second.stderr
    assert desk.equal()
    missing = desk.folder / "pipelines/crm.py"
    missing.write_text(missing.read_text().replace(f"s3://{name}", "s3://no-such-bucket-here"))
    desk.org.insert("Account", {"Name": "x"}, count=1)
    desk.org.advance(5)
    refused = desk.call("run", "crm", **keys)
    assert refused.returncode == 2, refused.stderr
    assert "no-such-bucket-here" in refused.stderr
    assert "hint:" in refused.stderr


@pytest.fixture
def bucket() -> Iterator[tuple[str, str]]:
    import logging

    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
    )
    client.create_bucket(Bucket="acme-landing")
    yield endpoint, "acme-landing"
    server.stop()


def test_wrong_credentials_are_final_and_no_secret_is_left_anywhere(desk: Desk) -> None:
    sentinel = "s3nt1nel-s3cret"
    refused = desk.call("run", "crm", SALESFORCE_CLIENT_SECRET=sentinel)
    assert refused.returncode == 2, "a retry would lock the account"
    assert "hint:" in refused.stderr
    assert desk.org.log.totals()["token"] == 1
    worked = desk.call("run", "crm", "--debug")
    left = refused.stdout + refused.stderr + worked.stdout + worked.stderr
    kept = b"".join(path.read_bytes() for path in desk.folder.rglob("*") if path.is_file())
    for secret in (sentinel, desk.org.client_secret, desk.org.access_token()):
        assert secret not in left, "NO-SECRETS"
        assert secret.encode() not in kept, "NO-SECRETS"
