"""``syncline replay`` as it is typed, and the warehouses it can be told of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from syncline.connectors.errors import ConfigError
from syncline.pipelines.cli import main
from syncline.pipelines.warehouse_url import warehouse_of
from tests.proof.test_verify_command import call, home

__all__ = ["home"]


def test_it_makes_the_tables_anew_and_says_what_came(home: Path) -> None:
    result = call("replay", "crm", "--into", "duckdb:///audit.duckdb?schema=then", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["runs"], report["streams"]["Account"]["inserted"]) == (1, 100)
    with duckdb.connect(str(home / "audit.duckdb")) as connection:
        assert connection.execute('SELECT count(*) FROM "then"."Account"').fetchone() == (100,)
    again = call("replay", "crm", "--into", "duckdb:///audit.duckdb?schema=then")
    assert again.exit_code == 0, "nothing is left to do"
    assert "1 runs of crm" in again.stdout


def test_the_pipeline_s_own_warehouse_is_refused(home: Path) -> None:
    refused = call("replay", "crm", "--into", "pipelines/crm.py")
    assert refused.exit_code == 2
    assert "syncline rewind" in refused.stderr


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("duckdb:///", "names no file"),
        ("duckdb://host/file.duckdb", "names no file"),
        ("duckdb:///file.duckdb?mode=ro", "names no file"),
        ("mysql://host/db", "nothing is known of mysql"),
        ("postgresql://me:hunter2@host/db", "it holds a password"),
        ("nowhere.py", "no such file"),
    ],
)
def test_a_place_that_is_no_warehouse_is_refused_no_secrets(place: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        warehouse_of(place, tmp_path)
    assert "hunter2" not in str(refused.value)


def test_urls_say_where_and_in_which_schema(tmp_path: Path) -> None:
    assert repr(warehouse_of("duckdb:///a/b.duckdb", tmp_path)) == f"DuckDB('{tmp_path}/a/b.duckdb', schema='main')"
    assert repr(warehouse_of("duckdb:////data/b.duckdb", tmp_path)) == "DuckDB('/data/b.duckdb', schema='main')"
    served: Any = warehouse_of("postgresql://me@db.example.com:5433/crm?schema=audit&sslmode=require", tmp_path)
    assert "5433/crm" in repr(served)
    assert "schema='audit'" in repr(served)


def test_rewind_puts_the_tables_back(home: Path) -> None:
    listed = json.loads(CliRunner().invoke(main, ["runs", "crm", "--json"]).stdout)["runs"]
    with duckdb.connect(str(home / "crm.duckdb")) as connection:
        connection.execute("UPDATE Account SET Name = 'forged' WHERE Id < '5'")
    result = call("rewind", "crm", "--to", listed[0]["run_id"], "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["kind"], report["status"]) == ("rewind", "done")
    assert call("verify", "crm").exit_code == 0
    assert call("rewind", "crm", "--to", "nope").exit_code == 2
