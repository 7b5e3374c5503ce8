"""``syncline verify`` as it is typed: exit code 4 on differences, JSON for machines, a picture for people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from syncline.pipelines.cli import main

FILE = """
from syncline.connectors.records import Records
from syncline.pipelines import Pipeline
import pyarrow as pa
from datetime import UTC, datetime, timedelta

columns = pa.schema([("Id", pa.string()), ("Name", pa.string()), ("Stamp", pa.timestamp("us", "UTC"))])
old = datetime(2026, 1, 1, tzinfo=UTC)
rows = [{"Id": str(n), "Name": f"Name {n}", "Stamp": old + timedelta(minutes=n)} for n in range(100)]
source = Records().add("Account", columns, key="Id", cursor="Stamp", rows=rows)
pipeline = Pipeline("crm", source=source, streams=["Account"])
"""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--log-format", "quiet"])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "crm.py").write_text(FILE)
    assert call("run", "crm").exit_code == 0
    return tmp_path


def lose(home: Path, *keys: str) -> None:
    import duckdb

    with duckdb.connect(str(home / "crm.duckdb")) as connection:
        connection.execute("DELETE FROM Account WHERE list_contains(?, Id)", [list(keys)])


def test_equal_is_exit_code_0_and_a_difference_4(home: Path) -> None:
    assert call("verify", "crm").exit_code == 0
    lose(home, "7")
    result = call("verify", "crm")
    assert result.exit_code == 4
    assert "Account 7: missing" in result.stdout
    assert "✗" in result.stdout


def test_json_names_level_share_kinds_and_keys(home: Path) -> None:
    lose(home, "7")
    result = call("verify", "crm", "--level", "keys", "--json")
    assert result.exit_code == 4
    found = json.loads(result.stdout)["streams"]["Account"]
    assert (found["level"], found["keys_share"], found["rows_share"]) == ("keys", 1.0, 0.0)
    assert (found["missing"], found["extra"], found["stale"], found["different"]) == (1, 0, 0, 0)
    assert found["examples"][0]["key"] == ["7"]


def test_a_sample_is_for_full_rows(home: Path) -> None:
    assert call("verify", "crm", "--sample", "10%").exit_code == 0
    refused = call("verify", "crm", "--sample", "10%", "--level", "keys")
    assert refused.exit_code == 2
    assert "--sample" in refused.stderr


def test_repair_mends_and_ends_with_0(home: Path) -> None:
    lose(home, "7", "8")
    result = call("verify", "crm", "--repair", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["equal"], report["repaired"]) == (True, {"Account": 2})
    assert call("verify", "crm").exit_code == 0
    listed = json.loads(CliRunner().invoke(main, ["runs", "crm", "--json"]).stdout)["runs"]
    assert (listed[0]["run_id"], listed[0]["kind"]) == (report["repair_runs"][0], "repair")


def test_a_guarded_repair_ends_with_4_and_says_how_to_allow_it(home: Path) -> None:
    import duckdb

    with duckdb.connect(str(home / "crm.duckdb")) as connection:
        connection.execute("INSERT INTO Account SELECT * REPLACE ('x' || Id AS Id) FROM Account")
    result = call("verify", "crm", "--repair", "--level", "counts")
    assert result.exit_code == 4
    assert "--allow-deletes" in result.stderr
    assert call("verify", "crm", "--repair", "--allow-deletes").exit_code == 0
