"""``check``: every part is asked, every failure is a finding with its cure, nothing stops at the first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from syncline.connectors.connector import StreamSchema
from syncline.connectors.errors import ConfigError, SignInError
from syncline.connectors.finding import Finding
from syncline.pipelines.check import check
from syncline.pipelines.pipeline import Pipeline, Stream
from tests.pipelines.doubles import CRM, NOW, Folder, StubConnector, stub_pipeline


def findings(pipeline: Pipeline) -> dict[str, Finding]:
    return {finding.subject: finding for finding in check(pipeline, [], NOW)}


def test_healthy_pipeline_has_only_good_findings() -> None:
    source = StubConnector(NOW - timedelta(seconds=60))
    found = findings(stub_pipeline(source=source))
    assert {finding.level for finding in found.values()} == {"ok"}, found
    assert found["stream Account"].text == "3 columns, key Id, cursor At"
    assert source.closed


@pytest.mark.parametrize(
    ("minutes", "level", "word"),
    [
        (1, "ok", "ahead"),
        (3, "warn", "ahead"),
        (11, "error", "ahead"),
        (-3, "warn", "behind"),
        (-10, "error", "behind"),
    ],
)
def test_clock_that_is_off_is_found(minutes: int, level: str, word: str) -> None:
    found = findings(stub_pipeline(source=StubConnector(NOW - timedelta(minutes=minutes))))
    clock = found["source StubConnector, clock"]
    assert clock.level == level
    assert f"{abs(minutes) * 60} s {word}" in clock.text
    assert level == "ok" or "clock" in clock.cure


def test_every_wrong_stream_is_a_finding_of_its_own() -> None:
    streams = [Stream("Account", fields=["Nmae"]), Stream("Contact"), Stream("Lead", key=["Idd"])]
    found = findings(stub_pipeline(source=StubConnector(NOW), streams=streams))
    assert "did you mean Name?" in found["stream Account"].cure
    assert found["stream Contact"].level == "ok"
    assert found["stream Lead"].level == "error"


def test_refused_sign_in_is_a_finding_and_the_rest_is_still_checked() -> None:
    class Refused(StubConnector):
        def horizon(self) -> datetime:
            raise SignInError("sign in", "org", "invalid_client", "check SALESFORCE_CLIENT_ID")

    found = findings(stub_pipeline(source=Refused()))
    assert found["source Refused"] == Finding(
        "error", "source Refused", "sign in: org: invalid_client", "check SALESFORCE_CLIENT_ID"
    )
    assert not any(subject.startswith("stream") for subject in found), "what needs the sign-in is not tried"
    assert found["state"].level == "ok"
    assert any(subject.startswith("warehouse") for subject in found)


def test_a_part_that_checks_itself_is_asked() -> None:
    class Careful(StubConnector):
        def check(self) -> Sequence[Finding]:
            return [Finding("warn", "API quota", "81 % of today's calls are used", "run less often")]

    assert findings(stub_pipeline(source=Careful(NOW)))["API quota"].level == "warn"


def test_source_warnings_are_findings_with_a_cure() -> None:
    class Warns(StubConnector):
        def describe(self, names: Sequence[str]) -> Sequence[StreamSchema]:
            schema: Any = super().describe(names)[0]
            return [
                StreamSchema(names[0], schema.columns, ("Id",), None, left_out={"Blob": "base64"}, warnings=("odd",))
            ]

    found = findings(stub_pipeline(source=Warns(NOW), streams=["Account"]))["stream Account"]
    assert found.level == "warn"
    assert found.text == "3 columns, key Id, cursor none; not read: Blob (base64); odd"


def test_command_exits_with_2_and_prints_cures_when_a_run_would_fail(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("pipelines/crm.py", CRM)
    assert folder.call("check", "crm").exit_code == 0

    def refuse(self: StubConnector, names: Sequence[str]) -> Sequence[StreamSchema]:
        raise ConfigError("describe", names[0], "no such object", "ask the administrator")

    monkeypatch.setattr(StubConnector, "describe", refuse)
    result = folder.call("check", "crm")
    assert result.exit_code == 2
    assert "describe: Account: no such object" in result.stdout
    assert "→ ask the administrator" in result.stdout
    report = json.loads(folder.call("check", "crm", "--json").stdout)
    assert report["ok"] is False
    assert {finding["level"] for finding in report["findings"]} == {"ok", "error"}
