"""What ``plan`` wants to know of an increment, asked ahead for several streams in one request.

An idle stream costs a fifth of a request: how many rows there are, and then what the delete log says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from syncline.connectors.connector import Json, StreamSchema, Window
from syncline.connectors.salesforce.composite import QUERIES_MAX, address, ask_together
from syncline.connectors.salesforce.soql import count
from syncline.connectors.salesforce.transport import Transport

Seen: TypeAlias = tuple[int, Json]


class Looks:
    """Answers by stream and window, each of which is given out once. ``ask`` from one thread, ``at`` from many."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str | None, Window], Seen] = {}
        self._together = True

    def ask(self, transport: Transport, wanted: Sequence[tuple[StreamSchema, Window, str]]) -> None:
        """Each stream's window, with the address of its delete log. What cannot be asked in this way has no answer."""
        self._answers.clear()
        for first in range(0, len(wanted), QUERIES_MAX):
            if self._together:
                self._ask(transport, wanted[first : first + QUERIES_MAX])

    def at(self, stream: StreamSchema, window: Window) -> Seen | None:
        """Rows, and what the log says where it said anything; ``None`` if nothing is known, or no more."""
        return self._answers.pop((stream.name, stream.where, window), None)

    def _ask(self, transport: Transport, some: Sequence[tuple[StreamSchema, Window, str]]) -> None:
        query = transport.data_path("queryAll")
        addresses = [
            each for stream, window, listed in some for each in (address(query, {"q": count(stream, window)}), listed)
        ]
        names = ", ".join(stream.name for stream, _, _ in some)
        answers = ask_together(transport, "count rows and read deletes", names, addresses)
        self._together = answers is not None
        for (stream, window, _), counted, told in zip(some, (answers or [])[::2], (answers or [])[1::2], strict=False):
            if counted is not None:
                self._answers[stream.name, stream.where, window] = int(counted["totalSize"]), told
