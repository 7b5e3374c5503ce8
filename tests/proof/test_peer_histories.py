"""The histories that peers are driven through: Syncline's row of the table in ``docs/proof.md``, and the table."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.checkout


def test_syncline_ends_equal_and_readers_never_see_halves() -> None:
    """ONE-TRANSACTION. In a process of its own, whose table really refuses the rows."""
    from benchmarks.peers.__main__ import outcome

    told = outcome("failing insert", "run_syncline", "")
    assert (told["equal"], told["notes"]) == (True, [])
    assert told["errors"], "the refusal was told to the user"


def test_the_killer_strikes_at_the_second_table_of_users_data(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.peers import tool

    struck: list[int] = []
    monkeypatch.setattr("os._exit", struck.append)
    killer = tool.Killer(armed=True)
    killer.look('INSERT INTO "crm"."Account" VALUES (1)')
    killer.look('DELETE FROM "crm"."Account"; INSERT INTO "crm_staging"."contact" VALUES (1)')
    killer.look('UPDATE "crm"."_syncline_watermarks" SET version = 2')
    assert not struck
    killer.look('DELETE FROM "crm"."contact"')
    assert struck == [9]


def test_a_table_says_who_differs_and_what_readers_saw() -> None:
    from benchmarks.peers.__main__ import table

    equal = {"equal": True, "differing": 0, "notes": []}
    torn = {"equal": False, "differing": 3, "notes": ["readers saw Account empty"]}
    shown = table({"one": {"tie": equal}, "other": {"tie": torn}}, ["tie"])
    assert "| one | equal |" in shown
    assert "| other | **3 records differ**; readers saw Account empty |" in shown
