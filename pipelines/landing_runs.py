"""What state and warehouse know of a pipeline's runs, asked under the leases that keep runs away meanwhile.

Upkeep of the landing stands on it: nothing is removed or rewritten of a run that is not known to be committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError
from syncline.pipelines.checkpoint import Checkpoint
from syncline.sinks.manifest import Manifest
from syncline.sinks.upkeep import Holding, Superseded

if TYPE_CHECKING:
    from syncline.pipelines.pipeline import Pipeline
    from syncline.sinks.warehouse import CommittedRun, Watermark
    from syncline.state.store import StateStore

SCOPES = ("", ".reload", ".repair", ".verify")
"""What a pipeline's checkpoints are kept under, after its name."""

LEASE_TTL_S = 120.0

GRACE = timedelta(days=1)
"""How long the files of compacted runs stay: for queries that are reading them, and until Glue is told."""


@dataclass(frozen=True, slots=True)
class Known:
    """What state and warehouse know of a pipeline's runs. ``unfinished`` are the runs that checkpoints name."""

    unfinished: frozenset[str]
    committed: Mapping[str, CommittedRun]
    watermarks: Mapping[str, Watermark]

    def is_unfinished(self, manifest: Manifest) -> bool:
        return any(run.run_id in self.unfinished for run in manifest.runs)

    def is_committed(self, manifest: Manifest) -> bool:
        """Whether the warehouse says of each of its runs that exactly these rows were committed (COUNTED-HOPS)."""
        for run in manifest.runs:
            committed = self.committed.get(run.run_id)
            if committed is None or committed.rows.get(manifest.stream) != run.rows:
                return False
        return True

    def kinds(self, manifest: Manifest) -> set[str]:
        """Of what kind its runs were; of committed ones only."""
        return {self.committed[run.run_id].kind for run in manifest.runs}

    def last_of(self, holding: Holding) -> set[str]:
        """The ids of the stream's last committed run: by the watermark's row, and by run id."""
        mark = self.watermarks.get(holding.stream)
        newest = {mark.run_id} if mark else set()
        committed = [each for each in holding.sealed if self.is_committed(each)]
        return newest | ({committed[-1].runs[-1].run_id} if committed else set())


def known_runs(operation: str, pipeline: Pipeline) -> Known:
    """Asks the state and the warehouse, which is closed again.

    Raises:
        ConfigError: the warehouse cannot tell which runs committed.
    """
    unfinished = set()
    for scope in SCOPES:
        for mark in pipeline.state.recall(pipeline.name + scope).values():
            if mark.checkpoint is not None:
                unfinished.add(Checkpoint.from_json(mark.checkpoint).run_id)
    committed_runs = getattr(pipeline.warehouse, "committed_runs", None)
    if committed_runs is None:
        cause = "it does not tell which runs committed (RunHistory), so that every run must be kept"
        raise ConfigError(operation, repr(pipeline.warehouse), cause, "use a warehouse that has committed_runs")
    try:
        return Known(frozenset(unfinished), committed_runs(pipeline.name), pipeline.warehouse.watermarks(pipeline.name))
    finally:
        pipeline.warehouse.close()


def past_grace(holding: Holding, known: Known, now: datetime) -> tuple[Superseded, ...]:
    """Which of the compacted runs' own manifests and files may go."""
    return tuple(
        each for each in holding.superseded if each.since < now - GRACE and not known.is_unfinished(each.manifest)
    )


@contextmanager
def held(state: StateStore, name: str, dry_run: bool) -> Iterator[Callable[[], None]]:
    """Both leases of the pipeline; the function inside renews them, and raises once one was lost."""
    if dry_run:
        yield lambda: None
        return
    with state.lease(name, LEASE_TTL_S) as main, state.lease(f"{name}.reload", LEASE_TTL_S) as reload:

        def renew() -> None:
            main.renew()
            reload.renew()

        yield renew
