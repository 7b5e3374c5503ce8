"""Repeating a request as far as its fault allows: how often, how long between, and when to stop (BOUNDED)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, TypeVar

from syncline.connectors.connector import Wait
from syncline.connectors.salesforce.faults import Faulted, Throttled

if TYPE_CHECKING:
    from tenacity import RetryCallState

logger = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_AFTER_MAX_S: Final = 300.0
"""A source that asks for longer is not waited for: the run ends and says how long it asked for."""


def patiently(
    attempt: Callable[[], T],
    pause: Callable[[float], None],
    random: Callable[[], float],
    tell: Callable[[Wait], None],
) -> T:
    """``attempt()``, again while it raises a fault that its rule calls retryable; the last fault is raised as it is.

    ``tell`` is called before each ``pause``. What repeats is imported after the first fault: most runs see none.
    """
    try:
        return attempt()
    except (Faulted, Throttled) as fault:
        first = fault
    return _again(first, attempt, pause, random, tell)


def _again(
    first: Faulted | Throttled,
    attempt: Callable[[], T],
    pause: Callable[[float], None],
    random: Callable[[], float],
    tell: Callable[[Wait], None],
) -> T:
    """``attempt()`` repeated, ``first`` counting as the outcome of its first try."""
    from tenacity import Retrying

    faults = [first]

    def once() -> T:
        if faults:
            raise faults.pop()
        return attempt()

    def wait_s(state: RetryCallState) -> float:
        fault = _fault(state)
        patience = fault.rule.patience if fault else None
        if fault is None or patience is None:
            return 0.0
        grown = min(patience.most_s, patience.first_s * 2.0 ** (state.attempt_number - 1))
        return max(grown * (0.5 + random() / 2), fault.retry_after_s or 0.0)

    def say(state: RetryCallState) -> None:
        if (fault := _fault(state)) is not None and state.next_action is not None:
            seconds = state.next_action.sleep
            logger.info("attempt %d failed, next in %.1f s: %s", state.attempt_number, seconds, fault)
            tell(Wait(fault.operation, fault.object, fault.cause, state.attempt_number, seconds))

    retrying = Retrying(retry=_retryable, stop=_enough, wait=wait_s, sleep=pause, before_sleep=say, reraise=True)
    return retrying(once)


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Retry-After as seconds from now, from either of its two forms (RFC 9110)."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header).astimezone(UTC) - now).total_seconds())
    except ValueError:
        return None


def _fault(state: RetryCallState) -> Faulted | Throttled | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Faulted | Throttled) else None


def _retryable(state: RetryCallState) -> bool:
    fault = _fault(state)
    return fault is not None and not fault.spent and fault.rule.patience is not None


def _enough(state: RetryCallState) -> bool:
    fault = _fault(state)
    if fault is None or fault.rule.patience is None:
        return True
    if (fault.retry_after_s or 0.0) > RETRY_AFTER_MAX_S:
        fault.cause += f"; it asks to wait {fault.retry_after_s:.0f} s"
        return True
    if state.attempt_number >= fault.rule.patience.attempts_max:
        fault.cause += f"; gave up after {state.attempt_number} attempts"
        fault.spent = True
        return True
    return False
