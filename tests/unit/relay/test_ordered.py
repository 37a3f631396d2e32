"""A relayer over ordered lanes: each sender's packets arrive in his order, and one that waits costs no other (S45)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from lockgate.engines.embedded.service import LedgerService
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.paths import End
from lockgate.lab.rpc import LabRpc
from lockgate.machine import inbox
from lockgate.machine.records import LaneOrder
from lockgate.primitives.ids import ClientId
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.driver import Relayer
from lockgate.relay.endpoint import EndPoint
from lockgate.relay.submitter import AccountSubmitter
from tests.support.lab import World, account
from tests.support.relays import RELAY_LANE, relaying

BLOCKED_S = 2  # timeout of a packet that is never delivered


class Ledgers:
    """A world whose two ledgers run as services, with a second sender beside the world's own."""

    def __init__(self, order: LaneOrder) -> None:
        self.world = World.make(order=order)
        self.order = order
        self.services = [LedgerService(end.ledger.chain, heartbeat_s=0.1) for end in (self.world.a, self.world.b)]
        self.other = LabEndpoint(b"another", (self.world.host_a.id,))
        w = self.world
        w.a.ledger.transact(w.host_a, self.other.register(), self.other.take_fence())
        w.b.ledger.transact(w.host_b, w.receiver.grant(w.lane, self.other))

    def relayer(self, hide: Callable[[int], bool] = lambda _: False) -> Relayer:
        """`hide` says which sequences this relayer never delivers."""
        ends = [
            self._endpoint(end, service)
            for end, service in zip((self.world.a, self.world.b), self.services, strict=True)
        ]
        relayer = Relayer(ends[0], ends[1], lambda *_: None, SeededEntropy(b"relayer"))
        quarantine = relayer.directions[0].quarantine
        held = quarantine.held
        quarantine.held = lambda now: held(now) | set(filter(hide, range(1, 100)))  # type: ignore[method-assign]
        return relayer

    def _endpoint(self, end: End, service: LedgerService) -> EndPoint:
        chain = CometBftChain(LabRpc.of(service), end.ledger.genesis.chain_id)
        key = account("relayer").key
        submitter = AccountSubmitter(chain, end.ledger.genesis.domain_id, key.public_key, key.sign, RELAY_LANE)
        return EndPoint(chain, submitter, ClientId(end.client), order=self.order)

    def send(self, sender: LabEndpoint, timeout_s: int = 600) -> None:
        w = self.world
        now_s = max(w.clock.now(), w.a.ledger.chain.time) // 10**9
        sending = sender.sending(w.a.client, w.receiver, now_s + timeout_s, b"sealed")
        result = self.services[0].submit(w.a.ledger.signed(w.host_a, [sender.advance(sending)]))[1]
        assert result.code == 0, result.log

    def arrived(self) -> list[int]:
        """Sequences in the order in which they were received."""
        entries = inbox.every(self.world.b.ledger.chain.view())
        return [sequence for _, sequence, _ in sorted(entries, key=lambda found: (found[2].received_height, found[1]))]

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("order", [LaneOrder.ORDERED, LaneOrder.GAPS], ids=["ordered", "gaps"])
def test_packets_of_two_senders_arrive_in_order(order: LaneOrder) -> None:
    async def work() -> None:
        ledgers = Ledgers(order)
        relayer = ledgers.relayer()
        tasks = [asyncio.create_task(service.run()) for service in ledgers.services]
        try:
            async with relaying(relayer):
                for _ in range(8):
                    ledgers.send(ledgers.world.sender)
                    ledgers.send(ledgers.other)
                await ledgers.until(lambda: len(ledgers.arrived()) == 16)
        finally:
            for task in tasks:
                task.cancel()
        assert ledgers.arrived() == list(range(1, 17))
        assert relayer.counters.failures == 0

    asyncio.run(work())


def test_with_a_packet_withheld_only_its_sender_waits() -> None:
    """The head-of-line attack on the relayer: what cannot go is not submitted, and the rest goes on."""

    async def work() -> None:
        ledgers = Ledgers(LaneOrder.ORDERED)
        relayer = ledgers.relayer(hide=lambda sequence: sequence == 1)
        tasks = [asyncio.create_task(service.run()) for service in ledgers.services]
        try:
            async with relaying(relayer):
                ledgers.send(ledgers.other)  # 1, withheld
                for _ in range(3):
                    ledgers.send(ledgers.other)  # 2, 4, 6
                    ledgers.send(ledgers.world.sender)  # 3, 5, 7
                await ledgers.until(lambda: len(ledgers.arrived()) == 3)
                await asyncio.sleep(1.5)  # time for another try
        finally:
            for task in tasks:
                task.cancel()
        assert ledgers.arrived() == [3, 5, 7]
        assert relayer.counters.failures == 0
        assert not list(relayer.directions[0].quarantine.parked())

    asyncio.run(work())
