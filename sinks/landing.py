"""The landing: Arrow record batches become immutable Parquet files, and a manifest makes them count (SEALED-MANIFEST).

::

    writer ──▶ spool ──▶ <root>/<pipeline>/<stream>/dt=YYYY-MM-DD/run=<run_id>/<slice>-<n>-<nonce>.parquet    many
    seal ─────────────▶ <root>/<pipeline>/<stream>/_manifests/<run_id>.json                                once, last
    find, paths ◀────── only what a manifest names is ever read

A crash before ``seal`` leaves files that nobody reads; a crash after it leaves a run that can be loaded as it is.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from posixpath import dirname
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa

from syncline.connectors.connector import SliceKind
from syncline.connectors.errors import ConfigError, DataError, SynclineError, Transient
from syncline.connectors.finding import Finding
from syncline.connectors.recipe import Recipe
from syncline.connectors.s3_settings import Encryption, S3Settings, options_of
from syncline.connectors.secret import Secret, secret
from syncline.sinks.keys import MANIFESTS, escaped, is_marked, manifest_key, run_folder, stream_folder
from syncline.sinks.landing_url import parse_url
from syncline.sinks.manifest import FileEntry, Manifest

if TYPE_CHECKING:
    from syncline.sinks.object_store import ObjectStore
    from syncline.sinks.slice_writer import SliceWriter

FILE_BYTES_MAX = 128 * 1024 * 1024
DOWNLOADS_AT_ONCE = 4

_log = logging.getLogger(__name__)


class Landing:
    """A folder, or a prefix of a bucket, that runs land their files in.

    ``url`` is a folder, ``file:///folder``, ``s3://bucket/prefix`` or ``memory://`` (tests). Nothing is opened or
    connected before it is used. Safe to use from several threads; each writer belongs to one. Files are closed when
    they reach ``file_bytes_max``; a row group at most is added to that.

    Raises:
        ConfigError: a setting that cannot work.
    """

    def __init__(
        self,
        url: str = ".syncline/landing",
        *,
        sse: Encryption | None = None,
        kms_key_id: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: Secret | str | None = None,
        session_token: Secret | str | None = None,
        retries_max: int = 8,
        checksums: bool = True,
        role_arn: str | None = None,
        external_id: str | None = None,
        role_session_name: str = "syncline",
        expected_bucket_owner: str | None = None,
        accelerate: bool = False,
        file_bytes_max: int = FILE_BYTES_MAX,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        settings = S3Settings(
            endpoint=endpoint,
            region=region,
            sse=sse,
            kms_key_id=kms_key_id,
            access_key_id=access_key_id,
            secret_access_key=secret(secret_access_key) if secret_access_key else None,
            session_token=secret(session_token) if session_token else None,
            retries_max=retries_max,
            checksums=checksums,
            role_arn=role_arn,
            external_id=external_id,
            role_session_name=role_session_name,
            expected_bucket_owner=expected_bucket_owner,
            accelerate=accelerate,
        )
        place = parse_url(url, settings)
        self.url, self.bucket, self._open = place.url, place.bucket, place.open
        self._address, self._settings = place.address, settings
        self.file_bytes_max = file_bytes_max
        self._random = random
        self._pool: Callable[[int, str], Executor] = ThreadPoolExecutor
        self._opened: ObjectStore | None = None
        self._opening = threading.Lock()

    @classmethod
    def over(
        cls,
        store: ObjectStore,
        file_bytes_max: int = FILE_BYTES_MAX,
        random: Callable[[int], bytes] = os.urandom,
        pool: Callable[[int, str], Executor] = ThreadPoolExecutor,
    ) -> Landing:
        """A landing over a store of the caller's own: the seam for faults in tests. ``pool`` makes what fetches."""
        landing = cls("memory://", file_bytes_max=file_bytes_max, random=random)
        landing.url, landing._open, landing._pool = store.url, lambda: store, pool
        return landing

    def __repr__(self) -> str:
        return f"Landing({self.url!r})"

    def below(self, folder: str) -> Landing:
        """A landing of its own in a folder of this bucket, opened in the same way; ``folder`` is no pipeline's.

        Raises:
            ValueError: this landing is not in a bucket.
        """
        if self.bucket is None:
            raise ValueError(f"{self.url} is not in a bucket")
        landing = Landing("memory://", file_bytes_max=self.file_bytes_max, random=self._random)
        place = parse_url(f"{self.url}/{folder}", self.bucket.settings)
        landing.url, landing.bucket, landing._open = place.url, place.bucket, place.open
        return landing

    def recipe(self) -> Recipe:
        """How a worker in another process opens the same landing: by its settings, and credentials it finds itself.

        Raises:
            ConfigError: another process cannot reach it, or was not to be given its credentials (NO-SECRETS).
        """
        if self._address is None:
            cause = "it is kept in this process's memory, where no worker can write"
            raise ConfigError("read pipeline", f"landing {self.url}", cause, "use a folder or s3://bucket/prefix")
        if self._settings.secret_access_key or self._settings.session_token:
            raise ConfigError(
                "read pipeline",
                f"landing {self.url}",
                "its keys are written in its settings, and secrets are not sent to workers",
                "leave them out; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role, where the workers run",
            )
        return Recipe(
            f"{type(self).__module__}:{type(self).__qualname__}",
            {"url": self._address, **options_of(self._settings), "file_bytes_max": self.file_bytes_max},
            self._address,
        )

    @property
    def store(self) -> ObjectStore:
        """What keeps the objects; for upkeep, which looks behind the manifests."""
        return self._store

    @property
    def _store(self) -> ObjectStore:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def writer(
        self,
        *,
        pipeline: str,
        stream: str,
        run_id: str,
        started_at: datetime,
        slice_id: str,
        kind: SliceKind,
        columns: pa.Schema,
        mark: str = "",
    ) -> SliceWriter:
        """A context manager that lands one slice; see :class:`SliceWriter`. Two writers never share a file's name.

        ``mark``, hexadecimal, becomes a part of the names, by which ``discard_strays`` tells whose they are.
        """
        from syncline.sinks.slice_writer import SliceWriter

        folder, nonce = run_folder(pipeline, stream, started_at, run_id), mark + self._random(4).hex()
        return SliceWriter(self._store, folder, slice_id, kind, columns, self.file_bytes_max, nonce)

    def seal(self, manifest: Manifest) -> None:
        """Makes the run's files count, by a conditional create; the same manifest again is fine.

        Raises:
            DataError: the key holds another manifest, or a file the manifest names is missing or short.
        """
        data = manifest.to_bytes()
        key = manifest_key(manifest.pipeline, manifest.stream, manifest.run_id)
        self._check_landed(manifest.files)
        if self._store.create(key, data):
            return
        there = self._read(key)
        if there is None:
            cause = "it was said to exist, then was not there: something else writes or removes at this place"
            raise Transient("seal manifest", self._name(key), cause, "run again")
        if there != data:
            cause = "SEALED-MANIFEST: another manifest of this run is sealed already and is never overwritten"
            raise DataError("seal manifest", self._name(key), cause, "two runs share a run id; look for a copied state")

    def find(self, pipeline: str, stream: str, run_id: str) -> Manifest | None:
        """The sealed manifest of a run, or ``None``: then the run landed nothing.

        Raises:
            DataError: the manifest cannot be read or is another run's.
        """
        key = manifest_key(pipeline, stream, run_id)
        data = self._read(key)
        if data is None:
            return None
        hint = "remove it if it was changed by hand; the run is then extracted again"
        try:
            manifest = Manifest.from_bytes(data)
        except ValueError as error:
            raise DataError("read manifest", self._name(key), str(error), hint) from error
        if (manifest.pipeline, manifest.stream, manifest.run_id) != (pipeline, stream, run_id):
            cause = f"it is of {manifest.pipeline}, {manifest.stream}, run {manifest.run_id}"
            raise DataError("read manifest", self._name(key), cause, hint)
        return manifest

    def sealed(self, pipeline: str, stream: str, after: str = "") -> Sequence[str]:
        """The ids of the stream's sealed runs, oldest first; only those later than the run ``after``, if given."""
        folder = f"{stream_folder(pipeline, stream)}/{MANIFESTS}"
        names = self._store.sizes(folder, f"{escaped(after)}.json" if after else "")
        return sorted(unquote(name.removesuffix(".json")) for name in names if name.endswith(".json"))

    def paths(self, entries: Sequence[FileEntry], folder: Path) -> list[Path]:
        """Local files with the entries' bytes, in their order, checked against the entries.

        For a local root these are the landed files themselves (sizes are checked); otherwise copies in ``folder``
        (sizes and checksums are), which the caller removes.

        Raises:
            DataError: a file is missing, short or damaged.
        """
        store = self._store
        with self._pool(DOWNLOADS_AT_ONCE, "landing-fetch") as pool:
            fetched = [pool.submit(self._fetch, store, entry, folder) for entry in entries]
            try:
                return [future.result() for future in fetched]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def discard(self, entries: Sequence[FileEntry]) -> None:
        """Removes files that no manifest names, as far as that works; what stays is never read."""
        for entry in entries:
            try:
                self._store.remove(entry.path)
            except SynclineError as error:
                _log.warning("%s", error)

    def lost(self, entries: Sequence[FileEntry]) -> list[FileEntry]:
        """Those that are gone, or have another size than was written. Lists each folder once."""
        sizes = self._sizes_beside(entries)
        return [entry for entry in entries if sizes.get(entry.path) != entry.size_bytes]

    def discard_strays(
        self, pipeline: str, stream: str, run_id: str, started_at: datetime, mark: str, named: Sequence[FileEntry]
    ) -> int:
        """Removes what writers with this ``mark`` landed of a run beside the ``named`` files; returns how many.

        Workers that were lost leave such files. Those of other marks are another process's, which may be alive.
        """
        folder = run_folder(pipeline, stream, started_at, run_id)
        kept = {entry.path for entry in named}
        try:
            paths = [f"{folder}/{name}" for name in self._store.sizes(folder) if is_marked(name, mark)]
            strays = [path for path in paths if path not in kept]
            for path in strays:
                self._store.remove(path)
        except SynclineError as error:
            _log.warning("%s", error)  # no manifest names them: they are never read, and upkeep removes them
            return 0
        return len(strays)

    def check(self) -> Sequence[Finding]:
        """What ``syncline check`` says: can it be written and read, does it keep the manifest's promise, is it private.

        Leaves nothing behind where it may remove.
        """
        from syncline.sinks.landing_check import check_store

        try:
            findings = check_store(self._store, self._random(8).hex())
            if self.bucket is not None:
                from syncline.sinks.bucket_check import check_bucket

                findings += check_bucket(self.bucket, f"landing {self.url}")
            return findings
        except SynclineError as error:
            return [
                Finding(
                    "error", f"landing {self.url}", f"{error.operation}: {error.cause}", error.hint or "run it again"
                )
            ]

    def _fetch(self, store: ObjectStore, entry: FileEntry, folder: Path) -> Path:
        hint = "run again: the rows are extracted anew if their manifest is removed; look for what changes the landing"
        if entry.path.startswith("/") or ".." in entry.path.split("/"):
            raise DataError("read landing file", entry.path, "its path leads out of the landing", hint)
        try:
            path = store.fetch(entry.path, folder)
        except FileNotFoundError as error:
            raise DataError("read landing file", self._name(entry.path), "it is missing", hint) from error
        size_bytes = path.stat().st_size
        if size_bytes != entry.size_bytes:
            cause = f"it has {size_bytes} bytes, its manifest says {entry.size_bytes}"
            raise DataError("read landing file", self._name(entry.path), cause, hint)
        if path.is_relative_to(folder) and _sha256(path) != entry.sha256:
            raise DataError("read landing file", self._name(entry.path), "its checksum is not its manifest's", hint)
        return path

    def _check_landed(self, entries: Sequence[FileEntry]) -> None:
        sizes = self._sizes_beside(entries)
        for entry in entries:
            found = sizes.get(entry.path)
            if found != entry.size_bytes:
                cause = "it is missing" if found is None else f"it has {found} bytes, {entry.size_bytes} were written"
                hint = "nothing was sealed; run again, and look for what removes files from the landing"
                raise DataError("seal manifest", self._name(entry.path), cause, hint)

    def _sizes_beside(self, entries: Sequence[FileEntry]) -> Mapping[str, int]:
        """By path, of every file in the folders of these."""
        folders = sorted({dirname(entry.path) for entry in entries})
        return {f"{folder}/{name}": size for folder in folders for name, size in self._store.sizes(folder).items()}

    def _read(self, key: str) -> bytes | None:
        with tempfile.TemporaryDirectory(prefix="syncline-") as folder:
            try:
                return self._store.fetch(key, Path(folder)).read_bytes()
            except FileNotFoundError:
                return None

    def _name(self, key: str) -> str:
        return f"{self.url}/{key}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
