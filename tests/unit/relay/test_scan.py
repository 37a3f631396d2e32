"""A scan asks few questions, whatever stands on the ledgers, and believes no event that state does not confirm."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import lockgate.relay.watch as watching
from lockgate.courier.plan import Phase
from lockgate.engines.embedded.service import LedgerService
from lockgate.ibc import events as ibc_events
from lockgate.lab.rpc import LabRpc
from lockgate.machine.genesis import Parameters
from lockgate.primitives.ids import ClientId
from lockgate.primitives.state import Event
from lockgate.primitives.time import seconds
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.scan import PER_PAGE, EventSearch
from lockgate.relay.watch import Watch
from tests.support.lab import World
from tests.support.relays import FaultyRpc, Pair


def watch(pair: Pair) -> Watch:
    one, other = pair.endpoint(pair.a, "r"), pair.endpoint(pair.b, "r")
    return Watch(one.chain, other.chain, one.client, other.client)


@pytest.mark.parametrize("per_tx", [1, 40])
def test_calls_grow_with_pages_not_with_packets(per_tx: int) -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(200, per_tx=per_tx)
            await pair.until(lambda: len(pair.open_packets()) == 200)
            subject = watch(pair)
            before = sum(sum(rpc.served.values()) for rpc in pair.served)
            assert await subject.scan() == 200
            calls = sum(sum(rpc.served.values()) for rpc in pair.served) - before
            pages = -(-200 // per_tx) // PER_PAGE + 1
            assert calls <= pages + 6
            assert await subject.scan() == 0, "again: nothing is new"

    asyncio.run(work())


def test_a_search_jumps_over_what_it_does_not_want() -> None:
    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            for _ in range(150):
                pair.send()
                await asyncio.sleep(0)
            await pair.until(lambda: len(pair.open_packets()) == 150)
            end = pair.endpoint(pair.a, "r")
            search = EventSearch(
                end.chain, ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, end.client, lambda _: True
            )
            assert sorted(await search.find({2, 149})) == [2, 149]
            assert search.pages <= 5

    asyncio.run(work())


def test_answers_that_no_transaction_wrote_are_found_in_blocks() -> None:
    """The deadline's error acknowledgement is a block's own event (I6)."""

    async def work() -> None:
        world = World.make(Parameters(default_grace_ns=seconds(5)))
        packets = [world.send() for _ in range(3)]
        for packet in packets:
            assert world.deliver(packet).code == 0
        world.clock.advance(seconds(30))
        world.b.ledger.chain.produce([])
        world.b.ledger.chain.produce([])
        chains = [
            CometBftChain(LabRpc.of(LedgerService(end.ledger.chain)), end.ledger.genesis.chain_id)
            for end in (world.a, world.b)
        ]
        subject = Watch(*chains, ClientId(world.a.client), ClientId(world.b.client))
        assert await subject.scan() == 3
        assert {track.phase for track in subject.tracks.values()} == {Phase.ANSWERED}

    asyncio.run(work())


def test_a_packet_whose_bytes_no_node_remembers_is_counted_not_guessed() -> None:
    def forgetful(method: str, params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        return {"txs": [], "blocks": [], "total_count": "0"} if method in {"tx_search", "block_search"} else result

    async def work() -> None:
        pair = Pair.make()
        async with pair.running():
            pair.send(3)
            await pair.until(lambda: len(pair.open_packets()) == 3)
            subject = watch(pair)
            subject.source = CometBftChain(FaultyRpc(pair.rpc(pair.a), spoil=forgetful), "alpha-1")
            assert await subject.scan() == 0
            assert (subject.unknown, subject.tracks) == ({1, 2, 3}, {})

    asyncio.run(work())


@pytest.mark.parametrize(
    "attributes",
    [
        (),
        (("packet_sequence", "1"),),
        (("packet_sequence", "-1"), ("encoded_packet_hex", "00")),
        (("packet_sequence", "9" * 40), ("encoded_packet_hex", "zz")),
        (("packet_sequence", "٣"), ("encoded_packet_hex", "0801")),
        (("packet_sequence", "1"), ("encoded_acknowledgement_hex", "ff")),
        (("encoded_packet_hex", "ff" * 64), ("encoded_acknowledgement_hex", "x")),
    ],
)
def test_events_from_a_hostile_node_are_passed_over(attributes: tuple[tuple[str, str], ...]) -> None:
    pair = Pair.make()
    subject = watch(pair)
    names = (("packet_source_client", pair.a.client), ("packet_dest_client", pair.b.client))
    for kind in ("send_packet", "recv_packet", "write_acknowledgement", "acknowledge_packet", "timeout_packet"):
        event = Event(kind, (*names, *attributes))
        subject.on_source([event], pair.a.ledger.at(3))
        subject.on_destination([event], pair.a.ledger.at(3))
    assert subject.tracks == {}
    assert len(subject._early) <= watching.EARLY_KEPT
