"""What the control API does to records: seed, insert, update, delete, undelete, merge, purge, re-stamp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from syncline.connectors.sandbox.core import Core
from syncline.connectors.sandbox.data import Recipe, draw_stamps, generate
from syncline.connectors.sandbox.identifiers import Serials, id_texts, serials_of
from syncline.connectors.sandbox.records import Touch, Transaction
from syncline.connectors.sandbox.store import SEGMENT_ROWS_MAX, Table, deleted_mask
from syncline.connectors.sandbox.values import stored_text

USERS: Final = 40


class Writer:
    """Every method takes effect when its transaction commits: at once, unless told otherwise."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._records = core.records

    def _recipe(self, serials: Serials, stamps: tuple[Serials, Serials, Serials], sizes: Mapping[str, int]) -> Recipe:
        prefixes = {kind.name: kind.key_prefix for kind in self._core.types.values()}
        return Recipe(serials, *stamps, self._core.shuffler, sizes, prefixes)

    def _sizes(self, more: Mapping[str, int]) -> dict[str, int]:
        return {name: table.serial_last + more.get(name, 0) for name, table in self._records.tables.items()}

    def seed(self, rows: Mapping[str, int]) -> None:
        if "User" in self._records.tables and not self._records.table("User").serial_last and "User" not in rows:
            rows = {"User": USERS, **rows}
        sizes = self._sizes(rows)
        for name, count in rows.items():
            table = self._records.table(name)
            serials = self._core.shuffler.permutation(table.allot(count))
            for start in range(0, count, SEGMENT_ROWS_MAX):
                part = serials[start : start + SEGMENT_ROWS_MAX]
                stamps = draw_stamps(part, table.serial_last, self._core.shuffler, self._core.clock.now_ms())
                table.append(part, generate(table.kind, self._recipe(part, stamps, sizes)))

    def insert(
        self,
        name: str,
        values: Mapping[str, object],
        count: int | None,
        fill: bool,
        transaction: Transaction | None,
        visible_after_s: float,
    ) -> list[str]:
        table = self._records.table(name)
        lengths = {len(value) for value in values.values() if isinstance(value, list | tuple)}
        if len(lengths | ({count} if count is not None else set())) > 1:
            raise ValueError(f"the values' lengths differ: {sorted(lengths)}, count {count}")
        rows = count if count is not None else next(iter(lengths), 1)
        serials = table.allot(rows)
        given = self._records.columns_of(table, values, rows)
        now = np.full(rows, self._records.stated_ms(), np.int64)
        if fill:
            columns = generate(table.kind, self._recipe(serials, (now, now, now), self._sizes({})))
        else:
            columns = self._bare(table, serials)
        columns |= given

        self._records.state([(table, serials)], lambda: table.append(serials, columns), transaction, visible_after_s)
        ids: list[str] = id_texts(table.kind.key_prefix, serials).to_pylist()
        return ids

    def _bare(self, table: Table, serials: Serials) -> dict[str, pa.Array]:
        rows = len(serials)
        columns: dict[str, pa.Array] = {"Id": id_texts(table.kind.key_prefix, serials)}
        for field in table.kind.fields.values():
            if field.type == "boolean":
                columns[field.name] = pa.repeat(pa.scalar("false"), rows)
            if field.type == "datetime" and not field.nillable:
                columns[field.name] = pa.repeat(pa.scalar(self._records.stamp()), rows)
        return columns

    def update(
        self,
        name: str,
        ids: Sequence[str],
        values: Mapping[str, object],
        touch: Touch,
        transaction: Transaction | None,
        visible_after_s: float,
    ) -> None:
        table = self._records.table(name)
        serials = self._records.present(table, ids)
        changes = self._records.stamps(table, touch, len(serials))
        changes |= self._records.columns_of(table, values, len(serials))
        self._records.state(
            [(table, serials)], lambda: self._records.revise(table, serials, changes), transaction, visible_after_s
        )

    def restamp(self, name: str, ids: Sequence[str] | None) -> None:
        """SystemModstamp alone moves, for these records or for all."""
        table = self._records.table(name)
        serials = table.everything().serials() if ids is None else self._records.present(table, ids)
        self._records.require_free([(table, serials)])
        self._records.revise(table, serials, self._records.stamps(table, "system", len(serials)))

    def delete(
        self, name: str, ids: Sequence[str], hard: bool, transaction: Transaction | None, visible_after_s: float
    ) -> None:
        table = self._records.table(name)
        serials = self._records.present(table, ids)
        at_ms, stamps = self._records.stated_ms(), self._core.settings.cascade_stamps

        def remove(where: Table, which: Serials, touch: Touch) -> None:
            if hard or "IsDeleted" not in where.kind.fields:
                self._records.erase(where, which, at_ms)
                return
            changes = self._records.stamps(where, touch, len(which))
            changes["IsDeleted"] = pa.repeat(pa.scalar("true"), len(which))
            self._records.bin(where, which, changes, at_ms)

        def step() -> None:
            for child, theirs in self._records.children(table, serials):
                remove(child, theirs, "system" if stamps else "none")
            remove(table, serials, "user")

        written = [(table, serials), *self._records.children(table, serials)]
        self._records.state(written, step, transaction, visible_after_s)

    def undelete(self, name: str, ids: Sequence[str]) -> None:
        """Out of the bin, and with each record the children that went with it."""
        table = self._records.table(name)
        serials = self._records.present(table, ids)
        if not deleted_mask(table.select(table.locate(serials)).column("IsDeleted")).all():
            raise ValueError(f"{name}: only deleted records can be undeleted")
        when = {serial: self._records.logs[name].deleted_ms.get(serial) for serial in serials.tolist()}
        self._restore(table, serials)
        for child_name, field in table.kind.cascades:
            child = self._records.tables.get(child_name)
            if child is None:
                continue
            rows = child.everything()
            log = self._records.logs[child_name].deleted_ms
            parents = serials_of(table.kind.key_prefix, rows.column(field))
            theirs = np.flatnonzero(np.isin(parents, serials))
            pairs = zip(rows.serials()[theirs].tolist(), parents[theirs].tolist(), strict=True)
            back = [child_serial for child_serial, parent in pairs if log.get(child_serial) == when[parent]]
            self._restore(child, np.array(back, np.int64))

    def _restore(self, table: Table, serials: Serials) -> None:
        if not len(serials):
            return
        self._records.require_free([(table, serials)])
        changes = self._records.stamps(table, "user", len(serials))
        changes["IsDeleted"] = pa.repeat(pa.scalar("false"), len(serials))
        self._records.logs[table.kind.name].forget(serials)
        self._records.revise(table, serials, changes)

    def merge(self, name: str, winner: str, losers: Sequence[str]) -> None:
        """The losers are deleted and point to the winner; their children get the winner as parent."""
        table = self._records.table(name)
        serials = self._records.present(table, losers)
        self._records.present(table, [winner])
        self._records.require_free([(table, serials), *self._records.children(table, serials)])
        for child, theirs in self._records.children(table, serials):
            field = next(field for child_name, field in table.kind.cascades if child_name == child.kind.name)
            parent = pa.repeat(pa.scalar(winner), len(theirs))
            self._records.revise(child, theirs, {**self._records.stamps(child, "user", len(theirs)), field: parent})
        changes = self._records.stamps(table, "user", len(serials))
        changes["IsDeleted"] = pa.repeat(pa.scalar("true"), len(serials))
        changes["MasterRecordId"] = pa.repeat(pa.scalar(winner), len(serials))
        self._records.bin(table, serials, changes, self._records.stated_ms())

    def purge(self, name: str, ids: Sequence[str] | None) -> None:
        """Empties the bin early: these deleted records, or all of the object."""
        table = self._records.table(name)
        rows = table.everything()
        serials = rows.serials()[deleted_mask(rows.column("IsDeleted"))]
        if ids is not None:
            serials = self._records.present(table, ids)
        self._records.purge(table, serials)

    def fill_field(self, name: str, field: str, value: object) -> None:
        """Sets one field of every record without touching any stamp."""
        table = self._records.table(name)
        text = pa.scalar(stored_text(table.kind.fields[field], value), pa.string())
        table.replace_column(field, lambda segment: {field: pa.repeat(text, segment.rows)})
