"""Several reads in one request (REST API guide, Composite), which counts as one call toward the org's limit.

Composite Batch would not save any: there each sub-request counts for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from syncline.connectors.connector import Json
from syncline.connectors.salesforce.faults import Faulted, Refused, Throttled
from syncline.connectors.salesforce.transport import RESULT_TIMEOUT_S, Call, Transport

TOGETHER_MAX: Final = 25
QUERIES_MAX: Final = 5
"""Sub-requests of one request, and how many of them may be queries (REST API guide, Composite)."""


def address(path: str, params: Mapping[str, str]) -> str:
    """A read as a sub-request writes it: the path from ``/services`` on, with its query."""
    return f"{path}?{urlencode(params)}"


def ask_together(transport: Transport, operation: str, object: str, addresses: Sequence[str]) -> list[Json] | None:
    """What stands at each address, in order; ``None`` in the place of whatever is not a plain success: asked for alone
    it says why. ``None`` for all where the org does not answer in this way: it does not know it, or takes too long.

    Raises:
        As ``Transport.fetch_json``, but for ``Refused``, ``Faulted`` and ``Throttled``.
    """
    asked = [{"method": "GET", "url": each, "referenceId": f"r{at}"} for at, each in enumerate(addresses)]
    body: Json = {"allOrNone": False, "compositeRequest": asked}
    path, long_s = transport.data_path("composite"), RESULT_TIMEOUT_S
    call = Call(operation, object, path, method="POST", body=body, read_timeout_s=long_s)
    try:
        answers = transport.fetch_json(call)["compositeResponse"]
    except (Refused, Faulted, Throttled):
        return None
    bodies = {each["referenceId"]: each["body"] for each in answers if each["httpStatusCode"] == 200}
    return [bodies.get(each["referenceId"]) for each in asked]
