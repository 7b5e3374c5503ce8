"""The practice org as the source of a simulation: what can happen to it, and how its answers can be spoilt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

import pyarrow as pa

from syncline.connectors.connector import Connector
from syncline.connectors.sandbox.clock import http_date, to_ms
from syncline.connectors.sandbox.faults import Fault, spoil
from syncline.connectors.sandbox.http import Request, Response
from syncline.connectors.sandbox.in_process import ORG_URL, session_to
from syncline.connectors.sandbox.org import Org
from syncline.connectors.sandbox.records import Locked
from syncline.connectors.sandbox.schema import Field
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.simulation.practice_objects import STORY_NAMES, objects
from syncline.pipelines.simulation.process import SLOW_S, Process
from syncline.pipelines.simulation.source import Row

CHANGES: Final = (
    "insert", "update", "update", "late insert", "late update", "late delete", "delete", "hard delete", "undelete",
    "purge", "re-insert", "re-stamp", "tie", "many", "mass delete", "add field", "drop field", "widen field", "pages",
    "wire", "quota", "clock ahead", "clock behind", "bulk job", "sessions",
)  # fmt: skip
"""What can happen at the practice org."""

DAMAGES: Final = ("cut", "broken", "fewer", "again", "revoked", "busy", "refused")
"""Faults that only a source's answers can have, besides those of every seam."""

DELAYS_S: Final = (5, 90, 400, 590)
AHEAD_S: Final = 30
"""How far a machine of the source may be ahead: less than the settling lag."""
NAMES: Final = ("Acme", 'Neu & Söhne, "GmbH"', "line\nbreak", "", "null", "O'Brien", " spaced ", "🚀")


@dataclass(slots=True)
class PracticeOrg:
    """The practice org in process. ``seed`` decides its ids and orders; it begins with about ``rows`` records."""

    seed: int
    start: datetime
    rows: int = 12
    streams: Sequence[Stream] = (Stream("Account"), Stream("Contact"))
    changes: Sequence[str] = CHANGES
    damages: Sequence[str] = DAMAGES
    key: str = "Id"
    cursor: str = "SystemModstamp"
    lag: timedelta = timedelta(seconds=60)
    org: Org = field(init=False)
    _late: dict[datetime, datetime] = field(default_factory=dict)
    _ahead_s: int = 0
    _fields: int = 0
    _page: dict[str, Response] = field(default_factory=dict)
    _excused: set[str] = field(default_factory=set)
    _truths: dict[str, tuple[object, Mapping[str, Row]]] = field(default_factory=dict)
    _changes: int = 0

    def __post_init__(self) -> None:
        self.org = Org(self.seed, self.start, objects=objects())
        random = Random(self.seed)
        for _ in range(3):
            self._insert(random, self.rows // 3)
            self.org.advance(random.choice((0, 0, 7, 4000)))
        self.org.advance(120)

    @property
    def secrets(self) -> Sequence[str]:
        return (self.org.client_secret, *self.org.open_tokens())

    # --- the clock

    def now(self) -> datetime:
        return self.org.now()

    def advance(self, seconds: float) -> None:
        self.org.advance(seconds)

    def visible_at(self, stamp: datetime) -> datetime:
        return self._late.get(stamp, stamp)

    # --- connectors

    def connect(self, process: Process, random: Random) -> Connector:
        from syncline.connectors.salesforce import Salesforce
        from syncline.connectors.salesforce.settings import Options, credentials_from
        from syncline.connectors.salesforce.transport import Seams

        credentials, _ = credentials_from(
            {
                "SALESFORCE_INSTANCE_URL": ORG_URL,
                "SALESFORCE_CLIENT_ID": self.org.client_id,
                "SALESFORCE_CLIENT_SECRET": self.org.client_secret,
            }
        )
        seams = Seams(
            sleep=process.around.pass_time,
            random=random.random,
            clock=lambda: self.org.now().timestamp(),
            now=self.org.now,
            sessions=lambda sockets: session_to(self.org, lambda request: self._answer(process, request)),
            pool=process.around.turns.pool,
        )
        options: Options = {
            "bulk_rows_min": random.choice((1, 4, 10_000)),
            "page_rows": random.choice((3, 5, 50_000)),
            "api_version": random.choice(("57.0", "62.0")),
            "job_deadline_s": 3_600.0,
        }
        more = copy(random)  # drawn aside, so that what is drawn later stays what it was before there were parts
        options["part_rows"] = more.choice((4, 10, 5_000_000))
        options["rest_part_rows"] = more.choice((3, 10, 100_000))
        return Salesforce(credentials, seams=seams, **options)

    def _answer(self, process: Process, request: Request) -> Response:
        """The org's answer, struck by the process's fault if it is its turn."""
        path = request.path.removeprefix("/services/")
        signing_in = path.startswith("oauth2/")  # one thread signs in for all; they wait at its lock
        kind, number = process.enter("source", f"{request.method} {path}", alone=signing_in)
        if kind is not None and request.method in ("DELETE", "PATCH"):
            self._excused.add(request.path.rpartition("/")[2])
        if kind == "refused" and path.endswith("/deleted/"):
            kind = "busy"  # a log that is refused is said in the report, and what it hides is verify's to find
        if kind in _UNDONE:
            return Response(**_UNDONE[kind])
        if kind == "revoked":
            self.org.revoke_sessions()
        before = self._job_ids() if kind is not None else set()
        answer = self.org.handle(request)
        if kind == "twice":
            answer.content()
            answer = self.org.handle(request)
        if kind is not None:
            self._excused |= self._job_ids() - before
        if kind == "kill":
            process.die()
        return self._arriving(kind, number, request, answer)

    def _job_ids(self) -> set[str]:
        return {str(job["id"]) for job in self.org.jobs()}

    def _arriving(self, kind: str | None, number: int, request: Request, answer: Response) -> Response:
        if self._ahead_s:
            answer.headers["Date"] = http_date(to_ms(self.org.now()) + 1000 * self._ahead_s)
        if request.method == "POST" and request.path.endswith("/jobs/query"):
            answer.content()
        # An answer to a count does not say what was counted: that another's is none of its own shows nowhere.
        counts = "count()" in str(request.params.get("q", "")).lower()
        page = "results" in request.path or ("/query" in request.path and "jobs" not in request.path and not counts)
        before = self._page.get(request.path[:40])
        if kind == "again" and page and before is not None:
            return before
        if page and answer.status == 200:
            answer.content()
            self._page[request.path[:40]] = answer
        named: dict[str, dict[str, Any]] = {
            "after": {"kind": "reset_after"},
            "slow": {"kind": "slow", "delay_s": SLOW_S[number % len(SLOW_S)]},
            "cut": {"kind": "truncate_half"},
            "broken": {"kind": "reset_in_body"},
            "fewer": {"kind": "fewer_rows"},
        }
        chosen = named.get(kind or "")
        if chosen is None or (kind == "fewer" and not (page and answer.status == 200)):
            return answer
        copied = Response(answer.status, dict(answer.headers), (answer.content(),), breakage=answer.breakage)
        if kind in ("cut", "fewer") and "Content-Encoding" in copied.headers:
            return answer
        return spoil(Fault(**chosen), copied)

    # --- what happens

    def change(self, kind: str, random: Random) -> str:
        self._changes += 1
        try:
            return _HAPPENINGS[kind](self, random)
        except Locked:
            return f"{kind}: nothing, a record was locked"

    def settle(self) -> None:
        self._changes += 1
        self.org.clear_faults()
        self.org.set_quota(0, 100_000)
        self._ahead_s = 0
        self.org.advance(3_600)
        self.org.settings.bulk_running_s = 0
        self.org.clear_job_plans()
        self.org.insert("Account", {"Name": "the last account"}, fill=False)
        self.org.insert("Contact", {"Name": "the last contact"}, fill=False)
        self.org.advance(120)  # beyond the lag, within the overlap: the runs to come read these rows again

    def _insert(self, random: Random, count: int, late_s: float = 0, name: str | None = None) -> str:
        names = [name or f"{random.choice(NAMES)} {random.randrange(1000)}" for _ in range(count)]
        if random.random() < 0.5:
            values: dict[str, object] = {
                "Name": names,
                "Amount__c": [random.choice((None, f"{random.randrange(10**9)}.{random.randrange(10)}"))
                              for _ in range(count)],
                "Rank__c": [random.choice((None, random.randrange(-5, 5))) for _ in range(count)],
                "Story__c": [name * STORY_NAMES for name in names],
            }  # fmt: skip
            kind = "Account"
        else:
            parents: Sequence[str | None] = self.org.ids("Account") or (None,)
            values = {"Name": names, "AccountId": [random.choice(parents) for _ in range(count)]}
            values |= {"MyField__c": [name.upper() for name in names], "My_Field__c": [name[::-1] for name in names]}
            kind = "Contact"
        self.org.insert(kind, values, count=count, fill=False, visible_after_s=late_s)
        self._note(late_s)
        return f"insert {count} {kind}{_later(late_s)}"

    def _update(self, random: Random, count: int, late_s: float = 0) -> str:
        kind, ids = self._some(random, count)
        if ids:
            self.org.update(kind, ids, {"Name": f"{random.choice(NAMES)} {random.randrange(10**6)}"},
                            visible_after_s=late_s)  # fmt: skip
            self._note(late_s)
        return f"update {len(ids)} {kind}{_later(late_s)}"

    def _delete(self, random: Random, count: int, late_s: float = 0, hard: bool = False) -> str:
        kind, ids = self._some(random, count)
        if hard:
            self.org.hard_delete(kind, ids)
        else:
            self.org.delete(kind, ids, visible_after_s=late_s)
            self._note(late_s)
        return f"{'hard ' * hard}delete {len(ids)} {kind}{_later(late_s)}"

    def _some(self, random: Random, count: int, where: str = "") -> tuple[str, list[str]]:
        kind = random.choice(("Account", "Contact"))
        ids = self.org.ids(kind, where)
        return kind, sorted(random.sample(ids, min(count, len(ids))))

    def _undelete(self, random: Random) -> str:
        kind = random.choice(("Account", "Contact"))
        ids = self.org.ids(kind, "IsDeleted = true", include_deleted=True)[:2]
        if ids:
            self.org.undelete(kind, ids)
        return f"undelete {len(ids)} {kind}"

    def _purge(self, random: Random) -> str:
        kind = random.choice(("Account", "Contact"))
        ids = self.org.ids(kind, "IsDeleted = true", include_deleted=True)[:2]
        if ids:
            self.org.purge(kind, ids)
        return f"purge {len(ids)} {kind} from the bin"

    def _restamp(self, random: Random) -> str:
        kind = random.choice(("Account", "Contact"))
        self.org.restamp(kind)
        return f"re-stamp all {kind}"

    def _tie(self, random: Random) -> str:
        """Several versions of a record within one second, and several records of one stamp."""
        words = [self._insert(random, 2), self._update(random, 2), self._update(random, 2)]
        return f"within one second: {'; '.join(words)}"

    def _add_field(self, random: Random) -> str:
        self._fields += 1
        kind, name = random.choice(("Account", "Contact")), f"Extra{self._fields % 3}__c"
        if name in self.org.object_type(kind).fields:
            return "add field: it is there"
        self.org.add_field(kind, Field(name, length=20), value=random.choice((None, "filled")))
        return f"add field {kind}.{name}"

    def _drop_field(self, random: Random) -> str:
        kind = random.choice(("Account", "Contact"))
        names = [name for name in self.org.object_type(kind).fields if name.startswith("Extra")]
        if names:
            self.org.drop_field(kind, names[0])
        return f"drop field {kind}.{names[0] if names else 'none'}"

    def _widen(self, random: Random) -> str:
        amount = self.org.object_type("Account").fields["Amount__c"]
        digits, scale = min(18, amount.precision + 2), min(6, amount.scale + 1)
        self.org.retype_field("Account", "Amount__c", precision=digits, scale=scale)
        return f"widen Account.Amount__c to {digits} digits, {scale} of them after the point"

    def _pages(self, random: Random) -> str:
        settings = self.org.settings
        settings.page_rows_max = random.choice((3, 7, 2_000))
        settings.uneven_pages, settings.empty_pages = random.random() < 0.3, random.random() < 0.3
        settings.live_pages = random.random() < 0.3
        settings.bulk_page_rows_default = random.choice((3, 100_000))
        return f"pages of {settings.page_rows_max} rows"

    def _wire(self, random: Random) -> str:
        settings = self.org.settings
        settings.gzip = random.choice(("asked", "never", "sometimes"))
        settings.bulk_empty = random.choice(("header", "body", "204"))
        settings.bulk_chunked = random.random() < 0.3
        settings.bulk_early = random.choice((400, 204))
        settings.wire.bulk_bare_nulls = random.random() < 0.5
        settings.wire.bulk_offset = random.random() < 0.5
        settings.wire.bulk_ints_as_doubles = random.random() < 0.5
        return "another form of answers"

    def _quota(self, random: Random) -> str:
        left = random.choice((3, 10, 30, 10_000))
        self.org.set_quota(80_000 - left, 100_000)
        return f"{left} requests of the quota are left"

    def _skew(self, seconds: int) -> str:
        self._ahead_s = seconds
        return f"the source's clock is {seconds:+} s off"

    def _job(self, random: Random) -> str:
        from syncline.connectors.sandbox import JobPlan

        ending = random.choice(("complete", "failed", "aborted", "stuck_running", "stuck_queued"))
        seconds = random.choice((0.0, 40.0, 500.0))
        self.org.plan_job(JobPlan(ending=ending, queued_s=1.0, running_s=seconds))  # type: ignore[arg-type]
        return f"the next Bulk job takes {seconds:g} s and ends as {ending}"

    def _sessions(self, random: Random) -> str:
        self.org.revoke_sessions()
        return "every session ends"

    def _note(self, late_s: float) -> None:
        stamp = self.org.now().replace(microsecond=0)
        visible = self.org.now() + timedelta(seconds=late_s)
        self._late[stamp] = max(visible, self._late.get(stamp, visible))

    # --- the truth

    def truth(self, stream: str) -> Mapping[str, Row]:
        as_of = (self.org.now(), self._changes)
        known, rows = self._truths.get(stream, (None, {}))
        if known != as_of:
            rows = {row["Id"]: row for row in self.org.snapshot(stream).to_pylist()}
            self._truths[stream] = as_of, rows
        return rows

    def columns(self, stream: str) -> pa.Schema:
        return self.org.snapshot(stream).schema

    def gone(self, stream: str) -> Mapping[str, datetime]:
        return self.org.deletions(stream)

    def leftovers(self) -> Sequence[str]:
        """But for jobs whose id nobody was told and those that could not be removed: the org keeps them for 7 days."""
        return [f"Bulk job {each}" for each in sorted(self._job_ids() - self._excused)]


_UNDONE: Final[Mapping[str | None, dict[str, Any]]] = {
    "before": {"status": 0, "breakage": "reset"},
    "busy": {"status": 503, "headers": {"Retry-After": "30"}, "body": (b"<html>busy</html>",)},
    "refused": {"status": 400, "body": (b'[{"errorCode":"UNKNOWN_EXCEPTION","message":"no reason given"}]',)},
}
"""Answers to requests that are not carried out."""

_HAPPENINGS: Final[Mapping[str, Callable[[PracticeOrg, Random], str]]] = {
    "insert": lambda org, random: org._insert(random, random.randrange(1, 7)),
    "update": lambda org, random: org._update(random, random.randrange(1, 7)),
    "late insert": lambda org, random: org._insert(random, 2, random.choice(DELAYS_S)),
    "late update": lambda org, random: org._update(random, 2, random.choice(DELAYS_S)),
    "late delete": lambda org, random: org._delete(random, 1, random.choice(DELAYS_S)),
    "delete": lambda org, random: org._delete(random, random.randrange(1, 3)),
    "hard delete": lambda org, random: org._delete(random, random.randrange(1, 3), hard=True),
    "undelete": PracticeOrg._undelete,
    "purge": PracticeOrg._purge,
    "re-insert": lambda org, random: org._delete(random, 1) + "; " + org._insert(random, 1, name="re-inserted"),
    "re-stamp": PracticeOrg._restamp,
    "many": lambda org, random: org._insert(random, 25),
    "mass delete": lambda org, random: org._delete(random, 25),
    "tie": PracticeOrg._tie,
    "add field": PracticeOrg._add_field,
    "drop field": PracticeOrg._drop_field,
    "widen field": PracticeOrg._widen,
    "pages": PracticeOrg._pages,
    "wire": PracticeOrg._wire,
    "quota": PracticeOrg._quota,
    "clock ahead": lambda org, random: org._skew(random.choice((10, AHEAD_S))),
    "clock behind": lambda org, random: org._skew(random.choice((-20, -400, 0))),
    "bulk job": PracticeOrg._job,
    "sessions": PracticeOrg._sessions,
}


def _later(late_s: float) -> str:
    return f", visible {late_s:g} s later" if late_s else ""
