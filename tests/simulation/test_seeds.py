"""Histories drawn from seeds: days and weeks of runs among changes, faults, kills, accidents and other runs.

``pytest tests/simulation --seed N`` plays one history exactly as it was; ``--seeds N`` draws that many.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncline.pipelines.simulation.checking import play, require_laws
from syncline.pipelines.simulation.history import History, draw_history
from syncline.pipelines.simulation.practice_org import CHANGES, DAMAGES
from syncline.pipelines.simulation.process import Tally
from tests.simulation.worlds import practice_org

SEEDS = 500
BATCH = 25


def history(seed: int) -> History:
    return draw_history(seed, CHANGES, DAMAGES)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" not in metafunc.fixturenames:
        return
    one = metafunc.config.getoption("--seed", default=None)
    count = metafunc.config.getoption("--seeds", default=None) or SEEDS
    spans = [range(one, one + 1)] if one is not None else list(_batches(count))
    metafunc.parametrize("seeds", spans, ids=[f"{each.start}-{each.stop - 1}" for each in spans])


def _batches(count: int) -> Iterator[range]:
    return (range(start, min(start + BATCH, count)) for start in range(0, count, BATCH))


def test_every_law_holds_in_histories_drawn_by_chance(seeds: range) -> None:
    tally = Tally()
    for seed in seeds:
        tally.add(require_laws(history(seed), practice_org))
    assert tally.histories == len(seeds)


@pytest.mark.parametrize(
    "seed", [38, 164, 742, 751, 916, 1091, 1974, 1982, 2826, 5160, 5431, 7911, 8336, 8737, 15504, 16341, 18768, 18987]
)
def test_seeds_that_once_found_a_defect(seed: int) -> None:
    """742: a stream that another run had brought as far was remembered as it stood before. 751: an older reload undid a
    row that was committed late. 916: rows committed late counted against slices landed before. 1091: a reload that went
    on with an earlier one's rows took records made since for rows it had lost. 1974: a log of deletions was read before
    the records. 1982: slices that a landing had lost were not read again. 2826: a warehouse put back hid what an
    unfinished run had left at the source. 5160: the answer to an earlier query of the object was taken for this one's.
    5431: an heir removed files that the slow run before it then sealed.
    7911, 8737: a new column, rows committed late, that only the heir of a run read, passed for committed by that run.
    8336, 18987: a log of deletions was not read again where the records' job had no rows any more. 15504: a job was
    forgotten before it was removed. 18768, 164, 16341: a job whose id the state could not take, or which a process
    beside it overwrote there, and then its own died or broke off: no run can know of it."""
    require_laws(history(seed), practice_org)


def test_a_seed_repeats_its_history_exactly() -> None:
    """With overlapping runs, kills, DuckDB and SQLite among what is repeated."""
    for seed in (10, 49):
        one, other = (play(history(seed), practice_org) for _ in range(2))
        assert one.operations == other.operations
        assert one.told == other.told


def test_histories_hold_everything_that_can_happen() -> None:
    drawn = [history(seed) for seed in range(SEEDS)]
    steps = [step for each in drawn for step in each.steps]
    assert {step.what for step in steps if step.kind == "change"} == set(CHANGES)
    assert {kind for step in steps for _, kind in step.faults} >= {"before", "after", "kill", "slow", "twice", *DAMAGES}
    kinds = {"reload", "overlap", "back up warehouse", "restore warehouse", "lose state", "lose landing", "skew"}
    assert {step.kind for step in steps} >= kinds
    assert {(each.house, each.state) for each in drawn} >= {
        ("memory", "memory"),
        ("memory", "sqlite"),
        ("duckdb", "memory"),
    }
