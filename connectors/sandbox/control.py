"""The control API: the org's control methods as JSON over HTTP, for tests and trials in another process.

``POST /__sandbox__/<method>`` with the method's arguments as a JSON object; the answer is ``{"result": ...}``, or 400
with ``{"error": ...}``. ``GET`` works for methods without arguments. Instants are ISO texts. ``snapshot`` answers an
Arrow IPC stream. A transaction is named by its number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from syncline.connectors.connector import Json
from syncline.connectors.sandbox.bulk import JobPlan
from syncline.connectors.sandbox.http import ApiError, Request, Response, json_response
from syncline.connectors.sandbox.records import Locked
from syncline.connectors.sandbox.schema import Field
from syncline.connectors.sandbox.soql import SoqlError

_PLAIN: Final = frozenset({
    "advance", "seed", "insert", "update", "delete", "hard_delete", "undelete", "merge", "purge", "restamp", "ids",
    "count", "drop_field", "rename_field", "retype_field", "hide_field", "hide_object", "hide_records",
    "rename_picklist_value",
    "inject", "clear_faults", "jobs", "set_quota", "api_calls_used", "revoke_sessions", "limit_session_calls",
    "access_token", "thaw", "now",
})  # fmt: skip


def control(org: Any, request: Request) -> Response:
    """Runs one control call on the org."""
    name = request.path.split("/")[2]
    try:
        arguments = request.json() if request.body else {}
        if name == "snapshot":
            return _arrow(org.snapshot(**arguments))
        return json_response({"result": _told(_call(org, name, arguments))})
    except ApiError as error:
        return error.response()
    except (ValueError, TypeError, KeyError, Locked, SoqlError) as error:
        return json_response({"error": f"{type(error).__name__}: {error}"}, 400)


def _call(org: Any, name: str, arguments: dict[str, Json]) -> object:
    if name in _SPECIAL:
        return _SPECIAL[name](org, arguments)
    if name not in _PLAIN:
        raise ValueError(f"no control call {name!r}; known: {', '.join(sorted(_PLAIN | set(_SPECIAL)))}")
    if arguments.get("transaction") is not None:
        arguments["transaction"] = org.transaction(arguments["transaction"])
    return getattr(org, name)(**arguments)


def _instant(arguments: Mapping[str, Json], key: str) -> datetime | None:
    return datetime.fromisoformat(arguments[key]) if arguments.get(key) else None


def _set(org: Any, arguments: Mapping[str, Json]) -> None:
    for name, value in arguments.items():
        target, _, inner = name.partition(".")
        holder, key = (getattr(org.settings, target), inner) if inner else (org.settings, name)
        if not hasattr(holder, key):
            raise ValueError(f"no setting {name!r}")
        setattr(holder, key, tuple(value) if isinstance(value, list) else value)


def _log(org: Any, arguments: Mapping[str, Json]) -> list[Json]:
    after = int(arguments.get("after", 0))
    return [asdict(entry) for entry in org.log.entries if entry.number > after]


_SPECIAL: Final[Mapping[str, Callable[[Any, dict[str, Json]], object]]] = {
    "ping": lambda org, a: "pong",
    "cpu_s": lambda org, a: time.process_time(),
    "freeze": lambda org, a: org.freeze(_instant(a, "at")),
    "trim_delete_log": lambda org, a: org.trim_delete_log(a["object"], _instant(a, "before")),
    "add_field": lambda org, a: org.add_field(a["object"], _field(a["field"]), a.get("value")),
    "begin": lambda org, a: org.begin().number,
    "commit": lambda org, a: org.commit(org.transaction(a["transaction"])),
    "roll_back": lambda org, a: org.roll_back(org.transaction(a["transaction"])),
    "plan_job": lambda org, a: org.plan_job(JobPlan(**a)),
    "faults": lambda org, a: {str(number): asdict(fault) for number, fault in org.faults().items()},
    "settings": _set,
    "log": _log,
    "clear_log": lambda org, a: org.log.clear(),
    "totals": lambda org, a: org.log.totals(),
    "move": lambda org, a: setattr(org, "instance_url", a["instance_url"]),
}


def _field(given: Json) -> Field:
    attributes: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    return Field(**attributes)


def _told(result: object) -> Json:
    return result.isoformat() if isinstance(result, datetime) else result


def _arrow(table: pa.Table) -> Response:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(200, {"Content-Type": "application/vnd.apache.arrow.stream"}, (memoryview(sink.getvalue()),))
