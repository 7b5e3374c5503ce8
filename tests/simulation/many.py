"""``make simulate``: many seeds in a row, and what was tried, in words.

``python -m tests.simulation.many --seeds 20000 --first 0 --processes 8``. The last line of the answer is what
docs/proof.md quotes; it is the same for any number of processes, but for the CPU's time.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import click

from syncline.connectors.errors import SynclineError
from syncline.pipelines.simulation.checking import require_laws
from syncline.pipelines.simulation.history import draw_history
from syncline.pipelines.simulation.practice_org import CHANGES, DAMAGES
from syncline.pipelines.simulation.process import LawBroken, Tally
from tests.simulation.quick import quick
from tests.simulation.worlds import practice_org

TOLD_EVERY = 500
BATCH = 25
"""Seeds that a process plays before it tells; a multiple of them is told to the user."""

BATCHES_WAITING_MAX = 4
"""Batches handed out, a process: 20,000 seeds must not become as many futures."""


@dataclass(slots=True)
class Played:
    """What seeds came to. ``broken`` holds those that broke a law, with what is told of them."""

    tally: Tally = field(default_factory=Tally)
    broken: dict[int, str] = field(default_factory=dict)
    cpu_s: float = 0.0

    def add(self, other: Played) -> None:
        self.tally.add(other.tally)
        self.broken |= other.broken
        self.cpu_s += other.cpu_s


@click.command()
@click.option("--seeds", default=20_000, show_default=True, help="how many histories are drawn")
@click.option("--first", default=0, show_default=True, help="the first seed")
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=lambda: os.cpu_count() or 1,
    help="how many play at once [every core]",
)
def main(seeds: int, first: int, processes: int) -> None:
    """Plays every seed; each one that breaks a law is shrunk and printed, and the exit code is 1."""
    spans = [range(at, min(at + BATCH, first + seeds)) for at in range(first, first + seeds, BATCH)]
    played = Played()
    for span, part in zip(spans, _in_order(spans, processes), strict=True):
        played.add(part)
        for seed, told in part.broken.items():
            click.echo(f"seed {seed}: {told}\n")
        if span.stop == first + seeds or (span.stop - first) % TOLD_EVERY == 0:
            click.echo(summary(first, span.stop - 1, played))
            sys.stdout.flush()
    sys.exit(1 if played.broken else 0)


def play(seeds: range) -> Played:
    """The seeds' histories, one after the other, in this process."""
    logging.disable(logging.CRITICAL)
    played, began_s = Played(), time.process_time()
    with quick():
        for seed in seeds:
            try:
                played.tally.add(require_laws(draw_history(seed, CHANGES, DAMAGES), practice_org))
            except (LawBroken, SynclineError) as error:
                played.broken[seed] = str(error)
    played.cpu_s = time.process_time() - began_s
    return played


def summary(first: int, last: int, played: Played) -> str:
    verdict = f"laws broken by the seeds {list(played.broken)}" if played.broken else "no law broken"
    return f"seeds {first:,} to {last:,}: {played.tally}; {verdict}; {played.cpu_s:,.0f} s of CPU"


def _in_order(spans: Sequence[range], processes: int) -> Iterator[Played]:
    """What each span came to, in their order, whichever is done first."""
    if processes == 1:
        yield from map(play, spans)
        return
    waiting_max = processes * BATCHES_WAITING_MAX
    # Started anew: a fork would take over threads and connections in whatever state they are.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        left, handed_out = iter(spans), deque[Future[Played]]()
        while True:
            handed_out += [pool.submit(play, span) for span in islice(left, waiting_max - len(handed_out))]
            if not handed_out:
                return
            yield handed_out.popleft().result()


if __name__ == "__main__":
    main()
