"""Connections that can be broken from another thread, so that Ctrl-C ends a read that hangs.

``requests`` has no such thing: closing a session leaves sockets in use alone. Here every socket is known from the
moment it is connected, and ``cut`` shuts them down, which ends a blocked read at once.
"""

from __future__ import annotations

import contextlib
import socket
from threading import Lock
from typing import Any, Final
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

CONNECTIONS_MAX: Final = 16


class Sockets:
    """The sockets that are open, as far as anybody still holds them. Once ``cut``, none is ever usable again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: WeakSet[socket.socket] = WeakSet()
        self._cut = False

    def add(self, opened: socket.socket) -> None:
        with self._lock:
            self._open.add(opened)
            late = self._cut
        if late:
            # It was being connected while the others were cut; its request would hang as long as the server likes.
            _shut(opened)

    def in_use(self) -> bool:
        with self._lock:
            return any(each.fileno() != -1 for each in self._open)

    def cut(self) -> None:
        with self._lock:
            self._cut = True
            sockets = list(self._open)
        for each in sockets:
            _shut(each)


def _shut(opened: socket.socket) -> None:
    # Not the TLS object's own shutdown, which takes the TLS state from under the thread that reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


class CuttableAdapter(HTTPAdapter):
    """An adapter whose connections enter ``sockets``. Retries are not its business."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        super().__init__(pool_connections=4, pool_maxsize=CONNECTIONS_MAX, max_retries=0, pool_block=False)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        self._watch(manager)
        return manager

    def _watch(self, manager: PoolManager) -> None:
        sockets = self._sockets

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                if self.sock is not None:
                    sockets.add(self.sock)

        class Tls(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                if self.sock is not None:
                    sockets.add(self.sock)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class TlsPool(HTTPSConnectionPool):
            ConnectionCls = Tls

        manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}


def open_session(sockets: Sockets) -> requests.Session:
    """A session without cookies and without retries of its own; proxies and CA bundles come from the environment."""
    from http.cookiejar import DefaultCookiePolicy

    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, CuttableAdapter(sockets))
    return session
