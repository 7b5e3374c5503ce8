"""One slice's rows on their way into Parquet files (COUNTED-HOPS, SEALED-MANIFEST, BOUNDED)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

import pyarrow as pa

from syncline.connectors.connector import BATCH_ROWS_MAX, SliceKind
from syncline.connectors.errors import CountMismatch, DataError, SynclineError
from syncline.sinks import lattice
from syncline.sinks.keys import file_name
from syncline.sinks.manifest import FileEntry
from syncline.sinks.spool import Spool, disk_error

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from syncline.sinks.object_store import ObjectStore

Rows: TypeAlias = pa.RecordBatch | pa.Table

ROW_GROUP_BYTES = 32 * 1024 * 1024
"""Arrow bytes that a writer gathers before it writes a row group, unless ``BATCH_ROWS_MAX`` rows come first."""

_PARQUET = {
    # Measured on 25 CRM columns: level 3 costs 40 % more time than level 1 for files 10 % smaller.
    "compression": "zstd",
    "compression_level": 1,
    # The default of 1 MiB hashes every value of unique columns in vain: 30 % slower and 9 % larger, measured.
    "dictionary_pagesize_limit": 64 * 1024,
    "write_page_checksum": True,
    # Redshift reads decimals only as fixed-length bytes.
    "store_decimal_as_integer": False,
}


class SliceWriter:
    """Lands one slice; a context manager for one thread.

    On a clean exit every file is whole and put, and ``files`` names them, in the order written; no rows, no file. On
    an exception nothing of the slice remains, as far as the store lets it be removed. ``rows`` counts what was
    written. Memory stays below one row group and one batch.
    """

    def __init__(
        self,
        store: ObjectStore,
        folder: str,
        slice_id: str,
        kind: SliceKind,
        columns: pa.Schema,
        file_bytes_max: int,
        nonce: str,
    ) -> None:
        self._landed = lattice.landed(columns)
        _check_types(self._landed, folder)
        self.files: tuple[FileEntry, ...] = ()
        self.rows = 0
        self._store = store
        self._folder = folder
        self._slice_id = slice_id
        self._kind = kind
        self._columns = columns
        self._file_bytes_max = file_bytes_max
        self._nonce = nonce
        self._gathered: list[pa.RecordBatch] = []
        self._gathered_rows = self._gathered_bytes = 0
        self._file: _ParquetFile | None = None
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def write(self, rows: Rows) -> None:
        """Adds rows, which have exactly the writer's columns, or these as landed files have them.

        Raises:
            DataError: other columns or types, or nulls where a column allows none.
            SynclineError: the disk is full.
        """
        with self._failing():
            if not (rows.schema.equals(self._columns) or rows.schema.equals(self._landed)):
                raise self._refusal(f"columns {rows.schema.names} came, of other names or types than the stream's")
            table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
            table = table if table.schema.equals(self._landed) else table.cast(self._landed)
            size_bytes = table.nbytes  # looks at every column's offsets: not twice for the same rows
            batches = table.to_batches(max_chunksize=_rows_per_group(table.num_rows, size_bytes))
            for batch in batches:
                self._gather(batch, size_bytes if len(batches) == 1 else batch.nbytes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandon()
            return
        if self._failed:
            self._abandon()
            raise self._refusal("an earlier write failed, so the slice is not whole")
        try:
            with self._failing():
                self._write_group()
                self._land_file()
        except BaseException:
            self._abandon()
            raise

    def _gather(self, batch: pa.RecordBatch, size_bytes: int) -> None:
        if self._gathered_bytes + size_bytes > ROW_GROUP_BYTES:
            self._write_group()
        self._gathered.append(batch)
        self._gathered_rows += batch.num_rows
        self._gathered_bytes += size_bytes
        if self._gathered_rows >= BATCH_ROWS_MAX or self._gathered_bytes >= ROW_GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        if not self._gathered_rows:
            return
        if self._file is None:
            self._file = _ParquetFile(Spool(self._store.spool_folder), self._landed)
        self._file.write(pa.Table.from_batches(self._gathered, self._landed))
        self.rows += self._gathered_rows
        self._gathered = []
        self._gathered_rows = self._gathered_bytes = 0
        if self._file.spool.size_bytes >= self._file_bytes_max:
            self._land_file()

    def _land_file(self) -> None:
        file = self._file
        if file is None:
            return
        file.finish()
        key = f"{self._folder}/{file_name(self._slice_id, len(self.files), self._nonce)}"
        spool = file.spool
        self._store.land(spool, key)
        entry = FileEntry(key, self._slice_id, self._kind, file.rows, spool.size_bytes, spool.sha256)
        self.files = (*self.files, entry)
        self._file = None
        spool.drop()

    def _abandon(self) -> None:
        if self._file is not None:
            self._file.abandon()
            self._file = None
        for entry in self.files:
            try:
                self._store.remove(entry.path)
            except SynclineError as error:
                _log.warning("%s", error)  # must not hide the first error; no manifest will name the file
        self.files = ()
        self._gathered = []

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._failed = True
            if isinstance(error, pa.ArrowInvalid | pa.ArrowNotImplementedError | pa.ArrowTypeError):
                raise self._refusal(str(error)) from error
            if isinstance(error, OSError):
                raise disk_error("write landing file", self._object, error) from error
            raise

    @property
    def _object(self) -> str:
        return f"{self._folder}, slice {self._slice_id}"

    def _refusal(self, cause: str) -> DataError:
        return DataError("write landing file", self._object, cause, "report it: a connector broke its stream's schema")


_log = logging.getLogger(__name__)


class _ParquetFile:
    """A Parquet file under way in a spool file."""

    def __init__(self, spool: Spool, columns: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self.spool = spool
        self.rows = 0
        self._footers: list[pq.FileMetaData] = []
        try:
            self._writer = pq.ParquetWriter(spool, columns, metadata_collector=self._footers, **_PARQUET)
        except BaseException:
            spool.drop()
            raise

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=table.num_rows)
        self.rows += table.num_rows

    def finish(self) -> None:
        """Writes the footer, and holds its count against the rows handed in."""
        self._writer.close()
        if self._footers[-1].num_rows != self.rows:
            cause = f"COUNTED-HOPS: its footer says {self._footers[-1].num_rows} rows, {self.rows} were written"
            raise CountMismatch("write landing file", str(self.spool.path), cause)

    def abandon(self) -> None:
        # Closing writes a valid footer even after a failure, which would make a short file look whole; so first the
        # spool is dropped, and what is written after that goes nowhere.
        self.spool.drop()
        with suppress(OSError, pa.ArrowException, RuntimeError):
            self._writer.close()


def _rows_per_group(rows: int, size_bytes: int) -> int:
    if size_bytes <= ROW_GROUP_BYTES:
        return BATCH_ROWS_MAX
    return max(1, min(BATCH_ROWS_MAX, rows * ROW_GROUP_BYTES // size_bytes))


def _check_types(columns: pa.Schema, object: str) -> None:
    """Refuses types that Parquet would store as something else, so that what is read back is what was written."""
    for column in columns:
        kind = column.type
        if pa.types.is_dictionary(kind) or pa.types.is_null(kind):
            cause = f"column {column.name} has type {kind}, which Parquet does not keep"
        elif (pa.types.is_timestamp(kind) or pa.types.is_time(kind)) and kind.unit != "us":
            cause = f"column {column.name} has type {kind}, times are in microseconds"
        else:
            continue
        raise DataError("open landing file", object, cause, "report it: the connector must convert the column")
