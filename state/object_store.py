"""State in a bucket, for containers without a disk and for several hosts; nothing but the bucket is needed.

::

    <prefix>/leases/crm                      who holds the lease, until when
    <prefix>/mirrors/crm                     the mirror of all streams of the pipeline, digests included
    <prefix>/runs/crm/<time left>-<run id>   one object a run; the newest sorts first, as S3 lists upwards only

The first two are changed by compare-and-set, so that ``remember`` is all or nothing and a lease has one holder. Time is
each host's own clock: a claim of another host is respected for ``clock_skew_s`` longer than it says. Clocks further
apart than that let a lease be taken while its holder still runs, and then the fence decides (FENCED-COMMIT).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from syncline.connectors.errors import ConfigError, SynclineError
from syncline.connectors.finding import Finding
from syncline.connectors.s3 import open_bucket
from syncline.connectors.s3_settings import Encryption, S3Settings, split_url
from syncline.connectors.secret import Secret, secret
from syncline.state.documents import (
    Document,
    claim_document,
    claim_of,
    damaged,
    mirror_document,
    mirror_of,
    run_document,
    run_of,
)
from syncline.state.holder import Holder, this_process
from syncline.state.lease import SPENT, Claim, Clock, HeldLease, Random, hold, utc_now
from syncline.state.objects import Documents
from syncline.state.store import Remembered, RunRecord

if TYPE_CHECKING:
    from syncline.state.objects import Store

Value = TypeVar("Value")

CLOCK_SKEW_S = 30.0
RUNS_KEPT = 10_000
"""Per pipeline; about as many, for the history is looked through at one recorded end in ``PRUNE_ODDS``."""

PRUNE_ODDS = 128
REMOVED_AT_ONCE = 1000
READS_AT_ONCE = 8
MIRROR_MARKS_MAX = 32
"""Writers of one mirror that may come between a write and its reply: 32 runs of one pipeline at once are none."""

_HINT_CONDITIONAL = "leases are not safe here: use a store that honours both, or PostgresState"
_HINT_DELETE_RIGHT = "grant s3:DeleteObject on the prefix, or let a lifecycle rule expire what is below runs/"

_log = logging.getLogger(__name__)


class S3Options(TypedDict, total=False):
    """The settings of the bucket, the same as the landing's; checked where :class:`S3Settings` is made."""

    endpoint: str | None
    region: str | None
    sse: Encryption | None
    kms_key_id: str | None
    access_key_id: str | None
    secret_access_key: Secret | str | None
    session_token: Secret | str | None
    retries_max: int
    checksums: bool
    role_arn: str | None
    external_id: str | None
    role_session_name: str
    expected_bucket_owner: str | None
    accelerate: bool


class ObjectStoreState:
    """State below ``s3://bucket/prefix``, or ``memory://`` (tests). Nothing is connected before it is used.

    The prefix belongs to the state alone; a landing may lie beside it, not in it. Safe to use from several threads,
    processes and hosts at once. A checkpoint writes the pipeline's mirror again, digests included.

    Raises:
        ConfigError: a setting that cannot work.
    """

    def __init__(
        self,
        url: str,
        *,
        clock_skew_s: float = CLOCK_SKEW_S,
        clock: Clock = utc_now,
        sleep: Callable[[float], None] = time.sleep,
        random: Random = os.urandom,
        **s3: Unpack[S3Options],
    ) -> None:
        if not 0 <= clock_skew_s <= 900:
            raise _wrong_setting(f"clock_skew_s={clock_skew_s!r}", "not 0 to 900 seconds", "30 suits clocks set by NTP")
        self.url, self._open = _parsed(url, s3)
        self._skew = timedelta(seconds=clock_skew_s)
        self._clock, self._sleep, self._random = clock, sleep, random
        self._opened: Documents | None = None
        self._opening = threading.Lock()

    @classmethod
    def over(
        cls,
        store: Store,
        url: str = "memory://",
        *,
        clock_skew_s: float = CLOCK_SKEW_S,
        clock: Clock = utc_now,
        sleep: Callable[[float], None] = time.sleep,
        random: Random = os.urandom,
    ) -> ObjectStoreState:
        """State in a store of the caller's own: the seam for tests, and for several states in one memory."""
        state = cls("memory://", clock_skew_s=clock_skew_s, clock=clock, sleep=sleep, random=random)
        state.url, state._open = url, lambda: (store, "")
        return state

    def __repr__(self) -> str:
        return f"ObjectStoreState({self.url!r})"

    def lease(self, pipeline: str, ttl_s: float) -> AbstractContextManager[HeldLease]:
        return hold(self, pipeline, ttl_s, self._clock, self._random)

    def recall(self, pipeline: str) -> Mapping[str, Remembered]:
        return self._mirror(self._documents.read(_mirror_key(pipeline)), pipeline)

    def remember(self, pipeline: str, marks: Mapping[str, Remembered]) -> None:
        mirror_document(marks).encoded()  # refuses what cannot be written before anything is asked of the store

        def edit(found: Document | None) -> Document:
            return mirror_document({**self._mirror(found, pipeline), **marks})

        self._documents.change(_mirror_key(pipeline), edit, MIRROR_MARKS_MAX)

    def record(self, run: RunRecord) -> None:
        document = run_document(run)
        self._documents.change(_run_key(run), lambda found: document)
        if run.finished_at is not None and int.from_bytes(self._random(2)) % PRUNE_ODDS == 0:
            self._prune(run.pipeline)

    def runs(self, pipeline: str, limit: int) -> Sequence[RunRecord]:
        keys = self._run_keys(pipeline, 0, limit)
        with ThreadPoolExecutor(READS_AT_ONCE, "state-runs") as pool:
            found = list(pool.map(self._run, keys))
        # One may have been pruned since it was listed.
        runs = [run for run in found if run is not None]
        return sorted(runs, key=lambda run: (run.started_at, run.run_id), reverse=True)

    def swap(self, pipeline: str, decide: Callable[[Claim | None], Claim | None]) -> None:
        key = f"leases/{_escaped(pipeline)}"

        def edit(found: Document | None) -> Document | None:
            held = None if found is None else self._respected(self._decoded(claim_of, found, key))
            claim = decide(held)
            return None if claim is None or claim is held else claim_document(claim)

        self._documents.change(key, edit)

    def check(self) -> Sequence[Finding]:
        """What ``syncline check`` says: it can be read, listed, written and pruned, and the store keeps conditions."""
        subject, key = f"state {self.url}", f"checks/{self._random(16).hex()}"
        try:
            next(self._documents.names("runs"), None)
            safe = self._documents.conditions_hold(key)
        except SynclineError as error:
            return [Finding("error", subject, error.cause, error.hint)]
        if not safe:
            return [Finding("error", subject, "the store ignores If-None-Match or If-Match", _HINT_CONDITIONAL)]
        try:
            self._documents.remove([key])
        except SynclineError as error:
            return [Finding("warn", subject, f"old runs cannot be removed: {error.cause}", _HINT_DELETE_RIGHT)]
        return [Finding("ok", subject, "can be read, listed, written and pruned; it keeps conditions")]

    @property
    def _documents(self) -> Documents:
        with self._opening:
            if self._opened is None:
                store, prefix = self._open()
                self._opened = Documents(store, self.url, prefix, self._sleep, self._random)
            return self._opened

    def _mirror(self, document: Document | None, pipeline: str) -> dict[str, Remembered]:
        return {} if document is None else self._decoded(mirror_of, document, _mirror_key(pipeline))

    def _run(self, key: str) -> RunRecord | None:
        document = self._documents.read(key)
        return None if document is None else self._decoded(run_of, document, key)

    def _run_keys(self, pipeline: str, start: int, count: int) -> list[str]:
        """Of the newest runs but ``start``, newest first; no more pages are listed than hold them."""
        folder = _runs_folder(pipeline)
        keys: list[str] = []
        if count > 0:
            for names in self._documents.names(folder):
                keys += [f"{folder}/{name}" for name in names]
                if len(keys) >= start + count:
                    break
        return keys[start : start + count]

    def _prune(self, pipeline: str) -> None:
        """Removes what is over the bound, one request's worth; a run does not fail for a history that stays long."""
        try:
            if old := self._run_keys(pipeline, RUNS_KEPT, REMOVED_AT_ONCE):
                self._documents.remove(old)
        except SynclineError as error:
            _log.warning("old runs of %s could not be removed: %s", pipeline, error)

    def _respected(self, claim: Claim) -> Claim:
        """As it must be respected here: longer than it says when another clock said so."""
        if claim.until == SPENT or _same_clock(claim.holder):
            return claim
        return replace(claim, until=claim.until + self._skew)

    def _decoded(self, decode: Callable[[Document], Value], document: Document, key: str) -> Value:
        try:
            return decode(document)
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(f"{self.url}/{key}", error) from error


def _parsed(url: str, s3: S3Options) -> tuple[str, Callable[[], tuple[Store, str]]]:
    """The name of the place, without secrets, and how to open it: the store and the prefix in it."""
    options: dict[str, Any] = dict(s3)
    for name in ("secret_access_key", "session_token"):
        if options.get(name):
            options[name] = secret(options[name])
    if url.startswith("memory://"):
        if options:
            raise _wrong_setting(f"state {url}", "it was given settings that only an s3:// state has", "drop them")
        return url, lambda: (_memory(), "")
    if not url.startswith("s3://"):
        cause, hint = "not a bucket", 'write it as "s3://bucket/prefix"; for a folder use SqliteState'
        raise _wrong_setting(f"state {url.partition('://')[0] if '://' in url else url}", cause, hint)
    bucket, prefix = split_url(url)
    settings = S3Settings(bucket=bucket, **options)
    return f"s3://{bucket}/{prefix}".rstrip("/"), lambda: (open_bucket(settings), prefix)


def _memory() -> Store:
    from obstore.store import MemoryStore

    return MemoryStore()


def _wrong_setting(object: str, cause: str, hint: str) -> ConfigError:
    return ConfigError("read state settings", object, cause, hint)


def _same_clock(holder: Holder) -> bool:
    """Whether the holder reads this machine's clock: its system was started with ours, or, where untold, by name."""
    own = this_process()
    if holder.space and own.space:
        return holder.space.split()[0] == own.space.split()[0]
    return holder.host == own.host


def _mirror_key(pipeline: str) -> str:
    return f"mirrors/{_escaped(pipeline)}"


def _runs_folder(pipeline: str) -> str:
    return f"runs/{_escaped(pipeline)}"


def _run_key(run: RunRecord) -> str:
    """Sorts the later before the earlier: by the microseconds that are left until the end of the calendar."""
    left = (_END - run.started_at.astimezone(UTC)) // timedelta(microseconds=1)
    return f"{_runs_folder(run.pipeline)}/{left:018}-{_escaped(run.run_id)}"


_END = datetime.max.replace(tzinfo=UTC)


def _escaped(name: str) -> str:
    """One segment of a key that no store, console or shell takes for more than text."""
    text = quote(name, safe="", errors="surrogatepass")
    return "%2E" + text[1:] if text.startswith(".") else text
