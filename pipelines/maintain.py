"""``syncline maintain``: what the warehouse's tables need now and then, at an hour that suits.

Runs leave it for later: clearing dead rows away costs as much as reading a table, whatever changed in it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from syncline.connectors.errors import ConfigError
from syncline.pipelines.landing_runs import held

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.pipeline import Pipeline
    from syncline.sinks.maintenance import Maintainer


def maintain(pipeline: Pipeline) -> dict[str, Json]:
    """Looks after the targets that the pipeline has written, and its bookkeeping; no row is changed.

    The pipeline's leases are held meanwhile; should it take longer than they live, a run that begins then waits for the
    warehouse, or goes on beside this where the warehouse allows it.

    Raises:
        ConfigError: the warehouse has no upkeep that Syncline knows (``Maintainer``), or a right is missing.
        LeaseHeld: a run or a reload of the pipeline is under way.
    """
    warehouse = pipeline.warehouse
    if not hasattr(warehouse, "maintain"):
        cause = "it has no upkeep that can be asked for (Maintainer)"
        raise ConfigError("maintain tables", repr(warehouse), cause, "look after its tables with its own tools")
    with held(pipeline.state, pipeline.name, dry_run=False):
        try:
            targets = sorted({mark.target for mark in warehouse.watermarks(pipeline.name).values()})
            done = cast("Maintainer", warehouse).maintain(targets)
        finally:
            warehouse.close()
    return {"pipeline": pipeline.name, "warehouse": repr(warehouse), **asdict(done)}
