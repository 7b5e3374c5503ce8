"""What a user writes (``Pipeline``, ``Stream``), the runner and the command.

Names are imported when first used, so that starting the command stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncline.pipelines.pipeline import Pipeline as Pipeline
    from syncline.pipelines.pipeline import Stream as Stream

_HOMES = {"Pipeline": "syncline.pipelines.pipeline", "Stream": "syncline.pipelines.pipeline"}

__all__ = ["Pipeline", "Stream"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
