"""A user's working folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.doubles import Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)
