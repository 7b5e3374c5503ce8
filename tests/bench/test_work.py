"""No piece of work costs more than it did when the record was made: in calls and bytes, never by the clock."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.bench.work import CHANGES, FEW, RECORD, ROWS, Figures, measure

SHARE_MAX = 0.10
CALLS_MAX = {"bulk": 0.5, "rest": 1.5}
RENEW = "if that is meant, write a new record: python -m tests.bench.work"


@pytest.fixture(scope="module")
def measured() -> Mapping[str, Figures]:
    return measure()


@pytest.fixture(scope="module")
def recorded() -> Mapping[str, Figures]:
    found: Mapping[str, Figures] = json.loads(RECORD.read_bytes())
    return found


def test_no_figure_is_more_than_a_tenth_off_the_record(
    measured: Mapping[str, Figures], recorded: Mapping[str, Figures]
) -> None:
    """Lower ones are recorded as well, so that what was won is not lost again unseen."""
    assert measured.keys() == recorded.keys()
    off = [
        f"{piece}, {name}: {figure:,} instead of {recorded[piece][name]:,}"
        for piece, figures in measured.items()
        for name, figure in figures.items()
        if abs(figure - recorded[piece][name]) > SHARE_MAX * recorded[piece][name]
    ]
    assert not off, f"{RENEW}; {off}"


@pytest.mark.parametrize("api", ["bulk", "rest"])
def test_no_python_object_goes_with_a_row(measured: Mapping[str, Figures], api: str) -> None:
    """Four times the rows take calls for further pages and their columns only: by REST, with a page of 2,000 rows, that
    is about one for a row; one more would be seen."""
    many, few = measured[f"first load, {api}"], measured[f"first load of few, {api}"]
    assert (many["rows read"], few["rows read"]) == (ROWS, FEW)
    assert many["Python calls"] - few["Python calls"] < CALLS_MAX[api] * (ROWS - FEW)


@pytest.mark.parametrize("api", ["bulk", "rest"])
def test_an_idle_run_lands_nothing_and_sends_nothing(measured: Mapping[str, Figures], api: str) -> None:
    """IDLE-IS-FREE, the overlap read again included."""
    idle = measured[f"idle, {api}"]
    assert (idle["bytes landed"], idle["warehouse statements"]) == (0, 0)
    assert idle["rows read"] == CHANGES
