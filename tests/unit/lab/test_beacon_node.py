"""What a lab beacon's node tells light clients, and how an EVM node's blocks become its own."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

import pytest

from lockgate.codec import rlp
from lockgate.crypto.keccak import keccak256
from lockgate.lab.beacon import Beacon, minimal_network
from lockgate.lab.beacon_blocks import ALWAYS, HASHES, LATER, NotThisBlock
from lockgate.lab.beacon_node import BeaconNode, EvmSlots
from lockgate.lightclients.ethereum import json_form, sync
from lockgate.lightclients.ethereum.containers import NO_HEADER
from lockgate.relay.chains.evm.node import Call
from tests.support.beacons import EPOCH, GENESIS_TIME, PERIOD, beacon
from tests.unit.lab.test_beacon_blocks import BLOCK

EVERY = range(1, 3 * PERIOD + 20)


def through_json(update: Any) -> Any:
    return json_form.update_from_json(json_form.update_to_json(update), 32)


def test_a_client_follows_from_a_final_block_over_three_periods() -> None:
    chain = beacon(EVERY)
    node = BeaconNode(chain)
    root = chain.blocks[3 * EPOCH].header.beacon.root
    start = node.bootstrap(root)
    assert start is not None
    start = json_form.bootstrap_from_json(json_form.bootstrap_to_json(start), 32)
    store, now = sync.start(chain.network, start, root), max(EVERY)
    for period in range(3):
        update = node.best_update(period)
        assert update is not None
        assert chain.network.period(update.finalized_header.beacon.slot) == period
        store = sync.process_update(chain.network, store, through_json(update), now)
    newest = node.finality_update()
    assert newest is not None
    assert newest.next_sync_committee is None
    store = sync.process_update(chain.network, store, through_json(newest), now)
    assert store.finalized_header.beacon.slot == 3 * PERIOD
    assert store.current_sync_committee == chain.committee(3)


def test_a_header_is_signed_in_the_next_block_whenever_that_comes() -> None:
    chain = beacon([1, 2, 5, 9])
    node = BeaconNode(chain)
    update = node.optimistic_update()
    assert update is not None
    assert (update.attested_header.beacon.slot, update.signature_slot) == (5, 9)
    assert (update.finalized_header, update.finality_branch) == (NO_HEADER, ())
    assert node.finality_update() is None, "genesis alone is final"
    chain.propose(12, chain.blocks[9].header.execution)
    later = node.optimistic_update()
    assert later is not None
    assert (later.attested_header.beacon.slot, later.signature_slot) == (9, 12)


def test_what_is_not_there_is_not_told() -> None:
    chain = beacon([1])
    node = BeaconNode(chain)
    assert node.optimistic_update() is None
    assert node.finality_update() is None
    assert node.best_update(0) is None
    chain = beacon(EVERY)
    node = BeaconNode(chain)
    assert node.best_update(9) is None
    assert node.bootstrap(bytes(32)) is None
    newest = chain.blocks[max(EVERY)].header.beacon.root
    assert node.bootstrap(newest) is None, "it is not final"


def test_few_participants_are_what_the_node_says_they_are() -> None:
    update = BeaconNode(beacon(EVERY), participants=21).finality_update()
    assert update is not None
    assert update.sync_aggregate.participants == 21


class Miner:
    """Meets `EvmCalls`: blocks without transactions, whose hashes are right."""

    def __init__(self) -> None:
        self.blocks = [self.sealed({**BLOCK, "transactions": []})]
        self.time = 0

    @staticmethod
    def sealed(block: dict[str, Any]) -> dict[str, Any]:
        def field(name: str) -> bytes:
            if name in HASHES:
                return bytes.fromhex(block[name][2:])
            number = int(block[name], 16)
            return number.to_bytes((number.bit_length() + 7) // 8)

        return {**block, "hash": "0x" + keccak256(rlp.encode(tuple(map(field, (*ALWAYS, *LATER))))).hex()}

    def mine(self) -> None:
        last = self.blocks[-1]
        number = hex(int(last["number"], 16) + 1)
        block = {**copy.deepcopy(last), "number": number, "parentHash": last["hash"], "timestamp": hex(self.time)}
        self.blocks.append(self.sealed(block))

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        found: list[Any] = []
        for method, params in calls:
            match method:
                case "evm_setNextBlockTimestamp":
                    self.time = params[0]
                case "evm_mine":
                    self.mine()
            found.append(self.blocks[-1] if method == "eth_getBlockByNumber" else None)
        return found

    async def close(self) -> None: ...


def test_each_slot_has_one_block_of_the_evm_or_none() -> None:
    async def work() -> None:
        miner = Miner()
        chain = Beacon(minimal_network(GENESIS_TIME))
        slots = EvmSlots(miner, chain)
        for empty in (0, 0, 3, 1):
            header = await slots.advance(empty=empty)
            assert header.execution.block_hash.hex() == miner.blocks[-1]["hash"][2:]
            assert header.execution.timestamp == slots.time == GENESIS_TIME + 6 * slots.slot
        assert sorted(chain.blocks) == [1, 2, 6, 8]

    asyncio.run(work())


@pytest.mark.parametrize("spoilt", ["a block between", "another time"])
def test_blocks_that_the_chain_did_not_order_end_it(spoilt: str) -> None:
    async def work() -> None:
        miner = Miner()
        slots = EvmSlots(miner, Beacon(minimal_network(GENESIS_TIME)))
        await slots.advance()
        if spoilt == "a block between":
            miner.mine()
        else:
            honest = miner.mine
            miner.mine = lambda: (setattr(miner, "time", miner.time + 1), honest())[1]  # type: ignore[method-assign]
        with pytest.raises(NotThisBlock, match="blocks of its own"):
            await slots.advance()
        assert sorted(slots.beacon.blocks) == [1]

    asyncio.run(work())
