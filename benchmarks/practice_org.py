"""The org that all programs read from: a sandbox in a process of its own, so that its CPU time can be told apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from syncline.connectors.sandbox import SandboxProcess

SEED: Final = 1
SPREAD: Final = "AccountNumber LIKE '%7'"
"""A tenth of the Accounts, everywhere in the table; every n-th of these is changed."""


@dataclass(frozen=True, slots=True)
class PracticeOrg:
    """``running`` is None for programs that need no org (``NO_ORG``)."""

    running: SandboxProcess | None
    rows: int

    @property
    def process(self) -> SandboxProcess:
        if self.running is None:
            raise ValueError("there is no org")
        return self.running

    def flags(self) -> list[str]:
        """The org as the measured programs are told of it."""
        if self.running is None:
            return []
        found = self.running
        return ["--url", found.url, "--client-id", found.client_id, "--client-secret", found.client_secret]

    def cpu_s(self) -> float:
        """User and system time of the org's process so far."""
        if self.running is None:
            return 0.0
        stat = Path(f"/proc/{self.process.pid}/stat")
        if not stat.exists():
            return self.process.cpu_s()
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def change(self, count: int, name: str) -> str:
        """Renames ``count`` Accounts spread over the whole table; the instant from which they count as changed.

        The clock moves on before, so that nothing else has that instant, and after, past the settling lag.
        """
        found = self.process.control("ids", object="Account", where=SPREAD)
        step = max(1, len(found) // count)
        self.advance(3_600)
        since = datetime.fromisoformat(self.process.control("now"))
        self.process.control("update", object="Account", ids=found[::step][:count], values={"Name": name})
        self.advance(120)
        return since.strftime("%Y-%m-%dT%H:%M:%SZ")

    def advance(self, seconds: float) -> None:
        self.process.control("advance", seconds=seconds)


NO_ORG: Final = PracticeOrg(None, 0)


@contextmanager
def practice_org(rows: int) -> Iterator[PracticeOrg]:
    from syncline.connectors.sandbox import start_process

    with start_process(rows={"Account": rows}, seed=SEED) as process:
        yield PracticeOrg(process, rows)
