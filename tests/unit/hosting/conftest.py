"""Hosts wait for blocks by asking; in one process the answer is there at once."""

from __future__ import annotations

import pytest

from lockgate.hosting import fencing
from lockgate.relay import submitter
from lockgate.relay.chains import cometbft


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitter, "POLL_S", 0)
    monkeypatch.setattr(submitter, "FATE_S", 0.05)
    monkeypatch.setattr(fencing, "NEXT_BLOCK_S", 0.05)
    monkeypatch.setattr(cometbft, "POLL_S", 0)
