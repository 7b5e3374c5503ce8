"""One connection to a warehouse behind a network, as the shared engine sees it.

::

    connect ──▶ run, change, ... ──▶ transaction: BEGIN, statements, COMMIT ──▶ close

A session belongs to one thread. Implementations translate their driver's errors into the one tree
(``connectors/errors.py``) and call the ``count`` they were given before each statement they send.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol


class Session(Protocol):
    """Raises, from any method: ``Transient`` when a new session may succeed; ``ConfigError`` when the user must act."""

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Sends one statement; its rows, none for a statement without a result. Decimals, UTC datetimes, str, int."""
        ...

    def change(self, statement: str) -> tuple[int, ...]:
        """Sends one DML statement; how many rows it changed.

        One number for INSERT, UPDATE and DELETE. For a MERGE, where the warehouse tells them apart, three: inserted,
        updated, deleted (0 for a kind the statement does not have).
        """
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """BEGIN, then COMMIT, or ROLLBACK on any way out but the last line. A failing ROLLBACK never hides the error.

        Raises:
            FenceLost: the warehouse refused because another transaction won; nothing stands.
            CommitUnknown: the reply to COMMIT was lost (KNOWN-OUTCOME). Nothing else may be raised for that.
        """
        ...

    def close(self) -> None:
        """Rolls back what is open and gives the connection back. Idempotent; raises nothing."""
        ...
