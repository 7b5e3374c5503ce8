"""Says at the end of every test run whether live tests ran, and why not: nothing is left out in silence."""

from __future__ import annotations

import os

from _pytest.terminal import TerminalReporter

from tests.live.accounts import NEEDED, lacking


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    ran = {name for name in NEEDED if any(f"live/test_{name.lower()}.py" in id for id in _ids(terminalreporter))}
    missing = [f"{name}: {lacking(name) or 'not among the tests chosen'}" for name in NEEDED if name not in ran]
    if ran:
        terminalreporter.write_line(f"live tests ran against {' and '.join(sorted(ran))}")
    if missing:
        terminalreporter.write_line(f"live tests did not run ({'; '.join(missing)}): see tests/live/README.md")


def _ids(reporter: TerminalReporter) -> list[str]:
    reports = [report for kind in ("passed", "failed", "error", "xfailed") for report in reporter.stats.get(kind, [])]
    return [report.nodeid.replace(os.sep, "/") for report in reports]
