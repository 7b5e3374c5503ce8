"""What a warehouse's tables need now and then, and runs leave for later: ``syncline maintain``.

A commit replaces the rows it changes. Where the warehouse keeps the replaced ones until they are cleared away, clearing
costs as much as reading the tables, so that it is not done in a run (DuckDB: only once a large share is dead).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TableUpkeep:
    """A table and its dead rows: replaced or deleted, and still kept. ``None`` where the warehouse does not tell."""

    table: str
    dead_before: int | None
    dead_after: int | None


@dataclass(frozen=True, slots=True)
class Maintenance:
    """``cares_itself`` is a warehouse that does all this by itself, so that nothing was sent.

    ``file_bytes`` is the whole database's size where it is one file, ``free_bytes`` what of that later commits fill.
    """

    tables: tuple[TableUpkeep, ...] = ()
    cares_itself: bool = False
    file_bytes: int | None = None
    free_bytes: int | None = None


class Maintainer(Protocol):
    """A warehouse whose tables may need looking after. Rows, watermarks and grants stay as they were."""

    def maintain(self, targets: Sequence[str]) -> Maintenance:
        """Clears away dead rows of these targets and of the bookkeeping, and renews what the planner knows of them.

        Repeatable; when it ends in between, a part is done. A target that is not there is passed over.
        """
        ...
