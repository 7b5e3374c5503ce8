"""What a landing's url and settings mean, and which are refused before anything is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from syncline.connectors.errors import ConfigError
from syncline.connectors.secret import Secret
from syncline.sinks.folder_store import FolderStore
from syncline.sinks.landing import Landing
from tests.landing.worlds import land


def root_of(landing: Landing) -> Path:
    store = landing._store
    assert isinstance(store, FolderStore)
    return store.root


def test_without_a_url_the_landing_is_a_folder_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    landing = Landing()
    assert landing.url == ".syncline/landing"
    monkeypatch.chdir("/")
    assert root_of(landing) == tmp_path / ".syncline/landing"


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("/data/landing", "/data/landing"),
        ("file:///data/with%20space", "/data/with space"),
        ("file://localhost/data", "/data"),
        ("~/landing", "/home/someone/landing"),
    ],
)
def test_local_urls(url: str, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert root_of(Landing(url)) == Path(root)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("s3://bucket/a#b?c", "s3://bucket/a#b?c"),
    ],
)
def test_bucket_urls(url: str, name: str) -> None:
    assert Landing(url).url == name


@pytest.mark.parametrize(
    ("url", "settings", "said"),
    [
        ("s3://", {}, "bucket's name is missing"),
        ("s3://key:secret@bucket/x", {}, "holds more than a name"),
        ("s3://bucket/a//b", {}, "empty or dotted part"),
        ("s3://bucket/../b", {}, "empty or dotted part"),
        ("gopher://x", {}, "not a kind of landing"),
        ("file://host/x", {}, "names no host"),
        ("s3://b", {"sse": "aes"}, "not a kind of encryption"),
        ("s3://b", {"kms_key_id": "k"}, 'it needs sse="kms"'),
        ("s3://b", {"sse": "s3", "kms_key_id": "k"}, 'it needs sse="kms"'),
        ("s3://b", {"access_key_id": "k"}, "one is missing"),
        ("s3://b", {"secret_access_key": "sentinel"}, "one is missing"),
        ("s3://b", {"endpoint": "http://storage.example.com"}, "in the clear"),
        ("s3://b", {"endpoint": "http://127.0.0.1.example.com"}, "in the clear"),
        ("s3://b", {"endpoint": "http://10.0.0.1:9000"}, "in the clear"),
        ("s3://b", {"endpoint": "https://me:sentinel@host"}, "holds credentials"),
        ("s3://b", {"endpoint": "storage.example.com"}, "not a web address"),
        ("/data", {"region": "eu-west-1"}, "only an s3:// landing has"),
        ("memory://", {"sse": "s3"}, "only an s3:// landing has"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_the_pipeline_loads(
    url: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Landing(url, **settings)
    assert said in str(caught.value)
    assert caught.value.hint
    assert "sentinel" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000", "http://localhost", "http://[::1]:9000", "https://a.b"])
def test_plain_http_is_for_this_machine_alone(endpoint: str) -> None:
    Landing("s3://bucket", endpoint=endpoint)


def test_an_endpoint_of_the_environment_is_held_to_the_same_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://storage.example.com")
    landing = Landing("s3://bucket", access_key_id="k", secret_access_key="s")
    with pytest.raises(ConfigError, match="in the clear"):
        land(landing)


def test_no_secret_shows_in_a_landing(tmp_path: Path) -> None:
    """NO-SECRETS."""
    landing = Landing("s3://b", access_key_id="k", secret_access_key=Secret("sentinel"), session_token="sentinel")
    assert repr(landing) == "Landing('s3://b')"
    assert "sentinel" not in f"{vars(landing)} {landing._open}"


def test_a_spool_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tmp" / f"syncline-spool-{os.getuid()}").mkdir(mode=0o777)
    with pytest.raises(ConfigError, match="others may enter"):
        land(Landing("memory://"))


def test_a_landing_is_made_without_loading_what_it_may_need_later() -> None:
    """A pipeline file loads fast: nothing heavy before it is used."""
    script = (
        "import sys; from syncline.sinks.landing import Landing; Landing('s3://bucket/x')\n"
        "print([name for name in ('boto3', 'duckdb', 'pyarrow.parquet', 'obstore', 'requests') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"
