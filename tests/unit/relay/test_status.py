"""What people are shown: how much waits, for how long, on whom, and how old the clients are."""

from __future__ import annotations

import asyncio

import pytest

from lockgate.courier import quarantine
from lockgate.node.relay import rows
from lockgate.primitives.time import seconds
from tests.support.relays import Pair, relaying


def test_a_status_from_the_ledgers_alone() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.02)
        async with pair.running():
            pair.send(4)
            pair.send(timeout_s=1)
            await pair.until(lambda: len(pair.open_packets()) == 5)
            pair.clock.advance(seconds(90))
            await pair.until(lambda: pair.a.ledger.chain.time >= pair.clock.now())
            relayer = pair.relayer()
            await relayer.look()
            status = relayer.status()
        part = status["directions"]["alpha-1 to beta-1"]
        assert (part["in_flight"], part["live"], part["backlog"]) == (5, 0, 5)
        assert 89 < part["oldest_pending_s"] < 95
        end = status["clients"]["beta-1"]
        assert end["status"] == "Active"
        assert 0 < end["age_of_trusting_period"] < 0.01
        assert status["counters"]["seen"] == 5
        assert pair.received() == [], "looking moves nothing"
        text = "\n".join(" ".join(row) for row in rows({"from": "the ledgers", **status}))
        assert "5 in flight (0 live, 5 backlog), the oldest for 9" in text

    asyncio.run(work())


def test_what_is_parked_and_what_waits_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(quarantine, "PARK_AFTER", 2)

    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(pair.relayer()) as (relayer,):
            await relayer.ready.wait()
            pair.send(body=b"poison")
            pair.send(timeout_s=2)  # too close to deliver, and time stands still
            await pair.until(lambda: bool(pair.reported("parked")) and pair.open_packets() == [1, 2])
            status = relayer.status()
        text = "\n".join(" ".join(row) for row in rows({"left": 2, **status}))
        assert "packet 1 is parked: machine.fault" in text
        assert "1 wait on nobody: too close to its timeout to deliver; it will time out" in text

    asyncio.run(work())
