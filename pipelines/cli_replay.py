"""``syncline replay`` and ``syncline rewind``: the tables from the landing, anew or as they were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncline.pipelines.cli_parts import following_runs, load, pipeline_argument, reporting, show

if TYPE_CHECKING:
    from syncline.pipelines.cli_parts import Session
    from syncline.pipelines.console import LogFormat


@click.command()
@pipeline_argument
@click.option(
    "--into", required=True, metavar="WAREHOUSE", help="duckdb:///file, postgresql://..., or a pipeline file."
)
@click.option("--until", default=None, metavar="RUN", help="As the tables were when this run had committed.")
@click.option("--all-sealed", is_flag=True, help="Do not ask the warehouse which runs committed: it was lost.")
@following_runs
@reporting
@click.pass_obj
def replay(
    session: Session, pipeline: str, into: str, until: str | None, all_sealed: bool, log_format: LogFormat
) -> None:
    """Make the tables anew from the landing.

    For audits, and for moving to another warehouse. The source is not asked.
    """
    from syncline.pipelines.console import following
    from syncline.pipelines.context import Seams
    from syncline.pipelines.replay import replay as play
    from syncline.pipelines.stop import StopSignal
    from syncline.pipelines.warehouse_url import warehouse_of

    found = load(pipeline)
    warehouse = warehouse_of(into, Path.cwd())
    with following(log_format) as events, StopSignal().installed() as stop:
        report = play(found, warehouse, until=until, all_sealed=all_sealed, events=events, stop=stop, seams=Seams())
    show(session, "replay", report)


@click.command()
@pipeline_argument
@click.option("--to", required=True, metavar="RUN", help="As the tables were when this run had committed.")
@click.option("--allow-deletes", is_flag=True, help="Let it take away more than the pipeline's delete_share_max.")
@following_runs
@reporting
@click.pass_obj
def rewind(session: Session, pipeline: str, to: str, allow_deletes: bool, log_format: LogFormat) -> None:
    """Undo what later runs did to the tables.

    Rows and watermarks go back in one transaction, so the next run reads everything since then again.
    """
    from syncline.pipelines.console import following
    from syncline.pipelines.context import Seams
    from syncline.pipelines.rewind import rewind as go_back
    from syncline.pipelines.stop import StopSignal

    found = load(pipeline)
    with following(log_format) as events, StopSignal().installed() as stop:
        report = go_back(found, to=to, allow_deletes=allow_deletes, events=events, stop=stop, seams=Seams())
    show(session, "run", report.to_json())
