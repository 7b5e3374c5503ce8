"""The demo proves what it claims: its proof finds any difference, and the small journey ends proved and idle."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from syncline.pipelines.demo import differences, read_target
from tests.pipelines.doubles import Folder

ORG = pa.table(
    {
        "Id": ["b", "a", "c"],
        "Amount": pa.array([Decimal("1.10"), None, Decimal("-3.00")], pa.decimal128(18, 2)),
        "At": pa.array([datetime(2026, 1, n, tzinfo=UTC) for n in (1, 2, 3)], pa.timestamp("us", "UTC")),
    }
)


def changed(column: str, values: list[object]) -> pa.Table:
    return ORG.set_column(ORG.column_names.index(column), column, pa.array(values, ORG[column].type))


def test_equal_tables_have_no_differences_whatever_their_order_and_bookkeeping() -> None:
    target = ORG.take([2, 0, 1]).append_column("_syncline_synced_at", pa.nulls(3))
    assert differences(ORG, target) == []


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (ORG.slice(1), "3 rows in the org, 2 in the table"),
        (ORG.drop_columns(["At"]), "columns At are missing"),
        (changed("Id", ["b", "a", "d"]), "Id differs in 1 rows"),
        (changed("Amount", [Decimal("1.11"), None, Decimal("-3.00")]), "Amount differs in 1 rows"),
        (changed("Amount", [Decimal("1.10"), Decimal("0.00"), None]), "Amount differs in 2 rows"),
        (changed("At", [datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC), *ORG["At"].to_pylist()[1:]]), "At differs in 1"),
    ],
)
def test_every_difference_is_found(target: pa.Table, says: str) -> None:
    assert any(says in text for text in differences(ORG, target))


def test_target_is_read_from_the_file_itself(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        connection.register("org", ORG)
        connection.execute('CREATE TABLE "Account" AS SELECT * FROM org')
    assert differences(ORG, read_target(tmp_path / "x.duckdb", "Account")) == []


def test_small_journey_is_proved_and_its_idle_run_is_free(folder: Folder) -> None:
    """IDLE-IS-FREE and the journey of every kind of change, end to end against the practice org."""
    result = folder.call("demo", "--rows", "1000", "--json", "--log-format", "quiet")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["proved"] is True
    assert report["runs"]["idle run"]["warehouse_statements"] == 0
    assert report["runs"]["idle run"]["status"] == "idle"
    assert report["runs"]["reload"]["streams"]["Contact"]["absent"] > 0
    assert list(folder.path.iterdir()) == [], "nothing is left in the working folder"
