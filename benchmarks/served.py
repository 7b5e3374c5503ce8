"""``python -m benchmarks.served``: what a sync sends to a warehouse behind a network, counted on the wire.

One pipeline, as from cron, into a real Postgres and into a stand-in for Snowflake that reads from a bucket: a first
load, an increment, and a run that finds nothing new. Between the program and each server stands a counting proxy. No
clock is looked at: the figures repeat, sizes within a percent, as rows compress by the order in which pages arrive.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.counting_proxy import CountingProxy, Traffic, counting
from benchmarks.practice_org import PracticeOrg, practice_org
from benchmarks.show import machine, write_report

if TYPE_CHECKING:
    from syncline.sinks import Landing
    from syncline.sinks.served import Served

ROWS: Final = 100_000
CHANGES_MAX: Final = 10_000
WIDTH_MIN: Final = 150
LATEST: Final = Path(__file__).parent / "out" / "served.json"
PACKAGES: Final = ("syncline", "psycopg", "snowflake-connector-python", "obstore", "fakesnow", "moto")
STREAM: Final = "Account"
PIPELINE: Final = "bench"

HEADS: Final = {
    "rows": "rows", "statements": "statements", "connections": "connections", "round trips": "round_trips",
    "bytes sent": "bytes_sent", "received": "bytes_received", "landing bytes": "landing_bytes", "files": "files",
    "largest": "largest_file_bytes",
}  # fmt: skip
NOTES: Final = """\
* Postgres is a real server without TLS: its figures hold for any, but for the bytes and round trips of TLS.
* Snowflake is fakesnow. The driver, its requests and the statements are the real ones, so statements and bytes sent
  hold, but for TLS. Bytes received are the stand-in's answers. Connections and round trips are the least there can be:
  a real account is asked again for the result of a long statement. They may differ by one between runs, as the
  stand-in answers a sign-out before it has read all of it.
* S3 is moto. The requests are the real ones, without TLS and throttling; it closes a connection after each answer, so
  connections are requests. What Snowflake itself reads from the bucket is not counted: it is the landing's bytes.
"""
"""What the stand-ins cannot say."""


@dataclass(frozen=True, slots=True)
class RunTraffic:
    """What one run sent to one server. Of a bucket ``statements`` is None: it is sent requests."""

    target: str
    run: str
    rows: int
    statements: int | None
    traffic: Traffic
    landing_bytes: int
    files: int
    largest_file_bytes: int

    def to_json(self) -> dict[str, Any]:
        flat = asdict(self)
        return {**flat, **flat.pop("traffic")}


@dataclass(frozen=True, slots=True)
class Target:
    """A warehouse and a landing, opened anew for every run, and the proxies in front of their servers."""

    name: str
    warehouse: Callable[[], Served]
    landing: Callable[[], Landing]
    proxy: CountingProxy
    landing_proxy: CountingProxy | None = None


def measure_served(rows: int, done: Callable[[str], None] = lambda shown: None) -> list[dict[str, Any]]:
    """One row for each server and run, as :class:`RunTraffic` has them; ``done`` is told of each run.

    Raises:
        RuntimeError: a run did not do what it was to.
    """
    found: list[RunTraffic] = []
    changes = min(CHANGES_MAX, rows // 10)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-served-")))
        org = stack.enter_context(practice_org(rows))
        targets = [stack.enter_context(each) for each in (postgres(folder), snowflake(folder))]
        steps: Mapping[str, Callable[[], object]] = {
            "first load": lambda: None,
            "increment": lambda: org.change(changes, "Renamed"),
            "nothing new": lambda: org.advance(120),
        }
        for run, happens in steps.items():
            happens()
            for target in targets:
                found += measure(target, run, org, folder)
                done(f"{target.name}, {run}: {found[-1].rows:,} rows")
    return [each.to_json() for each in found]


def measure(target: Target, run: str, org: PracticeOrg, folder: Path) -> list[RunTraffic]:
    """One run of the pipeline, and what passed meanwhile."""
    from syncline.pipelines import Pipeline, Stream
    from syncline.pipelines.events import Quiet
    from syncline.pipelines.runner import run as sync
    from syncline.state.sqlite import SqliteState

    landing, proxies = target.landing(), [each for each in (target.proxy, target.landing_proxy) if each is not None]
    pipeline = Pipeline(
        PIPELINE,
        source=source(org),
        streams=[Stream(STREAM)],
        landing=landing,
        warehouse=target.warehouse(),
        state=SqliteState(folder / f"{target.name}.db"),
    )
    before = [proxy.traffic() for proxy in proxies]
    report = sync(pipeline, events=Quiet())
    target.proxy.settle()
    passed = [proxy.traffic() - then for proxy, then in zip(proxies, before, strict=True)]
    stream = report.streams[STREAM]
    if (report.status, stream.landed == 0) not in {("done", False), ("idle", True)}:
        raise RuntimeError(f"{target.name}, {run}: {report.status}, {stream.landed} rows: {report.error}")
    manifest = landing.find(PIPELINE, STREAM, report.run_id)
    sizes = [file.size_bytes for file in manifest.files] if manifest else []
    first = RunTraffic(
        target.name, run, stream.landed, report.warehouse_statements, passed[0],
        landing_bytes=sum(sizes), files=len(sizes), largest_file_bytes=max(sizes, default=0),
    )  # fmt: skip
    others = [replace(first, target=f"{target.name}'s bucket", statements=None, traffic=each) for each in passed[1:]]
    return [first, *others]


def source(org: PracticeOrg) -> Any:
    from syncline.connectors import Salesforce

    _, url, _, client_id, _, client_secret = org.flags()
    environ = {
        "SALESFORCE_INSTANCE_URL": url,
        "SALESFORCE_CLIENT_ID": client_id,
        "SALESFORCE_CLIENT_SECRET": client_secret,
    }
    return Salesforce.from_env(environ)


@contextmanager
def postgres(folder: Path) -> Iterator[Target]:
    """A real server; the landing is a folder, as COPY sends the rows themselves."""
    from syncline.sinks import Landing, Postgres
    from tests.servers.postgres import PgServer

    server = PgServer()
    server.start()
    try:
        with server.database("bench") as address, counting(address.host, address.port) as proxy:
            url = replace(address, port=proxy.port).dsn
            yield Target("Postgres", lambda: Postgres(url), lambda: Landing(str(folder / "landing")), proxy)
    finally:
        server.stop()


@contextmanager
def snowflake(folder: Path) -> Iterator[Target]:
    """The stand-in with a bucket that it reads from; the program reaches both through proxies."""
    from urllib.parse import urlsplit

    import boto3

    from syncline.sinks import Landing, Snowflake
    from tests.servers.snowflake_fixtures import S3_KEY, S3_SECRET, running_snowflake

    with ExitStack() as stack:
        server = stack.enter_context(running_snowflake())
        endpoint = urlsplit(server.s3_endpoint)
        proxy = stack.enter_context(counting("127.0.0.1", server.port))
        bucket_proxy = stack.enter_context(counting(endpoint.hostname or "", endpoint.port or 0))
        variables = {**server.variables, "SNOWFLAKE_HOST": f"http://127.0.0.1:{proxy.port}"}
        given = {"database": server.database(), "schema": "CRM", "storage_integration": "LANDING"}
        keys = {"aws_access_key_id": S3_KEY, "aws_secret_access_key": S3_SECRET}
        client = boto3.client("s3", endpoint_url=server.s3_endpoint, region_name="us-east-1", **keys)
        client.create_bucket(Bucket="bench")
        client.close()

        def landing() -> Landing:
            shown = f"http://127.0.0.1:{bucket_proxy.port}"
            return Landing("s3://bench/landing", endpoint=shown, access_key_id=S3_KEY, secret_access_key=S3_SECRET)

        yield Target("Snowflake", lambda: Snowflake.from_env(variables, **given), landing, proxy, bucket_proxy)


def table_of(runs: list[dict[str, Any]]) -> Table:
    table = Table(title="Served warehouses", title_justify="left")
    for name in ("target", "run"):
        table.add_column(name, no_wrap=True)
    for head in HEADS:
        table.add_column(head, justify="right")
    for each in runs:
        cells = (each[figure] for figure in HEADS.values())
        table.add_row(each["target"], each["run"], *("" if cell is None else f"{cell:,}" for cell in cells))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.served", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="Accounts in the org (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=LATEST, help="where to write the report (default: %(default)s)")
    asked = parser.parse_args()
    console, before = Console(highlight=False), machine()
    console.width = max(console.width, WIDTH_MIN)
    runs = measure_served(asked.rows, lambda shown: console.print(shown, style="dim"))
    console.print(table_of(runs))
    console.print(NOTES)
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "benchmarks.served", *sys.argv[1:]],
        "machine": before,
        "versions": {name: version(name) for name in PACKAGES},
        "rows": asked.rows,
        "runs": runs,
        "notes": NOTES.splitlines(),
    }
    write_report(asked.json, report)
    console.print(f"Written to {asked.json}")


if __name__ == "__main__":
    main()
