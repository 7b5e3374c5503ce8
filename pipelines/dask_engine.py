"""Workers of a dask cluster: slices of one run on many machines, through dask.distributed's own ``Executor``.

The scheduler gives the tasks of a worker that it lost to another without telling, so an order may be carried out twice;
of a task it knows one result. What a run gives to it is words (``worker.Order``); rows go from source to landing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from syncline.connectors.errors import ConfigError, Transient
from syncline.pipelines.engine import SliceLost

if TYPE_CHECKING:
    from distributed import Client

SCHEME: Final = "dask://"
CONNECT_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 5.0


def address_of(executor: str) -> str:
    """The scheduler's ``host:port`` in ``dask://host:port``; looks at nothing but the text.

    Raises:
        ConfigError: it is no such address, or dask.distributed is not installed.
    """
    parts = urlsplit(executor)
    try:
        port = parts.port
    except ValueError:
        port = None
    rest = (parts.path, parts.query, parts.fragment, parts.username, parts.password)
    if not executor.startswith(SCHEME) or not parts.hostname or port is None or any(rest):
        hint = 'write it as "dask://host:8786"; certificates are dask\'s own settings'
        raise ConfigError("read pipeline", "setting executor", "it is not a scheduler's host and port", hint)
    if find_spec("distributed") is None:
        hint = "pip install 'syncline[dask]', the same version for the run and the workers"
        raise ConfigError("read pipeline", "setting executor", "it needs dask.distributed, which is missing", hint)
    return parts.netloc


class Dask:
    """The engine of ``executor="dask://host:port"``. Connects when the first slice comes."""

    rereads = True

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Client | None = None
        self._executor: Executor | None = None
        self._lock = threading.Lock()
        self._aborted = False

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        from distributed import KilledWorker

        executor = self._connected()
        try:
            yield executor
        except KilledWorker as error:
            count = error.allowed_failures + 1
            raise SliceLost(f"{count} workers were lost while reading it, {error.last_worker.address} last") from None
        except RuntimeError as error:
            if self._aborted and not isinstance(error, BrokenExecutor):  # submitted after the executor was shut down
                raise BrokenExecutor("broken off") from error
            raise

    def alive(self) -> bool:
        """A client that connects anew has given up what was submitted before, and may never say so."""
        client = self._client
        return client is not None and client.status == "running"

    def abort(self) -> None:
        """Takes back what no worker has begun; what one is reading it reads to its end, for nothing."""
        with self._lock:
            self._aborted = True
            executor = self._executor if self.alive() else None  # a client that is closed says so by raising
        if executor is not None:
            executor.shutdown(wait=False)

    def close(self) -> None:
        with self._lock:
            client, self._client, self._executor = self._client, None, None
        if client is not None:
            client.close(timeout=CLOSE_TIMEOUT_S)

    def _connected(self) -> Executor:
        with self._lock:
            if self._aborted:
                raise BrokenExecutor("broken off")
            if self._client is not None and not self.alive():  # the scheduler was lost
                self._client.close(timeout=CLOSE_TIMEOUT_S)
                self._client = self._executor = None
            if self._executor is None:
                self._client = self._connect()
                # Not pure: an order given again is a task of its own, never an answer from before.
                self._executor = self._client.get_executor(pure=False)
            return self._executor

    def _connect(self) -> Client:
        from distributed import Client

        try:
            # Without a scheme, dask's own settings say whether it is TCP or TLS.
            return Client(self._address, timeout=CONNECT_TIMEOUT_S, set_as_default=False, name="syncline")
        except (OSError, TimeoutError) as error:
            cause = f"no dask scheduler answers: {type(error).__name__}"
            hint = "start `dask scheduler`, or correct the address in the pipeline's `executor`"
            raise Transient("connect to workers", f"{SCHEME}{self._address}", cause, hint) from error
