"""What is remembered between runs outside the warehouse: the port, its values, and where it can live.

Names are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncline.state.memory import MemoryState
    from syncline.state.object_store import ObjectStoreState
    from syncline.state.postgres import PostgresState
    from syncline.state.run_id import new_run_id
    from syncline.state.sqlite import SqliteState
    from syncline.state.store import Lease, Remembered, RunRecord, RunStatus, StateStore

__all__ = [
    "Lease",
    "MemoryState",
    "ObjectStoreState",
    "PostgresState",
    "Remembered",
    "RunRecord",
    "RunStatus",
    "SqliteState",
    "StateStore",
    "new_run_id",
]

_MODULES = {
    "MemoryState": "memory",
    "ObjectStoreState": "object_store",
    "PostgresState": "postgres",
    "SqliteState": "sqlite",
    "new_run_id": "run_id",
}


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'store')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
