"""A wrong setting is refused when the file loads, with the stream, the setting and the nearest right word."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import syncline.pipelines
from syncline.connectors.errors import ConfigError, NameCollision
from syncline.pipelines.pipeline import Pipeline, Stream, nearest, parse_duration
from tests.pipelines.doubles import StubConnector, stub_pipeline


def make_stream(name: Any = "Account", **settings: Any) -> Stream:
    return Stream(name, **settings)


def make_pipeline(name: Any = "crm", **settings: Any) -> Pipeline:
    return Pipeline(name, **{"source": StubConnector(), "streams": ["Account"], **settings})


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "setting", "says"),
    [
        ({"feilds": ["Id"]}, "feilds", "did you mean 'fields'?"),
        ({"onDelete": "mark"}, "onDelete", "did you mean 'on_delete'?"),
        ({"zzz": 1}, "zzz", "a Stream has name, fields, exclude"),
        ({"on_delete": "Mark"}, "on_delete", "did you mean 'mark'?"),
        ({"on_delete": 1}, "on_delete", "delete, mark, ignore"),
        ({"fields": "Id"}, "fields", "not a list"),
        ({"fields": []}, "fields", "the list is empty"),
        ({"fields": ["Id", "Name", "Id"]}, "fields", "Id is listed twice"),
        ({"fields": ["Id", ""]}, "fields", "is not a name"),
        ({"fields": ["Id", "Name"], "exclude": ["Name"]}, "exclude", "Name is listed in fields as well"),
        ({"key": []}, "key", "the list is empty"),
        ({"where": " "}, "where", "not a text"),
        ({"cursor": 5}, "cursor", "not a text"),
        ({"overlap": "10 minutes"}, "overlap", '"10m"'),
        ({"overlap": timedelta(seconds=-1)}, "overlap", "too short"),
        ({"overlap": "16d"}, "overlap", "more than 15 days"),
        ({"overlap": 600}, "overlap", "600 is not a duration"),
        ({"full_every": "0s"}, "full_every", "too short"),
        ({"full_every": "weekly"}, "full_every", "'weekly' is not a duration"),
        ({"target": "sales.account"}, "target", "settings of the warehouse"),
        ({"target": "_syncline_runs"}, "target", "kept for bookkeeping"),
        ({"target": ""}, "target", "cannot name a table"),
        ({"target": 'a"b'}, "target", "may not have"),
    ],
)
def test_wrong_stream_setting_is_refused_by_name(settings: dict[str, Any], setting: str, says: str) -> None:
    text = refusal(lambda: make_stream(**settings))
    assert text.startswith(f"read pipeline: stream Account, setting {setting}: ")
    assert says in text


@pytest.mark.parametrize(
    ("settings", "setting", "says"),
    [
        ({"stream": []}, "stream", "did you mean 'streams'?"),
        ({"streams": []}, "streams", "the list is empty"),
        ({"streams": Stream("Account")}, "streams", "not a list"),
        ({"streams": [5]}, "streams", "a int is not a Stream"),
        ({"streams": [Stream("Account"), "Account"]}, "streams", "Account is listed twice"),
        ({"source": "salesforce"}, "source", "a str is not a connector"),
        ({"commit": "apart"}, "commit", "'apart' is not one of together, each"),
        ({"delete_share_max": 20}, "delete_share_max", "from 0 to 1"),
        ({"delete_share_max": True}, "delete_share_max", "not a number"),
        ({"delete_share_max": float("nan")}, "delete_share_max", "out of range"),
        ({"workers": 0}, "workers", "from 1 to 64"),
        ({"workers": 2.5}, "workers", "not a whole number"),
        ({"digest_rows_max": -1}, "digest_rows_max", "out of range"),
    ],
)
def test_wrong_pipeline_setting_is_refused_by_name(settings: dict[str, Any], setting: str, says: str) -> None:
    text = refusal(lambda: make_pipeline(**settings))
    assert text.startswith(f"read pipeline: pipeline crm, setting {setting}: ")
    assert says in text


@pytest.mark.parametrize("name", ["", "1crm", "c/rm", "..", "c rm", "x" * 101, None, 3, "crm\n", "käse"])
def test_pipeline_name_that_cannot_name_a_folder_is_refused(name: Any) -> None:
    assert "setting name" in refusal(lambda: make_pipeline(name))


@pytest.mark.parametrize("name", ["", "  ", None, 3, "a\x00b", "x" * 101])
def test_stream_name_that_no_source_can_have_is_refused(name: Any) -> None:
    assert "setting name" in refusal(lambda: make_stream(name))


def test_streams_whose_tables_differ_only_in_case_collide() -> None:
    with pytest.raises(
        NameCollision, match=re.escape("streams Account and Customer: EXACT-NAMES: both go to the table account")
    ):
        make_pipeline(streams=[Stream("Account"), Stream("Customer", target="account")])


def test_left_out_settings_have_the_documented_defaults() -> None:
    stream = Stream("Account")
    assert (stream.on_delete, stream.overlap_duration, stream.target) == ("delete", timedelta(minutes=10), "Account")
    assert (stream.fields, stream.exclude, stream.key, stream.full_every_duration) == (None, (), None, None)


def test_pipeline_without_landing_warehouse_and_state_keeps_them_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = make_pipeline()
    assert pipeline.warehouse.capabilities.name == "duckdb"
    assert pipeline.landing.url.endswith(".syncline/landing")
    assert pipeline.state.recall("crm") == {}
    assert os.listdir(tmp_path) in ([], [".syncline"]), "making a pipeline makes no table"


def test_key_may_be_one_name() -> None:
    assert make_stream(key="Id").key == ("Id",)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Stream("Account").where = "x"  # type: ignore[misc]


def test_replace_checks_again() -> None:
    assert dataclasses.replace(Stream("Account"), target="client").target == "client"
    with pytest.raises(ConfigError):
        dataclasses.replace(Stream("Account"), overlap="soon")


def test_selecting_an_unknown_stream_suggests_the_nearest() -> None:
    assert "did you mean 'Account'?" in refusal(lambda: stub_pipeline().select(["Acount"]))
    assert "its streams are Account, Contact" in refusal(lambda: stub_pipeline().select(["Lead"]))


def test_selection_keeps_the_pipelines_order() -> None:
    assert [each.name for each in stub_pipeline().select(["Contact", "Account"])] == ["Account", "Contact"]
    assert [each.name for each in stub_pipeline().select([])] == ["Account", "Contact"]


@given(st.integers(0, 999_999), st.sampled_from("smhdw"))
def test_duration_texts_mean_what_they_say(count: int, unit: str) -> None:
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]
    assert parse_duration(f"{count}{unit}") == timedelta(seconds=count * seconds)


@given(st.text())
def test_no_other_text_is_a_duration(text: str) -> None:
    if not re.fullmatch(r"\d{1,6}\s*[smhdw]", text.strip()):
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration(text)


def test_nearest_finds_the_right_word_whatever_its_case() -> None:
    assert nearest("systemmodstmp", ["Id", "SystemModstamp"]) == "did you mean 'SystemModstamp'?"
    assert nearest("q", ["Id"]) == ""


def test_package_offers_pipeline_and_stream_only_when_asked() -> None:
    assert syncline.pipelines.Pipeline is Pipeline
    with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
        _ = syncline.pipelines.Pipelin
