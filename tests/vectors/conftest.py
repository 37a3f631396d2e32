"""Prints one line per third-party case set at the end of the run, also under xdist."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vectors.sets import REPORTS


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    before = len(REPORTS) if call.when == "setup" else None
    outcome = yield
    report = outcome.get_result()
    if before is None and call.when == "call" and REPORTS:
        report.user_properties.append(("vector-sets", list(REPORTS)))
        REPORTS.clear()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    lines = [
        line
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "vector-sets"
        for line in value
    ]
    if lines:
        terminalreporter.section("third-party case sets: topic/set passed/absent/total")
        for line in lines:
            terminalreporter.line(line)
