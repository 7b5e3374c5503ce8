"""Arithmetic of size, for docs/scale.md: what a very large object and very many pipelines ask of each part.

``python -m benchmarks.scale`` prints the tables of the page, which a test holds against it. Whatever the program itself
decides (requests, statements, state operations) is counted by a test on real runs; what a machine needs is from ``make
bench``; limits and prices are the vendors', by the guides named beside them, and yours may differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, TypeAlias

from syncline.connectors.salesforce.bulk import SLICE_VALUES_MAX
from syncline.connectors.salesforce.cuts import CUTS_MAX

DAY_S: Final = 86_400

# Counted by tests/docs/test_scale_page.py.
IDLE_CALLS_RUN: Final = 1
LOOKED_AT_ONCE: Final = 5
DESCRIBED_AT_ONCE: Final = 25
STATE_CALLS: Final = (7, 1)
BUCKET_READS: Final = (7, 1)
BUCKET_WRITES: Final = (5, 1)
"""Of an idle run: for the run, and for each of its streams."""

# make bench, docs/benchmarks.md; bytes from 20,000 of its Accounts, 25 columns.
CSV_BYTES_ROW: Final = 460
PARQUET_BYTES_ROW: Final = 88
LOAD_CPU_S_MILLION: Final = 8.4
IDLE_CPU_S: Final = 1.0
"""Start of the process to its end; most of it is Python's start and imports."""

# Salesforce: limits and allocations quick reference; Bulk API 2.0 guide, limits.
ORG_REQUESTS_DAY: Final = 100_000
QUERY_RESULT_BYTES_DAY: Final = 10**12
PAGE_ROWS: Final = 50_000
JOBS_DAY: Final = 10_000
QUOTA_SHARE: Final = 0.8
COLUMNS: Final = 25

# S3 user guide, optimizing performance: per second and prefix. Price list, us-east-1, USD for a thousand requests.
S3_WRITES_S: Final = 3_500
S3_READS_S: Final = 5_500
S3_WRITES_USD: Final = 0.005
S3_READS_USD: Final = 0.0004
PART_BYTES: Final = 8 * 2**20

# Snowflake: guide on warehouses. X-Small is one credit an hour, billed for a minute at least after each resume.
RESUME_S_MIN: Final = 60

Row: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class FirstLoad:
    """One object read whole by Bulk API 2.0."""

    rows: int

    @property
    def pages(self) -> int:
        return ceil(self.rows / PAGE_ROWS)

    @property
    def csv_bytes(self) -> int:
        return self.rows * CSV_BYTES_ROW

    @property
    def parquet_bytes(self) -> int:
        return self.rows * PARQUET_BYTES_ROW

    @property
    def slice_rows(self) -> int:
        """Whole pages; a slice lands as one file."""
        return SLICE_VALUES_MAX // COLUMNS // PAGE_ROWS * PAGE_ROWS

    @property
    def slices(self) -> int:
        return ceil(self.rows / self.slice_rows)

    @property
    def days(self) -> float:
        """As many as the org's limits make it, however fast the rest is."""
        requests = self.pages / (ORG_REQUESTS_DAY * QUOTA_SHARE)
        return max(self.csv_bytes / QUERY_RESULT_BYTES_DAY, requests)

    @property
    def cpu_hours(self) -> float:
        return self.rows / 1e6 * LOAD_CPU_S_MILLION / 3600

    def table(self) -> Iterator[Row]:
        share = self.pages / ORG_REQUESTS_DAY
        yield "requests to the org", f"{self.pages:,} pages", f"{share:.0%} of {ORG_REQUESTS_DAY:,} a day"
        yield "query jobs", f"{CUTS_MAX} at most, if none fails", f"{CUTS_MAX / JOBS_DAY:.0%} of {JOBS_DAY:,} a day"
        share = self.csv_bytes / QUERY_RESULT_BYTES_DAY
        yield "query results", f"{self.csv_bytes / 1e9:,.0f} GB of CSV", f"{share:.0%} of 1 TB a day"
        yield "CPU of the run", f"{self.cpu_hours:.1f} h of one core", "divided by workers"
        each = f"{self.slice_rows * PARQUET_BYTES_ROW / 1e6:.0f} MB each, a job's last one less"
        yield (
            "slices",
            f"{self.slices:,} or some more",
            f"{self.slice_rows:,} rows each; as many workers may share them",
        )
        yield "landing", f"{self.parquet_bytes / 1e9:,.0f} GB in as many files", each
        parts = ceil(self.parquet_bytes / PART_BYTES)
        yield "S3 writes", f"{parts:,} parts", f"{parts / S3_WRITES_S:.0f} s at the rate of one prefix"
        yield "statements of COPY", f"{ceil(self.slices / 1_000):,}", "at most 1,000 files each"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Many pipelines, each with an org of its own, run from a scheduler. ``busy`` is the share of runs with rows."""

    pipelines: int
    every_s: int
    streams: int
    busy: float

    @property
    def runs_s(self) -> float:
        return self.pipelines / self.every_s

    @property
    def runs_day(self) -> int:
        """Of one pipeline."""
        return DAY_S // self.every_s

    @property
    def calls_day(self) -> int:
        """Requests to one org, idle."""
        return self.runs_day * idle_calls(self.streams)

    @property
    def cores(self) -> float:
        return self.runs_s * IDLE_CPU_S

    @property
    def bucket_usd_day(self) -> float:
        thousands = self.runs_s * DAY_S / 1_000
        writes, reads = each_run(BUCKET_WRITES, self.streams), each_run(BUCKET_READS, self.streams)
        return thousands * (writes * S3_WRITES_USD + reads * S3_READS_USD)

    @property
    def credits_day_apart(self) -> float:
        """A warehouse of its own for each pipeline: each run with rows resumes it."""
        return self.pipelines * self.runs_day * self.busy * RESUME_S_MIN / 3_600

    def table(self) -> Iterator[Row]:
        yield "runs", f"{self.runs_s:.1f} a second", f"{self.runs_day} a day and pipeline"
        share = self.calls_day / ORG_REQUESTS_DAY
        yield "requests to an org", f"{self.calls_day:,} a day", f"{share:.0%} of {ORG_REQUESTS_DAY:,}"
        yield "CPU of idle runs", f"{self.cores:.0f} cores", "most of it starts Python"
        calls = self.runs_s * each_run(STATE_CALLS, self.streams)
        yield "state in Postgres", f"{calls:,.0f} short transactions a second", "what one server does"
        writes = self.runs_s * each_run(BUCKET_WRITES, self.streams)
        yield "state in a bucket", f"{writes:,.0f} writes a second", f"{writes / S3_WRITES_S:.0%} of one prefix's rate"
        yield "", f"{self.bucket_usd_day:,.0f} USD a day", "at 0.005 and 0.0004 USD for 1,000"
        yield "Snowflake, a warehouse each", f"{self.credits_day_apart:,.0f} credits a day", "a minute for each resume"
        yield "Snowflake, X-Smalls always on", "24 credits a day each", "add one when runs begin to queue"


def each_run(cost: tuple[int, int], streams: int) -> int:
    once, each = cost
    return once + each * streams


def idle_calls(streams: int) -> int:
    """Requests of a run that finds nothing new: the time, the descriptions, and counts with delete logs."""
    describes = streams if streams < 3 else ceil(streams / DESCRIBED_AT_ONCE)
    return IDLE_CALLS_RUN + describes + ceil(streams / LOOKED_AT_ONCE)


BILLION: Final = FirstLoad(10**9)
FLEET: Final = Fleet(pipelines=10_000, every_s=300, streams=10, busy=0.1)


def markdown(head: Row, rows: Iterator[Row]) -> str:
    lines: Sequence[Row] = [head, ("---", "---", "---"), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables() -> list[str]:
    return [
        markdown(("of", "1,000,000,000 rows", "which is"), BILLION.table()),
        markdown(("of", "10,000 pipelines every 5 minutes", "which is"), FLEET.table()),
    ]


if __name__ == "__main__":
    print("\n\n".join(tables()))
