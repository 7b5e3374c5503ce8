"""Windows, narrowing and sifting as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN, Batch, StreamSchema, Window
from syncline.connectors.errors import ConfigError, DataError
from syncline.pipelines.digest import digest_rows, pack
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.sieve import Sieve
from syncline.pipelines.task import NEVER, Task, make_task, narrow
from syncline.state.store import Remembered
from tests.runner.world import ACCOUNT

SCHEMA = StreamSchema("Account", ACCOUNT, ("Id",), "SystemModstamp", ("SystemModstamp",), "flagged")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

instants = st.integers(0, 100_000).map(lambda seconds: NOON + timedelta(seconds=seconds))


@given(st.lists(instants, min_size=2, max_size=20))
def test_windows_of_successive_runs_leave_no_gap_and_never_go_back(horizons: list[datetime]) -> None:
    """COMPLETE-WINDOW: each window starts one overlap below the last one's high, whatever the source's clock does."""
    stream, base = Stream("Account", overlap="10m"), NEVER
    for horizon in horizons:
        task = make_task(stream, SCHEMA, base, horizon)
        if task is None:
            assert base.watermark is not None
            assert horizon <= base.watermark
            continue
        if base.watermark is not None:
            assert task.window.low == base.watermark - timedelta(minutes=10)
            assert task.window.high > base.watermark
        assert task.window.high == horizon
        base = Remembered(task.window.high, base.version + 1, "r", tuple(ACCOUNT.names), definition=task.definition)


def test_a_misspelt_field_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean Name"):
        narrow(SCHEMA, Stream("Account", fields=["Nmae"]))


def test_key_and_cursor_are_kept_whatever_fields_are_chosen() -> None:
    assert narrow(SCHEMA, Stream("Account", fields=["Name"])).columns.names == ["Id", "Name", "SystemModstamp"]
    with pytest.raises(ConfigError, match="key or the cursor"):
        narrow(SCHEMA, Stream("Account", exclude=["Id"]))


def test_a_cursor_the_source_cannot_select_by_is_refused() -> None:
    with pytest.raises(ConfigError, match="use one of: SystemModstamp"):
        narrow(SCHEMA, Stream("Account", cursor="Name"))


def test_a_field_that_is_left_out_is_refused_with_the_reason() -> None:
    schema = StreamSchema("Doc", ACCOUNT, ("Id",), None, left_out={"Body": "base64 is not read"})
    with pytest.raises(ConfigError, match="base64 is not read"):
        narrow(schema, Stream("Doc", fields=["Body"]))


def task_with(known: bytes | None, watermark: datetime | None) -> Task:
    base = Remembered(watermark, 1, "r", tuple(ACCOUNT.names), known=known)
    low = None if watermark is None else watermark - timedelta(minutes=10)
    high = NOON + timedelta(hours=1)
    return Task(Stream("Account"), SCHEMA, Window(low, high), high, "changes", base, "d")


def batch(rows: Sequence[tuple[str, str, datetime]]) -> Batch:
    columns = {"Id": [r[0] for r in rows], "Name": [r[1] for r in rows], "SystemModstamp": [r[2] for r in rows]}
    return Batch(pa.RecordBatch.from_pydict({**columns, "Amount": [None] * len(rows)}, ACCOUNT))


def digests_of(landed: pa.RecordBatch) -> bytes | None:
    return pack([b"".join(sorted(digest_rows(landed.select([*ACCOUNT.names, DELETED_COLUMN]))))], 1000)


rows_near = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["x", "y"]),
        st.integers(-10, 70).map(lambda m: NOON + timedelta(minutes=m)),
    ),
    max_size=12,
)


@given(rows_near, st.data())
def test_the_sieve_drops_exactly_the_known_rows(rows: list[tuple[str, str, datetime]], data: st.DataObject) -> None:
    """IDLE-IS-FREE, and no tie is lost: a row that differs in anything is not a known one."""
    committed = data.draw(st.lists(st.sampled_from(rows), unique=True)) if rows else []
    first = Sieve(task_with(None, None), "records", 0, 1000).sift(batch(committed))
    sieve = Sieve(task_with(digests_of(first), NOON), "records", 0, 1000)
    left = sieve.sift(batch(rows))
    expected = [row for row in rows if not (row in committed and droppable(row[2]))]
    assert list(zip(*(left.column(n).to_pylist() for n in ("Id", "Name")), strict=True)) == [r[:2] for r in expected]
    assert sieve.rows_read == len(rows)
    assert sieve.rows_known == len(rows) - len(expected)


def droppable(cursor: datetime) -> bool:
    """Below the watermark, or in the coming overlap, which is looked at anyway."""
    return cursor < NOON or cursor >= NOON + timedelta(minutes=50)


def test_the_bound_on_digests_gives_up_dropping_and_never_a_row() -> None:
    rows = [(str(n), "x", NOON - timedelta(minutes=1)) for n in range(20)]
    known = digests_of(Sieve(task_with(None, None), "records", 0, 1000).sift(batch(rows)))
    sieve = Sieve(task_with(known, NOON), "records", 0, digest_rows_max=10)
    assert sieve.sift(batch(rows)).num_rows == 20, "BOUNDED"
    assert sieve.rows_known == 0


def test_sequence_numbers_are_unique_and_rise_over_slices_and_batches() -> None:
    rows = [("a", "x", NOON), ("b", "x", NOON)]
    numbers: list[int] = []
    for ordinal in range(3):
        sieve = Sieve(task_with(None, None), "records", ordinal, 1000)
        for _ in range(2):
            numbers += sieve.sift(batch(rows)).column(SEQUENCE_COLUMN).to_pylist()
    assert numbers == sorted(set(numbers)), "NEWEST-WINS needs a total order"


def test_a_batch_that_is_not_as_described_is_refused() -> None:
    wrong = pa.RecordBatch.from_pydict({"Id": ["a"], "Name": [1]})
    with pytest.raises(DataError, match="Name is int64"):
        Sieve(task_with(None, None), "records", 0, 1000).sift(Batch(wrong))
