"""Reviewed text: what the code makes today must be what somebody read.

``SYNCLINE_SNAPSHOTS=write pytest ...`` writes the files anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "snapshots"


def check_snapshot(name: str, statements: Sequence[tuple[str, str]]) -> None:
    """Compares titled statements with ``snapshots/<name>.sql``."""
    text = "\n".join(f"-- {title}\n{statement};\n" for title, statement in statements)
    path = FOLDER / f"{name}.sql"
    if os.environ.get("SYNCLINE_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"no snapshot {path.name}: write it with SYNCLINE_SNAPSHOTS=write and review it"
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs: review, or write it anew"
