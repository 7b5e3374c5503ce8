"""The command as a shell or cron starts it: from its start to its exit."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measure import Measurement, error_in
from benchmarks.meter import Meter, Reading

if TYPE_CHECKING:
    from benchmarks.cases import Bench
    from benchmarks.practice_org import PracticeOrg

HELP_RUNS: Final = 7
CRON_RUNS: Final = 5
CRON_ROWS: Final = 1_000
CRON: Final = "idle run by command"
DAY_S: Final = 86_400
COMMAND: Final = Path(sys.executable).with_name("syncline")

PIPELINE: Final = """\
from syncline.connectors import Salesforce
from syncline.pipelines import Pipeline, Stream

pipeline = Pipeline("crm", source=Salesforce.from_env(), streams=[Stream("Account")])
"""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the command, to its exit; ``told`` is what it wrote to stdout."""

    wall_s: float
    cpu_s: float
    told: str


def help_(bench: Bench) -> None:
    """``syncline --help``: the median of several starts, after one that fills the caches."""
    bench.add(measured("help", [started(["--help"]) for _ in range(1 + HELP_RUNS)][1:]))


def cron(bench: Bench) -> None:
    """``syncline run`` of a pipeline file in a folder of its own, with nothing to do: the median of several starts."""
    org = bench.org(CRON_ROWS)
    folder = bench.folder / "cron"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines" / "crm.py").write_text(PIPELINE)
    environ = environment(org)
    try:
        started(["run", "crm"], folder, environ)
        org.advance(DAY_S)
        runs = [started(["run", "crm", "--json"], folder, environ) for _ in range(1 + CRON_RUNS)][1:]
    except subprocess.CalledProcessError as error:
        cause = error_in(error.stderr) or f"exit code {error.returncode}"
        bench.add(Measurement(CRON, "syncline", None, 0.0, 0.0, cause))
        return
    reports: list[dict[str, Any]] = [json.loads(run.told) for run in runs]
    statuses = sorted({str(report["status"]) for report in reports})
    counts = {name: reports[-1][name] for name in ("api_calls", "warehouse_statements")}
    bench.add(measured(CRON, runs, statuses=statuses, **counts))


def environment(org: PracticeOrg) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if not name.startswith("SALESFORCE_")}
    return {
        **found,
        "SALESFORCE_INSTANCE_URL": org.process.url,
        "SALESFORCE_CLIENT_ID": org.process.client_id,
        "SALESFORCE_CLIENT_SECRET": org.process.client_secret,
    }


def started(arguments: Sequence[str], folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Start:
    """Raises CalledProcessError for any exit code but 0."""
    command = [str(COMMAND), *arguments]
    meter = Meter()
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True)
    read = meter.read(0)
    return Start(read.wall_s, read.cpu_s, done.stdout)


def measured(case: str, starts: Sequence[Start], **detail: Any) -> Measurement:
    """The medians. CPU counts the command's own process alone: what the bench itself does meanwhile is to wait."""
    wall_s = statistics.median(each.wall_s for each in starts)
    cpu_s = statistics.median(each.cpu_s for each in starts)
    walls_s = [round(each.wall_s, 3) for each in starts]
    return Measurement(
        case, "syncline", Reading(0, wall_s, cpu_s, 0.0, 0.0, {"walls_s": walls_s, **detail}), wall_s, 0.0
    )
