"""A host that is not there: few attempts, and a text that a stranger understands."""

from __future__ import annotations

import socket

import pytest

from syncline.connectors.errors import Transient
from syncline.connectors.salesforce import Salesforce
from syncline.connectors.salesforce.settings import credentials_from
from syncline.connectors.salesforce.transport import Seams


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_signing_in_to_nobody_is_tried_five_times_and_not_five_times_five_bounded() -> None:
    environ = {
        "SALESFORCE_INSTANCE_URL": f"http://127.0.0.1:{closed_port()}",
        "SALESFORCE_CLIENT_ID": "id",
        "SALESFORCE_CLIENT_SECRET": "word",
    }
    waits: list[float] = []
    credentials, _ = credentials_from(environ)
    with pytest.raises(Transient) as caught:
        Salesforce(credentials, seams=Seams(sleep=waits.append)).horizon()
    assert len(waits) == 4
    assert caught.value.cause == "no connection: Connection refused; gave up after 5 attempts"
    assert "SALESFORCE_INSTANCE_URL" in caught.value.hint
