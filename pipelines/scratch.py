"""Temporary folders of commands that hold a lease: what a killed one left is removed by the next holder."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncline.pipelines.pipeline import Pipeline


@contextmanager
def scratch(purpose: str, pipeline: Pipeline) -> Iterator[Path]:
    """A folder that this process alone may enter, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=_prefix(purpose, pipeline)) as folder:
        yield Path(folder)


def remove_left(purpose: str, pipeline: Pipeline, but: Path) -> None:
    """Removes this user's folders for the same purpose, ``but`` one. The caller holds the lease that lets no other
    process of this pipeline work in them. At its best effort: what stays, stays for the next one."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix(purpose, pipeline)}*"):
        if folder != but and not folder.is_symlink() and folder.stat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)


def _prefix(purpose: str, pipeline: Pipeline) -> str:
    """Of this pipeline into this warehouse: a machine may run several of one name."""
    whose = f"{pipeline.name}\n{pipeline.warehouse.place}"
    return f"syncline-{purpose}-{hashlib.sha256(whose.encode()).hexdigest()[:12]}-"
