"""Worker processes on this machine: what Python computes for two slices runs on two cores.

One ``ProcessPoolExecutor`` of one process for each slice under way, kept for the next one: a pool breaks as a whole
when one of its processes is lost, and the loss of one slice must not cost the others their work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager

EXIT_ORPHANED = 1


class Processes:
    """The engine of ``executor="processes"``. Processes start when slices come, one for each that is under way."""

    rereads = False

    def __init__(self) -> None:
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: list[ProcessPoolExecutor] = []
        self._lock = threading.Lock()
        self._aborted = False

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        pool = self._take()
        try:
            yield pool
        except BrokenExecutor:
            self._end(pool)
            raise
        except BaseException:
            self._give_back(pool)
            raise
        self._give_back(pool)

    def alive(self) -> bool:
        """A pool tells by itself when its process is lost."""
        return True

    def abort(self) -> None:
        with self._lock:
            self._aborted = True
            for pool in (*self._idle, *self._busy):
                _kill(pool)

    def close(self) -> None:
        with self._lock:
            pools, self._idle = self._idle, []
        for pool in pools:
            pool.shutdown(wait=False)  # all at once, then wait
        for pool in pools:
            pool.shutdown(wait=True)

    def _take(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._aborted:
                raise BrokenExecutor("broken off")
            # The last one given back: fewer processes sign in where slices come one after another.
            pool = self._idle.pop() if self._idle else _start()
            self._busy.append(pool)
            return pool

    def _give_back(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            self._busy.remove(pool)
            self._idle.append(pool)

    def _end(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            self._busy.remove(pool)
        pool.shutdown(wait=True)


def _start() -> ProcessPoolExecutor:
    """Spawned, not forked: the run has threads, and a fork of theirs would hold locks that nobody opens again."""
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=begin)
    pool.submit(os.getpid)  # starts the process now, under the caller's lock, so that abort finds it
    return pool


def _kill(pool: ProcessPoolExecutor) -> None:
    """Python 3.14 has ``kill_workers`` for this; before, the processes are reached the way it does."""
    for process in list((pool._processes or {}).values()):
        process.kill()


def begin() -> None:
    """A worker's first act. Ctrl-C on a terminal reaches every process of the group: the run decides what ends. A run
    that was killed takes its workers with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="syncline-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(EXIT_ORPHANED)
