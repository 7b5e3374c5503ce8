"""The conformance suite of the warehouse port: every warehouse passes it, the in-memory one first.

::

    import pytest
    from syncline.sinks.conformance import WarehouseConformance

    class TestAcme(WarehouseConformance):
        @pytest.fixture
        def house(self) -> House:
            return AcmeHouse()              # see syncline.sinks.trial

``landing`` may be overridden too, for a warehouse that reads files only from where it can reach them. A warehouse that
can compare inherits ``ComparerLaws`` from ``conformance_compare`` as well, one that tells its committed runs
``RunHistoryLaws`` from ``conformance_history``, one that other programs write to ``DoublesLaws`` from
``conformance_doubles``. To see values in failures, name these
modules in ``pytest.register_assert_rewrite(...)`` in a ``conftest.py``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from syncline.connectors.errors import CountMismatch, DataError, FenceLost, MassDelete, SynclineError
from syncline.sinks.conformance_json import JsonLaws
from syncline.sinks.conformance_merge import MergeLaws
from syncline.sinks.conformance_owners import OwnerLaws
from syncline.sinks.conformance_tables import TableLaws
from syncline.sinks.landing import Landing
from syncline.sinks.trial import COLUMNS, PIPELINE, START, Change, House, Trial, at, record, tombstone
from syncline.sinks.warehouse import CommitUnit, Mark


class WarehouseConformance(MergeLaws, TableLaws, OwnerLaws, JsonLaws):
    """Override ``house``."""

    @pytest.fixture
    def house(self) -> House:
        raise NotImplementedError("override the fixture `house`")

    @pytest.fixture
    def landing(self, tmp_path: Path) -> Landing:
        return Landing(str(tmp_path / "landing"))

    @pytest.fixture
    def trial(self, house: House, landing: Landing) -> Trial:
        return Trial(house, landing)

    # ---- connections ----

    def test_making_and_closing_a_warehouse_sends_nothing_idle_is_free(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        warehouse.close()
        warehouse.close()
        assert warehouse.statements == 0

    def test_a_warehouse_tells_its_place_without_a_connection_idle_is_free(self, trial: Trial) -> None:
        """By it the mirror knows whose watermarks it holds: one text for one place, also after rows came."""
        first, second = trial.house.open(), trial.house.open()
        assert first.place
        assert first.place == second.place
        assert first.statements == 0
        trial.run(Change([record("1")]))
        assert trial.house.open().place == first.place

    def test_statements_are_counted(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        unit = trial.stage(warehouse, Change([record("1")]))
        before = warehouse.statements
        assert before > 0
        warehouse.commit(unit)
        assert warehouse.statements > before
        warehouse.close()

    def test_a_closed_warehouse_opens_again(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        warehouse.commit(trial.stage(warehouse, Change([record("1")])))
        warehouse.close()
        assert list(warehouse.watermarks(PIPELINE)) == ["Account"]
        warehouse.commit(trial.stage(warehouse, Change([record("2")])))
        warehouse.close()
        assert list(trial.names()) == ["1", "2"]

    # ---- watermarks ----

    def test_watermarks_of_an_empty_place_are_none_and_asking_creates_nothing(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        assert warehouse.watermarks(PIPELINE) == {}
        warehouse.close()
        assert trial.house.read("_syncline_watermarks") is None

    def test_a_commit_moves_the_watermark_with_its_rows_rows_then_mark(self, trial: Trial) -> None:
        first = trial.run(Change([record("1")], high=at(10)))
        second = trial.run(Change([record("2")], high=at(20)))
        warehouse = trial.house.open()
        [mark] = warehouse.watermarks(PIPELINE).values()
        warehouse.close()
        assert (mark.stream, mark.watermark, mark.version, mark.run_id) == ("Account", at(20), 2, "run-0002")
        assert mark.columns == ("Id", "Name", "Stamp")
        assert mark.committed_at == second.committed_at >= first.committed_at
        assert mark.committed_at.utcoffset() is not None

    def test_pipelines_do_not_share_watermarks(self, trial: Trial) -> None:
        trial.run(Change([record("1")]))
        warehouse = trial.house.open()
        assert warehouse.watermarks("another") == {}
        warehouse.close()

    def test_a_mark_without_rows_moves_alone(self, trial: Trial) -> None:
        trial.run(Change([record("1")]))
        warehouse = trial.house.open()
        marks = [Mark("Account", 1, None, ()), Mark("Contact", 0, at(5), ("Id",))]
        counts = warehouse.commit(CommitUnit(PIPELINE, "run-x", START, [], marks))
        found = warehouse.watermarks(PIPELINE)
        warehouse.close()
        assert counts.tables == {}
        assert {name: (mark.version, mark.watermark) for name, mark in found.items()} == {
            "Account": (2, None),
            "Contact": (1, at(5)),
        }

    # ---- one transaction ----

    @pytest.mark.parametrize("first", [False, True], ids=["later run", "first run"])
    def test_of_two_overlapping_runs_one_wins_fenced_commit(self, trial: Trial, first: bool) -> None:
        if not first:
            trial.run(Change([record("0")]))
        one, other = trial.house.open(), trial.house.open()
        slow = trial.stage(one, Change([record("1", "slow")], stream="Account"))
        fast = trial.stage(other, Change([record("2", "fast")], stream="Account"))
        other.commit(fast)
        other.close()
        with pytest.raises(FenceLost):
            one.commit(slow)
        one.close()
        assert "slow" not in trial.names().values()
        assert trial.names()["2"] == "fast"

    def test_a_lost_fence_undoes_every_stream_one_transaction(self, trial: Trial) -> None:
        trial.run(Change([record("1")]), Change([record("1")], stream="Contact"))
        warehouse = trial.house.open()
        changes = [Change([record("1", "new", 5)], stream=name) for name in ("Account", "Contact")]
        unit = trial.stage(warehouse, *changes)
        stale = replace(unit, marks=[unit.marks[0], replace(unit.marks[1], version=7)])
        with pytest.raises(FenceLost, match="Contact"):
            warehouse.commit(stale)
        versions = [mark.version for mark in warehouse.watermarks(PIPELINE).values()]
        warehouse.close()
        assert versions == [1, 1]
        assert trial.names() == trial.names("Contact") == {"1": "name"}

    def test_a_guard_in_one_stream_undoes_every_stream_one_transaction(self, trial: Trial) -> None:
        rows = [record(str(number)) for number in range(30)]
        trial.run(Change(rows, stream="Account"), Change(rows, stream="Contact"))
        gone = [record(str(number), stamp=5, deleted=True) for number in range(30)]
        with pytest.raises(MassDelete):
            trial.run(
                Change([record("0", "new", 5)], stream="Account"),
                Change(gone, stream="Contact", delete_share_max=0.2),
            )
        assert trial.names()["0"] == "name"
        assert len(trial.rows("Contact")) == 30

    def test_a_refused_commit_can_be_followed_by_a_good_one(self, trial: Trial) -> None:
        trial.run(Change([record("1")]))
        warehouse = trial.house.open()
        unit = trial.stage(warehouse, Change([record("2")]))
        with pytest.raises(FenceLost):
            warehouse.commit(replace(unit, marks=[replace(unit.marks[0], version=9)]))
        warehouse.commit(trial.stage(warehouse, Change([record("3")])))
        warehouse.close()
        assert list(trial.names()) == ["1", "3"]

    # ---- loading ----

    def test_loading_twice_stages_once(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        unit = trial.stage(warehouse, Change([record("1"), record("2")]))
        manifest = trial.landing.find(PIPELINE, "Account", unit.run_id)
        assert manifest is not None
        assert warehouse.load(unit.tables[0], manifest, trial.landing) == 2
        counts = warehouse.commit(unit).tables["Account"]
        warehouse.close()
        assert (counts.staged, counts.inserted) == (2, 2)

    @pytest.mark.parametrize("wrong", [1, -1], ids=["short", "long"])
    def test_a_file_that_is_not_as_its_manifest_says_is_refused_counted_hops(self, trial: Trial, wrong: int) -> None:
        warehouse = trial.house.open()
        unit = trial.stage(warehouse, Change([record("1"), record("2")]))
        manifest = trial.landing.find(PIPELINE, "Account", unit.run_id)
        assert manifest is not None
        files = tuple(replace(entry, rows=entry.rows + wrong) for entry in manifest.files)
        with pytest.raises(CountMismatch):
            warehouse.load(unit.tables[0], manifest.with_files(files), trial.landing)
        warehouse.close()

    def test_files_that_only_add_up_are_refused_counted_hops(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        unit = trial.stage(warehouse, Change([record("1"), record("2")], [tombstone("3")]))
        manifest = trial.landing.find(PIPELINE, "Account", unit.run_id)
        assert manifest is not None
        one, other = manifest.files
        swapped = (replace(one, rows=other.rows), replace(other, rows=one.rows))
        with pytest.raises(CountMismatch):
            warehouse.load(unit.tables[0], manifest.with_files(swapped), trial.landing)
        warehouse.close()

    @pytest.mark.parametrize(
        "column", [pa.field("New__c", pa.string()), pa.field("Name", pa.int64())], ids=["missing", "narrower"]
    )
    def test_a_manifest_that_does_not_fit_the_plan_is_refused_loud(self, trial: Trial, column: pa.Field) -> None:
        """It was sealed before a field appeared or changed; its rows must not wipe out that column."""
        warehouse = trial.house.open()
        unit = trial.stage(warehouse, Change([record("1")]))
        manifest = trial.landing.find(PIPELINE, "Account", unit.run_id)
        assert manifest is not None
        others = [field for field in COLUMNS if field.name != column.name]
        plan = replace(unit.tables[0], columns=pa.schema([*others, column]))
        with pytest.raises(DataError, match=column.name):
            warehouse.load(plan, manifest, trial.landing)
        warehouse.close()

    def test_a_row_without_a_key_is_refused_loud(self, trial: Trial) -> None:
        with pytest.raises(DataError):
            trial.run(Change([record("1"), record(None)]))

    def test_rows_that_were_never_loaded_cannot_be_committed(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        unit = trial.stage(warehouse, Change([record("1")]))
        warehouse.close()
        with pytest.raises(SynclineError, match="not loaded"):
            warehouse.commit(unit)
        warehouse.close()
        assert trial.rows() == []
