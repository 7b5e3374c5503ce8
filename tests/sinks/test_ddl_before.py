"""DDL-BEFORE: all DDL is sent before BEGIN, and none at all when one of the targets is refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from syncline.connectors.errors import ConfigError
from syncline.sinks.landing import Landing
from syncline.sinks.trial import COLUMNS, Change, Trial, record, tombstone
from tests.sinks.connections import Tap
from tests.sinks.houses import DuckDBHouse

DML = (exp.Select, exp.Insert, exp.Update, exp.Delete)


@pytest.fixture
def tap() -> Tap:
    return Tap()


@pytest.fixture
def trial(path: Path, tap: Tap, tmp_path: Path) -> Trial:
    return Trial(DuckDBHouse(path, settings={"connect": tap.connect}), Landing(str(tmp_path / "landing")))


def transactions(statements: list[str]) -> list[list[str]]:
    """What was sent between each BEGIN and the COMMIT or ROLLBACK that follows it."""
    found: list[list[str]] = []
    inside = False
    for statement in statements:
        if statement.startswith("BEGIN"):
            found.append([])
            inside = True
        elif statement in ("COMMIT", "ROLLBACK"):
            inside = False
        elif inside:
            found[-1].append(statement)
    assert not inside
    return found


def test_no_ddl_slips_between_begin_and_commit_even_when_the_target_must_change(trial: Trial, tap: Tap) -> None:
    """DDL-BEFORE: on Snowflake a DDL statement would commit half a run."""
    trial.run(Change([record("1"), record("2")]))
    tap.statements.clear()
    wider = COLUMNS.append(pa.field("Extra", pa.int64()))
    rows = [{**record("1", "new", 1), "Extra": 1}, record("3"), record("3", "twice", 1)]
    trial.run(Change(rows, [tombstone("2", 1)], columns=wider, on_delete="mark"))
    [sent] = transactions(tap.statements)
    assert len(sent) > 5
    assert [each for each in sent if not isinstance(sqlglot.parse_one(each, dialect="duckdb"), DML)] == []
    assert [each for each in tap.statements if each.startswith(("CREATE", "ALTER"))], "the target did change"


def test_a_refused_target_leaves_every_other_as_it_was(path: Path, trial: Trial) -> None:
    """DDL-BEFORE: DDL cannot be rolled back everywhere, so none is sent before all targets were found fit."""
    trial.house.intrude("Theirs")
    with duckdb.connect(str(path)) as reader:
        before = reader.execute("SELECT table_name, column_name FROM duckdb_columns() ORDER BY ALL").fetchall()
    warehouse = trial.house.open()
    with pytest.raises(ConfigError, match="not made by Syncline"):
        warehouse.prepare([Change().plan("run-1"), Change(stream="Other", target="Theirs").plan("run-1")])
    warehouse.close()
    with duckdb.connect(str(path)) as reader:
        after = reader.execute("SELECT table_name, column_name FROM duckdb_columns() ORDER BY ALL").fetchall()
    assert after == before
