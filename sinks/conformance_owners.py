"""The warehouse conformance suite, part four: a target belongs to one stream of one pipeline.

Two that wrote one table would each find the other's rows absent from its own source and delete them, or overwrite them
where keys meet. So the watermark row says whose a target is, and a second owner is refused before anything is written.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncline.connectors.errors import ConfigError
from syncline.sinks.trial import Change, Trial, record

OURS = Change([record("1")], target="Crm")
THEIRS = Change([record("2")], target="Crm", pipeline="other")


class OwnerLaws:
    """Inherited by ``WarehouseConformance``."""

    def test_the_watermark_row_says_whose_a_target_is_and_by_what_definition(self, trial: Trial) -> None:
        trial.run(OURS)
        warehouse = trial.house.open()
        [mark] = warehouse.watermarks(OURS.pipeline).values()
        warehouse.close()
        assert (mark.target, mark.definition) == ("Crm", "definition")

    def test_a_later_commit_moves_target_and_definition(self, trial: Trial) -> None:
        trial.run(OURS)
        warehouse = trial.house.open()
        unit = trial.stage(warehouse, replace(OURS, target="New"))
        warehouse.commit(replace(unit, marks=[replace(unit.marks[0], definition="changed")]))
        [mark] = warehouse.watermarks(OURS.pipeline).values()
        warehouse.close()
        assert (mark.target, mark.definition) == ("New", "changed")

    @pytest.mark.parametrize("spelling", ["Crm", "cRM"])
    def test_a_target_of_another_pipeline_is_refused_by_both_names_before_anything_is_written(
        self, trial: Trial, spelling: str
    ) -> None:
        trial.run(OURS)
        if spelling != "Crm" and trial.house.open().capabilities.case_sensitive_names:
            trial.run(replace(THEIRS, target=spelling))
            assert list(trial.names(spelling)) == ["2"]
            return
        warehouse = trial.house.open()
        with pytest.raises(ConfigError, match=r"pipeline other.*pipeline trial") as refused:
            warehouse.prepare(
                [
                    replace(THEIRS, stream="B", target="Fresh").plan("run-x"),
                    replace(THEIRS, target=spelling).plan("run-x"),
                ]
            )
        assert warehouse.watermarks("other") == {}
        warehouse.close()
        assert "DELETE FROM _syncline_watermarks WHERE pipeline = 'trial'" in refused.value.hint
        assert list(trial.names("Crm")) == ["1"]
        assert trial.house.read("Fresh") is None, "a refused target stops all of them"

    def test_of_two_pipelines_that_take_one_target_at_once_one_is_refused(self, trial: Trial) -> None:
        """Neither has a watermark row when the other prepares; the transaction looks again, after its fences."""
        one, other = trial.house.open(), trial.house.open()
        slow, fast = trial.stage(one, THEIRS), trial.stage(other, OURS)
        other.commit(fast)
        other.close()
        with pytest.raises(ConfigError, match=r"pipeline other.*pipeline trial"):
            one.commit(slow)
        assert one.watermarks("other") == {}, "the refusal undid the fence"
        one.close()
        assert list(trial.names("Crm")) == ["1"]

    def test_a_stream_that_left_the_pipeline_keeps_its_target(self, trial: Trial) -> None:
        trial.run(OURS)
        with pytest.raises(ConfigError, match="written by stream Account of pipeline trial"):
            trial.run(replace(OURS, stream="Contact"))

    def test_streams_of_one_run_may_swap_their_targets(self, trial: Trial) -> None:
        other = replace(OURS, stream="Contact", target="People", records=[record("9")])
        trial.run(OURS, other)
        trial.run(replace(OURS, target="People", mode="snapshot"), replace(other, target="Crm", mode="snapshot"))
        assert (list(trial.names("People")), list(trial.names("Crm"))) == (["1"], ["9"])

    def test_a_target_left_for_another_is_free(self, trial: Trial) -> None:
        trial.run(OURS)
        trial.run(replace(OURS, target="Elsewhere"))
        trial.run(replace(THEIRS, mode="snapshot"))
        assert list(trial.names("Crm")) == ["2"]
