"""What breaks in other tools, row by row, and the tests that keep it whole here.

The numbers are those of the list of peers' defects that the design rests on. Rows that cannot happen here have a reason
instead of a test.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.checkout

DEFECTS = {
    1: "test_1_2_rows_that_become_visible_below_the_largest_stamp_seen_arrive",
    2: "test_2_13_ties_at_the_boundary_arrive",
    3: "test_3_what_no_increment_can_see_is_found_by_verify",
    4: "test_4_a_result_that_ends_early_is_not_a_success",
    5: "test_after_a_fault_at_any_operation_the_next_run_makes_target_equal_source",
    6: "test_6_the_first_run_reads_from_the_beginning",
    7: "test_a_new_column_is_filled_for_rows_loaded_before",
    8: "test_8_10_a_job_that_does_not_end_well_never_reads_as_no_rows",
    9: "test_9_a_wide_object_arrives_whole_over_rest_and_bulk",
    10: "test_8_10_a_job_that_does_not_end_well_never_reads_as_no_rows",
    11: "test_a_run_killed_while_reading_goes_on_with_the_next_slice",
    12: "test_a_killed_run_goes_on_with_the_pages_that_had_not_landed",
    13: "test_two_changes_within_one_second_both_arrive",
    14: "test_row_14_a_row_committed_late_is_read_by_the_overlap",
    15: "test_windows_of_successive_runs_leave_no_gap_and_never_go_back",
    16: "test_16_44_45_47_odd_time_zones_shift_nothing",
    17: "test_a_failure_before_the_commit_moves_no_watermark",
    19: "test_everything_an_org_does_reaches_the_target",
    20: "test_20_21_a_duplicated_page_or_a_retried_run_leaves_no_duplicates",
    21: "test_20_21_a_duplicated_page_or_a_retried_run_leaves_no_duplicates",
    22: "test_a_lost_reply_to_a_commit_that_stands_is_a_success",
    23: "test_all_streams_commit_together",
    24: "test_an_idle_run_does_not_touch_the_warehouse_although_the_overlap_has_rows",
    25: "test_row_25_merge_without_a_key_is_refused",
    26: "test_of_a_key_staged_twice_the_newest_wins",
    27: "test_of_a_key_staged_twice_the_newest_wins",
    30: "test_30_31_deletes_that_leave_no_trace_are_warned_of_and_healed",
    31: "test_30_31_deletes_that_leave_no_trace_are_warned_of_and_healed",
    32: "test_marked_deletes_keep_the_row_and_an_undelete_clears_the_mark",
    33: "test_everything_an_org_does_reaches_the_target",
    34: "test_an_undeleted_record_is_not_purged_later",
    35: "test_marks_keep_data_are_set_once_and_cleared_by_undelete",
    36: "test_36_38_a_retyped_field_widens_and_never_forks",
    37: "test_37_names_that_snake_case_would_merge_stay_apart",
    38: "test_36_38_a_retyped_field_widens_and_never_forks",
    39: "test_a_column_widens_and_never_forks_types_from_source",
    40: "test_row_40_the_key_is_the_resource_s_whatever_the_incremental_was_given",
    41: "test_41_an_object_that_bulk_refuses_is_read_over_rest",
    42: "test_a_hidden_field_keeps_its_column_and_its_values",
    43: "test_43_blank_and_empty_texts_are_told_apart",
}

CANNOT_HAPPEN = {
    18: "no events are buffered: polling is the truth",
    28: "no history mode changes the shape of a table",
    29: "one engine, one transaction; there are no replicas to fall behind",
}


def test_every_defect_that_applies_has_a_test() -> None:
    files = [*(ROOT / "tests").rglob("*.py"), *ROOT.glob("*/conformance*.py")]
    names = set(re.findall(r"def (test_\w+)", "\n".join(path.read_text() for path in files)))
    assert sorted({*DEFECTS, *CANNOT_HAPPEN}) == list(range(1, 44))
    assert {row: test for row, test in DEFECTS.items() if test not in names} == {}
