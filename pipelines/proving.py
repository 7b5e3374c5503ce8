"""Holding a source against its target, the cheap way first: counts by time, then key and cursor, then every column.

::

    counts ──(a cell differs)──▶ keys ──▶ rows of all, or of a sample ──(differences)──▶ looked at again, key by key
    cells      the source counts   │            │
                                   └─ read whole into a temporary landing, staged, compared inside the warehouse

Memory stays constant: both sides are files and tables, and no more keys than ``DIFFERING_KEYS_MAX`` of each kind are
ever held. What changed after the target's watermark, deletions included, is the next run's business: pending, not
different. What differs at first is asked for again, by key, until it differs at a moment when neither side moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeAlias, get_args

import pyarrow as pa

from syncline.connectors.connector import StreamSchema
from syncline.pipelines.buckets import EARLIEST, Bucket, buckets_of, edges_of, with_differences
from syncline.pipelines.context import Context
from syncline.pipelines.keyed import (
    Gathered,
    gather_changed,
    gather_departed,
    gather_keys,
    keys_table,
    narrowed,
)
from syncline.pipelines.loading import table_plan
from syncline.pipelines.reading import Landed
from syncline.pipelines.sampling import Sample, sample_keys
from syncline.pipelines.task import NEVER, make_reload, same_commit
from syncline.sinks.manifest import Manifest, Mode
from syncline.sinks.warehouse import Comparer, Comparison, Difference, Kind, TablePlan, Watermark
from syncline.state.run_id import new_run_id
from syncline.state.store import Remembered

Level: TypeAlias = Literal["counts", "keys", "rows"]

DIFFERING_KEYS_MAX = 50_000
"""How many differences of each kind are looked at again, or mended key by key; beyond it a stream is read whole."""

LOOKS_MAX = 3
"""How often what differs is asked for again while runs commit meanwhile: what differs at a moment when the target
stands still is a difference, for what the source changed since then is told by its cursor."""

COUNTS_MAX = 2
"""How often counts are taken before keys are read: records that changed in between are in neither the second time."""

LAG_S = 60.0
"""How long a deletion may take to be told, for a source that does not say (``settling_lag_s``)."""


@dataclass(frozen=True, slots=True)
class StreamProof:
    """One stream's comparison, as of the target's ``watermark``.

    ``rows_checked`` is how many of the source's rows were compared in every column; ``rechecked`` how many differences
    were gone when they were looked at again; ``keyed`` whether the stream has a key to ask by.
    """

    stream: str
    level: Level
    watermark: datetime | None
    comparison: Comparison
    buckets: tuple[Bucket, ...] = ()
    rows_checked: int = 0
    rechecked: int = 0
    keyed: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether every difference is named."""
        return len(self.comparison.examples) >= self.comparison.differences

    @property
    def is_askable(self) -> bool:
        """Whether the source can be asked for each difference: by a key, and a key without a value is no source's."""
        return self.keyed and self.is_whole and not any(has_gap(each.key) for each in self.comparison.examples)


@dataclass(slots=True)
class Proving:
    """One look at some streams. ``context`` is of a temporary landing; nothing is written elsewhere."""

    context: Context
    comparer: Comparer
    mirror: Mapping[str, Remembered]
    schemas: Mapping[str, StreamSchema]
    truth: Mapping[str, Watermark] = field(default_factory=dict)

    def watermark(self, stream: str) -> datetime | None:
        """How far the copy is complete: idle runs move only the mirror."""
        truth, remembered = self.truth[stream], self.mirror.get(stream)
        if remembered is not None and same_commit(truth, remembered) and remembered.watermark is not None:
            return remembered.watermark
        return truth.watermark

    def look_up_truth(self) -> None:
        """The warehouse's watermarks as they are now; the connection is not held through a reading."""
        self.truth = self.context.warehouse.watermarks(self.context.pipeline.name)
        self.context.warehouse.close()

    # --- counts ---------------------------------------------------------------------------------------------------

    def counts(self, name: str) -> StreamProof | None:
        """Compares counts and newest cursors by time; ``None`` if they differ or cannot be had: then keys are read.

        Keys that changed after the watermark are left out on both sides: the source counts them above it, and of the
        target's rows those are not counted.
        """
        schema, tally = self.schemas[name], getattr(self.context.connector, "tally", None)
        if tally is None or schema.cursor is None or not schema.key:
            return None
        for attempt in range(COUNTS_MAX):
            if attempt:
                self.pause(name)
            self.look_up_truth()
            watermark = self.watermark(name)
            if watermark is None:
                return None
            gathered = self.gathering(narrowed(schema))
            gather_changed(gathered, watermark, self.context.connector.horizon())
            plan = self.stage(gathered.manifest("changes", watermark, "what changed since"), gathered.schema, watermark)
            (all_of_it,) = self.comparer.tally(plan, [])
            edges = edges_of(all_of_it.least, watermark)
            target = self.comparer.tally(plan, edges)
            self.context.warehouse.close()
            source = tally(schema, [EARLIEST, *edges])
            if source is None:
                return None
            proof = counted(name, watermark, buckets_of(edges, target, source))
            differences = proof.comparison.differences
            self.context.emit("stream_counted", stream=name, rows=proof.comparison.rows_source, differences=differences)
            # Above the watermark stand only rows that changed since, and those were left out: any other was put there.
            if proof.comparison.equal and not target[-1].rows:
                return proof
        return None

    # --- keys and rows --------------------------------------------------------------------------------------------

    def prove(self, landed: Landed, level: Level, sample: Sample | None) -> StreamProof:
        """Compares what was read whole with the target, and looks again at whatever differs."""
        name, schema = landed.task.schema.name, landed.task.schema
        self.look_up_truth()
        watermark = self.watermark(name)
        manifest = self.with_departed(landed, watermark)
        buckets = self.cells(schema, watermark)
        plan = self.stage(manifest, schema, watermark, mode="snapshot")
        first = self.compared(plan, manifest)
        proof = StreamProof(name, level, watermark, first, tuple(buckets), keyed=bool(schema.key))
        if sample is not None:
            return self.sampled(self.again(proof, schema), landed, sample)
        return self.again(replace(proof, rows_checked=first.rows_source if level == "rows" else 0), schema)

    def cells(self, schema: StreamSchema, watermark: datetime | None) -> list[Bucket]:
        """The target's rows by time; none for a stream without a watermark."""
        if watermark is None or schema.cursor is None:
            return []
        narrow = narrowed(schema)
        plan = self.stage(self.gathering(narrow).manifest("changes", watermark, "nothing"), narrow, watermark)
        (all_of_it,) = self.comparer.tally(plan, [])
        edges = edges_of(all_of_it.least, watermark)
        return buckets_of(edges, self.comparer.tally(plan, edges))

    def with_departed(self, landed: Landed, watermark: datetime | None) -> Manifest:
        if watermark is None or landed.task.schema.cursor is None:
            return landed.manifest
        gathered = self.gathering(narrowed(landed.task.schema), landed.manifest.run_id)
        gather_departed(gathered, watermark, self.context.connector.horizon())
        return landed.manifest.with_files((*landed.manifest.files, *gathered.files))

    def sampled(self, proof: StreamProof, landed: Landed, sample: Sample) -> StreamProof:
        """Full rows of some keys, beside the keys and cursors of all."""
        if not proof.is_whole:
            return proof
        full = self.schemas[proof.stream]
        keys = sample_keys(self.context, landed.manifest, full, sample)
        found = self.compare_keys(proof.stream, full, keys)
        own = {each.key for each in proof.comparison.examples}
        fresh = [each for each in found.examples if each.key not in own]
        looked = self.again(replace(proof, comparison=merged(found, fresh)), full)
        comparison = merged(proof.comparison, [*proof.comparison.examples, *looked.comparison.examples])
        return replace(
            looked,
            comparison=comparison,
            rows_checked=found.rows_source,
            buckets=tuple(with_differences(proof.buckets, comparison.examples)),
        )

    # --- looking again --------------------------------------------------------------------------------------------

    def again(self, proof: StreamProof, schema: StreamSchema, wait: bool = True) -> StreamProof:
        """The proof without what does not differ any more when it is asked for by key.

        ``wait`` until a deletion of a moment ago must have been told: it is pending then.
        """
        first = proof.comparison
        if first.equal:
            return proof
        if not schema.key or not proof.is_whole:
            if schema.key:
                self.context.warn("too many differences to look at again one by one", proof.stream)
            return replace(proof, buckets=tuple(with_differences(proof.buckets, first.examples)))
        comparison = merged(first, self._looked(proof.stream, schema, first, wait))
        return replace(
            proof,
            comparison=comparison,
            rechecked=proof.rechecked + first.differences - comparison.differences,
            buckets=tuple(with_differences(proof.buckets, comparison.examples)),
        )

    def _looked(self, name: str, schema: StreamSchema, first: Comparison, wait: bool) -> Sequence[Difference]:
        unaskable = [each for each in first.examples if has_gap(each.key)]
        latest = merged(first, [each for each in first.examples if not has_gap(each.key)])
        for _ in range(LOOKS_MAX):
            if latest.equal:
                break
            if latest.extra and wait:
                self.pause(name)
            latest = self.compare_keys(name, schema, keys_table(schema, (each.key for each in latest.examples)))
            before = self.truth[name].version
            self.look_up_truth()
            if self.truth[name].version == before:
                break
        return [*latest.examples, *unaskable]

    def compare_keys(self, name: str, schema: StreamSchema, keys: pa.Table) -> Comparison:
        """These keys as they are on both sides now."""
        self.look_up_truth()
        watermark, horizon = self.watermark(name), self.context.connector.horizon()
        gathered = self.gathering(schema)
        gather_keys(gathered, keys, horizon)
        departed = self.gathering(narrowed(schema), gathered.run_id)
        departed.rows = gathered.rows
        if watermark is not None and schema.cursor is not None:
            gather_departed(departed, watermark, self.context.connector.horizon())
        manifest = gathered.manifest("changes", watermark or horizon, "some keys")
        manifest = manifest.with_files((*gathered.files, *departed.files))
        plan = self.stage(manifest, schema, watermark or horizon)
        return self.compared(plan, manifest)

    def compared(self, plan: TablePlan, manifest: Manifest) -> Comparison:
        """What is staged held against the target, told of before and after: it takes its time."""
        self.context.emit("stream_staged", stream=plan.stream, rows=manifest.rows)
        found = self.comparer.compare(plan, DIFFERING_KEYS_MAX)
        self.context.warehouse.close()
        self.context.emit(
            "stream_compared",
            stream=plan.stream,
            rows=found.rows_source,
            missing=found.missing,
            extra=found.extra,
            stale=found.stale,
            different=found.different,
            pending=found.pending,
        )
        return found

    def pause(self, stream: str) -> None:
        """Until a deletion of a moment ago is told: it is pending, not a difference."""
        wait_s = float(getattr(self.context.connector, "settling_lag_s", LAG_S)) + 1
        self.context.emit("proof_paused", stream=stream, wait_s=wait_s)
        self.context.stop.check()
        self.context.seams.sleep(wait_s)

    # --- staging --------------------------------------------------------------------------------------------------

    def gathering(self, schema: StreamSchema, run_id: str | None = None) -> Gathered:
        seams = self.context.seams
        own = run_id or new_run_id(seams.clock(), seams.random)
        return Gathered(self.context, schema, own, self.context.report.started_at)

    def stage(
        self, manifest: Manifest, schema: StreamSchema, watermark: datetime | None, mode: Mode = "changes"
    ) -> TablePlan:
        stream = next(each for each in self.context.pipeline.streams if each.name == schema.name)
        task = make_reload(stream, schema, NEVER, watermark or self.context.connector.horizon())
        # Under the proofs' own name, so that no run takes the staging tables for a dead run's: it may go on meanwhile.
        plan = replace(table_plan(self.context, task, manifest.run_id), mode=mode, pipeline=self.context.scope)
        self.context.warehouse.load(plan, manifest, self.context.landing)
        return plan


def has_gap(key: Sequence[object]) -> bool:
    """Whether a column of the key has no value: no run writes such a row, and it is nothing to ask the source for."""
    return any(value is None for value in key)


def merged(first: Comparison, found: Sequence[Difference]) -> Comparison:
    """The comparison with these differences in place of its own."""
    kinds = [each.kind for each in found]
    return replace(first, examples=tuple(found), **{kind: kinds.count(kind) for kind in get_args(Kind)})


def counted(name: str, watermark: datetime, buckets: Sequence[Bucket]) -> StreamProof:
    """What counts alone can say: by how many rows at least the cells differ."""
    pairs = [(each.rows_source or 0, each.rows_target, each.differences) for each in buckets]
    comparison = Comparison(
        rows_source=sum(ours for ours, _, _ in pairs),
        rows_target=sum(theirs for _, theirs, _ in pairs),
        missing=sum(max(0, ours - theirs) for ours, theirs, _ in pairs),
        extra=sum(max(0, theirs - ours) for ours, theirs, _ in pairs),
        different=sum(differ for ours, theirs, differ in pairs if ours == theirs),
    )
    return StreamProof(name, "counts", watermark, comparison, tuple(buckets))
