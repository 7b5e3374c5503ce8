"""Transactions that outlive their client, and what becomes of them (Snowflake guide, transactions, aborting).

A client that dies leaves its transaction detached: it keeps its locks until it has been idle for five minutes *and*
blocks somebody, or for four hours. So each transaction gets a name that says which process began it, and

* one whose reply was lost to this process is remembered by id and ended by id before anything else is sent: afterwards
  its outcome is final, and the watermark's run id tells which it was (KNOWN-OUTCOME);
* one whose process is known to be dead (same machine, no such process) is ended by id before the next BEGIN;
* any other is waited for, by Snowflake, up to ``lock_timeout_s``; the error afterwards names it.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PREFIX = "SYNCLINE"


@dataclass(frozen=True, slots=True)
class Process:
    """A process as a transaction's name tells it: where its data go, its machine, its id and when it started."""

    place: str
    machine: str
    pid: int
    started: int

    @staticmethod
    def own(place: str) -> Process:
        pid = os.getpid()
        return Process(_digest(place), _digest(socket.gethostname()), pid, _started(pid))

    def name(self) -> str:
        """A plain identifier, so that it needs no quotes."""
        return f"{PREFIX}_{self.place}_{self.machine}_{self.pid}_{self.started}"

    @staticmethod
    def parse(name: str) -> Process | None:
        found = re.fullmatch(rf"{PREFIX}_([0-9A-F]{{12}})_([0-9A-F]{{12}})_(\d+)_(\d+)", name.strip('"').upper())
        return Process(found[1], found[2], int(found[3]), int(found[4])) if found else None

    def is_dead(self) -> bool:
        """Whether a process of this machine is certainly gone; an id used anew is told by when it started."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        started = _started(self.pid)
        return bool(self.started and started and started != self.started)


@dataclass(frozen=True, slots=True)
class Running:
    """A row of SHOW TRANSACTIONS."""

    id: str
    name: str
    started_on: str


@dataclass
class Memory:
    """Ids of transactions whose end this process did not see; it outlives sessions, not the process."""

    unsettled: dict[str, bool] = field(default_factory=dict)
    """By id: whether COMMIT was sent."""

    def began(self, id: str) -> None:
        self.unsettled[id] = False

    def committing(self, id: str) -> None:
        self.unsettled[id] = True

    def ended(self, id: str) -> None:
        self.unsettled.pop(id, None)


def begin(process: Process) -> str:
    return f"BEGIN TRANSACTION NAME {process.name()}"


def abort(id: str) -> str:
    return f"SELECT SYSTEM$ABORT_TRANSACTION({_number(id)})"


def describe(id: str) -> str:
    return f"DESCRIBE TRANSACTION {_number(id)}"


def running(rows: Iterable[Mapping[str, Any]]) -> list[Running]:
    """What SHOW TRANSACTIONS said, by its columns' names: their order is not promised."""
    return [Running(str(row["id"]), str(row.get("name", "")), str(row.get("started_on", ""))) for row in rows]


def abandoned(found: Sequence[Running], own: Process) -> list[Running]:
    """Those that a dead process of this machine began for the same place."""
    left = []
    for each in found:
        process = Process.parse(each.name)
        if process and (process.place, process.machine) == (own.place, own.machine) and process.is_dead():
            left.append(each)
    return left


def blockers(found: Sequence[Running], own_id: str) -> str:
    """The other transactions that may hold the lock, for an error; empty where none is seen."""
    others = [each for each in found if each.id != own_id]
    return "; ".join(f"transaction {each.id} ({each.name}) runs since {each.started_on}" for each in others[:3])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12].upper()


def _number(id: str) -> str:
    """Ids go into the statement's text, so they must be numbers."""
    return str(int(id))


def _started(pid: int) -> int:
    """Clock ticks since the machine started (proc(5), field 22); 0 where that is not told."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
