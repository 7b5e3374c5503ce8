"""Where landed files live: one small port, and the stores behind obstore (S3 and memory).

::

    spool file ──land──▶ key ──fetch──▶ a local path
    bytes ──create──▶ key that did not exist before

Keys are relative to the landing's root, with ``/`` between segments, already escaped. Data files go to keys unique to
their run; only a manifest needs the conditional create (S3 user guide, conditional writes), and S3 offers that for a
file of any size only when the caller drives the parts himself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from syncline.connectors.errors import Transient
from syncline.connectors.s3_errors import s3_code, s3_error
from syncline.sinks.spool import Spool, disk_errors, private_temporary_folder, sweep

if TYPE_CHECKING:
    from obstore.store import MemoryStore, S3Store

    Store: TypeAlias = S3Store | MemoryStore

PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 4
"""One upload holds at most ``PART_BYTES * PARTS_AT_ONCE`` in memory (BOUNDED); several writers upload at once."""

SINGLE_PUT_BYTES_MAX = 16 * 1024 * 1024

CREATE_TRIES = 5
CREATE_PAUSE_S = 0.2
"""How often, and how long after the first time, a create is repeated that met another write under way; each pause is
twice the one before."""


class ObjectStore(Protocol):
    """Used from several threads at once. ``url`` is without secrets.

    Raises, from any method: ``ConfigError`` when a setting or permission is wrong, ``Transient`` after the store's
    own attempts.
    """

    url: str

    @property
    def spool_folder(self) -> Path:
        """Where files for ``land`` are written; exists, and holds nothing of dead processes."""
        ...

    def land(self, spool: Spool, key: str) -> None:
        """Puts the whole file under a key that is unique to the run; readers see all of it or nothing."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Creates the object, durably, unless the key exists; ``False`` if it does. Readers never see half of it."""
        ...

    def fetch(self, key: str, folder: Path) -> Path:
        """A local file with the object's bytes: the object itself where it is local, else a copy in ``folder``.

        Raises:
            FileNotFoundError: there is no such key.
        """
        ...

    def sizes(self, folder: str, after: str = "") -> Mapping[str, int]:
        """Sizes in bytes of the objects right below ``folder``, by name, those that sort after ``after``."""
        ...

    def remove(self, key: str) -> None:
        """Removes the object if it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as a listing shows it; ``key`` is relative to the landing's root, ``modified_at`` in UTC."""

    key: str
    size_bytes: int
    modified_at: datetime


class Inventory(Protocol):
    """What upkeep needs beside the port: to look at everything there is, named by a manifest or not."""

    def folders(self, folder: str) -> Sequence[str]:
        """The names of the folders right below ``folder``, sorted."""
        ...

    def objects(self, folder: str) -> Iterator[Stored]:
        """Every object anywhere below ``folder``, in no order worth relying on."""
        ...

    def prune(self, folder: str) -> None:
        """Removes the folder if nothing is in it and it is more than a part of names."""
        ...


class BucketStore:
    """A bucket, or a tree in memory, below a prefix.

    ``stranger`` opens the same bucket without credentials; ``lister`` is the same bucket as it can be listed.
    """

    def __init__(
        self,
        store: Store,
        url: str,
        prefix: str = "",
        stranger: Callable[[], Store] | None = None,
        lister: Store | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self._sleep = sleep
        self._store = store
        self._lister = lister or store
        self._stranger = stranger
        self._prefix = f"{prefix}/" if prefix else ""
        self._spool_folder: Path | None = None

    @property
    def spool_folder(self) -> Path:
        if self._spool_folder is None:
            with disk_errors("open spool folder", "the system's temporary folder"):
                folder = private_temporary_folder()
                sweep(folder)
            self._spool_folder = folder
        return self._spool_folder

    def land(self, spool: Spool, key: str) -> None:
        with _s3_errors("put landing file", self.url, key):
            obstore.put(
                self._store,
                self._prefix + key,
                spool.path,
                attributes={"sha256": spool.sha256},
                use_multipart=spool.size_bytes > SINGLE_PUT_BYTES_MAX,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

    def create(self, key: str, data: bytes) -> bool:
        """``False`` may mean that an attempt of this very call, whose reply was lost, created it: read it back."""
        for attempt in range(CREATE_TRIES):
            with _s3_errors("create", self.url, key):
                try:
                    obstore.put(self._store, self._prefix + key, data, mode="create")
                except AlreadyExistsError as error:
                    # 409: a write or delete of the key is under way, so nobody knows yet whether it will exist
                    # (S3 user guide, conditional writes). obstore calls that "exists" as well.
                    if s3_code(error) != "ConditionalRequestConflict":
                        return False
                else:
                    return True
            if attempt + 1 < CREATE_TRIES:
                self._sleep(CREATE_PAUSE_S * 2**attempt)
        cause = f"another write of it was under way, {CREATE_TRIES} times over"
        raise Transient("create", f"{self.url}/{key}", cause, "see that only one scheduler runs this pipeline")

    def fetch(self, key: str, folder: Path) -> Path:
        operation, path = "get landing file", folder / key
        with disk_errors(operation, str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _s3_errors(operation, self.url, key, absent_is_told=True):
            chunks = iter(obstore.get(self._store, self._prefix + key).stream(min_chunk_size=PART_BYTES))
        with disk_errors(operation, str(path)), path.open("wb") as file:
            while True:
                with _s3_errors(operation, self.url, key):
                    chunk = next(chunks, None)
                if chunk is None:
                    return path
                file.write(chunk)

    def sizes(self, folder: str, after: str = "") -> Mapping[str, int]:
        prefix = f"{self._prefix}{folder}/"
        found: dict[str, int] = {}
        with _s3_errors("list landing files", self.url, folder):
            for page in obstore.list(self._lister, prefix, offset=prefix + after if after else None):
                for entry in page:
                    name = entry["path"].removeprefix(prefix)
                    if "/" not in name:
                        found[name] = entry["size"]
        return found

    def folders(self, folder: str) -> Sequence[str]:
        prefix = f"{self._prefix}{folder}/"
        with _s3_errors("list landing folders", self.url, folder):
            found = obstore.list_with_delimiter(self._lister, prefix)["common_prefixes"]
        return sorted(name.removeprefix(prefix).rstrip("/") for name in found)

    def objects(self, folder: str) -> Iterator[Stored]:
        pages = iter(obstore.list(self._lister, f"{self._prefix}{folder}/"))
        while True:
            with _s3_errors("list landing files", self.url, folder):
                page = next(pages, None)
            if page is None:
                return
            for entry in page:
                yield Stored(entry["path"].removeprefix(self._prefix), entry["size"], entry["last_modified"])

    def prune(self, folder: str) -> None:
        """A bucket has no folders."""

    def remove(self, key: str) -> None:
        with _s3_errors("remove landing file", self.url, key), suppress(FileNotFoundError):
            obstore.delete(self._store, self._prefix + key)

    def anyone_can_read(self, key: str) -> bool | None:
        """Whether a request without a signature gets the object; ``None``: not asked, the store is on this machine."""
        if self._stranger is None:
            return None
        try:
            obstore.get(self._stranger(), self._prefix + key)
        except (BaseError, FileNotFoundError):
            return False
        return True


@contextmanager
def _s3_errors(operation: str, url: str, key: str, absent_is_told: bool = False) -> Iterator[None]:
    """``absent_is_told`` lets FileNotFoundError through when it is the key, not the bucket, that is missing."""
    try:
        yield
    except FileNotFoundError as error:
        if absent_is_told and s3_code(error) != "NoSuchBucket":
            raise
        raise s3_error(operation, f"{url}/{key}", error) from error
    except BaseError as error:
        raise s3_error(operation, f"{url}/{key}", error) from error
