"""`kill -9` at random moments of ledger, host and relayer, under load (P1, P12; S3).

Every message acts exactly once, nothing is lost, and each ledger's app hashes are what running its blocks
again gives. Twenty kills with the other tests, two hundred in `make soak`; a seed decides who and when.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.support.deployment import Deployment

SEED = int(os.environ.get("LOCKGATE_KILL_SEED", "1"))
LONGEST_PAUSE_S = 3.0  # between two kills: some fall into a start, some into full work
SETTLE_S = 120.0


async def storm(deployment: Deployment, kills: int) -> set[bytes]:
    """Kill one party after the other at random moments; returns the bodies whose sending was confirmed."""
    draw = random.Random(SEED)
    await deployment.party("host-sender").said("ready")
    async with deployment.load() as known:
        await deployment.acknowledged(1)  # in a session, which every process has to take up again
        for _ in range(kills):
            await asyncio.sleep(draw.uniform(0.0, LONGEST_PAUSE_S))
            party = draw.choice(deployment.parties)
            party.kill()
            party.start()
    return known


def survive(folder: Path, kills: int) -> None:
    deployment = Deployment(folder)

    async def work() -> set[bytes]:
        await deployment.set_up()
        deployment.start()
        try:
            known = await storm(deployment, kills)
            await deployment.settled(SETTLE_S + kills)
        finally:
            deployment.stop()
        return known

    known = asyncio.run(work())
    deployment.acted_once(known)
    for name in ("alpha", "beta"):
        assert deployment.verified(name)["verified"]


def test_P1_P12_twenty_kills_at_random_moments(tmp_path: Path) -> None:
    survive(tmp_path, kills=20)


@pytest.mark.soak
def test_two_hundred_kills_at_random_moments(tmp_path: Path) -> None:
    survive(tmp_path, kills=200)
