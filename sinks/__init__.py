"""Where records go: the landing, the warehouses, and the port between them and the runner.

Names are loaded when first used, so that importing this package imports no database and no Arrow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncline.sinks.duckdb import DuckDB
    from syncline.sinks.landing import Landing
    from syncline.sinks.manifest import FileEntry, Manifest
    from syncline.sinks.memory import Memory
    from syncline.sinks.postgres import Postgres
    from syncline.sinks.redshift import Redshift
    from syncline.sinks.snowflake import Snowflake
    from syncline.sinks.warehouse import (
        Capabilities,
        CommitCounts,
        CommitUnit,
        Comparer,
        Comparison,
        Difference,
        Mark,
        RowCounts,
        TablePlan,
        Warehouse,
        Watermark,
    )

__all__ = [
    "Capabilities",
    "CommitCounts",
    "CommitUnit",
    "Comparer",
    "Comparison",
    "Difference",
    "DuckDB",
    "FileEntry",
    "Landing",
    "Manifest",
    "Mark",
    "Memory",
    "Postgres",
    "Redshift",
    "RowCounts",
    "Snowflake",
    "TablePlan",
    "Warehouse",
    "Watermark",
]

_HOMES = {
    "DuckDB": "duckdb",
    "FileEntry": "manifest",
    "Landing": "landing",
    "Manifest": "manifest",
    "Memory": "memory",
    "Postgres": "postgres",
    "Redshift": "redshift",
    "Snowflake": "snowflake",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'warehouse')}"), name)


def __dir__() -> list[str]:
    return __all__
