"""Whether the holder of a lease is dead: only when that is certain."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from syncline.state import holder
from syncline.state.holder import Holder, is_dead, this_process


def test_this_process_is_alive() -> None:
    assert not is_dead(this_process())


def test_a_process_that_ended_is_dead_also_before_its_parent_looked() -> None:
    script = "from syncline.state.holder import this_process; print(repr(this_process()), flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    held: Holder = eval(child.stdout.readline(), {"Holder": Holder})
    assert not is_dead(held)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(held), "a zombie"
    child.communicate()
    assert is_dead(held), "gone"


def test_a_process_number_that_was_given_to_another_process_is_dead() -> None:
    assert is_dead(replace(this_process(), born="1"))


@pytest.mark.parametrize("unknown", [{"space": "another start of this machine"}, {"space": ""}, {"born": ""}])
def test_what_cannot_be_seen_from_here_counts_as_alive(unknown: dict[str, str]) -> None:
    gone = replace(this_process(), pid=2**22 + 1)
    assert is_dead(gone)
    assert not is_dead(replace(gone, **unknown))  # type: ignore[arg-type]


def test_a_process_that_proc_hides_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """``/proc`` mounted with ``hidepid`` shows no processes of other users."""
    held = this_process()
    monkeypatch.setattr(holder, "_born", lambda pid: None)
    assert not is_dead(held)


def test_without_proc_nothing_is_taken_for_dead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(holder, "_PROC", tmp_path)
    held = this_process()
    assert (held.space, held.born) == ("", "")
    assert not is_dead(held)
