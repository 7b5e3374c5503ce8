"""The warehouse conformance suite, part five: JSON documents (TYPES-FROM-SOURCE).

A landed document is text in the form of ``connectors.values.json_text``: names sorted, no blanks. What a reader sees of
it may be spelled otherwise, and says the same; numbers beyond what the warehouse's documents hold are its own affair
(``docs/warehouses.md``), so none is tried here that has more than 38 digits.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError, DataError
from syncline.sinks.lattice import JSON
from syncline.sinks.trial import Change, Row, Trial
from syncline.sinks.warehouse import RowCounts

DOCUMENTS = (
    '{"a":{"b":[1,[],{},"x",null]},"z":true}',
    "{}",
    "[]",
    "null",
    "false",
    '""',
    '"null"',
    '"12"',
    "12",
    "-0.5",
    "12345678901234567890123456789012345678",
    '{"n":[9007199254740993,0.1]}',
    '{"a b":"it\'s \\"so\\", back\\\\slash, two\\nlines, \\\\u0000","é":"Zoë 🙂 日本"}',
)

COLUMNS = pa.schema([("Id", pa.string()), ("Doc", JSON)])
TEXTS = pa.schema([("Id", pa.string()), ("Doc", pa.string())])


def change(*documents: str | None, columns: pa.Schema = COLUMNS, key: tuple[str, ...] = ("Id",)) -> Change:
    rows: list[Row] = [{"Id": f"{number:03}", "Doc": each} for number, each in enumerate(documents)]
    return Change(rows, columns=columns, cursor=None, key=key)


def meant(text: str | None) -> Any:
    """What a document says; a missing one is no JSON null."""
    return "(none)" if text is None else json.loads(text, parse_float=Decimal)


class JsonLaws:
    """Inherited by ``WarehouseConformance``. A house shows a reader's documents as their text."""

    def test_documents_survive_as_documents(self, trial: Trial) -> None:
        trial.run(change(*DOCUMENTS, None))
        for row, expected in zip(trial.rows(), [*DOCUMENTS, None], strict=True):
            assert meant(row["Doc"]) == meant(expected), f"row {row['Id']}"
            assert type(meant(row["Doc"])) is type(meant(expected)), f"row {row['Id']}"

    def test_equal_documents_are_not_rewritten_and_others_are(self, trial: Trial) -> None:
        trial.run(change(*DOCUMENTS, None))
        assert trial.counts(change(*DOCUMENTS, None)) == RowCounts(len(DOCUMENTS) + 1, unchanged=len(DOCUMENTS) + 1)
        whole = replace(change(*DOCUMENTS, None), mode="snapshot")
        assert trial.counts(whole) == RowCounts(len(DOCUMENTS) + 1, unchanged=len(DOCUMENTS) + 1)
        trial.run(change('{"a":1}', "1", "null", None, '["a","b"]'))
        others = change('{"a":2}', '"1"', None, "null", '["b","a"]')
        assert trial.counts(others) == RowCounts(5, updated=5)
        assert [meant(row["Doc"]) for row in trial.rows()][:5] == [{"a": 2}, "1", "(none)", None, ["b", "a"]]

    def test_rows_without_a_key_are_told_apart_by_their_documents(self, trial: Trial) -> None:
        trial.run(change('{"a":1}', None, "null", key=()))
        again = change('{"a":1}', None, "null", '{"a":2}', key=())
        assert trial.counts(again) == RowCounts(4, inserted=1, unchanged=3)

    def test_a_text_column_stays_one_and_keeps_the_landed_text(self, trial: Trial) -> None:
        """A target made before its source declared JSON is not made anew, and its rows are not rewritten."""
        trial.run(change('{"b":1,"a":1.50}', "none", columns=TEXTS))
        assert trial.counts(change('{"b":1,"a":1.50}')) == RowCounts(1, unchanged=1)
        trial.run(change('{"b":1,"a":2.50}', "none", columns=TEXTS))
        assert [row["Doc"] for row in trial.rows()] == ['{"b":1,"a":2.50}', "none"]

    def test_a_column_of_documents_widens_to_text_and_never_back(self, trial: Trial) -> None:
        trial.run(change('{"a":1}', '"b"', None))
        texts = change("plain", columns=TEXTS)
        if trial.house.open().capabilities.name == "redshift":  # its catalog tells no document from a list
            with pytest.raises(ConfigError, match=r"(?i)Account\.Doc"):
                trial.run(texts)
            return
        trial.run(texts)
        trial.run(replace(change("[1]"), records=[{"Id": "003", "Doc": "[1]"}]))
        found = [row["Doc"] for row in trial.rows()]
        assert [found[0], found[2], found[3]] == ["plain", None, "[1]"]
        assert meant(found[1]) == "b"

    def test_a_new_field_of_documents_becomes_a_column(self, trial: Trial) -> None:
        trial.run(change("1", "2"))
        columns = COLUMNS.append(pa.field("More", JSON))
        more = Change([{"Id": "001", "Doc": "2", "More": '{"x":[]}'}], columns=columns, cursor=None)
        assert trial.counts(more) == RowCounts(1, updated=1)
        assert [meant(row["More"]) for row in trial.rows()] == ["(none)", {"x": []}]

    def test_a_document_that_no_column_holds_is_refused_by_name_loud(self, trial: Trial) -> None:
        """U+0000 stands in a document as an escape, so no loading of texts notices it."""
        refusing = not trial.house.open().capabilities.nul_in_text
        nul = change("1", '"a\\\\\\u0000b"')
        if not refusing:
            trial.run(nul)
            assert meant(trial.rows()[1]["Doc"]) == "a\\\x00b"
            return
        with pytest.raises(DataError, match="Doc"):
            trial.run(nul)
        assert trial.rows() == []

    def test_a_document_is_no_key_and_no_cursor_loud(self, trial: Trial) -> None:
        warehouse = trial.house.open()
        for refused in (change(key=("Doc",)), replace(change(), cursor="Doc")):
            with pytest.raises(ConfigError, match=r"(?i)Account\.Doc"):
                warehouse.prepare([refused.plan("run-x")])
        warehouse.close()
