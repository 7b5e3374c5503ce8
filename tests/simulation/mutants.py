"""The product with one law switched off at a time: changes of a line, each of which loses or spoils something.

The switches are here, never in the product. Each names the law it breaks and histories, by seed or written out, in one
of which that shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeAlias

import pytest

from syncline.connectors.connector import Window
from syncline.connectors.salesforce.connector import Salesforce
from syncline.connectors.salesforce.deletes import DeleteLog
from syncline.connectors.salesforce.extraction import SalesforceExtraction
from syncline.connectors.salesforce.jobs import Jobs
from syncline.pipelines import extract, loading, resume, runner
from syncline.pipelines.digest import Known
from syncline.pipelines.simulation.checking import play
from syncline.pipelines.simulation.history import History, Step, draw_history
from syncline.pipelines.simulation.practice_org import CHANGES, DAMAGES
from syncline.pipelines.task import make_task
from syncline.sinks import duckdb_commit, memory
from syncline.state.lease import HeldLease
from tests.simulation.worlds import House, practice_org, reference

Patch: TypeAlias = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """``seeds`` are tried in turn until one shows it; or what ``written`` gives."""

    law: str
    patch: Patch
    seeds: Sequence[int] = ()
    written: Callable[[], Iterable[History]] = tuple


def no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Any = make_task

    def task(*args: Any) -> Any:
        made = whole(*args)
        from_mark = made is not None and made.mode == "changes" and made.base.watermark is not None
        return replace(made, window=Window(made.base.watermark, made.window.high)) if from_mark else made

    monkeypatch.setattr(runner, "make_task", task)


def horizon_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    lagging = Salesforce.horizon
    monkeypatch.setattr(Salesforce, "horizon", lambda self: lagging(self) + timedelta(seconds=self.settling_lag_s))


def rows_are_taken_for_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract.Landed, "same", property(lambda self: self.task.base.version > 0))


def a_hop_loses_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory._read
    monkeypatch.setattr(memory, "_read", lambda *args: list(whole(*args))[1:])
    monkeypatch.setattr(loading, "load", lambda context, plan, manifest: context.warehouse.load(plan, manifest, context.landing))  # fmt: skip # noqa: E501


def sealed_files_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    def discard(context: Any, stream: str, checkpoint: Any) -> None:
        context.landing.discard(checkpoint.files())

    monkeypatch.setattr(resume, "discard_unsealed", discard)


def ddl_in_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    move = duckdb_commit._move_watermark

    def moved(session: Any, *args: Any) -> None:
        session.run("CREATE TABLE IF NOT EXISTS aside (one INTEGER)")
        move(session, *args)

    monkeypatch.setattr(duckdb_commit, "_move_watermark", moved)


def a_transaction_each(monkeypatch: pytest.MonkeyPatch) -> None:
    together = loading.load_and_commit

    def apart(context: Any, landed: Sequence[Any], *args: Any) -> Any:
        return [together(context, [each], *args) for each in landed][-1]

    monkeypatch.setattr(runner, "load_and_commit", apart)


def no_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    fenced = memory.Memory.commit

    def commit(self: Any, unit: Any) -> Any:
        there = self.storage.state.watermarks
        versions = {stream: mark.version for (_, stream), mark in there.items()}
        return fenced(self, replace(unit, marks=[replace(m, version=versions.get(m.stream, 0)) for m in unit.marks]))

    monkeypatch.setattr(memory.Memory, "commit", commit)


def a_lost_commit_is_taken_for_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "resolve_unknown", lambda context, unit, error: unit.started_at)


def ties_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(plan: Any, old: Any, row: Any) -> bool:
        return plan.cursor is not None and bool(row[plan.cursor] <= old[plan.cursor])

    monkeypatch.setattr(memory, "_is_stale", stale)


def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Known, "__contains__", lambda self, digest: False)


def new_columns_stay_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Any = make_task

    def task(stream: Any, schema: Any, base: Any, high: Any) -> Any:
        return whole(stream, schema, replace(base, columns=tuple(schema.columns.names)) if base.columns else base, high)

    monkeypatch.setattr(runner, "make_task", task)


def resumed_by_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts of COUNTED-HOPS would see it, so they are switched off as well."""
    whole = SalesforceExtraction.slices

    def slices(self: Any, resume: Any, remember: Any) -> Any:
        found = list(whole(self, resume, remember))
        return [each for each in found if each.kind != "records" or not resume]

    monkeypatch.setattr(SalesforceExtraction, "slices", slices)
    monkeypatch.setattr(extract, "check_results", lambda *args: None)
    monkeypatch.setattr(extract.Reading, "check_counts", lambda self, extraction: None)


def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "check_deletes", lambda plan, counts, rows: None)


def the_delete_log_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeleteLog, "_listed", lambda self, start, end, window: [])


def a_secret_in_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = SalesforceExtraction.forecast.fget  # type: ignore[attr-defined]

    def forecast(self: Any) -> Any:
        session = self._bulk._transport._keeper.current()
        return replace(quiet(self), query=session.token.reveal())

    monkeypatch.setattr(SalesforceExtraction, "forecast", property(forecast))


def jobs_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jobs, "remove", lambda self, job_id, running, version=None: None)


def the_lease_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeldLease, "release", lambda self: None)


def plain(house: House = "memory") -> Callable[[], Iterable[History]]:
    """The reference scenario without a fault."""
    return lambda: [reference(house)]


def struck(kind: str, step: str) -> Callable[[], Iterable[History]]:
    """The reference scenario with the fault at each operation of that name, in turn; its changes are older than an
    overlap, which would mend much."""

    def made() -> Iterable[History]:
        found = play(reference(wait_s=2_000), practice_org).operations[1]
        hit = [at for at, name in enumerate(found) if name.startswith(step)]
        return (reference(faults=((at, kind),), wait_s=2_000) for at in hit)

    return made


def beside() -> Iterable[History]:
    """Two runs at once, at least one of them slow, interleaved in many ways."""
    slow = ((4, "slow"), (6, "slow"), (22, "slow"))
    for seed in range(60):
        steps = (Step("run", 1), Step("change", 2, "update"), Step("wait", 3, "300"))
        yield History(seed, "memory", "memory", (*steps, Step("overlap", seed, faults=slow)))


def known(seed: int) -> Sequence[int]:
    """The seed that shows it today, and others should the product come to do things in another order."""
    return (seed, *range(60))


MUTANTS: Final = (
    Mutant("COMPLETE-WINDOW", no_overlap, known(1)),
    Mutant("COMPLETE-WINDOW", horizon_is_now, known(24)),
    Mutant("COMPLETE-WINDOW", new_columns_stay_empty, known(0)),
    Mutant("COMPLETE-WINDOW", the_delete_log_is_not_asked, known(8)),
    Mutant("VALUE-RESUME", resumed_by_count, written=struck("kill", "landing: ")),
    Mutant("ROWS-THEN-MARK", rows_are_taken_for_known, written=plain()),
    Mutant("COUNTED-HOPS", a_hop_loses_a_row, written=plain()),
    Mutant("SEALED-MANIFEST", sealed_files_are_removed, known(2)),
    Mutant("DDL-BEFORE", ddl_in_the_transaction, written=plain("duckdb")),
    Mutant("ONE-TRANSACTION", a_transaction_each, written=plain()),
    Mutant("FENCED-COMMIT", no_fence, written=beside),
    Mutant("KNOWN-OUTCOME", a_lost_commit_is_taken_for_done, written=struck("before", "warehouse: COMMIT")),
    Mutant("NEWEST-WINS", ties_are_left_out, known(1)),
    Mutant("IDLE-IS-FREE", nothing_is_known, written=plain()),
    Mutant("GUARDED-DELETE", no_guard, known(15)),
    Mutant("NO-SECRETS", a_secret_in_the_manifest, written=plain()),
    Mutant("nothing outlives the next run", jobs_are_left, written=plain()),
    Mutant("nothing outlives the next run", the_lease_is_kept, written=plain()),
)


def histories(mutant: Mutant) -> Iterable[History]:
    yield from (draw_history(seed, CHANGES, DAMAGES) for seed in mutant.seeds)
    yield from mutant.written()
