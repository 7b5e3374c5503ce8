"""Writes: transactions with a statement time and a commit time, soft and hard deletes, the delete log.

A write is stamped when it is stated and becomes visible when its transaction commits; reads see committed versions
only. Records written by an open transaction are locked for others, as rows are in Salesforce.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa

from syncline.connectors.sandbox.clock import DAY_MS, Clock, wire_text
from syncline.connectors.sandbox.identifiers import Serials, serials_of
from syncline.connectors.sandbox.schema import ObjectType
from syncline.connectors.sandbox.settings import Settings
from syncline.connectors.sandbox.store import Positions, Table, deleted_mask
from syncline.connectors.sandbox.values import stored_column

Touch: TypeAlias = Literal["user", "system", "none"]
"""Which stamps a write moves: LastModifiedDate and SystemModstamp, SystemModstamp alone, or neither."""

BIN_MS: Final = 15 * DAY_MS


class Locked(Exception):
    """Another transaction has written one of these records and has not committed (UNABLE_TO_LOCK_ROW)."""


@dataclass(slots=True)
class DeleteLog:
    """What getDeleted tells: the instant at which each record was deleted, and since when the log is whole."""

    starts_ms: int
    deleted_ms: dict[int, int] = field(default_factory=dict)

    def put(self, serials: Serials, at_ms: int) -> None:
        self.deleted_ms.update(dict.fromkeys(serials.tolist(), at_ms))

    def forget(self, serials: Serials) -> None:
        for serial in serials.tolist():
            self.deleted_ms.pop(serial, None)

    def trim(self, before_ms: int) -> None:
        self.starts_ms = max(self.starts_ms, before_ms)
        self.deleted_ms = {serial: at for serial, at in self.deleted_ms.items() if at >= before_ms}


@dataclass(eq=False, slots=True)
class Transaction:
    """Writes that become visible together. ``number`` names it in the control API."""

    number: int
    began_ms: int
    steps: list[Callable[[], None]] = field(default_factory=list)
    locked: set[tuple[str, int]] = field(default_factory=set)


class Records:
    """All tables of the org and the only way to change them."""

    def __init__(self, types: Mapping[str, ObjectType], clock: Clock, settings: Settings) -> None:
        self.clock = clock
        self._settings = settings
        self.types = types
        self.tables: dict[str, Table] = {}
        self.logs: dict[str, DeleteLog] = {}
        self._hidden: dict[str, set[int]] = {}
        self._open: dict[int, Transaction] = {}
        self._begun = 0
        for kind in types.values():
            self.adopt(kind)

    def adopt(self, kind: ObjectType) -> None:
        """Makes room for an object's records."""
        self.tables[kind.name] = Table(kind)
        self.logs[kind.name] = DeleteLog(self.clock.now_ms() - 60 * DAY_MS)

    def table(self, name: str) -> Table:
        if name not in self.tables:
            raise ValueError(f"the org has no object {name!r}")
        return self.tables[name]

    def hide(self, name: str, ids: Sequence[str], hidden: bool) -> None:
        """Takes records out of the user's sight, or gives them back."""
        serials = self.present(self.table(name), ids).tolist()
        held = self._hidden.setdefault(name, set())
        held.update(serials) if hidden else held.difference_update(serials)

    def hidden_from(self, name: str) -> Serials:
        """Serials of the records the user may not see."""
        return np.array(sorted(self._hidden.get(name, ())), np.int64)

    def stated_ms(self) -> int:
        """The instant a statement made now is stamped with."""
        now_ms = self.clock.now_ms()
        return now_ms // 1000 * 1000 if self._settings.whole_seconds else now_ms

    def stamp(self) -> str:
        return wire_text(self.stated_ms())

    # Transactions

    def begin(self) -> Transaction:
        self._begun += 1
        transaction = Transaction(self._begun, self.clock.now_ms())
        self._open[transaction.number] = transaction
        return transaction

    def transaction(self, number: int) -> Transaction:
        return self._open[number]

    def commit(self, transaction: Transaction) -> None:
        del self._open[transaction.number]
        for step in transaction.steps:
            step()

    def roll_back(self, transaction: Transaction) -> None:
        del self._open[transaction.number]

    def oldest_open_ms(self) -> int | None:
        return min((open_.began_ms for open_ in self._open.values()), default=None)

    def state(
        self,
        written: Sequence[tuple[Table, Serials]],
        step: Callable[[], None],
        transaction: Transaction | None,
        visible_after_s: float,
    ) -> None:
        """Does a write now, at a transaction's commit, or some seconds later, with its records locked until then.

        Raises:
            Locked: an open transaction has written one of the records.
        """
        self.require_free(written, transaction)
        if transaction is None and visible_after_s:
            transaction = self.begin()
            own = transaction
            self.clock.at(self.clock.now_ms() + round(visible_after_s * 1000), lambda: self._commit_if_open(own))
        if transaction is None:
            step()
            return
        transaction.steps.append(step)
        transaction.locked |= _keys(written)

    def require_free(self, written: Sequence[tuple[Table, Serials]], transaction: Transaction | None = None) -> None:
        """Nothing else may write a record that an open transaction has written, or its stamps would go back.

        Raises:
            Locked: an open transaction, other than that one, has written one of the records.
        """
        keys = _keys(written) if self._open else set()
        for other in self._open.values():
            if other is not transaction and not other.locked.isdisjoint(keys):
                raise Locked("unable to obtain exclusive access to this record")

    def _commit_if_open(self, transaction: Transaction) -> None:
        if transaction.number in self._open:
            self.commit(transaction)

    # Steps, run at commit time with what was stated before

    def present(self, table: Table, ids: Sequence[str]) -> Serials:
        """The serials of records that exist, deleted ones included.

        Raises:
            ValueError: an Id of no record.
        """
        serials = serials_of(table.kind.key_prefix, pa.array(ids, pa.string()))
        missing = table.locate(serials) < 0
        if missing.any():
            raise ValueError(f"{table.kind.name} has no record {ids[int(np.flatnonzero(missing)[0])]}")
        return serials

    def columns_of(self, table: Table, values: Mapping[str, object], rows: int) -> dict[str, pa.Array]:
        columns = {}
        for name, value in values.items():
            found = table.kind.fields.get(name)
            if found is None or not found.stored:
                raise ValueError(f"{table.kind.name} has no stored field {name!r}")
            columns[name] = stored_column(found, value, rows)
        return columns

    def stamps(self, table: Table, touch: Touch, rows: int) -> dict[str, pa.Array]:
        """The stamp columns a write of that kind sets, where the object has them."""
        moved = {"user": ("LastModifiedDate", "SystemModstamp"), "system": ("SystemModstamp",), "none": ()}[touch]
        constant = pa.repeat(pa.scalar(self.stamp()), rows)
        return {name: constant for name in moved if name in table.kind.fields}

    def revise(self, table: Table, serials: Serials, changes: Mapping[str, pa.Array]) -> None:
        """New versions of the records, the named columns changed; records gone since are left alone."""
        positions = table.locate(serials)
        kept = positions >= 0
        if not kept.all():
            chosen = pa.array(np.flatnonzero(kept))
            serials, positions = serials[kept], positions[kept]
            changes = {name: column.take(chosen) for name, column in changes.items()}
        for start, end in _same_segment_runs(positions):
            # An append may move rows between segments, so each part is located when it is its turn.
            part = table.select(table.locate(serials[start:end]))
            columns = {name: part.column(name) for name in table.kind.fields if table.kind.fields[name].stored}
            columns |= {name: column.slice(start, end - start) for name, column in changes.items()}
            table.append(serials[start:end], columns)

    def erase(self, table: Table, serials: Serials, at_ms: int) -> None:
        """Hard delete: the rows are gone, only the log knows them."""
        table.remove(table.locate(serials))
        self.logs[table.kind.name].put(serials, at_ms)

    def bin(self, table: Table, serials: Serials, changes: Mapping[str, pa.Array], at_ms: int) -> None:
        """Soft delete: flagged, logged, and purged after 15 days unless undeleted."""
        self.revise(table, serials, changes)
        log = self.logs[table.kind.name]
        log.put(serials, at_ms)

        def purge() -> None:
            due = np.array([s for s in serials.tolist() if log.deleted_ms.get(s) == at_ms], np.int64)
            self.purge(table, due)

        self.clock.at(at_ms + BIN_MS, purge)

    def purge(self, table: Table, serials: Serials) -> None:
        """Takes soft-deleted records out of the bin for good; the log keeps them."""
        positions = table.locate(serials)
        present = positions[positions >= 0]
        binned = deleted_mask(table.select(present).column("IsDeleted"))
        table.remove(present[binned])

    def children(self, table: Table, serials: Serials) -> list[tuple[Table, Serials]]:
        """Live records that go with these parents."""
        found = []
        for child_name, name in table.kind.cascades:
            child = self.tables.get(child_name)
            if child is None:
                continue
            rows = child.everything()
            parents = serials_of(table.kind.key_prefix, rows.column(name))
            hit = np.isin(parents, serials) & ~deleted_mask(rows.column("IsDeleted"))
            if hit.any():
                found.append((child, rows.serials()[hit]))
        return found


def _keys(written: Sequence[tuple[Table, Serials]]) -> set[tuple[str, int]]:
    return {(table.kind.name, serial) for table, serials in written for serial in serials.tolist()}


def _same_segment_runs(positions: Positions) -> list[tuple[int, int]]:
    """Cuts large writes where the segment changes, so that whole segments are shared and not copied."""
    if len(positions) < 50_000:
        return [(0, len(positions))] if len(positions) else []
    turns = (np.flatnonzero(np.diff(positions >> 32)) + 1).tolist()
    bounds = [0, *turns, len(positions)]
    if len(turns) > 1_000:
        return [(start, min(start + 65_536, len(positions))) for start in range(0, len(positions), 65_536)]
    return list(pairwise(bounds))
