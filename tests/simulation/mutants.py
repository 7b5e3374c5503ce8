"""The product with one law switched off at a time: changes of a line, each of which loses or spoils something.

The switches are here, never in the product. Each names the law it breaks, the law by which the simulation sees that
(often the same; but rows that were missed, say, are seen where a watermark claims them: ROWS-THEN-MARK), and histories,
by seed or written out, in one of which it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pytest

from syncline.connectors.connector import Window
from syncline.connectors.errors import SynclineError
from syncline.connectors.salesforce import describe, patience
from syncline.connectors.salesforce.columns import type_of
from syncline.connectors.salesforce.connector import Salesforce
from syncline.connectors.salesforce.deletes import DeleteLog
from syncline.connectors.salesforce.extraction import SalesforceExtraction
from syncline.connectors.salesforce.jobs import Jobs
from syncline.pipelines import loading, reading, resume, runner
from syncline.pipelines.checkpoint import Checkpoint
from syncline.pipelines.digest import Known, pack
from syncline.pipelines.sieve import Sieve
from syncline.pipelines.simulation.checking import play
from syncline.pipelines.simulation.history import History, Step, draw_history
from syncline.pipelines.simulation.practice_org import CHANGES, DAMAGES
from syncline.pipelines.simulation.process import OPERATIONS_MAX
from syncline.pipelines.task import make_task
from syncline.sinks import duckdb_commit, lattice, memory
from syncline.state.lease import HeldLease
from tests.simulation.worlds import BULK, House, practice_org, reference

Patch: TypeAlias = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """``seeds`` are tried in turn until one shows it; or what ``written`` gives. ``seen_as`` left out is ``law``."""

    law: str
    patch: Patch
    seeds: Sequence[int] = ()
    written: Callable[[], Iterable[History]] = tuple
    seen_as: str = ""


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
    monkeypatch.setattr(reading.Landed, "same", property(lambda self: self.task.base.version > 0))


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


def an_update_stands_beside_the_old_row(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory._merge

    def merge(plan: Any, table: Any, *args: Any) -> Any:
        before = list(table.rows)
        counts = whole(plan, table, *args)
        here = {row["Id"]: row for row in table.rows}
        table.rows += [row for row in before if here.get(row["Id"], row) is not row]
        return counts

    monkeypatch.setattr(memory, "_merge", merge)


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
    monkeypatch.setattr(reading, "check_results", lambda *args: None)
    monkeypatch.setattr(reading.Reading, "check_counts", lambda self, extraction: None)


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


def amounts_are_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    def typed(field: Any, rules: Any) -> pa.DataType:
        return pa.float64() if field["type"] == "currency" else type_of(field, rules)

    monkeypatch.setattr(describe, "type_of", typed)


def columns_are_never_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a type was taken from the first values: those of this scenario fit it all the same."""
    joined = lattice.join
    monkeypatch.setattr(lattice, "join", lambda held, new: held if pa.types.is_decimal(held) else joined(held, new))


def a_wider_column_stands_beside_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory._prepare

    def prepare(plan: Any, state: Any) -> None:
        held = state.tables.get(plan.target)
        before = {} if held is None else dict(held.types)
        whole(plan, state)
        table = state.tables[plan.target]
        for name, type in before.items():
            if table.types[name] != type:
                table.types[f"{name}_2"] = table.types[name]

    monkeypatch.setattr(memory, "_prepare", prepare)


def names_are_made_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower case and no underscore within, as some tools spell them: two fields of Contact become one."""
    whole = memory._merge

    def plain(name: str) -> str:
        return name if name.startswith("_") or name in ("Id", "SystemModstamp") else name.lower().replace("_", "")

    def merge(plan: Any, table: Any, *args: Any) -> Any:
        counts = whole(plan, table, *args)
        table.types = {plain(name): type for name, type in table.types.items()}
        table.rows = [{plain(name): value for name, value in row.items()} for row in table.rows]
        return counts

    monkeypatch.setattr(memory, "_merge", merge)


def a_job_is_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    wait = Jobs.wait

    def endless(self: Any, job_id: str) -> Any:
        self._deadline_s = math.inf
        return wait(self, job_id)

    monkeypatch.setattr(Jobs, "wait", endless)


def requests_are_repeated_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_enough", lambda state: False)


def all_rows_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are three places that look at the limit."""
    make, add, many = Sieve.__init__, Checkpoint.add, 1_000_000
    monkeypatch.setattr(reading, "pack", lambda parts, rows_max: pack(parts, many))
    monkeypatch.setattr(Sieve, "__init__", lambda self, task, kind, ordinal, rows_max: make(self, task, kind, ordinal, many))  # fmt: skip # noqa: E501
    monkeypatch.setattr(Checkpoint, "add", lambda self, name, landed, bytes_max: add(self, name, landed, many))


def a_delete_log_that_fails_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = DeleteLog._listed

    def listed(self: Any, *args: Any) -> Any:
        impatient = copy(self)
        impatient._transport = copy(self._transport)
        impatient._transport.patiently = lambda attempt: attempt()
        with suppress(SynclineError):
            return whole(impatient, *args)
        return []

    monkeypatch.setattr(DeleteLog, "_listed", listed)


def long_texts_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory._read

    def read(*args: Any) -> Any:
        for row in whole(*args):
            yield {name: value[:255] if isinstance(value, str) else value for name, value in row.items()}

    monkeypatch.setattr(memory, "_read", read)


def errors_tell_no_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(self: Any, operation: str, object: str, cause: str, hint: str = "") -> None:
        Exception.__init__(self, operation, object, "", hint)
        self.operation, self.object, self.cause, self.hint = operation, object, "", hint

    monkeypatch.setattr(SynclineError, "__init__", told)


def jobs_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jobs, "remove", lambda self, job_id, running, version=None: None)


def the_lease_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeldLease, "release", lambda self: None)


def plain(house: House = "memory") -> Callable[[], Iterable[History]]:
    """The reference scenario without a fault."""
    return lambda: [reference(house)]


def struck(kind: str, step: str, hard: bool = False) -> Callable[[], Iterable[History]]:
    """The reference scenario with the fault at each operation whose name holds ``step``, in turn; its changes are older
    than an overlap, which would mend much. ``hard``: what it deletes is deleted for good."""

    def scenario(faults: tuple[tuple[int, str], ...] = ()) -> History:
        made = reference(faults=faults, wait_s=2_000)
        steps = (replace(each, what="hard delete") if hard and each.what == "delete" else each for each in made.steps)
        return replace(made, steps=tuple(steps))

    def made() -> Iterable[History]:
        found = play(scenario(), practice_org).operations[1]
        return (scenario(((at, kind),)) for at, name in enumerate(found) if step in name)

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


def widened() -> Iterable[History]:
    """The reference scenario, and between its runs a field is widened, twice."""
    scenario = reference()
    changes = (Step("change", 8, "widen field"), Step("change", 9, "widen field"))
    yield replace(scenario, steps=(*scenario.steps[:1], *changes, *scenario.steps[1:]))


def stuck() -> Iterable[History]:
    """A Bulk job that never ends."""
    for seed in range(12):
        steps = (Step("change", seed, "bulk job"), Step("run", BULK))
        yield History(0, "memory", "memory", steps)


def ever_busy() -> Iterable[History]:
    """A source that is busy whenever it is asked in the second run."""
    yield reference(faults=tuple((at, "busy") for at in range(OPERATIONS_MAX + 2)))


ROWS = "ROWS-THEN-MARK"

MUTANTS: Final = (
    Mutant("COMPLETE-WINDOW", no_overlap, known(1), seen_as=ROWS),
    Mutant("COMPLETE-WINDOW", horizon_is_now, known(24)),
    Mutant("COMPLETE-WINDOW", new_columns_stay_empty, known(1)),
    Mutant("COMPLETE-WINDOW", the_delete_log_is_not_asked, known(8), seen_as=ROWS),
    Mutant("VALUE-RESUME", resumed_by_count, written=struck("kill", "landing: "), seen_as=ROWS),
    Mutant("ROWS-THEN-MARK", rows_are_taken_for_known, written=plain(), seen_as="COMPLETE-WINDOW"),
    Mutant("COUNTED-HOPS", a_hop_loses_a_row, written=plain(), seen_as=ROWS),
    Mutant("SEALED-MANIFEST", sealed_files_are_removed, known(2)),
    Mutant("DDL-BEFORE", ddl_in_the_transaction, written=plain("duckdb")),
    Mutant("ONE-TRANSACTION", a_transaction_each, written=plain()),
    Mutant("FENCED-COMMIT", no_fence, written=beside, seen_as="COMPLETE-WINDOW"),
    Mutant("KNOWN-OUTCOME", a_lost_commit_is_taken_for_done, written=struck("before", "warehouse: COMMIT")),
    Mutant("NEWEST-WINS", ties_are_left_out, known(1), seen_as=ROWS),
    Mutant("NEWEST-WINS", an_update_stands_beside_the_old_row, written=plain()),
    Mutant("IDLE-IS-FREE", nothing_is_known, written=plain()),
    Mutant("TYPES-FROM-SOURCE", amounts_are_floats, written=plain()),
    Mutant("TYPES-FROM-SOURCE", columns_are_never_widened, written=widened),
    Mutant("TYPES-FROM-SOURCE", a_wider_column_stands_beside_the_old_one, written=widened),
    Mutant("EXACT-NAMES", names_are_made_plain, written=plain()),
    Mutant("BOUNDED", a_job_is_waited_for_without_end, written=stuck),
    Mutant("BOUNDED", requests_are_repeated_without_end, written=ever_busy),
    Mutant("BOUNDED", all_rows_are_remembered, known(0)),
    Mutant("LOUD", a_delete_log_that_fails_is_passed_over, written=struck("busy", "/deleted", hard=True), seen_as=ROWS),
    Mutant("LOUD", long_texts_are_cut, written=plain(), seen_as=ROWS),
    Mutant("LOUD", errors_tell_no_cause, written=struck("refused", "/describe")),
    Mutant("GUARDED-DELETE", no_guard, known(15)),
    Mutant("NO-SECRETS", a_secret_in_the_manifest, written=plain()),
    Mutant("nothing outlives the next run", jobs_are_left, written=plain()),
    Mutant("nothing outlives the next run", the_lease_is_kept, written=plain()),
)


def histories(mutant: Mutant) -> Iterable[History]:
    yield from (draw_history(seed, CHANGES, DAMAGES) for seed in mutant.seeds)
    yield from mutant.written()
