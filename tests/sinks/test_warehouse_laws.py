"""The laws where a warehouse is handed something odd: each test fails when one line of it breaks its law."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError, CountMismatch, ValueOutOfType
from syncline.sinks import staging
from syncline.sinks.landing import Landing
from syncline.sinks.merge import Merge
from syncline.sinks.trial import COLUMNS, START, Change, Trial, at, record, tombstone
from syncline.sinks.warehouse import CommitUnit, Mark
from tests.sinks.houses import DuckDBHouse, MemoryHouse


@pytest.fixture(params=["duckdb", "memory"])
def trial(request: pytest.FixtureRequest, path: Path, tmp_path: Path) -> Trial:
    house: Any = DuckDBHouse(path) if request.param == "duckdb" else MemoryHouse()
    return Trial(house, Landing(str(tmp_path / "landing")))


def test_pipelines_with_a_stream_of_the_same_name_keep_a_fence_each_fenced_commit(trial: Trial) -> None:
    warehouse = trial.house.open()
    warehouse.prepare([])
    for version, pipeline in [(0, "one"), (0, "two"), (1, "one"), (1, "two")]:
        unit = CommitUnit(pipeline, f"{pipeline}-{version}", START, [], [Mark("Account", version, at(version), ())])
        warehouse.commit(unit)
    marks = [warehouse.watermarks(pipeline)["Account"] for pipeline in ("one", "two")]
    warehouse.close()
    assert [(mark.version, mark.run_id) for mark in marks] == [(2, "one-1"), (2, "two-1")]


def test_a_watermark_comes_back_to_the_microsecond_complete_window(trial: Trial) -> None:
    warehouse = trial.house.open()
    warehouse.prepare([])
    warehouse.commit(CommitUnit("one", "run-1", START, [], [Mark("Account", 0, at(1.234567), ())]))
    assert warehouse.watermarks("one")["Account"].watermark == at(1.234567)
    warehouse.close()


@pytest.fixture
def duck(path: Path, tmp_path: Path) -> Trial:
    return Trial(DuckDBHouse(path), Landing(str(tmp_path / "landing")))


def test_a_name_too_long_for_the_warehouse_is_refused_and_never_cut_exact_names(duck: Trial) -> None:
    longest = "é" * 127 + "x"
    duck.run(Change([{**record("1"), longest: 1}], columns=COLUMNS.append(pa.field(longest, pa.int64()))))
    assert longest in duck.rows()[0]
    with pytest.raises(ConfigError, match="255 bytes"):
        duck.run(Change([record("1")], columns=COLUMNS.append(pa.field(f"{longest}x", pa.int64()))))


def test_a_file_whose_values_do_not_fit_the_plan_is_refused_not_nulled_types_from_source(duck: Trial) -> None:
    """A file that is not of its manifest's types was changed by somebody; its values are never cut or dropped."""
    numbers = pa.schema([COLUMNS.field("Id"), pa.field("Name", pa.int64()), COLUMNS.field("Stamp")])
    warehouse = duck.house.open()
    plan = Change(columns=numbers).plan("run-0001")
    warehouse.prepare([plan])
    manifest = replace(duck.land(Change([record("1", "no number")]), "run-0001"), columns=numbers)
    warehouse.load(plan, manifest, duck.landing)
    with pytest.raises(ValueOutOfType):
        warehouse.commit(CommitUnit(plan.pipeline, plan.run_id, START, [plan], [Mark("Account", 0, at(1), ())]))
    assert duck.rows() == []
    warehouse.close()


def test_a_cursor_is_never_kept_in_a_type_that_orders_otherwise_types_from_source(duck: Trial) -> None:
    """As text, ``9:00`` is later than ``10:00``: by such a column the newest could not win (NEWEST-WINS)."""
    as_text = pa.schema([COLUMNS.field("Id"), COLUMNS.field("Name"), pa.field("Stamp", pa.string())])
    duck.run(Change([{**record("1"), "Stamp": "soon"}], columns=as_text, cursor=None))
    with pytest.raises(ConfigError, match="no common type"):
        duck.run(Change([record("2")]))


def test_a_file_with_another_number_of_rows_is_refused_before_it_is_staged_counted_hops(duck: Trial) -> None:
    """Two files whose errors cancel out: only counting file by file tells."""
    warehouse = duck.house.open()
    change = Change([record("1"), record("2")], [{**record("3"), "Name": None}])
    plan = change.plan("run-0001")
    warehouse.prepare([plan])
    manifest = duck.land(change, "run-0001")
    first, second = manifest.files
    wrong = (replace(first, rows=first.rows + 1), replace(second, rows=second.rows - 1))
    with pytest.raises(CountMismatch):
        warehouse.load(plan, manifest.with_files(wrong), duck.landing)
    warehouse.close()


def test_a_staging_that_misses_rows_of_whole_files_is_refused_counted_hops(
    duck: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is as its manifest says, and yet the staging does not hold them all."""
    whole = staging.create_view
    monkeypatch.setattr(staging, "create_view", lambda plan, records, gone, dialect: whole(plan, records, [], dialect))
    with pytest.raises(CountMismatch, match="1 rows are staged, the manifest says 2"):
        duck.run(Change([record("1")], [tombstone("2")]))


@pytest.mark.parametrize("statement", ["fill", "insert", "mark", "delete"])
def test_a_statement_that_does_not_do_all_it_should_undoes_the_commit_counted_hops(
    duck: Trial, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    if statement != "fill":
        duck.run(Change([record("1"), record("2")]))
    before = duck.rows() if statement != "fill" else []
    whole = getattr(Merge, statement)
    monkeypatch.setattr(Merge, statement, lambda merge: f"{whole(merge)} AND FALSE")
    with pytest.raises(CountMismatch):
        duck.run(Change([record("1", "new", 1)], [tombstone("2", 1)], on_delete="mark"))
    assert [(row["Id"], row["Name"]) for row in duck.rows()] == [(row["Id"], row["Name"]) for row in before]
