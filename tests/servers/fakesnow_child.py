"""fakesnow and moto in a process of their own: ``python -m tests.servers.fakesnow_child``.

Prints one line of JSON with both addresses when they answer; ends with its standard input or with SIGTERM. fakesnow
binds the versions of half a dozen libraries and replaces functions of the driver, so it never shares a process with
the code under test.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
import threading
from dataclasses import asdict

import uvicorn
from moto.server import ThreadedMotoServer
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.servers import fakesnow_patches, fakesnow_speed, fakesnow_transactions
from tests.servers.fakesnow_files import Objects
from tests.servers.fakesnow_login import Login, Users
from tests.servers.fakesnow_patches import fake_server
from tests.servers.fakesnow_wire import Fault, Wire


class Control:
    """What tests ask of the stand-in itself, outside Snowflake's protocol."""

    def __init__(self, users: Users, wire: Wire) -> None:
        self._users, self._wire = users, wire

    async def users(self, request: Request) -> JSONResponse:
        self._users.add(await request.json())
        return JSONResponse({})

    async def faults(self, request: Request) -> JSONResponse:
        self._wire.faults.append(Fault(**await request.json()))
        return JSONResponse({})

    async def drop(self, request: Request) -> JSONResponse:
        """DROP DATABASE, which fakesnow does not know; memory would grow with the tests."""
        for name in await request.json():
            fake_server.shared_fs.duck_conn.cursor().execute(f'DETACH "{name}"')
        return JSONResponse({})

    async def reset(self, request: Request) -> JSONResponse:
        left = [asdict(fault) for fault in self._wire.faults if fault.times > 0]
        self._wire.faults.clear()
        self._wire.sent.clear()
        self._wire.answered.clear()
        self._users.logins.clear()
        return JSONResponse(left)

    async def seen(self, request: Request) -> JSONResponse:
        return JSONResponse({"statements": self._wire.sent, "logins": self._users.logins})


def start_s3() -> str:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    fake_server.shared_fs.duck_conn.register_filesystem(Objects())
    return endpoint


def build() -> Wire:
    fakesnow_patches.apply()
    fakesnow_speed.apply()
    fakesnow_transactions.apply(fakesnow_transactions.Transactions())
    users = Users()
    login = Login(users)
    wire = Wire(fake_server.app)
    control = Control(users, wire)
    routes = fake_server.app.router.routes
    routes[:] = [each for each in routes if getattr(each, "path", "") != "/session/v1/login-request"]
    routes += [
        Route("/session/v1/login-request", login.login, methods=["POST"]),
        Route("/session/token-request", login.renew, methods=["POST"]),
        Route("/oauth/token-request", login.token, methods=["POST"]),
        Route("/_test/users", control.users, methods=["POST"]),
        Route("/_test/faults", control.faults, methods=["POST"]),
        Route("/_test/drop", control.drop, methods=["POST"]),
        Route("/_test/reset", control.reset, methods=["POST"]),
        Route("/_test/seen", control.seen, methods=["GET"]),
    ]
    return wire


def main() -> None:
    endpoint = start_s3()
    # asyncio switches Nagle's delay off only for sockets that name their protocol; it costs 40 ms a statement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    config = uvicorn.Config(build(), log_level="critical", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    fake_server.logger.setLevel(logging.CRITICAL)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    print(json.dumps({"port": listening.getsockname()[1], "s3": endpoint}), flush=True)
    threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
    ended.wait()
    server.should_exit = True
    thread.join(timeout=5)


def _wait_for_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    main()
