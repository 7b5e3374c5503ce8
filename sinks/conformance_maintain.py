"""The suite of warehouses whose tables Syncline looks after (``Maintainer``)."""

from __future__ import annotations

from typing import cast

from syncline.sinks.maintenance import Maintainer
from syncline.sinks.trial import PIPELINE, Change, Trial, record
from syncline.sinks.warehouse import RUNS_TABLE, WATERMARKS_TABLE


class MaintainerLaws:
    """Inherited beside ``WarehouseConformance``."""

    def test_upkeep_clears_dead_rows_away_and_changes_none(self, trial: Trial) -> None:
        rows = [record(f"{number:03}") for number in range(200)]
        trial.run(Change(rows))
        trial.run(Change([{**row, "Name": "new"} for row in rows[::5]]))
        before, warehouse = trial.rows(), trial.house.open()
        marks = warehouse.watermarks(PIPELINE)
        sent = warehouse.statements
        for _ in range(2):
            done = cast("Maintainer", warehouse).maintain(["Account", "Never made"])
            if done.cares_itself:
                assert (warehouse.statements, done.tables) == (sent, ())
            else:
                assert [each.table for each in done.tables] == ["Account", WATERMARKS_TABLE, RUNS_TABLE]
                assert all((each.dead_after or 0) <= (each.dead_before or 0) for each in done.tables)
        assert warehouse.watermarks(PIPELINE) == marks
        warehouse.close()
        assert trial.rows() == before
        assert trial.counts(Change(rows)).updated == 40, "later runs find the tables as before"

    def test_upkeep_of_a_warehouse_that_holds_nothing_yet_makes_nothing(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        assert cast("Maintainer", warehouse).maintain(["Account"]).tables == ()
        assert warehouse.watermarks(PIPELINE) == {}
        warehouse.close()
        assert trial.house.read("Account") is None
