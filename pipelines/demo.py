"""``syncline demo``: the whole journey against a practice org, and the proof that the copy is true.

The proof does not go through Syncline: the org's own snapshot comes over its control API, the target's rows straight
from the DuckDB file, and Arrow compares them column by column. Where a real org would make one wait (its newest minute
is never read, see COMPLETE-WINDOW), the practice org's clock is moved forward instead.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from syncline.connectors.sandbox import SandboxProcess, start_process
from syncline.pipelines import tables
from syncline.pipelines.console import console_on, following
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.runner import reload, run
from syncline.pipelines.stop import StopSignal

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.console import LogFormat
    from syncline.pipelines.report import RunReport

STREAMS = ("Account", "Contact", "Opportunity")
SEED = 1
SETTLED_S = 120
"""Longer than the connector's settling lag: after that the next run's window covers what happened before."""

Sync = Callable[[], "RunReport"]


def run_demo(rows: int, *, keep: bool, log_format: LogFormat, quiet: bool) -> dict[str, Json]:
    """Runs the journey and returns its reports; ``proved`` is whether the target equals the org in the end.

    Raises:
        SynclineError: a run failed, which it must not.
    """
    console = Console(quiet=True) if quiet else console_on(sys.stdout)
    began_s = time.monotonic()
    with _folder(keep) as folder, StopSignal().installed() as stop:
        console.print(f"A practice Salesforce org with {rows:,} accounts is being made up ...")
        with start_process(rows=rows, seed=SEED) as org:
            journey = Journey(org, folder, console, log_format, stop)
            journey.go(max(rows // 400, 5))
            proof = journey.prove()
        if keep:
            console.print(f"Kept in {folder}: demo.duckdb, landing, state.db")
    idle = journey.reports["idle run"]
    proved = not any(proof.values()) and idle["warehouse_statements"] == 0
    console.print(f"The idle run sent the warehouse {idle['warehouse_statements']} statements.")
    verdict = "Proved: every row of every table equals the org's" if proved else "NOT PROVED: see the differences above"
    console.print(f"{verdict} ({time.monotonic() - began_s:.0f} s in all).", style="green" if proved else "red")
    return {"proved": proved, "differences": proof, "runs": journey.reports}


@dataclass(slots=True)
class Journey:
    """The steps, in order. Every run makes its pipeline anew, as a run from cron would."""

    org: SandboxProcess
    folder: Path
    console: Console
    log_format: LogFormat
    stop: StopSignal
    reports: dict[str, dict[str, Json]] = field(default_factory=dict)

    def go(self, few: int) -> None:
        """``few`` is how many records each kind of change touches."""
        binned = self.ids("Contact", few)
        self.org.control("delete", object="Contact", ids=binned)
        late = self.org.control("begin")
        # Opportunities that nothing below touches: neither a later change nor a whole read may bring them by chance.
        untouched = self.ids("Opportunity", few * 10)[-few:]
        values = {"NextStep": "call back"}
        self.org.control("update", object="Opportunity", ids=untouched, values=values, transaction=late)
        self.org.control("advance", seconds=SETTLED_S)
        self.step("full load", "Everything there is, read in bulk.", self.sync)

        changes = [
            self.commit_late(late, few),
            self.undelete(binned),
            self.insert(few),
            self.update_in_one_second(few * 4),
            self.delete(few),
            self.add_field(few),
        ]
        self.org.control("advance", seconds=SETTLED_S)
        self.step("incremental run", "Meanwhile in the org:\n" + "\n".join(f"  - {c}" for c in changes), self.sync)

        self.org.control("advance", seconds=SETTLED_S)
        self.step("idle run", "Nothing happened since; the overlap is read again and recognised.", self.sync)

        lost = self.delete_without_trace(few)
        self.org.control("advance", seconds=SETTLED_S)
        self.step("reload", f"Then {lost}: only a full reload can see that.", self.reload_contacts)

    def step(self, name: str, text: str, sync: Sync) -> None:
        self.console.print()
        self.console.print(name.capitalize(), style="bold")
        self.console.print(text)
        report = sync().to_json()
        self.reports[name] = report
        tables.print_run(self.console, report)

    def sync(self) -> RunReport:
        with following(self.log_format) as events:
            return run(self.pipeline(), events=events, stop=self.stop)

    def reload_contacts(self) -> RunReport:
        with following(self.log_format) as events:
            return reload(self.pipeline(), streams=["Contact"], events=events, stop=self.stop)

    def pipeline(self) -> Pipeline:
        from syncline.connectors.salesforce import ClientCredentials, Salesforce
        from syncline.connectors.secret import Secret
        from syncline.sinks.duckdb import DuckDB
        from syncline.sinks.landing import Landing
        from syncline.state.sqlite import SqliteState

        return Pipeline(
            "demo",
            source=Salesforce(ClientCredentials(self.org.url, self.org.client_id, Secret(self.org.client_secret))),
            streams=[Stream(name) for name in STREAMS],
            landing=Landing(str(self.folder / "landing")),
            warehouse=DuckDB(str(self.folder / "demo.duckdb")),
            state=SqliteState(self.folder / "state.db"),
        )

    # What happens in the org

    def ids(self, name: str, count: int) -> list[str]:
        found: list[str] = self.org.control("ids", object=name, where="IsDeleted = false", limit=count)
        return found

    def commit_late(self, transaction: Json, count: int) -> str:
        self.org.control("commit", transaction=transaction)
        return f"{count:,} changed opportunities became visible with stamps from before the full load (a late commit)"

    def undelete(self, ids: Sequence[str]) -> str:
        self.org.control("undelete", object="Contact", ids=ids)
        return f"{len(ids):,} contacts came back from the recycle bin"

    def insert(self, count: int) -> str:
        for name in STREAMS:
            self.org.control("insert", object=name, count=count)
        return f"{count:,} new accounts, contacts and opportunities"

    def update_in_one_second(self, count: int) -> str:
        ids = self.ids("Opportunity", count)
        self.org.control("freeze")
        for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
            self.org.control("update", object="Opportunity", ids=half, values={"StageName": "Negotiation/Review"})
        self.org.control("thaw")
        return f"{len(ids):,} opportunities moved to another stage within one second (ties)"

    def delete(self, count: int) -> str:
        self.org.control("delete", object="Account", ids=self.ids("Account", count))
        self.org.control("hard_delete", object="Opportunity", ids=self.ids("Opportunity", count))
        return (
            f"{count:,} accounts went into the recycle bin with their contacts and opportunities, "
            f"{count:,} opportunities were deleted for good"
        )

    def add_field(self, count: int) -> str:
        field = {"name": "Loyalty_Tier__c", "label": "Loyalty Tier", "type": "string", "length": 20}
        self.org.control("add_field", object="Account", field=field, value="standard")
        self.org.control("update", object="Account", ids=self.ids("Account", count), values={"Loyalty_Tier__c": "gold"})
        return "Account got a custom field, Loyalty_Tier__c, with a value in every record"

    def delete_without_trace(self, count: int) -> str:
        self.org.control("hard_delete", object="Contact", ids=self.ids("Contact", count))
        self.org.control("trim_delete_log", object="Contact", before=self.org.control("advance", seconds=1))
        return f"{count:,} contacts were deleted for good and the org forgot that it had them"

    # The proof

    def prove(self) -> dict[str, list[str]]:
        """What differs between the org and the target, by stream; nothing, if all is well."""
        self.console.print()
        self.console.print("Proof: the org's own snapshot against the tables, row by row", style="bold")
        found: dict[str, list[str]] = {}
        for name in STREAMS:
            expected = read_snapshot(self.org.url, name)
            target = read_target(self.folder / "demo.duckdb", name)
            found[name] = differences(expected, target)
            verdict = "; ".join(found[name]) or "equal"
            self.console.print(
                f"  {name}: {expected.num_rows:,} rows x {expected.num_columns} columns: {verdict}",
                style="red" if found[name] else "green",
            )
        return found


def read_snapshot(url: str, name: str) -> pa.Table:
    """What the org holds and shows, deleted records aside, in its own types."""
    import requests

    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(f"{url}/__sandbox__/snapshot", json={"object": name}, timeout=120)
    answer.raise_for_status()
    with pa.ipc.open_stream(answer.content) as reader:
        return reader.read_all()


def read_target(file: Path, table: str) -> pa.Table:
    """The target as DuckDB itself gives it."""
    import duckdb

    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.sql(f'SELECT * FROM "{table}"').to_arrow_table()


def differences(expected: pa.Table, target: pa.Table) -> list[str]:
    """What differs, in words; both are put in order of ``Id`` first. Empty if every value of every row is the same."""
    missing = [name for name in expected.column_names if name not in target.column_names]
    if missing:
        return [f"columns {', '.join(missing)} are missing"]
    if expected.num_rows != target.num_rows:
        return [f"{expected.num_rows:,} rows in the org, {target.num_rows:,} in the table"]
    expected, target = expected.sort_by("Id"), target.sort_by("Id")
    found = []
    for name in expected.column_names:
        count = _unequal(expected[name], target[name])
        if count:
            found.append(f"{name} differs in {count:,} rows")
    return found


def _unequal(expected: pa.ChunkedArray, target: pa.ChunkedArray) -> int:
    """How many values differ; two nulls are equal. The cast is exact or fails, so it hides nothing."""
    target = target.cast(expected.type)
    same = pc.fill_null(pc.equal(expected, target), False)
    both_null = pc.and_(pc.is_null(expected), pc.is_null(target))
    count: int = len(expected) - (pc.sum(pc.or_(same, both_null)).as_py() or 0)
    return count


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    made = (
        nullcontext(tempfile.mkdtemp(prefix="syncline-demo-"))
        if keep
        else tempfile.TemporaryDirectory(prefix="syncline-demo-")
    )
    with made as folder:
        yield Path(folder)
