"""What a warehouse costs, where it can tell: what a run spent, and what the account says was billed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.pipeline import Pipeline

DAYS = 7
"""How far back the account's history is asked."""


@runtime_checkable
class Metered(Protocol):
    """A warehouse that is billed by use."""

    def spent(self) -> Mapping[str, Json]:
        """What this process sent since it was last asked: ``statements``, ``warehouse_s`` (seconds in which the
        warehouse was needed), ``bytes_loaded``, ``credits_estimated``. Connects to nothing."""
        ...

    def costs(self, pipeline: str, days: int) -> Sequence[Mapping[str, Json]]:
        """What the account's history says of the pipeline's statements, by day."""
        ...


def spent(warehouse: object) -> Mapping[str, Json] | None:
    """Since this was last asked; ``None`` for a warehouse that is not billed by use."""
    # The class is asked, not the object: an idle run must not touch the warehouse at all (IDLE-IS-FREE).
    if not issubclass(type(warehouse), Metered):
        return None
    assert isinstance(warehouse, Metered)
    return warehouse.spent()


def cost_of(pipeline: Pipeline, days: int = DAYS) -> dict[str, Json]:
    """The last days of one pipeline; ``by_day`` is ``None`` where the warehouse is not billed by use.

    Raises:
        ConfigError: the account's history may not be read.
    """
    warehouse = pipeline.warehouse
    if not issubclass(type(warehouse), Metered):
        return {"days": days, "by_day": None}
    assert isinstance(warehouse, Metered)
    try:
        return {"days": days, "by_day": [dict(day) for day in warehouse.costs(pipeline.name, days)]}
    finally:
        warehouse.close()
