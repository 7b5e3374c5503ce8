"""Finding and loading pipeline files: by name, by path, and with the line and cause when a file raises."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from syncline.connectors.errors import ConfigError
from syncline.pipelines.find import find_pipeline, find_pipelines, read_environment
from syncline.pipelines.pipeline import Pipeline
from tests.pipelines.doubles import CRM, Folder

TWO = """\
from tests.pipelines.doubles import stub_pipeline

sales = stub_pipeline("sales")
marketing = stub_pipeline("mktg")
"""


@pytest.fixture(autouse=True)
def _path_as_before() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path


def find(folder: Folder, reference: str) -> Pipeline:
    return find_pipeline(reference, folder.path)


def refusal(folder: Folder, reference: str) -> str:
    with pytest.raises(ConfigError) as caught:
        find(folder, reference)
    return str(caught.value)


def test_name_of_a_file_finds_its_only_pipeline(folder: Folder) -> None:
    folder.write("pipelines/sales.py", CRM)
    assert find(folder, "sales").name == "crm"
    assert find(folder, "crm").name == "crm", "by Pipeline.name, whatever the file"


def test_path_finds_a_pipeline_anywhere(folder: Folder) -> None:
    file = folder.write("elsewhere/x.py", CRM)
    assert find(folder, "elsewhere/x.py").name == "crm"
    assert find(folder, str(file)).name == "crm"
    assert find(folder, "elsewhere/x.py:crm").name == "crm"
    assert find(folder, "elsewhere/x.py:pipeline").name == "crm", "by the variable's name, too"


def test_one_of_several_in_a_file_is_chosen_by_name(folder: Folder) -> None:
    folder.write("pipelines/both.py", TWO)
    assert find(folder, "mktg").name == "mktg"
    assert find(folder, "pipelines/both.py:marketing").name == "mktg"
    assert "the file defines several pipelines: sales, mktg\n  hint: choose one" in refusal(folder, "both")
    assert "choose one, as in pipelines/both.py:sales" in refusal(folder, "pipelines/both.py")
    assert "no such pipeline\n  hint: it defines sales, mktg" in refusal(folder, "pipelines/both.py:saels")


def test_misspelt_name_suggests_the_nearest(folder: Folder) -> None:
    folder.write("pipelines/crm.py", CRM)
    assert "crn: no pipeline of that name; there are crm\n  hint: did you mean 'crm'?" in refusal(folder, "crn")


def test_empty_folder_says_what_to_do(folder: Folder) -> None:
    text = refusal(folder, "crm")
    assert "there is no pipeline file in" in text
    assert "syncline init" in text


def test_missing_file_is_named(folder: Folder) -> None:
    assert refusal(folder, "x/crm.py").startswith("find pipeline: x/crm.py: there is no such file")


def test_file_without_a_pipeline_is_refused(folder: Folder) -> None:
    folder.write("pipelines/crm.py", "x = 1\n")
    assert "pipelines/crm.py: the file defines no pipeline" in refusal(folder, "crm")


def test_two_files_with_one_name_are_refused(folder: Folder) -> None:
    folder.write("pipelines/a.py", CRM)
    folder.write("pipelines/b.py", CRM)
    assert "it is defined in pipelines/a.py and pipelines/b.py" in refusal(folder, "crm")


def test_broken_file_does_not_hide_the_others(folder: Folder) -> None:
    folder.write("pipelines/a.py", "raise RuntimeError('x')\n")
    folder.write("pipelines/b.py", CRM)
    assert find(folder, "crm").name == "crm"
    assert "pipelines/a.py:1: RuntimeError: x" in refusal(folder, "other"), "the name may be in the broken file"
    assert "did you mean 'crm'?" in refusal(folder, "crn"), "or be misspelt"
    found, broken = find_pipelines(folder.path)
    assert [each.pipeline.name for each in found] == ["crm"]
    assert len(broken) == 1


def test_helper_files_are_not_pipelines_but_can_be_imported(folder: Folder) -> None:
    folder.write("pipelines/_common_for_find.py", "STREAMS = ['Lead']\n")
    folder.write("pipelines/crm.py", CRM + "from _common_for_find import STREAMS\nassert STREAMS == ['Lead']\n")
    assert find(folder, "crm").name == "crm"


def test_helper_cannot_take_the_place_of_an_installed_module(folder: Folder) -> None:
    folder.write("pipelines/colorsys.py", "raise RuntimeError('shadowed')\n")
    folder.write("pipelines/crm.py", "import colorsys\n" + CRM)
    assert find(folder, "crm").name == "crm"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "import os\n\nx = os.environ['NO_SUCH_NAME']\n",
            "crm.py:3: KeyError: 'NO_SUCH_NAME'\n  hint: if it is an env",
        ),
        ("x = (\n", "crm.py:1: SyntaxError: '(' was never closed"),
        ("import nothing_of_that_name\n", "crm.py:1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("import sys\nsys.exit(3)\n", "crm.py:2: SystemExit: 3"),
        ("def f():\n    raise ValueError('deep')\nf()\n", "crm.py:2: ValueError: deep"),
        (
            "from syncline.pipelines import Stream\n\nx = Stream(\n    'Account',\n    feilds=['Id'],\n)\n",
            "crm.py:3: stream Account, setting feilds: there is no such setting\n  hint: did you mean 'fields'?",
        ),
    ],
)
def test_file_that_raises_is_reported_with_its_line_and_cause(folder: Folder, text: str, says: str) -> None:
    folder.write("pipelines/crm.py", text)
    refused = refusal(folder, "crm")
    assert f"pipelines/{says}" in refused
    assert refused.startswith(("load pipeline: ", "read pipeline: "))


def test_file_is_read_as_any_encoding_python_accepts(folder: Folder) -> None:
    folder.write("pipelines/crm.py", "x = 'ok'\n")
    (folder.path / "pipelines/crm.py").write_bytes(b"x = '\xff'\n")
    assert "pipelines/crm.py:" in refusal(folder, "crm")
    assert "SyntaxError" in refusal(folder, "crm")


def test_dotenv_is_read_and_the_environment_wins(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write(".env", "SYNCLINE_A=from file\nSYNCLINE_B='${HOME}$x'\n# comment\nSYNCLINE_C=\n")
    monkeypatch.setenv("SYNCLINE_A", "from environment")
    for name in ("SYNCLINE_B", "SYNCLINE_C"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    read_environment(folder.path)
    assert os.environ["SYNCLINE_A"] == "from environment"
    assert os.environ["SYNCLINE_B"] == "${HOME}$x", "a password may hold ${"
    monkeypatch.delenv("SYNCLINE_B")
    monkeypatch.delenv("SYNCLINE_C")


def test_dotenv_that_is_no_text_is_an_error_without_its_content(folder: Folder) -> None:
    (folder.path / ".env").write_bytes(b"SECRET=\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"read settings: .*\.env: UnicodeDecodeError") as caught:
        read_environment(folder.path)
    assert "NAME=value" in str(caught.value)
