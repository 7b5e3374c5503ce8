"""The JSON limit script: REST query pages to pyarrow's JSON reader to Parquet to DuckDB, in one thread.

With ``--since`` it does an incremental instead: the changed rows, deleted by key and inserted. What it leaves out is
what the CSV limit script leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from benchmarks import account, plain_duckdb
from benchmarks.meter import Meter, tell
from benchmarks.plain_http import PlainOrg
from benchmarks.run_plain_csv import PARQUET
from benchmarks.settings import read_settings

ROWS_PER_GROUP = 50_000


class Page(msgspec.Struct):
    """Records stay raw: cutting the page apart is all that this decoder is for (structs cost 1.6 times as much)."""

    records: list[msgspec.Raw]


def batches(org: PlainOrg, soql: str) -> Iterator[pa.Table]:
    """The query's rows as Arrow, about ``ROWS_PER_GROUP`` at a time."""
    decoder = msgspec.json.Decoder(Page)
    tables: list[pa.Table] = []
    for page in org.query_all(soql):
        records = decoder.decode(page).records
        if records:
            tables.append(table_of(b"\n".join(records)))
        if sum(table.num_rows for table in tables) >= ROWS_PER_GROUP:
            yield pa.concat_tables(tables)
            tables = []
    if tables:
        yield pa.concat_tables(tables)


def table_of(lines: bytes) -> pa.Table:
    # Arrow's JSON reader takes dates for numbers, so they come as texts.
    schema = pa.schema(
        [(each.name, pa.string() if pa.types.is_date(each.type) else each.type) for each in account.arrow_schema()]
    )
    read = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    parse = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    return pyarrow.json.read_json(pa.BufferReader(lines), read, parse).cast(account.arrow_schema())


def land(org: PlainOrg, soql: str, path: Path) -> int:
    rows = 0
    with pq.ParquetWriter(path, account.arrow_schema(), **PARQUET) as writer:
        for table in batches(org, soql):
            writer.write_table(table)
            rows += table.num_rows
    return rows


def main() -> None:
    settings = read_settings(("rest",))
    plain_duckdb.warm_up()
    meter = Meter()
    path = settings.folder / "rest.parquet"
    landed = land(PlainOrg(settings.access), account.soql(settings.since), path)
    load = plain_duckdb.insert if settings.since is None else plain_duckdb.replace_changed
    rows = load(settings.folder / "plain.duckdb", [path])
    if rows != landed:
        raise RuntimeError(f"{landed} rows landed, {rows} loaded")
    tell(meter.read(rows, duckdb=plain_duckdb.SETTINGS, rows_per_group=ROWS_PER_GROUP))


if __name__ == "__main__":
    main()
