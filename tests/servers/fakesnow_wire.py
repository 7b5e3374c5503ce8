"""Between driver and stand-in: replies that get lost, sessions that end, and requests that are answered once.

Snowflake answers a repeated request of the same id with the first one's result; so does this. A fault is armed with a
pattern of the statement, how often it strikes, and what it does:

``refuse``        the statement is not run; the reply has the fault's code
``end``           the same, and the session is gone, with its transaction
``lose-request``  the statement is not run and no reply comes
``lose-reply``    the statement is run and no reply comes
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.servers.fakesnow_patches import fake_server

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

QUERY = "/queries/v1/query-request"


@dataclass
class Fault:
    pattern: str
    kind: str
    code: str = "390114"
    times: int = 1


@dataclass
class Wire:
    """The application in front of fakesnow's; ``sent`` holds every statement that arrived."""

    app: App
    faults: list[Fault] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    answered: dict[str, list[Message]] = field(default_factory=dict)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != QUERY:
            await self.app(scope, receive, send)
            return
        body = await _whole(receive)
        request_id = parse_qs(scope["query_string"].decode()).get("requestId", [""])[0]
        headers = dict(scope["headers"])
        plain = gzip.decompress(body) if headers.get(b"content-encoding") == b"gzip" else body
        statement = json.loads(plain)["sqlText"]
        fault = self._fault(statement)
        if fault is not None and fault.kind in ("refuse", "end"):
            if fault.kind == "end":
                fake_server.sessions.pop(headers[b"authorization"].decode()[17:-1], None)
            await _reply(send, {"success": False, "code": fault.code, "message": "refused for a test", "data": {}})
            return
        if fault is not None and fault.kind == "lose-request":
            await _cut(send)
            return
        if request_id not in self.answered:
            self.sent.append(statement)
            self.answered[request_id] = await self._run(scope, body)
        if fault is not None:
            await _cut(send)
            return
        for message in self.answered[request_id]:
            await send(message)

    def _fault(self, statement: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.pattern, statement, re.IGNORECASE):
                fault.times -= 1
                return fault
        return None

    async def _run(self, scope: MutableMapping[str, Any], body: bytes) -> list[Message]:
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        return messages


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _reply(send: Send, document: object) -> None:
    body = json.dumps(document).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


async def _cut(send: Send) -> None:
    """A reply that promises more than it holds: the server drops the connection after it."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
