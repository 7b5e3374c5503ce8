"""JSON from a source that declares it, at every place it comes to: real runs of a dlt resource, DuckDB, a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncline.connectors import DltSource
from syncline.connectors.errors import ValueOutOfType
from syncline.pipelines.compacting import compact
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.plan import plan
from syncline.pipelines.replay import replay
from syncline.pipelines.rewind import rewind
from syncline.pipelines.stop import StopSignal
from syncline.pipelines.verify import verify
from syncline.sinks.duckdb import DuckDB
from tests.runner.world import Clock, World, make_world

TEXT = '{"a":[1.50,{"é":null}],"z":"x"}'


@dataclass
class Tickets:
    """A dlt resource over rows that a test changes, and a pipeline of it in a world of its own."""

    world: World
    declared: str = "json"
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def put(self, id: str, document: Any) -> None:
        self.rows[id] = {"id": id, "at": self.world.clock(), "doc": document}

    def pipeline(self, **changed: Any) -> Pipeline:
        import dlt

        columns: Any = {"doc": {"data_type": self.declared}, "at": {"data_type": "timestamp"}}
        columns["id"] = {"data_type": "text"}
        tickets = dlt.resource(lambda: list(self.rows.values()), name="tickets", primary_key="id", columns=columns)
        tickets.apply_hints(incremental=dlt.sources.incremental("at"))
        source = DltSource(tickets, clock=self.world.clock, types_file=None)
        return self.world.pipeline(source=source, streams=(Stream("tickets"),), **changed)

    def run(self) -> Any:
        return self.world.run(self.pipeline())

    def documents(self) -> list[Any]:
        return [document for (document,) in self.world.query("SELECT doc FROM tickets ORDER BY id")]

    def type(self) -> str:
        [(shown,)] = self.world.query("SELECT data_type FROM duckdb_columns() WHERE column_name = 'doc'")
        return str(shown)

    def verify(self) -> Any:
        return verify(self.pipeline(), events=self.world.events, seams=self.world.seams())


@pytest.fixture
def tickets(tmp_path: Path) -> Tickets:
    tickets = Tickets(make_world(tmp_path / "crm", Clock()))
    tickets.put("1", {"z": "x", "a": [1.5, {"é": None}]})
    tickets.put("2", None)
    tickets.put("3", "null")
    tickets.world.clock.advance(minutes=30)
    return tickets


def test_declared_json_becomes_a_document_and_lands_as_plain_text_types_from_source(tickets: Tickets) -> None:
    tickets.put("4", ' {"z" : "x", "a": [1.50, {"\\u00e9": null}]} ')
    report = tickets.run()
    assert tickets.type() == "JSON"
    assert tickets.documents() == [TEXT.replace("1.50", "1.5"), None, "null", TEXT]
    [path] = (tickets.world.folder / "landing").rglob("*.parquet")
    columns = pq.ParquetFile(path).schema
    assert columns.to_arrow_schema().field("doc").type == pa.string()
    assert columns.column(columns.names.index("doc")).logical_type.type == "STRING"
    assert report.streams["tickets"].counts.inserted == 4
    assert plan(tickets.pipeline(), ()).to_json()["streams"]["tickets"]["columns"]["doc"] == "json"


def test_a_document_that_says_the_same_is_no_change_idle_is_free(tickets: Tickets) -> None:
    tickets.run()
    tickets.rows["1"]["doc"] = {"a": [1.5, {"é": None}], "z": "x"}
    assert tickets.run().warehouse_statements == 0
    assert tickets.verify().equal
    tickets.put("1", '{"z":"x","a":[1.5,{"é":null}]}')
    report = tickets.run().streams["tickets"].counts
    assert (report.updated, report.unchanged) == (1, 0), "its cursor moved"
    assert tickets.verify().equal


def test_verify_names_a_document_that_differs(tickets: Tickets) -> None:
    tickets.run()
    tickets.world.query("UPDATE tickets SET doc = '{}' WHERE id = '1'")
    [proof] = tickets.verify().streams
    assert [each.columns for each in proof.comparison.examples] == [("doc",)]


def test_a_repair_mends_documents_and_proves_it_with_the_connector_that_it_closed(tickets: Tickets) -> None:
    tickets.run()
    held = tickets.documents()
    tickets.world.query("UPDATE tickets SET doc = NULL WHERE id = '1'")
    tickets.world.query("UPDATE tickets SET doc = 'null' WHERE id = '2'")
    report = verify(tickets.pipeline(), repair=True, events=tickets.world.events, seams=tickets.world.seams())
    assert (report.equal, report.repaired) == (True, {"tickets": 2})
    assert tickets.documents() == held


@pytest.mark.parametrize("text", ["{'a': 1}", "", '{"a":1,"a":2}'])
def test_a_text_that_is_no_document_is_refused_by_name_loud(tickets: Tickets, text: str) -> None:
    tickets.put("4", text)
    tickets.world.clock.advance(minutes=30)
    with pytest.raises(ValueOutOfType, match=r"tickets\.doc"):
        tickets.run()
    assert not tickets.world.database.exists()


def test_a_column_that_was_text_stays_text_and_its_rows_are_not_rewritten(tickets: Tickets) -> None:
    tickets.declared = "text"
    tickets.put("1", TEXT)
    tickets.world.clock.advance(minutes=30)
    tickets.run()
    tickets.declared = "json"
    assert tickets.run().warehouse_statements == 0
    tickets.put("2", '{"n":1.50}')
    assert tickets.run().streams["tickets"].counts.updated == 1
    assert tickets.type() == "VARCHAR"
    assert tickets.documents() == [TEXT, '{"n":1.50}', "null"]
    assert tickets.verify().equal


def test_a_landing_with_documents_is_compacted_replayed_and_rewound(tickets: Tickets) -> None:
    world = tickets.world
    first = tickets.run().run_id
    held = tickets.documents()
    for number in range(2, 5):
        tickets.put(str(number), {"n": number})
        last = tickets.run()
    later = tickets.documents()
    assert later[1:] == ['{"n":2}', '{"n":3}', '{"n":4}']
    rewind(tickets.pipeline(), to=first, events=world.events, stop=StopSignal(), seams=world.seams())
    assert tickets.documents() == held
    tickets.run()
    assert tickets.documents() == later
    compact(tickets.pipeline(), now=world.clock() + timedelta(days=2))
    into = DuckDB(str(world.folder / "again.duckdb"))
    replay(tickets.pipeline(), into, events=world.events, stop=StopSignal(), seams=world.seams(), until=last.run_id)
    with duckdb.connect(str(world.folder / "again.duckdb")) as connection:
        found = connection.execute("SELECT doc FROM tickets ORDER BY id").fetchall()
    assert [document for (document,) in found] == later
