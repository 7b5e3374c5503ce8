"""What ``plan`` wants to know of an increment, asked ahead for several streams in one request.

An idle stream costs a fifth of a request: how many rows there are, and then what the delete log says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from syncline.connectors.connector import Json, StreamSchema, Window
from syncline.connectors.salesforce.composite import QUERIES_MAX, address, ask_together
from syncline.connectors.salesforce.soql import count
from syncline.connectors.salesforce.transport import Transport

Seen: TypeAlias = tuple[int, Json]

ENTRIES_MAX: Final = 2_000
"""Of a delete log that is kept until its stream is planned (BOUNDED); a longer one is asked for again."""
AT_ONCE: Final = 4


class Looks:
    """Answers by stream and window, each of which is given out once. ``ask`` from one thread, ``at`` from many."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str | None, Window], Seen] = {}
        self._together = True

    def ask(self, transport: Transport, wanted: Sequence[tuple[StreamSchema, Window, str]]) -> None:
        """Each stream's window, with the address of its delete log. What cannot be asked in this way has no answer."""
        self._answers.clear()
        parts = [wanted[first : first + QUERIES_MAX] for first in range(0, len(wanted), QUERIES_MAX)]
        if len(parts) < 2:
            for each in parts:
                self._ask(transport, each)
            return
        with transport.seams.pool(AT_ONCE, "syncline-look") as pool:
            for future in [pool.submit(self._ask, transport, each) for each in parts]:
                future.result()

    def at(self, stream: StreamSchema, window: Window) -> Seen | None:
        """Rows, and what the log says where it said anything; ``None`` if nothing is known, or no more."""
        return self._answers.pop((stream.name, stream.where, window), None)

    def _ask(self, transport: Transport, some: Sequence[tuple[StreamSchema, Window, str]]) -> None:
        if not self._together:
            return
        query = transport.data_path("queryAll")
        addresses = [
            each for stream, window, listed in some for each in (address(query, {"q": count(stream, window)}), listed)
        ]
        names = ", ".join(stream.name for stream, _, _ in some)
        answers = ask_together(transport, "count rows and read deletes", names, addresses)
        if answers is None:
            self._together = False
            return
        for (stream, window, _), counted, told in zip(some, answers[::2], answers[1::2], strict=True):
            if counted is not None:
                rows = int(counted["totalSize"])
                # It is believed where no row is read after it.
                kept = rows == 0 and told is not None and len(told["deletedRecords"]) <= ENTRIES_MAX
                self._answers[stream.name, stream.where, window] = rows, told if kept else None
