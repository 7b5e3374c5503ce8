"""What a user may set about DuckDB, checked early and without loading the library."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final
from urllib.parse import quote

from syncline.connectors.errors import ConfigError
from syncline.sinks.warehouse import Capabilities

# DuckDB compares names without regard to the case of ASCII letters and sets no bound on their length (measured, 2.0).
CAPABILITIES: Final = Capabilities(name="duckdb", case_sensitive_names=False, name_bytes_max=255)

MEMORY_BYTES: Final = 200_000_000
"""With it a first load of 20 million rows and 25 columns takes some 450 MB in all; more makes it no faster (measured,
2.0)."""
WIDE_COLUMNS: Final = 100
WIDE_COLUMN_BYTES: Final = 500_000

ROW_GROUP_ROWS: Final = 122_880
VECTOR_ROWS: Final = 2_048
DELETION_BLOCK_BYTES: Final = 1 << 18
DELETION_BLOCK_VECTORS: Final = 15
"""A transaction that deletes keeps, for each vector that loses a row, 16 KB that do not spill, in blocks of one row
group's vectors each (measured, 2.0: 214 MB for 10,000 rows spread over 50 million, 429 MB for 100,000)."""

_PROCESS: Final = os.urandom(8).hex()

UNIT_BYTES: Final = {
    unit + suffix: base**power
    for power, unit in enumerate(("", "K", "M", "G", "T"))
    for suffix, base in (("B", 1000), ("iB", 1024))
    if unit or suffix == "B"
}


@dataclass(frozen=True, slots=True)
class Settings:
    """``memory_limit`` is DuckDB's own notation ("300MB"); what does not fit spills to ``<path>.tmp``."""

    path: str
    memory_limit: str | None
    threads: int
    lock_wait_s: float

    def __post_init__(self) -> None:
        if self.memory_limit is not None and size_bytes(self.memory_limit) is None:
            raise _wrong("memory_limit", self.memory_limit, "write a size such as '300MB' or '2GB'")
        if self.threads < 1:
            raise _wrong("threads", self.threads, "write a number of 1 or more")
        if self.lock_wait_s < 0:
            raise _wrong("lock_wait_s", self.lock_wait_s, "write seconds, 0 for no wait")

    @property
    def in_memory(self) -> bool:
        """``:memory:`` is gone when closed; ``:memory:name`` is shared in the process while anyone holds it open."""
        return self.path.startswith(":memory:")

    def place_url(self, schema: str) -> str:
        """See ``Warehouse.place``: the file, whatever folder and link lead to it; memory ends with its process."""
        path = f"{self.path}@{_PROCESS}" if self.in_memory else os.path.realpath(self.path)
        return f"duckdb:{quote(path, errors='surrogateescape')}?schema={quote(schema, safe='')}"

    @property
    def memory_limit_bytes(self) -> int:
        return (self.memory_limit and size_bytes(self.memory_limit)) or MEMORY_BYTES

    def statements(self) -> Iterator[str]:
        """What every session is set to. The values were checked above, so they may stand in the text."""
        yield "SET TimeZone = 'UTC'"
        # No extension is fetched from the network at run time: everything needed is in the wheel.
        yield "SET autoinstall_known_extensions = false"
        yield "SET autoload_known_extensions = false"
        yield f"SET memory_limit = '{self.memory_limit_bytes}B'"
        yield f"SET threads = {self.threads}"
        if self.in_memory:
            yield f"SET temp_directory = '{tempfile.gettempdir()}'"
        yield "SET preserve_insertion_order = false"
        # Row groups are flushed one by one, not five at a time: a bulk load fits a small memory limit (measured, 2.0).
        yield "SET write_buffer_row_group_count = 1"
        # Vacuuming at every checkpoint costs about a second per million rows after an incremental run (measured, 2.0).
        yield "SET max_vacuum_tasks = 0"


def wide_bytes(columns: int) -> int:
    """What one thread that writes a table of many columns needs: it pins a block or two for every column.

    Measured with 2.0 and 800 columns: 300 MB are not enough, one thread and 400 MB are.
    """
    return max(0, columns - WIDE_COLUMNS) * WIDE_COLUMN_BYTES


def deletion_bytes(rows: int, doomed: int) -> int:
    """What a transaction needs that takes ``doomed`` rows out of a table of so many, wherever they lie; half of what
    the table's storage holds may be rows that were deleted before."""
    groups = min(doomed, ceil(2 * rows / ROW_GROUP_ROWS))
    vectors = min(doomed, ceil(2 * rows / VECTOR_ROWS))
    return (groups + vectors // DELETION_BLOCK_VECTORS) * DELETION_BLOCK_BYTES


def size_bytes(text: str) -> int | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?i?B)", text)
    unit = match and UNIT_BYTES.get(match[2])
    return int(float(match[1]) * unit) if match and unit else None


def _wrong(setting: str, value: object, hint: str) -> ConfigError:
    return ConfigError("set up DuckDB", setting, f"{value!r} is not a valid value", hint)
