"""The object store and the state store behind a process: each call is an operation, and their laws are looked at."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

from syncline.connectors.errors import Transient
from syncline.pipelines.digest import DIGEST_BYTES
from syncline.pipelines.simulation.process import LawBroken, Process
from syncline.sinks.object_store import ObjectStore
from syncline.sinks.spool import Spool
from syncline.state.lease import Claim, Claims, Clock, HeldLease, Random, hold
from syncline.state.store import Remembered, RunRecord, StateStore

T = TypeVar("T")
Secrets: TypeAlias = Callable[[], Sequence[str]]


@dataclass(slots=True)
class Seals:
    """What was landed and sealed so far, whoever did it (SEALED-MANIFEST)."""

    digests: dict[str, str] = field(default_factory=dict)
    sealed: dict[str, str] = field(default_factory=dict)

    def land(self, key: str, digest: str) -> None:
        if self.digests.setdefault(key, digest) != digest:
            raise LawBroken("SEALED-MANIFEST", f"{key} was landed twice, with different rows")

    def seal(self, key: str, data: bytes) -> None:
        for entry in json.loads(data)["files"]:
            if entry["path"] not in self.digests:
                raise LawBroken("SEALED-MANIFEST", f"{key} is sealed before its file {entry['path']} was landed")
            if self.digests[entry["path"]] != entry["sha256"]:
                raise LawBroken("SEALED-MANIFEST", f"{key} names another checksum than {entry['path']} has")
            self.sealed[entry["path"]] = key

    def remove(self, key: str) -> None:
        if key in self.sealed:
            raise LawBroken("SEALED-MANIFEST", f"{key} is removed, and {self.sealed[key]} names it")
        self.digests.pop(key, None)


class SteppedStore:
    """An object store whose calls are operations. ``secrets`` must not stand in what is landed (NO-SECRETS)."""

    def __init__(self, inner: ObjectStore, process: Process, seals: Seals, secrets: Secrets) -> None:
        self.url = inner.url
        self._inner = inner
        self._process = process
        self._seals = seals
        self._secrets = secrets

    @property
    def spool_folder(self) -> Path:
        return self._inner.spool_folder

    def land(self, spool: Spool, key: str) -> None:
        def work() -> None:
            self._inner.land(spool, key)
            self._seals.land(key, hashlib.sha256(spool.path.read_bytes()).hexdigest())

        self._operate(f"land {_short(key)}", work)

    def create(self, key: str, data: bytes) -> bool:
        def work() -> bool:
            require_no_secret(self._secrets, data.decode(errors="replace"), key)
            created = self._inner.create(key, data)
            if created and "/_manifests/" in key:
                self._seals.seal(key, data)
            return created

        return self._operate(f"create {_short(key)}", work)

    def fetch(self, key: str, folder: Path) -> Path:
        return self._operate(f"fetch {_short(key)}", lambda: self._inner.fetch(key, folder))

    def sizes(self, folder: str, after: str = "") -> Mapping[str, int]:
        return self._operate("list", lambda: self._inner.sizes(folder, after))

    def remove(self, key: str) -> None:
        def work() -> None:
            self._seals.remove(key)
            self._inner.remove(key)

        self._operate(f"remove {_short(key)}", work)

    def _operate(self, name: str, work: Callable[[], T]) -> T:
        return self._process.operate("landing", name, work, lambda cause: Transient(name, self.url, cause, "run again"))


class SteppedState:
    """A state store whose calls are operations, the taking and giving back of leases among them.

    No more than ``digest_rows_max`` rows of a stream may be remembered (BOUNDED), and no secret (NO-SECRETS).
    """

    def __init__(
        self,
        inner: StateStore,
        claims: Claims,
        process: Process,
        clock: Clock,
        random: Random,
        secrets: Secrets,
        digest_rows_max: int,
    ) -> None:
        self._inner = inner
        self._claims = claims
        self._process = process
        self._clock = clock
        self._random = random
        self._secrets = secrets
        self._digest_rows_max = digest_rows_max
        self._recalled: set[bytes | None] = set()

    def lease(self, pipeline: str, ttl_s: float) -> AbstractContextManager[HeldLease]:
        return hold(self, pipeline, ttl_s, self._clock, self._random)

    def swap(self, pipeline: str, decide: Callable[[Claim | None], Claim | None]) -> None:
        self._operate("swap lease", lambda: self._claims.swap(pipeline, decide))

    def recall(self, pipeline: str) -> Mapping[str, Remembered]:
        marks = self._operate("recall", lambda: self._inner.recall(pipeline))
        self._recalled |= {mark.known for mark in marks.values()}
        self._process.recalled += (json.dumps(mark.checkpoint) for mark in marks.values())
        return marks

    def remember(self, pipeline: str, marks: Mapping[str, Remembered]) -> None:
        def work() -> None:
            checkpoints = {stream: json.dumps(mark.checkpoint) for stream, mark in marks.items()}
            for stream, mark in marks.items():
                require_no_secret(self._secrets, checkpoints[stream], "a checkpoint")
                self._require_bounded(stream, mark)
            self._inner.remember(pipeline, marks)
            self._process.remembered += checkpoints.items()

        self._operate(f"remember {', '.join(sorted(marks))}", work, alone=True)  # the run holds its lock

    def _require_bounded(self, stream: str, mark: Remembered) -> None:
        """What the mirror grows with has its limit; what a process with a higher one left there may stand."""
        rows = len(mark.known or b"") // DIGEST_BYTES
        if rows > self._digest_rows_max and mark.known not in self._recalled:
            what = f"{rows} rows of {stream} are remembered, {self._digest_rows_max} may be"
            raise LawBroken("BOUNDED", what)

    def record(self, run: RunRecord) -> None:
        def work() -> None:
            require_no_secret(self._secrets, json.dumps(run.report), "a run's record")
            self._inner.record(run)

        self._operate("record run", work)

    def runs(self, pipeline: str, limit: int) -> Sequence[RunRecord]:
        return self._operate("list runs", lambda: self._inner.runs(pipeline, limit))

    def _operate(self, name: str, work: Callable[[], T], *, alone: bool = False) -> T:
        def fails(cause: str) -> Transient:
            return Transient(name, "the state", cause, "run again")

        return self._process.operate("state", name, work, fails, alone=alone)


def require_no_secret(secrets: Secrets, text: str, where: str) -> None:
    for secret in secrets():
        if secret in text:
            raise LawBroken("NO-SECRETS", f"a secret stands in {where}")


def _short(key: str) -> str:
    return key.rpartition("/")[2] if "/_manifests/" not in key else key.split("/_manifests/")[0] + " manifest"
