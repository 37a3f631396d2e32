"""What several interoperability tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.ibcgo import BINARY, GoChain, go_chain


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoChain]:
    """An ibc-go chain; each test makes a ledger and clients of its own beside it."""
    if not BINARY.exists():
        pytest.skip("the ibc-go chain is not built: `make interop` builds it where there is Go")
    with go_chain(tmp_path_factory.mktemp("go"), "simd-1") as chain:
        yield chain
