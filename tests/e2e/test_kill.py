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
SENDERS = 4  # calls in flight
MOST_OPEN = 100  # below what one grant lets wait, so that a stopped receiver makes no inbox busy (P15)
SETTLE_S = 120.0


async def load(deployment: Deployment, stop: asyncio.Event, numbers: list[int], known: set[bytes]) -> None:
    """Send messages one after the other until told to stop; `known` are those the host has confirmed."""
    while not stop.is_set():
        if await deployment.open() > MOST_OPEN:
            await asyncio.sleep(0.1)
            continue
        body = b"message %d" % numbers[0]
        numbers[0] += 1
        if await deployment.send(body):
            known.add(body)
        else:
            await asyncio.sleep(0.1)


async def storm(deployment: Deployment, kills: int) -> set[bytes]:
    """Kill one party after the other at random moments; returns the bodies whose sending was confirmed."""
    draw = random.Random(SEED)
    stop, numbers, known = asyncio.Event(), [0], set[bytes]()
    sending = [asyncio.create_task(load(deployment, stop, numbers, known)) for _ in range(SENDERS)]
    for _ in range(kills):
        await asyncio.sleep(draw.uniform(0.0, LONGEST_PAUSE_S))
        party = draw.choice(deployment.parties)
        party.kill()
        party.start()
    stop.set()
    await asyncio.gather(*sending)
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
    rows = deployment.sent()
    bodies = [row.body for row in rows]
    assert len(bodies) == len(set(bodies)), "a message was sent twice"
    assert known <= set(bodies), "a confirmed message is gone"
    assert {row.state for row in rows} == {"acknowledged"}, "with an hour to live, every message is answered"
    assert {row.reply for row in rows} == {b"\x01"}
    assert deployment.counted() == dict.fromkeys(bodies, 1)
    for name in ("alpha", "beta"):
        assert deployment.verified(name)["verified"]


def test_P1_P12_twenty_kills_at_random_moments(tmp_path: Path) -> None:
    survive(tmp_path, kills=20)


@pytest.mark.soak
def test_two_hundred_kills_at_random_moments(tmp_path: Path) -> None:
    survive(tmp_path, kills=200)
