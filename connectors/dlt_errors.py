"""What a dlt resource raises, as errors of ours: told apart by the first cause, shown without secrets (NO-SECRETS).

dlt wraps whatever a generator raises, so the cause is looked for along the chain. The new error does not show that
chain: a vendor's exception holds the request, and with it keys in the address.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from syncline.connectors.errors import ConfigError, SignInError, SourceBusy, SynclineError, Transient
from syncline.connectors.secret import scrub

CAUSE_CHARS_MAX = 500

_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?:[^\s/@'\"]*@)?(?P<place>[^\s?'\"]*)(?:\?[^\s'\"]*)?", re.I)
_QUERY = re.compile(r"(?P<path>/[^\s?'\"]*)\?[^\s'\"]+")
_BUSY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_TRANSIENT_SQL = frozenset({"OperationalError", "InterfaceError", "DisconnectionError"})
"""Errors of that name in any database driver (PEP 249), and of SQLAlchemy's pool."""


@contextmanager
def translated(operation: str, object: str) -> Iterator[None]:
    """Turns what dlt raises inside into an error of ours; errors of ours pass as they are."""
    try:
        yield
    except _foreign_errors() as error:
        raise _failure(operation, object, error) from None


def shown(error: BaseException) -> str:
    """The error's text without the parts of addresses that hold secrets."""
    text = _ADDRESS.sub(lambda found: f"{found['scheme']}{found['place']}", f"{type(error).__name__}: {error}")
    text = scrub(_QUERY.sub(lambda found: found["path"], text))
    return text if len(text) <= CAUSE_CHARS_MAX else f"{text[:CAUSE_CHARS_MAX]}..."


def _foreign_errors() -> tuple[type[Exception], ...]:
    """What dlt, the libraries under its sources and a user's own functions raise; a bug in Syncline is not among it."""
    from dlt.common.exceptions import DltException

    database = sys.modules.get("sqlalchemy.exc")
    found = (DltException, OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ImportError)
    return found if database is None else (*found, database.SQLAlchemyError)


def _failure(operation: str, object: str, error: BaseException) -> SynclineError:
    chain = list(_chain(error))
    ours = next((each for each in chain if isinstance(each, SynclineError)), None)
    if ours is not None:
        return ours
    first = chain[-1]
    statuses = [status for status in map(_status_of, chain) if status is not None]
    if statuses:
        return _refusal(operation, object, statuses[-1], shown(first))
    if isinstance(first, FileNotFoundError | PermissionError | ImportError) or _is_setting(chain):
        return ConfigError(operation, object, shown(first), "see the resource's settings")
    if isinstance(first, OSError) or any(type(each).__name__ in _TRANSIENT_SQL for each in chain):
        return Transient(operation, object, shown(first), "run again; if it stays, see whether the source is up")
    return SynclineError(operation, object, shown(first), "the dlt resource failed; run it alone to see its traceback")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _status_of(error: BaseException) -> int | None:
    """The HTTP status of a failed request; closes its response, whose unread body would hold the connection."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if response is None or not isinstance(status, int):
        return None
    response.close()
    return status


def _refusal(operation: str, object: str, status: int, cause: str) -> SynclineError:
    if status == 401:
        return SignInError(operation, object, cause, "check the credentials given to the dlt source")
    if status in _BUSY_STATUS:
        return SourceBusy(operation, object, cause, "run again later")
    return ConfigError(operation, object, cause, "check the address, the permissions and the resource's settings")


def _is_setting(chain: list[BaseException]) -> bool:
    from dlt.common.configuration.exceptions import ConfigurationException

    return any(isinstance(each, ConfigurationException) for each in chain)
