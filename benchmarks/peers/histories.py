"""The histories: what happens in an org, and when the tool under trial is told to sync meanwhile.

Between two syncs ten minutes pass at the org, and a history ends with two more syncs after its last trouble: whoever
heals by the next run has healed. The org's clock is set by hand, so that every tool sees the same instants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from syncline.connectors.sandbox import Field, Org

PAUSE_S = 600


class Tool(Protocol):
    """A tool under trial with its own target."""

    def sync(self) -> None: ...

    def kill(self) -> None: ...

    def rows(self, object: str) -> dict[str, tuple[Any, ...]]: ...

    def forbid(self, object: str) -> None: ...

    def allow(self, object: str) -> None: ...


@dataclass
class Trial:
    org: Org
    tool: Tool
    notes: list[str] = field(default_factory=list)

    def sync(self, times: int = 1) -> None:
        for _ in range(times):
            self.org.advance(PAUSE_S)
            self.tool.sync()

    def edit(self, name: str, *places: int) -> None:
        """Edits these Accounts and Contacts in one go, as one person would."""
        for object, column in (("Account", "Name"), ("Contact", "LastName")):
            ids = self.org.ids(object)
            self.org.update(object, [ids[place] for place in places], {column: name})

    def look_for_halves(self) -> None:
        """What a reader sees now: the edit of one table without that of the other, or a table without rows?"""
        rows = {object: self.tool.rows(object) for object in ("Account", "Contact")}
        self.notes += [f"readers saw {object} empty" for object, each in rows.items() if not each]
        if len({any("both" in row for row in each.values()) for each in rows.values()}) > 1:
            self.notes.append("readers saw one table new and the other old")


def tie(trial: Trial) -> None:
    trial.sync()
    org = trial.org
    ids = org.ids("Account")
    org.update("Account", ids[:1], {"Name": "first edit"})
    trial.tool.sync()  # at the very instant of the edit
    org.update("Account", ids[:1], {"Name": "second edit"})
    org.update("Account", ids[1:2], {"Name": "another record"})
    trial.sync(2)


def late_commit(trial: Trial) -> None:
    trial.sync()
    org = trial.org
    ids = org.ids("Account")
    slow = org.begin()
    org.update("Account", ids[:1], {"Name": "stamped early, committed late"}, transaction=slow)
    org.advance(60)
    org.update("Account", ids[1:2], {"Name": "meanwhile"})
    org.advance(120)
    trial.tool.sync()
    org.commit(slow)
    trial.sync(2)


def hard_delete(trial: Trial) -> None:
    trial.sync()
    trial.org.hard_delete("Account", trial.org.ids("Account")[:2])
    trial.sync(2)


def crash_between_tables(trial: Trial) -> None:
    trial.sync()
    trial.edit("both", 0, 1)
    trial.org.advance(PAUSE_S)
    trial.tool.kill()
    trial.look_for_halves()
    trial.sync(2)


def name_collision(trial: Trial) -> None:
    for name in ("MyField__c", "My_Field__c"):
        trial.org.add_field("Account", Field(name, "string", length=80), value=f"in {name}")
    trial.org.restamp("Account")
    trial.sync(2)


def failing_insert(trial: Trial) -> None:
    trial.sync()
    trial.edit("both", 0, 1)
    trial.tool.forbid("Contact")
    trial.sync()
    trial.look_for_halves()
    trial.edit("both, once more", 2)
    trial.tool.allow("Contact")
    trial.sync()
    trial.look_for_halves()
    trial.sync()


HISTORIES: dict[str, Callable[[Trial], None]] = {
    "tie": tie,
    "late commit": late_commit,
    "hard delete": hard_delete,
    "crash between tables": crash_between_tables,
    "name collision": name_collision,
    "failing insert": failing_insert,
}
