"""Who holds a lease, and whether that process is still alive.

A run killed by the system leaves its lease behind. Where the next run can see that the process is gone it need not
wait: same machine since the same start, same process namespace (containers number their processes anew), and no
process of that number that started at that time. Anything less certain counts as alive; the lease runs out anyway.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process. ``space`` identifies the running system and process namespace, ``born`` the start time within it.

    Both are empty where the system does not tell (no ``/proc``).
    """

    host: str
    pid: int
    space: str = ""
    born: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> Holder:
    pid = os.getpid()
    return Holder(socket.gethostname(), pid, _space(), _born(pid) or "")


def is_dead(holder: Holder) -> bool:
    """Whether the process is certainly gone, as seen from here."""
    if not holder.space or not holder.born or holder.space != _space():
        return False
    born = _born(holder.pid)
    return born != holder.born if born is not None else not _exists(holder.pid)


def _space() -> str:
    try:
        started = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{started} {os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:
        return ""


def _born(pid: int) -> str | None:
    """The start time of a process in clock ticks (proc(5), ``/proc/pid/stat``), "" for a zombie; ``None``: not told."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return "" if state in "ZXx" else fields[18]


def _exists(pid: int) -> bool:
    """Whether there is such a process, also where ``/proc`` hides those of other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
