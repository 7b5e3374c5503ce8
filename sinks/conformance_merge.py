"""The warehouse conformance suite, part two: what becomes of rows (NEWEST-WINS, GUARDED-DELETE, COUNTED-HOPS)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from syncline.connectors.errors import MassDelete
from syncline.sinks.trial import Change, Row, Trial, at, record, tombstone
from syncline.sinks.warehouse import DELETED_AT_COLUMN, SYNCED_AT_COLUMN, OnDelete, RowCounts

KEYLESS = Change(key=(), cursor=None, columns=pa.schema([("Id", pa.string()), ("Name", pa.string())]))


def people(count: int, stamp: float = 0) -> list[Row]:
    return [record(f"{number:03}", stamp=stamp) for number in range(count)]


def plain(id: str | None, name: str | None) -> Row:
    return {"Id": id, "Name": name}


class MergeLaws:
    """Inherited by ``WarehouseConformance``."""

    # ---- inserting and updating ----

    def test_a_first_load_inserts_every_row_with_one_commit_time(self, trial: Trial) -> None:
        result = trial.run(Change(people(50)))
        assert result.tables["Account"] == RowCounts(staged=50, inserted=50)
        assert {row[SYNCED_AT_COLUMN] for row in trial.rows()} == {result.committed_at}

    def test_rows_are_inserted_updated_or_left_as_they_are(self, trial: Trial) -> None:
        first = trial.run(Change([record("1"), record("2")]))
        again = trial.run(Change([record("1", "new"), record("2"), record("3")]))
        assert again.tables["Account"] == RowCounts(staged=3, inserted=1, updated=1, unchanged=1)
        assert trial.names() == {"1": "new", "2": "name", "3": "name"}
        synced = [row[SYNCED_AT_COLUMN] for row in trial.rows()]
        assert synced == [again.committed_at, first.committed_at, again.committed_at]

    def test_values_that_become_null_and_back_are_changes(self, trial: Trial) -> None:
        trial.run(Change([record("1", None), record("2", "x")]))
        assert trial.counts(Change([record("1", None), record("2", None)])) == RowCounts(2, updated=1, unchanged=1)
        assert trial.counts(Change([record("1", ""), record("2", None)])) == RowCounts(2, updated=1, unchanged=1)
        assert trial.names() == {"1": "", "2": None}

    def test_a_key_of_several_columns_identifies_by_all_of_them(self, trial: Trial) -> None:
        change = Change([record("1", "a"), record("1", "b")], key=("Id", "Name"))
        trial.run(change)
        again = replace(change, records=[record("1", "b", 5), record("1", "c")])
        assert trial.counts(again) == RowCounts(staged=2, inserted=1, updated=1)
        assert [row["Name"] for row in trial.rows()] == ["a", "b", "c"] or len(trial.rows()) == 3

    # ---- newest wins ----

    @pytest.mark.parametrize(
        ("target", "staged", "wins"),
        [(5, 6, True), (5, 5, True), (5, 4, False), (None, None, True), (None, 1, True), (5, None, False)],
    )
    def test_an_older_row_never_overwrites_a_newer_one_newest_wins(
        self, trial: Trial, target: float | None, staged: float | None, wins: bool
    ) -> None:
        trial.run(Change([record("1", "old", target)]))
        counts = trial.counts(Change([record("1", "new", staged)]))
        assert counts == (RowCounts(1, updated=1) if wins else RowCounts(1, stale=1))
        assert trial.names() == {"1": "new" if wins else "old"}

    @pytest.mark.parametrize("on_delete", ["delete", "mark"])
    @pytest.mark.parametrize(("stamp", "wins"), [(6, True), (5, True), (4, False)])
    def test_a_deletion_older_than_the_row_does_not_delete_it_newest_wins(
        self, trial: Trial, stamp: float, wins: bool, on_delete: OnDelete
    ) -> None:
        trial.run(Change([record("1", stamp=5), record("2", stamp=5)], on_delete=on_delete))
        gone = Change([record("1", stamp=stamp, deleted=True)], [tombstone("2", stamp)], on_delete=on_delete)
        assert trial.counts(gone) == (RowCounts(2, deleted=2) if wins else RowCounts(2, stale=2))
        live = [row for row in trial.rows() if row.get(DELETED_AT_COLUMN) is None]
        assert len(live) == (0 if wins else 2)

    @pytest.mark.parametrize("loaded", [False, True], ids=["first load", "later"])
    def test_of_a_key_staged_twice_the_newest_wins(self, trial: Trial, loaded: bool) -> None:
        if loaded:
            trial.run(Change([record("0")]))
        rows = [
            *(record("1", name, stamp) for name, stamp in (("b", 2), ("c", 3), ("a", 1))),
            *(record("2", name, 4) for name in ("first", "second", "third")),
            *(record("3", name, stamp) for name, stamp in (("dated", -5), ("undated", None))),
            *(record("4", name, None) for name in ("first", "second")),
        ]
        assert trial.counts(Change(rows)) == RowCounts(staged=10, inserted=4, superseded=6)
        names = dict(trial.names())
        names.pop("0", None)
        assert names == {"1": "c", "2": "third", "3": "dated", "4": "second"}

    def test_a_tombstone_and_a_row_of_one_key_go_by_age_newest_wins(self, trial: Trial) -> None:
        trial.run(Change([record("1"), record("2"), record("3")]))
        rows = [record("1", "back", 9), record("2", "late", 3), record("3", "tie", 5)]
        counts = trial.counts(Change(rows, [tombstone("1", 5), tombstone("2", 5), tombstone("3", 5)]))
        assert counts == RowCounts(staged=6, updated=1, deleted=2, superseded=3)
        assert trial.names() == {"1": "back"}

    def test_without_a_cursor_what_is_staged_is_applied(self, trial: Trial) -> None:
        trial.run(Change([record("1", "old", 9)], cursor=None))
        assert trial.counts(Change([record("1", "new", 3)], cursor=None)) == RowCounts(1, updated=1)
        assert trial.names() == {"1": "new"}

    # ---- deleting ----

    def test_deletes_are_carried_out_and_those_of_unknown_keys_are_moot(self, trial: Trial) -> None:
        trial.run(Change(people(4)))
        gone = Change([record("000", stamp=1, deleted=True), record("x", deleted=True)], [tombstone("001", 1)])
        assert trial.counts(gone) == RowCounts(staged=3, deleted=2, moot=1)
        assert list(trial.names()) == ["002", "003"]

    @pytest.mark.parametrize("on_delete", ["delete", "mark", "ignore"])
    def test_a_first_load_leaves_deleted_rows_out(self, trial: Trial, on_delete: OnDelete) -> None:
        change = Change([record("1"), record("2", deleted=True)], [tombstone("3")], on_delete=on_delete)
        assert trial.counts(change) == RowCounts(staged=3, inserted=1, moot=2)
        assert list(trial.names()) == ["1"]

    def test_an_undeleted_row_comes_back(self, trial: Trial) -> None:
        trial.run(Change([record("1"), record("2")]))
        trial.run(Change([record("1", stamp=1, deleted=True)]))
        assert trial.counts(Change([record("1", "back", 2)])) == RowCounts(1, inserted=1)
        assert trial.names() == {"1": "back", "2": "name"}

    def test_marks_keep_data_are_set_once_and_cleared_by_undelete(self, trial: Trial) -> None:
        marking = Change(on_delete="mark")
        trial.run(replace(marking, records=[record("1"), record("2"), record("3")]))
        gone = replace(marking, records=[record("1", "last", 1, deleted=True)], tombstones=[tombstone("2", 1)])
        marked = trial.run(gone)
        assert marked.tables["Account"] == RowCounts(staged=2, deleted=2)
        assert trial.names() == {"1": "last", "2": "name", "3": "name"}
        assert [row[DELETED_AT_COLUMN] for row in trial.rows()] == [marked.committed_at] * 2 + [None]

        assert trial.counts(gone) == RowCounts(staged=2, unchanged=2)
        later = [record("1", "even later", 2, deleted=True), record("2", "data", 2, deleted=True)]
        assert trial.counts(replace(marking, records=later)) == RowCounts(staged=2, updated=2)
        assert [row[DELETED_AT_COLUMN] for row in trial.rows()] == [marked.committed_at] * 2 + [None]

        back = [record("1", "even later", 2), record("2", "back", 3)]
        assert trial.counts(replace(marking, records=back)) == RowCounts(staged=2, updated=2)
        assert trial.names() == {"1": "even later", "2": "back", "3": "name"}
        assert [row[DELETED_AT_COLUMN] for row in trial.rows()] == [None] * 3

    def test_ignored_deletes_leave_the_target_as_it_is(self, trial: Trial) -> None:
        keeping = Change(on_delete="ignore")
        trial.run(replace(keeping, records=[record("1"), record("2")]))
        gone = replace(keeping, records=[record("1", "last", 1, deleted=True)], tombstones=[tombstone("2", 1)])
        assert trial.counts(gone) == RowCounts(staged=2, moot=2)
        assert trial.names() == {"1": "name", "2": "name"}

    def test_marks_of_before_are_honoured_when_deletes_are_carried_out_again(self, trial: Trial) -> None:
        trial.run(Change([record("1"), record("2")], on_delete="mark"))
        trial.run(Change(tombstones=[tombstone("1", 1), tombstone("2", 1)], on_delete="mark"))
        counts = trial.counts(Change([record("1", stamp=0)], [tombstone("2", 2)], on_delete="delete"))
        assert counts == RowCounts(staged=2, updated=1, deleted=1)
        [row] = trial.rows()
        assert (row["Id"], row[DELETED_AT_COLUMN]) == ("1", None)

    # ---- snapshots ----

    def test_a_snapshot_replaces_the_content(self, trial: Trial) -> None:
        trial.run(Change(people(5)))
        rows = [record("000"), record("001", "new", 1), record("x"), record("002", stamp=1, deleted=True)]
        counts = trial.counts(Change(rows, mode="snapshot"))
        assert counts == RowCounts(4, inserted=1, updated=1, unchanged=1, deleted=1, absent=2)
        assert trial.names() == {"000": "name", "001": "new", "x": "name"}

    def test_a_snapshot_mends_rows_that_claim_to_be_newer(self, trial: Trial) -> None:
        trial.run(Change([record("1", "wrong", 500)]))
        assert trial.counts(Change([record("1", "right", 3)], mode="snapshot", high=at(1_000))) == RowCounts(
            1, updated=1
        )
        assert trial.names() == {"1": "right"}

    def test_a_snapshot_spares_what_was_committed_while_it_was_read(self, trial: Trial) -> None:
        during = {"changed": 1_200, "edge": 1_000, "tie": 1_000}
        kept = [record("absent", stamp=1_000), *(record(id, "increment", stamp) for id, stamp in during.items())]
        trial.run(Change([*kept, record("old", stamp=999)], high=at(2_000)))
        read = [record("changed", "read", 900), record("edge", "read", 999), record("tie", "read", 1_000)]
        assert trial.counts(Change(read, mode="snapshot")) == RowCounts(3, updated=1, stale=2, absent=1)
        assert trial.names() == {"absent": "name", "changed": "increment", "edge": "increment", "tie": "read"}

    def test_a_snapshot_puts_no_older_row_in_place_of_one_that_was_committed_late(self, trial: Trial) -> None:
        """NEWEST-WINS: stamped before the snapshot's end, visible after it, and known to an increment meanwhile."""
        late = {"late": 995, "edge": 990, "before": 989}
        trial.run(Change([record("new", stamp=995), *(record(id, "late", stamp) for id, stamp in late.items())]))
        read = [record(id, "read", 900) for id in late]
        counts = trial.counts(Change(read, mode="snapshot", overlap=timedelta(seconds=10)))
        assert counts == RowCounts(3, updated=1, stale=2, absent=1)
        assert trial.names() == {"late": "late", "edge": "late", "before": "read"}

    @pytest.mark.parametrize("on_delete", ["delete", "mark"])
    def test_a_snapshot_that_nothing_was_committed_beside_is_right_whatever_stamps_say(
        self, trial: Trial, on_delete: OnDelete
    ) -> None:
        """NEWEST-WINS: what a repair read after the target's versions is the newest there is."""
        stuck = [record("1", "stuck", 5_000), record("2", "stuck", 5_000), record("3", "stuck", 1_000)]
        trial.run(Change(stuck, on_delete=on_delete))
        read = [record("1", "new", 2), record("1", "old", 1), record("3", "stuck", 1_000)]
        change = Change(read, mode="snapshot", on_delete=on_delete, spares=False)
        assert trial.counts(change) == RowCounts(3, updated=1, unchanged=1, superseded=1, absent=1)
        assert [row["Name"] for row in trial.rows() if row.get(DELETED_AT_COLUMN) is None] == ["new", "stuck"]
        assert trial.counts(change) == RowCounts(3, unchanged=2, superseded=1)

    def test_a_snapshot_without_a_cursor_removes_all_that_is_absent(self, trial: Trial) -> None:
        trial.run(Change([record("1", stamp=5_000), record("2", stamp=5_000)], cursor=None))
        assert trial.counts(Change([record("2", stamp=1)], cursor=None, mode="snapshot")) == RowCounts(
            1, updated=1, absent=1
        )

    def test_an_absent_row_without_a_stamp_goes(self, trial: Trial) -> None:
        trial.run(Change([record("1", stamp=None), record("2", stamp=None)]))
        assert trial.counts(Change([record("2", stamp=None)], mode="snapshot")).absent == 1

    def test_an_empty_snapshot_removes_everything_when_allowed(self, trial: Trial) -> None:
        trial.run(Change(people(3)))
        assert trial.counts(Change(mode="snapshot")) == RowCounts(absent=3)
        assert trial.rows() == []

    def test_a_snapshot_marks_what_is_absent_once(self, trial: Trial) -> None:
        trial.run(Change(people(3), on_delete="mark"))
        snapshot = Change(people(1), mode="snapshot", on_delete="mark")
        assert trial.counts(snapshot) == RowCounts(1, unchanged=1, absent=2)
        marks = [row[DELETED_AT_COLUMN] for row in trial.rows()]
        assert [mark is None for mark in marks] == [True, False, False]
        assert trial.counts(snapshot) == RowCounts(1, unchanged=1)
        assert [row[DELETED_AT_COLUMN] for row in trial.rows()] == marks

    def test_a_snapshot_with_ignored_deletes_removes_nothing(self, trial: Trial) -> None:
        trial.run(Change(people(3), on_delete="ignore"))
        snapshot = Change([record("000", stamp=1, deleted=True)], mode="snapshot", on_delete="ignore")
        assert trial.counts(snapshot) == RowCounts(1, moot=1)
        assert len(trial.rows()) == 3

    # ---- without a key ----

    def test_without_a_key_rows_are_appended_once(self, trial: Trial) -> None:
        rows = [plain("1", None), plain(None, "a"), plain("1", "a"), plain("1", "a")]
        assert trial.counts(replace(KEYLESS, records=rows)) == RowCounts(4, inserted=3, superseded=1)
        again = [plain("1", None), plain("1", "A"), plain(None, None)]
        assert trial.counts(replace(KEYLESS, records=again)) == RowCounts(3, inserted=2, unchanged=1)
        assert len(trial.rows()) == 5

    def test_without_a_key_a_snapshot_appends_and_removes(self, trial: Trial) -> None:
        trial.run(replace(KEYLESS, records=[plain("1", "a"), plain("2", None), plain(None, None)]))
        snapshot = replace(KEYLESS, mode="snapshot", records=[plain("2", None), plain("1", "b")])
        assert trial.counts(snapshot) == RowCounts(2, inserted=1, unchanged=1, absent=2)
        assert [(row["Id"], row["Name"]) for row in trial.rows()] == [("1", "b"), ("2", None)]

    # ---- the guard ----

    @pytest.mark.parametrize("on_delete", ["delete", "mark"])
    @pytest.mark.parametrize("snapshot", [False, True], ids=["changes", "snapshot"])
    def test_a_mass_delete_is_stopped_with_its_numbers_guarded_delete(
        self, trial: Trial, snapshot: bool, on_delete: OnDelete
    ) -> None:
        trial.run(Change(people(100), on_delete=on_delete))
        if snapshot:
            change = Change(people(79), mode="snapshot", on_delete=on_delete, delete_share_max=0.2)
        else:
            change = Change(tombstones=[tombstone(f"{n:03}", 1) for n in range(21)], on_delete=on_delete)
        guarded = replace(change, delete_share_max=0.2)
        before = trial.rows()
        with pytest.raises(MassDelete, match=r"21 of 100 rows") as caught:
            trial.run(guarded)
        assert "--allow-deletes" in caught.value.hint
        assert trial.rows() == before
        counts = trial.counts(replace(guarded, delete_share_max=None))
        assert counts.deleted + counts.absent == 21

    def test_a_delete_within_the_share_passes(self, trial: Trial) -> None:
        trial.run(Change(people(100)))
        gone = [tombstone(f"{number:03}", 1) for number in range(20)]
        assert trial.counts(Change(tombstones=gone, delete_share_max=0.2)).deleted == 20

    def test_a_few_rows_may_go_whatever_their_share(self, trial: Trial) -> None:
        trial.run(Change(people(10)))
        gone = [tombstone(f"{number:03}", 1) for number in range(10)]
        assert trial.counts(Change(tombstones=gone, delete_share_max=0.0)).deleted == 10

    def test_marked_rows_are_no_part_of_the_guarded_share(self, trial: Trial) -> None:
        marking = Change(on_delete="mark")
        trial.run(replace(marking, records=people(60)))
        trial.run(replace(marking, tombstones=[tombstone(f"{number:03}", 1) for number in range(30)]))
        gone = [tombstone(f"{number:03}", 1) for number in range(30, 45)]
        with pytest.raises(MassDelete, match="15 of 30 rows"):
            trial.run(replace(marking, tombstones=gone, delete_share_max=0.4))

    # ---- numbers ----

    def test_a_number_that_only_differs_past_what_a_float_holds_is_a_change(self, trial: Trial) -> None:
        columns = pa.schema([("Id", pa.string()), ("Amount", pa.decimal128(38, 2))])
        change = Change(columns=columns, cursor=None)
        big = Decimal("123456789012345678901234567890123456.78")
        trial.run(replace(change, records=[{"Id": "1", "Amount": big}]))
        again = replace(change, records=[{"Id": "1", "Amount": big + Decimal("0.01")}])
        assert trial.counts(again) == RowCounts(1, updated=1)
