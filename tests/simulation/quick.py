"""Thousands of short lives in one process: garbage is collected less often, small files are kept in memory, and a
thread goes on until it hands over."""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SWITCH_S = 0.5
"""Threads take turns by themselves (``turns.py``); that the interpreter makes them costs a seventh of the time."""


@contextmanager
def quick() -> Iterator[None]:
    """A third of the time is saved; what a simulation does is the same."""
    folder, thresholds, switch_s = tempfile.tempdir, gc.get_threshold(), sys.getswitchinterval()
    if Path("/dev/shm").is_dir():
        tempfile.tempdir = "/dev/shm"
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        tempfile.tempdir = folder
        sys.setswitchinterval(switch_s)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
