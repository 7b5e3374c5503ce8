"""What ``syncline check`` reports; here, at the lowest layer, so that connectors, sinks and state can all say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["ok", "warn", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    ``error``: a run will fail. ``warn``: a run works, something is unwise or could not be checked. ``subject`` names
    what was looked at ("landing s3://bucket/crm"), ``text`` what was found, ``cure`` what to do about it; a finding
    other than ``ok`` always has a cure. None of them holds a secret (NO-SECRETS).
    """

    level: Level
    subject: str
    text: str
    cure: str = ""

    def __post_init__(self) -> None:
        if self.level != "ok" and not self.cure:
            raise ValueError(f"a finding that is not ok says how to mend it: {self.text}")
