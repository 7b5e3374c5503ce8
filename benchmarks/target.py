"""A target of any size, made by SQL, and changes to it that are landed and sealed: the merge step without a source.

Keys are made as Salesforce makes Ids: object, instance, a serial in base 62, a checksum (here always the same), 18
characters. They ascend, so that the newest stand together at the table's end. That they are long and begin alike
matters: DuckDB keeps the first 12 bytes of a text's bounds, so that it can tell apart 238,328 Ids and no fewer.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import pyarrow as pa

if TYPE_CHECKING:
    from syncline.sinks import DuckDB, Landing
    from syncline.sinks.manifest import Manifest
    from syncline.sinks.warehouse import RowCounts

Keys: TypeAlias = Literal["spread", "newest"]

NAME: Final = "Account"
PIPELINE: Final = "bench"
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS: Final = pa.schema([
    ("Id", pa.string()), ("Name", pa.string()), ("Email", pa.string()), ("BillingCity", pa.string()),
    ("AnnualRevenue", pa.decimal128(18, 2)), ("NumberOfEmployees", pa.int64()),
    ("CreatedDate", pa.timestamp("us", "UTC")), ("SystemModstamp", pa.timestamp("us", "UTC")),
])  # fmt: skip

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SERIAL: Final = " || ".join(f"substr('{DIGITS}', n // {62**place} % 62 + 1, 1)" for place in range(4, -1, -1))
_ROW: Final = """
    SELECT '0015g00000' || {serial} || 'AAA' AS "Id", 'Account ' || (hash(n) % 1000000)::VARCHAR || {text!r} AS "Name",
      'mail' || n || '@example.org' AS "Email", 'City ' || (hash(n) % 5000)::VARCHAR AS "BillingCity",
      ((hash(n) % 100000000) / 100)::DECIMAL(18,2) AS "AnnualRevenue",
      CASE WHEN n % 10 > 0 THEN (hash(n) % 90000)::BIGINT END AS "NumberOfEmployees",
      make_timestamptz(1500000000000000 + n * 1000000) AS "CreatedDate",
      make_timestamptz({stamp_us}) AS "SystemModstamp"
    FROM (SELECT {first} + range * {step} AS n FROM range({count}))
"""


@dataclass(frozen=True, slots=True)
class Rows:
    """``count`` rows, every ``step``-th one from ``first`` on, as they were in ``version``; version 0 is the first."""

    first: int
    count: int
    step: int = 1
    version: int = 0

    def sql(self) -> str:
        stamp_us = int((START + timedelta(hours=self.version)).timestamp()) * 1_000_000
        text = f", version {self.version}" if self.version else ""
        return _ROW.format(
            serial=_SERIAL, text=text, stamp_us=stamp_us, first=self.first, step=self.step, count=self.count
        )


def changed(target_rows: int, count: int, keys: Keys, version: int = 1) -> Rows:
    """Which rows change: spread over the whole table, other ones in each version, or the newest."""
    if keys == "newest":
        return Rows(target_rows - count, count, 1, version)
    step = target_rows // count
    return Rows(version * 7919 % step, count, step, version)


def make(database: Path, landing: Landing, rows: int) -> None:
    """The target of that many rows, its bookkeeping written by the port; all rows but the first by SQL."""
    import duckdb

    manifest = land(landing, Rows(0, 1), "run-0000")
    warehouse = open_warehouse(database)
    try:
        merge(warehouse, landing, manifest)
    finally:
        warehouse.close()
    with closing(duckdb.connect(str(database))) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # In the order of the keys, for DuckDB preserves the order in which range() gives them.
        connection.execute(f'INSERT INTO "{NAME}" SELECT *, now() FROM ({Rows(1, rows - 1).sql()})')


def land(landing: Landing, rows: Rows, run_id: str) -> Manifest:
    """Lands and seals the rows, as a run does that read them."""
    import duckdb

    from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN, Window
    from syncline.sinks.manifest import Manifest

    with closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        table = connection.sql(rows.sql()).to_arrow_table().cast(COLUMNS)
    marks = [pa.field(DELETED_COLUMN, pa.bool_(), False), pa.field(SEQUENCE_COLUMN, pa.int64(), False)]
    schema = pa.schema([*COLUMNS, *marks])
    numbers = pa.array(range(table.num_rows), pa.int64())
    values = [*table.columns, pa.repeat(pa.scalar(False), table.num_rows), numbers]
    with landing.writer(
        pipeline=PIPELINE, stream=NAME, run_id=run_id, started_at=START, slice_id="s", kind="records", columns=schema
    ) as writer:
        writer.write(pa.Table.from_arrays(values, schema=schema))
    count = rows.count
    manifest = Manifest(
        pipeline=PIPELINE, stream=NAME, run_id=run_id, started_at=START, window=Window(None, _high(rows.version)),
        mode="changes", columns=COLUMNS, key=("Id",), cursor="SystemModstamp", files=writer.files,
        rows_announced=count, rows_read=count, rows_known=0, api="sql", query="",
    )  # fmt: skip
    landing.seal(manifest)
    return manifest


def open_warehouse(database: Path) -> DuckDB:
    from syncline.sinks import DuckDB

    return DuckDB(str(database))


def merge(warehouse: DuckDB, landing: Landing, manifest: Manifest) -> RowCounts:
    """The warehouse's half of a run: watermarks, prepare, load, commit; what became of the rows."""
    from syncline.sinks.warehouse import CommitUnit, Mark, TablePlan

    known = warehouse.watermarks(PIPELINE)
    version, high = known[NAME].version if known else 0, manifest.window.high
    plan = TablePlan(
        pipeline=PIPELINE, stream=NAME, run_id=manifest.run_id, target=NAME, columns=COLUMNS, key=manifest.key,
        cursor=manifest.cursor, on_delete="delete", mode="changes", high=high, must_exist=version > 0,
    )  # fmt: skip
    warehouse.prepare([plan])
    warehouse.load(plan, manifest, landing)
    mark = Mark(NAME, version, high, tuple(COLUMNS.names), NAME, "bench")
    unit = CommitUnit(PIPELINE, manifest.run_id, START, [plan], [mark], {"kind": "run"})
    return warehouse.commit(unit).tables[NAME]


def _high(version: int) -> datetime:
    return START + timedelta(hours=version, minutes=1)
