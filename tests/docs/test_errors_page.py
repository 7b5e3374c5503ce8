"""The error catalogue lists every class as it is, and quotes only texts that the program really has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from inspect import getmembers, isclass

import pytest

from syncline.connectors import errors
from tests.docs.pages import PAGES, ROOT, rows, sections

pytestmark = pytest.mark.checkout

PAGE = "docs/errors.md"
CLASSES = dict(getmembers(errors, lambda each: isclass(each) and issubclass(each, errors.SynclineError)))
TEXTS = [
    cells
    for text in (sections(PAGE, 3).values() if PAGE in PAGES else ())
    for heading in ("operation", "Salesforce says")
    for cells in rows(text, heading)
]


@cache
def literals() -> tuple[str, ...]:
    """Every text that stands in the program's code, docstrings left out; an f-string gives its fixed parts."""
    found = [
        text
        for folder in ("connectors", "sinks", "state", "pipelines")
        for file in (ROOT / folder).rglob("*.py")
        for text in strings(ast.parse(file.read_text(encoding="utf-8")))
    ]
    return tuple(found)


def strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Constant) and isinstance(child.value, str) and not isinstance(node, ast.Expr):
                yield child.value


def quoted(cell: str) -> list[str]:
    """What the cell quotes from the program: code, but not settings, commands, classes or addresses."""
    return [text for text in re.findall(r"`([^`]+)`", cell) if text not in CLASSES]


def test_every_class_is_listed_once_with_its_parent_and_exit_code() -> None:
    listed = [tuple(cell.strip("`") for cell in cells[:3]) for cells in rows(sections(PAGE, 2)["Classes"], "class")]
    expected = [
        (name, "" if kind is errors.SynclineError else kind.__bases__[0].__name__, str(kind.exit_code))
        for name, kind in CLASSES.items()
    ]
    assert sorted(listed) == sorted(expected)


def test_every_exit_code_of_a_class_is_explained() -> None:
    explained = {int(cells[0]) for cells in rows(sections(PAGE, 2)["Exit codes"], "code")}
    assert explained == {0, *(kind.exit_code for kind in CLASSES.values())}


def unsaid(quote: str) -> list[str]:
    """The parts of a quoted text, between its ``…``, that stand nowhere in the program."""
    parts = (part.strip("() ") for part in quote.split("…"))
    return [part for part in parts if not any(part in text for text in literals())]


@pytest.mark.parametrize("cells", TEXTS, ids=lambda cells: " ".join(cells[:2])[:80])
def test_a_quoted_text_is_one_that_the_program_has(cells: list[str]) -> None:
    assert not [part for cell in cells[:2] for quote in quoted(cell) for part in unsaid(quote)]


def test_a_text_that_nobody_says_is_noticed() -> None:
    assert unsaid("seal manifest, … of them upside down") == ["seal manifest,", "of them upside down"]


@pytest.mark.parametrize("cells", [each for each in TEXTS if len(each) == 4], ids=lambda cells: cells[1][:60])
def test_a_quoted_class_exists(cells: list[str]) -> None:
    assert set(re.findall(r"`(\w+)`", cells[2])) <= set(CLASSES)
