"""The journeys that the documents describe, walked: their commands and Python, in order, against a practice org.

Blocks tagged ``practice`` count. Only the org's address and its number of records are others than a reader's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.connectors.sandbox import Org, SandboxProcess, start_process
from syncline.connectors.sandbox.faults import KINDS
from tests.docs.pages import PAGES, Block, blocks, read, rows

pytestmark = pytest.mark.checkout

JOURNEYS = [page for page in PAGES if any("practice" in block.tags for block in blocks(page))]
ADDRESS = "127.0.0.1:8080"
ROWS = 120


@pytest.fixture(scope="module")
def org() -> Iterator[SandboxProcess]:
    with start_process(rows=ROWS, seed=1) as process:
        yield process


@pytest.fixture
def environment() -> dict[str, str]:
    """The reader's activated environment, and nothing of whoever runs the tests."""
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {"PATH": programs, "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1", "HOME": os.environ.get("HOME", "/")}


def script_of(block: Block) -> list[str]:
    """What a reader types for the block: Python, or the lines behind ``$`` as one script that stops at an error."""
    if block.language == "python":
        return ["python", "-W", "error", "-c", block.text]
    typed = [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]
    return ["bash", "-e", "-o", "pipefail", "-c", "\n".join(typed)]


def walk(page: str, folder: Path, org: SandboxProcess, environment: dict[str, str]) -> list[str]:
    """Runs the page's journey in the folder, up to the first step that fails; returns what each step printed.

    A reader takes a moment between the steps. The org's clock tells whole seconds, and within one of them a second run
    has nothing to read, not even the overlap.
    """
    address = org.url.removeprefix("http://")
    printed = []
    for block in blocks(page):
        if "practice" not in block.tags:
            continue
        script = [word.replace(ADDRESS, address) for word in script_of(block)]
        done = subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{block.place}\n{block.text}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout)
        org.control("advance", seconds=2)
        point(folder, address)
    return printed


def point(folder: Path, address: str) -> None:
    """Points the pipeline that ``init`` wrote at the org of this test."""
    pipeline = folder / "pipelines/practice.py"
    if pipeline.exists():
        pipeline.write_text(pipeline.read_text().replace(ADDRESS, address))


@pytest.mark.parametrize("page", JOURNEYS)
def test_a_page_s_journey_ends_well_and_prints_what_is_shown(
    page: str, org: SandboxProcess, environment: dict[str, str], tmp_path: Path
) -> None:
    address = org.url.removeprefix("http://")
    if page != "docs/getting-started.md":
        subprocess.run(["syncline", "init"], cwd=tmp_path, env=environment, capture_output=True, check=True)
        point(tmp_path, address)
    printed = walk(page, tmp_path, org, environment)
    assert printed[-1].count(" equal") == 3, "the last step proves that the three tables equal the org"
    words = set("\n".join(printed).split())
    assert not [heading for heading in headings(page) if not set(heading.split()) <= words]


def headings(page: str) -> list[str]:
    """Lines of the output shown that do not depend on the number of records, the time of day or the width."""
    consoles = [block for block in blocks(page) if block.language == "console" and "practice" in block.tags]
    return [line for block in consoles for line in block.text.splitlines() if line.startswith(("stream ", "wrote "))]


def test_every_control_call_and_fault_that_is_named_exists(org: SandboxProcess) -> None:
    page = read("docs/practice-org.md")
    named = {name for cells in rows(page, "call") for name in re.findall(r"`(\w+)`", cells[0])}
    named |= set(re.findall(r"/__sandbox__/(\w+)", "".join(read(each) for each in PAGES)))
    with pytest.raises(ValueError, match="no control call") as refusal:
        org.control("no_such_call")
    known = set(re.findall(r"\w+", str(refusal.value).partition("known:")[2]))
    assert named <= known
    faults = page.partition("Kinds of `inject`:")[2].partition("`path` is")[0]
    assert set(re.findall(r"`(\w+)`", faults)) - {"status", "body", "delay_s"} == set(KINDS)


def test_the_credentials_that_are_shown_are_the_org_s_own() -> None:
    org = Org(seed=1)
    shown = read("docs/practice-org.md")
    user = org.user
    for text in (org.client_id, org.client_secret, user.username, user.password, user.security_token):
        assert f"`{text}`" in shown
