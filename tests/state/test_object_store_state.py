"""State in a bucket: the suite in memory and over HTTP, lost replies, races, clocks, damage and bounds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore

from syncline.connectors.errors import ConfigError, LeaseHeld, SignInError, Transient
from syncline.connectors.s3_settings import S3Settings
from syncline.state import object_store, objects
from syncline.state.conformance import MARK, START, TTL_S, ManualClock, OpenStore, StateConformance, run_at
from syncline.state.holder import Holder
from syncline.state.lease import SPENT, Claim
from syncline.state.object_store import ObjectStoreState, S3Options
from tests.landing.proxy import Request
from tests.state.conftest import BucketState


class TestObjectStoreStateInMemory(StateConformance):
    @pytest.fixture
    def open_store(self, clock: ManualClock) -> OpenStore:
        store = MemoryStore()
        return lambda: ObjectStoreState.over(store, clock=clock)


class TestObjectStoreStateOnS3(StateConformance):
    @pytest.fixture
    def open_store(self, clock: ManualClock, bucket_state: BucketState) -> OpenStore:
        return lambda: bucket_state.open(clock=clock)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def naps() -> list[float]:
    return []


def nobody_sleeps(seconds: float) -> None:
    raise AssertionError("somebody was first")


def once(method: str, kind: str, times: int = 1) -> Callable[[Request], bool]:
    """Holds for the first requests of that method whose key has ``kind`` in it."""
    left = [times]

    def holds(request: Request) -> bool:
        if request.method != method or kind not in request.path or not left[0]:
            return False
        left[0] -= 1
        return True

    return holds


# --- replies that are lost after S3 has acted


@pytest.mark.parametrize("before", [{}, {"Account": replace(MARK, version=2)}], ids=["created", "changed"])
@pytest.mark.parametrize(("retries", "puts"), [(0, 1), (2, 2)])
def test_a_mirror_whose_reply_was_lost_is_remembered_once(
    bucket_state: BucketState, before: dict[str, Any], retries: int, puts: int
) -> None:
    """KNOWN-OUTCOME: the put is recognised, also when the client sent it again and was told 412 for its pains."""
    if before:
        bucket_state.open().remember("crm", before)
    bucket_state.proxy.loses = once("PUT", "mirrors")
    state = bucket_state.through_proxy(sleep=lambda seconds: None, retries_max=retries)
    state.remember("crm", {"Account": MARK})
    assert bucket_state.open().recall("crm") == {"Account": MARK}
    assert len([request for request in bucket_state.proxy.seen if request.method == "PUT"]) == puts


def test_a_lost_reply_does_not_undo_what_others_remembered_after_it(bucket_state: BucketState) -> None:
    """The first attempt stands below somebody else's; written again it would bring an old mark back."""
    late = replace(MARK, version=99)

    def lose(request: Request) -> bool:
        if not losing(request):
            return False
        bucket_state.open().remember("crm", {"Account": late})
        return True

    losing = once("PUT", "mirrors")
    bucket_state.proxy.loses = lose
    bucket_state.through_proxy(sleep=lambda seconds: None).remember("crm", {"Account": MARK})
    assert bucket_state.open().recall("crm") == {"Account": late}


def test_a_lease_whose_reply_was_lost_is_held_by_its_taker(bucket_state: BucketState, clock: ManualClock) -> None:
    """Taken by itself it must not count as taken by another."""
    bucket_state.proxy.loses = once("PUT", "leases")
    with bucket_state.through_proxy(clock=clock, sleep=lambda seconds: None).lease("crm", TTL_S) as lease:
        with pytest.raises(LeaseHeld), bucket_state.open(clock=clock).lease("crm", TTL_S):
            pass
        bucket_state.proxy.loses = once("PUT", "leases")
        clock.advance(TTL_S - 1)
        lease.renew()
        clock.advance(TTL_S - 1)
        with pytest.raises(LeaseHeld), bucket_state.open(clock=clock).lease("crm", TTL_S):
            pass
        bucket_state.proxy.loses = once("PUT", "leases")
    with bucket_state.open(clock=clock).lease("crm", TTL_S):
        pass


def test_a_lease_taken_over_while_its_reply_was_lost_is_the_other_s(
    bucket_state: BucketState, clock: ManualClock
) -> None:
    other = bucket_state.open(clock=clock).lease("crm", TTL_S)
    losing = once("PUT", "leases")

    def lose(request: Request) -> bool:
        if not losing(request):
            return False
        clock.advance(TTL_S)
        other.__enter__()
        return True

    bucket_state.proxy.loses = lose
    slow = bucket_state.through_proxy(clock=clock, sleep=lambda seconds: None)
    with pytest.raises(LeaseHeld), slow.lease("crm", TTL_S):
        pass
    other.__exit__(None, None, None)


def test_a_run_whose_reply_was_lost_is_recorded_once(bucket_state: BucketState) -> None:
    bucket_state.proxy.loses = once("PUT", "runs")
    bucket_state.through_proxy(sleep=lambda seconds: None).record(run_at(0))
    assert list(bucket_state.open().runs("crm", 5)) == [run_at(0)]


def test_a_store_that_loses_every_reply_is_an_error_after_a_bounded_number_of_attempts(
    bucket_state: BucketState, naps: list[float]
) -> None:
    """BOUNDED, LOUD."""
    bucket_state.proxy.fault = lambda request: (503, "SlowDown") if request.method == "PUT" else None
    with pytest.raises(Transient, match="SlowDown") as caught:
        bucket_state.open(endpoint=bucket_state.proxy.endpoint, retries_max=0, sleep=naps.append).record(run_at(0))
    assert caught.value.hint
    assert len(naps) == objects.REPLIES_LOST_MAX
    assert len([request for request in bucket_state.proxy.seen if request.method == "PUT"]) == len(naps) + 1


# --- others who are first


def test_a_change_that_others_always_get_in_before_ends(naps: list[float]) -> None:
    """BOUNDED: so many attempts, each a little later than the last."""
    store = MemoryStore()
    rival = ObjectStoreState.over(store)
    state = ObjectStoreState.over(store, sleep=naps.append)
    rivals = iter(range(100))

    def decide(held: Claim | None) -> Claim:
        rival.swap("crm", lambda claim: replace(CLAIM, token=f"rival-{next(rivals)}"))
        return CLAIM

    with pytest.raises(Transient, match="somebody else changed it first"):
        state.swap("crm", decide)
    assert next(rivals) == objects.ATTEMPTS_MAX
    assert len(naps) == objects.ATTEMPTS_MAX - 1
    assert 0 < naps[0] <= objects.BACKOFF_FIRST_S
    assert max(naps) <= objects.BACKOFF_LONGEST_S


def test_an_object_deleted_between_look_and_put_is_made_again(bucket_state: BucketState, clock: ManualClock) -> None:
    state, deletions = bucket_state.open(sleep=lambda seconds: None), iter([True])

    def decide(held: Claim | None) -> Claim:
        if next(deletions, False):
            bucket_state.server.client.delete_object(Bucket=bucket_state.bucket, Key="deep/state/leases/crm")
        return CLAIM

    state.swap("crm", lambda held: replace(CLAIM, token="first"))
    state.swap("crm", decide)
    with pytest.raises(LeaseHeld, match="process 7 on elsewhere"), bucket_state.open(clock=clock).lease("crm", TTL_S):
        pass


CHILD = """
import sys
from dataclasses import replace
from syncline.state.conformance import MARK
from syncline.state.object_store import ObjectStoreState

endpoint, bucket, name = sys.argv[1:]
state = ObjectStoreState(
    f"s3://{bucket}/deep/state", endpoint=endpoint, access_key_id="AKIATEST", secret_access_key="sentinel-secret"
)
sys.stdin.readline()
"""
REMEMBERS = (
    CHILD
    + """
for version in range(5):
    state.remember("crm", {f"{name}-{version}": replace(MARK, version=version)})
"""
)
TAKES = (
    CHILD
    + """
from syncline.connectors.errors import LeaseHeld
try:
    with state.lease("crm", 3600):
        print("held", flush=True)
        sys.stdin.readline()
except LeaseHeld as refused:
    print(refused.cause, flush=True)
"""
)


def children(script: str, state: BucketState, names: str) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, state.server.endpoint, state.bucket]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return [subprocess.Popen([*command, name], **pipes) for name in names]  # type: ignore[call-overload]


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_that_remember_at_once_undo_nothing(bucket_state: BucketState) -> None:
    racing = children(REMEMBERS, bucket_state, "abc")
    for process in racing:
        tell(process)
    for process in racing:
        process.communicate()
        assert process.returncode == 0
    assert len(bucket_state.open().recall("crm")) == 15


def test_of_processes_that_take_a_lease_at_once_one_holds_it_and_the_others_know_which(
    bucket_state: BucketState,
) -> None:
    racing = children(TAKES, bucket_state, "abc")
    for process in racing:
        tell(process)
    said = {process: line_of(process) for process in racing}
    (winner,) = [process for process, text in said.items() if text == "held"]
    losers = [text for process, text in said.items() if process is not winner]
    assert all(f"process {winner.pid} on" in text for text in losers)
    winner.kill()
    for process in racing:
        process.communicate()
    # The dead holder is seen to be dead from the same machine, long before its hour is over.
    with bucket_state.open().lease("crm", TTL_S):
        pass


# --- clocks

CLAIM = Claim("token", Holder("elsewhere", 7, "another-boot pid:[1]", "5"), START, START + timedelta(seconds=TTL_S))


@pytest.mark.parametrize(("after_s", "stands"), [(TTL_S, True), (TTL_S + 29, True), (TTL_S + 30, False)])
def test_a_claim_of_another_host_stands_longer_by_what_clocks_may_be_apart(
    clock: ManualClock, after_s: float, stands: bool
) -> None:
    """A taker whose clock is ahead must not find free what its holder believes to hold."""
    state = ObjectStoreState.over(MemoryStore(), clock=clock)
    state.swap("crm", lambda held: CLAIM)
    clock.advance(after_s)
    if stands:
        with pytest.raises(LeaseHeld), state.lease("crm", TTL_S):
            pass
    else:
        with state.lease("crm", TTL_S):
            pass


def test_a_lease_that_another_host_gave_back_is_free_at_once(clock: ManualClock) -> None:
    state = ObjectStoreState.over(MemoryStore(), clock=clock)
    state.swap("crm", lambda held: replace(CLAIM, until=SPENT))
    with state.lease("crm", TTL_S):
        pass


def test_looking_at_a_claim_of_another_host_does_not_lengthen_it(clock: ManualClock) -> None:
    store = MemoryStore()
    state = ObjectStoreState.over(store, clock=clock)
    state.swap("crm", lambda held: CLAIM)
    before = obstore.get(store, "leases/crm").bytes().to_bytes()
    state.swap("crm", lambda held: held)
    assert obstore.get(store, "leases/crm").bytes().to_bytes() == before


@pytest.mark.parametrize(
    ("space", "host", "same"),
    [
        ("boot-1 pid:[9]", "box", True),
        ("boot-2 pid:[1]", "box", False),
        ("", "box", True),
        ("", "other", False),
    ],
)
def test_one_clock_is_shared_by_what_runs_on_one_system(
    monkeypatch: pytest.MonkeyPatch, space: str, host: str, same: bool
) -> None:
    """Containers of one host have names of their own and one clock; hosts of one name have two."""
    monkeypatch.setattr(object_store, "this_process", lambda: Holder("box", 1, "boot-1 pid:[1]", "2"))
    assert object_store._same_clock(Holder(host, 5, space, "3")) is same


# --- the history


def test_the_newest_runs_are_found_without_listing_the_others(
    bucket_state: BucketState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BOUNDED: one page of names, and as many objects as asked for."""
    for minute in range(12):
        bucket_state.open().record(run_at(minute))
    bucket_state.proxy.seen.clear()
    runs = bucket_state.through_proxy().runs("crm", 3)
    assert [run.run_id for run in runs] == ["run-11", "run-10", "run-09"]
    requests = [request.path for request in bucket_state.proxy.seen]
    assert len([path for path in requests if "list-type=2" in path]) == 1
    assert len(requests) == 4


def test_the_history_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """BOUNDED: now and then, as a run ends, what is over the bound goes."""
    monkeypatch.setattr(object_store, "RUNS_KEPT", 3)
    state = ObjectStoreState.over(MemoryStore(), random=lambda size: bytes(size))
    state.record(replace(run_at(0), pipeline="other"))
    for minute in range(5):
        state.record(run_at(minute))
    assert len(state.runs("crm", 100)) == 5, "only the end of a run prunes"
    state.record(replace(run_at(4), finished_at=START))
    assert [run.run_id for run in state.runs("crm", 100)] == ["run-04", "run-03", "run-02"]
    assert len(state.runs("other", 100)) == 1


def test_most_ends_of_runs_do_not_list_the_history() -> None:
    lists: list[int] = []
    state = ObjectStoreState.over(MemoryStore())
    state._prune = lambda pipeline: lists.append(1)  # type: ignore[method-assign]
    for number in range(object_store.PRUNE_ODDS):
        state._random = lambda size, number=number: number.to_bytes(size)  # type: ignore[misc]
        state.record(replace(run_at(0), finished_at=START))
    assert len(lists) == 1


def test_a_history_that_cannot_be_pruned_does_not_fail_the_run(
    bucket_state: BucketState, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(object_store, "RUNS_KEPT", 0)
    bucket_state.proxy.fault = lambda request: (403, "AccessDenied") if "delete" in request.path else None
    state = bucket_state.through_proxy(random=lambda size: bytes(size))
    state.record(replace(run_at(0), finished_at=START))
    assert "could not be removed" in caplog.text
    assert len(bucket_state.open().runs("crm", 5)) == 1


# --- damage


def spoil(bucket_state: BucketState, change: Callable[[bytes], bytes]) -> None:
    client = bucket_state.server.client
    for key in bucket_state.objects():
        data = client.get_object(Bucket=bucket_state.bucket, Key=key)["Body"].read()
        client.put_object(Bucket=bucket_state.bucket, Key=key, Body=change(data))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: b"no json\n",
        lambda data: b"[1]\n",
        lambda data: data.replace(b'"format": 1', b'"format": 2'),
        lambda data: data[:-1] if not data.endswith(b"\n") else data.replace(b"2026", b"yesterday"),
        lambda data: data.replace(b'"version"', b'"v"').replace(b'"run_id"', b'"r"').replace(b'"since"', b'"s"'),
    ],
    ids=["empty", "no JSON", "another JSON", "newer", "cut", "without a field"],
)
def test_damaged_state_is_an_error_whose_hint_is_to_delete_it(
    bucket_state: BucketState, change: Callable[[bytes], bytes]
) -> None:
    """LOUD; and the hint is true: the warehouse holds the truth."""
    state = bucket_state.open()
    state.remember("crm", {"Account": MARK, "Contact": MARK})
    state.record(run_at(0))
    state.swap("crm", lambda held: CLAIM)
    spoil(bucket_state, change)
    attempts: list[Callable[[], object]] = [
        lambda: state.recall("crm"),
        lambda: state.remember("crm", {"Account": MARK}),
        lambda: state.runs("crm", 5),
        lambda: state.lease("crm", TTL_S).__enter__(),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigError) as caught:
            attempt()
        assert f"s3://{bucket_state.bucket}/deep/state/" in caught.value.object
        assert "nothing is lost but time" in caught.value.hint
    for key in bucket_state.objects():
        bucket_state.server.client.delete_object(Bucket=bucket_state.bucket, Key=key)
    state.remember("crm", {"Account": MARK})
    assert state.recall("crm") == {"Account": MARK}


def test_a_mirror_of_an_older_program_is_read_without_a_place(bucket_state: BucketState) -> None:
    state = bucket_state.open()
    state.remember("crm", {"Account": MARK, "Contact": MARK})
    spoil(bucket_state, lambda data: re.sub(rb', "place": "[^"]*"', b"", data))
    old = replace(MARK, place="")
    assert state.recall("crm") == {"Account": old, "Contact": old}
    state.remember("crm", {"Contact": MARK})
    assert state.recall("crm") == {"Account": old, "Contact": MARK}


# --- settings, rights, what is said


def test_the_options_are_the_settings_of_a_bucket() -> None:
    """The landing's: nobody learns two sets."""
    assert set(S3Options.__annotations__) == {each.name for each in fields(S3Settings)} - {"bucket"}


@pytest.mark.parametrize(
    ("url", "settings", "match"),
    [
        ("state", {}, "for a folder use SqliteState"),
        ("file:///state", {}, "for a folder use SqliteState"),
        ("gs://bucket", {}, "not a bucket"),
        ("s3://", {}, "bucket's name is missing"),
        ("s3://key:sentinel@bucket", {}, "holds more than a name"),
        ("memory://", {"region": "eu-west-1"}, "only an s3:// state has"),
        ("s3://bucket", {"endpoint": "http://example.com"}, "in the clear"),
        ("s3://bucket", {"access_key_id": "AKIA"}, "one is missing"),
        ("s3://bucket", {"clock_skew_s": -1}, "clock_skew_s=-1"),
        ("s3://bucket", {"clock_skew_s": 901.0}, "clock_skew_s"),
    ],
)
def test_what_cannot_work_is_refused_when_the_state_is_made(url: str, settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as refused:
        ObjectStoreState(url, **settings)
    assert refused.value.hint
    assert "sentinel" not in str(refused.value)


def test_nothing_is_connected_before_it_is_used() -> None:
    state = ObjectStoreState("s3://bucket/state", endpoint="http://127.0.0.1:9", region="eu-west-1")
    assert repr(state) == "ObjectStoreState('s3://bucket/state')"


def test_looking_creates_nothing(bucket_state: BucketState) -> None:
    assert bucket_state.open().recall("crm") == {}
    assert list(bucket_state.open().runs("crm", 5)) == []
    assert bucket_state.objects() == []


def test_a_missing_bucket_is_named(bucket_state: BucketState) -> None:
    state = ObjectStoreState("s3://no-such-bucket/state", **bucket_state.server.settings)
    for attempt in (lambda: state.recall("crm"), lambda: state.record(run_at(0)), lambda: state.runs("crm", 1)):
        with pytest.raises(ConfigError, match=r"no-such-bucket.*NoSuchBucket"):
            attempt()


def test_a_refused_key_is_a_sign_in_error_without_the_secret(bucket_state: BucketState) -> None:
    """NO-SECRETS."""
    bucket_state.proxy.fault = lambda request: (403, "SignatureDoesNotMatch")
    with pytest.raises(SignInError) as caught:
        bucket_state.through_proxy().recall("crm")
    assert "sentinel-secret" not in f"{caught.value!r} {caught.value} {bucket_state.open()!r}"


def test_check_tries_everything_and_leaves_nothing(bucket_state: BucketState) -> None:
    (finding,) = bucket_state.open().check()
    assert finding.level == "ok"
    assert bucket_state.objects() == []


@pytest.mark.parametrize("header", ["if-none-match", "if-match"])
def test_check_finds_a_store_that_ignores_conditions(
    bucket_state: BucketState, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some S3-compatible stores do: two runs would hold one lease."""
    put: Any = obstore.put

    def deaf(store: Any, key: str, data: bytes, mode: Any, **rest: Any) -> Any:
        ignored = mode == "create" if header == "if-none-match" else mode != "create"
        return put(store, key, data, mode="overwrite" if ignored else mode, **rest)

    monkeypatch.setattr(obstore, "put", deaf)
    (finding,) = bucket_state.open().check()
    assert finding.level == "error"
    assert "PostgresState" in finding.cure


@pytest.mark.parametrize(("method", "level"), [("PUT", "error"), ("GET", "error"), ("POST", "warn")])
def test_check_finds_a_right_that_is_missing(bucket_state: BucketState, method: str, level: str) -> None:
    bucket_state.proxy.fault = lambda request: (403, "AccessDenied") if request.method == method else None
    (finding,) = bucket_state.through_proxy().check()
    assert finding.level == level
    assert "AccessDenied" in finding.text
    assert "s3:" in finding.cure


def test_many_threads_share_one_state(bucket_state: BucketState) -> None:
    state = bucket_state.open()

    def work(number: int) -> None:
        with state.lease(f"pipeline-{number}", TTL_S) as lease:
            state.record(replace(run_at(number), pipeline=f"pipeline-{number}"))
            state.remember(f"pipeline-{number}", {"Account": replace(MARK, version=number)})
            lease.renew()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    assert [state.recall(f"pipeline-{number}")["Account"].version for number in range(16)] == list(range(16))
