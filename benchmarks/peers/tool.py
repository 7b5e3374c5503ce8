"""What every tool under trial is: a process that syncs once whenever it is told to, on one line each.

``run`` syncs; ``kill`` syncs and kills the process without a word as soon as a second table is about to be written,
after a first one was. The answer is one line of JSON.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

_WRITES = re.compile(r"^\s*(?:INSERT\s+INTO|MERGE\s+INTO|DELETE\s+FROM)\s+(\S+)", re.IGNORECASE)
_DATA = re.compile(r'\b"?(account|contact)"?$', re.IGNORECASE)

FIELDS = {"Account": ("Id", "Name", "SystemModstamp", "IsDeleted"), "Contact": ("Id", "LastName", "SystemModstamp")}


@dataclass
class Killer:
    """Looks at every statement; dies at the first one that writes a second table of users' data."""

    armed: bool = False
    seen: set[str] = field(default_factory=set)

    def look(self, statement: object) -> None:
        for part in str(statement).split(";") if self.armed else ():
            found = _WRITES.match(part)
            table = _DATA.search(found[1]) if found and "staging" not in found[1].lower() else None
            if table is None:
                continue
            self.seen.add(table[1].lower())
            if len(self.seen) > 1:
                os._exit(9)


def serve(sync: Callable[[], None], killer: Killer) -> None:
    """Answers until stdin ends. What a sync raises is what its user would see, and is told in one line."""
    for line in sys.stdin:
        killer.armed = line.strip() == "kill"
        try:
            sync()
            told: dict[str, object] = {"ok": True}
        except Exception as error:  # noqa: BLE001
            words = " ".join(str(error).split())
            told = {"ok": False, "error": f"{type(error).__name__}: {words[:300]}"}
        sys.stdout.write("ANSWER " + json.dumps(told) + "\n")
        sys.stdout.flush()
