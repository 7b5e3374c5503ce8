"""The documents and the command agree: what is named exists, and what exists is explained."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from syncline.pipelines.cli import EXIT_CODES, main
from tests.docs.pages import PAGES, blocks, inline_code, read, rows, sections

pytestmark = pytest.mark.checkout

PAGE = "docs/commands.md"
HELP = {"--help", "-h"}

_CALL = re.compile(r"(?:^|[\s/|&;(\"'])syncline +(?!\d)(.+)")


def leaves(group: click.Group, words: tuple[str, ...] = ("syncline",)) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


COMMANDS = dict(leaves(main))


def options(command: click.Command) -> dict[str, click.Option]:
    return {name: each for each in command.params if isinstance(each, click.Option) for name in each.opts}


def misuse(call: str) -> str | None:
    """What is wrong with a call of the program as a reader would type it; ``call`` is what stands behind its name."""
    text = re.split(r"  |[|>;]|&&|[.,:]? #|\.\.\.", call)[0].strip().rstrip(".,:")
    try:
        words = [word.strip("[]()") for word in shlex.split(text)]
    except ValueError:
        words = text.split()
    command: click.Command = main
    known = set(options(main)) | HELP
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"no command {words[0]!r}"
        command = command.commands[words.pop(0)]
        known |= set(options(command))
    return next(
        (f"no option {word}" for word in words if word.startswith("-") and word.partition("=")[0] not in known), None
    )


def calls(page: str) -> Iterator[str]:
    """Every place where the page calls the program: in plain and console blocks, unit files and inline code."""
    for block in blocks(page):
        if block.language in ("", "console", "cron", "ini"):
            yield from (found[1] for line in block.text.splitlines() if (found := _CALL.search(line)))
    yield from (found[1] for text in inline_code(page) if (found := re.fullmatch(r"syncline +(?!\d)(.+)", text)))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_named_exists(page: str) -> None:
    assert not [(call, wrong) for call in calls(page) if (wrong := misuse(call))]


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ("run crm --stream Account", None),
        ("reload crm --stream S     one-off full reload", None),
        ("sandbox salesforce --port 8080 --rows 100000", None),
        ("run crm --log-format json >> crm.log 2>&1", None),
        ("--debug ...", None),
        ("synchronise crm", "no command 'synchronise'"),
        ("run crm --full", "no option --full"),
        ("sandbox hubspot", "no command 'hubspot'"),
    ],
)
def test_a_call_is_read_as_the_program_reads_it(call: str, wrong: str | None) -> None:
    assert misuse(call) == wrong


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    titled = [title for title in sections(PAGE, 2) if title.startswith("syncline ")]
    assert titled == list(COMMANDS), "in the order of the command's own list"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_with_its_default_and_no_other_is(name: str) -> None:
    listed = {cells[0].strip("`").split()[0]: cells[1].strip("`") for cells in rows(sections(PAGE, 2)[name], "option")}
    assert listed == {option: default_of(each) for option, each in options(COMMANDS[name]).items()}


def default_of(option: click.Option) -> str:
    """As the page writes it."""
    if option.required:
        return "required"
    if option.is_flag or option.default is None:
        return "off"
    return "all" if option.multiple else str(option.default)


def test_every_choice_of_the_log_format_is_explained() -> None:
    (choice,) = {option.type for option in options(COMMANDS["syncline run"]).values() if option.name == "log_format"}
    assert isinstance(choice, click.Choice)
    shared = sections(PAGE, 2)["Shared by many"]
    assert [cells[0].strip("`") for cells in rows(shared, "`--log-format`")] == list(choice.choices)


@pytest.mark.parametrize("page", [PAGE, "docs/operations.md", "docs/errors.md"])
def test_the_exit_codes_are_those_of_the_command(page: str) -> None:
    first = read(page).split("\n## ")[0] if page != "docs/errors.md" else sections(page, 2)["Exit codes"]
    headings = ("exit code", "code")
    codes = [cells[0] for heading in headings for cells in rows(first, heading)]
    assert codes == re.findall(r"^  (\d)  ", EXIT_CODES, re.M)
