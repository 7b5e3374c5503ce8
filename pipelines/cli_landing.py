"""``syncline landing``: upkeep of what runs have landed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from syncline.pipelines.cli_parts import Session, following_runs, load, pipeline_argument, print_json, reporting

if TYPE_CHECKING:
    from syncline.pipelines.console import LogFormat


def age(text: str) -> timedelta:
    """A span of time such as ``30d``."""
    from syncline.pipelines.pipeline import parse_duration

    try:
        return parse_duration(text)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is not an age; write it as 30d or 12w") from None


@click.group()
def landing() -> None:
    """Look after the landing.

    Files of runs long committed, and what killed runs left behind.
    """


@landing.command()
@pipeline_argument
@click.option("--older-than", type=age, required=True, metavar="AGE", help="As in 30d; at least 1d.")
@click.option("--beyond-replay", is_flag=True, help="Also what making the tables anew from the landing would need.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@reporting
@click.pass_obj
def expire(session: Session, pipeline: str, older_than: timedelta, beyond_replay: bool, dry_run: bool) -> None:
    """Remove files of old runs that are committed.

    Also the leavings of killed runs. What is unfinished, or not known to be committed, stays, and each stream's newest.
    """
    from syncline.pipelines.expiry import expire as remove

    report = remove(
        load(pipeline), older_than=older_than, now=datetime.now(UTC), dry_run=dry_run, beyond_replay=beyond_replay
    )
    _show(session, "expire", report)


@landing.command()
@pipeline_argument
@click.option("--dry-run", is_flag=True, help="Only show what would be merged.")
@following_runs
@reporting
@click.pass_obj
def compact(session: Session, pipeline: str, dry_run: bool, log_format: LogFormat) -> None:
    """Merge small files of committed runs into large ones.

    Of days that are over; all runs of a day become one. A day later their own files go.
    """
    from syncline.pipelines.compacting import compact as merge
    from syncline.pipelines.console import following

    found = load(pipeline)
    with following(log_format) as events:
        report = merge(found, now=datetime.now(UTC), dry_run=dry_run, events=events)
    _show(session, "compact", report)


@landing.command()
@pipeline_argument
@click.option("--apply", is_flag=True, help="Put them among the bucket's rules; those of others stay.")
@reporting
@click.pass_obj
def lifecycle(session: Session, pipeline: str, apply: bool) -> None:
    """Show the lifecycle rules the bucket should have.

    They abort unfinished uploads and end old versions. None removes landed files by age: S3 does not know which runs
    are committed, `syncline landing expire` does.
    """
    from syncline.pipelines.landing_rules import lifecycle as rules

    _show(session, "lifecycle", rules(load(pipeline), apply=apply))


@landing.command()
@pipeline_argument
@click.option("--database", required=True, metavar="NAME", help="The Glue database; it exists.")
@click.option("--prefix", default="", metavar="TEXT", help="Put before the tables' names.")
@reporting
@click.pass_obj
def register(session: Session, pipeline: str, database: str, prefix: str) -> None:
    """Keep Glue tables in step with the landing.

    So that Athena and Redshift Spectrum can query the Parquet of sealed runs. Only what differs is changed.
    """
    from syncline.pipelines.registering import register as keep

    _show(session, "register", keep(load(pipeline), database=database, prefix=prefix))


def _show(session: Session, kind: str, report: dict[str, object]) -> None:
    if session.as_json:
        print_json(report)
        return
    import sys

    from syncline.pipelines import landing_tables
    from syncline.pipelines.console import console_on

    getattr(landing_tables, f"print_{kind}")(console_on(sys.stdout), report)
