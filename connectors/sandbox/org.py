"""The practice org: the control methods tests and trials call, and ``handle``, which answers one HTTP request."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import pyarrow as pa

from syncline.connectors.connector import Json
from syncline.connectors.sandbox import reshaping
from syncline.connectors.sandbox.auth import App, Auth, User
from syncline.connectors.sandbox.bulk import JobPlan, Jobs
from syncline.connectors.sandbox.catalog import standard_objects
from syncline.connectors.sandbox.clock import Clock, from_ms, to_ms
from syncline.connectors.sandbox.core import Core
from syncline.connectors.sandbox.faults import Fault
from syncline.connectors.sandbox.front import Front
from syncline.connectors.sandbox.http import Request, Response
from syncline.connectors.sandbox.identifiers import id_text
from syncline.connectors.sandbox.log import RequestLog
from syncline.connectors.sandbox.records import Touch, Transaction
from syncline.connectors.sandbox.rest import Rest
from syncline.connectors.sandbox.routes import Routes
from syncline.connectors.sandbox.schema import Field, ObjectType
from syncline.connectors.sandbox.settings import Settings
from syncline.connectors.sandbox.snapshot import snapshot
from syncline.connectors.sandbox.writing import Writer

CONTROL_PREFIX: Final = "/__sandbox__"


class Org:
    """One org in memory: data, clock, users, faults. Thread-safe; the same seed and calls give the same org.

    ``start`` freezes the clock there; without it time is real. ``seed_rows`` seeds that many records per object.
    """

    def __init__(
        self,
        seed: int = 0,
        start: datetime | None = None,
        seed_rows: Mapping[str, int] | None = None,
        objects: Sequence[ObjectType] | None = None,
    ) -> None:
        self.clock = Clock(start)
        types = list(standard_objects() if objects is None else objects)
        self._core = Core(seed, self.clock, types)
        self._auth = Auth(self._core)
        self._jobs = Jobs(self._core)
        self._front = Front(self._core, self._auth, Routes(self._core, self._auth, Rest(self._core), self._jobs))
        self._writer = Writer(self._core)
        self._lock = threading.RLock()
        if seed_rows:
            self.seed(seed_rows)

    # Who and where

    @property
    def log(self) -> RequestLog:
        """Every request but control calls, in order, with totals per kind."""
        return self._front.log

    @property
    def settings(self) -> Settings:
        return self._core.settings

    @property
    def app(self) -> App:
        """The connected app: ``client_id``, ``client_secret``, ``public_key`` (PEM, for JWT), ``audiences``."""
        return self._auth.app

    @property
    def user(self) -> User:
        """The integration user: ``username``, ``password``, ``security_token``, ``active``, ``approved``."""
        return self._auth.user

    @property
    def client_id(self) -> str:
        return self.app.client_id

    @property
    def client_secret(self) -> str:
        return self.app.client_secret

    @property
    def refresh_tokens(self) -> set[str]:
        """Refresh tokens the org accepts."""
        return self._auth.refresh_tokens

    @property
    def org_id(self) -> str:
        return self._core.org_id

    @property
    def instance_url(self) -> str:
        """What token answers name as instance_url; set it to move the org."""
        return self._core.instance_url

    @instance_url.setter
    def instance_url(self, url: str) -> None:
        self._core.instance_url = url

    # Clock

    def now(self) -> datetime:
        return self.clock.now()

    def freeze(self, at: datetime | None = None) -> datetime:
        with self._lock:
            frozen = self.clock.freeze(at)
            self.clock.settle()
            return frozen

    def thaw(self) -> datetime:
        return self.clock.thaw()

    def advance(self, seconds: float) -> datetime:
        """Moves the clock on; what falls due meanwhile (commits, jobs, purges) happens at its own instant."""
        with self._lock:
            now = self.clock.advance(seconds)
            self.clock.settle()
            return now

    # Records

    def seed(self, rows: Mapping[str, int]) -> None:
        """Adds realistic records with a past, per object; vectorised, about 2 s for a million."""
        with self._lock:
            self._writer.seed(rows)

    def insert(
        self,
        object: str,
        values: Mapping[str, object] | None = None,
        *,
        count: int | None = None,
        fill: bool = True,
        transaction: Transaction | None = None,
        visible_after_s: float = 0,
    ) -> list[str]:
        """Creates records now and returns their Ids.

        Each value is for all records, or a list with one each. Fields not given are made up like seeded ones, or null
        with ``fill=False``.
        """
        with self._settled():
            return self._writer.insert(object, values or {}, count, fill, transaction, visible_after_s)

    def update(
        self,
        object: str,
        ids: Sequence[str],
        values: Mapping[str, object],
        *,
        touch: Touch = "user",
        transaction: Transaction | None = None,
        visible_after_s: float = 0,
    ) -> None:
        """Changes records; a value is for all, or a list with one each.

        ``touch`` "system" moves SystemModstamp alone, "none" no stamp (a formula whose parent changed). With
        ``visible_after_s`` the change is stamped now and seen by readers only then: a late commit.

        Raises:
            Locked: an open transaction holds one of the records.
            ValueError: unknown Ids or fields, values that do not fit.
        """
        with self._settled():
            self._writer.update(object, ids, values, touch, transaction, visible_after_s)

    def delete(
        self,
        object: str,
        ids: Sequence[str],
        *,
        transaction: Transaction | None = None,
        visible_after_s: float = 0,
    ) -> None:
        """Soft delete with cascade; objects without IsDeleted lose the rows at once."""
        with self._settled():
            self._writer.delete(object, ids, False, transaction, visible_after_s)

    def hard_delete(self, object: str, ids: Sequence[str], *, transaction: Transaction | None = None) -> None:
        """No row stays; only getDeleted tells."""
        with self._settled():
            self._writer.delete(object, ids, True, transaction, 0)

    def undelete(self, object: str, ids: Sequence[str]) -> None:
        with self._settled():
            self._writer.undelete(object, ids)

    def merge(self, object: str, winner: str, losers: Sequence[str]) -> None:
        with self._settled():
            self._writer.merge(object, winner, losers)

    def purge(self, object: str, ids: Sequence[str] | None = None) -> None:
        """Empties the recycle bin before its 15 days."""
        with self._settled():
            self._writer.purge(object, ids)

    def restamp(self, object: str, ids: Sequence[str] | None = None) -> None:
        """A mass re-stamp: SystemModstamp of these or all records becomes now, nothing else changes."""
        with self._settled():
            self._writer.restamp(object, ids)

    def trim_delete_log(self, object: str, before: datetime) -> None:
        """Forgets deletions before that instant; ``earliestDateAvailable`` says so."""
        with self._settled():
            self._core.records.logs[object].trim(to_ms(before))

    def begin(self) -> Transaction:
        """Opens a transaction; pass it to writes. Its records are locked, and unseen, until ``commit``."""
        with self._settled():
            return self._core.records.begin()

    def commit(self, transaction: Transaction) -> None:
        with self._settled():
            self._core.records.commit(transaction)

    def roll_back(self, transaction: Transaction) -> None:
        with self._settled():
            self._core.records.roll_back(transaction)

    def transaction(self, number: int) -> Transaction:
        """The open transaction of that number."""
        return self._core.records.transaction(number)

    def hide_records(self, object: str, ids: Sequence[str], hidden: bool = True) -> None:
        """Sharing: the user no longer sees these records, or sees them again; no stamp moves."""
        with self._settled():
            self._core.records.hide(object, ids, hidden)

    # What is true

    def ids(
        self, object: str, where: str = "", limit: int | None = None, *, include_deleted: bool = False
    ) -> list[str]:
        """Ids of records that fulfil a SOQL condition, in the order of Ids."""
        soql = f"SELECT Id FROM {object}" + (f" WHERE {where}" if where else "") + " ORDER BY Id"
        with self._settled():
            meaning = self._core.understand(soql + (f" LIMIT {limit}" if limit is not None else ""))
            ids: list[str] = self._core.find(meaning, include_deleted).column("Id").to_pylist()
            return ids

    def count(self, object: str, where: str = "", *, include_deleted: bool = False) -> int:
        with self._settled():
            meaning = self._core.understand(f"SELECT COUNT() FROM {object}" + (f" WHERE {where}" if where else ""))
            return self._core.find(meaning, include_deleted).rows

    def snapshot(self, object: str, *, include_deleted: bool = False) -> pa.Table:
        """What a correct copy holds now: committed records in typed columns, sorted by Id (see ``snapshot``)."""
        with self._settled():
            return snapshot(self._core.records.table(object), include_deleted, self._core.records.hidden_from(object))

    def deletions(self, object: str) -> dict[str, datetime]:
        """When each record that is deleted, in the bin or for good, was deleted, by Id."""
        with self._settled():
            table, log = self._core.records.table(object), self._core.records.logs[object]
            return {id_text(table.kind.key_prefix, each): from_ms(at) for each, at in log.deleted_ms.items()}

    # Schema

    def object_type(self, object: str) -> ObjectType:
        return self._core.records.table(object).kind

    def add_object(self, kind: ObjectType) -> None:
        with self._settled():
            reshaping.add_object(self._core, kind)

    def add_field(self, object: str, field: Field, value: object = None) -> None:
        """A new field; existing records get ``value`` without any stamp moving."""
        with self._settled():
            reshaping.add_field(self._core, self._writer, object, field, value)

    def drop_field(self, object: str, field: str) -> None:
        with self._settled():
            reshaping.drop_field(self._core, object, field)

    def rename_field(self, object: str, field: str, new_name: str) -> None:
        with self._settled():
            reshaping.rename_field(self._core, object, field, new_name)

    def retype_field(self, object: str, field: str, **changes: Json) -> None:
        """Changes attributes of a field (``type=``, ``length=``, ``precision=``, ``scale=``); misfits become null."""
        with self._settled():
            reshaping.retype_field(self._core, object, field, changes)

    def hide_field(self, object: str, field: str, hidden: bool = True) -> None:
        """Field-level security: the field and its values stay, the API denies them."""
        with self._settled():
            self.object_type(object).change(field, self.clock.now_ms(), hidden=hidden)

    def hide_object(self, object: str, hidden: bool = True) -> None:
        with self._settled():
            kind = self.object_type(object)
            kind.hidden, kind.changed_ms = hidden, self.clock.now_ms()

    def rename_picklist_value(self, object: str, field: str, old: str, new: str) -> None:
        """Rewrites the value in all records and moves their SystemModstamp."""
        with self._settled():
            ids = self.ids(object, f"{field} = '{old}'", include_deleted=True)
            self._writer.update(object, ids, {field: new}, "system", None, 0)

    # Trouble

    def inject(self, kind: str, **how: Json) -> int:
        """Plans a fault (see ``Fault`` for the kinds and the arguments); returns its number."""
        with self._lock:
            return self._front.faults.add(Fault(kind, **how))  # type: ignore[arg-type]

    def clear_faults(self) -> None:
        with self._lock:
            self._front.faults.clear()

    def faults(self) -> dict[int, Fault]:
        """Faults planned so far by number, with how often each was seen and struck."""
        return self._front.faults.report()

    def plan_job(self, plan: JobPlan) -> None:
        """The fate of the next Bulk job: fails, sticks, is aborted by an admin, takes long."""
        with self._lock:
            self._jobs.plan_next(plan)

    def clear_job_plans(self) -> None:
        """Jobs to come end well, and those that stick go on."""
        with self._lock:
            self._jobs.clear_plans()

    def jobs(self) -> list[dict[str, Json]]:
        """Every query job still kept, as the API would show it."""
        with self._settled():
            return [job.told_in_full() for job in self._jobs.all()]

    def set_quota(self, used: int | None = None, limit: int | None = None) -> None:
        """Sets how many API calls of how many were used in the last 24 hours."""
        with self._lock:
            if used is not None:
                self._core.quota.set_used(used)
            if limit is not None:
                self.settings.api_calls_max = limit

    def api_calls_used(self) -> int:
        return self._core.quota.used()

    def revoke_sessions(self) -> None:
        """Every token handed out so far is dead."""
        with self._lock:
            self._auth.revoke()

    def limit_session_calls(self, calls: int | None) -> None:
        """Sessions, open and new, end after that many calls."""
        with self._lock:
            self._auth.limit_calls(calls)

    def open_tokens(self) -> list[str]:
        """Access tokens that are valid now: what must never be shown."""
        return self._auth.open_tokens()

    def access_token(self) -> str:
        """A session without the sign-in."""
        with self._lock:
            return self._auth.open_session()

    # Requests

    def handle(self, request: Request) -> Response:
        """Answers one request; faults included. The transport acts on delays and breakage."""
        if request.path.startswith(CONTROL_PREFIX + "/"):
            from syncline.connectors.sandbox.control import control

            return control(self, request)
        with self._settled():
            return self._front.answer(request)

    def _settled(self) -> _Settled:
        return _Settled(self._lock, self.clock)


class _Settled:
    """Holds the org's lock with everything that was due done."""

    def __init__(self, lock: threading.RLock, clock: Clock) -> None:
        self._lock = lock
        self._clock = clock

    def __enter__(self) -> None:
        self._lock.acquire()
        self._clock.settle()

    def __exit__(self, *error: object) -> None:
        self._lock.release()
