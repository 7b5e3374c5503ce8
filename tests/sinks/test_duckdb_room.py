"""The memory that DuckDB is given where it cannot spill (BOUNDED)."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from benchmarks import target
from syncline.sinks import duckdb_settings
from syncline.sinks.duckdb_session import Session
from syncline.sinks.duckdb_settings import Settings, deletion_bytes, wide_bytes
from syncline.sinks.landing import Landing

LIMIT = 30_000_000


@pytest.mark.parametrize(("columns", "more"), [(100, 0), (101, 500_000), (800, 350_000_000)])
def test_a_table_of_many_columns_gets_room_bounded(columns: int, more: int) -> None:
    assert wide_bytes(columns) == more


@pytest.mark.parametrize(
    ("rows", "doomed", "measured_mb"), [(50_000_000, 10_000, 214), (50_000_000, 100_000, 429), (50_000_000, 5, 0)]
)
def test_rows_taken_out_of_a_large_table_get_room_bounded(rows: int, doomed: int, measured_mb: int) -> None:
    """DuckDB keeps 16 KB for each vector that loses a row, and cannot spill them."""
    assert measured_mb <= deletion_bytes(rows, doomed) / 1e6 <= 2.5 * measured_mb + 2


@pytest.mark.parametrize(("limit", "sent"), [(None, ["SET memory_limit = '210000000B'"]), ("1GB", [])])
def test_room_is_asked_for_unless_the_user_set_the_limit(limit: str | None, sent: list[str]) -> None:
    statements: list[str] = []
    session = Session(Settings(":memory:", limit, 2, 0), duckdb.connect, lambda seconds: None, lambda: None)
    with closing(session), pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "run", statements.append)
        for _ in range(2):
            session.make_room(5_000_000)
    assert statements == sent


def test_rows_changed_all_over_a_large_table_are_committed_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 10,000 of 50 million do at the usual limit: 2,000 of 4 million at a twelfth of it."""
    rows, changed, landing = 4_000_000, 2_000, Landing(str(tmp_path / "landing"))
    target.make(tmp_path / "t.duckdb", landing, rows)
    monkeypatch.setattr(duckdb_settings, "MEMORY_BYTES", LIMIT)
    manifest = target.land(landing, target.changed(rows, changed, "spread"), "run-0001")
    with closing(target.open_warehouse(tmp_path / "t.duckdb")) as warehouse:
        counts = target.merge(warehouse, landing, manifest)
    assert counts.updated == changed
