"""COPY of landed Parquet from S3 into a staging table: a manifest for each COPY, and copies of files it cannot read.

::

    files ──▶ recast? ──▶ manifest (content_length, mandatory) ──▶ COPY ──▶ pg_last_copy_count() = the manifest's rows
              times,      both below <root>/for=redshift/, which                       │ refused: other types for the
              unsigned    no run's manifest names; removed afterwards                  ▼ staging table, or say why

COPY maps columns by position and never by name (COPY from columnar data formats); the staging table was made with the
files' columns in the files' order. It has no memory of what it loaded: the table is fresh, so a repeat starts over.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from posixpath import dirname
from typing import TYPE_CHECKING, cast

import pyarrow as pa
from sqlglot import exp

from syncline.connectors.errors import ConfigError, CountMismatch, SynclineError
from syncline.sinks import lattice
from syncline.sinks.downloads import Downloads
from syncline.sinks.manifest import FileEntry
from syncline.sinks.redshift_dialect import REDSHIFT, create_staging
from syncline.sinks.redshift_errors import ScanRefused
from syncline.sinks.redshift_settings import require_bucket
from syncline.sinks.redshift_unfit import unfit_value

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing
    from syncline.sinks.object_store import Inventory
    from syncline.sinks.session import Session

SCRATCH = "for=redshift"
"""No pipeline's folder: an equals sign is escaped in those. Does not begin with an underscore: what does, Spectrum and
COPY pass over."""

_log = logging.getLogger(__name__)

ALTERNATIVES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "TIMESTAMP": (("timestamp[us]", "timestamp[us, tz=UTC]"), "TIMESTAMPTZ"),
    "TIMESTAMP WITHOUT TIME ZONE": (("timestamp[us]", "timestamp[us, tz=UTC]"), "TIMESTAMPTZ"),
    "INTEGER": (("int8", "int16"), "SMALLINT"),
}
"""By the column type that COPY refused a file's column for: the Arrow types it is made for, and what to try instead.
Which of both Redshift takes is not documented; the merge casts to the target's type either way."""


@dataclass(slots=True)
class Copier:
    """Copies files as a role. ``types`` is what an earlier COPY of this process taught about column types."""

    role: str
    random: Callable[[int], bytes] = os.urandom
    types: dict[str, str] = field(default_factory=dict)

    def copy(
        self, session: Session, table: exp.Table, columns: pa.Schema, files: Sequence[FileEntry], landing: Landing
    ) -> int:
        """Fills the table; returns the rows loaded.

        Raises:
            ConfigError: the landing is not in S3, or a list's items have no place in SUPER.
            CountMismatch: COPY loaded other than the files' rows.
            ValueOutOfType: a value that Redshift cannot hold, by name.
        """
        require_bucket(landing)
        check_lists(columns)
        with _scratch(landing, files, self.random(8).hex()) as scratch:
            loadable = scratch.recast(files, columns) if recasts(columns) else files
            url = scratch.put(manifest_document(landing.url, loadable))
            statement = copy_statement(table, url, self.role, is_nested(columns))
            try:
                self._load(session, table, columns, statement)
            except ScanRefused as refused:
                raise unfit_value(landing, files, columns) or refused from refused
            [(loaded,)] = session.run("SELECT pg_last_copy_count()")
        expected = sum(entry.rows for entry in files)
        if int(loaded) != expected:
            cause = f"COPY loaded {loaded} rows, the manifest says {expected} in {len(files)} files"
            raise CountMismatch("load landed files", dirname(files[0].path), cause, "reload the stream")
        return int(loaded)

    def _load(self, session: Session, table: exp.Table, columns: pa.Schema, statement: str) -> None:
        if self._matter(columns):
            _run(session, create_staging(table, columns, self.types))
        while True:
            try:
                session.run(statement)
                return
            except ScanRefused as refused:
                names, other = ALTERNATIVES.get(refused.column_type or "", ((), ""))
                tried = [name for name in names if self.types.get(name) == other]
                self.types |= dict.fromkeys(names, other)
                if tried or not self._matter(columns):
                    raise
                _run(session, create_staging(table, columns, self.types))

    def _matter(self, columns: pa.Schema) -> bool:
        shown = (str(type) for column in columns for type in (column.type, lattice.canonical(column.type)))
        return any(type in self.types for type in shown)


def _run(session: Session, statements: Sequence[str]) -> None:
    for statement in statements:
        session.run(statement)


# --- pure parts -------------------------------------------------------------------------------------------------------


def copy_statement(table: exp.Table, manifest_url: str, role: str, nested: bool) -> str:
    """``role`` is an ARN, several chained by commas, or ``default``. ``nested`` columns become SUPER."""
    shown = role if role == "default" else _literal(role)
    options = " SERIALIZETOJSON" if nested else ""
    source = f"FROM {_literal(manifest_url)} IAM_ROLE {shown}"
    return f"COPY {REDSHIFT.render(table)} {source} FORMAT AS PARQUET MANIFEST{options}"


def manifest_document(root: str, files: Sequence[FileEntry]) -> bytes:
    """Names every file, each with the length that columnar files need (COPY guide, using a manifest)."""
    entries = [
        {"url": f"{root}/{entry.path}", "mandatory": True, "meta": {"content_length": entry.size_bytes}}
        for entry in files
    ]
    return json.dumps({"entries": entries}).encode()


def recasts(columns: pa.Schema) -> Mapping[str, pa.DataType]:
    """The columns that COPY reads wrongly or not at all, with a type that it reads and that holds them exactly."""
    found = {column.name: _readable(column.type) for column in columns}
    return {name: type for name, type in found.items() if type is not None}


def _readable(type: pa.DataType) -> pa.DataType | None:
    types = pa.types
    if types.is_time(type):
        return pa.string()
    if types.is_unsigned_integer(type):
        return pa.decimal128(20, 0) if type == pa.uint64() else pa.int64()
    if types.is_float16(type):
        return pa.float64()
    if types.is_fixed_size_binary(type) and not types.is_decimal(type):
        return pa.binary()
    if types.is_decimal(type) and not types.is_decimal128(type):
        return pa.decimal128(type.precision, type.scale)
    return None


def is_nested(columns: pa.Schema) -> bool:
    return any(pa.types.is_nested(column.type) for column in columns)


def check_lists(columns: pa.Schema) -> None:
    """Raises ConfigError for lists whose items SUPER would keep as something else: it holds what JSON holds."""
    types = pa.types
    for column in columns:
        if not types.is_nested(column.type):
            continue
        item = column.type.value_type
        if not (
            types.is_string(item) or types.is_large_string(item) or types.is_boolean(item) or types.is_integer(item)
        ):
            raise ConfigError(
                "load into Redshift",
                f"column {column.name}",
                f"a SUPER column holds no {item} exactly",
                f"leave the field out with exclude=[{column.name!r}]",
            )


def _literal(value: str) -> str:
    return exp.Literal.string(value).sql(dialect="redshift")


# --- what lies beside the landed files for the length of a COPY -------------------------------------------------------


@dataclass(slots=True)
class Scratch:
    """Objects of one COPY, below a folder of its own."""

    landing: Landing
    folder: str
    nonce: str
    keys: list[str] = field(default_factory=list)

    def put(self, document: bytes) -> str:
        """Puts the manifest; its url."""
        key = f"{self.folder}/{self.nonce}.manifest"
        self.landing.store.create(key, document)
        self.keys.append(key)
        return f"{self.landing.url}/{key}"

    def recast(self, files: Sequence[FileEntry], columns: pa.Schema) -> list[FileEntry]:
        """The same rows in files that COPY can read; one row group at a time is in memory (BOUNDED)."""
        from syncline.sinks.slice_writer import SliceWriter

        wanted = recasts(columns)
        schema = pa.schema([each.with_type(wanted.get(each.name, each.type)) for each in columns])
        downloads, made = Downloads(None), list[FileEntry]()
        try:
            for number, entry in enumerate(files):
                [path] = self.landing.paths([entry], downloads.folder())
                name = f"{self.nonce}-{number}"
                bytes_max = self.landing.file_bytes_max
                with SliceWriter(
                    self.landing.store, self.folder, entry.slice, entry.kind, schema, bytes_max, name
                ) as writer:
                    for batch in _batches(str(path)):
                        writer.write(batch.cast(schema))
                self.keys += [each.path for each in writer.files]
                made += writer.files
                if writer.rows != entry.rows:
                    cause = f"the file holds {writer.rows} rows, its manifest says {entry.rows}"
                    raise CountMismatch("load landed file", entry.path, cause, "reload the stream")
        finally:
            downloads.discard()
        return made

    def clear(self) -> None:
        """With what killed runs left of the stream: the lease lets one run of a pipeline load at a time."""
        stream = "/".join(self.folder.split("/")[:3])
        try:
            left = [each.key for each in cast("Inventory", self.landing.store).objects(stream)]
            for key in {*self.keys, *left}:
                self.landing.store.remove(key)
        except SynclineError as error:
            _log.info("%s", error)  # nobody reads it, and the next load tries again


@contextmanager
def _scratch(landing: Landing, files: Sequence[FileEntry], nonce: str) -> Iterator[Scratch]:
    scratch = Scratch(landing, f"{SCRATCH}/{dirname(files[0].path)}", nonce)
    try:
        yield scratch
    finally:
        scratch.clear()


def _batches(path: str) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield pa.Table.from_batches([batch])
