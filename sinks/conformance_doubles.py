"""What every warehouse promises of keys that another program wrote a second time; see ``conformance``.

No merge makes such rows, so a merge that meets them stops, a proof names them, and a repair makes them one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, cast

import pytest

from syncline.connectors.errors import CountMismatch, MassDelete
from syncline.sinks.trial import Change, House, Trial, record, tombstone
from syncline.sinks.warehouse import Comparer, Comparison, RowCounts


class OpenHouse(House, Protocol):
    """A place that other programs write to as well."""

    def repeat(self, target: str) -> None:
        """Writes each row of a table a second time, whatever stands in the way of that."""
        ...


class DoublesLaws:
    """Inherit beside ``WarehouseConformance``, with an ``OpenHouse``, for a warehouse that is a ``Comparer``."""

    def test_a_key_twice_is_extra_once(self, trial: Trial, house: OpenHouse) -> None:
        trial.run(Change([record("1"), record("2")]))
        house.repeat("Account")
        found = compared(trial, Change([record("1"), record("2")]))
        assert (found.rows_source, found.rows_target, found.missing, found.extra) == (2, 4, 0, 2)
        assert {each.key for each in found.examples} == {("1",), ("2",)}

    @pytest.mark.parametrize("mode", ["changes", "snapshot"])
    def test_a_marked_key_twice_is_extra_in_the_scope_asked_for(
        self, trial: Trial, house: OpenHouse, mode: str
    ) -> None:
        trial.run(Change([record("1"), record("2")], on_delete="mark"))
        trial.run(Change(tombstones=[tombstone("1", 1)], on_delete="mark"))
        assert compared(trial, Change([record("2")], on_delete="mark")).equal
        house.repeat("Account")
        change = Change(tombstones=[tombstone("1", None)], on_delete="mark")
        if mode == "snapshot":
            change = Change([record("2")], on_delete="mark", mode="snapshot")
        found = compared(trial, change)
        assert found.extra == (1 if mode == "changes" else 2)
        assert ("1",) in {each.key for each in found.examples}

    def test_a_run_that_meets_a_key_twice_stops_counted_hops(self, trial: Trial, house: OpenHouse) -> None:
        trial.run(Change([record("1"), record("2")]))
        house.repeat("Account")
        before = trial.rows()
        with pytest.raises(CountMismatch, match="more than once"):
            trial.run(Change([record("1", "new", 1)]))
        assert trial.rows() == before

    @pytest.mark.parametrize("mode", ["changes", "snapshot"])
    def test_a_repair_makes_a_key_one_row(self, trial: Trial, house: OpenHouse, mode: str) -> None:
        trial.run(Change([record("1"), record("2"), record("3")]))
        house.repeat("Account")
        change = Change([record("1", "new", 1), record("2"), record("3")], doubles=True)
        if mode == "snapshot":
            change = replace(change, mode="snapshot", spares=False)
        counts = trial.counts(change)
        assert (counts.staged, counts.inserted, counts.doubled) == (3, 3, 3)
        assert trial.names() == {"1": "new", "2": "name", "3": "name"}
        assert len(trial.rows()) == 3
        assert trial.counts(replace(change, doubles=False)) == RowCounts(3, unchanged=3)

    def test_a_repair_makes_a_marked_key_one_live_row(self, trial: Trial, house: OpenHouse) -> None:
        trial.run(Change([record("1"), record("2")], on_delete="mark"))
        trial.run(Change(tombstones=[tombstone("1", 1)], on_delete="mark"))
        house.repeat("Account")
        trial.run(Change([record("1", stamp=2), record("2")], on_delete="mark", doubles=True))
        assert compared(trial, Change([record("1", stamp=2), record("2")], on_delete="mark")).equal
        assert len(trial.rows()) == 2

    def test_a_key_twice_that_left_the_source_goes(self, trial: Trial, house: OpenHouse) -> None:
        trial.run(Change([record("1"), record("2")]))
        house.repeat("Account")
        trial.run(Change([record("2")], [tombstone("1", 1)], doubles=True))
        assert [row["Id"] for row in trial.rows()] == ["2"]

    def test_many_keys_twice_are_guarded_guarded_delete(self, trial: Trial, house: OpenHouse) -> None:
        rows = [record(f"{number:03}") for number in range(40)]
        trial.run(Change(rows))
        house.repeat("Account")
        with pytest.raises(MassDelete, match="40 of keys that stand there more than once"):
            trial.run(Change(rows, doubles=True, delete_share_max=0.2))
        assert len(trial.rows()) == 80


def compared(trial: Trial, change: Change) -> Comparison:
    """What a proof says of these rows, staged and held against the target."""
    staged = change if change.tombstones else replace(change, mode="snapshot")
    run_id, warehouse = trial.next_run(), trial.house.open()
    plan = staged.plan(run_id)
    warehouse.load(plan, trial.land(staged, run_id), trial.landing)
    found = cast(Comparer, warehouse).compare(plan)
    warehouse.close()
    return found
