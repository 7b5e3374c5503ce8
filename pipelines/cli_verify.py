"""``syncline verify``: the proof, its levels, and mending what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from syncline.connectors.errors import ConfigError
from syncline.pipelines.cli_parts import choosing_streams, following_runs, load, pipeline_argument, reporting, show

if TYPE_CHECKING:
    from syncline.pipelines.console import LogFormat
    from syncline.pipelines.proving import Level


@click.command()
@pipeline_argument
@choosing_streams(required=False)
@click.option(
    "--level",
    type=click.Choice(["counts", "keys", "rows"]),
    default="rows",
    show_default=True,
    help="Count by time, reading keys where counts differ; or compare key and cursor of all rows; or every column.",
)
@click.option(
    "--sample", default=None, metavar="ROWS|SHARE%", help="Every column of so many rows only (500, 5%); keys of all."
)
@click.option("--repair", is_flag=True, help="Read exactly what differs anew and commit it, as a run does.")
@click.option("--allow-deletes", is_flag=True, help="Let the repair delete more than the pipeline's delete_share_max.")
@following_runs
@reporting
@click.pass_context
def verify(
    ctx: click.Context,
    pipeline: str,
    streams: Sequence[str],
    level: Level,
    sample: str | None,
    repair: bool,
    allow_deletes: bool,
    log_format: LogFormat,
) -> None:
    """Prove that the tables equal the source.

    Names what is missing, extra, stale or different; exit code 4 if anything is, and is not mended by --repair.
    """
    from syncline.pipelines.console import following
    from syncline.pipelines.stop import StopSignal
    from syncline.pipelines.verify import Sample
    from syncline.pipelines.verify import verify as prove

    if sample is not None and level != "rows":
        cause, hint = f"level {level} compares no full rows", "leave one of the two out"
        raise ConfigError("read options", "--sample", cause, hint)
    drawn = None if sample is None else Sample.parse(sample)
    found = load(pipeline)
    with following(log_format) as events, StopSignal().installed() as stop:
        report = prove(
            found,
            streams=streams,
            level=level,
            sample=drawn,
            repair=repair,
            allow_deletes=allow_deletes,
            events=events,
            stop=stop,
        )
    show(ctx.obj, "verify", report.to_json())
    ctx.exit(0 if report.equal else 4)
