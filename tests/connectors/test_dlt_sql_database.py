"""dlt's own ``sql_database`` source over a SQLite file whose rows change between runs, rows and Arrow alike."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest

from syncline.connectors import ConfigError, DataError, DltSource, Transient, Window
from tests.connectors.reading import described, rows_of

NOW = datetime(2031, 5, 1, 12, tzinfo=UTC)
Backend = Literal["sqlalchemy", "pyarrow"]

TABLE = """
create table Customer (
  Id integer primary key, Name text not null, Balance decimal(18, 2), Score float, updated_at datetime not null,
  Born date, Photo blob, Active boolean, Empty_Text text
)
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute(TABLE)
    for number in range(1, 8):
        insert(connection, number, NOW - timedelta(hours=8 - number))
    yield connection
    connection.close()


def insert(connection: sqlite3.Connection, number: int, changed: datetime) -> None:
    row = (number, f"name {number}\n🙂", f"{number}.25", 0.1, changed.strftime("%Y-%m-%d %H:%M:%S.%f"))
    connection.execute("insert into Customer values (?, ?, ?, ?, ?, '1969-12-31', x'00ff', 1, '')", row)
    connection.commit()


@pytest.fixture(params=["sqlalchemy", "pyarrow"])
def source(request: pytest.FixtureRequest, database: sqlite3.Connection, tmp_path: Path) -> Iterator[DltSource]:
    engines: list[Any] = []
    yield made(tmp_path, request.param, engines)
    for engine in engines:
        engine.dispose()


def made(tmp_path: Path, backend: Backend, engines: list[Any], **options: Any) -> DltSource:
    import dlt
    from dlt.sources.sql_database import sql_table
    from sqlalchemy import create_engine

    engines.append(create_engine(f"sqlite:///{tmp_path / 'shop.db'}"))
    incremental = options.pop("incremental", dlt.sources.incremental("updated_at"))
    table = sql_table(engines[-1], table="Customer", backend=backend, incremental=incremental, chunk_size=3, **options)
    return DltSource(table, clock=lambda: NOW, types_file=tmp_path / "types.json")


def test_key_and_types_are_those_of_the_database_types_from_source(source: DltSource) -> None:
    schema = described(source, "Customer")
    assert schema.key == ("Id",)
    assert schema.cursor == "updated_at"
    assert schema.columns == pa.schema(
        [
            ("Id", pa.int64()),
            ("Name", pa.string()),
            ("Balance", pa.decimal128(18, 2)),
            ("Score", pa.float64()),
            ("updated_at", pa.timestamp("us", tz="UTC")),
            ("Born", pa.date32()),
            ("Photo", pa.binary()),
            ("Active", pa.bool_()),
            ("Empty_Text", pa.string()),
        ]
    )


def test_values_come_back_exactly(source: DltSource) -> None:
    assert rows_of(source, "Customer", None)[0] == {
        "Id": 1,
        "Name": "name 1\n🙂",
        "Balance": Decimal("1.25"),
        "Score": 0.1,
        "updated_at": NOW - timedelta(hours=7),
        "Born": date(1969, 12, 31),
        "Photo": b"\x00\xff",
        "Active": True,
        "Empty_Text": "",
    }


def test_a_window_is_half_open_complete_window(source: DltSource) -> None:
    low, high = NOW - timedelta(hours=6), NOW - timedelta(hours=4)
    assert [row["Id"] for row in rows_of(source, "Customer", low, high)] == [2, 3]
    assert [row["Id"] for row in rows_of(source, "Customer", low, low + timedelta(microseconds=1))] == [2]


def test_rows_changed_between_runs_are_read_and_the_database_is_asked_for_no_others(
    source: DltSource, database: sqlite3.Connection
) -> None:
    rows_of(source, "Customer", None)
    watermark = source.horizon()
    insert(database, 8, NOW)
    changed = (NOW + timedelta(seconds=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
    database.execute("update Customer set Name = 'new', updated_at = ? where Id = 2", (changed,))
    database.execute("delete from Customer where Id = 3")
    database.commit()
    later = rows_of(source, "Customer", watermark, NOW + timedelta(minutes=1))
    assert {row["Id"]: row["Name"] for row in later} == {2: "new", 8: "name 8\n🙂"}
    assert 3 not in [row["Id"] for row in rows_of(source, "Customer", None)]


def test_the_window_reaches_the_database(database: sqlite3.Connection, tmp_path: Path) -> None:
    seen: list[str] = []
    engines: list[Any] = []

    def spy(query: Any, table: Any) -> Any:
        seen.append(str(query.compile(compile_kwargs={"literal_binds": True})))
        return query

    source = made(tmp_path, "sqlalchemy", engines, query_adapter_callback=spy)
    rows_of(source, "Customer", NOW - timedelta(hours=2), NOW)
    assert "updated_at >= '2031-05-01 10:00:00'" in seen[-1]
    assert "updated_at < '2031-05-01 12:00:00'" in seen[-1]
    engines[0].dispose()


def test_a_row_without_a_cursor_value_is_an_error_not_a_loss_loud(database: sqlite3.Connection, tmp_path: Path) -> None:
    """In SQL, ``updated_at >= low`` is not true of null, so a window would drop such a row at the database."""
    import dlt

    database.execute("create table Loose (Id integer primary key, updated_at datetime)")
    database.execute("insert into Loose values (1, null)")
    database.commit()
    for choice, expected in (("raise", None), ("include", [1]), ("exclude", [])):
        engines: list[Any] = []
        incremental: Any = dlt.sources.incremental("updated_at", on_cursor_value_missing=choice)  # type: ignore[arg-type]
        source = loose(tmp_path, engines, incremental)
        if expected is None:
            with pytest.raises(DataError, match="1 rows have no value"):
                rows_of(source, "Loose", NOW - timedelta(hours=1))
        else:
            assert [row["Id"] for row in rows_of(source, "Loose", NOW - timedelta(hours=1))] == expected
        engines[0].dispose()


def loose(tmp_path: Path, engines: list[Any], incremental: Any) -> DltSource:
    from dlt.sources.sql_database import sql_table
    from sqlalchemy import create_engine

    engines.append(create_engine(f"sqlite:///{tmp_path / 'shop.db'}"))
    table = sql_table(engines[-1], table="Loose", incremental=incremental)
    table.apply_hints(schema_contract={"columns": "freeze"})
    return DltSource(table, clock=lambda: NOW, types_file=None)


def test_a_table_without_a_cursor_is_read_whole_and_can_be_filtered_by_any_instant(
    database: sqlite3.Connection, tmp_path: Path
) -> None:
    engines: list[Any] = []
    source = made(tmp_path, "sqlalchemy", engines, incremental=None)
    schema = described(source, "Customer")
    assert schema.cursor is None
    assert schema.deletes == "absent"
    assert len(rows_of(source, "Customer", NOW)) == 7
    engines[0].dispose()


def test_a_counter_cannot_be_a_cursor_so_the_stream_is_read_whole(database: sqlite3.Connection, tmp_path: Path) -> None:
    import dlt

    engines: list[Any] = []
    source = made(tmp_path, "sqlalchemy", engines, incremental=dlt.sources.incremental("Id", initial_value=3))
    schema = described(source, "Customer")
    assert schema.cursor is None
    assert any("Id holds int64" in warning for warning in schema.warnings)
    for _ in range(2):
        assert [row["Id"] for row in rows_of(source, "Customer", NOW)] == [3, 4, 5, 6, 7]
    engines[0].dispose()


def test_a_column_added_between_runs_is_named_and_read_by_the_next_run(
    database: sqlite3.Connection, tmp_path: Path
) -> None:
    engines: list[Any] = []
    first = made(tmp_path, "sqlalchemy", engines)
    schema = described(first, "Customer")
    database.execute("alter table Customer add column Region text")
    database.execute("update Customer set Region = 'north' where Id = 7")
    database.commit()
    second = made(tmp_path, "sqlalchemy", engines)
    assert described(second, "Customer").columns.names == [*schema.columns.names, "Region"]
    assert rows_of(second, "Customer", None)[-1]["Region"] == "north"
    for engine in engines:
        engine.dispose()


def test_a_database_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    from dlt.sources.sql_database import sql_table

    def table() -> Any:
        return sql_table(f"sqlite:///{tmp_path / 'no' / 'such.db'}", table="Customer")

    with pytest.raises((Transient, ConfigError)):
        DltSource(table, types_file=None).describe(["Customer"])


def test_a_whole_database_is_a_source_of_streams(database: sqlite3.Connection, tmp_path: Path) -> None:
    from dlt.sources.sql_database import sql_database
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # sql_database warns about an argument of its own
        made = sql_database(engine)
    source = DltSource(made, clock=lambda: NOW, types_file=None)
    assert len(rows_of(source, "Customer", None)) == 7
    forecast = source.plan(described(source, "Customer"), Window(None, NOW)).forecast
    assert (forecast.api, forecast.query) == ("dlt", "all of Customer")
    engine.dispose()


def test_a_table_reflected_only_while_reading_is_refused_because_its_key_is_not_known(
    database: sqlite3.Connection, tmp_path: Path
) -> None:
    engines: list[Any] = []
    with pytest.raises(ConfigError, match="defer_table_reflect"):
        made(tmp_path, "sqlalchemy", engines, defer_table_reflect=True).describe(["Customer"])
    engines[0].dispose()
