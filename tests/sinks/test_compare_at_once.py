"""Comparing by one join, for warehouses without row addresses, finds what comparing by ranges finds: the same laws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from syncline.sinks import comparison
from syncline.sinks.conformance import WarehouseConformance
from syncline.sinks.conformance_compare import ComparerLaws
from syncline.sinks.dialect import DUCKDB
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.match import Match
from syncline.sinks.targets import layouts, select_columns
from syncline.sinks.trial import Change, House, Trial, record
from syncline.sinks.warehouse import DIFFERENCES_MAX, Comparer, Comparison, TablePlan
from tests.sinks.houses import DuckDBHouse


class AtOnce(DuckDB):
    def compare(self, table: TablePlan, differences_max: int = DIFFERENCES_MAX) -> Comparison:
        session, place = self._connect()
        shown = layouts(session.run(select_columns(place, DUCKDB)), DUCKDB)
        loaded = self._loaded[table.stream]
        match = Match(table, shown[DUCKDB.fold(table.target)], place, DUCKDB, loaded.duplicated)
        with session.reading():
            if match.duplicated:
                session.run(match.supersede())
            actions = comparison.actions_at_once(session.run(comparison.count_at_once(match)))
            columns = comparison.columns_to_compare(match)
            rows: Sequence[Sequence[Any]] = list(
                zip(
                    *session.table(comparison.examples_at_once(match, differences_max)).to_pydict().values(),
                    strict=True,
                )
            )
        return comparison.comparison(actions, [comparison.difference(row, table, columns) for row in rows])


class AtOnceHouse(DuckDBHouse):
    def open(self) -> DuckDB:
        return AtOnce(self.path, self.schema)


class TestAtOnce(ComparerLaws):
    @pytest.fixture
    def house(self, path: Path) -> House:
        return AtOnceHouse(path)

    trial = WarehouseConformance.trial
    landing = WarehouseConformance.landing


@pytest.mark.parametrize("kind", [DuckDBHouse, AtOnceHouse])
def test_a_key_that_stands_twice_in_the_target_is_extra(path: Path, tmp_path: Path, kind: type[DuckDBHouse]) -> None:
    from syncline.sinks.landing import Landing

    house = kind(path)
    trial = Trial(house, Landing(str(tmp_path / "landing")))
    trial.run(Change([record("1"), record("2")]))
    with house.reader() as reader:
        reader.execute("INSERT INTO Account SELECT * FROM Account WHERE Id = '2'")
    change = Change([record("1"), record("2")], mode="snapshot")
    warehouse, plan = house.open(), change.plan("again")
    warehouse.load(plan, trial.land(change, "again"), trial.landing)
    assert isinstance(warehouse, DuckDB)
    comparer: Comparer = warehouse
    found = comparer.compare(plan)
    assert (found.rows_source, found.rows_target, found.extra, found.different) == (2, 3, 1, 0)
    assert found.examples[0].key == ("2",)
    warehouse.close()
