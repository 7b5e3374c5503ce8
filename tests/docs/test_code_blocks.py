"""Every Python block of the documents runs: as it stands, with no network, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, Block, blocks

pytestmark = pytest.mark.checkout

BLOCKS = [block for page in PAGES for block in blocks(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
STANDALONE = [block for block in PYTHON if not block.tags]

NOT_RUN = {
    ("CONTRIBUTING.md", "from syncline.connectors.conformance import ConnectorConformance"): (
        "a skeleton: the world it names is what the reader writes"
    ),
}
"""Blocks tagged ``notest``, by page and first line, each with the reason why it cannot stand alone."""

RUN = "\n".join((
    "import socket, sys",
    "def refuse(*args): raise OSError('a block of the documents used the network')",
    "socket.socket.connect = socket.socket.connect_ex = refuse",
    "page, first_line, text = sys.argv[1:]",
    "exec(compile('\\n' * int(first_line) + text, page, 'exec'), {'__name__': 'block'})",
))  # fmt: skip

ENVIRONMENT = {
    "SALESFORCE_DOMAIN": "acme.my.salesforce.com",
    "SALESFORCE_CLIENT_ID": "fake-client-id",
    "SALESFORCE_CLIENT_SECRET": "fake-client-secret",
    "SNOWFLAKE_ACCOUNT": "acme-prod",
    "SNOWFLAKE_WAREHOUSE": "SYNCLINE_WH",
    "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "AWS",
    "REDSHIFT_HOST": "crm.c1.eu-central-1.redshift.amazonaws.com",
    "REDSHIFT_USER": "syncline",
    "REDSHIFT_PASSWORD": "fake-password",
    "LANDING_URL": "s3://acme-landing/crm",
    "AWS_ACCESS_KEY_ID": "fake-key-id",
    "AWS_SECRET_ACCESS_KEY": "fake-access-key",
    "AWS_REGION": "eu-central-1",
}


def run_block(block: Block, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, block.page, str(block.line), block.text],
        cwd=folder,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("block", STANDALONE, ids=lambda block: block.place)
def test_a_python_block_runs_as_it_stands(block: Block, tmp_path: Path) -> None:
    done = run_block(block, tmp_path, ENVIRONMENT)
    assert done.returncode == 0, f"{block.place}\n{block.text}\n{done.stderr}"


def test_a_block_that_raises_or_reaches_the_network_is_noticed(tmp_path: Path) -> None:
    for text in ("raise ValueError('wrong')", "import socket; socket.create_connection(('127.0.0.1', 9))"):
        assert run_block(Block("page", 1, "python", frozenset(), text), tmp_path, {}).returncode == 1


def test_only_blocks_on_the_list_are_not_run_and_every_one_on_it_exists() -> None:
    left_out = {(block.page, block.text.splitlines()[0]) for block in PYTHON if "notest" in block.tags}
    assert left_out == set(NOT_RUN)


def test_every_block_has_a_known_language_and_known_tags() -> None:
    languages = {"", "python", "console", "json", "ini", "dockerfile", "cron", "yaml", "toml", "sql"}
    tags = {"notest", "practice"}
    odd = [block.place for block in BLOCKS if block.language not in languages or not block.tags <= tags]
    assert not odd
