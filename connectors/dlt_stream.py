"""A dlt resource as a stream: what its hints declare, completed by what was learned from its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.bounds import Bounds, limit_of
from syncline.connectors.connector import StreamSchema, Window
from syncline.connectors.dlt_resource import Hints
from syncline.connectors.errors import ConfigError
from syncline.connectors.infer import Notes
from syncline.connectors.values import INSTANT, JSON

if TYPE_CHECKING:
    from dlt.extract import DltResource

NOT_SEEN_YET = "no row has had a value yet; it is read once one has"


@dataclass(frozen=True, slots=True)
class DltStream:
    """A described stream with what is needed to read it. ``types`` also holds the fields not read yet, as null.

    The types of ``declared`` columns never change, nor does the cursor's.
    """

    resource: DltResource
    hints: Hints
    schema: StreamSchema
    types: Mapping[str, pa.DataType]
    declared: frozenset[str]
    cursor_example: object
    cursor_naive: bool

    def bounds(self, stream: StreamSchema, window: Window) -> Bounds | None:
        """The window for the resource's own incremental; ``None`` when it is read whole and filtered afterwards."""
        incremental = self.hints.incremental
        if incremental is None or stream.cursor is None or stream.cursor != self.hints.cursor:
            return None
        return Bounds(window, self.cursor_example, self.cursor_naive, incremental.initial_value, incremental.end_value)

    def deletions(self, table: pa.Table) -> pa.Array | pa.ChunkedArray:
        """Which rows say that their record was deleted (dlt documentation, "Merge loading", delete records)."""
        if self.hints.deleted_column is None:
            return pa.repeat(pa.scalar(False), len(table))
        flags = table[self.hints.deleted_column]
        return pc.fill_null(flags, False) if pa.types.is_boolean(flags.type) else pc.is_valid(flags)


def dlt_stream(resource: DltResource, hints: Hints, notes: Notes, *, sampled: bool) -> DltStream:
    """Declared types win over learned ones; the order is that of the rows unless every column is declared.

    ``sampled`` says that the learned ones are new, which the report must tell.

    Raises:
        ConfigError: nothing is known about the columns, or about the key.
    """
    declared = {name: type for name, type in hints.columns.items() if type is not None}
    for name in {*hints.key, *([hints.cursor] if hints.cursor else [])}:
        if declared.get(name) == JSON:
            declared[name] = pa.string()  # what tells rows apart has one text
    types = {**notes.columns, **declared}
    if len(types) == len(declared):
        types = declared.copy()
    warnings = list(hints.warnings)
    cursor = _cursor(hints, types, warnings)
    naive = cursor is not None and types[cursor] != INSTANT
    if cursor is not None:
        types[cursor] = INSTANT
    known = {name: type for name, type in types.items() if type != pa.null()}
    _require_columns(resource.name, hints, known)
    guessed = [f"{name} {type}" for name, type in known.items() if name not in declared and name != cursor]
    if sampled and guessed:
        warnings.append(f"{resource.name} declares no types for some columns, guessed: {', '.join(guessed)}")
    schema = StreamSchema(
        resource.name,
        pa.schema(list(known.items())),
        hints.key,
        cursor,
        tuple(dict.fromkeys([*([cursor] if cursor else []), *(name for name in known if known[name] == INSTANT)])),
        "none" if hints.limited else "flagged" if hints.deleted_column else "absent",
        {name: NOT_SEEN_YET for name, type in types.items() if type == pa.null()},
        warnings=tuple(warnings),
    )
    example = hints.initial_value if isinstance(hints.initial_value, str) else notes.cursor_example
    fixed = frozenset({*declared, *([cursor] if cursor else [])})
    return DltStream(resource, hints, schema, types, fixed, example, naive)


def sampling_bounds(hints: Hints, high: datetime) -> Bounds | None:
    """Everything from the source's own start, for a look at some rows; ``None`` where that start is no instant."""
    incremental = hints.incremental
    if incremental is None or limit_of(incremental.initial_value) is None:
        return None
    naive = isinstance(incremental.initial_value, datetime) and incremental.initial_value.tzinfo is None
    window = Window(None, high)
    return Bounds(window, incremental.initial_value, naive, incremental.initial_value, incremental.end_value)


def _cursor(hints: Hints, types: Mapping[str, pa.DataType], warnings: list[str]) -> str | None:
    """The incremental's column where it holds instants. Dates and counters would lose rows of the same day or of a
    late commit, so such a stream is read whole."""
    if hints.cursor is None:
        return None
    type = types.get(hints.cursor, pa.null())
    if pa.types.is_timestamp(type):
        return hints.cursor
    held = "no values yet" if type == pa.null() else f"{type}, not instants"
    warnings.append(
        f"the incremental's column {hints.cursor} holds {held}: the stream is read whole each run; "
        "declare it as a timestamp, or convert it with add_map, to read only what changed"
    )
    return None


def _require_columns(name: str, hints: Hints, known: Mapping[str, pa.DataType]) -> None:
    hint = "declare the columns and their types on the resource (columns=...)"
    if not known:
        raise ConfigError("describe", name, "the resource declares no columns and has no rows to learn them from", hint)
    if missing := [column for column in hints.key if column not in known]:
        cause = f"nothing is known about its key {', '.join(missing)}: no type is declared and no row has a value"
        raise ConfigError("describe", name, cause, hint)
