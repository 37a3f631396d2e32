"""Ethereum clients are brought over a beacon node and an EVM's, of which neither is believed; no EVM runs here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from lockgate.courier.ports import NotYet, Proven, TrackedClient
from lockgate.ibc import host
from lockgate.lab.beacon import Beacon, minimal_network
from lockgate.lab.beacon_node import BeaconNode
from lockgate.lab.beacon_rest import application, serving
from lockgate.lab.execution import COMMITMENTS_SLOT, ExecutionState, StateAt, commitment_key
from lockgate.lightclients.ethereum import EthereumClient, ExecutionHeader
from lockgate.lightclients.ethereum.messages import HEADER as HEADER_URL
from lockgate.lightclients.ethereum.states import encode_client_state, encode_consensus_state
from lockgate.lightclients.standing import ClientFrozen
from lockgate.merkle.errors import ProofMismatch
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, seconds
from lockgate.relay.beacon_start import create_message, first_states
from lockgate.relay.chains.beacon import BeaconApi
from lockgate.relay.chains.evm.proofs import StorageProof
from lockgate.relay.kinds import KINDS, Updaters
from lockgate.relay.rpc import BadAnswer
from lockgate.relay.updaters.ethereum import BeaconRefuted, EthereumUpdater, NoBeacon, OtherExecution
from tests.support.beacons import GENESIS_TIME
from tests.support.memory_view import MemoryView

HOST = b"\x0a" * 20
CLIENT = ClientId("ethereum-0")
WORD = b"\x11" * 32
PATH = host.packet_commitment("client-0", 1)
ABSENT = host.packet_commitment("client-0", 2)
LAST = 150  # slots; a block stands in all but every fifth
SENT = 76


@dataclass
class Evm:
    """What the updater asks of an `EvmChain`: blocks by number, and proofs at them."""

    chain_id: str = "eip155:1"
    blocks: dict[int, tuple[ExecutionHeader, StateAt]] = field(default_factory=dict)

    async def block(self, number: int) -> Any:
        header, _ = self.blocks[number]
        time = UnixNanos(header.timestamp * NANOS_PER_SECOND)
        return SimpleNamespace(state_root=header.state_root, nanos=time, height=Height(0, number))

    async def prove_many(self, store: str, keys: Sequence[bytes], at: Height) -> list[Proven]:
        _, state = self.blocks[at.height]
        found = []
        for key in keys:
            slot = commitment_key(key)
            account, storage = tuple(state.prove_account(HOST)), tuple(state.prove_storage(HOST, slot))
            value = state.storage[HOST].get(slot)
            found.append(Proven(value, StorageProof(bytes(32), account, storage).to_bytes(), at))
        return found


@dataclass
class World:
    evm: Evm
    node: BeaconNode
    api: BeaconApi
    tracked: TrackedClient
    now: UnixNanos
    told: list[tuple[str, dict[str, object]]]

    def updater(self, *beacons: BeaconApi) -> EthereumUpdater:
        return EthereumUpdater(self.evm, beacons or (self.api,), lambda *one: self.told.append(one))  # type: ignore[arg-type]

    @property
    def final(self) -> Height:
        newest = self.node.finality_update()
        assert newest is not None
        return Height(0, newest.finalized_header.execution.block_number)


def chain() -> tuple[Evm, Beacon]:
    evm, beacon, state = Evm(), Beacon(minimal_network(GENESIS_TIME)), ExecutionState()
    state.put(HOST, b"\x01" * 32, WORD)
    for slot in range(1, LAST):
        if slot % 5 == 0:
            continue
        if slot == SENT:
            state.commit(HOST, PATH, WORD)
        at, number = state.at(), len(evm.blocks) + 1
        header = ExecutionHeader(
            state_root=at.root, block_number=number, timestamp=GENESIS_TIME + 6 * slot, extra_data=b"lab"
        )
        evm.blocks[number] = header, at
        beacon.propose(slot, header)
    return evm, beacon


def on_world(work: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        evm, beacon = chain()
        node = BeaconNode(beacon)
        now = UnixNanos((GENESIS_TIME + 6 * LAST) * NANOS_PER_SECOND)
        async with serving(application(node)) as address:
            api = BeaconApi(address, 32)
            terms = {"chain_id": "eip155:1", "host": HOST, "commitments": COMMITMENTS_SLOT}
            root = beacon.blocks[8].header.beacon.root
            state, known = await first_states(api, beacon.network, root, now, **terms)
            assert create_message(state, known, "me")[0].endswith("MsgCreateClient")
            tracked = KINDS["ethereum"].tracked(CLIENT, "Active", state, encode_consensus_state(known))
            await work(World(evm, node, api, tracked, now, []))
            await api.close()

    asyncio.run(run())


def test_a_client_is_brought_over_periods_and_proves_what_the_contract_stores() -> None:
    async def work(w: World) -> None:
        assert (w.tracked.latest, w.tracked.state.latest_height) == (Height(0, 7), Height(0, 8))
        updater = w.updater()
        ground = await updater.reach(w.tracked, w.final, w.now)
        assert (ground.block, ground.height.height > ground.block.height) == (w.final, True)
        assert updater.counts() == {"periods": 1, "beacons_refuted": 0}
        view, module = MemoryView(), EthereumClient()
        raw = encode_client_state(w.tracked.state), encode_consensus_state(w.tracked.consensus)
        view.apply(module.initialise(view, CLIENT, *raw, w.now, Height(0, 1)))
        for header in ground.headers:
            view.apply(module.update(view, CLIENT, (HEADER_URL, header), w.now, Height(0, 1)).outcome)
        there, absent = await ground.prove("ibc", [PATH, ABSENT])
        assert isinstance(there, Proven)
        assert isinstance(absent, Proven)
        proofs = ground.proofs([there, absent])
        module.verify_membership(view, CLIENT, ground.height, proofs[0], (PATH,), WORD)
        module.verify_non_membership(view, CLIENT, ground.height, proofs[1], (ABSENT,))
        assert await updater.reach(w.tracked, w.final, w.now) is ground
        known = await updater.reach(w.tracked, w.tracked.latest, w.now)
        assert (known.height, known.updates(CLIENT, "me")) == (w.tracked.state.latest_height, [])

    on_world(work)


def test_what_is_not_final_yet_is_waited_for_and_a_frozen_client_is_not_served() -> None:
    async def work(w: World) -> None:
        with pytest.raises(NotYet, match="final"):
            await w.updater().reach(w.tracked, Height(0, w.final.height + 1), w.now)
        with pytest.raises(NotYet, match="ahead"):
            await w.updater().reach(w.tracked, w.final, w.tracked.latest_time)
        frozen = replace(w.tracked, state=w.tracked.state.frozen())
        with pytest.raises(ClientFrozen):
            await w.updater().reach(frozen, w.final, w.now)
        assert w.told == []

    on_world(work)


def test_b5_another_block_than_the_final_one_is_named() -> None:
    async def work(w: World) -> None:
        header, state = w.evm.blocks[w.final.height]
        for other in (replace(header, state_root=WORD), replace(header, timestamp=header.timestamp + 1)):
            w.evm.blocks[w.final.height] = other, state
            with pytest.raises(OtherExecution):
                await w.updater().reach(w.tracked, w.final, w.now)

    on_world(work)


def test_b5_proofs_of_another_state_are_their_packets_failure() -> None:
    async def work(w: World) -> None:
        ground = await w.updater().reach(w.tracked, w.final, w.now)
        _, early = w.evm.blocks[1]
        w.evm.blocks[w.final.height] = (w.evm.blocks[w.final.height][0], early)
        (found,) = await ground.prove("ibc", [PATH])
        assert isinstance(found, ProofMismatch)

    on_world(work)


def test_b5_a_beacon_that_is_refuted_is_named_and_the_next_one_asked() -> None:
    async def work(w: World) -> None:
        few = BeaconNode(w.node.beacon, participants=21)
        async with serving(application(few)) as address:
            lying = BeaconApi(address, 32)
            with pytest.raises(BeaconRefuted):
                await w.updater(lying).reach(w.tracked, w.final, w.now)
            updater = w.updater(lying, w.api)
            assert (await updater.reach(w.tracked, w.final, w.now)).block == w.final
            assert updater.health() == {"beacons": [address, w.api.address], "refuted": 1}
            assert {name for name, _ in w.told} == {"beacon_refuted"}
            assert w.told[-1][1]["refused"] == "ethereum.participation_low"
            await lying.close()

    on_world(work)


def test_a_client_starts_where_its_next_committee_is_shown() -> None:
    async def work(w: World) -> None:
        async def none(_: int, __: int = 1) -> list[Any]:
            return []

        w.api.updates = none  # type: ignore[method-assign]
        root = w.node.beacon.blocks[8].header.beacon.root
        terms = {"chain_id": "eip155:1", "host": HOST, "commitments": COMMITMENTS_SLOT, "trusting": seconds(60)}
        with pytest.raises(BadAnswer, match="next period"):
            await first_states(w.api, w.node.network, root, w.now, **terms)

    on_world(work)


def test_a_node_that_remembers_no_earlier_period_shows_the_committee_by_its_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(globals(), "LAST", 120)  # the newest header is signed in the client's own period

    async def work(w: World) -> None:
        block = w.node.beacon.blocks[72].header.beacon
        first = w.node.network.period(block.slot)
        assert first == 1
        whole = w.api.updates

        async def late(period: int, count: int = 1) -> list[Any]:
            return await whole(period, count) if period >= first else []

        w.api.updates = late  # type: ignore[method-assign]
        terms = {"chain_id": "eip155:1", "host": HOST, "commitments": COMMITMENTS_SLOT}
        state, known = await first_states(w.api, w.node.network, block.root, w.now, **terms)
        tracked = KINDS["ethereum"].tracked(CLIENT, "Active", state, encode_consensus_state(known))
        assert (await w.updater().reach(tracked, w.final, w.now)).block == w.final
        assert w.told == []

    on_world(work)


def test_a_node_that_lacks_a_period_is_not_taken_for_a_liar() -> None:
    async def work(w: World) -> None:
        whole = w.api.updates

        async def gap(period: int, count: int = 1) -> list[Any]:
            return [
                update for update in await whole(period, count) if w.node.network.period(update.signature_slot) != 1
            ]

        w.api.updates = gap  # type: ignore[method-assign]
        with pytest.raises(NotYet, match="period"):
            await w.updater().reach(w.tracked, w.final, w.now)
        assert w.told == []

    on_world(work)


def test_without_a_beacon_node_there_is_no_updater() -> None:
    async def work(w: World) -> None:
        with pytest.raises(NoBeacon):
            EthereumUpdater(w.evm, (), lambda *_: None)  # type: ignore[arg-type]
        with pytest.raises(NoBeacon):
            await Updaters(w.evm).reach(w.tracked, w.final, w.now)  # type: ignore[arg-type]

    on_world(work)
