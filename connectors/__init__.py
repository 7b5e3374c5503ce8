"""How to read a source: the port and its values, the errors, and the connectors that ship.

Names are loaded when first used, so that importing this package imports no vendor's library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from syncline.connectors.errors import (
    ConfigError,
    CountMismatch,
    DataError,
    Guarded,
    QuotaReached,
    SignInError,
    SourceBusy,
    Stopped,
    SynclineError,
    Transient,
    ValueOutOfType,
)
from syncline.connectors.secret import Secret

if TYPE_CHECKING:
    from syncline.connectors.connector import (
        BATCH_ROWS_MAX,
        Batch,
        Connector,
        Extraction,
        Forecast,
        Slice,
        StreamSchema,
        Window,
    )
    from syncline.connectors.dlt_source import DltSource
    from syncline.connectors.records import Records
    from syncline.connectors.salesforce import Salesforce

__all__ = [
    "BATCH_ROWS_MAX",
    "Batch",
    "ConfigError",
    "Connector",
    "CountMismatch",
    "DataError",
    "DltSource",
    "Extraction",
    "Forecast",
    "Guarded",
    "QuotaReached",
    "Records",
    "Salesforce",
    "Secret",
    "SignInError",
    "Slice",
    "SourceBusy",
    "Stopped",
    "StreamSchema",
    "SynclineError",
    "Transient",
    "ValueOutOfType",
    "Window",
]

_SHIPPED = {
    "DltSource": "syncline.connectors.dlt_source",
    "Records": "syncline.connectors.records",
    "Salesforce": "syncline.connectors.salesforce",
}
"""The registry: a connector is one line here."""


_PORT = "syncline.connectors.connector"
_OF_THE_PORT = (
    "BATCH_ROWS_MAX", "Batch", "Connector", "Extraction", "Forecast", "Slice", "StreamSchema", "Window",
)  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _OF_THE_PORT:  # late, because the port imports pyarrow, which the command's --help has no use for
        return getattr(import_module(_PORT), name)
    if name in _SHIPPED:
        return getattr(import_module(_SHIPPED[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
