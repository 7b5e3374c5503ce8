# mypy: disable-error-code="type-abstract"
"""The conformance suite of the connector port, part two: what was made at the source, gone on with and removed.

A run may die at any instruction. The next one goes on by value or by the vendor's locator (VALUE-RESUME), but only
where that answers what it asks itself (COMPLETE-WINDOW); whatever else was made at the source is removed.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar

import pytest

from syncline.connectors.connector import Json, Outcome, Window
from syncline.connectors.world import KeepsJobs, Row, Subject, in_order, killed_and_resumed

ROWS = 250

Ability = TypeVar("Ability")


def able(world: object, ability: type[Ability]) -> Ability:
    """The world as one that has the ability; a test of a world without it is skipped."""
    if not isinstance(world, ability):
        pytest.skip(f"this world is not one that {ability.__name__}")
    return world


class ResumeLaws:
    """Inherited by ``ConnectorConformance``."""

    text: ClassVar[str]

    def some(self, rows: int, name: str = "row") -> list[Row]:
        return [{self.text: f"{name} {number}"} for number in range(rows)]

    def test_a_killed_extraction_resumes_without_loss_or_repeat_value_resume(self, subject: Subject) -> None:
        keys = subject.world.insert(self.some(ROWS))
        window = Window(None, subject.settle())
        assert killed_and_resumed(subject, window).keys() == in_order(keys)

    def test_a_resume_after_the_source_lost_the_job_reads_everything_anew(self, subject: Subject) -> None:
        jobs = able(subject.world, KeepsJobs)
        keys = subject.world.insert(self.some(ROWS))
        window = Window(None, subject.settle())
        assert killed_and_resumed(subject, window, jobs.lose_jobs).keys() == in_order(keys)

    def test_what_another_window_left_is_not_gone_on_with_complete_window(self, subject: Subject) -> None:
        """The next run may ask for more than the one that died: its job lacks the rows that came since."""
        first = subject.world.insert(self.some(ROWS))
        window = Window(None, subject.settle())
        begun = subject.begin(subject.connector.plan(subject.schema, window), window, slices_max=2)
        later = subject.world.insert(self.some(3))
        wider = Window(None, subject.settle())
        heir = Subject.over(subject.world)
        extraction = heir.connector.plan(heir.schema, wider)
        resume = begun.remembered[-1] if begun.remembered else None
        found = heir.begin(extraction, wider, resume=resume).keys()
        extraction.close("landed")
        assert found == in_order([*first, *later])
        if isinstance(subject.world, KeepsJobs):
            assert list(subject.world.jobs()) == []

    @pytest.mark.parametrize("lost", [False, True], ids=["job kept", "job lost"])
    def test_what_a_run_left_whose_rows_are_sealed_is_removed(self, subject: Subject, lost: bool) -> None:
        """It died between sealing and closing; its heir reads nothing again, it only tidies up."""
        jobs = able(subject.world, KeepsJobs)
        subject.world.insert(self.some(ROWS))
        window = Window(None, subject.settle())
        begun = subject.begin(subject.connector.plan(subject.schema, window), window)
        assert len(jobs.jobs()) >= 1
        if lost:
            jobs.lose_jobs()
        heir = Subject.over(subject.world)
        heir.connector.plan(heir.schema, window).close("landed", begun.remembered[-1])
        assert list(jobs.jobs()) == []

    def test_what_was_made_at_the_source_is_settled_on_every_outcome(self, subject: Subject) -> None:
        jobs = able(subject.world, KeepsJobs)
        subject.world.insert(self.some(ROWS))
        window = Window(None, subject.settle())
        extraction = subject.connector.plan(subject.schema, window)
        remembered: list[Json] = []
        assert next(iter(extraction.slices(None, remembered.append)), None) is not None
        assert remembered, "remember comes before the first slice"
        extraction.close("kept")
        assert len(jobs.jobs()) >= 1
        outcomes: tuple[Outcome, Outcome] = ("abandoned", "landed")
        for outcome in outcomes:
            extraction = subject.connector.plan(subject.schema, window)
            assert next(iter(extraction.slices(remembered[-1], remembered.append)), None) is not None
            extraction.close(outcome)
            assert list(jobs.jobs()) == []
