"""The same work by Syncline: a whole run, with its lease, landing, manifest, counts, merge and state.

Run again on the same folder it is an incremental, or an idle run.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.meter import Meter, cpu_used_s, tell
from benchmarks.settings import Settings, read_settings

if TYPE_CHECKING:
    from syncline.pipelines import Pipeline

USED_LATE: Final = (
    "duckdb", "sqlglot", "pyarrow.csv", "pyarrow.json", "pyarrow.parquet", "requests", "syncline.connectors.salesforce",
    "syncline.sinks.landing", "syncline.sinks.duckdb", "syncline.sinks.duckdb_commit", "syncline.sinks.staging",
    "syncline.state.sqlite", "syncline.pipelines.runner",
)  # fmt: skip
"""What a run imports when it gets there; imported before the meter starts, as in the other programs."""

LANDING: Final = "landing"
COUNTS: Final = ("read", "known", "inserted", "updated", "unchanged")


def make_pipeline(settings: Settings) -> Pipeline:
    from syncline.connectors import Salesforce
    from syncline.pipelines import Pipeline, Stream
    from syncline.sinks import DuckDB, Landing
    from syncline.state.sqlite import SqliteState

    access = settings.access
    # Worker processes sign in by their own environment, and nobody's other settings are to be among them.
    for name in [each for each in os.environ if each.startswith("SALESFORCE_")]:
        del os.environ[name]
    os.environ.update(
        SALESFORCE_INSTANCE_URL=access.url,
        SALESFORCE_CLIENT_ID=access.client_id,
        SALESFORCE_CLIENT_SECRET=access.client_secret,
    )
    api: Any = settings.api
    return Pipeline(
        "bench",
        source=Salesforce.from_env(api=api),
        streams=[Stream(name) for name in settings.objects],
        executor=settings.executor,
        landing=Landing(str(settings.folder / LANDING)),
        warehouse=DuckDB(str(settings.folder / "bench.duckdb")),
        state=SqliteState(settings.folder / "state.db"),
    )


def landed(folder: Path) -> dict[str, int]:
    """How many data files lie in the landing, and how large they are."""
    sizes = [each.stat().st_size for each in folder.rglob("*.parquet")]
    return {"files": len(sizes), "bytes": sum(sizes), "largest": max(sizes, default=0)}


def main() -> None:
    settings = read_settings(("auto", "bulk", "rest"))
    for name in USED_LATE:
        import_module(name)
    from syncline.pipelines.events import Quiet
    from syncline.pipelines.runner import run

    pipeline = make_pipeline(settings)
    meter = Meter()
    report = run(pipeline, events=Quiet()).to_json()
    streams: list[dict[str, Any]] = list(report["streams"].values())
    counts = {name: sum(each[name] for each in streams) for name in COUNTS}
    process_cpu_s = cpu_used_s()
    reading = meter.read(
        counts["read"] - counts["known"],
        api="/".join(sorted({str(each["api"]) for each in streams})),
        api_calls=report["api_calls"],
        process_cpu_s=process_cpu_s,
        warehouse_statements=report["warehouse_statements"],
        warnings=[warning for each in streams for warning in each["warnings"]],
        **counts,
    )
    reading.detail["landing"] = landed(settings.folder / LANDING)
    tell(reading)


if __name__ == "__main__":
    main()
