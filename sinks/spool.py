"""Files being written: private until they are whole, and gone when their process dies.

A half-written file must never be taken for a landed one (SEALED-MANIFEST), and a process killed every five minutes
must not fill the disk. So a file is written in a spool folder under a name that no reader looks for, and its writer
holds a lock on it. The kernel gives the lock up when the process dies, however it dies, and the next process sweeps.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from syncline.connectors.errors import ConfigError, SynclineError

_SUFFIX = ".part"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EOPNOTSUPP}


class Spool:
    """A locked temporary file that hashes what is written to it; whole or nothing.

    A file object as far as ``pyarrow`` needs one. ``sha256`` and ``size_bytes`` are of the bytes handed in, so damage
    on the way to the disk shows when the file is read back. ``drop`` is idempotent and always called.
    """

    closed = False

    def __init__(self, folder: Path) -> None:
        self.size_bytes = 0
        self._hash = hashlib.sha256()
        self._dropped = False
        self._fd, self.path = _locked_file(folder)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        """Writes all of ``data``; once dropped, swallows it, so that a Parquet writer can still be closed."""
        view = memoryview(data).cast("B")
        length = view.nbytes
        if self._dropped:
            return length
        self._hash.update(view)
        self.size_bytes += length
        while view.nbytes:
            view = view[os.write(self._fd, view) :]
        return length

    def tell(self) -> int:
        return self.size_bytes

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """The bytes stay until they are landed or dropped."""

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def sync(self) -> None:
        """Returns when the bytes would survive a power loss."""
        os.fsync(self._fd)

    def drop(self) -> None:
        """Removes the temporary name and gives up the lock; a file landed under another name is untouched."""
        if self._dropped:
            return
        self._dropped = True
        self.path.unlink(missing_ok=True)
        os.close(self._fd)


def _locked_file(folder: Path) -> tuple[int, Path]:
    while True:
        fd, name = tempfile.mkstemp(suffix=_SUFFIX, dir=folder)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd, Path(name)
        os.close(fd)  # swept between its creation and its lock


def sweep(folder: Path) -> int:
    """Removes the files whose writers are dead and returns how many; a live process's files are left alone."""
    removed = 0
    for path in folder.glob(f"*{_SUFFIX}"):
        with suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed += 1
            except BlockingIOError:
                pass
            finally:
                os.close(fd)
    return removed


def private_temporary_folder() -> Path:
    """This user's spool folder below the system's temporary folder, closed to everyone else (NO-SECRETS)."""
    folder = Path(tempfile.gettempdir()) / f"syncline-spool-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(
            "open spool folder",
            str(folder),
            "it belongs to someone else or others may enter it",
            f"remove it, or set TMPDIR to a folder of your own, or run: chmod 700 {folder}",
        )
    return folder


@contextmanager
def disk_errors(operation: str, object: str) -> Iterator[None]:
    """Turns the operating system's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        raise disk_error(operation, object, error) from error


def disk_error(operation: str, object: str, error: OSError) -> SynclineError:
    cause = error.strerror or str(error)
    if error.errno in _FULL:
        hint = "free space or raise the quota or file size limit, then run again; nothing half-written was left behind"
        return SynclineError(operation, object, f"the disk is full: {cause}", hint)
    if error.errno in _FORBIDDEN:
        hint = "check the owner, permissions and file system of the folder, or choose another landing"
        return ConfigError(operation, object, cause, hint)
    return SynclineError(operation, object, cause, "check the disk and the system's log, then run again")
