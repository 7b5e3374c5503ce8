"""DltSource beyond the conformance suite: hints, one-time generators, learned types, endings, quiet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors import ConfigError, DataError, DltSource, Slice, Stopped, SynclineError, ValueOutOfType, Window
from tests.connectors.reading import described, rows_of

START = datetime(2031, 5, 1, tzinfo=UTC)
NOW = START + timedelta(days=1)


def source(resource: Any, types_file: Path | None = None) -> DltSource:
    return DltSource(resource, clock=lambda: NOW, types_file=types_file)


def over(items: list[Any], **hints: Any) -> DltSource:
    """A resource that yields ``items`` as they are."""
    import dlt

    return source(dlt.resource(lambda: iter(items), name="things", **hints))


def test_a_function_that_makes_the_source_is_called_when_a_stream_is_first_described() -> None:
    calls: list[int] = []

    def make() -> Any:
        import dlt

        calls.append(1)
        return dlt.resource([{"id": 1}], name="things")

    connector = source(make)
    assert calls == []
    assert rows_of(connector, "things", None) == rows_of(connector, "things", None) == [{"id": 1}]
    assert calls == [1]


def test_what_is_not_a_dlt_source_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither a dlt source nor a dlt resource"):
        source([1, 2]).describe(["things"])


def test_a_generator_already_started_is_refused_because_it_can_be_read_only_once_loud() -> None:
    import dlt

    with pytest.raises(ConfigError, match="only once"):
        source(dlt.resource((row for row in [{"id": 1}]), name="things")).describe(["things"])


def test_a_filter_in_a_query_language_is_refused() -> None:
    from dataclasses import replace

    connector = over([{"id": 1}])
    schema = replace(described(connector, "things"), where="id > 1")
    with pytest.raises(ConfigError, match="no query language"):
        connector.plan(schema, Window(None, NOW))


def test_a_table_name_computed_row_by_row_is_refused() -> None:
    with pytest.raises(ConfigError, match="one resource per table"):
        over([{"id": 1}], table_name=lambda row: "x").describe(["things"])


def test_a_resource_with_a_limit_cannot_tell_deletions() -> None:
    import dlt

    schema = described(source(dlt.resource([{"id": 1}, {"id": 2}], name="things").add_limit(1)), "things")
    assert schema.deletes == "none"
    assert any("add_limit" in warning for warning in schema.warnings)


@pytest.mark.parametrize("value", [date(2031, 5, 1), "2031-05-01", 1_900_000_000])
def test_a_cursor_that_holds_no_instants_means_whole_reads(value: object) -> None:
    """A row changed later the same day keeps its date: a window would lose it."""
    import dlt

    def things(changed: Any = dlt.sources.incremental("changed")) -> Iterator[Any]:  # noqa: B008
        yield {"id": 1, "changed": value}

    connector = source(dlt.resource(things, name="things"))
    schema = described(connector, "things")
    assert schema.cursor is None
    assert any("read whole each run" in warning for warning in schema.warnings)
    assert [row["id"] for row in rows_of(connector, "things", NOW - timedelta(hours=1))] == [1]


def test_a_cursor_inside_a_nested_field_means_whole_reads() -> None:
    import dlt

    def things(changed: Any = dlt.sources.incremental("meta.changed")) -> Iterator[Any]:  # noqa: B008
        yield {"id": 1, "meta": {"changed": START}}

    schema = described(source(dlt.resource(things, name="things")), "things")
    assert schema.cursor is None
    assert any("meta.changed" in warning for warning in schema.warnings)


def test_a_text_cursor_of_instants_is_one() -> None:
    import dlt

    def things(changed: Any = dlt.sources.incremental("changed")) -> Iterator[Any]:  # noqa: B008
        assert changed.last_value in (None, "2031-04-30T23:59:59.000+02:00")
        yield [{"id": 1, "changed": "2031-05-01T00:00:00.000+02:00"}, {"id": 2, "changed": "2031-04-30T22:00:00.001Z"}]

    connector = source(dlt.resource(things, name="things"))
    assert described(connector, "things").cursor == "changed"
    low = datetime(2031, 4, 30, 22, tzinfo=UTC)
    assert [row["id"] for row in rows_of(connector, "things", low, low + timedelta(milliseconds=1))] == [1]


def test_any_column_of_instants_can_be_chosen_as_the_cursor_of_a_stream_without_one() -> None:
    from dataclasses import replace

    connector = over([{"id": 1, "at": START}, {"id": 2, "at": NOW}])
    schema = described(connector, "things")
    assert (schema.cursor, schema.cursors) == (None, ("at",))
    extraction = connector.plan(replace(schema, cursor="at"), Window(START, NOW))
    [slice] = extraction.slices(None, lambda _: None)
    assert [batch.records.to_pylist() for batch in extraction.read(slice)] == [[{"id": 1, "at": START}]]
    extraction.close("landed")


def test_a_resource_that_pages_by_its_incremental_s_last_value_comes_to_an_end() -> None:
    import dlt

    rows = [{"id": number, "changed": START + timedelta(seconds=number)} for number in range(10)]

    def things(changed: Any = dlt.sources.incremental("changed", initial_value=START)) -> Iterator[Any]:  # noqa: B008
        while page := [row for row in rows if row["changed"] > changed.last_value][:3]:
            yield page

    connector = source(dlt.resource(things, name="things", primary_key="id"))
    assert [row["id"] for row in rows_of(connector, "things", START)] == list(range(1, 10))


def test_rows_may_be_dicts_tables_batches_and_models() -> None:
    class Model:
        def model_dump(self) -> dict[str, object]:
            return {"id": 4}

    table = pa.table({"id": [2]})
    items = [{"id": 1}, table, table.to_batches()[0], Model()]
    assert [row["id"] for row in rows_of(over(items), "things", None)] == [1, 2, 2, 4]


def test_what_is_no_row_is_refused() -> None:
    with pytest.raises(DataError, match="yields int"):
        rows_of(over([1, 2]), "things", None)


def test_a_reserved_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="_syncline_seq"):
        over([{"_syncline_seq": 1}]).describe(["things"])


def test_a_stream_about_which_nothing_is_known_is_an_error_with_its_cure() -> None:
    with pytest.raises(ConfigError, match="declare the columns"):
        over([]).describe(["things"])
    with pytest.raises(ConfigError, match="its key id"):
        over([{"id": None, "a": 1}], primary_key="id").describe(["things"])


def test_a_declared_type_is_never_widened_types_from_source() -> None:
    items = [{"id": 1}] * 2000 + [{"id": 1.5}]
    for _ in range(2):
        with pytest.raises(ValueOutOfType, match=r"things\.id.*1\.5 does not fit int64"):
            rows_of(over(items, columns={"id": {"data_type": "bigint"}}), "things", None)


def test_a_new_field_that_nobody_would_remember_is_an_error_loud() -> None:
    items = [{"id": 1}] * 2000 + [{"id": 2, "late": "x"}]
    with pytest.raises(ConfigError, match="late"):
        rows_of(over(items), "things", None)


def test_every_misfit_of_a_read_is_named_at_once() -> None:
    items = [{"id": 1, "a": 1, "b": True}] * 2000 + [{"id": 2, "a": "x", "b": True}, {"id": 3, "a": 1, "b": "y"}]
    connector = over(items)
    with pytest.raises(SynclineError) as caught:
        rows_of(connector, "things", None)
    assert "things.a, things.b" in str(caught.value)
    assert [row["b"] for row in rows_of(connector, "things", None)][-2:] == ["true", "y"]


def test_a_broken_types_file_is_an_error_with_its_cure(tmp_path: Path) -> None:
    import dlt

    file = tmp_path / "types.json"
    file.write_text('{"dlt/things": {"columns": {"id": "nonsense"}, "cursor_example": null}}')
    with pytest.raises(ConfigError, match="remove the file"):
        source(dlt.resource([{"id": 1}], name="things"), file).describe(["things"])


def test_types_are_written_by_a_run_and_not_by_a_plan(tmp_path: Path) -> None:
    import dlt

    file = tmp_path / "deep" / "types.json"
    connector = source(dlt.resource([{"id": 1}], name="things"), file)
    connector.plan(described(connector, "things"), Window(None, NOW))
    assert not file.exists()
    rows_of(connector, "things", None)
    assert list(json.loads(file.read_text()).values()) == [{"columns": {"id": "int64"}, "cursor_example": None}]


def test_closing_from_another_thread_ends_a_read() -> None:
    import dlt

    def things() -> Iterator[Any]:
        yield pa.table({"id": [1]})
        connector.close()
        yield pa.table({"id": [2]})
        yield pa.table({"id": [3]})

    connector = source(
        dlt.resource(things, name="things", schema_contract="freeze", columns={"id": {"data_type": "bigint"}})
    )
    with pytest.raises(Stopped):
        rows_of(connector, "things", None)


def test_a_reading_that_is_given_up_gives_back_what_the_resource_holds() -> None:
    import dlt

    ended: list[bool] = []

    def things(changed: Any = dlt.sources.incremental("changed")) -> Iterator[Any]:  # noqa: B008
        try:
            yield pa.table({"id": [1], "changed": [START]})
            yield pa.table({"id": [2], "changed": [START]})
        finally:
            ended.append(True)

    source(dlt.resource(things, name="things")).describe(["things"])
    assert ended == [True]


def test_nothing_is_left_on_disk_after_a_read_whether_it_went_well_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    connector = over([{"id": 1}])
    extraction = connector.plan(described(connector, "things"), Window(None, NOW))
    list(extraction.slices(None, lambda _: None))
    assert list(tmp_path.iterdir())
    extraction.close("kept")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="closed"):
        list(extraction.read(Slice("x-0", {"file": 0}, rows_expected=1)))
    with pytest.raises(DataError):
        rows_of(over([*[{"id": 1}] * 2000, 2]), "things", None)
    assert list(tmp_path.iterdir()) == []


def test_an_active_pipeline_of_the_user_is_neither_read_nor_changed() -> None:
    import dlt
    from dlt.common.configuration.container import Container
    from dlt.common.pipeline import StateInjectableContext

    def things(changed: Any = dlt.sources.incremental("changed", initial_value=START)) -> Iterator[Any]:  # noqa: B008
        dlt.current.resource_state()["touched"] = True
        yield {"id": 1, "changed": START}

    state: Any = {"sources": {}}
    with Container().injectable_context(StateInjectableContext(state=state)):
        assert len(rows_of(source(dlt.resource(things, name="things")), "things", START)) == 1
    assert state == {"sources": {}}


def test_importing_the_connectors_imports_no_vendor_s_library() -> None:
    script = """
        import sys, syncline.connectors
        from syncline.connectors import DltSource, Records
        DltSource(lambda: None)
        print([name for name in ("dlt", "simple_salesforce", "duckdb", "sqlglot", "requests") if name in sys.modules])
    """
    assert run(script).stdout.strip() == "[]"


def test_reading_says_nothing_writes_nothing_elsewhere_and_calls_nobody(tmp_path: Path) -> None:
    script = """
        import socket
        def refuse(*args, **kwargs): raise AssertionError(f"connects to {args}")
        socket.socket.connect = refuse
        from syncline.connectors import DltSource, Window
        def make():
            import dlt, logging
            logging.getLogger("dlt").warning("advice")
            def things():
                logging.getLogger("dlt").warning("advice")
                yield {"id": 1}
            return dlt.resource(things, name="things")
        source = DltSource(make, types_file=None)
        [schema] = source.describe(["things"])
        extraction = source.plan(schema, Window(None, source.horizon()))
        print([batch.records.num_rows for slice in extraction.slices(None, print) for batch in extraction.read(slice)])
        extraction.close("landed")
    """
    ran = run(script, home=tmp_path)
    assert (ran.stdout.strip(), ran.stderr) == ("[1]", "")
    assert list(tmp_path.iterdir()) == []


def run(script: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({} if home is None else {"HOME": str(home), "TMPDIR": str(home)})}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
