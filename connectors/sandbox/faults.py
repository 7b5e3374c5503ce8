"""Faults that tests inject: matched by method, path pattern and nth call, struck a set number of times.

Where a fault strikes matters: ``before`` the work (the request had no effect), or ``after`` it (the server did the
work, the answer is lost or spoilt).
"""

from __future__ import annotations

import fnmatch
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from syncline.connectors.sandbox.http import Request, Response

FaultKind: TypeAlias = Literal[
    "error", "slow", "stall", "reset_before", "reset_after", "reset_in_body", "no_terminator", "truncate_half",
    "truncate_row_edge", "truncate_mid_row", "truncate_in_quotes", "gzip_trailer", "fewer_rows", "duplicate_page",
    "wrong_count", "no_count", "expire_session", "revoke_session",
]  # fmt: skip
KINDS: Final = get_args(FaultKind)
_BEFORE: Final = frozenset({"error", "reset_before", "expire_session", "revoke_session"})
ALWAYS: Final = 1_000_000_000


@dataclass(slots=True)
class Fault:
    """One plan of failure.

    ``kind``:

    * ``error``: answer ``status`` with ``body`` (a text, or JSON) and ``headers`` instead of doing the work;
    * ``slow``: wait ``delay_s`` first; ``stall``: send half the body, wait ``delay_s``, send the rest;
    * ``reset_before``, ``reset_after``: the connection dies before, or after, the work was done; no answer arrives;
    * ``reset_in_body``: headers and half the body arrive, then the connection dies; ``no_terminator``: the whole body
      but for the end mark of chunked encoding;
    * ``truncate_half`` (any byte), ``truncate_row_edge``, ``truncate_mid_row``, ``truncate_in_quotes`` (CSV): a
      well-formed 200 whose body is cut; ``gzip_trailer``: gzip without its last 8 bytes;
    * ``fewer_rows``: the last ``rows`` records are missing, everything else is whole, counts unchanged;
    * ``duplicate_page``: the page before comes again in place of this one; on a first page nothing happens;
    * ``wrong_count``, ``no_count``: ``Sforce-NumberOfRecords`` is off by one, or missing;
    * ``expire_session``: the token used is expired from now on; ``revoke_session``: all tokens are.

    ``method`` ``*`` is any; ``path`` is a shell pattern over the path without the query string. The fault strikes from
    the ``nth`` matching call on (1 is the first), ``times`` times.
    """

    kind: FaultKind
    method: str = "*"
    path: str = "*"
    nth: int = 1
    times: int = 1
    status: int = 500
    body: object = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    rows: int = 1
    seen: int = 0
    struck: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault of kind {self.kind!r}; known: {', '.join(KINDS)}")

    @property
    def before(self) -> bool:
        return self.kind in _BEFORE

    def strikes(self, request: Request) -> bool:
        """Counts a matching call and says whether this one is hit."""
        if self.method not in ("*", request.method) or not fnmatch.fnmatchcase(request.path, self.path):
            return False
        self.seen += 1
        if self.seen < self.nth or self.struck >= self.times:
            return False
        self.struck += 1
        return True

    def error_response(self) -> Response:
        if isinstance(self.body, str):
            text, kind = self.body, "text/html;charset=UTF-8"
        else:
            text, kind = json.dumps(self.body), "application/json;charset=UTF-8"
        headers = {"Content-Type": kind, **self.headers} if text else dict(self.headers)
        return Response(self.status, headers, (text.encode(),))


class FaultPlan:
    """The faults in force, in the order they were injected; all that match a call strike it."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._numbers = itertools.count(1)

    def add(self, fault: Fault) -> int:
        number = next(self._numbers)
        self._faults[number] = fault
        return number

    def clear(self) -> None:
        self._faults.clear()

    def strikers(self, request: Request) -> list[Fault]:
        return [fault for fault in self._faults.values() if fault.strikes(request)]

    def holds(self, kind: FaultKind) -> bool:
        return any(fault.kind == kind for fault in self._faults.values())

    def report(self) -> dict[int, Fault]:
        return dict(self._faults)


def spoil(fault: Fault, response: Response) -> Response:
    """The answer as the fault lets it arrive."""
    match fault.kind:
        case "slow":
            response.delay_s += fault.delay_s
        case "stall":
            response.stall_s += fault.delay_s
        case "reset_after":
            response.breakage = "reset"
        case "reset_in_body":
            body = response.content()
            response.body, response.breakage = (body[: len(body) // 2],), "reset_in_body"
        case "no_terminator":
            response.breakage = "no_terminator"
        case "wrong_count":
            held = int(response.headers.get("Sforce-NumberOfRecords", "0"))
            response.headers["Sforce-NumberOfRecords"] = str(held + 1)
        case "no_count":
            response.headers.pop("Sforce-NumberOfRecords", None)
        case "truncate_half" | "truncate_row_edge" | "truncate_mid_row" | "truncate_in_quotes":
            response.body = (_cut(fault.kind, response.content()),)
        case "fewer_rows":
            response.body = (_fewer(response.content(), fault.rows),)
    return response


def _row_ends(body: bytes) -> list[int]:
    """Where each CSV record ends, newlines inside quotes left aside."""
    ends, inside = [], False
    for at, byte in enumerate(body):
        if byte == 0x22:
            inside = not inside
        elif byte == 0x0A and not inside:
            ends.append(at + 1)
    return ends


def _cut(kind: FaultKind, body: bytes) -> bytes:
    if kind == "truncate_half" or body[:1] in (b"{", b"["):
        return body[: len(body) // 2]
    ends = _row_ends(body)
    middle = ends[len(ends) // 2 - 1] if len(ends) > 2 else ends[0]
    if kind == "truncate_row_edge":
        return body[:middle]
    if kind == "truncate_mid_row":
        return body[: body.index(b'",', middle) + 2] if b'",' in body[middle:] else body[:middle]
    return body[: middle + 4]


def _fewer(body: bytes, rows: int) -> bytes:
    if body[:1] == b"{":
        page = json.loads(body)
        page["records"] = page["records"][: max(0, len(page["records"]) - rows)]
        return json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode()
    ends = _row_ends(body)
    return body[: ends[max(0, len(ends) - 1 - rows)]]
