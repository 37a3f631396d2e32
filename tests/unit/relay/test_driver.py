"""A relayer between two ledgers: every packet ends, once, whatever the relayer has seen of it."""

from __future__ import annotations

import asyncio

from tests.support.relays import Pair, relaying


def test_packets_of_both_directions_end() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running(), relaying(pair.relayer()) as (relayer,):
            await relayer._scanned.wait()
            pair.send(20)
            pair.send(5, on=pair.b)
            await pair.until(lambda: pair.count_events(pair.a, "acknowledge_packet") == 20)
            await pair.until(lambda: pair.count_events(pair.b, "acknowledge_packet") == 5)
        assert pair.open_packets() == pair.open_packets(pair.b) == []
        assert (relayer.counters.received, relayer.counters.acknowledged) == (25, 25)
        assert relayer.counters.failures == 0

    asyncio.run(work())
