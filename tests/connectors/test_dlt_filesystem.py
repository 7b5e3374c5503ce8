"""dlt's own ``filesystem`` source over real CSV, JSONL and Parquet files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncline.connectors import DltSource, Transient, Window
from tests.connectors.reading import described, rows_of

NOW = datetime(2031, 5, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def source(resource: Any, tmp_path: Path) -> DltSource:
    return DltSource(resource, clock=lambda: NOW, types_file=tmp_path / "types.json")


def test_parquet_keeps_its_own_types_and_names_types_from_source(folder: Path, tmp_path: Path) -> None:
    from dlt.sources.filesystem import filesystem, read_parquet

    table = pa.table(
        {
            "Id": pa.array([1, 2], pa.int32()),
            "My_Field__c": pa.array(["a", None]),
            "Amount": pa.array([Decimal("1.10"), Decimal("2.20")], pa.decimal128(12, 2)),
            "At": pa.array([NOW, NOW + timedelta(seconds=1)], pa.timestamp("ms", tz="UTC")),
            "Tags": pa.array([["x", "y"], []], pa.list_(pa.string())),
            "Big": pa.array([2**64 - 1, 0], pa.uint64()),
        }
    )
    pq.write_table(table, folder / "a.parquet")
    resource = (filesystem(str(folder), file_glob="*.parquet") | read_parquet(use_pyarrow=True)).with_name("rows")
    connector = source(resource, tmp_path)
    assert described(connector, "rows").columns == pa.schema(
        [
            ("Id", pa.int64()),
            ("My_Field__c", pa.string()),
            ("Amount", pa.decimal128(12, 2)),
            ("At", pa.timestamp("us", tz="UTC")),
            ("Tags", pa.string()),
            ("Big", pa.decimal128(20, 0)),
        ]
    )
    rows = rows_of(connector, "rows", None)
    assert rows[0]["Tags"] == '["x","y"]'
    assert [row["Big"] for row in rows] == [2**64 - 1, 0]


CSV_SCRIPT = """
import sys
from pathlib import Path
from dlt.sources.filesystem import filesystem, read_csv_duckdb
from syncline.connectors import DltSource
from tests.connectors.reading import described, rows_of

folder = Path(sys.argv[1])
(folder / "a.csv").write_text("Id,Name\\n1,one\\n2,two\\n")
resource = (filesystem(str(folder), file_glob="*.csv") | read_csv_duckdb(use_pyarrow=True)).with_name("rows")
resource.apply_hints(primary_key="Id")
source = DltSource(resource, types_file=None)
schema = described(source, "rows")
print(schema.key, schema.deletes, rows_of(source, "rows", None))
(folder / "b.csv").write_text("Id,Name\\n3,three\\n")
(folder / "a.csv").write_text("Id,Name\\n1,uno\\n")
print(sorted((row["Id"], row["Name"]) for row in rows_of(source, "rows", None)))
"""


def test_csv_files_that_come_and_go_are_read_whole_each_run(folder: Path) -> None:
    """In a process of its own: DuckDB prints what other libraries of a test run keep alive at its end."""
    command = [sys.executable, "-c", CSV_SCRIPT, str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    first = [{"Id": 1, "Name": "one"}, {"Id": 2, "Name": "two"}]
    assert done.stdout.splitlines() == [f"('Id',) absent {first}", "[(1, 'uno'), (3, 'three')]"], done.stderr


def test_jsonl_with_a_field_that_appears_late_is_read_whole_by_the_next_run_loud(folder: Path, tmp_path: Path) -> None:
    from dlt.sources.filesystem import filesystem, read_jsonl

    def make() -> Any:
        return (filesystem(str(folder), file_glob="*.jsonl") | read_jsonl()).with_name("rows")

    (folder / "a.jsonl").write_text(json.dumps({"id": 1, "nothing": None}) + "\n")
    assert rows_of(source(make, tmp_path), "rows", None) == [{"id": 1}]
    (folder / "b.jsonl").write_text(json.dumps({"id": 2, "late": {"deep": [1]}, "nothing": 1.5}) + "\n")
    first = source(make, tmp_path)
    schema = described(first, "rows")
    assert schema.left_out.keys() == {"nothing"}
    extraction = first.plan(schema, Window(None, NOW))
    list(extraction.slices(None, lambda _: None))
    assert "late, nothing" in " ".join(extraction.warnings)
    extraction.close("landed")
    second = source(make, tmp_path)
    assert described(second, "rows").columns == pa.schema(
        [("id", pa.int64()), ("nothing", pa.float64()), ("late", pa.string())]
    )
    assert {"id": 2, "nothing": 1.5, "late": '{"deep":[1]}'} in rows_of(second, "rows", None)


def test_the_listing_of_files_is_a_stream_with_windows_on_their_modification(folder: Path, tmp_path: Path) -> None:
    import dlt
    from dlt.sources.filesystem import filesystem

    for number, name in enumerate(["old.txt", "new.txt"]):
        (folder / name).write_text(name)
        stamp = (NOW - timedelta(days=2 - number)).timestamp()
        os.utime(folder / name, (stamp, stamp))
    resource = filesystem(str(folder), incremental=dlt.sources.incremental("modification_date"))
    connector = source(resource, tmp_path)
    schema = described(connector, "filesystem")
    assert (schema.key, schema.cursor) == (("file_url",), "modification_date")
    assert [row["file_name"] for row in rows_of(connector, "filesystem", NOW - timedelta(days=1))] == ["new.txt"]


def test_a_value_beyond_the_guessed_type_fails_the_run_and_is_read_by_the_next_types_from_source(
    folder: Path, tmp_path: Path
) -> None:
    from dlt.sources.filesystem import filesystem, read_jsonl

    def make() -> Any:
        return (filesystem(str(folder), file_glob="*.jsonl") | read_jsonl()).with_name("rows")

    (folder / "a.jsonl").write_text('{"id": 1, "score": 5, "code": 7}\n')
    described(source(make, tmp_path), "rows")
    rows_of(source(make, tmp_path), "rows", None)
    (folder / "b.jsonl").write_text('{"id": 2, "score": 4.5, "code": "x"}\n')
    with pytest.raises(Transient, match=r"rows\.score, rows\.code.*4\.5 does not fit int64"):
        rows_of(source(make, tmp_path), "rows", None)
    healed = source(make, tmp_path)
    assert described(healed, "rows").columns.field("score").type == pa.decimal128(38, 18)
    assert described(healed, "rows").columns.field("code").type == pa.string()
    assert {(row["score"], row["code"]) for row in rows_of(healed, "rows", None)} == {
        (Decimal(5), "7"),
        (Decimal("4.5"), "x"),
    }
