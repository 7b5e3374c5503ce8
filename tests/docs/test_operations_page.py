"""What the page on operations says about events, units and the image is what there is."""

from __future__ import annotations

import ast
import configparser
import re

import pytest

from tests.docs.pages import ROOT, blocks, read, rows

pytestmark = pytest.mark.checkout

PAGE = "docs/operations.md"


def emitted() -> dict[str, set[str]]:
    """The events that the program emits, each with the fields that it may carry."""
    found: dict[str, set[str]] = {}
    for file in (ROOT / "pipelines").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".emit") and node.args:
                name = node.args[0]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    found.setdefault(name.value, set()).update(each.arg for each in node.keywords if each.arg)
    return found


def test_every_event_of_a_log_is_explained_with_its_fields() -> None:
    listed = {
        cells[0].strip("`"): set(re.findall(r"`(\w+)`", cells[2])) - {"stream"} for cells in rows(read(PAGE), "event")
    }
    expected = {name: names - {"stream"} for name, names in emitted().items() if name != "rows_read"}
    assert listed == expected


def test_the_units_are_well_formed_and_start_the_program() -> None:
    units = {}
    for block in blocks(PAGE):
        if block.language == "ini":
            parser = configparser.ConfigParser(interpolation=None)
            parser.optionxform = str  # type: ignore[assignment,method-assign]
            parser.read_string(block.text)
            units[block.text.splitlines()[0].rpartition("/")[2]] = parser
    service, timer = units["syncline@.service"], units["syncline@.timer"]
    assert service["Service"]["ExecStart"].endswith("syncline run %i --log-format json")
    assert service["Service"]["SuccessExitStatus"] == "3"
    assert int(service["Service"]["TimeoutStopSec"]) > 10, "a run ends within ten seconds of SIGTERM"
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_the_image_starts_the_program_without_a_shell_in_between() -> None:
    (image,) = [block.text for block in blocks(PAGE) if block.language == "dockerfile"]
    assert re.search(r'^ENTRYPOINT \["syncline"\]$', image, re.M)
    assert re.search(r"^USER (?!root)", image, re.M)
