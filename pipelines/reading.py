"""One stream being read, slice by slice, to its sealed manifest."""

from __future__ import annotations

import platform
from collections.abc import Set
from concurrent.futures import FIRST_COMPLETED, Executor, Future
from dataclasses import dataclass, replace
from itertools import count
from threading import Lock

import pyarrow as pa

import syncline
from syncline.connectors.connector import Extraction, Json, Outcome, Slice
from syncline.connectors.errors import CountMismatch, QuotaReached, Stopped, Transient
from syncline.pipelines.checkpoint import Checkpoint, LandedSlice
from syncline.pipelines.context import Context
from syncline.pipelines.digest import DIGEST_BYTES, pack
from syncline.pipelines.executor import Readers
from syncline.pipelines.resume import discard_unless_sealed, discard_unsealed
from syncline.pipelines.slices import SliceWork, check_results, largest, least
from syncline.pipelines.task import Task
from syncline.sinks.manifest import FileEntry, Manifest

SLICES_WAITING_MAX = 8
"""Slices handed out but not yet read, a stream: a Bulk job of 10,000 pages must not become 10,000 futures."""


@dataclass(frozen=True, slots=True)
class Landed:
    """One stream's sealed round. ``known`` is what the next run may drop; ``same`` that nothing at all is new."""

    task: Task
    manifest: Manifest
    known: bytes | None
    checkpoint: Checkpoint

    @property
    def same(self) -> bool:
        """Whether the warehouse holds all of it already (IDLE-IS-FREE). A first run must still create its table."""
        task = self.task
        if task.base.version == 0 or task.columns_covered != task.base.columns:
            return False
        if task.base.definition not in ("", task.definition):
            return False
        if task.schema.cursor is None:
            return self.known is not None and self.known == task.base.known
        return self.manifest.rows == 0 and task.mode == "changes"


def known_of(context: Context, checkpoint: Checkpoint) -> bytes | None:
    return pack((landed.known for landed in checkpoint.slices.values()), context.pipeline.digest_rows_max)


class Reading:
    """One stream being read. Slices land one by one; each is a checkpoint.

    ``earlier`` names those that an earlier run landed; ``outdated`` those of them that are read again.
    """

    def __init__(
        self, context: Context, task: Task, checkpoint: Checkpoint, slices: Executor, readers: Readers
    ) -> None:
        self.context = context
        self.task = task
        self.checkpoint = checkpoint
        self.pool = slices
        self.readers = readers
        self.name = task.schema.name
        self.report = context.report.stream(self.name)
        self.lock = Lock()
        self.job_remembered = checkpoint.token is not None
        self.earlier = frozenset(checkpoint.slices)
        self.goes_on = bool(checkpoint.slices) or (checkpoint.token is not None and checkpoint.announced is not None)
        self.outdated: dict[str, LandedSlice] = {}
        self.left_over: list[FileEntry] = []

    def run(self) -> Landed:
        context, task = self.context, self.task
        self.check()
        extraction = context.connector.plan(task.schema, task.window)
        if not self.goes_on:
            self.checkpoint.announced = extraction.forecast.rows
        self.announce(extraction)
        outcome: Outcome = "abandoned"
        try:
            self.read_slices(extraction)
            self.check_counts(extraction)
            landed = self.seal(extraction)
            outcome = "landed"
        except BaseException as error:
            # What a retry can mend, and what was only broken off because another stream failed, keeps its job and its
            # slices for a later run. After a stop by the user the error says nothing: reads were broken to end soon.
            mendable = isinstance(error, (QuotaReached, Transient, Stopped)) and not context.stop.requested
            if self.checkpoint.sealed:
                outcome = "landed"  # SEALED-MANIFEST: only the state does not say so; the next run finds it
            elif mendable and self.job_remembered:
                outcome = "kept"
            raise
        finally:
            extraction.close(outcome)
            if outcome == "abandoned":
                self.forget()  # not before the job is removed: nobody else knows of it
            for warning in extraction.warnings:
                context.warn(warning, self.name)
        self.forget_job()
        return landed

    def forget_job(self) -> None:
        """The job is closed: a later run that finds the sealed manifest need not look for it."""
        with self.lock:
            if self.checkpoint.token is not None:
                self.checkpoint.token = None
                self.remember()

    def announce(self, extraction: Extraction) -> None:
        forecast, report = extraction.forecast, self.report
        report.window, report.mode, report.api = self.task.covered, self.task.mode, forecast.api
        report.announced = (report.announced or 0) + forecast.rows if forecast.rows is not None else report.announced
        for note in (*self.task.notes, *self.task.schema.warnings):
            self.context.warn(note, self.name)
        self.context.emit(
            "stream_planned", stream=self.name, api=forecast.api, rows_expected=forecast.rows, query=forecast.query
        )

    def check(self) -> None:
        self.context.stop.check()
        if self.context.failed.is_set():
            raise Stopped("read", self.name, "another stream failed", "")

    def read_slices(self, extraction: Extraction) -> None:
        ordinals = count(1 + max((each.ordinal for each in self.checkpoint.slices.values()), default=-1))
        pending: set[Future[None]] = set()
        asked: dict[str, Slice] = {}
        briefing = self.readers.brief(self.task.schema, self.checkpoint)
        waiting_max = max(SLICES_WAITING_MAX, self.readers.waiting_min)

        def begin(slice: Slice) -> Future[None]:
            before = self.outdated.get(slice.id)
            ordinal = next(ordinals) if before is None else before.ordinal
            return self.pool.submit(self.read_slice, extraction, slice, ordinal, briefing)

        try:
            for slice in extraction.slices(self.checkpoint.token, self.remember_token):
                self.check()
                asked[slice.id] = slice
                if slice.last or slice.kind == "tombstones":
                    pending = self.settle(pending, at_most=0)
                if slice.id in self.checkpoint.slices:
                    continue
                if slice.kind == "records":
                    self.outdate_last()
                pending.add(begin(slice))
                pending = self.settle(pending, at_most=waiting_max)
            self.settle(pending, at_most=0)
            self.drop_superseded(asked.keys())
            for slice in [each for name, each in asked.items() if name not in self.checkpoint.slices]:
                pending = self.settle({begin(slice)}, at_most=0)
        finally:
            for future in pending:
                future.cancel()
            self.context.seams.wait(pending)
        check_results(self.name, asked.values(), self.checkpoint.slices)

    def outdate_last(self) -> None:
        """Tombstones are right beside the records that stood when they were read, or earlier: those that an earlier run
        landed may lack what was purged before this one reads the records; and a last slice, what was edited into it.
        They are read again."""
        with self.lock:
            landed = self.checkpoint.slices
            left = {
                name: landed[name]
                for name in self.earlier - self.outdated.keys()
                if name in landed and (landed[name].last or landed[name].kind == "tombstones")
            }
            if left:
                self.outdated |= left
                self.drop(landed.keys() - left.keys())

    def drop_superseded(self, asked: Set[str]) -> None:
        """What an earlier run landed of a job that the source lost was read again under other ids; landed beside it, a
        record gone since would pass for one that is there. No records at all may mean that the landing lost them."""
        superseded = self.checkpoint.slices.keys() - asked
        records = {name for name, each in self.checkpoint.slices.items() if each.kind == "records"}
        if superseded & records or not records:
            self.outdate_last()
        with self.lock:
            if superseded:
                self.drop(asked)

    def drop(self, all_but: Set[str]) -> None:
        self.left_over += self.checkpoint.drop_all_but(all_but)
        self.remember()

    def settle(self, pending: set[Future[None]], at_most: int) -> set[Future[None]]:
        """Waits until no more than ``at_most`` are unfinished; raises the first failure."""
        while len(pending) > at_most:
            done, pending = self.context.seams.wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
        return pending

    def read_slice(self, extraction: Extraction, slice: Slice, ordinal: int, briefing: Json) -> None:
        self.check()
        with self.lock:
            digest_rows_max = 0 if self.checkpoint.forgets else self.context.pipeline.digest_rows_max
        work = SliceWork(
            self.context.pipeline.name,
            self.checkpoint.run_id,
            self.checkpoint.started_at,
            self.task,
            slice,
            ordinal,
            digest_rows_max,
        )
        landed = self.readers.read(work, extraction, briefing, self.check, self.tell_rows)
        self.remember_slice(slice, landed)

    def tell_rows(self, rows: int) -> None:
        self.context.emit("rows_read", stream=self.name, rows=rows)

    def discard_same(self, manifest: Manifest) -> None:
        """Forgotten first, so that the next run does not take its files for lost."""
        if manifest.files:
            with self.lock:
                self.checkpoint.slices = {}
                self.remember()
        discard_unless_sealed(self.context, self.name, self.checkpoint.run_id, [*manifest.files, *self.left_over])

    def remember_slice(self, slice: Slice, landed: LandedSlice) -> None:
        with self.lock:
            self.checkpoint.add(slice.id, landed, self.context.pipeline.digest_rows_max * DIGEST_BYTES)
            self.remember()
        self.context.emit(
            "slice_landed",
            stream=self.name,
            slice=slice.id,
            rows=landed.rows_read,
            bytes=sum(entry.size_bytes for entry in landed.files),
        )

    def remember_token(self, token: Json) -> None:
        with self.lock:
            self.checkpoint.token = token
            self.job_remembered = False
            self.remember()
            self.job_remembered = True

    def remember(self) -> None:
        self.context.remember({self.name: replace(self.task.base, checkpoint=self.checkpoint.to_json())})

    def forget(self) -> None:
        """After a failure that a retry cannot mend the job is aborted, so its slices are of no more use."""
        with self.lock:
            self.context.remember({self.name: replace(self.task.base, checkpoint=None)})
        discard_unsealed(self.context, self.name, self.checkpoint)
        discard_unless_sealed(self.context, self.name, self.checkpoint.run_id, self.left_over)

    def announced(self, extraction: Extraction) -> int | None:
        """The count that what was read answers to: of a reading that is gone on with, no more than it counted when it
        began. ``None`` where nobody counted, or where an older program did not write it down."""
        rows, before = extraction.forecast.rows, self.checkpoint.announced
        if not self.goes_on or rows is None:
            return rows
        return None if before is None else min(rows, before)

    def check_counts(self, extraction: Extraction) -> None:
        """COUNTED-HOPS against the source's own count, asked again when fewer rows came than it first said.

        What an earlier run landed answers to the count of its own time: rows may have been committed late since. Rows
        edited while the window is read leave it upwards, so fewer than the first count is no proof of a loss;
        fewer than a count taken after the reading is; up to the horizon, for a snapshot that an earlier run began lacks
        what has come since.
        """
        announced = self.announced(extraction)
        read = sum(each.rows_read for each in self.checkpoint.slices.values() if each.kind == "records")
        if announced is None or read >= announced:
            return
        again = self.context.connector.plan(self.task.schema, self.task.covered).forecast.rows
        if again is not None and read < again:
            raise CountMismatch(
                "read stream",
                self.name,
                f"COUNTED-HOPS: the source counts {again} rows in the window, {read} were read",
                "run again; if it stays, the source hides rows from this user or ends its result early",
            )

    def seal(self, extraction: Extraction) -> Landed:
        checkpoint, task, forecast = self.checkpoint, self.task, extraction.forecast
        slices = sorted(checkpoint.slices.values(), key=lambda each: each.ordinal)
        manifest = Manifest(
            pipeline=self.context.pipeline.name,
            stream=self.name,
            run_id=checkpoint.run_id,
            started_at=checkpoint.started_at,
            window=task.window,
            mode=task.mode,
            columns=task.schema.columns,
            key=task.schema.key,
            cursor=task.schema.cursor,
            files=tuple(entry for each in slices for entry in each.files),
            rows_announced=self.announced(extraction),
            rows_read=sum(each.rows_read for each in slices),
            rows_known=sum(each.rows_known for each in slices),
            api=forecast.api,
            query=forecast.query,
            cursor_least=least(each.cursor_least for each in slices),
            cursor_largest=largest(each.cursor_largest for each in slices),
            versions={"syncline": syncline.__version__, "pyarrow": pa.__version__, "python": platform.python_version()},
        )
        if manifest.rows_read != manifest.rows_known + manifest.rows:
            raise CountMismatch(
                "seal manifest",
                self.name,
                f"COUNTED-HOPS: {manifest.rows_read} rows read, {manifest.rows} landed and {manifest.rows_known} known",
                "this is a defect of Syncline; report it with the run id",
            )
        landed = Landed(task, manifest, known_of(self.context, checkpoint), checkpoint)
        if landed.same:
            self.discard_same(manifest)
        else:
            self.context.landing.seal(manifest)
            with self.lock:
                checkpoint.sealed = True
                self.remember()
            # Not before: the earlier run may only have been slow, and have sealed these very files (SEALED-MANIFEST).
            self.context.landing.discard(self.left_over)
        self.report.read += manifest.rows_read
        self.report.known += manifest.rows_known
        self.report.landed += manifest.rows
        self.report.size_bytes += sum(entry.size_bytes for entry in manifest.files)
        self.context.emit(
            "stream_landed", stream=self.name, rows=manifest.rows, read=manifest.rows_read, known=manifest.rows_known
        )
        return landed
