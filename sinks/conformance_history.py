"""What every warehouse that tells its committed runs promises; see ``conformance`` for how to inherit it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from syncline.connectors.errors import FenceLost
from syncline.sinks.trial import PIPELINE, Change, Trial, record
from syncline.sinks.warehouse import CommittedRun, RunHistory


class RunHistoryLaws:
    """Inherit beside ``WarehouseConformance``."""

    def test_an_empty_place_tells_of_no_run_and_asking_creates_nothing(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        assert cast("RunHistory", warehouse).committed_runs(PIPELINE) == {}
        assert warehouse.watermarks(PIPELINE) == {}
        warehouse.close()

    def test_a_run_is_told_of_once_it_committed_and_not_before_one_transaction(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        history = cast("RunHistory", warehouse)
        unit = replace(trial.stage(warehouse, Change([record("1")])), run={"kind": "run", "rows": {"Account": 1}})
        assert history.committed_runs(PIPELINE) == {}
        warehouse.commit(unit)
        told = CommittedRun(unit.run_id, "run", {"Account": 1}, {"Account": 1})
        assert history.committed_runs(PIPELINE) == {unit.run_id: told}
        assert history.committed_runs("another") == {}
        warehouse.close()

    def test_a_run_that_commits_stream_by_stream_is_told_of_once_with_all_its_rows(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        first = replace(trial.stage(warehouse, Change([record("1")])), run={"kind": "run", "rows": {"Account": 1}})
        warehouse.commit(first)
        more = trial.stage(warehouse, Change([record("1"), record("2")], stream="Contact"))
        warehouse.commit(replace(more, run_id=first.run_id, run={"kind": "run", "rows": {"Contact": 2}}, again=True))
        told = cast("RunHistory", warehouse).committed_runs(PIPELINE)
        both = CommittedRun(first.run_id, "run", {"Account": 1, "Contact": 2}, {"Account": 1, "Contact": 1})
        assert told == {first.run_id: both}
        warehouse.close()

    def test_a_run_that_lost_the_fence_is_not_told_of_fenced_commit(self, trial: Trial) -> None:
        trial.run(Change([record("1")]))
        warehouse = trial.house.open()
        unit = trial.stage(warehouse, Change([record("2")]))
        with pytest.raises(FenceLost):
            warehouse.commit(replace(unit, marks=[replace(unit.marks[0], version=9)]))
        assert unit.run_id not in cast("RunHistory", warehouse).committed_runs(PIPELINE)
        warehouse.close()
