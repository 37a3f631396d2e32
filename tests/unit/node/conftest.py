"""Key files of these tests are cheap to open: what stretching costs, and that it is done, has tests of its own."""

from __future__ import annotations

import pytest

from lockgate.keystore import opening


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "DEFAULT_COST", opening.RANDOM_COST)
