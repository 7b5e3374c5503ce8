"""The suite can fail: each connector here breaks one law, and the suite notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from syncline.connectors import (
    Batch,
    Connector,
    Extraction,
    Forecast,
    Slice,
    Stopped,
    StreamSchema,
    SynclineError,
    Window,
)
from syncline.connectors.conformance import DECIMALS, INTEGERS, ConnectorConformance
from syncline.connectors.connector import Json, Outcome
from syncline.connectors.world import Subject, World
from tests.connectors.records_world import FlaggingWorld

TICK = timedelta(microseconds=1)


class Suite(ConnectorConformance):
    """Not collected by name; its tests are called one by one."""

    text = "Name"
    exact: ClassVar[Mapping[str, Sequence[object]]] = {"Count": INTEGERS, "Amount": DECIMALS}


@dataclass
class Mutant:
    """A connector as it should be; each subclass breaks one thing."""

    inner: Connector
    api_calls: int = 0

    def describe(self, names: Sequence[str]) -> Sequence[StreamSchema]:
        return self.inner.describe(names)

    def horizon(self) -> datetime:
        return self.inner.horizon()

    def plan(self, stream: StreamSchema, window: Window) -> Extraction:
        self.api_calls += 1
        return MutantExtraction(self, self.inner.plan(stream, window), stream)

    def close(self) -> None:
        self.inner.close()

    def slices(self, slices: Iterator[Slice], resume: Json | None) -> Iterator[Slice]:
        return slices

    def batch(self, batch: Batch, slice: Slice, stream: StreamSchema) -> Batch:
        return batch

    def settle(self, extraction: Extraction, outcome: Outcome, left: Json | None) -> None:
        extraction.close(outcome, left)


@dataclass
class MutantExtraction:
    mutant: Mutant
    inner: Extraction
    stream: StreamSchema

    @property
    def forecast(self) -> Forecast:
        return self.inner.forecast

    @property
    def warnings(self) -> Sequence[str]:
        return self.inner.warnings

    def slices(self, resume: Json | None, remember: Callable[[Json], None]) -> Iterator[Slice]:
        return self.mutant.slices(self.inner.slices(resume, remember), resume)

    def read(self, slice: Slice) -> Iterator[Batch]:
        for batch in self.inner.read(slice):
            yield self.mutant.batch(batch, slice, self.stream)

    def close(self, outcome: Outcome, left: Json | None = None) -> None:
        self.mutant.settle(self.inner, outcome, left)


class DropsARow(Mutant):
    """... and lies about it."""

    def slices(self, slices: Iterator[Slice], resume: Json | None) -> Iterator[Slice]:
        for slice in slices:
            yield replace(slice, params={**slice.params, "rows": max(0, slice.params["rows"] - 1)}, rows_expected=None)

    def batch(self, batch: Batch, slice: Slice, stream: StreamSchema) -> Batch:
        return batch


class ForgetsASlice(Mutant):
    def slices(self, slices: Iterator[Slice], resume: Json | None) -> Iterator[Slice]:
        return (slice for number, slice in enumerate(slices) if number != 2)


class ExcludesLow(Mutant):
    """``WHERE cursor > last``."""

    def plan(self, stream: StreamSchema, window: Window) -> Extraction:
        low = None if window.low is None else window.low + TICK
        return super().plan(stream, Window(low, window.high))


class IncludesHigh(Mutant):
    def plan(self, stream: StreamSchema, window: Window) -> Extraction:
        return super().plan(stream, Window(window.low, window.high + TICK))


class CutsHighToSeconds(Mutant):
    def plan(self, stream: StreamSchema, window: Window) -> Extraction:
        return super().plan(stream, Window(window.low, window.high.replace(microsecond=0)))


class AsksTheLocalClock(Mutant):
    def horizon(self) -> datetime:
        return datetime.now(UTC)


class HidesDeletions(Mutant):
    def batch(self, batch: Batch, slice: Slice, stream: StreamSchema) -> Batch:
        return replace(batch, deleted=None)


class HidesTombstones(Mutant):
    def slices(self, slices: Iterator[Slice], resume: Json | None) -> Iterator[Slice]:
        return (slice for slice in slices if slice.kind == "records")


class MakesEmptyTextNull(Mutant):
    def batch(self, batch: Batch, slice: Slice, stream: StreamSchema) -> Batch:
        if "Name" not in batch.records.schema.names:
            return batch
        names = batch.records.column("Name")
        nulled = pc.if_else(pc.equal(names, ""), pa.scalar(None, pa.string()), names)
        at = batch.records.schema.get_field_index("Name")
        return replace(batch, records=batch.records.set_column(at, "Name", nulled))


class PassesIntegersThroughFloats(Mutant):
    def batch(self, batch: Batch, slice: Slice, stream: StreamSchema) -> Batch:
        if "Count" not in batch.records.schema.names:
            return batch
        rounded = pa.array(
            [None if n is None else min(int(float(n)), 2**63 - 1) for n in batch.records["Count"].to_pylist()]
        )
        at = batch.records.schema.get_field_index("Count")
        return replace(batch, records=batch.records.set_column(at, "Count", rounded.cast(pa.int64())))


class RenamesColumns(Mutant):
    def batch(self, batch: Batch, slice: Slice, stream: StreamSchema) -> Batch:
        return replace(batch, records=batch.records.rename_columns([n.lower() for n in batch.records.schema.names]))


class MakesJobsWhilePlanning(Mutant):
    def plan(self, stream: StreamSchema, window: Window) -> Extraction:
        next(self.inner.plan(stream, window).slices(None, lambda _: None), None)
        return super().plan(stream, window)


class LeavesJobsBehind(Mutant):
    def settle(self, extraction: Extraction, outcome: Outcome, left: Json | None) -> None:
        """Forgets to."""


class LeavesWhatADeadRunMade(Mutant):
    def settle(self, extraction: Extraction, outcome: Outcome, left: Json | None) -> None:
        extraction.close(outcome)


class AnnouncesAShorterResult(Mutant):
    def slices(self, slices: Iterator[Slice], resume: Json | None) -> Iterator[Slice]:
        return (replace(slice, result_rows=(slice.result_rows or 0) - 1) for slice in slices)


class ResumesByCount(Mutant):
    """Skips as many slices as it believes were read, whoever read them."""

    def slices(self, slices: Iterator[Slice], resume: Json | None) -> Iterator[Slice]:
        for number, slice in enumerate(slices):
            if resume is None or number >= 2:
                yield slice


class GivesOneIdToDifferentSlices(Mutant):
    def slices(self, slices: Iterator[Slice], resume: Json | None) -> Iterator[Slice]:
        return (replace(slice, id="slice") for slice in slices)


class AnnouncesWrongly(Mutant):
    def slices(self, slices: Iterator[Slice], resume: Json | None) -> Iterator[Slice]:
        return (replace(slice, rows_expected=(slice.rows_expected or 0) + 1) for slice in slices)


class ReadsOnlyOnce(Mutant):
    def batch(self, batch: Batch, slice: Slice, stream: StreamSchema) -> Batch:
        self.seen: set[str] = getattr(self, "seen", set())
        rows = 0 if slice.id in self.seen else batch.records.num_rows
        self.seen.add(slice.id)
        return Batch(batch.records.slice(0, rows))


class InventsStreams(Mutant):
    def describe(self, names: Sequence[str]) -> Sequence[StreamSchema]:
        [known] = self.inner.describe(["Account"])
        return [replace(known, name=name) for name in names]


class StaysClosed(Mutant):
    shut = False

    def close(self) -> None:
        self.shut = True

    def plan(self, stream: StreamSchema, window: Window) -> Extraction:
        if self.shut:
            raise Stopped("read", stream.name, "the connector was closed")
        return Mutant.plan(self, stream, window)


EXPECTED: dict[type[Mutant], str] = {
    DropsARow: "test_the_forecast_counts_the_rows_that_come_counted_hops",
    ForgetsASlice: "test_rows_that_share_a_stamp_are_all_read_complete_window",
    ExcludesLow: "test_a_window_includes_low_and_excludes_high_complete_window",
    IncludesHigh: "test_a_window_includes_low_and_excludes_high_complete_window",
    CutsHighToSeconds: "test_a_window_includes_low_and_excludes_high_complete_window",
    AsksTheLocalClock: "test_the_horizon_follows_the_clock_of_the_source_complete_window",
    HidesDeletions: "test_a_deletion_is_seen",
    HidesTombstones: "test_a_purge_is_seen",
    MakesEmptyTextNull: "test_null_is_not_the_empty_text",
    PassesIntegersThroughFloats: "test_values_come_back_exactly",
    RenamesColumns: "test_a_narrowed_stream_gives_only_its_columns",
    MakesJobsWhilePlanning: "test_a_plan_creates_nothing_at_the_source",
    LeavesJobsBehind: "test_what_was_made_at_the_source_is_settled_on_every_outcome",
    LeavesWhatADeadRunMade: "test_what_a_run_left_whose_rows_are_sealed_is_removed",
    AnnouncesAShorterResult: "test_a_killed_extraction_resumes_without_loss_or_repeat_value_resume",
    ResumesByCount: "test_a_resume_after_the_source_lost_the_job_reads_everything_anew",
    GivesOneIdToDifferentSlices: "test_the_forecast_counts_the_rows_that_come_counted_hops",
    AnnouncesWrongly: "test_a_narrowed_stream_gives_only_its_columns",
    ReadsOnlyOnce: "test_a_slice_reads_the_same_again",
    StaysClosed: "test_a_closed_connector_reads_again",
    InventsStreams: "test_an_unknown_stream_is_an_error_that_names_the_nearest",
}


def failures(world: Callable[[], World]) -> set[str]:
    """The names of the suite's tests that fail over fresh worlds."""
    failed: set[str] = set()
    for name in (name for name in dir(Suite) if name.startswith("test_")):
        seeds = {"seed": 1} if name.endswith("after_any_history") else {"lost": False} if "_sealed_" in name else {}
        try:
            getattr(Suite(), name)(Subject.over(world()), **seeds)
        except pytest.skip.Exception:
            continue
        except (AssertionError, LookupError, ValueError, SynclineError, pytest.fail.Exception):
            failed.add(name)
    return failed


@pytest.mark.parametrize("mutant", EXPECTED, ids=lambda mutant: mutant.__name__)
def test_the_suite_catches_a_connector_that(mutant: type[Mutant]) -> None:
    class Broken(FlaggingWorld):
        def connect(self) -> Connector:
            return mutant(super().connect())

    assert EXPECTED[mutant] in failures(Broken)


def test_the_suite_passes_the_connector_that_the_mutants_wrap() -> None:
    class Sound(FlaggingWorld):
        def connect(self) -> Connector:
            return Mutant(super().connect())

    assert failures(Sound) == set()
