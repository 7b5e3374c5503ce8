"""The files of several runs written anew as few large ones, behind one manifest (``syncline landing compact``).

::

    runs' files ──row groups──▶ <stream>/dt=<day>/run=<last run>-c<nonce>/...    nobody reads them yet
    seal ─────────────────────▶ <stream>/_manifests/<last run>-c<nonce>.json     they count, and the runs' own no more

The one conditional create is the whole change (SEALED-MANIFEST): before it the runs' own manifests count, after it the
new one does, which names them. A kill before it leaves files that nobody reads; after it, nothing is left to do.

Every row is copied as it is: run by run, each run's rows in their order, and numbered anew in that order. So per key
the same row is the newest (NEWEST-WINS: the largest cursor, then the later row), and Glue shows the same log.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import syncline
from syncline.connectors.connector import BATCH_ROWS_MAX, DELETED_COLUMN, SEQUENCE_COLUMN, SliceKind
from syncline.connectors.errors import CountMismatch, DataError
from syncline.sinks import lattice
from syncline.sinks.landing import DOWNLOADS_AT_ONCE, Landing
from syncline.sinks.manifest import FileEntry, Manifest
from syncline.sinks.slice_writer import SliceWriter

_OPERATION = "compact landing"
_KINDS: tuple[SliceKind, ...] = ("records", "tombstones")


def compact_runs(
    landing: Landing,
    runs: Sequence[Manifest],
    renew: Callable[[], None],
    random: Callable[[int], bytes] = os.urandom,
) -> Manifest:
    """Seals one manifest with all rows of these runs and returns it; removes nothing.

    ``runs`` are one stream's, oldest first, one right after the other, with the same columns, and each ``changes`` if
    there are several. ``renew`` is called before each step that takes seconds, and stops it by raising. Memory stays
    below three row groups; on disk are at most as many downloads as are fetched at once, and two files being written.

    Raises:
        DataError: a file is missing or damaged, or is not what its manifest says; the runs stay as they were.
        CountMismatch: rows would be lost or doubled (COUNTED-HOPS).
    """
    merged = merged_manifest(runs, (), random(3).hex())
    writers = {kind: _writer(landing, merged, kind) for kind in _KINDS}
    try:
        with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="syncline-compact-") as folder:
            for writer in writers.values():
                stack.enter_context(writer)
            numbers = _Numbers()
            for run in runs:
                numbers.begin(run)
                for kind, batch in _rows(landing, run, Path(folder), renew):
                    writers[kind].write(numbers.number(batch))
    except BaseException:
        landing.discard([entry for writer in writers.values() for entry in writer.files])
        raise
    whole = merged.with_files(tuple(entry for writer in writers.values() for entry in writer.files))
    _check_counts(runs, whole)
    renew()
    landing.seal(whole)  # should its outcome be unknown, the files must stay: a manifest may name them
    return whole


def merged_manifest(runs: Sequence[Manifest], files: tuple[FileEntry, ...], nonce: str) -> Manifest:
    """What stands for the runs: named after the last, so that it sorts where they did, and as old as the last.

    The nonce keeps what a killed attempt left out of the folder, which Glue would read whole.
    """
    first, last = runs[0], runs[-1]
    announced = [each.rows_announced for each in runs if each.rows_announced is not None]
    least = [each.cursor_least for each in runs if each.cursor_least is not None]
    largest = [each.cursor_largest for each in runs if each.cursor_largest is not None]
    return replace(
        last,
        run_id=f"{last.run_id}-c{nonce}",
        window=replace(last.window, low=first.window.low),
        files=files,
        rows_announced=sum(announced) if len(announced) == len(runs) else None,
        rows_read=sum(each.rows_read for each in runs),
        rows_known=sum(each.rows_known for each in runs),
        cursor_least=min(least, default=None),
        cursor_largest=max(largest, default=None),
        versions={"syncline": syncline.__version__, "pyarrow": pa.__version__, "python": platform.python_version()},
        merged=tuple(each for run in runs for each in run.runs),
    )


def _writer(landing: Landing, merged: Manifest, kind: SliceKind) -> SliceWriter:
    return landing.writer(
        pipeline=merged.pipeline,
        stream=merged.stream,
        run_id=merged.run_id,
        started_at=merged.started_at,
        slice_id=kind,
        kind=kind,
        columns=_landed_columns(merged, kind),
    )


def _landed_columns(manifest: Manifest, kind: SliceKind) -> pa.Schema:
    """As the manifest promises: of a tombstone the key and the cursor only; then the two that every file has."""
    own = {*manifest.key, manifest.cursor}
    kept = [column for column in manifest.columns if kind == "records" or column.name in own]
    flags = [pa.field(DELETED_COLUMN, pa.bool_(), False), pa.field(SEQUENCE_COLUMN, pa.int64(), False)]
    return pa.schema([*kept, *flags])


def _rows(
    landing: Landing, run: Manifest, folder: Path, renew: Callable[[], None]
) -> Iterator[tuple[SliceKind, pa.RecordBatch]]:
    for first in range(0, len(run.files), DOWNLOADS_AT_ONCE):
        renew()
        some = run.files[first : first + DOWNLOADS_AT_ONCE]
        paths = landing.paths(some, folder)
        for entry, path in zip(some, paths, strict=True):
            for batch in _read(entry, path, lattice.landed(_landed_columns(run, entry.kind))):
                yield entry.kind, batch
        for path in paths:
            if path.is_relative_to(folder):
                path.unlink()


def _read(entry: FileEntry, path: Path, columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The file's rows, never more at once than a row group, each page held against its own checksum."""
    hint = "the file was changed by someone or by its disk; reload the stream, then expire the landing"
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(columns):
                raise DataError(_OPERATION, entry.path, "its columns are not its manifest's", hint)
            if file.metadata.num_rows != entry.rows:
                cause = f"COUNTED-HOPS: it holds {file.metadata.num_rows} rows, its manifest says {entry.rows}"
                raise CountMismatch(_OPERATION, entry.path, cause, hint)
            for group in range(file.num_row_groups):
                yield from file.iter_batches(BATCH_ROWS_MAX, row_groups=[group])
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(_OPERATION, entry.path, f"it cannot be read: {error}", hint) from error


class _Numbers:
    """Numbers rows from 0, in the order in which they come; within a run that must be the order they have."""

    def __init__(self) -> None:
        self._next = 0
        self._last: int | None = None
        self._run = ""

    def begin(self, run: Manifest) -> None:
        self._run, self._last = f"{run.stream}, run {run.run_id}", None

    def number(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if not batch.num_rows:
            return batch
        position = batch.schema.get_field_index(SEQUENCE_COLUMN)
        old = batch.column(position)
        step = pc.min(pc.pairwise_diff(old)).as_py()
        if (step is not None and step <= 0) or (self._last is not None and old[0].as_py() <= self._last):
            cause = "its rows do not lie in the order of their numbers, which is the order of the source"
            raise DataError(_OPERATION, self._run, cause, "report it with the run id; the run stays as it is")
        self._last = old[-1].as_py()
        new = pa.arange(self._next, self._next + batch.num_rows)
        self._next += batch.num_rows
        return batch.set_column(position, batch.schema.field(position), new)


def _check_counts(runs: Sequence[Manifest], whole: Manifest) -> None:
    for kind in _KINDS:
        rows = sum(run.rows_of(kind) for run in runs)
        if whole.rows_of(kind) != rows:
            cause = f"COUNTED-HOPS: {rows} {kind} were landed, {whole.rows_of(kind)} were written"
            raise CountMismatch(
                _OPERATION, f"{whole.stream}, {len(runs)} runs", cause, "report it; nothing was changed"
            )
