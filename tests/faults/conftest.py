"""The fault suite counts what it did: the sums stand at the end of its output, and in docs/guarantees.md."""

from collections import Counter

import pytest


@pytest.fixture
def count(record_property):
    """Add to a figure of the suite: ``count("kills survived", 20)``."""
    return lambda name, number=1: record_property(f"faults: {name}", number)


def pytest_terminal_summary(terminalreporter):
    """Print the sums, of all processes that ran tests."""
    sums = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, number in report.user_properties:
            if report.when == "call" and name.startswith("faults: "):
                sums[name.removeprefix("faults: ")] += number
    if sums:
        terminalreporter.section("faults")
    for name, number in sorted(sums.items()):
        terminalreporter.line(f"{number:6,} {name}")
