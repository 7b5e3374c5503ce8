"""The port between a run and the processes that read slices for it: ``processes.py`` and ``dask_engine.py``."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Executor
from contextlib import AbstractContextManager
from typing import Protocol


class SliceLost(BrokenExecutor):
    """The engine gave an order to several workers by itself, and all of them were lost; the text says so."""


class Engine(Protocol):
    """Processes that work is handed to, through ``concurrent.futures.Executor``. Every method from any thread."""

    rereads: bool
    """Whether it may carry out an order twice without telling."""

    def executor(self) -> AbstractContextManager[Executor]:
        """One to submit an order to; opened at the first use. A lost worker shows as BrokenExecutor or CancelledError.

        Raises:
            Transient: it cannot be reached.
            SliceLost: an engine with ``rereads`` has tried several workers.
        """
        ...

    def alive(self) -> bool:
        """Whether what was submitted may still come to an end."""
        ...

    def abort(self) -> None:
        """Ends what is under way, soon; everything submitted from now on fails with BrokenExecutor."""
        ...

    def close(self) -> None:
        """Gives back what was opened; waits for nothing that matters."""
        ...
