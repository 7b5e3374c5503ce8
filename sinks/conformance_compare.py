"""The warehouse conformance suite, part four: comparing (``syncline verify``)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Protocol, cast

import pyarrow as pa
import pytest

from syncline.connectors.connector import Tally
from syncline.sinks.lattice import JSON
from syncline.sinks.manifest import Mode
from syncline.sinks.trial import COLUMNS, Change, House, Row, Trial, at, record, tombstone
from syncline.sinks.warehouse import DIFFERENCES_MAX, Comparer, Comparison, Difference, OnDelete

HIGH = at(100)


class Compare(Protocol):
    def __call__(
        self, change: Change, *, mode: Mode = "snapshot", differences_max: int = DIFFERENCES_MAX
    ) -> Comparison: ...


class ComparerLaws:
    """Inherited beside ``WarehouseConformance`` by the suite of a warehouse that is a ``Comparer``."""

    @pytest.fixture
    def compare(self, trial: Trial, house: House) -> Compare:
        """Stages a snapshot, without preparing anything, and compares."""

        def staged_against_target(
            change: Change, *, mode: Mode = "snapshot", differences_max: int = DIFFERENCES_MAX
        ) -> Comparison:
            staged = replace(change, mode=mode, high=HIGH)
            run_id = trial.next_run()
            warehouse = house.open()
            plan = staged.plan(run_id)
            warehouse.load(plan, trial.land(staged, run_id), trial.landing)
            comparison = cast(Comparer, warehouse).compare(plan, differences_max)
            warehouse.close()
            return comparison

        return staged_against_target

    def test_an_equal_target_is_found_equal(self, trial: Trial, compare: Compare) -> None:
        rows = [record("1"), record("2", None, None)]
        trial.run(Change(rows))
        found = compare(Change([*rows, record("3", deleted=True)], [tombstone("4")]))
        assert found == Comparison(rows_source=2, rows_target=2, missing=0, extra=0, different=0)
        assert found.equal

    def test_each_difference_is_found_and_named(self, trial: Trial, compare: Compare) -> None:
        trial.run(Change([record("same"), record("extra"), record("other", "x", 1), record("older", stamp=2)]))
        before = trial.rows()
        rows = [record("same"), record("missing"), record("other", None, 1), record("older", "new", 3)]
        found = compare(Change(rows))
        assert (found.rows_source, found.rows_target) == (4, 4)
        assert (found.missing, found.extra, found.stale, found.different, found.pending) == (1, 1, 1, 1, 0)
        assert not found.equal
        assert {each.key: each.at for each in found.examples}[("older",)] == at(3)
        assert sorted(found.examples, key=lambda each: each.key) == [
            Difference("extra", ("extra",)),
            Difference("missing", ("missing",)),
            Difference("stale", ("older",), ("Name", "Stamp")),
            Difference("different", ("other",), ("Name",)),
        ]
        assert trial.rows() == before, "comparing changes nothing"

    def test_documents_are_compared_by_what_they_say(self, trial: Trial, compare: Compare) -> None:
        columns = COLUMNS.append(pa.field("Doc", JSON))
        documents = ['{"a":[1,{"b":null}]}', '"12"', "null", None]
        rows = [{**record(str(number)), "Doc": each} for number, each in enumerate(documents)]
        trial.run(Change(rows, columns=columns))
        assert compare(Change(rows, columns=columns)).equal
        others = [{**row, "Doc": other} for row, other in zip(rows, ['{"a":[1,{}]}', "12", None, "null"], strict=True)]
        found = compare(Change(others, columns=columns))
        assert [each.columns for each in found.examples] == [("Doc",)] * 4
        whole = Change(rows, columns=columns, key=())
        trial.run(replace(whole, target="Whole"))
        assert compare(replace(whole, target="Whole")).equal
        assert compare(Change(others, columns=columns, key=(), target="Whole")).missing == 4

    def test_examples_are_bounded(self, trial: Trial, compare: Compare) -> None:
        trial.run(Change([record("0")]))
        found = compare(Change([record(str(number)) for number in range(DIFFERENCES_MAX + 6)]))
        assert found.missing == DIFFERENCES_MAX + 5
        assert len(found.examples) == DIFFERENCES_MAX

    def test_what_changed_after_the_watermark_is_pending(self, trial: Trial, compare: Compare) -> None:
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
        self, trial: Trial, compare: Compare, on_delete: OnDelete, extra: int
    ) -> None:
        trial.run(Change([record("1"), record("2"), record("3"), record("4")], on_delete=on_delete))
        if on_delete == "mark":
            trial.run(Change(tombstones=[tombstone("2", 1)], on_delete=on_delete))
        found = compare(Change([record("1"), record("3", stamp=1, deleted=True)], on_delete=on_delete))
        assert (found.missing, found.extra, found.different) == (0, extra, 0)

    def test_a_key_staged_twice_counts_by_its_newest_row(self, trial: Trial, compare: Compare) -> None:
        trial.run(Change([record("1", "new", 2)]))
        assert compare(Change([record("1", "new", 2), record("1", "old", 1)])).equal

    def test_rows_without_a_key_are_compared_whole(self, trial: Trial, compare: Compare) -> None:
        columns = pa.schema([("Id", pa.string()), ("Name", pa.string())])
        change = Change(key=(), cursor=None, columns=columns)
        rows: list[Row] = [{"Id": "1", "Name": None}, {"Id": None, "Name": None}]
        trial.run(replace(change, records=rows))
        assert compare(replace(change, records=rows)).equal
        found = compare(replace(change, records=[rows[0], {"Id": "1", "Name": "x"}]))
        assert (found.missing, found.extra, found.different) == (1, 1, 0)
        assert Difference("missing", ("1", "x")) in found.examples

    def test_a_field_the_target_does_not_have_yet_counts_as_null(self, trial: Trial, compare: Compare) -> None:
        trial.run(Change([record("1"), record("2")]))
        columns = COLUMNS.append(pa.field("New__c", pa.int64()))
        found = compare(Change([{**record("1"), "New__c": 1}, record("2")], columns=columns))
        assert found.examples == (Difference("different", ("1",), ("New__c",)),)

    def test_a_type_that_has_grown_is_compared_exactly(self, trial: Trial, compare: Compare) -> None:
        whole = pa.schema([("Id", pa.string()), ("N", pa.int64())])
        trial.run(Change([{"Id": "1", "N": 1}, {"Id": "2", "N": 2}], columns=whole, cursor=None))
        exact = pa.schema([("Id", pa.string()), ("N", pa.decimal128(10, 2))])
        found = compare(
            Change([{"Id": "1", "N": Decimal(1)}, {"Id": "2", "N": Decimal("1.60")}], columns=exact, cursor=None)
        )
        assert found.examples == (Difference("different", ("2",), ("N",)),)

    def test_each_kind_has_its_examples(self, trial: Trial, compare: Compare) -> None:
        trial.run(Change([record(f"extra {n}") for n in range(30)] + [record("other", "x")]))
        found = compare(Change([record("other"), record("missing")]), differences_max=2)
        assert (found.missing, found.extra, found.different) == (1, 30, 1)
        kinds = [each.kind for each in found.examples]
        assert (kinds.count("missing"), kinds.count("extra"), kinds.count("different")) == (1, 2, 1)

    def test_fewer_columns_than_the_target_has_are_compared_alone(self, trial: Trial, compare: Compare) -> None:
        trial.run(Change([record("1", "theirs", 5), record("2", "theirs", 5)]))
        narrow = pa.schema([COLUMNS.field("Id"), COLUMNS.field("Stamp")])
        found = compare(Change([_only(record("1", stamp=5)), _only(record("2", stamp=6))], columns=narrow))
        assert found.examples == (Difference("stale", ("2",), ("Stamp",)),)

    def test_a_row_purged_after_the_watermark_is_pending(self, trial: Trial, compare: Compare) -> None:
        trial.run(Change([record("1"), record("2"), record("3")]))
        found = compare(Change([record("1")], [tombstone("2", 100), tombstone("3", 99)]))
        assert (found.extra, found.pending) == (1, 1)
        assert found.examples == (Difference("extra", ("3",)),)

    def test_some_keys_are_compared_and_the_others_left_alone(self, trial: Trial, compare: Compare) -> None:
        trial.run(Change([record("same"), record("gone"), record("other", "x"), record("left alone"), record("late")]))
        rows = [record("same"), record("other", "y"), record("missing"), record("late", "new", 100)]
        found = compare(Change(rows, [tombstone("gone", None), tombstone("never there", None)]), mode="changes")
        assert (found.rows_source, found.rows_target, found.pending) == (4, 4, 1)
        assert sorted(found.examples, key=lambda each: each.key) == [
            Difference("extra", ("gone",)),
            Difference("missing", ("missing",)),
            Difference("different", ("other",), ("Name",)),
        ]

    def test_a_row_marked_by_mistake_is_missing(self, trial: Trial, compare: Compare) -> None:
        trial.run(Change([record("1")], on_delete="mark"))
        trial.run(Change(tombstones=[tombstone("1", 1)], on_delete="mark"))
        found = compare(Change([record("1")], on_delete="mark"), mode="changes")
        assert found.examples == (Difference("missing", ("1",)),)

    def test_live_rows_are_counted_by_ranges_of_the_cursor_but_for_the_staged_ones(
        self, trial: Trial, house: House
    ) -> None:
        rows = [record("a", stamp=1), record("b", stamp=10), record("c", stamp=19), record("d", stamp=20)]
        trial.run(Change([*rows, record("e", stamp=None), record("f", stamp=2)], on_delete="mark"))
        trial.run(Change(tombstones=[tombstone("f", 3)], on_delete="mark"))
        run_id, warehouse = trial.next_run(), house.open()
        staged = Change(tombstones=[tombstone("c")], on_delete="mark")
        plan = staged.plan(run_id)
        warehouse.load(plan, trial.land(staged, run_id), trial.landing)
        comparer = cast(Comparer, warehouse)
        assert comparer.tally(plan, [at(10), at(20), at(30)]) == [
            Tally(2, at(1), at(1)),
            Tally(1, at(10), at(10)),
            Tally(1, at(20), at(20)),
            Tally(0),
        ]
        assert comparer.tally(plan, []) == [Tally(4, at(1), at(20))]
        warehouse.close()


def _only(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "Name"}
