"""Objects with more fields than an address can hold, where Bulk cannot be used: several queries, joined by record.

Each query asks for some of the fields, and always for the id and the stamp. A chunk of records is fixed by the first
query (``Id > last ORDER BY Id LIMIT n``), so the order of ids stays the server's own affair; the others ask for the
same range. Rows join where id and stamp agree; the rest were changed in between and are asked for anew by id, so no row
ever mixes two versions of its record, and none is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa

from syncline.connectors.connector import StreamSchema, Window
from syncline.connectors.errors import ConfigError, DataError
from syncline.connectors.salesforce.faults import broken
from syncline.connectors.salesforce.rest import Notes, Query
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.soql import QUERY_BYTES_MAX, encoded_bytes, quoted, select, split_ids
from syncline.connectors.salesforce.transport import Transport

CHUNK_ROWS: Final = 2_000
IDS_BYTES_RESERVED: Final = 3_000
REREADS_MAX: Final = 6


def groups_of(stream: StreamSchema, fields: Sequence[str], stamp: str | None, window: Window) -> list[tuple[str, ...]]:
    """The fields in groups whose queries fit an address, each with the id and the stamp.

    Raises:
        ConfigError: the stream has no id to join by, or its filter alone fills the address.
    """
    always = tuple(dict.fromkeys(("Id", *([stamp] if stamp else []))))
    room = QUERY_BYTES_MAX - IDS_BYTES_RESERVED - encoded_bytes(select(stream, always, window))
    longest = max(encoded_bytes(f"{name}, ") for name in fields)
    if "Id" not in fields or room < longest:
        cause = "its fields do not fit one request, and " + (
            "`where` leaves no room" if "Id" in fields else "has no Id"
        )
        raise ConfigError("build query", stream.name, cause, "list fewer `fields`, shorten `where`, or set api='bulk'")
    groups: list[list[str]] = [list(always)]
    left = room
    for name in fields:
        if name in always:
            continue
        needed = encoded_bytes(f"{name}, ")
        if needed > left:
            groups.append(list(always))
            left = room
        groups[-1].append(name)
        left -= needed
    return [tuple(group) for group in groups]


class WideReading:
    """One window of one wide stream by REST; thread-safe."""

    def __init__(
        self, transport: Transport, stream: StreamSchema, shape: Shape, notes: Notes, stamp: str | None, window: Window
    ) -> None:
        self._transport = transport
        self._stream = stream
        self._shape = shape
        self._stamp = stamp
        self._query = Query(transport, notes)
        self._shapes = [shape.asking(group) for group in groups_of(stream, shape.fields, stamp, window)]

    @property
    def queries(self) -> int:
        return len(self._shapes)

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        last = ""
        while True:
            after = [f"Id > {quoted(last)}"] if last else []
            lead = self._ask(self._shapes[0], window, *after, tail=f"ORDER BY Id LIMIT {CHUNK_ROWS}")
            if not lead.num_rows:
                return
            top = str(lead.column("Id")[-1])
            if top == last:
                raise DataError("read query", self._stream.name, f"the records after {last} begin with it again", "")
            rest = [self._ask(shape, window, *after, f"Id <= {quoted(top)}") for shape in self._shapes[1:]]
            joined, odd = self._join([lead, *rest])
            if joined.num_rows:
                yield joined
            yield from self.read_ids(window, odd)
            last = top

    def read_ids(self, window: Window, ids: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """These records, those that change between two queries until their parts agree; one that left the window stays
        away."""
        fixed = max(encoded_bytes(select(self._stream, shape.fields, window)) for shape in self._shapes)
        for _ in range(REREADS_MAX):
            if not ids:
                return
            odd: list[str] = []
            for some in split_ids(ids, fixed):
                listed = f"Id IN ({', '.join(quoted(each) for each in some)})"
                joined, left = self._join([self._ask(shape, window, listed) for shape in self._shapes])
                odd += left
                if joined.num_rows:
                    yield joined
            ids = odd
        cause = f"{len(ids)} records changed each time they were read, {ids[0]} among them"
        raise broken("read query", self._stream.name, cause)

    def _ask(self, shape: Shape, window: Window, *more: str, tail: str = "") -> pa.RecordBatch:
        """The answer's rows in the order they came."""
        query = select(self._stream, shape.fields, window, *more, tail=tail)
        batches = [rows for rows, _ in self._query.rows(shape, query) if rows.num_rows]
        if not batches:
            return shape.settle({name: pa.array([], shape.wire(name)) for name in shape.fields})
        return pa.concat_batches(batches)

    def _join(self, parts: Sequence[pa.RecordBatch]) -> tuple[pa.RecordBatch, list[str]]:
        """Whole rows, and the ids whose parts do not agree."""
        import pyarrow.compute as pc

        lead = parts[0]
        ids = lead.column("Id")
        agree = pa.array([True] * len(ids), pa.bool_())
        columns = {name: lead.column(name) for name in lead.schema.names}
        everywhere: set[str] = set(ids.to_pylist())
        for part in parts[1:]:
            found = pc.index_in(ids, value_set=part.column("Id"))
            taken = part.take(found)
            agree = pc.and_(agree, pc.is_valid(found))
            if self._stamp:
                same = pc.equal(columns[self._stamp], taken.column(self._stamp))
                agree = pc.and_(agree, pc.fill_null(same, False))
            columns |= {name: taken.column(name) for name in part.schema.names if name not in columns}
            everywhere |= set(part.column("Id").to_pylist())
        whole = pa.RecordBatch.from_arrays(
            [columns[name] for name in self._shape.fields], names=list(self._shape.fields)
        )
        whole = whole.filter(agree)
        return whole, sorted(everywhere - set(whole.column("Id").to_pylist()))
