"""What breaks in others (design notes, "Peers", section B), each row that concerns dlt sources as a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors import ConfigError, DltSource, Transient
from tests.connectors.reading import described, rows_of

SECOND = timedelta(seconds=1)
START = datetime(2031, 5, 1, tzinfo=UTC)
NOW = START + timedelta(days=1)


def connector(rows: list[dict[str, Any]], types_file: Path | None = None, **hints: Any) -> DltSource:
    """A resource over ``rows`` with dlt's usual incremental, as a user writes it."""
    import dlt

    incremental = dlt.sources.incremental[datetime]("changed", initial_value=START - timedelta(days=1))

    def account(changed: Any = incremental) -> Iterator[dict[str, Any]]:
        yield from [dict(row) for row in rows if row["changed"] >= changed.last_value]

    hints = {"primary_key": "Id", "write_disposition": "merge", **hints}
    return DltSource(dlt.resource(account, name="Account", **hints), clock=lambda: NOW, types_file=types_file)


def test_row_13_a_second_update_within_the_same_second_is_not_lost() -> None:
    """dlt keeps hashes of the key alone, so the second version at the boundary counts as seen."""
    rows = [{"Id": 1, "Name": "first", "changed": START}]
    source = connector(rows)
    assert [row["Name"] for row in rows_of(source, "Account", None)] == ["first"]
    rows[0]["Name"] = "second"
    assert [row["Name"] for row in rows_of(source, "Account", START)] == ["second"]


def test_row_14_a_row_committed_late_is_read_by_the_overlap() -> None:
    """dlt starts at the largest value it saw; the row that became visible later is below that."""
    rows = [{"Id": 1, "Name": "seen", "changed": START + 60 * SECOND}]
    source = connector(rows)
    rows_of(source, "Account", None)
    rows.append({"Id": 2, "Name": "late", "changed": START + 30 * SECOND})
    assert [row["Id"] for row in rows_of(source, "Account", START + 60 * SECOND - timedelta(minutes=10))] == [1, 2]


def test_row_15_low_is_inclusive() -> None:
    rows = [{"Id": number, "changed": START} for number in (1, 2)]
    assert [row["Id"] for row in rows_of(connector(rows), "Account", START)] == [1, 2]


def test_row_24_nothing_is_dropped_because_it_was_read_before() -> None:
    """No de-duplication on our side of the wire: the merge in the target decides, and it knows more."""
    rows = [{"Id": number, "changed": START} for number in range(300)]
    source = connector(rows)
    first = rows_of(source, "Account", START)
    assert rows_of(source, "Account", START) == first == rows_of(connector(rows), "Account", START)
    assert len(first) == 300


def test_row_25_merge_without_a_key_is_refused() -> None:
    """Elsewhere it quietly means append, and every changed row is there twice."""
    with pytest.raises(ConfigError, match="primary key"):
        connector([], primary_key=None).describe(["Account"])


def test_row_36_a_column_never_forks_into_variants(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"Id": 1, "score": 1, "changed": START}]
    source = connector(rows, tmp_path / "types.json")
    rows_of(source, "Account", None)
    rows.append({"Id": 2, "score": 1.5, "changed": START})
    with pytest.raises(Transient, match="score"):
        rows_of(source, "Account", None)
    assert described(source, "Account").columns.names == ["Id", "score", "changed"]
    assert [row["score"] for row in rows_of(source, "Account", None)] == [Decimal(1), Decimal("1.5")]


def test_row_36_declared_types_win_over_values() -> None:
    rows = [{"Id": 1, "score": 1, "changed": START}]
    columns = {"score": {"data_type": "decimal", "precision": 10, "scale": 2}}
    source = connector(rows, columns=columns)
    assert described(source, "Account").columns.field("score").type == pa.decimal128(10, 2)
    assert rows_of(source, "Account", None)[0]["score"] == Decimal("1.00")


def test_row_37_names_that_differ_by_an_underscore_stay_two_columns() -> None:
    rows = [{"Id": 1, "MyField__c": "one", "My_Field__c": "two", "changed": START}]
    [row] = rows_of(connector(rows), "Account", None)
    assert (row["MyField__c"], row["My_Field__c"]) == ("one", "two")


def test_row_40_the_key_is_the_resource_s_whatever_the_incremental_was_given() -> None:
    import dlt

    incremental = dlt.sources.incremental[datetime]("changed", initial_value=START, primary_key=("Name",))

    @dlt.resource(primary_key=("Tenant", "Id"), write_disposition="merge")
    def account(changed: Any = incremental) -> Iterator[dict[str, Any]]:
        for tenant in ("a", "b"):
            yield {"Id": 1, "Tenant": tenant, "Name": "same", "changed": START}

    source = DltSource(account, clock=lambda: NOW, types_file=None)
    assert described(source, "account").key == ("Tenant", "Id")
    assert [row["Tenant"] for row in rows_of(source, "account", START)] == ["a", "b"]


def as_dlt_itself_reads(rows: list[dict[str, Any]], runs: list[Callable[[], None]]) -> list[list[Any]]:
    """What dlt's own incremental yields run after run, with the state it would keep."""
    import dlt
    from dlt.common.configuration.container import Container
    from dlt.common.pipeline import StateInjectableContext

    incremental = dlt.sources.incremental[datetime]("changed", initial_value=START - timedelta(days=1))

    def account(changed: Any = incremental) -> Iterator[dict[str, Any]]:
        yield from [dict(row) for row in rows]

    state: Any = {}
    read = []
    for change in runs:
        change()
        with Container().injectable_context(StateInjectableContext(state=state)):
            read.append([row["Name"] for row in dlt.resource(account, name="Account", primary_key="Id")])
    return read


def test_dlt_itself_still_loses_what_rows_13_and_14_say() -> None:
    """Should this fail, dlt has changed: read the module's reasons again."""
    rows = [{"Id": 1, "Name": "first", "changed": START}]

    def update_in_the_same_second_and_commit_late() -> None:
        rows[0]["Name"] = "second"
        rows.append({"Id": 2, "Name": "late", "changed": START - SECOND})

    read = as_dlt_itself_reads(rows, [lambda: None, update_in_the_same_second_and_commit_late])
    assert read == [["first"], []]
