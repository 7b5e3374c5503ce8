"""The in-memory source beyond the conformance suite: what simulations and authors rely on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from syncline.connectors import BATCH_ROWS_MAX, ConfigError, Records, Transient, Window
from syncline.connectors.errors import ValueOutOfType
from syncline.connectors.values import JSON
from tests.connectors.reading import described, rows_of

COLUMNS = pa.schema([("Id", pa.string()), ("Name", pa.string()), ("Changed", pa.timestamp("us", tz="UTC"))])
START = datetime(2031, 5, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(clock: Clock) -> Records:
    return Records(clock=clock).add("Account", COLUMNS, key="Id", cursor="Changed", deletes="flagged")


def test_a_row_is_stamped_when_it_changes(source: Records, clock: Clock) -> None:
    source.insert("Account", [{"Id": "a", "Name": "first"}])
    clock.now += timedelta(seconds=5)
    source.update("Account", [{"Id": "a", "Name": "second"}])
    assert source.rows("Account").to_pylist() == [{"Id": "a", "Name": "second", "Changed": clock.now}]


def test_a_late_commit_shows_later_than_its_stamp(source: Records, clock: Clock) -> None:
    source.insert("Account", [{"Id": "a"}], visible_at=START + timedelta(minutes=3))
    assert len(source.rows("Account")) == 0
    clock.now += timedelta(minutes=3)
    assert source.rows("Account").to_pylist() == [{"Id": "a", "Name": None, "Changed": START}]


def test_the_newest_stamp_wins_whenever_it_becomes_visible_newest_wins(source: Records, clock: Clock) -> None:
    source.insert("Account", [{"Id": "a", "Name": "old"}], visible_at=START + timedelta(minutes=3))
    clock.now += timedelta(minutes=1)
    source.insert("Account", [{"Id": "a", "Name": "new"}])
    clock.now += timedelta(minutes=3)
    assert [row["Name"] for row in source.rows("Account").to_pylist()] == ["new"]


def test_a_column_added_later_is_null_in_every_row_and_a_dropped_one_is_gone(source: Records) -> None:
    source.insert("Account", [{"Id": "a", "Name": "x"}])
    columns = pa.schema([COLUMNS.field("Id"), ("Amount", pa.decimal128(10, 2)), COLUMNS.field("Changed")])
    source.alter("Account", columns)
    assert described(source, "Account").columns == columns
    source.insert("Account", [{"Id": "b", "Amount": Decimal("1.50")}])
    assert [row["Amount"] for row in source.rows("Account").to_pylist()] == [None, Decimal("1.50")]


def test_mistakes_are_loud(source: Records) -> None:
    with pytest.raises(ConfigError, match="Nmae"):
        source.insert("Account", [{"Id": "a", "Nmae": "x"}])
    with pytest.raises(KeyError, match="nobody"):
        source.update("Account", [{"Id": "nobody"}])
    with pytest.raises(ConfigError, match="did you mean Account"):
        source.insert("Acount", [])
    with pytest.raises(ConfigError, match="cursor Name"):
        source.add("Other", COLUMNS, cursor="Name")


def test_streams_without_key_and_without_cursor_are_read_whole(clock: Clock) -> None:
    columns = pa.schema([("Line", pa.string())])
    source = Records(clock=clock).add("Log", columns, rows=[{"Line": "same"}, {"Line": "same"}])
    assert rows_of(source, "Log", START + timedelta(days=1)) == [{"Line": "same"}, {"Line": "same"}]


def test_a_key_of_several_columns(clock: Clock) -> None:
    columns = pa.schema([("A", pa.string()), ("B", pa.int64()), ("Text", pa.string())])
    source = Records(clock=clock).add("Pair", columns, key=("A", "B"))
    source.insert("Pair", [{"A": "x", "B": number, "Text": "t"} for number in (1, 2, 3)])
    source.update("Pair", [{"A": "x", "B": 2, "Text": "u"}])
    source.delete("Pair", [("x", 3)])
    assert {(row["B"], row["Text"]) for row in source.rows("Pair").to_pylist()} == {(1, "t"), (2, "u")}


def test_batches_are_bounded_however_large_the_slice_bounded(clock: Clock) -> None:
    table = pa.table({"Id": pa.array(range(BATCH_ROWS_MAX + 1)).cast(pa.string())})
    source = Records(clock=clock, slice_rows=10**9).add("Big", table.schema, key="Id", rows=table)
    extraction = source.plan(described(source, "Big"), Window(None, START))
    [slice] = extraction.slices(None, lambda _: None)
    assert sorted(batch.records.num_rows for batch in extraction.read(slice)) == [1, BATCH_ROWS_MAX]
    extraction.close("landed")


def test_a_job_keeps_its_rows_while_the_source_changes(source: Records, clock: Clock) -> None:
    source.insert("Account", [{"Id": "a", "Name": "then"}])
    clock.now += timedelta(seconds=1)
    extraction = source.plan(described(source, "Account"), Window(None, clock.now))
    [slice] = extraction.slices(None, lambda _: None)
    source.update("Account", [{"Id": "a", "Name": "now"}])
    assert [batch.records["Name"].to_pylist() for batch in extraction.read(slice)] == [["then"]]
    source.forget_jobs()
    with pytest.raises(Transient, match="no longer keeps"):
        list(extraction.read(slice))
    extraction.close("abandoned")


def test_a_query_language_is_refused(source: Records) -> None:
    from dataclasses import replace

    with pytest.raises(ConfigError, match="no query language"):
        source.plan(replace(described(source, "Account"), where="Name = 'x'"), Window(None, START))


def test_documents_have_their_one_form_and_what_is_none_is_refused_by_name_loud(clock: Clock) -> None:
    columns = pa.schema([("Id", pa.string()), ("Doc", JSON)])
    source = Records(clock=clock).add("Account", columns, key="Id")
    source.insert("Account", [{"Id": "a", "Doc": '{"b": 1.50, "a": 2}'}, {"Id": "b", "Doc": {"b": [1], "a": None}}])
    texts = pa.schema([("Id", pa.string()), ("Doc", pa.string())])
    source.insert("Account", pa.Table.from_pylist([{"Id": "c", "Doc": ' "x" '}, {"Id": "d"}], texts))
    held = ['{"a":2,"b":1.50}', '{"a":null,"b":[1]}', '"x"', None]
    assert source.rows("Account")["Doc"].to_pylist() == held
    for none in ("[1,]", "NaN", '{"a":1,"a":2}', '"\\ud800"'):  # DuckDB would take the first two, Postgres the third
        with pytest.raises(ValueOutOfType, match=r"Account\.Doc"):
            source.update("Account", [{"Id": "a", "Doc": none}])
    assert source.rows("Account")["Doc"].to_pylist() == held
