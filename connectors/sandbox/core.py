"""What every part of the org shares: settings, clock, objects, records, the API quota, and running a statement."""

from __future__ import annotations

import random
from collections import deque
from typing import Final

import numpy as np

from syncline.connectors.sandbox.clock import DAY_MS, Clock
from syncline.connectors.sandbox.filters import View, matches, ordered
from syncline.connectors.sandbox.identifiers import id_text
from syncline.connectors.sandbox.meaning import Meaning, bind
from syncline.connectors.sandbox.records import Records
from syncline.connectors.sandbox.schema import ObjectType, index_of
from syncline.connectors.sandbox.settings import Settings
from syncline.connectors.sandbox.soql import SoqlError, parse
from syncline.connectors.sandbox.store import Positions, Selection, Table

VERSION_LEAST: Final = 31
VERSION_LATEST: Final = 66
RETIRED_FROM: Final = 21
_SHUFFLE_ROWS: Final = 2_048


class Quota:
    """API calls of the last 24 hours, exact to the minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._minutes: deque[list[int]] = deque()
        self._used = 0

    def count(self) -> None:
        minute = self._clock.now_ms() // 60_000
        if self._minutes and self._minutes[-1][0] == minute:
            self._minutes[-1][1] += 1
        else:
            self._minutes.append([minute, 1])
        self._used += 1

    def used(self) -> int:
        horizon = (self._clock.now_ms() - DAY_MS) // 60_000
        while self._minutes and self._minutes[0][0] <= horizon:
            self._used -= self._minutes.popleft()[1]
        return self._used

    def set_used(self, used: int) -> None:
        self._minutes = deque([[self._clock.now_ms() // 60_000, used]])
        self._used = used


class Core:
    """The org's state and the one way a statement is run."""

    def __init__(self, seed: int, clock: Clock, types: list[ObjectType]) -> None:
        self.seed = seed
        self.clock = clock
        self.settings = Settings()
        self.random = random.Random(seed)
        self.shuffler = np.random.default_rng(seed)
        self.types: dict[str, ObjectType] = index_of(types)
        for kind in types:
            kind.changed_ms = clock.now_ms()
        self.records = Records(self.types, clock, self.settings)
        self.quota = Quota(clock)
        self.instance_url = "https://sandbox.my.salesforce.com"
        self.org_id = id_text("00D", seed + 1)
        self.user_id = id_text("005", 1)

    def kind(self, name: str) -> ObjectType | None:
        """The object of that name in any case, unless the user may not see it."""
        found = self.types.get(name.lower())
        return None if found is None or found.hidden else found

    def understand(self, soql: str) -> Meaning:
        """Parses and binds.

        Raises:
            SoqlError: what Salesforce would refuse.
        """
        return bind(parse(soql), self.types)

    def select(self, meaning: Meaning, include_deleted: bool, parity: int | None = None) -> Selection:
        """The rows the statement chooses among the committed versions; shuffled where it asks for no order.

        ``parity`` keeps the records with even or odd serials only.

        Raises:
            SoqlError: QUERY_TIMEOUT, when more rows are touched than the settings allow.
        """
        selection = self._filtered(meaning, include_deleted, parity)
        allowed = self.settings.query_rows_max
        if allowed is not None and selection.rows > allowed:
            raise SoqlError("QUERY_TIMEOUT", "Your query request was running for too long.")
        return self._arranged(meaning, selection)

    def find(self, meaning: Meaning, include_deleted: bool) -> Selection:
        """The same without the limits of the API: for the org's own control methods."""
        return self._arranged(meaning, self._filtered(meaning, include_deleted, None))

    def _arranged(self, meaning: Meaning, selection: Selection) -> Selection:
        selection = Selection(selection.segments, self._shuffled(selection.positions))
        if meaning.query.order:
            selection = Selection(selection.segments, ordered(selection, meaning, self.records.tables))
        start = meaning.query.offset or 0
        end = selection.rows if meaning.query.limit is None else start + meaning.query.limit
        return Selection(selection.segments, selection.positions[start:end])

    def _filtered(self, meaning: Meaning, include_deleted: bool, parity: int | None) -> Selection:
        table = self.records.table(meaning.kind.name)
        unseen = self.records.hidden_from(meaning.kind.name)
        hides_deleted = not include_deleted and "IsDeleted" in meaning.kind.fields
        parts: list[Positions] = []
        for number, segment in enumerate(table.segments):
            if not segment.rows:
                continue
            mask = segment.alive
            if hides_deleted:
                mask = mask & ~segment.deleted()
            if meaning.query.where is not None:
                view = View(self.records.tables, segment)
                mask = mask & matches(meaning.query.where, meaning, view, self.clock.now_ms())
            if len(unseen):
                mask = mask & ~np.isin(segment.serials, unseen)
            if parity is not None:
                mask = mask & (segment.serials % 2 == parity)
            parts.append((number << 32) + np.flatnonzero(mask))
        return table.select(np.concatenate(parts) if parts else np.empty(0, np.int64))

    def _shuffled(self, positions: Positions) -> Positions:
        """Another order at each call: runs of rows change places, few rows one by one, many by the thousand."""
        size = min(_SHUFFLE_ROWS, max(1, len(positions) // 64))
        whole = len(positions) // size * size
        blocks = positions[:whole].reshape(-1, size)
        turned = blocks[self.shuffler.permutation(len(blocks))].ravel()
        return np.concatenate([positions[whole:], turned])

    def parents_of(self, meaning: Meaning) -> dict[str, Table]:
        """The tables its columns reach through references, as they stand now: later changes do not show in them."""
        names = {target.name for column in meaning.columns for _, target in column.steps}
        return {name: self.records.table(name).still() for name in names}

    def latest_covered_ms(self) -> int:
        """Up to when getUpdated and getDeleted tell all: now, or the start of the oldest open transaction."""
        held = self.records.oldest_open_ms()
        return self.clock.now_ms() if held is None else min(held, self.clock.now_ms())
