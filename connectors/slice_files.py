"""An extraction's rows on local disk, so that what a source yields only once can be read again (BOUNDED)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from weakref import finalize

import pyarrow as pa

from syncline.connectors.connector import BATCH_ROWS_MAX


@dataclass(slots=True, weakref_slot=True)
class SliceFiles:
    """Arrow IPC files of at most ``rows_max`` rows each, in a temporary folder that goes with ``drop`` or this object.

    Write from one thread, then ``finish``, then read from any.
    """

    schema: pa.Schema
    rows_max: int
    rows: list[int] = field(default_factory=list)
    """Rows of each file, by its number."""
    _folder: Path = field(default_factory=lambda: Path(mkdtemp(prefix="syncline-")), repr=False)
    _writer: pa.ipc.RecordBatchFileWriter | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        finalize(self, rmtree, self._folder, ignore_errors=True)

    def write(self, table: pa.Table) -> None:
        while len(table):
            if self._writer is None or self.rows[-1] >= self.rows_max:
                self._begin()
            part = table.slice(0, self.rows_max - self.rows[-1])
            self._writer.write_table(part, max_chunksize=BATCH_ROWS_MAX)  # type: ignore[union-attr]
            self.rows[-1] += len(part)
            table = table.slice(len(part))

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def read(self, number: int) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(self._path(number))) as data, pa.ipc.open_file(data) as reader:
            for each in range(reader.num_record_batches):
                yield reader.get_batch(each)

    def drop(self) -> None:
        self.finish()
        rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> None:
        self.finish()
        self.rows.append(0)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_file(str(self._path(len(self.rows) - 1)), self.schema, options=options)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.arrow"
