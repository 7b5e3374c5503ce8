"""What is on disk is what is installed, and what is promised on paper is tested."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("connectors", "sinks", "state", "pipelines")

pytestmark = pytest.mark.checkout


def project() -> dict[str, object]:
    document: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return document


def test_every_package_on_disk_is_listed_for_the_wheel() -> None:
    """A folder that is not listed works in development and is missing from the wheel, silently."""
    tool = project()["tool"]
    assert isinstance(tool, dict)
    on_disk = {"syncline"}
    for part in PARTS:
        for init in (ROOT / part).rglob("__init__.py"):
            on_disk.add("syncline." + ".".join(init.parent.relative_to(ROOT).parts))
    assert set(tool["setuptools"]["packages"]) == on_disk
    assert set(tool["setuptools"]["package-dir"]) == {f"syncline.{part}" for part in PARTS}


@pytest.mark.parametrize("part", PARTS)
def test_the_links_for_editors_point_at_the_folders(part: str) -> None:
    link = ROOT / "syncline" / part
    assert link.is_symlink()
    assert link.readlink() == Path("..") / part


def test_pins_name_no_index_and_carry_hashes() -> None:
    pins = (ROOT / "requirements.txt").read_text()
    assert "://" not in pins
    assert "index-url" not in pins
    names = re.findall(r"^([A-Za-z0-9._-]+)==\S+", pins, re.M)
    assert len(names) > 50
    assert pins.count("--hash=sha256:") >= len(names)


def test_every_law_is_cited_by_a_test() -> None:
    laws = re.findall(r"^\| ([A-Z]+(?:-[A-Z]+)*) \| ", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    assert len(laws) == 17
    here = Path(__file__)
    written = [path for path in (ROOT / "tests").rglob("*.py") if path != here]
    shipped = [path for part in PARTS for path in (ROOT / part).glob("conformance*.py")]
    text = "\n".join(path.read_text() for path in [*written, *shipped])
    assert [law for law in laws if law not in text] == []
