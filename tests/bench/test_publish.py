"""The published figures are those of one report, as the tool tells them; nobody has touched them up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import publish
from benchmarks.chart import draw
from benchmarks.measure import ROOT, Measurement
from benchmarks.meter import Reading
from benchmarks.served import HEADS
from benchmarks.show import machine, report_of

pytestmark = pytest.mark.checkout

UNPUBLISHED = "The tool has published no whole run into this page yet"


def measured(case: str, program: str, wall_s: float, cpu_s: float, peak_mb: float) -> Measurement:
    return Measurement(case, program, Reading(1_000_000, wall_s, cpu_s, peak_mb, 0.0), wall_s + 1, 2.0)


@pytest.fixture
def report() -> Any:
    """What the bench would write after a run in which one goal is met, one is not, and one program failed."""
    found = [
        measured("bulk", "plain_csv", 4.0, 6.0, 900.0),
        measured("bulk", "syncline", 5.0, 6.6, 512.0),
        measured("rest", "syncline", 10.0, 9.0, 400.0),
        measured("a tenth changed", "syncline", 1.5, 1.25, 333.0),
        Measurement("bulk", "dlt", None, 3.0, 0.1, "MemoryError: no more"),
    ]
    wire = {"target": "Postgres", "run": "first load", **dict.fromkeys(HEADS.values(), 47_955_260)}
    return json.loads(json.dumps({**report_of(found, 1_000_000, machine()), "served": [wire]}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The pages of this checkout, and nothing else of it."""
    for name in (publish.README, publish.PAGE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "benchmarks").mkdir()
    return tmp_path


def holds(root: Path) -> None:
    """The pages, the charts and the last line of history are those of the report that is kept beside them."""
    report = json.loads((root / publish.PUBLISHED).read_bytes())
    readme, page = (root / publish.README).read_text(), (root / publish.PAGE).read_text()
    assert publish.put(readme, "bench", publish.front(report)) == readme
    assert publish.put(page, "bench", publish.figures(report)) == page
    assert publish.put(page, "served", publish.served(report)) == page
    assert all((root / name).exists() for name in publish.CHARTS)
    lines = [json.loads(each) for each in (root / publish.HISTORY).read_text().splitlines()]
    assert lines[-1] == json.loads(json.dumps(publish.line(report)))
    assert [each["at"] for each in lines] == sorted(each["at"] for each in lines)


def test_the_pages_of_this_checkout_show_the_published_report_or_say_that_there_is_none() -> None:
    if (ROOT / publish.PUBLISHED).exists():
        holds(ROOT)
        return
    readme = (ROOT / publish.README).read_text()
    assert publish.put(readme, "bench", "") != readme
    assert UNPUBLISHED in readme
    assert not (ROOT / publish.HISTORY).exists()


def test_a_report_is_published_into_every_page_chart_and_history_and_the_next_one_in_its_place(
    report: Any, root: Path
) -> None:
    publish.publish(report, root)
    holds(root)
    first = (root / publish.README).read_text()
    assert UNPUBLISHED not in first
    publish.publish({**report, "rows": 2_000_000}, root)
    holds(root)
    assert len((root / publish.HISTORY).read_text().splitlines()) == 2
    assert (root / publish.README).read_text() == first.replace("1,000,000 records", "2,000,000 records")


def test_what_the_links_of_the_published_parts_name_is_there(report: Any, root: Path) -> None:
    publish.publish(report, root)
    for name, text in ((publish.README, publish.front(report)), (publish.PAGE, publish.figures(report))):
        links = re.findall(r"\]\(([^)#]+)\)", text)
        assert links
        assert all(((root / name).parent / each).is_file() for each in links)


def test_the_readme_s_table_carries_date_machine_and_command(report: Any) -> None:
    text = publish.front(report)
    assert report["at"][:10] in text
    assert f"{report['machine']['cpus']} cores" in text
    assert " ".join(report["command"]) in text
    assert "| bulk | **Syncline** | 200,000 | 6.6 | 512 |" in text.splitlines()
    assert "| a tenth changed | **Syncline** | 666,667 | 1.2 | 333 |" in text.splitlines()


def test_goals_that_are_not_met_and_programs_that_failed_are_told(report: Any) -> None:
    lines = publish.figures(report).splitlines()
    unmet = {each["name"] for each in report["goals"] if each["met"] is False}
    assert "Bulk: rows/s over the CSV limit script's" in unmet
    assert unmet == {each.split(" | ")[0].removeprefix("| ") for each in lines if each.endswith("| **not met** |")}
    assert any(each.startswith("| bulk | dlt | failed |") for each in lines)


def test_the_chart_is_drawn_from_the_report(report: Any, tmp_path: Path) -> None:
    """The same report gives the same bytes, and one with other figures another chart."""
    drawn = [tmp_path / name for name in ("one.svg", "again.svg", "one.png")]
    draw(report, drawn)
    assert drawn[0].read_bytes() == drawn[1].read_bytes()
    assert drawn[2].read_bytes().startswith(b"\x89PNG")
    halved = {
        **report,
        "measurements": [{**each, "rows_per_s": each["rows_per_s"] / 2} for each in report["measurements"]],
    }
    draw(halved, [tmp_path / "halved.svg"])
    assert (tmp_path / "halved.svg").read_bytes() != drawn[0].read_bytes()


def test_a_page_without_marks_is_refused_before_anything_is_written(report: Any, root: Path) -> None:
    (root / publish.PAGE).write_text("no marks\n")
    readme = (root / publish.README).read_bytes()
    with pytest.raises(ValueError, match="has not the marks"):
        publish.publish(report, root)
    assert (root / publish.README).read_bytes() == readme
    assert not any((root / name).exists() for name in (*publish.CHARTS, publish.PUBLISHED, publish.HISTORY))
