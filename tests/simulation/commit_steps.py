"""One fault at each step of a commit, on a warehouse behind a network: what the tests of each such warehouse share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from syncline.pipelines.simulation.history import History
from syncline.pipelines.simulation.houses import DDL, DML, MakeHouse
from syncline.pipelines.simulation.practice_org import PracticeOrg
from syncline.pipelines.simulation.process import LawBroken, Process
from syncline.pipelines.simulation.seams import Secrets, require_no_secret
from syncline.pipelines.simulation.simulation import Simulation
from tests.simulation.worlds import BULK, practice_org

KINDS: Final = ("before", "after", "kill")
AROUND: Final = 2
"""So many statements before BEGIN and after COMMIT are struck as well."""

WAIT_S: Final = 2_000.0
"""Longer than the overlap, in which the next run would read again what this one lost."""

LEASE_S: Final = 300.0
"""Longer than the lease of a process that was killed."""

STAGED_BY: Final = re.compile(r"s[0-9a-f]{16}_\d{8}T\d{12}Z-[0-9a-f]{6}_", re.IGNORECASE)

SEAM: Final = "warehouse: "


class AtStatement(dict[int, str]):
    """A process's faults: the ``at``-th statement it sends to the warehouse, whatever else it does before."""

    def __init__(self, kind: str, at: int) -> None:
        super().__init__()
        self.kind, self.at = kind, at
        self.process: Process | None = None

    def get(self, number: int, default: Any = None) -> Any:
        assert self.process is not None
        sent = statements(self.process)
        mine = self.process.log[-1].startswith(SEAM) and len(sent) == self.at + 1
        return self.kind if mine else default


def statements(process: Process) -> list[str]:
    return [each.removeprefix(SEAM) for each in process.log if each.startswith(SEAM)]


class Rounds:
    """Each round inserts, updates and deletes in both streams, in the bin and for good, and a run copies that."""

    def __init__(self, simulation: Simulation) -> None:
        assert isinstance(simulation.source, PracticeOrg)
        self.simulation, self.org = simulation, simulation.source.org
        self.number = 0
        simulation.run_well()

    def steps(self) -> list[str]:
        """A round that nothing disturbs: its statements, and what it did."""
        before = self.simulation.book.seen.rows
        process = self._round({})
        after = self.simulation.book.seen.rows
        for stream in ("Account", "Contact"):
            old, new = before[stream], after[stream]
            assert old.keys() - new.keys(), "nothing was deleted"
            assert new.keys() - old.keys(), "nothing was inserted"
            assert any(old[key]["Name"] != new[key]["Name"] for key in old.keys() & new.keys()), "nothing was updated"
        return statements(process)

    def strike(self, kind: str, at: int) -> str:
        """A round struck at its ``at``-th statement, then a run with news of its own that succeeds; which it was."""
        faults = AtStatement(kind, at)
        process = self._round(faults)
        [struck] = process.struck
        self._change()
        self.simulation.pass_time(LEASE_S)
        self.simulation.run_well()
        self.simulation.book.check_equal(self.simulation.house.look())
        return struck

    def _round(self, faults: dict[int, str]) -> Process:
        self._change()
        self.simulation.pass_time(WAIT_S)
        process = Process(self.simulation, "run", faults)
        if isinstance(faults, AtStatement):
            faults.process = process
        self.simulation.run(process, Random(BULK))
        return process

    def _change(self) -> None:
        self.number += 1
        org, name = self.org, f"change {self.number}"
        org.delete("Account", org.ids("Account")[:1])
        org.hard_delete("Contact", org.ids("Contact")[:1])
        last = org.ids("Account")[-1]
        org.update("Account", [last], {"Name": name, "Amount__c": f"{self.number}.50"})
        org.update("Contact", org.ids("Contact")[-1:], {"Name": name})
        for each in (f"{name}, one", f"{name}, other"):
            org.insert("Account", {"Name": each}, fill=False)
            org.insert("Contact", {"Name": each, "AccountId": last}, fill=False)


def commit_steps(steps: Sequence[str]) -> range:
    """Where the one transaction stands among a run's statements, and a little before and after it."""
    [begin] = [at for at, each in enumerate(steps) if each.startswith("BEGIN")]
    [commit] = [at for at, each in enumerate(steps) if each.startswith("COMMIT")]
    return range(begin - AROUND, min(commit + AROUND + 1, len(steps)))


def strike_every_step(make_house: MakeHouse, kind: str) -> None:
    """Each statement of the commit is struck once, in a round of its own; in the end nothing is left over."""
    with Simulation(History(0, "memory", "memory", ()), practice_org(0), make_house) as simulation:
        rounds = Rounds(simulation)
        steps = rounds.steps()
        begin = commit_steps(steps).start + AROUND
        for at in commit_steps(steps):
            struck = rounds.strike(kind, at)
            # Streams land, and are loaded, in any order.
            wanted = steps[at] if at > begin else steps[at].split()[0]
            assert wanted in struck, f"{struck} instead of {steps[at]}"
        simulation.finish()


class Statements:
    """A process's statements as operations, with DDL-BEFORE and NO-SECRETS looked at in each, and after whatever may
    have been committed, what a reader sees."""

    def __init__(self, process: Process, secrets: Secrets, watch: Callable[[], None]) -> None:
        self._process, self._secrets, self._watch = process, secrets, watch
        self._inside = self._unseen = False

    def pass_by(self, statement: str, *, alone: bool = False) -> str | None:
        """Called before it is sent; which fault strikes it. A law that is broken is noted, not raised."""
        try:
            if self._unseen:
                self._watch()
            self._unseen = False
            self._look(statement)
            return self._process.enter("warehouse", shown(statement), alone=alone)[0]
        except LawBroken as broken:
            self._process.around.note(broken)
            return None

    def _look(self, statement: str) -> None:
        verb = statement.split(None, 1)[0].upper()
        require_no_secret(self._secrets, statement, "a statement")
        if self._inside and verb in DDL:
            raise LawBroken("DDL-BEFORE", f"between BEGIN and COMMIT: {statement[:80]}")
        if verb in ("BEGIN", "COMMIT", "ROLLBACK"):
            self._inside = verb == "BEGIN"
        self._unseen = verb == "COMMIT" or (verb in DML | DDL and not self._inside)


def shown(statement: str) -> str:
    """Its first words, without the run's id in the name of a staging table; those are dropped in no certain order."""
    words = statement.split()
    return STAGED_BY.sub("", " ".join(words[:2] if words[0] == "DROP" else words[:6]))
