"""EVM, sync committee, storage proof, our ledger: nobody believes the EVM's node or the beacon's (S20, S29, S67)."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from web3 import Web3

from lockgate.courier.ports import ChainUnavailable, NotYet
from lockgate.crypto.bls12381 import SIGNATURE_BYTES
from lockgate.ibc import host
from lockgate.lab.beacon import Beacon
from lockgate.lab.beacon_node import BeaconNode
from lockgate.lab.beacon_rest import application, serving
from lockgate.lab.paths import expect
from lockgate.lightclients.ethereum import Header, Misbehaviour, SyncAggregate, Update
from lockgate.lightclients.ethereum.messages import HEADER, MISBEHAVIOUR, encode_header, encode_misbehaviour
from lockgate.lightclients.ethereum.network import Fork
from lockgate.lightclients.standing import ClientFrozen
from lockgate.machine.machine import TxResult
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import Height
from lockgate.relay.chains.beacon import BeaconApi
from lockgate.relay.chains.evm.node import Call, EvmCalls
from lockgate.relay.messages import Stage, update_client
from lockgate.relay.updaters.ethereum import BeaconRefuted, OtherExecution
from tests.interop.evm.beacon_world import HERE, SIZE, THERE, BeaconWorld, Told, beacon_world
from tests.interop.evm.world import Node, answered, running_node, sent
from tests.support.notes import note_key

pytestmark = pytest.mark.interop

Work = Callable[[BeaconWorld], Awaitable[None]]
Run = Callable[[Work], None]
Spoil = Callable[[str, Sequence[Any], Any], Any]
HALF, TWO_THIRDS = 16, 22


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    yield from running_node()


@pytest.fixture
def run(node: Node) -> Run:
    def within(work: Work) -> None:
        async def main() -> None:
            async with asyncio.timeout(90), beacon_world(node, Web3(Web3.HTTPProvider(node.url))) as w:
                await work(w)

        asyncio.run(main())

    return within


def note(w: BeaconWorld, how: str, sequence: int) -> bytes | None:
    return w.ledger.chain.view().get("app", note_key(how, sequence, 0))


def untouched(w: BeaconWorld) -> tuple[bytes | None, ...]:
    """What a refused update or packet must leave as it was."""
    view = w.ledger.chain.view()
    return view.get("ibc", host.client_state(HERE)), view.get("ibc", host.packet_receipt(HERE, 1))


# --- a packet's ways


def test_a_packet_crosses_by_proof_and_its_answer_returns(run: Run) -> None:
    async def work(w: BeaconWorld) -> None:
        packet = await w.ask(b"question")
        with pytest.raises(Told, match="gone"):
            await w.relay(Stage.RECEIVE, packet)  # what is final was made before it
        await w.finalised()
        result = expect(await w.relay(Stage.RECEIVE, packet))
        assert [event.type for event in result.events if event.type != "message"] == [
            "update_client",
            "recv_packet",
            "write_acknowledgement",
        ]
        assert note(w, "received", packet.sequence) == b"question"
        # The answer goes back through the contract's client, whose attestors have verified our ledger's header.
        w.ledger.block()
        proof, height = w.evm.proof([answered(packet, b"kept")], **w.attested())
        assert any(w.evm.commitment_at(host.packet_commitment(THERE, packet.sequence)))
        acked = w.evm.host.functions.ackPacket((w.fields(packet), b"kept", proof, height))
        await w.do(acked)
        assert not any(w.evm.commitment_at(host.packet_commitment(THERE, packet.sequence)))

    run(work)


def test_a_packet_to_the_evm_is_acknowledged_by_proof_here(run: Run) -> None:
    async def work(w: BeaconWorld) -> None:
        packet = w.send(b"hello")
        w.ledger.block()
        proof, height = w.evm.proof([sent(packet)], **w.attested())
        await w.do(w.evm.receive(packet, proof, height))
        await w.finalised()
        answer = sha256(b"hello").digest()
        expect(await w.relay(Stage.ACKNOWLEDGE, packet, answer=answer))
        assert note(w, "acknowledged", packet.sequence) == answer
        with pytest.raises(Told, match="received after all"):
            await w.relay(Stage.TIME_OUT, packet)

    run(work)


def test_a_packet_that_the_evm_never_received_times_out_by_proof_of_absence(run: Run) -> None:
    async def work(w: BeaconWorld) -> None:
        packet = w.send(timeout_s=120)
        await w.finalised()
        before = untouched(w)
        early = await w.relay(Stage.TIME_OUT, packet)
        assert early.code, "what is final is older than the timeout"
        assert untouched(w) == before
        while w.now < packet.timeout:
            await w.advance()
        await w.finalised()
        expect(await w.relay(Stage.TIME_OUT, packet))
        assert note(w, "timed_out", packet.sequence) == b"hello"
        assert w.ledger.chain.view().get("ibc", host.packet_commitment(HERE, packet.sequence)) is None

    run(work)


def test_committees_rotate_under_traffic(run: Run) -> None:
    async def work(w: BeaconWorld) -> None:
        updater, network = w.updater(), w.beacon.network
        periods = set()
        for number in range(6):
            packet = await w.ask(b"%d" % number)
            await w.finalised()
            expect(await w.relay(Stage.RECEIVE, packet, updater))
            assert note(w, "received", packet.sequence) == b"%d" % number
            periods.add(network.period(w.tracked().state.latest_height.height))
            await w.advance(30, empty=number % 2)
        assert len(periods) > 3
        assert w.status() == "Active"

    run(work)


def test_a_client_that_slept_over_whole_periods_is_brought_forward_at_once(run: Run) -> None:
    async def work(w: BeaconWorld) -> None:
        await w.advance(5 * 64)
        packet = await w.ask()
        await w.finalised()
        updater = w.updater()
        expect(await w.relay(Stage.RECEIVE, packet, updater))
        assert updater.counts() == {"periods": 5, "beacons_refuted": 0}

    run(work)


# --- an EVM's node that lies


class Lying:
    """Meets `EvmCalls`: an honest node's answers, some of them changed."""

    def __init__(self, inner: EvmCalls, spoil: Spoil) -> None:
        self._inner, self._spoil = inner, spoil

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        answers = await self._inner.many(calls)
        return [
            self._spoil(method, params, copy.deepcopy(answer))
            for (method, params), answer in zip(calls, answers, strict=True)
        ]

    async def close(self) -> None: ...


def bent(hex_: str) -> str:
    return hex_[:-1] + ("0" if hex_[-1] != "0" else "1")


def another_word(method: str, _: Sequence[Any], answer: Any) -> Any:
    if method == "eth_getProof":
        nodes = answer["storageProof"][0]["proof"]
        nodes[-1] = bent(nodes[-1])
    return answer


def another_account(method: str, _: Sequence[Any], answer: Any) -> Any:
    if method == "eth_getProof":
        answer["accountProof"][-1] = bent(answer["accountProof"][-1])
    return answer


def another_storage_root(method: str, _: Sequence[Any], answer: Any) -> Any:
    if method == "eth_getProof":
        answer["storageHash"] = bent(answer["storageHash"])
    return answer


def no_nodes(method: str, _: Sequence[Any], answer: Any) -> Any:
    if method == "eth_getProof":
        answer["storageProof"][0]["proof"] = []
    return answer


def another_root(method: str, _: Sequence[Any], answer: Any) -> Any:
    if method == "eth_getBlockByNumber":
        answer["stateRoot"] = "0x" + "11" * 32
    return answer


def another_time(method: str, _: Sequence[Any], answer: Any) -> Any:
    if method == "eth_getBlockByNumber":
        answer["timestamp"] = hex(int(answer["timestamp"], 16) + 1)
    return answer


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (another_word, "merkle.proof_mismatch"),
        (another_account, "merkle.proof_mismatch"),
        (another_storage_root, "rpc.bad_answer"),
        (no_nodes, "merkle.proof_mismatch"),
        (another_root, OtherExecution.code),
        (another_time, OtherExecution.code),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_b5_an_evm_node_that_lies_changes_nothing(run: Run, spoil: Spoil, code: str) -> None:
    async def work(w: BeaconWorld) -> None:
        packet = await w.ask()
        await w.finalised()
        before = untouched(w)
        liar = w.updater(wrap=lambda node: Lying(node, spoil))
        with pytest.raises(LockgateError) as refused:
            await w.relay(Stage.RECEIVE, packet, liar)
        assert refused.value.code == code
        assert untouched(w) == before
        expect(await w.relay(Stage.RECEIVE, packet))

    run(work)


# --- a beacon node that lies


class Liar(BeaconNode):
    """Changes what an honest node says."""

    lie: Callable[[Beacon, Update], Update]

    def _update(self, slot: int) -> Update:
        return self.lie(self.beacon, super()._update(slot))


class Skipping(BeaconNode):
    """Says that a later period's update is the earlier one's."""

    def best_update(self, period: int, /) -> Update | None:
        return super().best_update(period + 1)


def signed(update: Update, aggregate: SyncAggregate) -> Update:
    return replace(update, sync_aggregate=aggregate)


def by_others(beacon: Beacon, update: Update) -> Update:
    """Keys of nobody's committee sign in its name."""
    thief = replace(beacon, seed=b"thief")
    return signed(update, thief.sign(update.attested_header.beacon.root, update.signature_slot))


def by_few(beacon: Beacon, update: Update) -> Update:
    return signed(update, beacon.sign(update.attested_header.beacon.root, update.signature_slot, TWO_THIRDS - 1))


def claimed_by_all(beacon: Beacon, update: Update) -> Update:
    few = by_few(beacon, update).sync_aggregate
    return signed(update, replace(few, bits=b"\xff" * (SIZE // 8)))


def by_the_last_committee(beacon: Beacon, update: Update) -> Update:
    period = max(0, beacon.network.period(update.signature_slot) - 1) or 7
    return signed(update, beacon.sign(update.attested_header.beacon.root, update.signature_slot, period=period))


def under_another_fork(beacon: Beacon, update: Update) -> Update:
    version = beacon.network.forks[Fork.DENEB].version
    return signed(update, beacon.sign(update.attested_header.beacon.root, update.signature_slot, version=version))


def another_chain(beacon: Beacon, update: Update) -> Update:
    other = replace(beacon, network=replace(beacon.network, genesis_validators_root=b"\x09" * 32))
    return signed(update, other.sign(update.attested_header.beacon.root, update.signature_slot))


def no_signature(_: Beacon, update: Update) -> Update:
    return signed(update, replace(update.sync_aggregate, signature=bytes(SIGNATURE_BYTES)))


def another_state(_: Beacon, update: Update) -> Update:
    """The finalized header is the committee's, and the EVM's state in it is not."""
    final = update.finalized_header
    forged = replace(final.execution, state_root=b"\x66" * 32)
    return replace(update, finalized_header=replace(final, execution=forged))


def another_header(beacon: Beacon, update: Update) -> Update:
    """A header that the committee signed, and that is not final by this one."""
    slots = [slot for slot in beacon.blocks if slot != update.finalized_header.beacon.slot]
    return replace(update, finalized_header=beacon.blocks[max(slots[:-2])].header)


LIES: dict[str, tuple[Callable[[Beacon, Update], Update], str]] = {
    "signed by others": (by_others, "ethereum.signature_refused"),
    "signed by too few": (by_few, "ethereum.participation_low"),
    "signed by fewer than it says": (claimed_by_all, "ethereum.signature_refused"),
    "signed by another period's committee": (by_the_last_committee, "ethereum.signature_refused"),
    "under another fork's version": (under_another_fork, "ethereum.signature_refused"),
    "for another chain": (another_chain, "ethereum.signature_refused"),
    "no point of the curve": (no_signature, "ethereum.signature_refused"),
    "another state of the EVM": (another_state, "ethereum.branch_mismatch"),
    "another header for the final one": (another_header, "ethereum.branch_mismatch"),
}


async def through(w: BeaconWorld, liar: BeaconNode, code: str) -> None:
    """Alone it is refused by name and nothing is sent; beside an honest node it is an alarm."""
    packet = await w.ask()
    await w.finalised()
    before = untouched(w)
    async with serving(application(liar)) as address:
        lying = BeaconApi(address, SIZE)
        try:
            with pytest.raises(BeaconRefuted) as refused:
                await w.relay(Stage.RECEIVE, packet, w.updater(lying))
            assert refused.value.fields["refused"] == code
            assert untouched(w) == before
            w.alarms.clear()
            expect(await w.relay(Stage.RECEIVE, packet, w.updater(lying, w.api)))
            ((name, fields),) = w.alarms
            assert (name, fields["beacon"], fields["refused"]) == ("beacon_refuted", address, code)
        finally:
            await lying.close()


@pytest.mark.parametrize("lie", LIES)
def test_b5_a_beacon_node_that_lies_changes_nothing_but_an_alarm(run: Run, lie: str) -> None:
    spoil, code = LIES[lie]

    async def work(w: BeaconWorld) -> None:
        liar = Liar(w.beacon.beacon)
        liar.lie = spoil
        await through(w, liar, code)

    run(work)


def test_a_node_that_lacks_a_period_is_no_liar_and_brings_nothing_over_the_gap(run: Run) -> None:
    """A client refuses what skips a period (`ethereum.period_skipped`): it is not sent, and another node is asked."""

    async def work(w: BeaconWorld) -> None:
        await w.advance(3 * 64)
        packet = await w.ask()
        await w.finalised()
        before = untouched(w)
        async with serving(application(Skipping(w.beacon.beacon))) as address:
            lacking = BeaconApi(address, SIZE)
            try:
                with pytest.raises(NotYet):
                    await w.relay(Stage.RECEIVE, packet, w.updater(lacking))
                assert untouched(w) == before
                expect(await w.relay(Stage.RECEIVE, packet, w.updater(lacking, w.api)))
                assert w.alarms == []
            finally:
                await lacking.close()

    run(work)


def test_a_beacon_of_other_committees_is_refused(run: Run) -> None:
    async def work(w: BeaconWorld) -> None:
        thief = Beacon(w.beacon.network, seed=b"thief")
        for slot, block in w.beacon.beacon.blocks.items():
            thief.propose(slot, block.header.execution)
        packet = await w.ask()
        await w.finalised()
        for slot in sorted(set(w.beacon.beacon.blocks) - set(thief.blocks)):
            thief.propose(slot, w.beacon.beacon.blocks[slot].header.execution)
        async with serving(application(BeaconNode(thief))) as address:
            lying = BeaconApi(address, SIZE)
            with pytest.raises(BeaconRefuted) as refused:
                await w.relay(Stage.RECEIVE, packet, w.updater(lying))
            assert refused.value.fields["refused"] == "ethereum.committee_refused"
            await lying.close()

    run(work)


def test_what_is_only_not_there_yet_is_waited_for(run: Run) -> None:
    """A beacon that lags, one that is away, and a ledger whose clock is behind: none is a lie."""

    async def work(w: BeaconWorld) -> None:
        lagging = BeaconNode(w.beacon.beacon.forked())
        packet = await w.ask()
        await w.finalised()
        async with serving(application(lagging)) as address:
            behind = BeaconApi(address, SIZE)
            with pytest.raises(NotYet):
                await w.relay(Stage.RECEIVE, packet, w.updater(behind))
        with pytest.raises(ChainUnavailable):
            await w.relay(Stage.RECEIVE, packet, w.updater(behind))  # its server has ended
        tip = (await w.chain().tip()).height
        with pytest.raises(NotYet, match="ahead"):
            await w.updater().reach(w.tracked(), tip, w.tracked().latest_time)
        assert w.alarms == []
        expect(await w.relay(Stage.RECEIVE, packet, w.updater(behind, w.api)))
        await behind.close()

    run(work)


# --- straight to our ledger, around every relayer


def header_of(w: BeaconWorld, update: Update, trusted: Height | None = None) -> Header:
    committee = w.beacon.beacon.committee(w.beacon.network.period(update.signature_slot))
    return Header(trusted=trusted or w.tracked().state.latest_height, committee=committee, update=update)


def brought(w: BeaconWorld, update: Update, trusted: Height | None = None) -> TxResult:
    """Submit an update as anybody may."""
    raw = encode_header(header_of(w, update, trusted), w.beacon.network)
    return w.transact(update_client(HERE, HEADER, raw, w.a.account.id))


def accused(w: BeaconWorld, *updates: Update) -> TxResult:
    """Submit two updates as evidence, as anybody may."""
    raw = encode_misbehaviour(Misbehaviour(*(header_of(w, update) for update in updates)), w.beacon.network)
    return w.transact(update_client(HERE, MISBEHAVIOUR, raw, w.a.account.id))


def test_our_ledger_refuses_the_same_by_the_same_names(run: Run) -> None:
    async def work(w: BeaconWorld) -> None:
        await w.advance(20)
        honest = w.beacon.finality_update()
        assert honest is not None
        before = untouched(w)
        for lie, (spoil, code) in LIES.items():
            result = brought(w, spoil(w.beacon.beacon, honest))
            assert code in result.log, lie
            assert untouched(w) == before, lie
        expect(brought(w, honest))

    run(work)


def two_histories(w: BeaconWorld, slots: int = 24) -> tuple[Update, Update]:
    """The same committee makes two blocks of one slot final, in two branches of the chain."""
    made = []
    first = w.slots.slot + 1
    for branch in (b"\x01", b"\x02"):
        fork = w.beacon.beacon.forked()
        last = fork.blocks[w.slots.slot].header.execution
        for place, slot in enumerate(range(first, first + slots)):
            time = w.beacon.network.genesis_time + slot * w.beacon.network.seconds_per_slot
            number = last.block_number + 1 + place
            fork.propose(slot, replace(last, block_number=number, timestamp=time, state_root=branch * 32))
        newest = BeaconNode(fork).finality_update()
        assert newest is not None
        made.append(newest)
    one, other = made
    assert one.finalized_header.beacon.slot == other.finalized_header.beacon.slot
    assert one.finalized_header != other.finalized_header
    return one, other


@pytest.mark.parametrize("how", ["evidence", "a second header"])
def test_c6_two_final_histories_freeze_the_client(run: Run, how: str) -> None:
    async def work(w: BeaconWorld) -> None:
        packet = await w.ask()
        await w.finalised()
        ground, message = await w.proven(Stage.RECEIVE, packet)
        expect(w.transact(*ground.updates(HERE, w.a.account.id)))
        trusted, (one, other) = w.tracked().state.latest_height, two_histories(w)
        await w.advance(26)
        if how == "evidence":
            frozen = expect(accused(w, one, other))
        else:
            expect(brought(w, one))
            frozen = expect(brought(w, other, trusted))
        assert "client_misbehaviour" in [event.type for event in frozen.events]
        assert w.status() == "Frozen"
        before = untouched(w)
        assert "not active" in w.transact(message).log
        assert "not active" in brought(w, one, trusted).log
        assert untouched(w) == before
        with pytest.raises(ClientFrozen):
            await w.relay(Stage.RECEIVE, packet)

    run(work)


def test_one_history_shown_twice_freezes_nothing(run: Run) -> None:
    async def work(w: BeaconWorld) -> None:
        one, _ = two_histories(w)
        await w.advance(26)
        assert "not_misbehaviour" in accused(w, one, one).log
        assert w.status() == "Active"

    run(work)
