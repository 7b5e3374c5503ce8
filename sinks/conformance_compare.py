"""The warehouse conformance suite, part four: comparing (``syncline verify``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import cast

import pyarrow as pa
import pytest

from syncline.sinks.trial import COLUMNS, Change, House, Row, Trial, at, record, tombstone
from syncline.sinks.warehouse import DIFFERENCES_MAX, Comparer, Comparison, Difference, OnDelete

HIGH = at(100)


class ComparerLaws:
    """Inherited beside ``WarehouseConformance`` by the suite of a warehouse that is a ``Comparer``."""

    @pytest.fixture
    def compare(self, trial: Trial, house: House) -> Callable[[Change], Comparison]:
        """Stages a snapshot, without preparing anything, and compares."""

        def staged_against_target(change: Change) -> Comparison:
            snapshot = replace(change, mode="snapshot", high=HIGH)
            run_id = trial.next_run()
            warehouse = house.open()
            plan = snapshot.plan(run_id)
            warehouse.load(plan, trial.land(snapshot, run_id), trial.landing)
            comparison = cast(Comparer, warehouse).compare(plan)
            warehouse.close()
            return comparison

        return staged_against_target

    def test_an_equal_target_is_found_equal(self, trial: Trial, compare: Callable[[Change], Comparison]) -> None:
        rows = [record("1"), record("2", None, None)]
        trial.run(Change(rows))
        found = compare(Change([*rows, record("3", deleted=True)], [tombstone("4")]))
        assert found == Comparison(rows_source=2, rows_target=2, missing=0, extra=0, different=0)
        assert found.equal

    def test_each_difference_is_found_and_named(self, trial: Trial, compare: Callable[[Change], Comparison]) -> None:
        trial.run(Change([record("same"), record("extra"), record("other", "x", 1), record("older", stamp=2)]))
        before = trial.rows()
        rows = [record("same"), record("missing"), record("other", None, 1), record("older", "new", 3)]
        found = compare(Change(rows))
        assert (found.rows_source, found.rows_target) == (4, 4)
        assert (found.missing, found.extra, found.different, found.pending) == (1, 1, 2, 0)
        assert not found.equal
        assert sorted(found.examples, key=lambda each: each.key) == [
            Difference("extra", ("extra",)),
            Difference("missing", ("missing",)),
            Difference("different", ("older",), ("Name", "Stamp")),
            Difference("different", ("other",), ("Name",)),
        ]
        assert trial.rows() == before, "comparing changes nothing"

    def test_examples_are_bounded(self, trial: Trial, compare: Callable[[Change], Comparison]) -> None:
        trial.run(Change([record("0")]))
        found = compare(Change([record(str(number)) for number in range(DIFFERENCES_MAX + 6)]))
        assert found.missing == DIFFERENCES_MAX + 5
        assert len(found.examples) == DIFFERENCES_MAX

    def test_what_changed_after_the_watermark_is_pending(
        self, trial: Trial, compare: Callable[[Change], Comparison]
    ) -> None:
        trial.run(Change([record("same", stamp=200), record("changed"), record("deleted"), record("purged")]))
        rows = [
            record("same", stamp=200),
            record("changed", "new", 100),
            record("new", stamp=101),
            record("deleted", stamp=100, deleted=True),
            record("never seen", stamp=300, deleted=True),
        ]
        found = compare(Change(rows, [tombstone("purged", 150)]))
        assert (found.missing, found.extra, found.different, found.pending) == (0, 0, 0, 4)
        assert found.equal
        assert found.examples == ()

    @pytest.mark.parametrize(("on_delete", "extra"), [("delete", 3), ("mark", 2), ("ignore", 0)])
    def test_deleted_rows_are_judged_by_what_deletes_do(
        self, trial: Trial, compare: Callable[[Change], Comparison], on_delete: OnDelete, extra: int
    ) -> None:
        trial.run(Change([record("1"), record("2"), record("3"), record("4")], on_delete=on_delete))
        if on_delete == "mark":
            trial.run(Change(tombstones=[tombstone("2", 1)], on_delete=on_delete))
        found = compare(Change([record("1"), record("3", stamp=1, deleted=True)], on_delete=on_delete))
        assert (found.missing, found.extra, found.different) == (0, extra, 0)

    def test_a_key_staged_twice_counts_by_its_newest_row(
        self, trial: Trial, compare: Callable[[Change], Comparison]
    ) -> None:
        trial.run(Change([record("1", "new", 2)]))
        assert compare(Change([record("1", "new", 2), record("1", "old", 1)])).equal

    def test_rows_without_a_key_are_compared_whole(self, trial: Trial, compare: Callable[[Change], Comparison]) -> None:
        columns = pa.schema([("Id", pa.string()), ("Name", pa.string())])
        change = Change(key=(), cursor=None, columns=columns)
        rows: list[Row] = [{"Id": "1", "Name": None}, {"Id": None, "Name": None}]
        trial.run(replace(change, records=rows))
        assert compare(replace(change, records=rows)).equal
        found = compare(replace(change, records=[rows[0], {"Id": "1", "Name": "x"}]))
        assert (found.missing, found.extra, found.different) == (1, 1, 0)
        assert Difference("missing", ("1", "x")) in found.examples

    def test_a_field_the_target_does_not_have_yet_counts_as_null(
        self, trial: Trial, compare: Callable[[Change], Comparison]
    ) -> None:
        trial.run(Change([record("1"), record("2")]))
        columns = COLUMNS.append(pa.field("New__c", pa.int64()))
        found = compare(Change([{**record("1"), "New__c": 1}, record("2")], columns=columns))
        assert found.examples == (Difference("different", ("1",), ("New__c",)),)

    def test_a_type_that_has_grown_is_compared_exactly(
        self, trial: Trial, compare: Callable[[Change], Comparison]
    ) -> None:
        whole = pa.schema([("Id", pa.string()), ("N", pa.int64())])
        trial.run(Change([{"Id": "1", "N": 1}, {"Id": "2", "N": 2}], columns=whole, cursor=None))
        exact = pa.schema([("Id", pa.string()), ("N", pa.decimal128(10, 2))])
        found = compare(
            Change([{"Id": "1", "N": Decimal(1)}, {"Id": "2", "N": Decimal("1.60")}], columns=exact, cursor=None)
        )
        assert found.examples == (Difference("different", ("2",), ("N",)),)
