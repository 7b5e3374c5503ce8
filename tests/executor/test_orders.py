"""What is handed to workers, and what is refused before anything is read (NO-SECRETS)."""

from __future__ import annotations

import copy
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import obstore.store
import pytest

from syncline.connectors import DltSource, Records, Salesforce
from syncline.connectors.connector import Slice, StreamSchema, Window
from syncline.connectors.errors import ConfigError, SourceBusy
from syncline.connectors.recipe import Recipe, make
from syncline.connectors.salesforce.faults import Throttled
from syncline.connectors.secret import Secret
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.slices import SliceWork
from syncline.pipelines.task import NEVER, Task
from syncline.pipelines.worker import Order, carry_out, plain
from syncline.sinks.landing import Landing
from syncline.sinks.object_store import BucketStore
from tests.executor.conftest import START, TOKEN, Desk
from tests.executor.shelf import Shelf

ORG = {
    "SALESFORCE_DOMAIN": "acme.my",
    "SALESFORCE_CLIENT_ID": "the-client",
    "SALESFORCE_CLIENT_SECRET": "a-secret-of-the-org",
}
KEYS = {"AWS_ACCESS_KEY_ID": "an-access-key", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-bucket"}


@pytest.fixture
def org(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in [name for name in os.environ if name.startswith(("SALESFORCE_", "AWS_"))]:
        monkeypatch.delenv(name)
    for name, value in (ORG | KEYS).items():
        monkeypatch.setenv(name, value)
    return ORG


def order(source: Any, landing: Landing, schema: StreamSchema) -> Order:
    task = Task(Stream(schema.name), schema, Window(None, START), START, "changes", NEVER, "")
    work = SliceWork("crm", "run-1", START, task, Slice("s", {"first": 0}, rows_expected=10), 0, 100, mark="ab")
    return Order(work, source.recipe(), landing.recipe(), source.brief(schema), "run-1")


def test_an_order_survives_pickling_and_holds_no_secret(org: dict[str, str], desk: Desk) -> None:
    desk.fill("Account", 10)
    source = Shelf(str(desk.folder))
    landing = Landing("s3://bucket/prefix", region="eu-central-1", sse="kms", kms_key_id="alias/x")
    first = order(source, landing, source.describe(["Account"])[0])
    pickled = pickle.dumps(replace(first, source=Salesforce.from_env(page_rows=7).recipe()))
    for secret in (TOKEN, "a-secret-of-the-org", "a-secret-of-the-bucket", "an-access-key", "the-client"):
        assert secret.encode() not in pickled
    assert pickle.loads(pickle.dumps(first)) == first


def test_a_secret_refuses_to_be_pickled_or_copied_out_of_its_process() -> None:
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="hand workers the name of the variable"):
            act(Secret("a-secret-of-the-org"))
        with pytest.raises(TypeError, match="hand workers the name of the variable"):
            act({"option": [Secret("a-secret-of-the-org")]}) if act is not copy.copy else act(Secret("x"))
    with pytest.raises(ConfigError, match="a Secret cannot be handed to a worker"):
        Recipe("package:Source", {"token": Secret("a-secret-of-the-org")})


def test_a_salesforce_made_from_the_environment_is_made_anew_with_its_options(org: dict[str, str]) -> None:
    source = Salesforce.from_env(page_rows=7, quota_share=0.5)
    made = make(source.recipe())
    assert made.settings == source.settings
    assert made.settings.quota_share == 0.5


def test_a_landing_is_made_anew_with_its_settings(org: dict[str, str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    landing = Landing("lake", file_bytes_max=7)
    monkeypatch.chdir("/")
    assert make(landing.recipe()).file_bytes_max == 7
    assert landing.recipe().options["url"] == str(tmp_path / "lake"), "whatever the worker's folder"
    settings: dict[str, Any] = {"region": "eu-central-1", "sse": "kms", "kms_key_id": "alias/x", "retries_max": 3}
    bucket = Landing("s3://bucket/prefix", **settings)
    made = make(bucket.recipe())
    assert made.bucket == bucket.bucket
    assert set(bucket.recipe().options) == {"url", "file_bytes_max", *settings}


@pytest.mark.parametrize(
    ("source", "landing", "cause", "hint"),
    [
        (Records, Landing, "a Records reads in the run's own process only", 'executor="threads"'),
        (lambda: DltSource(cast("Any", None)), Landing, "a DltSource reads in the run's own process only", "threads"),
        (lambda: Salesforce.from_env(ORG), Landing, "credentials that this process alone has", "Salesforce.from_env()"),
        (Salesforce.from_env, lambda: Landing("memory://"), "no worker can write", "s3://bucket/prefix"),
        (
            Salesforce.from_env,
            lambda: Landing.over(BucketStore(obstore.store.MemoryStore(), "s3://b")),
            "no worker can write",
            "s3://bucket/prefix",
        ),
        (
            Salesforce.from_env,
            lambda: Landing("s3://b", access_key_id="k", secret_access_key="a-secret-of-the-bucket"),
            "secrets are not sent to workers",
            "AWS_SECRET_ACCESS_KEY",
        ),
    ],
)
def test_what_no_worker_can_make_anew_is_refused_when_the_pipeline_is_made(
    org: dict[str, str], source: Callable[[], Any], landing: Callable[[], Landing], cause: str, hint: str
) -> None:
    Pipeline("crm", source=source(), streams=["Account"], landing=landing())
    with pytest.raises(ConfigError, match="setting executor") as caught:
        Pipeline("crm", source=source(), streams=["Account"], landing=landing(), executor="processes")
    assert cause in caught.value.cause
    assert hint in caught.value.hint
    assert "a-secret" not in str(caught.value)


def test_a_misspelt_executor_is_refused(org: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="did you mean 'processes'"):
        Pipeline("crm", source=Salesforce.from_env(), streams=["Account"], executor="process")


def test_a_worker_that_would_read_another_account_refuses(org: dict[str, str], monkeypatch: Any) -> None:
    """COMPLETE-WINDOW would be a lie: the rows of one org under the watermark of another."""
    recipe = Salesforce.from_env().recipe()
    monkeypatch.setenv("SALESFORCE_DOMAIN", "acme--uat.sandbox.my")
    with pytest.raises(ConfigError, match=r"leads to https://acme--uat\.sandbox\.my\.salesforce\.com") as caught:
        make(recipe)
    assert "https://acme.my.salesforce.com" in caught.value.cause
    monkeypatch.setenv("SALESFORCE_DOMAIN", "acme.my")
    monkeypatch.setenv("SALESFORCE_CLIENT_ID", "another-client")
    with pytest.raises(ConfigError, match="give the workers the same"):
        make(recipe)
    monkeypatch.delenv("SALESFORCE_CLIENT_SECRET")
    with pytest.raises(ConfigError, match="no way to sign in is set"):
        make(recipe)


def test_a_worker_tells_what_it_lacks_instead_of_raising(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill("Account", 10)
    source = Shelf(str(desk.folder))
    given = order(source, Landing(str(desk.folder / "landing")), source.describe(["Account"])[0])
    told = carry_out(replace(given, run="of another version", version="0.0.1"))
    assert isinstance(told.error, ConfigError)
    assert "the run 0.0.1" in told.error.cause
    monkeypatch.setenv("SHELF_ACCOUNT", "another")
    told = carry_out(replace(given, run="of another account"))
    assert isinstance(told.error, ConfigError)
    assert told.landed is None
    monkeypatch.delenv("SHELF_ACCOUNT")
    told = carry_out(given)
    assert told.landed is not None
    assert (told.landed.rows_read, told.api_calls, told.warnings) == (10, 1, ("the shelf creaks",))
    assert re.fullmatch(r"ab[0-9a-f]{8}\.parquet", told.landed.files[0].path.rpartition("-")[2])
    assert carry_out(given).api_calls == 1, "each request is told once"


def test_an_error_comes_home_as_a_class_every_process_has(desk: Desk) -> None:
    desk.fill("Account", 10)
    source = Shelf(str(desk.folder))
    given = order(source, Landing(str(desk.folder / "landing")), source.describe(["Account"])[0])
    error = Throttled("read", "Account", "busy", "wait")
    error.retry_after_s = 7.0
    home = pickle.loads(pickle.dumps(plain(error, given)))
    assert type(home) is SourceBusy
    assert (home.operation, home.object, home.cause, home.hint) == ("read", "Account", "busy", "wait")
    assert home.retry_after_s == 7.0
