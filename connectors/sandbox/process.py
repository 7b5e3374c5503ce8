"""The sandbox in a process of its own: for demos, benches and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from syncline.connectors.connector import Json
from syncline.connectors.sandbox.org import Org
from syncline.connectors.sandbox.server import SandboxServer

STOP_WAIT_S: Final = 10.0


def org_rows(rows: int | Mapping[str, int]) -> dict[str, int]:
    """How many records of which object: a number means Accounts, with half as many Opportunities and 1.5 times as
    many Contacts."""
    if isinstance(rows, int):
        return {"Account": rows, "Contact": rows * 3 // 2, "Opportunity": rows // 2}
    return dict(rows)


def serve(
    port: int,
    rows: int | Mapping[str, int] = 0,
    seed: int = 0,
    *,
    settings: Mapping[str, Json] | None = None,
    ready: Callable[[SandboxServer], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Seeds an org and serves it until ``stop`` is set or Ctrl-C; calls ``ready`` once requests are answered.

    Answers are not compressed unless ``settings`` has ``{"gzip": "asked"}``: on one machine gzip is mere work.
    """
    org = Org(seed=seed)
    org.seed(org_rows(rows))
    org.settings.gzip = "never"
    for name, value in (settings or {}).items():
        if not hasattr(org.settings, name):
            raise ValueError(f"no setting {name!r}")
        setattr(org.settings, name, value)
    with SandboxServer(org, port) as server:
        if ready is not None:
            ready(server)
        (stop or threading.Event()).wait()


@dataclass(slots=True)
class SandboxProcess:
    """A running sandbox; a context manager. ``control`` calls its control API."""

    url: str
    pid: int
    client_id: str
    client_secret: str
    _process: subprocess.Popen[str]

    def control(self, name: str, **arguments: Json) -> Json:
        """``POST /__sandbox__/<name>``; the call's result.

        Raises:
            ValueError: what the call refused.
        """
        import requests

        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(f"{self.url}/__sandbox__/{name}", json=arguments, timeout=600)
            told = answer.json()
        if answer.status_code != 200:
            raise ValueError(told.get("error", told) if isinstance(told, dict) else told)
        return told["result"]

    def cpu_s(self) -> float:
        """CPU seconds the process has used so far."""
        return float(self.control("cpu_s"))

    def stop(self) -> None:
        """Ends the process and waits for its end. Idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_process(
    rows: int | Mapping[str, int] = 0, seed: int = 0, *, port: int = 0, settings: Mapping[str, Json] | None = None
) -> SandboxProcess:
    """Starts a sandbox in a process of its own and waits until it answers. It ends with its parent.

    Raises:
        RuntimeError: it ended before it answered.
    """
    orders = json.dumps({"port": port, "rows": rows, "seed": seed, "settings": dict(settings or {})})
    command = [sys.executable, "-c", "from syncline.connectors.sandbox.process import child; child()", orders]
    # A session of its own: Ctrl-C in the parent's terminal is for the parent, which may still need the org.
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    line = process.stdout.readline() if process.stdout is not None else ""
    told = json.loads(line or '{"url": "", "client_id": "", "client_secret": ""}')
    running = SandboxProcess(told["url"], process.pid, told["client_id"], told["client_secret"], process)
    if not line:
        running.stop()
        raise RuntimeError(f"the sandbox process ended with code {process.returncode} before it answered")
    return running


def child() -> None:
    """The process's own side: serves, tells its address, and ends when its standard input does (the parent died)."""
    orders = json.loads(sys.argv[1])

    def watch() -> None:
        sys.stdin.read()
        os._exit(0)

    def ready(server: SandboxServer) -> None:
        told = {"url": server.url, "client_id": server.client_id, "client_secret": server.client_secret}
        print(json.dumps(told), flush=True)

    threading.Thread(target=watch, daemon=True).start()
    serve(orders["port"], orders["rows"], orders["seed"], settings=orders["settings"], ready=ready)
