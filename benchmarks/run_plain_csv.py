"""The CSV limit script: Bulk result pages to pyarrow's CSV reader to Parquet to DuckDB, in a straight line.

One page a thread, explicit types, zstd, one insert in one transaction. What it leaves out: retries, resume, checks of
types and keys, deletes, a second run. The landed files are the same kind that Syncline lands. With ``--since`` the
changed rows are deleted by key and inserted instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from benchmarks import account, plain_duckdb
from benchmarks.meter import Meter, tell
from benchmarks.plain_http import PlainOrg
from benchmarks.settings import read_settings

PAGES_AT_ONCE = 2
BLOCK_BYTES = 1 << 20
PARQUET: Final = {"compression": "zstd", "compression_level": 1, "dictionary_pagesize_limit": 65_536}
"""As Syncline has them; pyarrow's defaults take 15 % more CPU, here and when DuckDB reads the files."""


class Blocks:
    """A body as a file. Where two blocks meet between a CR and an LF inside a value, Arrow loses the LF (its issue
    51368), so no block ends with a CR."""

    closed = False

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def read(self, size: int) -> bytes:
        block = self._body[self._at : self._at + size]
        block = block.rstrip(b"\r") or block
        self._at += len(block)
        return block

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def parse_page(body: bytes) -> pa.Table:
    """A result page in Arrow, in the types that the columns have at the source."""
    convert = csv.ConvertOptions(
        column_types=account.arrow_schema(), null_values=[""], strings_can_be_null=True, true_values=["true"],
        false_values=["false"],
    )  # fmt: skip
    parse = csv.ParseOptions(newlines_in_values=True)
    read = csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)
    return csv.read_csv(pa.PythonFile(Blocks(body), mode="r"), read, parse, convert)


def land_page(org: PlainOrg, link: str, path: Path) -> Path:
    table = parse_page(org.get(link))
    pq.write_table(table, path, **PARQUET)
    return path


def read_pages(org: PlainOrg, job: str) -> Iterator[pa.Table]:
    """The pages as they come, a few under way at once; for callers that do their own writing."""
    links = org.result_links(job)
    with ThreadPoolExecutor(PAGES_AT_ONCE) as pool:
        waiting: list[Future[pa.Table]] = []
        for link in links:
            waiting.append(pool.submit(lambda each: parse_page(org.get(each)), link))
            if len(waiting) > PAGES_AT_ONCE:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def main() -> None:
    settings = read_settings(("bulk",))
    plain_duckdb.warm_up()
    meter = Meter()
    org = PlainOrg(settings.access)
    job, announced = org.bulk_query_all(account.soql(settings.since))
    with ThreadPoolExecutor(PAGES_AT_ONCE) as pool:
        links = enumerate(org.result_links(job))
        landed = [pool.submit(land_page, org, link, settings.folder / f"{n}.parquet") for n, link in links]
        files = [each.result() for each in landed]
    load = plain_duckdb.insert if settings.since is None else plain_duckdb.replace_changed
    rows = load(settings.folder / "plain.duckdb", files)
    org.delete(job)
    if rows != announced:
        raise RuntimeError(f"{announced} rows announced, {rows} loaded")
    tell(meter.read(rows, duckdb=plain_duckdb.SETTINGS, pages_at_once=PAGES_AT_ONCE, parquet=PARQUET))


if __name__ == "__main__":
    main()
