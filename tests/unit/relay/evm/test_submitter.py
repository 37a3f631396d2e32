"""Packet messages as calls of a host contract: one proof one call, what is done already is not paid for (S20)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lockgate.codec import type_urls as urls
from lockgate.crypto.recoverable import EvmKey
from lockgate.ibc import host as paths
from lockgate.ibc import wire
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.lightclients.evm_storage import slot_of
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import Misuse
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Event
from lockgate.relay.chains.evm.account import EvmAccount, Waits
from lockgate.relay.chains.evm.calls import MAX_BATCH, OneAcknowledgement, calls_of
from lockgate.relay.chains.evm.fees import GWEI, FeeRules
from lockgate.relay.chains.evm.packets import host_interface, item_fields, packet_fields
from lockgate.relay.chains.evm.ports import _slot
from lockgate.relay.chains.evm.submitter import EvmSubmitter
from tests.support.evm_node import chain_of
from tests.support.evm_pool import FakePool

KEY = EvmKey(b"\x07" * 32)
AT = Height(1, 77)


def receive(packet: Packet, proof: bytes = b"proof") -> Message:
    return urls.MSG_RECV_PACKET, wire.encode_receive(packet, proof, AT, "me")


def acknowledge(packet: Packet, proof: bytes = b"proof", answer: tuple[bytes, ...] = (b"yes",)) -> Message:
    return urls.MSG_ACKNOWLEDGEMENT, wire.encode_acknowledge(packet, Acknowledgement(answer), proof, AT, "me")


def time_out(packet: Packet, proof: bytes = b"proof") -> Message:
    return urls.MSG_TIMEOUT, wire.encode_timeout(packet, proof, AT, "me")


def incoming(*sequences: int) -> list[Packet]:
    node = FakePool()
    return [node.receive(sequence) for sequence in sequences]


def selector(name: str, *arguments: Any) -> bytes:
    return host_interface().call(name, *arguments)


def test_messages_with_one_proof_are_one_call() -> None:
    one, two, three = incoming(1, 2, 3)
    height, lane = tuple(AT), (one.source_client, one.destination_client)
    calls = calls_of([receive(one), receive(two), receive(three, b"another")])
    assert [call.data for call in calls] == [
        selector("recvPackets", *lane, [item_fields(one), item_fields(two)], b"proof", height),
        selector("recvPacket", (packet_fields(three), b"another", height)),
    ]
    calls = calls_of([acknowledge(one), acknowledge(two), acknowledge(three, b"another")])
    assert [call.data for call in calls] == [
        selector("ackPackets", *lane, [item_fields(one), item_fields(two)], [b"yes", b"yes"], b"proof", height),
        selector("ackPacket", (packet_fields(three), b"yes", b"another", height)),
    ]
    calls = calls_of([time_out(one), time_out(two)])
    assert [call.data for call in calls] == [
        selector("timeoutPacket", (packet_fields(packet), b"proof", height)) for packet in (one, two)
    ]


def test_a_batch_names_its_lane_once_and_holds_packets_of_one_payload() -> None:
    one, two, three = incoming(1, 2, 3)
    elsewhere = two._replace(destination_client=ClientId("client-9"))
    assert [len(call.packets) for call in calls_of([receive(one), receive(elsewhere), receive(three)])] == [1, 1, 1]
    double = two._replace(payloads=two.payloads * 2)
    calls = calls_of([receive(one), receive(three), receive(double)])
    assert [len(call.packets) for call in calls] == [2, 1], "the contract refuses it in its own words"


def test_a_call_holds_no_more_than_the_contract_takes() -> None:
    packets = incoming(*range(1, MAX_BATCH + 3))
    assert [len(call.packets) for call in calls_of([receive(packet) for packet in packets])] == [MAX_BATCH, 2]


def test_what_the_contract_has_no_call_for_is_refused() -> None:
    with pytest.raises(Misuse):
        calls_of([(urls.MSG_CREATE_CLIENT, b"")])
    for answer in ((), (b"one", b"two")):
        with pytest.raises(OneAcknowledgement):
            calls_of([acknowledge(incoming(1)[0], answer=answer)])


def within(work: Callable[[FakePool, EvmSubmitter], Awaitable[None]]) -> None:
    async def main() -> None:
        node = FakePool()
        node.mine(3)
        chain, _ = chain_of(node)
        waits = Waits(poll=0.002, stuck=60.0, confirm=10.0)
        account = EvmAccount(chain, KEY, FeeRules(ceiling=100 * GWEI), None, lambda *_: None, waits)
        try:
            async with asyncio.timeout(20):
                await work(node, EvmSubmitter(account, 4))
        finally:
            await account.close()

    asyncio.run(main())


async def mined(node: FakePool, submitting: asyncio.Task[Any]) -> Any:
    """Make the block that takes what was submitted."""
    while not node.pool and not submitting.done():
        await asyncio.sleep(0.002)
    node.mine()
    return await submitting


def test_what_was_done_and_what_another_did_is_told_per_message() -> None:
    async def work(node: FakePool, submitter: EvmSubmitter) -> None:
        one, two = incoming(1, 2)
        node.receive(2)  # by another, just before
        node.mine()
        node.act = lambda _: node.receive(1) and None
        done = await mined(node, asyncio.create_task(submitter.submit([receive(one), receive(two)])))
        assert (done.code, done.responses) == (0, (wire.SUCCESS, wire.NOOP))
        assert [event.type for event in done.events] == ["recv_packet", "write_acknowledgement"]
        assert done.height == Height(0, 5)

    within(work)


def test_what_the_contract_left_out_of_a_batch_is_told_as_failed() -> None:
    async def work(node: FakePool, submitter: EvmSubmitter) -> None:
        one, two = incoming(1, 2)

        def done_in_part(_: object) -> None:
            node.skip(1, "packet.expired")
            node.receive(2)

        node.act = done_in_part
        done = await mined(node, asyncio.create_task(submitter.submit([receive(one), receive(two)])))
        assert (done.code, done.responses) == (0, (wire.FAILURE, wire.SUCCESS))
        assert done.events[0] == Event("skipped_packet", (("packet_sequence", "1"), ("reason", "packet.expired")))

    within(work)


def test_nothing_is_paid_for_what_is_done_already() -> None:
    async def work(node: FakePool, submitter: EvmSubmitter) -> None:
        received = node.receive(1)
        sent = node.send()
        node.mine()
        node.acknowledge(sent)
        node.mine()
        for message in (receive(received), acknowledge(sent), time_out(sent)):
            done = await submitter.submit([message])
            assert (done.codespace, done.code) == ("channel", 22)
        assert node.sent == []

    within(work)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("packet.expired", ("channelv2", 9)),
        ("client.frozen", ("client", 29)),
        ("lane.paused", ("evm", 2)),
        ("proof.root", ("evm", 1)),
        ("lane.limit", ("evm", 1)),  # of the ports that these packets share: others have room
    ],
)
def test_a_refusal_is_a_code_that_couriers_know(reason: str, outcome: tuple[str, int]) -> None:
    async def work(node: FakePool, submitter: EvmSubmitter) -> None:
        node.refusing = reason
        done = await submitter.submit([receive(incoming(1)[0])])
        assert (done.codespace, done.code) == outcome
        assert reason in done.log
        assert node.sent == []

    within(work)


def test_too_much_gas_asks_for_less_at_once() -> None:
    async def work(node: FakePool, submitter: EvmSubmitter) -> None:
        node.spoil = lambda method, _params, answer: hex(10**9) if method == "eth_estimateGas" else answer
        done = await submitter.submit([receive(incoming(1)[0])])
        assert (done.codespace, done.code) == ("evm", 1)

    within(work)


def test_siblings_share_the_account() -> None:
    async def work(node: FakePool, submitter: EvmSubmitter) -> None:
        other = submitter.sibling(7)
        assert (other.nonce_lane, other.signer) == (7, submitter.signer)
        one, two = incoming(1, 2)
        tasks = [asyncio.create_task(s.submit([receive(p)])) for s, p in ((submitter, one), (other, two))]
        while len(node.pool) < 2:
            await asyncio.sleep(0.002)
        node.mine()
        assert [done.responses for done in await asyncio.gather(*tasks)] == [(wire.NOOP,)] * 2
        assert [one.transaction.nonce for one in node.done] == [0, 1]

    within(work)


APPLICATION = "0x" + "cc" * 20


def bound(node: FakePool, port: str, gas: int, app: int = int("cc" * 20, 16)) -> None:
    """An application says what each of its calls takes at most."""
    node.state.storage[_slot(port)] = (app | gas << 160).to_bytes(32)
    node.mine()


def to_application(packet: Packet, port: str = APPLICATION) -> Packet:
    return packet._replace(payloads=(packet.payloads[0]._replace(destination_port=port),))


def test_what_applications_may_take_is_brought_along() -> None:
    async def work(node: FakePool, submitter: EvmSubmitter) -> None:
        bound(node, APPLICATION, 100_000)
        one, two = map(to_application, incoming(1, 2))
        for packets, gas in (([one], 150_000), ([one, two], 250_000)):
            await mined(node, asyncio.create_task(submitter.submit([receive(packet) for packet in packets])))
            assert node.done[-1].transaction.gas == gas
        sent = one._replace(payloads=(one.payloads[0]._replace(source_port=APPLICATION, destination_port="other"),))
        node.state.storage[slot_of(paths.packet_commitment(sent.source_client, sent.sequence))] = b"\x01" * 32
        node.mine()
        await mined(node, asyncio.create_task(submitter.submit([time_out(sent)])))
        assert node.done[-1].transaction.gas == 150_000, "its sender is told"

    within(work)


@pytest.mark.parametrize("port", ["echo", "0x" + "CC" * 20, "0x" + "dd" * 20])
def test_a_port_that_is_no_address_or_anothers_takes_nothing(port: str) -> None:
    async def work(node: FakePool, submitter: EvmSubmitter) -> None:
        bound(node, port, 100_000)
        await mined(node, asyncio.create_task(submitter.submit([receive(to_application(incoming(1)[0], port))])))
        assert node.done[-1].transaction.gas == 65_000

    within(work)


def test_a_batch_whose_applications_may_take_too_much_is_to_be_halved_and_one_packet_goes() -> None:
    async def work(node: FakePool, submitter: EvmSubmitter) -> None:
        bound(node, APPLICATION, 14_960_000)
        one, two = map(to_application, incoming(1, 2))
        done = await submitter.submit([receive(one), receive(two)])
        assert (done.codespace, done.code) == ("evm", 1)
        assert node.sent == []
        await mined(node, asyncio.create_task(submitter.submit([receive(one)])))
        assert node.done[-1].transaction.gas == 15_000_000, "as much as is allowed"

    within(work)
