"""What is in the files: every type exactly, in the form that warehouses and Glue read."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.connectors.errors import DataError
from syncline.sinks.landing import Landing
from tests.landing.worlds import incompressible, land, open_writer, rows

NO_SURROGATES = st.characters(exclude_categories=["Cs"])
TEXT = st.text(NO_SURROGATES, max_size=20)
INSTANTS = st.datetimes(datetime(1700, 1, 1), datetime(4000, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
EXACT = Context(prec=40)
INT64 = st.integers(-(2**63), 2**63 - 1)


def decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(1 - 10**digits, 10**digits - 1).map(lambda number: EXACT.scaleb(Decimal(number), -scale))


VALUES: dict[pa.DataType, st.SearchStrategy[object]] = {
    pa.utf8(): TEXT,
    pa.large_utf8(): TEXT,
    pa.bool_(): st.booleans(),
    pa.int64(): INT64,
    pa.decimal128(38, 0): decimals(38, 0),
    pa.decimal128(38, 18): decimals(38, 18),
    pa.decimal128(18, 2): decimals(18, 2),
    pa.date32(): st.dates(date(1700, 1, 1), date(4000, 12, 31)),
    pa.time64("us"): st.times(),
    pa.timestamp("us", "UTC"): INSTANTS,
    pa.binary(): st.binary(max_size=20),
    pa.float64(): st.floats(allow_nan=False),
    pa.list_(pa.utf8()): st.lists(st.none() | TEXT, max_size=3),
}


@st.composite
def tables(draw: Callable[[st.SearchStrategy[object]], object]) -> pa.Table:
    count = draw(st.integers(1, 5))
    assert isinstance(count, int)
    columns = {
        str(kind): pa.array([draw(st.none() | values) for _ in range(count)], kind) for kind, values in VALUES.items()
    }
    return pa.table(columns)


@given(table=tables())
@settings(max_examples=20, deadline=None)
def test_every_type_comes_back_exactly(table: pa.Table) -> None:
    """TYPES-FROM-SOURCE: nothing is rounded, shifted or renamed on the way."""
    with tempfile.TemporaryDirectory() as folder:
        landing = Landing(folder)
        path = landing.paths(land(landing, table), Path(folder))[0]
        back = pq.read_table(path)
        assert back.schema.equals(table.schema)
        for name in table.column_names:
            for row, (was, now) in enumerate(zip(table[name], back[name], strict=True)):
                assert was.equals(now), (name, row, was, now)


def edge_table() -> pa.Table:
    return pa.table(
        {
            "instant": pa.array(
                [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)],
                pa.timestamp("us", "UTC"),
            ),
            "day": pa.array([date(1, 1, 1), date(9999, 12, 31)], pa.date32()),
            "time": pa.array([time(0), time(23, 59, 59, 999999)], pa.time64("us")),
            "text": ["\x00 NUL and \U0001f600", "x" * 131_072],
            "amount": pa.array([Decimal("-9999999999999999.99"), Decimal("0.01")], pa.decimal128(18, 2)),
        }
    )


def test_the_far_ends_come_back_exactly(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path))
    path = landing.paths(land(landing, edge_table()), tmp_path)[0]
    assert pq.read_table(path).equals(edge_table())


def test_files_are_in_the_form_that_every_loader_reads(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path))
    path = landing.paths(land(landing, edge_table()), tmp_path)[0]
    file = pq.ParquetFile(path)
    physical = {column.name: (column.physical_type, str(column.logical_type)) for column in file.schema}
    assert physical["amount"] == ("FIXED_LEN_BYTE_ARRAY", "Decimal(precision=18, scale=2)")
    assert physical["instant"][0] == "INT64"
    assert "isAdjustedToUTC=true, timeUnit=microseconds" in physical["instant"][1]
    group = file.metadata.row_group(0)
    assert {group.column(number).compression for number in range(group.num_columns)} == {"ZSTD"}


def test_a_flipped_bit_is_noticed_by_the_page_checksum(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path))
    path = landing.paths(land(landing, rows(1000)), tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(path, page_checksum_verification=True)


def test_small_batches_are_gathered_into_large_row_groups(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path))
    with open_writer(landing) as writer:
        for start in range(0, 250_000, 2_000):
            writer.write(rows(2_000, start))
    file = pq.ParquetFile(landing.paths(writer.files, tmp_path)[0])
    counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert counts == [100_000, 100_000, 50_000]


def test_a_large_table_is_written_in_bounded_row_groups(tmp_path: Path) -> None:
    landing = Landing(str(tmp_path))
    table = pa.table({"text": pa.array([f"{number:065536}" for number in range(1500)])})
    path = landing.paths(land(landing, table), tmp_path)[0]
    file = pq.ParquetFile(path)
    assert max(file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)) <= 512
    assert pq.read_table(path).equals(table)


def test_a_large_batch_is_written_at_once(tmp_path: Path) -> None:
    """BOUNDED: it does not wait in memory for the next one."""
    landing = Landing(str(tmp_path))
    with open_writer(landing) as writer:
        writer.write(incompressible(34 * 1024 * 1024))
        (spool,) = (tmp_path / ".writing").iterdir()
        assert spool.stat().st_size > 10_000_000


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """BOUNDED."""
    landing = Landing(str(tmp_path), file_bytes_max=1024 * 1024)
    batch = pa.table({"Id": [base64.b85encode(bytes([n % 256]) * 64).decode() for n in range(50_000)]})
    batch = batch.append_column("Seq", pc.add(pa.array(range(50_000)), 0))
    peaks = []
    with open_writer(landing, columns=batch.schema) as writer:
        for _ in range(20):
            writer.write(batch)
            peaks.append(pa.total_allocated_bytes())
    assert max(peaks) - peaks[0] < 3 * 32 * 1024 * 1024


@pytest.mark.parametrize(
    "kind",
    [
        pa.dictionary(pa.int32(), pa.utf8()),
        pa.null(),
        pa.timestamp("ns", "UTC"),
        pa.timestamp("ms"),
        pa.timestamp("s"),
        pa.time64("ns"),
        pa.time32("ms"),
    ],
    ids=str,
)
def test_types_that_parquet_would_change_are_refused_by_name(tmp_path: Path, kind: pa.DataType) -> None:
    with pytest.raises(DataError, match="column odd has type"):
        open_writer(Landing(str(tmp_path)), columns=pa.schema([("odd", kind)]))


def test_a_null_in_a_column_that_allows_none_is_refused(tmp_path: Path) -> None:
    columns = pa.schema([pa.field("_syncline_deleted", pa.bool_(), nullable=False)])
    with pytest.raises(DataError, match="_syncline_deleted"), open_writer(Landing(str(tmp_path)), columns=columns) as w:
        w.write(pa.table({"_syncline_deleted": pa.array([True, None])}, columns))
