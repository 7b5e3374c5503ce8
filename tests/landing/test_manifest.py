"""The manifest as bytes: deterministic, complete, and refused when it is not what it says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.connectors.connector import Window
from syncline.sinks.manifest import FileEntry, Manifest
from tests.landing.worlds import manifest_of

ENTRY = FileEntry("crm/Account/dt=2026-11-23/run=r/p-0-ab.parquet", "p", "records", 5, 1234, "ab" * 32)
GONE = FileEntry("crm/Account/dt=2026-11-23/run=r/g-0-ab.parquet", "g", "tombstones", 2, 99, "cd" * 32)
INSTANTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TEXT = st.text(max_size=20)
COUNTS = st.integers(0, 2**62)


def entries() -> st.SearchStrategy[tuple[FileEntry, ...]]:
    kinds = st.sampled_from(["records", "tombstones"])
    entry = st.builds(FileEntry, TEXT, TEXT, kinds, COUNTS, COUNTS, TEXT)
    return st.lists(entry, max_size=4).map(tuple)


@given(
    values=st.fixed_dictionaries(
        {
            "pipeline": TEXT,
            "stream": TEXT,
            "started_at": INSTANTS,
            "window": st.builds(Window, st.none() | INSTANTS, INSTANTS),
            "mode": st.sampled_from(["changes", "snapshot"]),
            "key": st.lists(TEXT, max_size=3).map(tuple),
            "cursor": st.none() | TEXT,
            "files": entries(),
            "rows_announced": st.none() | COUNTS,
            "rows_known": COUNTS,
            "query": TEXT,
            "cursor_least": st.none() | INSTANTS,
            "versions": st.dictionaries(TEXT, TEXT, max_size=2),
        }
    )
)
@settings(max_examples=60, deadline=None)
def test_a_manifest_comes_back_from_its_bytes(values: dict[str, Any]) -> None:
    manifest = manifest_of(values.pop("files"), **values)
    data = manifest.to_bytes()
    assert Manifest.from_bytes(data) == manifest
    assert Manifest.from_bytes(data).to_bytes() == data
    data.decode()


def test_the_same_content_makes_the_same_bytes() -> None:
    """SEALED-MANIFEST: a repeated seal compares equal, whatever order or zone its values came in."""
    tokyo = timezone(timedelta(hours=9))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    one = manifest_of((ENTRY,), versions={"a": "1", "b": "2"}, cursor_least=at, started_at=at)
    other = manifest_of(
        (ENTRY,), versions={"b": "2", "a": "1"}, cursor_least=at.astimezone(tokyo), started_at=at.astimezone(tokyo)
    )
    assert one.to_bytes() == other.to_bytes()


def test_the_types_of_the_columns_survive() -> None:
    columns = pa.schema([pa.field("Id", pa.utf8(), nullable=False), pa.field("Amount", pa.decimal128(38, 18))])
    assert Manifest.from_bytes(manifest_of((), columns=columns).to_bytes()).columns.equals(columns, check_metadata=True)


def test_rows_are_counted_by_kind() -> None:
    manifest = manifest_of((ENTRY, GONE))
    assert (manifest.rows, manifest.rows_of("records"), manifest.rows_of("tombstones")) == (7, 5, 2)
    assert json.loads(manifest.to_bytes())["rows"]["tombstones"] == 2


def test_a_lone_surrogate_in_a_query_survives_in_valid_utf8() -> None:
    manifest = manifest_of((), query="SELECT Id FROM A WHERE Name = '\ud800 \U0001f600 \\ud800'")
    data = manifest.to_bytes()
    assert "\U0001f600" in data.decode()
    assert Manifest.from_bytes(data) == manifest


def changed(**values: Any) -> bytes:
    document = json.loads(manifest_of((ENTRY, GONE)).to_bytes())
    return json.dumps({**document, **values}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        changed()[:-10],
        changed(manifest_version=2),
        changed(window=None),
        changed(window={"low": None, "high": None}),
        changed(started_at="yesterday"),
        changed(arrow_schema="AAAA"),
        changed(files=[{"path": "x"}]),
        changed(files=3),
    ],
)
def test_what_is_no_manifest_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Manifest.from_bytes(data)


def test_a_manifest_whose_rows_do_not_add_up_is_refused() -> None:
    with pytest.raises(ValueError, match="COUNTED-HOPS"):
        Manifest.from_bytes(changed(files=[]))
