"""``syncline check --show-setup`` prints and does nothing else."""

from __future__ import annotations

import json

import pytest

from tests.pipelines.doubles import CRM, Folder

PIPELINE = """\
from syncline.pipelines import Pipeline
from syncline.sinks import Landing, Snowflake
from tests.pipelines.doubles import StubConnector


class Source(StubConnector):
    def horizon(self):
        raise AssertionError("the source was asked")


pipeline = Pipeline(
    "crm",
    source=Source(),
    streams=["Account"],
    landing=Landing("s3://acme-landing/crm"),
    warehouse=Snowflake.from_env(database="SALES", schema="CRM"),
)
"""


def test_it_prints_what_an_administrator_runs_and_connects_to_nothing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "acme-prod")
    monkeypatch.setenv("SNOWFLAKE_USER", "SYNCLINE")
    monkeypatch.setenv("SNOWFLAKE_WAREHOUSE", "WH")
    monkeypatch.setenv("SNOWFLAKE_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "sentinel-password")
    folder.write("pipelines/crm.py", PIPELINE)
    result = folder.call("check", "crm", "--show-setup")
    assert result.exit_code == 0, result.output
    assert 'GRANT USAGE ON WAREHOUSE "WH" TO ROLE "SYNCLINE_ROLE";' in result.stdout
    assert '-- then say storage_integration="SYNCLINE_LANDING" in the pipeline' in result.stdout
    assert "sentinel" not in result.output
    document = json.loads(folder.call("check", "crm", "--show-setup", "--json").stdout)
    assert document == {"pipeline": "crm", "setup": result.stdout}


def test_a_warehouse_without_an_administrator_says_so(folder: Folder) -> None:
    folder.write("pipelines/crm.py", CRM)
    result = folder.call("check", "crm", "--show-setup")
    assert (result.exit_code, result.stdout) == (0, "this warehouse needs no setting up\n")
