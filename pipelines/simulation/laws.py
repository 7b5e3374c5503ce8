"""What must hold at every moment: the laws as a reader of the warehouse can check them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from syncline.connectors.errors import SynclineError
from syncline.pipelines.simulation.houses import Committed, Mark
from syncline.pipelines.simulation.process import LawBroken, Process
from syncline.pipelines.simulation.source import Row, Source
from syncline.sinks.warehouse import DELETE_GUARD_ROWS_MIN, DELETED_AT_COLUMN, SYNCED_AT_COLUMN
from syncline.state.lease import Claim

OWN_COLUMNS = frozenset({SYNCED_AT_COLUMN, DELETED_AT_COLUMN})

DROPPED = "Extra"
"""How the names of fields begin that a source may drop again."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)

SKEW_MAX = timedelta(seconds=32)
"""How far the source's clock may have seemed ahead when a horizon was asked for, with its cut to whole seconds."""


@dataclass(slots=True)
class Book:
    """The reader that looks after every commit and compares with what stood before."""

    source: Source
    delete_share_max: float
    seen: Committed = field(default_factory=Committed)

    def look(self, found: Committed, process: Process, allow_deletes: bool) -> bool:
        """Holds a new state against the one before; whether a commit happened."""
        before, self.seen = self.seen, found
        moved = [stream for stream, mark in found.marks.items() if mark != before.marks.get(stream)]
        self._check_rows_stand(before, found, moved)
        if not moved:
            return False
        self._check_marks(before, found, moved, process)
        for stream in moved:
            old, new = before.rows.get(stream, {}), found.rows.get(stream, {})
            self._check_newest(stream, old, new)
            if not allow_deletes:
                self._check_guard(stream, old, new)
            self.check_claim(stream, found.marks[stream], found.rows.get(stream, {}), "ROWS-THEN-MARK")
        return True

    def _check_rows_stand(self, before: Committed, found: Committed, moved: list[str]) -> None:
        for stream, rows in before.rows.items():
            if stream in moved:
                continue
            now = found.rows.get(stream, {})
            for key in rows.keys() | now.keys():
                old, new = rows.get(key), now.get(key)
                if old is None or new is None or any(old[name] != new[name] for name in old.keys() & new.keys()):
                    what = f"{stream} {key} changed without its watermark: expected {old}, found {new}"
                    raise LawBroken("ONE-TRANSACTION", what)

    def _check_marks(self, before: Committed, found: Committed, moved: list[str], process: Process) -> None:
        runs = {found.marks[stream].run_id for stream in moved}
        if len(runs) > 1:
            raise LawBroken("ONE-TRANSACTION", f"one commit shows the runs {sorted(runs)}")
        for stream in moved:
            old, new = before.marks.get(stream, Mark(None, 0, "", ())), found.marks[stream]
            if new.version != old.version + 1:
                raise LawBroken("FENCED-COMMIT", f"{stream} went from version {old.version} to {new.version}")
            if process.kind == "run" and old.watermark and new.watermark and new.watermark < old.watermark:
                raise LawBroken("COMPLETE-WINDOW", f"{stream} went back from {old.watermark} to {new.watermark}")
        if process.kind == "run":
            reached = max(found.marks[stream].watermark or LONG_AGO for stream in moved)
            for each in self.source.streams:
                mark = found.marks.get(each.name)
                if mark is None or mark.watermark is None or mark.watermark < reached:
                    what = f"{moved} stand at {reached}, {each.name} at {mark and mark.watermark}"
                    raise LawBroken("ONE-TRANSACTION", what)

    def _check_newest(self, stream: str, old: Mapping[str, Row], new: Mapping[str, Row]) -> None:
        cursor = self.source.cursor
        for key in old.keys() & new.keys():
            if new[key][cursor] < old[key][cursor]:
                what = f"{stream} {key} went back from {old[key][cursor]} to {new[key][cursor]}"
                raise LawBroken("NEWEST-WINS", what)

    def _check_guard(self, stream: str, old: Mapping[str, Row], new: Mapping[str, Row]) -> None:
        lost = old.keys() - new.keys()
        if len(lost) > max(DELETE_GUARD_ROWS_MIN, self.delete_share_max * len(old)):
            raise LawBroken("GUARDED-DELETE", f"{len(lost)} of {len(old)} rows of {stream} were deleted by one commit")

    def check_claim(self, stream: str, mark: Mark, rows: Mapping[str, Row], law: str) -> None:
        """Everything that was visible when the window was read, and whose stamp lies below the watermark, is there."""
        if mark.watermark is None:
            return
        seen_until = mark.watermark + self.source.lag - SKEW_MAX
        columns = {*mark.columns, self.source.key}

        def claimed(stamp: datetime) -> bool:
            assert mark.watermark is not None
            return stamp < mark.watermark and self.source.visible_at(stamp) <= seen_until

        truth = self.source.truth(stream)
        for key, row in truth.items():
            if claimed(row[self.source.cursor]):
                require_equal(law, stream, key, row, rows.get(key), columns)
        for key, at in self.source.gone(stream).items():
            if key in rows and key not in truth and claimed(at):
                raise LawBroken(law, f"{stream} {key} was deleted at {at}, expected nothing, found {rows[key]}")

    def check_equal(self, found: Committed) -> None:
        """target = org, whole: rows, and the columns with their types."""
        for stream in self.source.streams:
            truth, rows = self.source.truth(stream.name), found.rows.get(stream.target, {})
            for key in truth.keys() | rows.keys():
                if key not in truth:
                    raise LawBroken("target = org", f"{stream.name} {key}: expected nothing, found {rows[key]}")
                require_equal("target = org", stream.name, key, truth[key], rows.get(key), set(truth[key]))
            require_columns(stream.name, self.source.columns(stream.name), found.types.get(stream.target, {}))


def require_columns(stream: str, wanted: pa.Schema, found: Mapping[str, pa.DataType]) -> None:
    """Each column of the source in its own type, and none that stems from it otherwise; one that the source has dropped
    stays, and its name begins with ``DROPPED``."""
    for name in wanted.names:
        if found.get(name) != wanted.field(name).type:
            what = f"{stream}, column {name}: expected {wanted.field(name).type}, found {found.get(name)}"
            raise LawBroken("TYPES-FROM-SOURCE", what)
    for name in found.keys() - OWN_COLUMNS - set(wanted.names):
        if any(name.startswith(each) for each in wanted.names):
            raise LawBroken("TYPES-FROM-SOURCE", f"{stream}, column {name}: a column of the source has forked")
        if not name.startswith(DROPPED):
            raise LawBroken("EXACT-NAMES", f"{stream} has a column {name}, the source has {wanted.names}")


def require_equal(law: str, stream: str, key: str, wanted: Row, found: Row | None, columns: set[str]) -> None:
    """Raises LawBroken with key, column, expected and found."""
    if found is None:
        raise LawBroken(law, f"{stream} {key}: expected {dict(wanted)}, found no such row")
    for name in sorted(columns & wanted.keys()):
        where = f"{stream} {key}, column {name}: expected {wanted[name]!r}"
        if name not in found:
            otherwise = [each for each in found if _plain(each) == _plain(name) and each not in wanted]
            if otherwise:
                raise LawBroken("EXACT-NAMES", f"{where}, found it spelled {otherwise}")
            raise LawBroken(law, f"{where}, found no such column")
        if wanted[name] is not None and found[name] is not None and type(wanted[name]) is not type(found[name]):
            raise LawBroken("TYPES-FROM-SOURCE", f"{where}, found {found[name]!r}")
        if wanted[name] != found[name]:
            raise LawBroken(law, f"{where}, found {found[name]!r}")


def require_given_back(claim: Claim | None) -> Claim | None:
    if claim is not None and not claim.spent:
        raise LawBroken("nothing outlives the next run", f"the lease {claim}")
    return claim


def require_loud(error: SynclineError) -> None:
    """Whatever ends a run says what failed, on what, why, and what to do about it."""
    for name in ("operation", "object", "cause", "hint"):
        if not getattr(error, name):
            raise LawBroken("LOUD", f"an error without {name}: {error!r}")


def _plain(name: str) -> str:
    """What is left of a name where its spelling is not kept."""
    return name.replace("_", "").lower()
