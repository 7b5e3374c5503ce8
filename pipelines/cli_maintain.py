"""``syncline maintain``: upkeep of the warehouse's tables."""

from __future__ import annotations

import click

from syncline.pipelines.cli_parts import Session, load, pipeline_argument, reporting, show


@click.command()
@pipeline_argument
@reporting
@click.pass_obj
def maintain(session: Session, pipeline: str) -> None:
    """Clear away what changed rows left behind in the tables.

    For a quiet hour: it costs about one reading of them, and changes no row. Snowflake needs none of it.
    """
    from syncline.pipelines.maintain import maintain as look_after

    show(session, "maintenance", look_after(load(pipeline)))
