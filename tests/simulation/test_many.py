"""``make simulate`` plays on all cores what it would play on one, and tells of each seed that breaks a law."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner, Result

from syncline.pipelines.simulation.history import History
from syncline.pipelines.simulation.process import LawBroken, Tally
from tests.simulation import many


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(many.main, arguments)


def test_many_processes_tell_the_same_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "BATCH", 1)
    one, two = (simulate("--seeds", "3", "--first", "21", "--processes", each) for each in ("1", "2"))
    assert (one.exit_code, two.exit_code) == (0, 0), two
    told = re.match(r"seeds 21 to 23: [1-9][\d,]* operations, .* 3 histories; no law broken; \d+ s of CPU$", one.output)
    assert told, one.output
    assert two.output.rpartition(";")[0] == one.output.rpartition(";")[0]


def test_a_seed_that_breaks_a_law_is_told_and_the_others_are_played(monkeypatch: pytest.MonkeyPatch) -> None:
    def require_laws(history: History, make_source: object) -> Tally:
        if history.seed == 7:
            raise LawBroken("NEWEST-WINS", "Account 001: expected this, found that")
        return Tally(histories=1)

    monkeypatch.setattr(many, "require_laws", require_laws)
    monkeypatch.setattr(many, "BATCH", 2)
    monkeypatch.setattr(many, "TOLD_EVERY", 4)
    result = simulate("--seeds", "9", "--first", "1", "--processes", "1")
    assert result.exit_code == 1
    shown = [re.sub(r": .*?, (\d) histories", r": \1", line) for line in result.output.splitlines() if line]
    assert [each.rpartition("; ")[0] for each in shown if each.startswith("seeds")] == [
        "seeds 1 to 4: 4; no law broken",
        "seeds 1 to 8: 7; laws broken by the seeds [7]",
        "seeds 1 to 9: 8; laws broken by the seeds [7]",
    ]
    assert "seed 7: NEWEST-WINS: Account 001: expected this, found that" in shown
