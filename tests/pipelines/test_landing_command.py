"""``syncline landing`` as a user calls it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pipelines.doubles import Folder

CRM = """
from datetime import timedelta
import pyarrow as pa
from syncline.connectors import Records
from syncline.pipelines import Pipeline
source = Records()
source.add("Account", pa.schema([("Id", pa.string())]), key="Id", rows=[{"Id": "1"}, {"Id": "2"}])
pipeline = Pipeline("crm", source=source, streams=["Account"])
"""


@pytest.fixture
def crm(folder: Folder) -> Folder:
    folder.write("pipelines/crm.py", CRM)
    return folder


def report(folder: Folder, *words: str) -> dict[str, Any]:
    result = folder.call("landing", *words, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_expire_prints_what_goes_and_what_stays(crm: Folder) -> None:
    assert crm.call("run", "crm", "--log-format", "quiet").exit_code == 0
    result = crm.call("landing", "expire", "crm", "--older-than", "30d")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].split() == [
        "stream",
        "runs",
        "expired",
        "files",
        "orphans",
        "MB",
        "runs",
        "kept",
    ]
    assert result.stdout.splitlines()[2].split() == ["Account", "0", "0", "0", "0.0", "1", "newest"]
    assert result.stdout.splitlines()[-1] == "removed"
    assert report(crm, "expire", "crm", "--older-than", "30d", "--dry-run")["dry_run"] is True


@pytest.mark.parametrize(
    ("age", "said"), [("soon", "not an age"), ("2h", "less than a day"), ("9999999999w", "not an age")]
)
def test_expire_refuses_an_age_that_is_none(crm: Folder, age: str, said: str) -> None:
    result = crm.call("landing", "expire", "crm", "--older-than", age)
    assert result.exit_code == 2
    assert said in result.stderr


def test_lifecycle_prints_rules_that_the_aws_command_takes(folder: Folder) -> None:
    folder.write(
        "pipelines/crm.py",
        CRM
        + """
from syncline.sinks import Landing
pipeline = Pipeline("crm", source=source, streams=["Account"], landing=Landing("s3://bucket/crm"))
""",
    )
    result = folder.call("landing", "lifecycle", "crm")
    assert result.exit_code == 0, result.output
    rules = json.loads(result.stdout)["Rules"]
    assert {rule["Filter"]["Prefix"] for rule in rules} == {"crm/", "crm/_check/"}
    assert report(folder, "lifecycle", "crm")["rules"] == rules


def test_a_folder_has_no_lifecycle_rules(crm: Folder) -> None:
    result = crm.call("landing", "lifecycle", "crm", "--apply")
    assert result.exit_code == 2
    assert "syncline landing expire crm" in result.stderr


def test_compact_prints_what_was_merged(crm: Folder) -> None:
    assert crm.call("run", "crm", "--log-format", "quiet").exit_code == 0
    result = crm.call("landing", "compact", "crm")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[2].split() == ["Account", "0", "0", "0", "0", "0.0", "none"]
    assert result.stdout.splitlines()[-1] == "compacted"
    assert report(crm, "compact", "crm", "--dry-run")["streams"]["Account"]["runs"] == 0


def test_register_of_a_folder_says_that_glue_reads_s3_only(crm: Folder) -> None:
    result = crm.call("landing", "register", "crm", "--database", "lake")
    assert result.exit_code == 2
    assert "Glue reads S3 only" in result.stderr
