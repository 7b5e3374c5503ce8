"""``syncline landing expire``: which landed files may go, and their going.

A run's files may go when nobody can need them any more. What is not certain is kept, and told why:

====================  ==================================================================================================
``unfinished``        a checkpoint in the state names the run: the next run goes on with its files
``uncommitted``       no row of ``_syncline_runs`` says that exactly these rows were committed. That row is written in
                      the very transaction that merges them (ONE-TRANSACTION), so it is the only proof there is; what
                      the state or a report says of a run, or that the watermark is beyond it, proves nothing
``newest``            the stream's last committed run, by the watermark row as well as by run id
``replay``            the last whole read that committed, and every run after it: all of the table can be made from them
``young``             it started less than the given age ago
====================  ==================================================================================================

Files that no manifest names are of dead runs: they go when they are old enough, unless a checkpoint names their run.
Both of the pipeline's leases are held meanwhile, so no run is under way, and renewed before each step of the removal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError
from syncline.pipelines.checkpoint import Checkpoint
from syncline.sinks.keys import stream_folder
from syncline.sinks.manifest import Manifest
from syncline.sinks.object_store import Stored
from syncline.sinks.upkeep import Holding, abort_uploads, remove_objects, remove_runs, run_of, survey

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.pipeline import Pipeline
    from syncline.sinks.warehouse import CommittedRun, Watermark
    from syncline.state.store import StateStore

AGE_MIN = timedelta(days=1)
"""A process that was stopped for hours and lost its lease may still be writing; a day is longer than that."""

SCOPES = ("", ".reload", ".repair", ".verify")
"""What a pipeline's checkpoints are kept under, after its name."""

LEASE_TTL_S = 120.0


@dataclass(frozen=True, slots=True)
class Known:
    """What state and warehouse know of a pipeline's runs. ``unfinished`` are the runs that checkpoints name."""

    unfinished: frozenset[str]
    committed: Mapping[str, CommittedRun]
    watermarks: Mapping[str, Watermark]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One stream's: what goes, and how many sealed runs stay for which reason."""

    stream: str
    expired: tuple[Manifest, ...]
    orphans: tuple[Stored, ...]
    kept: Mapping[str, int]


def expire(
    pipeline: Pipeline, *, older_than: timedelta, now: datetime, dry_run: bool = False, beyond_replay: bool = False
) -> dict[str, Json]:
    """Removes what may go of runs that started more than ``older_than`` ago, and returns what it was.

    ``beyond_replay`` lets go also of what a replay would need. With ``dry_run`` nothing is removed or leased.

    Raises:
        ConfigError: ``older_than`` is below a day, or the warehouse cannot tell which runs committed.
        LeaseHeld: a run or a reload of the pipeline is under way.
    """
    if older_than < AGE_MIN:
        raise ConfigError("expire landing", f"older than {older_than}", "it is less than a day", "give 1d or more")
    limit = now - older_than
    with _held(pipeline.state, pipeline.name, dry_run) as removing:
        known = _known(pipeline)
        verdicts = [
            _judge(each, pipeline, known, limit, beyond_replay) for each in survey(pipeline.landing, pipeline.name)
        ]
        uploads, warnings = _abort_uploads(pipeline, now - AGE_MIN, dry_run)
        if not dry_run:
            for verdict in verdicts:
                remove_runs(pipeline.landing, verdict.expired, removing)
                remove_objects(pipeline.landing, [each.key for each in verdict.orphans], removing)
    return {
        "pipeline": pipeline.name,
        "dry_run": dry_run,
        "older_than_s": older_than.total_seconds(),
        "streams": {each.stream: _told(each) for each in verdicts},
        "uploads_aborted": list(uploads),
        "warnings": list(warnings),
    }


def _abort_uploads(pipeline: Pipeline, before: datetime, dry_run: bool) -> tuple[Sequence[str], Sequence[str]]:
    """Whoever may remove files need not see uploads: then the bucket's lifecycle rule aborts them, which is said."""
    bucket = pipeline.landing.bucket
    try:
        return ([] if bucket is None else abort_uploads(bucket, pipeline.name, before, dry_run)), ()
    except ConfigError as error:
        return (), (str(error),)


def judge(holding: Holding, known: Known, limit: datetime, beyond_replay: bool) -> Mapping[str, str]:
    """Why each sealed run stays, by run id; a run without a reason may go."""
    committed = [each for each in holding.sealed if _is_committed(each, known)]
    mark = known.watermarks.get(holding.stream)
    newest = {committed[-1].run_id if committed else "", mark.run_id if mark else ""}
    whole = max((each.run_id for each in committed if _is_whole(each, known)), default=None)
    reasons: dict[str, str] = {}
    for each in holding.sealed:
        if each.run_id in known.unfinished:
            reasons[each.run_id] = "unfinished"
        elif not _is_committed(each, known):
            reasons[each.run_id] = "uncommitted"
        elif each.run_id in newest:
            reasons[each.run_id] = "newest"
        elif whole is not None and each.run_id >= whole and not beyond_replay:
            reasons[each.run_id] = "replay"
        elif each.started_at >= limit:
            reasons[each.run_id] = "young"
    return reasons


def _is_committed(manifest: Manifest, known: Known) -> bool:
    run = known.committed.get(manifest.run_id)
    return run is not None and run.rows.get(manifest.stream) == manifest.rows


def _is_whole(manifest: Manifest, known: Known) -> bool:
    """Whether the run brought all there is: a snapshot, or the first read. A repair reads keys, from no beginning."""
    first = manifest.window.low is None and known.committed[manifest.run_id].kind == "run"
    return manifest.mode == "snapshot" or first


def _judge(holding: Holding, pipeline: Pipeline, known: Known, limit: datetime, beyond_replay: bool) -> Verdict:
    reasons = judge(holding, known, limit, beyond_replay)
    kept: dict[str, int] = {}
    for reason in reasons.values():
        kept[reason] = kept.get(reason, 0) + 1
    folder = stream_folder(pipeline.name, holding.stream)
    orphans = [
        each
        for each in holding.unnamed
        if each.modified_at < limit and run_of(each.key, folder) not in known.unfinished
    ]
    expired = [each for each in holding.sealed if each.run_id not in reasons]
    return Verdict(holding.stream, tuple(expired), tuple(orphans), kept)


def _known(pipeline: Pipeline) -> Known:
    unfinished = set()
    for scope in SCOPES:
        for mark in pipeline.state.recall(pipeline.name + scope).values():
            if mark.checkpoint is not None:
                unfinished.add(Checkpoint.from_json(mark.checkpoint).run_id)
    committed_runs = getattr(pipeline.warehouse, "committed_runs", None)
    if committed_runs is None:
        cause = "it does not tell which runs committed (RunHistory), so that every run must be kept"
        raise ConfigError("expire landing", repr(pipeline.warehouse), cause, "use a warehouse that has committed_runs")
    try:
        return Known(frozenset(unfinished), committed_runs(pipeline.name), pipeline.warehouse.watermarks(pipeline.name))
    finally:
        pipeline.warehouse.close()


@contextmanager
def _held(state: StateStore, name: str, dry_run: bool) -> Iterator[Callable[[], None]]:
    """Both leases of the pipeline; the function inside renews them, and raises once one was lost."""
    if dry_run:
        yield lambda: None
        return
    with state.lease(name, LEASE_TTL_S) as main, state.lease(f"{name}.reload", LEASE_TTL_S) as reload:

        def renew() -> None:
            main.renew()
            reload.renew()

        yield renew


def _told(verdict: Verdict) -> dict[str, Json]:
    files = [entry.size_bytes for each in verdict.expired for entry in each.files]
    return {
        "expired": [each.run_id for each in verdict.expired],
        "files": len(files) + len(verdict.orphans),
        "orphans": len(verdict.orphans),
        "bytes": sum(files) + sum(each.size_bytes for each in verdict.orphans),
        "kept": dict(verdict.kept),
    }
