"""Many small syncs into one target, one after another, each opening the file and closing it, as runs do.

What a sync costs and how large the file is are told of the first, and of those that ``TOLD`` names; with
``--maintain-every`` the target is looked after in between, as ``syncline maintain`` does.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import target
from benchmarks.meter import MB, Meter, tell
from benchmarks.run_merge import DATABASE, warm_up

if TYPE_CHECKING:
    from syncline.sinks import Landing

TOLD: Final = (1, 10, 50, 100)
NEIGHBOURS: Final = 5
"""A figure is the median of so many syncs that end with the one it stands for (the first five, for the first)."""


@dataclass(frozen=True, slots=True)
class Sync:
    wall_s: float
    cpu_s: float
    file_mb: float


def sync(folder: Path, landing: Landing, rows: target.Rows) -> Sync:
    manifest = target.land(landing, rows, f"run-{rows.version:04d}")
    warehouse = target.open_warehouse(folder / DATABASE)
    meter = Meter()
    try:
        counts = target.merge(warehouse, landing, manifest)
    finally:
        warehouse.close()
    if counts.updated != rows.count:
        raise RuntimeError(f"{rows.count} rows landed, {counts.updated} updated")
    return measured(meter, folder)


def maintain(folder: Path) -> Sync:
    warehouse = target.open_warehouse(folder / DATABASE)
    meter = Meter()
    try:
        warehouse.maintain([target.NAME])
    finally:
        warehouse.close()
    return measured(meter, folder)


def measured(meter: Meter, folder: Path) -> Sync:
    """The file is as the next run finds it: closed, and with no log left beside it."""
    read = meter.read(0)
    return Sync(read.wall_s, read.cpu_s, (folder / DATABASE).stat().st_size / MB)


def told_of(syncs: Sequence[Sync], number: int) -> dict[str, float]:
    last = max(number, NEIGHBOURS)
    near = syncs[last - NEIGHBOURS : last]
    return {
        "wall_s": round(statistics.median(each.wall_s for each in near), 4),
        "cpu_s": round(statistics.median(each.cpu_s for each in near), 4),
        "file_mb": round(syncs[number - 1].file_mb, 1),
    }


def detail_of(syncs: Sequence[Sync], upkeeps: Sequence[Sync], before_mb: float) -> dict[str, Any]:
    return {
        "file_mb_before": round(before_mb, 1),
        "syncs": {str(number): told_of(syncs, number) for number in TOLD if number <= len(syncs)},
        "maintain": [{"wall_s": round(each.wall_s, 3), "cpu_s": round(each.cpu_s, 3)} for each in upkeeps],
    }


def main() -> None:
    from syncline.sinks import Landing

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--target-rows", type=int, required=True)
    parser.add_argument("--changed", type=int, required=True)
    parser.add_argument("--syncs", type=int, default=max(TOLD))
    parser.add_argument("--maintain-every", type=int, default=0)
    asked = parser.parse_args()
    landing = Landing(str(asked.folder / "landing"))
    warm_up()
    before_mb = (asked.folder / DATABASE).stat().st_size / MB
    syncs: list[Sync] = []
    upkeeps: list[Sync] = []
    meter = Meter()
    for number in range(1, asked.syncs + 1):
        rows = target.changed(asked.target_rows, asked.changed, "spread", number)
        syncs.append(sync(asked.folder, landing, rows))
        if asked.maintain_every and number % asked.maintain_every == 0:
            upkeeps.append(maintain(asked.folder))
    tell(meter.read(asked.changed * len(syncs), **detail_of(syncs, upkeeps, before_mb)))


if __name__ == "__main__":
    main()
