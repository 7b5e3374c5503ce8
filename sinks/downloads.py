"""Where a warehouse brings landed files that it cannot read where they lie, and how they go away again."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path


class Downloads:
    """One run's folder within ``root``, named by process, so that the folders of dead runs are known as such.

    ``root`` is ``None`` for the system's temporary folder, which looks after itself.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._folder: Path | None = None

    def folder(self) -> Path:
        """The run's own folder, made when first asked for."""
        if self._folder is None:
            if self._root is not None:
                self._root.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._root))
        return self._folder

    def discard(self) -> None:
        """Removes the run's own folder, and the root once it is empty."""
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            if self._root is not None:
                with suppress(OSError):
                    self._root.rmdir()

    def discard_dead(self) -> None:
        """Removes the folders of other processes; the caller knows that none of them is at work."""
        for folder in self._root.glob("*-*") if self._root is not None else ():
            if not folder.name.startswith(f"{os.getpid()}-"):
                shutil.rmtree(folder, ignore_errors=True)
