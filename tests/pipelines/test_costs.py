"""``status --cost``, and that nothing is asked of a warehouse that is not billed by use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from syncline.pipelines.costs import DAYS, cost_of, spent
from syncline.pipelines.pipeline import Pipeline
from syncline.sinks.landing import Landing
from tests.pipelines.doubles import Folder, StubConnector, StubState, StubWarehouse

DAY = {"day": "2026-05-03", "pipeline": "crm", "runs": 24, "queries": 600, "credits": 0.4, "bytes_scanned": 1_000}


class Billed(StubWarehouse):
    """Billed by use; ``asked`` is what its account was asked."""

    def __init__(self, days: Sequence[Mapping[str, Any]] = (DAY,)) -> None:
        super().__init__()
        self.days, self.asked, self.closed = days, list[tuple[str, int]](), False

    def spent(self) -> Mapping[str, Any]:
        return {"statements": 1, "warehouse_s": 2.5, "bytes_loaded": 3, "credits_estimated": 0.016667}

    def costs(self, pipeline: str, days: int) -> Sequence[Mapping[str, Any]]:
        self.asked.append((pipeline, days))
        return self.days

    def close(self) -> None:
        self.closed = True


def billed_pipeline(warehouse: StubWarehouse | None = None) -> Pipeline:
    parts = {"landing": Landing("memory://"), "state": StubState(), "warehouse": warehouse or Billed()}
    return Pipeline("crm", source=StubConnector(), streams=["Account"], **parts)  # type: ignore[arg-type]


CRM = """\
from tests.pipelines.test_costs import billed_pipeline

pipeline = billed_pipeline()
"""


def test_the_account_is_asked_for_the_pipeline_s_last_days_and_let_go() -> None:
    warehouse = Billed()
    assert cost_of(billed_pipeline(warehouse)) == {"days": DAYS, "by_day": [DAY]}
    assert (warehouse.asked, warehouse.closed) == ([("crm", DAYS)], True)


def test_other_warehouses_are_not_asked() -> None:
    assert cost_of(billed_pipeline(StubWarehouse())) == {"days": DAYS, "by_day": None}
    assert spent(StubWarehouse()) is None
    assert spent(Billed()) == Billed().spent()


def test_status_shows_the_cost_when_asked_and_only_then(folder: Folder) -> None:
    folder.write("pipelines/crm.py", CRM)
    shown = folder.call("status", "crm", "--cost").stdout
    assert "0.4000" in shown
    assert "2026-05-03" in shown
    [state] = json.loads(folder.call("status", "--cost", "--json").stdout)["pipelines"]
    assert state["cost"] == {"days": DAYS, "by_day": [DAY]}
    [plain] = json.loads(folder.call("status", "--json").stdout)["pipelines"]
    assert "cost" not in plain
    folder.write("pipelines/crm.py", CRM.replace("billed_pipeline()", "billed_pipeline(__import__('tests').pipelines"
                 ".doubles.StubWarehouse())"))  # fmt: skip
    assert "not billed by use" in folder.call("status", "crm", "--cost").stdout
