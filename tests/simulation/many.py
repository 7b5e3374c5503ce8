"""``make simulate``: many seeds in a row, and what was tried, in words.

``python -m tests.simulation.many --seeds 20000 --first 0``. The last line of the answer is what docs/proof.md quotes.
"""

from __future__ import annotations

import logging
import sys
import time

import click

from syncline.connectors.errors import SynclineError
from syncline.pipelines.simulation.checking import require_laws
from syncline.pipelines.simulation.history import draw_history
from syncline.pipelines.simulation.practice_org import CHANGES, DAMAGES
from syncline.pipelines.simulation.process import LawBroken, Tally
from tests.simulation.quick import quick
from tests.simulation.worlds import practice_org

TOLD_EVERY = 500


@click.command()
@click.option("--seeds", default=20_000, show_default=True, help="how many histories are drawn")
@click.option("--first", default=0, show_default=True, help="the first seed")
def main(seeds: int, first: int) -> None:
    """Plays every seed; each one that breaks a law is shrunk and printed, and the exit code is 1."""
    logging.disable(logging.CRITICAL)
    with quick():
        broken = _play(seeds, first)
    sys.exit(1 if broken else 0)


def _play(seeds: int, first: int) -> list[int]:
    began, tally, broken = time.process_time(), Tally(), list[int]()
    for seed in range(first, first + seeds):
        try:
            tally.add(require_laws(draw_history(seed, CHANGES, DAMAGES), practice_org))
        except (LawBroken, SynclineError) as error:
            broken.append(seed)
            click.echo(f"seed {seed}: {error}\n")
        if (seed + 1 - first) % TOLD_EVERY == 0:
            click.echo(_summary(first, seed, tally, broken, time.process_time() - began))
            sys.stdout.flush()
    click.echo(_summary(first, first + seeds - 1, tally, broken, time.process_time() - began))
    return broken


def _summary(first: int, last: int, tally: Tally, broken: list[int], seconds: float) -> str:
    verdict = f"laws broken by the seeds {broken}" if broken else "no law broken"
    return f"seeds {first:,} to {last:,}: {tally}; {verdict}; {seconds:,.0f} s of CPU"


if __name__ == "__main__":
    main()
