"""Clients stay fresh on both sides, people hear when one does not, and finished packets are forgotten by proof."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.engines.embedded.service import LedgerService
from lockgate.ibc import host
from lockgate.lab.entropy import SeededEntropy
from lockgate.lab.rpc import LabRpc
from lockgate.machine.errors import NotPrunable
from lockgate.machine.pruning import watermark_key
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import seconds
from lockgate.relay import care as caring
from lockgate.relay.care import Care, ClientSuspended
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.direction import Direction
from lockgate.relay.driver import EndPoint, Relayer
from lockgate.relay.endpoint import Slot
from lockgate.relay.kinds import Updaters
from lockgate.relay.submitter import AccountSubmitter
from tests.support.lab import World
from tests.support.relays import RELAY_LANE, Pair, account, relaying

PERIOD = seconds(300)
TOLD = ((0.55, "client_not_refreshed"), (0.8, "client_close_to_expiry"), (1.05, "client_suspended"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caring, "EVERY_S", 0.05)


def test_both_clients_are_refreshed_before_they_expire_without_any_packet() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.02, trusting=PERIOD)
        async with pair.running(), relaying(pair.relayer()) as (relayer,):
            await relayer.ready.wait()
            for _ in range(8):  # 960 s altogether: three trusting periods
                before = relayer.counters.refreshes
                pair.clock.advance(seconds(120))
                await pair.until(lambda before=before: relayer.counters.refreshes >= before + 2)  # type: ignore[misc]
            for end in relayer.ends:
                await end.see_tip()
                await end.refresh()
                assert end.side().client_status == "Active"
                assert end.side().client_age < 0.5
        assert pair.reported("client_suspended") == []

    asyncio.run(work())


def test_a_client_is_left_alone_before_a_third_of_its_period() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.02, trusting=PERIOD)
        async with pair.running(), relaying(pair.relayer()) as (relayer,):
            await relayer.ready.wait()
            pair.clock.advance(seconds(90))
            await asyncio.sleep(0.3)
            assert relayer.counters.refreshes == 0

    asyncio.run(work())


def test_p14_age_is_told_at_a_half_and_three_quarters_and_expiry_suspends() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.02, trusting=PERIOD)
        async with pair.running():
            relayer = pair.relayer()
            await relayer.look()
            care: Care = relayer._care
            on, of = relayer.ends[1], relayer.ends[0]
            for share, kind in (
                (0.55, "client_not_refreshed"),
                (0.8, "client_close_to_expiry"),
                (1.05, "client_suspended"),
            ):
                assert on.tracked is not None
                on.time = type(on.time)(on.tracked.latest_time + int(share * PERIOD))
                of.height = on.tracked.latest  # alpha gives no newer header
                for _ in range(3):
                    await care._refresh(on, of)
                assert [name for name, _ in pair.reports] == [kind], "told once"
                pair.reports.clear()

    asyncio.run(work())


def test_p14_packets_over_an_expired_client_are_suspended_with_who_must_act() -> None:
    async def work() -> None:
        pair = Pair.make(heartbeat_s=0.02, trusting=PERIOD)
        async with pair.running():
            pair.send(2, timeout_s=5_000)
            await pair.until(lambda: len(pair.open_packets()) == 2)
            pair.clock.advance(seconds(400))
            await pair.until(lambda: pair.b.ledger.chain.time >= pair.clock.now())
            relayer = pair.relayer()
            assert await relayer.clear() == 2
            assert pair.received() == []
            (held,) = relayer.status()["directions"]["alpha-1 to beta-1"]["suspended"][-1:]
            assert (held["status"], held["who"], held["count"]) == ("Expired", "the ledger's authority", 2)
            await relayer._care.work()
            assert {fields["code"] for fields in pair.reported("client_suspended")} == {ClientSuspended.code}
        assert relayer.counters.transactions == 0, "nothing was wasted on a dead client"

    asyncio.run(work())


class Own:
    """Own lanes between endpoints (`tests.support.lab`), with services and a relayer that prunes."""

    def __init__(self) -> None:
        self.world = World.make()
        self.ends = (self.world.a, self.world.b)
        self.services = [LedgerService(end.ledger.chain, heartbeat_s=0.05) for end in self.ends]
        self.reports: list[tuple[str, dict[str, object]]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Relayer]:
        tasks = [asyncio.create_task(service.run()) for service in self.services]
        try:
            yield self.relayer()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def relayer(self) -> Relayer:
        found = []
        for end, service in zip(self.ends, self.services, strict=True):
            chain = CometBftChain(LabRpc.of(service), end.ledger.genesis.chain_id)
            key = account("relayer").key
            submitter = AccountSubmitter(chain, end.ledger.genesis.domain_id, key.public_key, key.sign, RELAY_LANE)
            found.append(EndPoint(chain, submitter, ClientId(end.client)))
        return Relayer(*found, lambda kind, fields: self.reports.append((kind, fields)), SeededEntropy(b"relayer"))

    def watermark(self) -> int:
        view = self.world.b.ledger.chain.view()
        return int.from_bytes(view.get("lane", watermark_key(self.world.b.client)) or b"", "big")

    async def answered(self, relayer: Relayer, count: int) -> None:
        """Send packets, have them delivered, answered by their host, and acknowledged."""
        packets = [self.world.send() for _ in range(count)]
        await relayer.clear()
        for packet in packets:
            assert self.world.answer(packet).code == 0
        assert await relayer.clear() == 0


@pytest.fixture
def own() -> Own:
    return Own()


def test_i15_finished_packets_are_pruned_by_proof_and_the_newest_stay(own: Own) -> None:
    async def work() -> None:
        async with own.running() as relayer:
            await own.answered(relayer, 6)
            direction = relayer.directions[0]
            assert not await relayer._care.prune(direction, 4, 3), "too few have gathered"
            assert own.watermark() == 0
            assert not await relayer._care.prune(direction, 6, 1)
            assert await relayer._care.prune(direction, 4, 2)
            assert own.watermark() == 4
            assert relayer.counters.pruned == 4
            received = await direction.dest.chain.received(direction.dest.client, range(1, 7))
            assert received >= {5, 6}
            assert not await relayer._care.prune(direction, 1, 2), "nothing left but what is kept"

    asyncio.run(work())


def test_i15_an_open_packet_ends_the_run(own: Own) -> None:
    async def work() -> None:
        async with own.running() as relayer:
            await own.answered(relayer, 3)
            own.world.send()  # open
            relayer_two = own.relayer()
            await relayer_two.look()
            assert await relayer_two._care.prune(relayer_two.directions[0], 1, 0)
            assert own.watermark() == 3

    asyncio.run(work())


def test_i15_a_packet_that_timed_out_does_not_hold_up_the_run(own: Own) -> None:
    async def work() -> None:
        async with own.running() as relayer:
            await own.answered(relayer, 2)
            own.world.send(timeout_s=50)
            own.world.clock.advance(seconds(60))
            for end in own.ends:
                end.ledger.chain.produce([])
            assert await relayer.clear() == 0, "timed out"
            await own.answered(relayer, 2)
            assert await relayer._care.prune(relayer.directions[0], 1, 0)
            assert own.watermark() == 5

    asyncio.run(work())


def test_i15_sequences_that_were_never_sent_cannot_be_forgotten(own: Own) -> None:
    """Their commitments are absent as well: a watermark above them would refuse packets still to come."""

    async def work() -> None:
        async with own.running() as relayer:
            await own.answered(relayer, 2)
            source, dest = relayer.ends
            await source.see_tip()
            assert dest.tracked is not None
            ground = await source.updater.reach(dest.tracked, source.height, dest.time)
            submitter = dest.submitters[Slot.CARE]
            for last in (3, 2):
                key = host.packet_commitment(source.client, last)
                proof = (await source.chain.prove("ibc", key, ground.height)).proof
                run = {"client": dest.client, "first": 1, "last": last}
                message = {**run, "height": str(ground.height), "proof": proof}
                done = await submitter.submit([*ground.updates(dest.client, submitter.signer), ("lane.prune", message)])
                assert (done.code == 0) == (last == 2)
                assert own.watermark() == (2 if last == 2 else 0)
                assert last == 2 or NotPrunable.code in done.log

    asyncio.run(work())


def test_i15_a_running_relayer_prunes_when_enough_have_finished(own: Own) -> None:
    async def work() -> None:
        async with own.running() as relayer:
            relayer._care.prune_after, relayer._care.keep_finished = 3, 1
            await own.answered(relayer, 5)
            async with relaying(relayer):
                async with asyncio.timeout(10):
                    while own.watermark() < 4:
                        await asyncio.sleep(0.02)

    asyncio.run(work())


def test_i15_where_few_finish_an_hour_is_enough(own: Own) -> None:
    async def work() -> None:
        async with own.running() as relayer:
            now = [0.0]
            care = relayer._care
            care.clock, care.keep_finished = lambda: now[0], 1
            await own.answered(relayer, 5)
            (direction, _) = relayer.directions
            care.ended(direction, 5)
            await care.work()
            now[0] = caring.PRUNE_EVERY_S - 1
            await care.work()
            assert own.watermark() == 0
            now[0] = caring.PRUNE_EVERY_S
            await care.work()
            assert own.watermark() == 4
            now[0] *= 3
            before = relayer.counters.transactions
            await care.work()
            assert (own.watermark(), relayer.counters.transactions) == (4, before), "nothing has finished since"

    asyncio.run(work())


def test_i15_a_pruning_that_fails_is_due_again_and_holds_up_nothing_else(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with own.running() as relayer:
            care = relayer._care
            await own.answered(relayer, 5)
            care.prune_after, care.keep_finished = 3, 1
            for direction in relayer.directions:
                care.ended(direction, 3)
            tried: list[str] = []
            prune = Care.prune

            async def failing(self: Care, direction: Direction, at_least: int, keep: int) -> bool:
                tried.append(direction.name)
                if len(tried) == 1:
                    self.ended(direction, 2)  # while it was tried
                    raise ChainUnavailable("just now")
                return await prune(self, direction, at_least, keep)

            monkeypatch.setattr(Care, "prune", failing)
            with pytest.raises(ChainUnavailable):
                await care.work()
            assert own.watermark() == 0
            assert set(tried) == {direction.name for direction in relayer.directions}, "the other one was looked at"
            await care.work()
            assert own.watermark() == 4

    asyncio.run(work())


def test_a_client_is_refreshed_although_the_other_one_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the second expires because of what ails the first."""

    async def work() -> None:
        pair = Pair.make(trusting=seconds(300))
        async with pair.running():
            relayer = pair.relayer()
            await relayer.look()
            pair.clock.advance(seconds(120))
            await pair.until(lambda: all(end.ledger.chain.time >= pair.clock.now() for end in (pair.a, pair.b)))
            for end in relayer.ends:
                await end.see_tip()
            reach = Updaters.reach

            async def silent(self: Updaters, *asked: Any) -> Any:
                if self is relayer.ends[1].updater:
                    raise ChainUnavailable("nobody attests it")
                return await reach(self, *asked)

            monkeypatch.setattr(Updaters, "reach", silent)
            with pytest.raises(ChainUnavailable):
                await relayer._care.work()
            assert relayer.counters.refreshes == 1

    asyncio.run(work())
