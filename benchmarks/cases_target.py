"""The warehouse's half alone, on targets larger than one would seed an org for: merging, and many merges on end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from benchmarks.measure import Measurement, run_program
from benchmarks.practice_org import NO_ORG
from benchmarks.run_merge import DATABASE
from benchmarks.target import Keys

if TYPE_CHECKING:
    from benchmarks.cases import Bench

CHANGED: Final = 10_000
TIMES: Final = (1, 10, 50)
"""Sizes of the targets, in rows of the bench."""
SYNC_CHANGED: Final = 1_000
MAINTAIN_EVERY: Final = 25
SYNCS: Final = "100 small syncs"
SYNCS_MAINTAINED: Final = f"{SYNCS}, maintained"


def merge_case(target_rows: int, keys: str) -> str:
    return f"merge, {keys} keys of {target_rows:,}"


def merge(bench: Bench) -> None:
    """The same number of changed rows into targets of several sizes, by key: spread over the table, or its newest."""
    for times in TIMES:
        rows = bench.rows * times
        made = _made(bench, rows)
        if made is None:
            return
        for keys in get_args(Keys):
            for program, step in (("plain_merge", "plain"), ("syncline", "syncline")):
                folder = _copied(made, bench.folder / f"merge-{rows}-{keys}-{step}")
                flags = ["--step", step, "--target-rows", str(rows), "--changed", str(min(CHANGED, bench.rows // 100))]
                case = merge_case(rows, keys)
                bench.add(run_program(case, program, "run_merge", NO_ORG, folder, [*flags, "--keys", keys]))
                shutil.rmtree(folder)
        if times > 1:
            shutil.rmtree(made)


def upkeep(bench: Bench) -> None:
    """A hundred small syncs into one target, without and with ``syncline maintain`` now and then."""
    made = _made(bench, bench.rows)
    if made is None:
        return
    sizes = ["--target-rows", str(bench.rows), "--changed", str(min(SYNC_CHANGED, bench.rows // 1_000))]
    for name, every in ((SYNCS, 0), (SYNCS_MAINTAINED, MAINTAIN_EVERY)):
        folder = _copied(made, bench.folder / f"upkeep-{every}")
        flags = [*sizes, "--maintain-every", str(every)]
        bench.add(run_program(name, "syncline", "run_upkeep", NO_ORG, folder, flags))
        shutil.rmtree(folder)


def _made(bench: Bench, rows: int) -> Path | None:
    """A folder with the target, made once; None, and the failure among the figures, where it could not be made."""
    folder = bench.folder / f"target-{rows}"
    if (folder / DATABASE).exists():
        return folder
    flags = ["--step", "make", "--target-rows", str(rows)]
    made: Measurement = run_program(f"target of {rows:,}", "syncline", "run_merge", NO_ORG, folder, flags)
    if made.reading is not None:
        return folder
    bench.add(made)
    return None


def _copied(made: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.copy2(made / DATABASE, folder / DATABASE)
    return folder
