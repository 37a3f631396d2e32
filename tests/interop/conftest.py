"""What several interoperability tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.ibcgo import BINARY, GoChain, go_chain


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoChain]:
    """An ibc-go chain; each test makes a ledger and clients of its own beside it."""
    if not BINARY.exists():
        pytest.skip("the ibc-go chain is not built: `make interop` builds it where there is Go")
    with go_chain(tmp_path_factory.mktemp("go"), "simd-1") as chain:
        yield chain


_SAID: list[str] = []


@pytest.fixture
def proved() -> Callable[[str], None]:
    """Takes one sentence that stands at the end of the run: what a test has shown."""
    return _SAID.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _SAID:
        terminalreporter.section("proved")
    for sentence in _SAID:
        terminalreporter.write_line(sentence)
