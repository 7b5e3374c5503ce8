"""Making the tables anew from the landing, without the source: ``syncline replay``.

::

    sealed manifests ──▶ committed ones, in the order they were committed ──▶ from the last beginning on, run by run
                         (the warehouse's runs; or all that are sealed)       into another warehouse, a commit a run

Each run's rows go through the same port as they did (NEWEST-WINS, COUNTED-HOPS, SEALED-MANIFEST), so the outcome is
what the warehouse held when that run had committed. Which runs committed only the warehouse knows: a sealed manifest
whose commit was refused must not come in. Where the warehouse is lost, all sealed runs are taken, if the caller says
so. Targets and ``on_delete`` are the pipeline's of today, for manifests do not have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError, DataError
from syncline.pipelines.context import Context
from syncline.pipelines.landing_runs import Known, known_runs
from syncline.pipelines.lifecycle import new_report
from syncline.pipelines.loading import carry_out, unit_of
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.report import RunReport
from syncline.pipelines.task import SNAPSHOT_AHEAD
from syncline.sinks.manifest import Manifest
from syncline.sinks.upkeep import Holding, survey
from syncline.sinks.warehouse import Mark, TablePlan, Warehouse

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.context import Seams
    from syncline.pipelines.events import Events
    from syncline.pipelines.stop import StopSignal

OPERATION = "replay landing"

UNKNOWN = "replayed"
"""The definition of a stream whose filter at that time is not known: the next run reads such a stream whole."""


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction of the replay: what one run, or one group of compacted runs, landed of each stream."""

    run_id: str
    manifests: Mapping[str, Manifest]

    @property
    def started_at(self) -> datetime:
        return min(each.started_at for each in self.manifests.values())


@dataclass(frozen=True, slots=True)
class Score:
    """What is to be replayed. ``complete`` says that it ends where the warehouse stands, ``known`` what that one knows;
    ``skipped`` counts sealed runs that never committed."""

    steps: tuple[Step, ...]
    known: Known | None
    complete: bool
    skipped: int
    warnings: tuple[str, ...]


def replay(
    pipeline: Pipeline,
    into: Warehouse,
    *,
    until: str | None = None,
    all_sealed: bool = False,
    events: Events,
    stop: StopSignal,
    seams: Seams,
) -> dict[str, Json]:
    """Makes the pipeline's tables anew in ``into``, as they were when the run ``until`` had committed, or as they are.

    A replay that was interrupted goes on when it is repeated. The source is not asked, and the pipeline's own warehouse
    only which runs committed; with ``all_sealed`` not even that.

    Raises:
        ConfigError: ``into`` holds tables of this pipeline that are no replay, no such run committed, or the landing
            lacks what a stream begins with.
        DataError: a landed file is missing or damaged.
    """
    score = compose(pipeline, until, all_sealed)
    report = play_into(pipeline, into, score, events=events, stop=stop, seams=seams)
    return {
        "pipeline": pipeline.name,
        "into": repr(into),
        "until": score.steps[-1].run_id if score.steps else None,
        "runs": len(score.steps),
        "skipped": score.skipped,
        "streams": report.to_json()["streams"],
        "warnings": [*score.warnings, *report.warnings],
    }


def play_into(
    pipeline: Pipeline, into: Warehouse, score: Score, *, events: Events, stop: StopSignal, seams: Seams
) -> RunReport:
    """Replays the steps into a warehouse that is not the pipeline's; what was committed into it."""
    beside = Pipeline(
        pipeline.name,
        pipeline.source,
        pipeline.streams,
        landing=pipeline.landing,
        warehouse=into,
        state=pipeline.state,
        commit=pipeline.commit,
    )
    context = Context(beside, new_report(beside, "replay", seams), events, stop, allow_deletes=True, seams=seams)
    try:
        done = begin(context, score)
        play(context, score, done)
    finally:
        into.close()
    return context.report


# --- choosing ---------------------------------------------------------------------------------------------------------


def compose(pipeline: Pipeline, until: str | None, all_sealed: bool) -> Score:
    """The steps, in the order in which they were committed; each stream from its last beginning on."""
    known = None if all_sealed else known_runs(OPERATION, pipeline)
    if known is not None and not known.committed:
        cause = f"{pipeline.warehouse!r} knows of no committed run"
        hint = "if it was lost, add --all-sealed: every sealed run is taken then, whether it committed or not"
        raise ConfigError(OPERATION, pipeline.name, cause, hint)
    holdings = list(survey(pipeline.landing, pipeline.name))
    order = by_horizon(holdings) if known is None else by_commit(known)
    if until is not None and until not in order.places:
        raise no_such_run(pipeline, until)
    by_run: dict[str, dict[str, Manifest]] = {}
    skipped, warnings, mine = 0, list[str](), {stream.name: stream for stream in pipeline.streams}
    for holding in holdings:
        if holding.stream not in mine:
            warnings.append(f"{holding.stream} is left out: the pipeline has no such stream any more")
            continue
        counting = [each for each in holding.sealed if known is None or known.is_committed(each)]
        skipped += len(holding.sealed) - len(counting)
        chosen = upto(holding.stream, sorted(counting, key=order.of), until, order)
        lost = lost_runs(holding.stream, chosen, known, until)
        for manifest in from_beginning(mine[holding.stream], chosen, lost, order, warnings):
            by_run.setdefault(manifest.runs[-1].run_id, {})[holding.stream] = manifest
    if until is not None and known is None and until not in by_run:
        raise no_such_run(pipeline, until)
    steps = [Step(run_id, by_run[run_id]) for run_id in sorted(by_run, key=order.place)]
    complete = known is not None and (until is None or until == list(known.committed)[-1])
    return Score(tuple(steps), known, complete, skipped, tuple(warnings))


def no_such_run(pipeline: Pipeline, run_id: str) -> ConfigError:
    cause, hint = "no run of that id committed rows", f"`syncline runs {pipeline.name}` lists the runs"
    return ConfigError(OPERATION, f"{pipeline.name}, run {run_id}", cause, hint)


@dataclass(frozen=True, slots=True)
class Order:
    """Where each run stands among the others, by its id: by commit, or where that is not known by the source's clock.
    Never by this machine's, which may have been set back between two runs."""

    places: Mapping[str, int]

    def place(self, run_id: str) -> int:
        return self.places[run_id]

    def of(self, manifest: Manifest) -> int:
        """A compacted manifest stands where the last of its runs did."""
        return self.place(manifest.runs[-1].run_id)


def by_commit(known: Known) -> Order:
    return Order({run_id: place for place, run_id in enumerate(known.committed)})


def by_horizon(holdings: Sequence[Holding]) -> Order:
    """Each run reads up to a later horizon than the one before it (COMPLETE-WINDOW). Of a compacted manifest the last
    run's is known, and the order of the others; a rewind has none, and stands where it began."""
    reached: dict[str, tuple[datetime, int, str]] = {}
    for manifest in (each for holding in holdings for each in holding.sealed):
        horizon = manifest.started_at if manifest.api == "rewind" else horizon_of(manifest)
        for place, run in enumerate(manifest.runs):
            mine = (horizon, place, run.run_id)
            reached[run.run_id] = min(reached.get(run.run_id, mine), mine)
    return Order({run_id: place for place, run_id in enumerate(sorted(reached, key=reached.__getitem__))})


def upto(stream: str, manifests: Sequence[Manifest], until: str | None, order: Order) -> Sequence[Manifest]:
    """The manifests whose runs are not after ``until``.

    Raises:
        ConfigError: a compacted manifest holds rows of runs before and after it.
    """
    if until is None:
        return manifests
    last, chosen = order.place(until), list[Manifest]()
    for each in manifests:
        before = [run for run in each.runs if order.place(run.run_id) <= last]
        if len(before) == len(each.runs):
            chosen.append(each)
        elif before:
            cause = f"its rows were compacted with those of later runs, up to {each.runs[-1].run_id}"
            hint = f"choose that run, or one before {each.runs[0].run_id}"
            raise ConfigError(OPERATION, f"{stream}, run {until}", cause, hint)
    return chosen


def is_whole(manifest: Manifest) -> bool:
    """Whether it has all there was: a snapshot, or a first read. A repair reads keys, from no beginning."""
    return manifest.mode == "snapshot" or is_first(manifest)


def is_first(manifest: Manifest) -> bool:
    """Whether it was read into a target that did not exist: what was landed before does not count any more."""
    return manifest.mode == "changes" and manifest.window.low is None and manifest.api != "keys"


def from_beginning(
    stream: Stream, manifests: Sequence[Manifest], lost: Sequence[str], order: Order, warnings: list[str]
) -> Sequence[Manifest]:
    """The manifests from the last read into a new target on, or from the first whole read that no ``lost`` run follows.

    Raises:
        ConfigError: there is no such read.
    """
    first = max((place for place, each in enumerate(manifests) if is_first(each)), default=0)
    last_lost = max((order.place(run_id) for run_id in lost), default=None)
    for place in range(first, len(manifests)):
        if is_whole(manifests[place]) and (last_lost is None or order.of(manifests[place]) > last_lost):
            if lost and stream.on_delete == "mark":
                since = manifests[place].run_id
                warnings.append(f"{stream.name}: what was marked as deleted before run {since} is not in it")
            return manifests[place:]
    if not manifests and not lost:
        return manifests
    cause = "its landed files have been removed, as far back as the last read of everything"
    raise ConfigError(OPERATION, f"stream {stream.name}", cause, "`syncline reload` lands everything anew")


def lost_runs(stream: str, there: Sequence[Manifest], known: Known | None, until: str | None) -> list[str]:
    """The runs that committed rows of the stream, up to ``until``, and have no manifest."""
    held, lost = {run.run_id for each in there for run in each.runs}, list[str]()
    for run_id, run in known.committed.items() if known else ():
        if stream in run.rows and run_id not in held:
            lost.append(run_id)
        if run_id == until:
            break
    return lost


# --- playing ----------------------------------------------------------------------------------------------------------


def begin(context: Context, score: Score) -> set[str]:
    """The runs that an interrupted replay of the same landing has committed already.

    Raises:
        ConfigError: the warehouse holds this pipeline's tables, and they are no replay, or of other runs.
    """
    committed_runs = getattr(context.warehouse, "committed_runs", None)
    marks = context.warehouse.watermarks(context.pipeline.name)
    held = committed_runs(context.pipeline.name) if committed_runs and marks else {}
    steps = [step.run_id for step in score.steps]
    strangers = [run for run in held.values() if run.kind != "replay"]
    if strangers or list(held) != steps[: len(held)] or (marks and not held):
        cause = f"it holds pipeline {context.pipeline.name} already, and not as a replay of these runs"
        hint = "choose an empty database or schema; to put the pipeline's own tables back, use `syncline rewind`"
        raise ConfigError(OPERATION, repr(context.warehouse), cause, hint)
    return set(held)


def play(context: Context, score: Score, done: set[str]) -> None:
    """Commits the steps one after the other, each as one transaction (ONE-TRANSACTION)."""
    marks: dict[str, Mark] = {}
    last = score.steps[-1].run_id if score.steps else ""
    for step in score.steps:
        for name, manifest in step.manifests.items():
            marks[name] = moved(context, marks.get(name), manifest)
        if step.run_id in done:
            continue
        if step.run_id == last:
            marks = {name: settled(mark, score) for name, mark in marks.items()}
        commit(context, step, marks, score.known)
        done.add(step.run_id)


def commit(context: Context, step: Step, marks: Mapping[str, Mark], known: Known | None) -> None:
    """Only the streams' own marks move; the versions are the warehouse's, which nobody else writes meanwhile."""
    truth = context.warehouse.watermarks(context.pipeline.name)
    versions = {name: truth[name].version if name in truth else 0 for name in marks}
    plans = {
        name: replace(plan_of(context, manifest), overlap=overlap_of(context, manifest, known))
        for name, manifest in step.manifests.items()
    }
    unit = unit_of(
        context,
        step.run_id,
        step.started_at,
        plans,
        [replace(marks[name], version=versions[name]) for name in sorted(marks)],
        step.manifests,
    )
    carry_out(context, unit, step.manifests)
    context.report.commits += 1


def plan_of(context: Context, manifest: Manifest) -> TablePlan:
    stream = next(each for each in context.pipeline.streams if each.name == manifest.stream)
    return TablePlan(
        pipeline=manifest.pipeline,
        stream=manifest.stream,
        run_id=manifest.run_id,
        target=stream.target,
        columns=manifest.columns,
        key=manifest.key,
        cursor=manifest.cursor,
        # What a rewind lacks was not there yet, which is no deletion at the source to be ignored.
        on_delete="delete" if manifest.api == "rewind" and stream.on_delete == "ignore" else stream.on_delete,
        mode=manifest.mode,
        high=horizon_of(manifest),
        delete_share_max=None,  # it was guarded when it was committed
    )


def overlap_of(context: Context, manifest: Manifest, known: Known | None) -> timedelta:
    """Only a reload shares its stream with increments; where kinds are not known, any snapshot may be one."""
    kinds = {"reload"} if known is None else known.kinds(manifest)
    stream = next(each for each in context.pipeline.streams if each.name == manifest.stream)
    return stream.overlap_duration if manifest.mode == "snapshot" and "reload" in kinds else timedelta()


def horizon_of(manifest: Manifest) -> datetime:
    """A snapshot reads beyond its horizon; see ``SNAPSHOT_AHEAD``."""
    ahead = manifest.mode == "snapshot" and manifest.cursor is not None
    return manifest.window.high - SNAPSHOT_AHEAD if ahead else manifest.window.high


def moved(context: Context, mark: Mark | None, manifest: Manifest) -> Mark:
    """The watermark after this manifest (COMPLETE-WINDOW), from what it says itself. A repair moves none."""
    stream = next(each for each in context.pipeline.streams if each.name == manifest.stream)
    if manifest.api == "keys":
        if mark is None:
            raise DataError(OPERATION, manifest.run_id, "a repair of a stream that was never read", "reload the stream")
        return mark
    names = manifest.columns.names
    covered = names if is_whole(manifest) or mark is None else [name for name in mark.columns if name in names]
    return Mark(
        manifest.stream,
        0,
        None if manifest.cursor is None else watermark_of(manifest),
        tuple(covered),
        stream.target,
        UNKNOWN,
    )


def watermark_of(manifest: Manifest) -> datetime | None:
    """Of rows that a rewind put back no more is promised than their newest cursor."""
    return manifest.cursor_largest if manifest.api == "rewind" else horizon_of(manifest)


def settled(mark: Mark, score: Score) -> Mark:
    """The mark as the warehouse has it, if the replay ends where that one stands."""
    truth = score.known.watermarks.get(mark.stream) if score.known and score.complete else None
    if truth is None:
        return mark
    return replace(mark, watermark=truth.watermark, columns=truth.columns, definition=truth.definition)
