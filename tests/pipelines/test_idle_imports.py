"""What an idle run from cron imports: a module that is not loaded costs no time. Timed in the benchmarks, not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from syncline.connectors.sandbox import Org, SandboxServer

GIVE_UP_S = 300.0
DAY_S = 86_400

PIPELINE = """\
from syncline.connectors import Salesforce
from syncline.pipelines import Pipeline, Stream

pipeline = Pipeline("crm", source=Salesforce.from_env(), streams=[Stream("Account", verify_every="30d")])
"""
HEAVY = (
    "asyncio", "boto3", "dlt", "duckdb", "obstore", "psycopg", "pyarrow.compute", "pyarrow.csv", "pyarrow.json",
    "pyarrow.parquet", "simple_salesforce", "snowflake", "sqlglot", "syncline.connectors.sandbox",
    "syncline.pipelines.verify", "tenacity", "tornado", "xml",
)  # fmt: skip
"""What reads rows, opens a warehouse or bucket, repeats a request, proves or signs in otherwise: none of it happens."""

SCRIPT = f"""\
import sys
from syncline.pipelines.cli import main
try:
    main()
except SystemExit as ended:
    if ended.code:
        raise
loaded = [name for name in {(*HEAVY, "rich", "rich.progress")!r} if name in sys.modules]
print(*loaded, sep="\\n", file=open("loaded", "w"))
"""


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(Org(seed=1, seed_rows={"Account": 20})) as server:
        yield server


def command(folder: Path, server: SandboxServer, *words: str) -> tuple[str, Sequence[str]]:
    """What it wrote to stdout, and which of the modules above it loaded."""
    settings = {
        **os.environ,
        "SALESFORCE_INSTANCE_URL": server.url,
        "SALESFORCE_CLIENT_ID": server.client_id,
        "SALESFORCE_CLIENT_SECRET": server.client_secret,
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        cwd=folder, env=settings, capture_output=True, text=True, timeout=GIVE_UP_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / "loaded").read_text().split()


def test_an_idle_run_loads_nothing_that_reads_rows_or_opens_a_warehouse(server: SandboxServer, tmp_path: Path) -> None:
    """IDLE-IS-FREE. Only the table for people needs what draws it."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "crm.py").write_text(PIPELINE)
    told, loaded = command(tmp_path, server, "run", "crm", "--json")
    assert json.loads(told)["status"] == "done"
    assert {"duckdb", "pyarrow.json"} <= set(loaded), "the probe sees what a run with rows loads"
    server.org.advance(DAY_S)
    told, loaded = command(tmp_path, server, "run", "crm", "--json")
    assert json.loads(told)["status"] == "idle"
    assert loaded == []
    assert command(tmp_path, server, "run", "crm")[1] == ["rich"]
