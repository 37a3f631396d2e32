"""What tests say to two hosts that talk in sessions, and what they look at."""

from __future__ import annotations

import asyncio
from typing import Any

from lockgate.envelope.binding import SenderChoice
from lockgate.envelope.outside import inspect_envelope
from tests.support.hosts import HostWorld, Side


async def ask(world: HostWorld, side: Side, body: bytes, timeout_s: int = 600) -> dict[str, Any]:
    """Send a message and bring everything across that it takes, handshakes included."""
    task = asyncio.ensure_future(side.host.send(world.other(side).name, "probe@1.0", body, timeout_s))
    await asyncio.sleep(0)
    for _ in range(60):
        await world.settle()
        await asyncio.sleep(0)
        if task.done():
            break
        world.clock.advance(2_100_000_000)
    await world.settle()
    return await asyncio.wait_for(task, 1)


def choices(world: HostWorld, side: Side) -> list[SenderChoice]:
    """What the envelopes of every message that left a side name on their outside, oldest first."""
    side.relayed = 0
    return [inspect_envelope(packet.payloads[0].value).choice for packet in world.sent(side)]


def session(side: Side) -> dict[str, Any]:
    """The one session that a host holds."""
    (one,) = side.host.status()["sessions"]
    return one


async def restarted(world: HostWorld, side: Side, **copies: Any) -> None:
    """The host's process ended, and another one starts from its files, or from copies of them."""
    side.host = world.make(side, **copies)
    await side.host.start()
