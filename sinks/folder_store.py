"""A local folder as a landing.

Not through obstore, which writes local files without syncing them: a sealed manifest and the files it names must
survive a power loss (SEALED-MANIFEST), and a file written inside the root is landed by a name, not by a second copy.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from syncline.connectors.errors import DataError
from syncline.sinks.spool import Spool, disk_errors, sweep

if TYPE_CHECKING:
    from syncline.sinks.object_store import Stored

SPOOL_NAME = ".writing"


class FolderStore:
    """Objects are files below ``root``; they are synced before they get their name, their folders afterwards.

    Folders that are missing are created; the root for its owner alone, since it holds customers' records.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        self._spool_folder: Path | None = None

    @property
    def spool_folder(self) -> Path:
        if self._spool_folder is None:
            folder = self.root / SPOOL_NAME
            with disk_errors("open landing", self.url):
                create_folders(self.root, mode=0o700)
                create_folders(folder)
                sweep(folder)
            self._spool_folder = folder
        return self._spool_folder

    def land(self, spool: Spool, key: str) -> None:
        path = self.root / key
        with disk_errors("land file", str(path)):
            try:
                _link(spool, path)
            except FileExistsError:
                cause = "SEALED-MANIFEST: landed files are immutable, and this one exists already"
                raise DataError("land file", str(path), cause, "look for what else writes into the landing") from None

    def create(self, key: str, data: bytes) -> bool:
        path = self.root / key
        with disk_errors("create", str(path)), _spooled(self.spool_folder) as spool:
            spool.write(data)
            try:
                _link(spool, path)
            except FileExistsError:
                return False
            return True

    def fetch(self, key: str, folder: Path) -> Path:
        path = self.root / key
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def sizes(self, folder: str, after: str = "") -> Mapping[str, int]:
        path = self.root / folder
        with disk_errors("list landing files", str(path)):
            if not path.is_dir():
                return {}
            with os.scandir(path) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.is_file() and entry.name > after}

    def folders(self, folder: str) -> Sequence[str]:
        path = self.root / folder
        with disk_errors("list landing folders", str(path)):
            return sorted(entry.name for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []

    def objects(self, folder: str) -> Iterator[Stored]:
        from syncline.sinks.object_store import Stored

        with disk_errors("list landing files", str(self.root / folder)):
            for path in (self.root / folder).rglob("*"):
                with suppress(FileNotFoundError):  # removed while the folder was being read
                    status = path.stat()
                    if stat.S_ISREG(status.st_mode):
                        modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
                        yield Stored(path.relative_to(self.root).as_posix(), status.st_size, modified_at)

    def prune(self, folder: str) -> None:
        with suppress(OSError):  # something is in it, or it is gone already
            (self.root / folder).rmdir()

    def remove(self, key: str) -> None:
        with disk_errors("remove landing file", str(self.root / key)):
            (self.root / key).unlink(missing_ok=True)


@contextmanager
def _spooled(folder: Path) -> Iterator[Spool]:
    spool = Spool(folder)
    try:
        yield spool
    finally:
        spool.drop()


def _link(spool: Spool, path: Path) -> None:
    """Gives the whole, synced file its name, atomically, unless the name is taken."""
    spool.sync()
    create_folders(path.parent)
    os.link(spool.path, path)
    sync_folder(path.parent)


def create_folders(folder: Path, mode: int = 0o777) -> None:
    """Creates what is missing of the path so that it survives a power loss."""
    if folder.is_dir():
        return
    create_folders(folder.parent, mode)
    folder.mkdir(mode=mode, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
