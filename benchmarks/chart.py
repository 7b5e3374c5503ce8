"""The chart of a report: who loads how fast, for how much CPU, in how much memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.show import NAMES

CASES: Final = ("bulk", "rest")
PANELS: Final = (
    ("rows_per_s", "thousand rows a second", 1e-3),
    ("cpu_s_per_million", "CPU seconds for a million rows", 1.0),
    ("peak_rss_mb", "peak memory, MB", 1.0),
)
OURS: Final = "#2563eb"
OTHERS: Final = "#9ca3af"


def draw(report: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """Writes the chart to each path, in the format of its ending; the same report gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "syncline"
    shown = [each for case in CASES for each in report["measurements"] if each["case"] == case and each["reading"]]
    figure = Figure(figsize=(11, 0.5 + 0.42 * len(shown)), layout="constrained")
    labels = [f"{each['case']}, {NAMES[each['program']]}" for each in shown]
    colours = [OURS if each["program"] == "syncline" else OTHERS for each in shown]
    for axes, (name, title, factor) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS, strict=True):
        bars = axes.barh(labels, [factor * {**each, **each["reading"]}[name] for each in shown], color=colours)
        axes.bar_label(
            bars, fmt=lambda value: f"{value:,.0f}" if value >= 20 else f"{value:.1f}", padding=3, fontsize=8
        )
        axes.set_title(title, fontsize=9, loc="left")
        axes.margins(x=0.2)
        axes.tick_params(labelsize=8, length=0)
        axes.xaxis.set_visible(False)
        axes.spines[:].set_visible(False)
    figure.axes[0].invert_yaxis()
    for path in paths:
        dated = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=110, metadata=dated)
