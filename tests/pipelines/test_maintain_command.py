"""``syncline maintain`` as a user calls it."""

from __future__ import annotations

import json

import pytest

from syncline.sinks.maintenance import Maintenance, TableUpkeep
from syncline.sinks.memory import Memory
from tests.pipelines.doubles import Folder

CRM = """
import pyarrow as pa
from syncline.connectors import Records
from syncline.pipelines import Pipeline
source = Records()
source.add("Account", pa.schema([("Id", pa.string())]), key="Id", rows=[{"Id": "1"}, {"Id": "2"}])
pipeline = Pipeline("crm", source=source, streams=["Account"])
"""


@pytest.fixture
def crm(folder: Folder) -> Folder:
    folder.write("pipelines/crm.py", CRM)
    return folder


def test_it_says_what_it_cleared_away(crm: Folder) -> None:
    assert crm.call("run", "crm", "--log-format", "quiet").exit_code == 0
    result = crm.call("maintain", "crm")
    assert result.exit_code == 0, result.output
    head, _, *tables, file = result.stdout.splitlines()
    assert head.split() == ["table", "dead", "rows", "before", "after"]
    assert [line.split() for line in tables] == [
        [name, "0", "0"] for name in ("Account", "_syncline_watermarks", "_syncline_runs")
    ]
    assert "free for later runs" in file
    assert json.loads(crm.call("maintain", "crm", "--json").stdout)["tables"][0]["table"] == "Account"


def test_before_the_first_run_there_is_nothing_to_do_and_no_file_is_made(crm: Folder) -> None:
    result = crm.call("maintain", "crm")
    assert result.exit_code == 0, result.output
    assert "holds no tables of crm yet" in result.stdout
    assert not list(crm.path.glob("*.duckdb"))


def test_a_run_under_way_keeps_it_away(crm: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert crm.call("run", "crm", "--log-format", "quiet").exit_code == 0
    from syncline.pipelines.cli_parts import load

    monkeypatch.chdir(crm.path)
    with load("crm").state.lease("crm", 60):
        assert crm.call("maintain", "crm").exit_code == 3


MEMORY = "\nfrom syncline.sinks import memory\npipeline = Pipeline('crm', source=source, streams=['Account'], "


def test_a_warehouse_without_upkeep_is_named(crm: Folder) -> None:
    crm.write("pipelines/crm.py", CRM + MEMORY + "warehouse=memory.Memory())")
    result = crm.call("maintain", "crm")
    assert result.exit_code == 2
    assert "look after its tables with its own tools" in result.stderr


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (Maintenance(cares_itself=True), "looks after its tables by itself: nothing was sent"),
        (Maintenance((TableUpkeep("account", None, None),)), "account"),
    ],
)
def test_what_a_warehouse_does_not_tell_is_said(
    crm: Folder, monkeypatch: pytest.MonkeyPatch, done: Maintenance, said: str
) -> None:
    monkeypatch.setattr(Memory, "maintain", lambda self, targets: done, raising=False)
    crm.write("pipelines/crm.py", CRM + MEMORY + "warehouse=memory.Memory())")
    result = crm.call("maintain", "crm")
    assert result.exit_code == 0, result.output
    assert said in result.stdout
