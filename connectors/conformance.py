# mypy: disable-error-code="type-abstract"
"""The conformance suite of the connector port: every connector passes it, the in-memory one first.

::

    import pytest
    from syncline.connectors.conformance import ConnectorConformance

    class TestAcme(ConnectorConformance):
        text = "name"

        @pytest.fixture
        def world(self) -> World:
            return AcmeWorld()              # see syncline.connectors.world

To see values in failures, put ``pytest.register_assert_rewrite("syncline.connectors.conformance",
"syncline.connectors.conformance_resume", "syncline.connectors.world")`` into a ``conftest.py``. The suite needs pytest;
nothing else of Syncline does.
"""

from __future__ import annotations

import json
import random
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

import pyarrow as pa
import pytest

from syncline.connectors.conformance_resume import ROWS, ResumeLaws, able
from syncline.connectors.connector import RESERVED_PREFIX, Batch, Json, Slice, Window
from syncline.connectors.errors import ConfigError, SynclineError
from syncline.connectors.world import (
    CommitsLate,
    Copy,
    KeepsJobs,
    Key,
    Misbehaves,
    Purges,
    Reading,
    Recreates,
    Subject,
    Undeletes,
    World,
    in_order,
    read_slice,
    sorted_rows,
)

TEXTS = ("", " ", "a,b", 'say "x"', "two\nlines\r\n", "NULL", "\\N", "\x00", "Zoë 🙂 日本", "e\u0301", "x" * 131_072)
INTEGERS = (0, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63))
DECIMALS = (Decimal("0.01"), Decimal("-0.1"), Decimal("12345678901234567.89"), Decimal("0"))

TICK = timedelta(microseconds=1)


class ConnectorConformance(ResumeLaws):
    """Override ``world``, name a text column, and list the values that must survive exactly.

    ``exact`` maps a column to values to write and read back; ``null_texts`` are those of them that the source itself
    stores as null. ``settling_lag_s_max`` is how far the horizon may lie below the source's clock.
    """

    exact: ClassVar[Mapping[str, Sequence[object]]] = {}
    null_texts: ClassVar[frozenset[str]] = frozenset()
    settling_lag_s_max: ClassVar[float] = 900.0

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError("override the fixture `world`")

    @pytest.fixture
    def subject(self, world: World) -> Subject:
        return Subject.over(world)

    # ---- describe ----

    def test_a_description_is_consistent_with_itself(self, subject: Subject) -> None:
        schema, names = subject.schema, subject.schema.columns.names
        assert schema.name == subject.world.stream
        assert len(set(names)) == len(names), "EXACT-NAMES: two columns of one name"
        assert not [name for name in names if name.startswith(RESERVED_PREFIX)]
        assert not set(schema.left_out).intersection(names)
        assert schema.key
        assert set(schema.key) <= set(names)
        assert schema.cursor in schema.cursors
        assert schema.columns.field(schema.cursor).type == pa.timestamp("us", tz="UTC")

    def test_streams_come_in_the_order_asked(self, subject: Subject) -> None:
        stream = subject.world.stream
        assert [each.name for each in subject.connector.describe([])] == []
        assert [each.name for each in subject.connector.describe([stream, stream])] == [stream, stream]

    def test_types_do_not_come_from_values_types_from_source(self, subject: Subject) -> None:
        subject.world.insert([*self.some(3), {self.text: "12"}, {self.text: "2024-01-01"}])
        assert Subject.over(subject.world).schema.columns.equals(subject.schema.columns)

    def test_an_unknown_stream_is_an_error_that_names_the_nearest(self, subject: Subject) -> None:
        misspelt = subject.world.stream + subject.world.stream[-1]
        with pytest.raises(ConfigError) as caught:
            subject.connector.describe([misspelt])
        assert misspelt in str(caught.value)
        assert subject.world.stream in caught.value.hint

    # ---- windows ----

    def test_a_window_includes_low_and_excludes_high_complete_window(self, subject: Subject) -> None:
        keys: list[Key] = []
        for name in ("before", "low", "high"):
            keys += subject.world.insert(self.some(1, name))
            subject.world.advance(10)
        stamps = subject.read_all().stamps()
        before, low, high = (stamps[key] for key in keys)
        assert before < low < high
        assert subject.read(low, high).keys() == [keys[1]]
        assert subject.read(low, low + TICK).keys() == [keys[1]], "a bound was cut to a coarser step"
        assert subject.read(low + timedelta(seconds=1), high).keys() == []
        assert subject.read(None, low).keys() == [keys[0]]

    def test_rows_that_share_a_stamp_are_all_read_complete_window(self, subject: Subject) -> None:
        subject.world.insert(self.some(3, "earlier"))
        subject.world.advance(10)
        ties = subject.world.insert(self.some(ROWS))
        subject.world.advance(10)
        subject.world.insert(self.some(3, "later"))
        [tie] = set(map(subject.read_all().stamps().get, ties))
        assert tie is not None
        assert subject.read(tie, tie + TICK).keys() == in_order(ties)

    def test_an_empty_window_gives_no_rows_and_no_error(self, subject: Subject) -> None:
        subject.world.insert(self.some(5))
        horizon = subject.settle()
        low = horizon - timedelta(seconds=1)
        assert subject.connector.plan(subject.schema, Window(low, horizon)).forecast.rows in (0, None)
        assert subject.read(low, horizon).rows() == []

    def test_a_late_commit_is_read_by_the_next_overlap_complete_window(self, subject: Subject) -> None:
        late = able(subject.world, CommitsLate)
        copy = Copy(subject.world)
        keys = list(subject.world.insert(self.some(3)))
        subject.settle()
        copy.sync()
        assert copy.watermark is not None
        keys += late.insert_late(self.some(1, "late"), copy.watermark - timedelta(seconds=30))
        subject.settle()
        copy.sync()
        assert in_order(copy.rows) == in_order(keys)

    def test_the_horizon_follows_the_clock_of_the_source_complete_window(self, subject: Subject) -> None:
        first = subject.connector.horizon()
        assert first.utcoffset() == timedelta(0)
        lag = subject.world.now() - first
        assert timedelta(0) <= lag <= timedelta(seconds=self.settling_lag_s_max), "the local clock was asked"
        subject.world.advance(600)
        assert abs((subject.connector.horizon() - first).total_seconds() - 600) <= 1.0

    # ---- plan ----

    def test_a_plan_creates_nothing_at_the_source(self, subject: Subject) -> None:
        jobs = able(subject.world, KeepsJobs)
        subject.world.insert(self.some(5))
        extraction = subject.connector.plan(subject.schema, Window(None, subject.settle()))
        assert list(jobs.jobs()) == []
        extraction.close("abandoned")

    def test_the_forecast_counts_the_rows_that_come_counted_hops(self, subject: Subject) -> None:
        subject.world.insert(self.some(ROWS))
        high = subject.settle()
        forecast = subject.connector.plan(subject.schema, Window(None, high)).forecast
        assert forecast.rows in (None, ROWS)
        assert forecast.calls >= 0
        assert forecast.api
        assert len(subject.read(None, high).keys()) == ROWS

    def test_a_narrowed_stream_gives_only_its_columns(self, subject: Subject) -> None:
        subject.world.insert(self.some(3))
        schema = subject.schema
        subject.schema = schema.select([*schema.key, str(schema.cursor), self.text])
        assert set(subject.read_all().values(self.text).values()) == {"row 0", "row 1", "row 2"}

    # ---- read and resume ----

    def test_a_slice_reads_the_same_again(self, subject: Subject) -> None:
        subject.world.insert(self.some(ROWS))
        window = Window(None, subject.settle())
        extraction = subject.connector.plan(subject.schema, window)
        for slice in extraction.slices(None, _forget):
            half_read = extraction.read(slice)
            next(half_read, None)
            first, second = (read_slice(extraction, subject.schema, window, slice) for _ in range(2))
            assert sorted_rows(first, subject.schema).equals(sorted_rows(second, subject.schema))
        extraction.close("landed")

    def test_slices_read_from_several_threads_at_once(self, subject: Subject) -> None:
        subject.world.insert(self.some(ROWS))
        window = Window(None, subject.settle())
        extraction = subject.connector.plan(subject.schema, window)
        slices = list(extraction.slices(None, _forget))

        def rows(slice: Slice) -> pa.Table:
            return sorted_rows(read_slice(extraction, subject.schema, window, slice), subject.schema)

        with ThreadPoolExecutor(4) as pool:
            tables = list(pool.map(rows, slices * 2))
        for first, second in zip(tables[: len(slices)], tables[len(slices) :], strict=True):
            assert first.equals(second)
        assert sum(len(table) for table in tables) == 2 * ROWS
        extraction.close("landed")

    def test_a_row_updated_while_slices_are_read_ends_up_newest(self, subject: Subject) -> None:
        keys = subject.world.insert(self.some(ROWS))
        window = Window(None, subject.settle())
        extraction = subject.connector.plan(subject.schema, window)
        batches: dict[str, Sequence[Batch]] = {}
        slices: list[Slice] = []
        for slice in extraction.slices(None, _forget):
            slices.append(slice)
            batches[slice.id] = list(extraction.read(slice))
            if len(slices) == 1:
                subject.world.update([keys[0], keys[-1]], {self.text: "newest"})
        extraction.close("landed")
        copy = Copy(subject.world, watermark=window.high)
        copy.apply(Reading(subject.schema, batches, slices))
        subject.settle()
        copy.sync()
        assert in_order(copy.rows) == in_order(keys)
        assert [copy.rows[key][self.text] for key in (keys[0], keys[-1])] == ["newest", "newest"]

    # ---- deletes ----

    def test_a_deletion_is_seen(self, subject: Subject) -> None:
        self.see_gone(subject, subject.world.delete)

    def test_a_purge_is_seen(self, subject: Subject) -> None:
        self.see_gone(subject, able(subject.world, Purges).purge)

    def see_gone(self, subject: Subject, remove: Callable[[Sequence[Key]], None]) -> None:
        keys = subject.world.insert(self.some(3))
        horizon = subject.settle()
        remove([keys[1]])
        later = subject.settle()
        if subject.schema.deletes == "flagged":
            assert subject.read(horizon, later).deleted() == {keys[1]}
        assert subject.read(None, later).keys() == in_order([keys[0], keys[2]])

    def test_an_undeleted_row_is_back(self, subject: Subject) -> None:
        undeletes = able(subject.world, Undeletes)
        keys = subject.world.insert(self.some(2))
        copy = Copy(subject.world)
        for change in (subject.world.delete, undeletes.undelete):
            subject.settle()
            copy.sync()
            change([keys[0]])
        subject.settle()
        copy.sync()
        assert in_order(copy.rows) == in_order(keys)

    def test_a_key_deleted_and_used_again_is_live(self, subject: Subject) -> None:
        world = subject.world
        recreates = able(world, Recreates)
        keys = world.insert(self.some(2))
        subject.settle()
        copy = Copy(world)
        copy.sync()
        (world.purge if isinstance(world, Purges) else world.delete)([keys[0]])
        world.advance(5)
        recreates.recreate(keys[0], {self.text: "again"})
        subject.settle()
        copy.sync()
        assert copy.rows[keys[0]][self.text] == "again"

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_copy_kept_by_windows_equals_the_source_after_any_history(self, subject: Subject, seed: int) -> None:
        chance, copy, truth = random.Random(seed), Copy(subject.world), dict[Key, str]()
        for step in range(40):
            act = chance.choice(["insert", "insert", "update", "update", "delete", "wait", "sync"])
            some = chance.sample(in_order(truth), min(len(truth), 2))
            if act == "insert":
                rows = self.some(chance.randint(1, 5), f"step {step}")
                keys = subject.world.insert(rows)
                truth.update({key: str(row[self.text]) for key, row in zip(keys, rows, strict=True)})
            elif act == "update" and some:
                subject.world.update(some, {self.text: f"changed in {step}"})
                truth.update(dict.fromkeys(some, f"changed in {step}"))
            elif act == "delete" and some:
                subject.world.delete(some)
                truth = {key: text for key, text in truth.items() if key not in some}
            elif act == "sync":
                copy.sync()
            subject.world.advance(chance.choice([0, 0, 1, 90]))
        subject.settle()
        copy.sync(whole=subject.schema.deletes != "flagged")
        assert {key: row[self.text] for key, row in copy.rows.items()} == truth

    # ---- values ----

    def test_values_come_back_exactly(self, subject: Subject) -> None:
        written: dict[str, dict[Key, object]] = {}
        for column, values in {self.text: TEXTS, **self.exact}.items():
            written[column] = dict(zip(subject.world.insert([{column: each} for each in values]), values, strict=True))
        reading = subject.read_all()
        for column, expected in written.items():
            found = reading.values(column)
            for key, value in expected.items():
                null = isinstance(value, str) and value in self.null_texts
                assert found[key] == (None if null else value), f"{subject.schema.name}.{column}: {value!r:.60}"

    def test_null_is_not_the_empty_text(self, subject: Subject) -> None:
        [empty, null] = subject.world.insert([{self.text: ""}, {self.text: None}])
        assert subject.read_all().values(self.text) == {empty: None if "" in self.null_texts else "", null: None}

    # ---- the rest ----

    def test_a_fault_of_the_source_never_loses_a_row_loud(self, subject: Subject) -> None:
        faulty = able(subject.world, Misbehaves)
        keys = in_order(subject.world.insert(self.some(ROWS)))
        subject.settle()
        for fault in faulty.faults:
            again = Subject.over(subject.world)
            horizon = again.connector.horizon()
            faulty.strike(fault)
            try:
                found = again.read(None, horizon).keys()
            except SynclineError:
                continue
            assert found == keys, f"LOUD: {fault} lost or repeated rows without an error"

    def test_nothing_shows_a_secret_no_secrets(self, subject: Subject) -> None:
        if not subject.world.secrets:
            pytest.skip("this world has no secrets")
        subject.world.insert(self.some(3))
        reading = subject.read_all()
        forecast = subject.connector.plan(subject.schema, Window(None, subject.settle())).forecast
        shown = [repr(each) for each in (subject.connector, subject.schema, forecast, reading.slices)]
        shown += [str(subject.connector), json.dumps(list(reading.remembered))]
        try:
            subject.connector.describe(["no_such_stream"])
        except ConfigError:
            shown.append(traceback.format_exc())
        assert not [secret for secret in subject.world.secrets if secret in "\n".join(shown)]

    def test_calls_are_counted(self, subject: Subject) -> None:
        subject.world.insert(self.some(3))
        before = subject.connector.api_calls
        subject.read_all()
        assert subject.connector.api_calls > before

    def test_closing_twice_is_fine(self, subject: Subject) -> None:
        for _ in range(2):
            subject.connector.close()

    def test_a_closed_connector_reads_again(self, subject: Subject) -> None:
        """As the proof does that follows a repair."""
        subject.world.insert(self.some(3))
        held = subject.read_all().values(self.text)
        subject.connector.close()
        assert subject.read_all().values(self.text) == held
        assert len(held) == 3


def _forget(_: Json) -> None:
    """For tests that do not resume."""
