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

The own manifests and files of runs that were compacted go a day after that, or with the compacted one if it expires.
Files that no manifest names are of dead runs: they go when they are old enough, unless a checkpoint names their run.
Both of the pipeline's leases are held meanwhile, so no run is under way, and renewed before each step of the removal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError
from syncline.pipelines.landing_runs import Known, held, known_runs, past_grace
from syncline.sinks.keys import stream_folder
from syncline.sinks.manifest import Manifest
from syncline.sinks.object_store import Stored
from syncline.sinks.upkeep import Holding, abort_uploads, remove_objects, remove_runs, run_of, survey

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.pipeline import Pipeline

AGE_MIN = timedelta(days=1)
"""A process that was stopped for hours and lost its lease may still be writing; a day is longer than that."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One stream's: what goes, and how many sealed runs stay for which reason.

    ``superseded`` are runs' own manifests whose rows a compacted one holds. They go before it: gone after it, they
    would count again.
    """

    stream: str
    superseded: tuple[Manifest, ...]
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
    with held(pipeline.state, pipeline.name, dry_run) as removing:
        known = known_runs("expire landing", pipeline)
        verdicts = [
            _judge(each, pipeline, known, limit, beyond_replay, now) for each in survey(pipeline.landing, pipeline.name)
        ]
        uploads, warnings = _abort_uploads(pipeline, now - AGE_MIN, dry_run)
        if not dry_run:
            for verdict in verdicts:
                remove_runs(pipeline.landing, verdict.superseded, removing)
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
    committed = [each for each in holding.sealed if known.is_committed(each)]
    newest = known.last_of(holding)
    whole = max((each.run_id for each in committed if _is_whole(each, known)), default=None)
    reasons: dict[str, str] = {}
    for each in holding.sealed:
        if known.is_unfinished(each):
            reasons[each.run_id] = "unfinished"
        elif not known.is_committed(each):
            reasons[each.run_id] = "uncommitted"
        elif newest & {run.run_id for run in each.runs}:
            reasons[each.run_id] = "newest"
        elif whole is not None and each.run_id >= whole and not beyond_replay:
            reasons[each.run_id] = "replay"
        elif each.started_at >= limit:
            reasons[each.run_id] = "young"
    return reasons


def _is_whole(manifest: Manifest, known: Known) -> bool:
    """Whether the run brought all there is: a snapshot, or the first read. A repair reads keys, from no beginning."""
    return manifest.mode == "snapshot" or (manifest.window.low is None and known.kinds(manifest) == {"run"})


def _judge(
    holding: Holding, pipeline: Pipeline, known: Known, limit: datetime, beyond_replay: bool, now: datetime
) -> Verdict:
    reasons = judge(holding, known, limit, beyond_replay)
    folder = stream_folder(pipeline.name, holding.stream)
    orphans = [
        each
        for each in holding.unnamed
        if each.modified_at < limit and run_of(each.key, folder) not in known.unfinished
    ]
    expired = [each for each in holding.sealed if each.run_id not in reasons]
    ends, past = {each.run_id for each in expired}, past_grace(holding, known, now)
    superseded = [each.manifest for each in holding.superseded if each in past or each.by in ends]
    return Verdict(holding.stream, tuple(superseded), tuple(expired), tuple(orphans), Counter(reasons.values()))


def _told(verdict: Verdict) -> dict[str, Json]:
    files = [entry.size_bytes for each in (*verdict.superseded, *verdict.expired) for entry in each.files]
    return {
        "expired": [each.run_id for each in verdict.expired],
        "superseded": [each.run_id for each in verdict.superseded],
        "files": len(files) + len(verdict.orphans),
        "orphans": len(verdict.orphans),
        "bytes": sum(files) + sum(each.size_bytes for each in verdict.orphans),
        "kept": dict(verdict.kept),
    }
