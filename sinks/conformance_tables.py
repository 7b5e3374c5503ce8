"""The warehouse conformance suite, part three: tables, types and names (TYPES-FROM-SOURCE, EXACT-NAMES)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError, DataError, NameCollision
from syncline.sinks.trial import COLUMNS, STAMP, Change, Row, Trial, at, record
from syncline.sinks.warehouse import DELETED_AT_COLUMN, SYNCED_AT_COLUMN, RowCounts

VALUES: tuple[tuple[str, pa.DataType, list[Any]], ...] = (
    ("text", pa.string(), ["", " ", "a,b", 'say "x"', "it's", "two\nlines\r\n", "NULL", "\\N", "a\x00b", "\x00"]),
    ("wide text", pa.large_string(), ["Zoë 🙂 日本", "e\u0301", "x" * 131_072, "👩‍👩‍👧" * 1_000]),
    ("truth", pa.bool_(), [True, False]),
    ("integer", pa.int64(), [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)]),
    ("small integer", pa.int32(), [2**31 - 1, -(2**31)]),
    ("unsigned", pa.uint64(), [0, 2**64 - 1]),
    ("float", pa.float64(), [0.1, -1e308, 5e-324, 1e22, 123456789.123456789]),
    ("money", pa.decimal128(18, 2), [Decimal("1234567890123456.78"), Decimal("-0.01"), Decimal("0.00")]),
    ("digits", pa.decimal128(38, 0), [Decimal(10**38 - 1), Decimal(-(10**38 - 1))]),
    ("fraction", pa.decimal128(38, 37), [Decimal("-9." + "9" * 37)]),
    (
        "date",
        pa.date32(),
        [date(1700, 1, 1), date(4000, 12, 31), date(1582, 10, 10), date(1, 1, 1)],
    ),
    ("instant", STAMP, [datetime(1700, 1, 1, 0, 0, 0, 1, UTC), datetime(4000, 12, 31, 23, 59, 59, 999_999, UTC)]),
    ("local", pa.timestamp("us"), [datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime(1, 1, 1)]),  # noqa: DTZ001
    ("time", pa.time64("us"), [time(0), time(23, 59, 59, 999_999)]),
    ("bytes", pa.binary(), [b"", b"\x00\xff", b"x" * 10_000]),
    ("texts", pa.list_(pa.string()), [[], ["a", None, "b,c", '"'], [""]]),
)

INTEGERS = pa.schema([("Id", pa.string()), ("N", pa.int64())])
DECIMALS = pa.schema([("Id", pa.string()), ("N", pa.decimal128(10, 2))])
TEXTS = pa.schema([("Id", pa.string()), ("N", pa.string())])


def numbered(id: str, value: object) -> Row:
    return {"Id": id, "N": value}


def is_held(value: object, trial: Trial) -> bool:
    """Whether the warehouse's texts can hold the value at all."""
    held = trial.house.open().capabilities
    if not isinstance(value, str):
        return True
    fits = held.text_bytes_max is None or len(value.encode()) <= held.text_bytes_max
    return fits and (held.nul_in_text or "\x00" not in value)


def typed(columns: pa.Schema, *rows: Row) -> Change:
    return Change(rows, columns=columns, cursor=None)


class TableLaws:
    """Inherited by ``WarehouseConformance``."""

    # ---- values ----

    @pytest.mark.parametrize(("name", "type", "values"), VALUES, ids=[name for name, _, _ in VALUES])
    def test_values_survive_exactly(self, trial: Trial, name: str, type: pa.DataType, values: list[Any]) -> None:
        columns = pa.schema([("Id", pa.string()), (name, type)])
        values = [value for value in values if is_held(value, trial)]
        rows = [{"Id": f"{number:03}", name: value} for number, value in enumerate([*values, None])]
        trial.run(typed(columns, *rows))
        for row, expected in zip(trial.rows(), rows, strict=True):
            assert row[name] == expected[name], f"column {name}, row {row['Id']}"
        assert trial.counts(typed(columns, *rows)) == RowCounts(len(rows), unchanged=len(rows))

    def test_a_text_that_no_column_holds_is_refused_by_name_loud(self, trial: Trial) -> None:
        """Neither cut nor cleaned: the copy would not be true."""
        refused = [text for text in ("a\x00b", "x" * 131_072) if not is_held(text, trial)]
        for text in refused:
            with pytest.raises(DataError, match="Name"):
                trial.run(Change([record("1", text)]))
        assert trial.house.read("Account") is None or trial.rows() == []

    def test_a_table_of_eight_hundred_columns_works(self, trial: Trial) -> None:
        names = [f"Field_{number}__c" for number in range(800)]
        columns = pa.schema([("Id", pa.string()), *((name, pa.string()) for name in names)])
        # Short values: a row of 800 longer ones is more than a page of Postgres holds, whoever writes it.
        row = {"Id": "1", **{name: name[6:-3] for name in names}}
        trial.run(typed(columns, row))
        changed = {**row, "Field_799__c": "changed"}
        assert trial.counts(typed(columns, changed)) == RowCounts(1, updated=1)
        [found] = trial.rows()
        assert {name: found[name] for name in changed} == changed

    # ---- layout ----

    def test_a_target_has_the_sources_columns_in_order_then_its_own_exact_names(self, trial: Trial) -> None:
        columns = pa.schema([("Id", pa.string()), ("My_Field__c", pa.string()), ("sonde élan", pa.string())])
        trial.run(replace(typed(columns, {"Id": "1"}), on_delete="mark"))
        table = trial.house.read("Account")
        assert table is not None
        assert table.column_names == [*columns.names, SYNCED_AT_COLUMN, DELETED_AT_COLUMN]

    def test_preparing_twice_changes_nothing_ddl_before(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        plan = Change().plan("run-x")
        warehouse.prepare([plan])
        warehouse.prepare([plan])
        warehouse.close()
        assert trial.rows() == []

    def test_columns_named_like_partitions_or_words_of_sql_keep_their_values(self, trial: Trial) -> None:
        names = ["dt", "run", "select", "Order", 'quo"te', "semi;colon", "seq", "target", "action", "s", "t", "c"]
        columns = pa.schema([("Id", pa.string()), *((name, pa.string()) for name in names)])
        trial.run(typed(columns, {"Id": "1", **{name: name for name in names}}))
        trial.run(typed(columns, {"Id": "1", **{name: f"{name}!" for name in names}}))
        [row] = trial.rows()
        assert [row[name] for name in names] == [f"{name}!" for name in names]

    def test_a_new_field_becomes_a_column_without_values_for_old_rows(self, trial: Trial) -> None:
        trial.run(Change([record("1"), record("2")]))
        columns = COLUMNS.append(pa.field("New__c", pa.int64()))
        assert trial.counts(Change([{**record("2"), "New__c": 7}], columns=columns)) == RowCounts(1, updated=1)
        assert [row["New__c"] for row in trial.rows()] == [None, 7]

    def test_a_field_that_is_gone_keeps_its_values_through_updates_and_marks(self, trial: Trial) -> None:
        columns = COLUMNS.append(pa.field("Old__c", pa.string()))
        rows = [{**record(id), "Old__c": f"kept {id}"} for id in ("1", "2", "3")]
        trial.run(Change(rows, columns=columns, on_delete="mark"))
        trial.run(Change([record("1", "new", 1), record("2", stamp=1, deleted=True)], on_delete="mark"))
        trial.run(Change([record("4")], on_delete="mark"))
        assert [row["Old__c"] for row in trial.rows()] == ["kept 1", "kept 2", "kept 3", None]
        assert trial.rows()[0]["Name"] == "new"

    # ---- widening ----

    def test_a_column_widens_and_never_forks_types_from_source(self, trial: Trial) -> None:
        trial.run(typed(INTEGERS, numbered("1", 2**63 - 1), numbered("2", -5)))
        trial.run(typed(DECIMALS, numbered("2", Decimal("2.50"))))
        found = [row["N"] for row in trial.rows()]
        assert found == [Decimal(2**63 - 1), Decimal("2.50")]
        trial.run(typed(TEXTS, numbered("3", "three")))
        assert [row["N"] for row in trial.rows()] == [f"{2**63 - 1}.00", "2.50", "three"]
        table = trial.house.read("Account")
        assert table is not None
        # Where no column changes its type, the wider one stands last.
        assert sorted(table.column_names) == ["Id", "N", SYNCED_AT_COLUMN]

    def test_a_narrower_source_fits_a_wider_target_exactly_types_from_source(self, trial: Trial) -> None:
        trial.run(typed(DECIMALS, numbered("1", Decimal("1.50"))))
        assert trial.counts(typed(INTEGERS, numbered("2", 7))) == RowCounts(1, inserted=1)
        assert trial.counts(typed(INTEGERS, numbered("2", 7))) == RowCounts(1, unchanged=1)
        assert [row["N"] for row in trial.rows()] == [Decimal("1.50"), Decimal(7)]
        trial.run(typed(TEXTS, numbered("3", "x")))
        assert trial.counts(typed(INTEGERS, numbered("4", 8), numbered("1", 9))) == RowCounts(2, inserted=1, updated=1)
        assert [row["N"] for row in trial.rows()] == ["9", "7.00", "x", "8"]

    def test_types_without_a_common_one_are_refused_loud(self, trial: Trial) -> None:
        trial.run(typed(INTEGERS, numbered("1", 1)))
        lists = pa.schema([("Id", pa.string()), ("N", pa.list_(pa.string()))])
        with pytest.raises(ConfigError, match=r"(?i)Account\.N"):
            trial.run(typed(lists, numbered("1", ["a"])))
        assert trial.rows()[0]["N"] == 1

    def test_a_cursor_that_changes_its_type_is_refused_loud(self, trial: Trial) -> None:
        texts = pa.schema([("Id", pa.string()), ("Name", pa.string()), ("Stamp", pa.string())])
        trial.run(Change([{"Id": "1", "Stamp": "2024"}], columns=texts, cursor=None))
        with pytest.raises(ConfigError, match=r"(?i)Account\.Stamp"):
            trial.run(Change([record("1")]))

    def test_a_type_that_no_column_holds_exactly_is_refused_loud(self, trial: Trial) -> None:
        nanoseconds = pa.schema([("Id", pa.string()), ("N", pa.timestamp("ns"))])
        warehouse = trial.house.open()
        with pytest.raises(ConfigError, match=r"(?i)Account\.N"):
            warehouse.prepare([typed(nanoseconds).plan("run-x")])
        warehouse.close()

    # ---- names ----

    def test_two_streams_with_one_target_are_refused_by_both_names_exact_names(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        plans = [Change(stream=name, target="Crm").plan("run-x") for name in ("Account", "Contact")]
        with pytest.raises(NameCollision, match=r"Account.*Contact"):
            warehouse.prepare(plans)
        warehouse.close()

    def test_names_that_differ_in_case_are_one_or_two_exact_names(self, trial: Trial) -> None:
        columns = pa.schema([("Id", pa.string()), ("My_Field__c", pa.string()), ("my_field__C", pa.string())])
        change = typed(columns, {"Id": "1", "My_Field__c": "a", "my_field__C": "b"})
        if trial.house.open().capabilities.case_sensitive_names:
            trial.run(change)
            assert trial.rows()[0]["My_Field__c"] == "a"
            return
        with pytest.raises(NameCollision, match=r"My_Field__c.*my_field__C"):
            trial.run(change)
        assert trial.house.read("Account") is None

    @pytest.mark.parametrize("name", [SYNCED_AT_COLUMN, "_Syncline_deleted", "_syncline_x"])
    def test_syncline_s_own_names_are_refused_exact_names(self, trial: Trial, name: str) -> None:
        with pytest.raises(NameCollision, match=name):
            trial.run(typed(pa.schema([("Id", pa.string()), (name, pa.string())]), {"Id": "1"}))
        with pytest.raises(NameCollision, match=name):
            trial.run(Change(target=name))

    def test_a_table_made_by_someone_else_is_left_alone(self, trial: Trial) -> None:
        trial.house.intrude("Account")
        before = trial.house.read("Account")
        with pytest.raises(ConfigError, match="Account"):
            trial.run(Change([record("1")]), Change([record("1")], stream="Contact"))
        assert trial.house.read("Account") == before
        assert trial.house.read("Contact") is None, "a refused target stops all of them"

    def test_long_stream_and_run_names_work(self, trial: Trial) -> None:
        change = Change([record("1")], stream="S" * 200, target="Account")
        other = replace(change, stream="S" * 199 + "T", target="Contact", records=[record("2")])
        trial.run(change, other)
        assert (list(trial.names()), list(trial.names("Contact"))) == (["1"], ["2"])

    def test_an_update_moves_nothing_but_its_row(self, trial: Trial) -> None:
        trial.run(Change([record(str(number), stamp=number) for number in range(9)]))
        trial.run(Change([record("4", "new", 100)], high=at(200)))
        assert [row["Id"] for row in trial.rows() if row["Name"] == "new"] == ["4"]
        assert len(trial.rows()) == 9
