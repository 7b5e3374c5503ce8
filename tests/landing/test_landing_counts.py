"""COUNTED-HOPS between the rows handed to a writer and the rows in its Parquet files."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncline.connectors.errors import CountMismatch
from tests.landing.worlds import LandingWorld, land, rows


def test_a_file_whose_footer_counts_other_rows_is_not_landed_counted_hops(
    world: LandingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pq.ParquetWriter.write_table

    def lose_one(writer: Any, table: pa.Table, **options: Any) -> None:
        whole(writer, table.slice(1), **options)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", lose_one)
    with pytest.raises(CountMismatch, match="its footer says 9 rows, 10 were written"):
        land(world.landing(), rows(10))
    assert world.listing() == []
