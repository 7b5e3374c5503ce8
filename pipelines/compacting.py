"""``syncline landing compact``: which runs' files are merged into large ones, and when their own may go.

Runs are merged that are known to be committed, by the warehouse (see ``landing_runs``), of one UTC day that is over:
the partition they lie in stays true, and retention by age stays exact to the day. They follow one another without a
gap, since the order of runs decides between equal cursors (NEWEST-WINS). These stand apart, and part those around them:

* a run that is unfinished, uncommitted, or the stream's last: never touched
* a repair, whose rows are of no window
* a reload and any other snapshot: what it lacks is gone at the source, which is true of it alone; merged by itself
* a run with other columns, key or cursor than the one before; one with large files; one that is compacted already

A run's own files stay for a day after that, for queries under way and until ``syncline landing register`` has told
Glue; then the next ``compact`` or ``expire`` removes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from syncline.pipelines.events import Event, Events, Quiet
from syncline.pipelines.landing_runs import Known, held, known_runs, past_grace
from syncline.sinks.compaction import compact_runs
from syncline.sinks.manifest import Manifest
from syncline.sinks.upkeep import Holding, remove_runs, survey

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.pipeline import Pipeline
    from syncline.sinks.landing import Landing


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do for a stream: groups of runs to merge, and manifests that count no more, to be removed."""

    stream: str
    groups: tuple[tuple[Manifest, ...], ...]
    past: tuple[Manifest, ...]


def compact(
    pipeline: Pipeline, *, now: datetime, dry_run: bool = False, events: Events | None = None
) -> dict[str, Json]:
    """Merges what can be merged and removes what was merged more than a day ago; returns what it was. Each group of
    runs is told of once it is merged.

    With ``dry_run`` nothing is written, removed or leased, and the files there would be are an estimate.

    Raises:
        ConfigError: the warehouse cannot tell which runs committed.
        LeaseHeld: a run or a reload of the pipeline is under way, or took the lease since.
        DataError: a landed file is missing or damaged; groups before it are merged.
    """
    landing = pipeline.landing
    with held(pipeline.state, pipeline.name, dry_run) as renew:
        known = known_runs("compact landing", pipeline)
        today = now.astimezone(UTC).date()
        todo = [
            Work(
                each.stream,
                tuple(groups(each, known, today, landing.file_bytes_max)),
                tuple(old.manifest for old in past_grace(each, known, now)),
            )
            for each in survey(landing, pipeline.name)
        ]
        streams: dict[str, Json] = {}
        for work in todo:
            after = []
            for group in work.groups:
                after.append(_merge(landing, group, renew, dry_run))
                _tell(events or Quiet(), pipeline, work, group, now)
            if not dry_run:
                remove_runs(landing, work.past, renew)
            streams[work.stream] = _told(work, sum(after))
    return {"pipeline": pipeline.name, "dry_run": dry_run, "streams": streams}


def _tell(events: Events, pipeline: Pipeline, work: Work, group: Sequence[Manifest], now: datetime) -> None:
    rows, of = sum(run.rows for run in group), sum(len(each) for each in work.groups)
    fields: dict[str, Json] = {"stream": work.stream, "runs": len(group), "of": of, "rows": rows}
    events.emit(Event("runs_merged", now, {"pipeline": pipeline.name, **fields}))


def groups(holding: Holding, known: Known, today: date, file_bytes_max: int) -> Iterator[tuple[Manifest, ...]]:
    """Runs to be merged with each other, oldest first; only where fewer files come of it."""
    last = known.last_of(holding)
    group: list[Manifest] = []
    for each in (*holding.sealed, None):
        fit = each is not None and _may_be_merged(each, known, last, today, file_bytes_max)
        if group and not (fit and each is not None and _follows(each, group[-1])):
            if sum(len(run.files) for run in group) > files_after(group, file_bytes_max):
                yield tuple(group)
            group = []
        if fit and each is not None:
            group.append(each)


def _may_be_merged(run: Manifest, known: Known, last: set[str], today: date, file_bytes_max: int) -> bool:
    if run.merged or run.run_id in last or known.is_unfinished(run) or not known.is_committed(run):
        return False
    if "repair" in known.kinds(run) or _day(run) >= today:
        return False
    size_bytes = sum(entry.size_bytes for entry in run.files)
    return not run.files or size_bytes < len(run.files) * file_bytes_max // 2


def _follows(run: Manifest, before: Manifest) -> bool:
    alike = (run.key, run.cursor, _day(run)) == (before.key, before.cursor, _day(before))
    return alike and run.mode == before.mode == "changes" and run.columns.equals(before.columns)


def _day(run: Manifest) -> date:
    return run.started_at.astimezone(UTC).date()


def files_after(group: Sequence[Manifest], file_bytes_max: int) -> int:
    """About how many files the group becomes; rows of both kinds are never in one file."""
    sizes: dict[str, int] = {}
    for run in group:
        for entry in run.files:
            sizes[entry.kind] = sizes.get(entry.kind, 0) + entry.size_bytes
    return sum(-(-size_bytes // file_bytes_max) for size_bytes in sizes.values())


def _merge(landing: Landing, group: Sequence[Manifest], renew: Callable[[], None], dry_run: bool) -> int:
    if dry_run:
        return files_after(group, landing.file_bytes_max)
    return len(compact_runs(landing, group, renew).files)


def _told(work: Work, files: int) -> dict[str, Json]:
    merged = [run for group in work.groups for run in group]
    return {
        "groups": len(work.groups),
        "runs": len(merged),
        "files_before": sum(len(run.files) for run in merged),
        "files_after": files,
        "rows": sum(run.rows for run in merged),
        "bytes": sum(entry.size_bytes for run in merged for entry in run.files),
        "removed": [run.run_id for run in work.past],
    }
