"""The documents as data: their fenced blocks, tables, links and mentions of the command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(
    str(page.relative_to(ROOT))
    for page in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md")),
        *sorted((ROOT / "docs").glob("*.md")),
    )
    if page.is_file()
)
"""Empty where the tests run without the repository around them; every test here is marked ``checkout``."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`\n]*)$")
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it starts, its language, the words behind the language, and its text without indent."""

    page: str
    line: int
    language: str
    tags: frozenset[str]
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Every fenced block of the page, in order; an open fence is an error."""
    found: list[Block] = []
    start, indent, info, lines = 0, "", "", list[str]()
    for number, line in enumerate(read(page).splitlines(), 1):
        fence = _FENCE.match(line)
        if start and fence and not fence["info"].strip():
            language, *tags = info.split() or [""]
            found.append(Block(page, start, language, frozenset(tags), "\n".join(lines) + "\n"))
            start, lines = 0, []
        elif start:
            lines.append(line.removeprefix(indent))
        elif fence:
            start, indent, info = number, fence["indent"], fence["info"]
    assert not start, f"{page}:{start}: the fence is never closed"
    return found


def prose(page: str) -> str:
    """The page without its fenced blocks, line for line."""
    kept, inside = [], False
    for line in read(page).splitlines():
        fence = _FENCE.match(line) is not None
        kept.append("" if inside or fence else line)
        inside ^= fence
    return "\n".join(kept)


def inline_code(page: str) -> list[str]:
    return _INLINE.findall(prose(page))


def links(page: str) -> list[str]:
    return _LINK.findall(prose(page))


def sections(page: str, level: int) -> dict[str, str]:
    """The text below each heading of this level, up to the next heading of the same level or above."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in prose(page).splitlines():
        heading = re.match(r"(#+) +(.*?) *$", line)
        if heading and len(heading[1]) == level:
            current = found.setdefault(heading[2].strip("`"), [])
        elif heading and len(heading[1]) < level:
            current = None
        elif current is not None:
            current.append(line)
    return {title: "\n".join(lines) for title, lines in found.items()}


def rows(text: str, heading: str) -> Iterator[Sequence[str]]:
    """The cells of every row of the tables whose first heading is ``heading``."""
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells[0] == heading:
            inside = True
        elif inside and not set(cells[0]) <= set("-: "):
            yield cells
