"""Whether a target is still a table that can be worked with, or was altered by somebody beyond that.

What another program did to the rows is a difference, which a proof names and a repair mends; what it did to the table
itself may leave nothing to compare. Then it is said what to do, instead of an error from the middle of a statement.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

import pyarrow as pa

from syncline.connectors.errors import ConfigError
from syncline.sinks import lattice
from syncline.sinks.dialect import Dialect, Place, fill, text
from syncline.sinks.targets import Layout
from syncline.sinks.warehouse import DELETED_AT_COLUMN, SYNCED_AT_COLUMN, TablePlan

OPERATION = "compare target"


def missing(plan: TablePlan) -> ConfigError:
    return ConfigError("find target", plan.target, "there is no such table, though it was synced before", _anew(plan))


def check_fit(plan: TablePlan, layout: Layout, dialect: Dialect) -> None:
    """Raises ConfigError where rows of the target cannot be told, or not be put in time, any more."""
    if SYNCED_AT_COLUMN not in layout.names:
        cause = f"somebody dropped its column {SYNCED_AT_COLUMN}, without which a run takes it for another's table"
        raise ConfigError(OPERATION, plan.target, cause, f"drop the table; {_anew(plan)}")
    for own, type in _instants(plan, layout, dialect):
        shown = layout.types[own]
        held = dialect.arrow_type(shown)
        if held is not None and lattice.join(held, type) == type:
            continue
        hint = f"give it its type back, or drop the table; {_anew(plan)}"
        if own not in (SYNCED_AT_COLUMN, DELETED_AT_COLUMN):
            hint = "rename or drop the column; then `syncline verify --repair` fills it anew"
        cause = f"somebody changed its type: {shown} does not hold instants of type {type}"
        raise ConfigError(OPERATION, f"{plan.target}.{own}", cause, hint)


def _instants(plan: TablePlan, layout: Layout, dialect: Dialect) -> Iterator[tuple[str, pa.DataType]]:
    """The columns that rows are put in time by, as the target spells them, and their types."""
    wanted = {SYNCED_AT_COLUMN: lattice.UTC_TIMESTAMP, DELETED_AT_COLUMN: lattice.UTC_TIMESTAMP}
    if plan.cursor and (type := lattice.canonical(plan.columns.field(plan.cursor).type)) is not None:
        wanted[plan.cursor] = type
    for name, type in wanted.items():
        if (own := layout.find(name, dialect)) is not None:
            yield own, type


def select_views(place: Place, dialect: Dialect) -> str:
    """The names of the schema's views."""
    query = fill(
        "SELECT table_name FROM information_schema.tables WHERE table_catalog = :catalog AND table_schema = :schema"
        " AND table_type = 'VIEW' ORDER BY table_name",
        catalog=text(place.catalog),
        schema=text(place.schema),
    )
    return dialect.render(query)


def check_table(plan: TablePlan, views: Container[str], dialect: Dialect) -> None:
    """Raises ConfigError for a target that is a view: its rows have no addresses, and are another table's."""
    if dialect.fold(plan.target) in views:
        cause = "a view has the target's name, and Syncline writes tables of its own"
        raise ConfigError("find target", plan.target, cause, f"rename or drop the view; {_anew(plan)}")


def _anew(plan: TablePlan) -> str:
    return f"`syncline reload --stream {plan.stream}` makes the table anew"
