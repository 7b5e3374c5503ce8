"""``init``: the examples are written once, never over anything, and are true."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from syncline.pipelines.starter import CRONTAB, ENVIRONMENT, write_starter
from tests.pipelines.doubles import Folder

FILES = ["pipelines/crm.py", "pipelines/practice.py", ".env.example", "crontab.example"]


def test_init_writes_examples_and_prints_the_next_steps(folder: Folder) -> None:
    result = folder.call("init")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:4] == [f"wrote  {file}" for file in FILES]
    assert "syncline sandbox salesforce" in result.stdout
    assert "syncline check crm" in result.stdout
    for file in FILES:
        assert (folder.path / file).read_text(encoding="utf-8")


def test_init_overwrites_nothing(folder: Folder) -> None:
    folder.write("pipelines/crm.py", "mine = 1\n")
    (folder.path / ".env.example").symlink_to("nowhere")
    report = json.loads(folder.call("init", "--json").stdout)
    assert {file["path"]: file["written"] for file in report["files"]} == {
        "pipelines/crm.py": False,
        "pipelines/practice.py": True,
        ".env.example": False,
        "crontab.example": True,
    }
    assert (folder.path / "pipelines/crm.py").read_text() == "mine = 1\n"
    assert not (folder.path / "nowhere").exists()


def test_folder_that_cannot_be_written_is_a_clear_error(folder: Folder) -> None:
    folder.write("pipelines", "a file where a folder belongs")
    result = folder.call("init")
    assert result.exit_code == 2
    assert "error: write example: " in result.stderr
    assert "choose a folder that you may write to" in result.stderr


def test_crontab_line_survives_odd_folder_names(tmp_path: Path) -> None:
    folder = tmp_path / "it's 100% mine"
    folder.mkdir()
    write_starter(folder)
    line = (folder / "crontab.example").read_text().splitlines()[-1]
    command = re.fullmatch(r"\*/15 \* \* \* \* (.*)", line)
    assert command is not None
    assert not re.search(r"(?<!\\)%", command[1]), "cron ends the command at a bare percent sign"
    as_shell_sees_it = command[1].replace(r"\%", "%").split(" && ")[0] + " && pwd"
    shown = subprocess.run(["sh", "-c", as_shell_sees_it], capture_output=True, text=True, check=True, timeout=300)
    assert shown.stdout.strip() == str(folder)


def test_every_setting_named_in_the_environment_example_is_commented_or_empty_or_a_placeholder() -> None:
    for line in ENVIRONMENT.splitlines():
        name, _, value = line.partition("=")
        if re.search("SECRET|KEY|PASSWORD|TOKEN", name) and not line.startswith("#"):
            assert value == "", f"{name} must not come filled in"
    assert "{command} run crm" in CRONTAB
