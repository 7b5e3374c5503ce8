"""The one tree of errors, kept here because every part of the house may import the connectors' values.

::

    SynclineError                 operation, object, cause, hint
    ├── Transient                 a retry may help: exit 1
    │   ├── SourceBusy            the source throttled or is down; says how long to wait when it said so
    │   ├── CommitUnknown         the reply to COMMIT was lost: look for the run id, never guess (KNOWN-OUTCOME)
    │   └── FenceLost             another run moved the watermark first (FENCED-COMMIT)
    ├── ConfigError               the user must change something: exit 2
    │   ├── SignInError           the credentials were refused
    │   └── NameCollision         two names become one in the warehouse (EXACT-NAMES)
    ├── DataError                 what was read is not what was announced: exit 1
    │   ├── CountMismatch         a hop's rows differ from the hop before (COUNTED-HOPS): exit 4
    │   └── ValueOutOfType        a value that its column's type cannot hold exactly (TYPES-FROM-SOURCE)
    ├── TargetMissing             an increment's target is gone: the runner reads the stream whole instead
    ├── LeaseHeld                 another run of the pipeline is under way: exit 3
    ├── Guarded                   a guard stopped the run before harm: exit 4
    │   ├── MassDelete            GUARDED-DELETE
    │   └── QuotaReached          the set share of the source's quota is used
    └── Stopped                   Ctrl-C or SIGTERM: exit 1, nothing lost

Three questions are answered by class: may a retry help (``Transient``), must the user change something
(``ConfigError``), is the outcome unknown (``CommitUnknown``).
"""

from __future__ import annotations

from typing import ClassVar


class SynclineError(Exception):
    """What failed, on which object, why, and what to do about it.

    ``operation`` is a verb phrase ("read Bulk page"), ``object`` the thing it was done to ("Account, locator X"),
    ``cause`` what was seen, ``hint`` what the reader can do. None of them may hold a secret (NO-SECRETS).
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, operation: str, object: str, cause: str, hint: str = "") -> None:
        super().__init__(operation, object, cause, hint)
        self.operation = operation
        self.object = object
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.operation}: {self.object}: {self.cause}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class Transient(SynclineError):
    """A later attempt with nothing changed may succeed."""


class SourceBusy(Transient):
    """The source asked for patience; ``retry_after_s`` is what it said, or ``None``."""

    retry_after_s: float | None = None


class CommitUnknown(Transient):
    """The reply to COMMIT was lost, so the transaction may or may not stand (KNOWN-OUTCOME)."""


class FenceLost(Transient):
    """The watermark's version was not the expected one: another run committed first; nothing was written."""


class ConfigError(SynclineError):
    """A retry cannot help; the user must change a setting, a permission or a file."""

    exit_code = 2


class SignInError(ConfigError):
    """The source or warehouse refused the credentials. Never retried: repeated attempts lock accounts."""


class NameCollision(ConfigError):
    """Two fields or two streams would share one name in the warehouse."""


class DataError(SynclineError):
    """The data read is not what was announced or declared."""


class CountMismatch(DataError):
    """Rows at one hop differ from the hop before it; the run stopped before its commit."""

    exit_code = 4


class ValueOutOfType(DataError):
    """A value cannot be held exactly by its column's type; it is never rounded or cut."""


class TargetMissing(SynclineError):
    """The targets of increments do not exist any more, so that what is below their windows would be missing.

    ``streams`` names the streams. The runner takes it as the order to read them whole.
    """

    streams: tuple[str, ...] = ()


class LeaseHeld(SynclineError):
    """Another run of this pipeline holds the lease."""

    exit_code = 3


class Guarded(SynclineError):
    """A guard stopped the run on purpose, before any harm."""

    exit_code = 4


class MassDelete(Guarded):
    """The run would delete more than the set share of a table."""


class QuotaReached(Guarded):
    """The set share of the source's daily quota is used; the run can be resumed later."""


class Stopped(SynclineError):
    """The user or the system asked the run to stop; it ended cleanly and can be resumed."""
