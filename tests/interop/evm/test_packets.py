"""The packet host on a real EVM node: what it stores is what IBC v2 says, and nothing unproven moves it (S20)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from web3.logs import DISCARD

from lockgate.crypto.keccak import keccak256
from lockgate.ibc import commitment, host, solidity
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.lightclients import evm_attestation as words
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds
from tests.interop.evm.world import REMOTE, Refused, World, answered, fields, sent, unreceived

pytestmark = pytest.mark.interop

BODY = b"\x01" * 128
SLOT = bytes.fromhex("1260944489272988d9df285149b5aa1b0f48f2136d6f416159f840a3e0747600")  # solidity-ibc's store


def ask(world: World, body: bytes = BODY, *, ahead: int = 3600) -> Packet:
    """Send a packet through the example application and return it."""
    timeout = world.now() + ahead
    receipt = world.do(world.echo.functions.ask(world.client_id, "remote", body, timeout))
    (event,) = world.host.events.SendPacket().process_receipt(receipt, errors=DISCARD)
    payload = Payload(world.port, "remote", "echo-1", "application/octet-stream", body)
    packet = Packet(
        sequence=event["args"]["sequence"],
        source_client=ClientId(world.client_id),
        destination_client=ClientId(REMOTE),
        timeout=UnixSeconds(timeout),
        payloads=(payload,),
    )
    assert solidity.decode_packet(bytes(receipt["logs"][0]["data"])) == packet, "the event has the canonical ABI form"
    return packet


def acknowledge(world: World, packet: Packet, answer: bytes, **changes: Any) -> Any:
    proof, height = world.proof([answered(packet, answer)], **changes)
    return world.host.functions.ackPacket((fields(packet), answer, proof, height))


def time_out(world: World, packet: Packet, leaf: words.Leaf | None = None) -> Any:
    proof, height = world.proof([leaf or unreceived(packet)])
    return world.host.functions.timeoutPacket((fields(packet), proof, height))


def acknowledgement(world: World, receipt: Any) -> bytes:
    (event,) = world.host.events.WriteAcknowledgement().process_receipt(receipt, errors=DISCARD)
    return bytes(event["args"]["acknowledgements"][0])


def test_a_packet_is_committed_as_ics04_says(world: World) -> None:
    packet = ask(world)
    path = host.packet_commitment(packet.source_client, packet.sequence)
    assert world.commitment_at(path) == commitment.commit_packet(packet)
    slot = keccak256(keccak256(path) + SLOT)
    assert bytes(world.web3.eth.get_storage_at(world.host.address, int.from_bytes(slot))) == commitment.commit_packet(
        packet
    ), "where a deployed Ethereum client proves it"


def test_a_body_is_received_and_answered_once(world: World) -> None:
    packet = world.incoming(1)
    proof, height = world.proof([sent(packet)])
    answer = acknowledgement(world, world.do(world.receive(packet, proof, height)))
    assert answer == hashlib.sha256(packet.payloads[0].value).digest()
    path = host.packet_acknowledgement(packet.destination_client, 1)
    assert world.commitment_at(path) == commitment.commit_acknowledgement(Acknowledgement((answer,)))
    assert world.commitment_at(host.packet_receipt(packet.destination_client, 1)) != bytes(32)
    again = world.do(world.receive(packet, proof, height))
    assert len(world.host.events.Noop().process_receipt(again)) == 1
    assert len(again["logs"]) == 1, "nothing else happened"


@pytest.mark.parametrize("case", ["refusal", "unbound port"])
def test_p3_a_refusal_is_the_sentinel(world: World, case: str) -> None:
    packet = world.incoming(1, b"\x00" if case == "refusal" else BODY)
    if case == "unbound port":
        packet = packet._replace(payloads=(packet.payloads[0]._replace(destination_port="nobody"),))
    proof, height = world.proof([sent(packet)])
    answer = acknowledgement(world, world.do(world.receive(packet, proof, height)))
    assert answer == hashlib.sha256(b"UNIVERSAL_ERROR_ACKNOWLEDGEMENT").digest()
    path = host.packet_acknowledgement(packet.destination_client, 1)
    assert world.commitment_at(path) == commitment.commit_acknowledgement(Acknowledgement((answer,)))


def test_too_little_gas_is_the_relayers_failure_not_the_applications(world: World) -> None:
    packet = world.incoming(1)
    proof, height = world.proof([sent(packet)])
    with pytest.raises(Refused, match=r"relayer\.gas"):
        world.do(world.receive(packet, proof, height), gas=230_000)
    assert world.commitment_at(host.packet_receipt(packet.destination_client, 1)) == bytes(32)
    world.do(world.receive(packet, proof, height))


Spoiling = Callable[[World, Packet], tuple[Packet, words.Leaf]]
FORGED: list[tuple[str, Spoiling, str]] = [
    ("another body", lambda w, p: (other_body(p), sent(p)), r"proof\.root"),
    ("another sequence", lambda w, p: (p._replace(sequence=9), sent(p)), r"proof\.root"),
    ("another source", lambda w, p: same(p._replace(source_client=ClientId("attested-1"))), r"packet\.counterparty"),
    ("another lane", lambda w, p: same(p._replace(destination_client=ClientId("client-9"))), r"packet\.counterparty"),
    ("past its time", lambda w, p: same(p._replace(timeout=UnixSeconds(w.now()))), r"packet\.expired"),
    ("absence as presence", lambda w, p: (p, words.Leaf(sent(p).path, words.ABSENT)), r"proof\.root"),
    ("two payloads", lambda w, p: (p._replace(payloads=p.payloads * 2), sent(p)), ""),
    ("no payload", lambda w, p: (p._replace(payloads=()), sent(p)), r"packet\.invalid"),
]


def same(packet: Packet) -> tuple[Packet, words.Leaf]:
    return packet, sent(packet)


def other_body(packet: Packet) -> Packet:
    return packet._replace(payloads=(packet.payloads[0]._replace(value=b"\x02" * 128),))


@pytest.mark.parametrize(("spoil", "reason"), [case[1:] for case in FORGED], ids=[case[0] for case in FORGED])
def test_a7_a_forged_packet_is_refused(world: World, spoil: Spoiling, reason: str) -> None:
    packet, leaf = spoil(world, world.incoming(1))
    proof, height = world.proof([leaf])
    world.refuses(world.receive(packet, proof, height), reason)
    assert world.commitment_at(host.packet_receipt(packet.destination_client, packet.sequence)) == bytes(32)


def test_a7_a_proof_is_for_the_height_it_says(world: World) -> None:
    packet = world.incoming(1)
    proof, (revision, height) = world.proof([sent(packet)])
    for other in (height - 1, height + 1, 0, 2**64 - 1):
        world.refuses(world.receive(packet, proof, (revision, other)), r"proof\.height")
    world.do(world.receive(packet, proof, (revision, height)))


def test_a7_no_contract_can_be_called_around_the_proof(world: World) -> None:
    """Every public method that moves something, called directly by a stranger with a forged message."""
    stranger = world.web3.eth.accounts[5]
    payload = (world.port, "remote", "echo-1", "application/octet-stream", BODY)
    forged = (REMOTE, world.client_id, 1, payload, stranger)
    calls = [
        (world.echo.functions.onRecvPacket(forged), r"echo\.host"),
        (world.echo.functions.onAcknowledgementPacket((*forged[:4], b"x", stranger)), r"echo\.host"),
        (world.echo.functions.onTimeoutPacket(forged), r"echo\.host"),
        (world.echo.functions.open("client-0"), r"echo\.owner"),
        (world.host.functions.sendPacket((world.client_id, world.now() + 60, payload)), r"port\.sender"),
        (world.host.functions.pause(world.client_id), r"lane\.guardian"),
        (world.host.functions.announce(world.client_id, 1, 1, 1), r"lane\.guardian"),
        (world.host.functions.enact(world.client_id), r"lane\.not_announced"),
        (world.client.functions.bind("client-0", stranger), r"client\.bound"),
    ]
    for call, reason in calls:
        with pytest.raises(Refused, match=reason):
            world.do(call, **{"from": stranger})


def test_an_application_hears_only_its_own_lane(world: World) -> None:
    """Anyone may open a lane with a client he made up; an application that trusted it would trust him."""
    other = make_lane(world)
    packet = world.incoming(1)._replace(destination_client=ClientId(other.client_id))
    proof, height = other.proof([sent(packet)])
    answer = acknowledgement(world, world.do(other.receive(packet, proof, height)))
    assert answer == hashlib.sha256(b"UNIVERSAL_ERROR_ACKNOWLEDGEMENT").digest()


def make_lane(world: World) -> World:
    from tests.interop.evm.world import SOURCE, deploy, keys_of, set_fields, signing_set

    keys = keys_of(2)
    first = set_fields(signing_set(keys, world.now() + 86400))
    client = deploy(world.web3, "attested", world.host.address, SOURCE, first)
    world.do(world.host.functions.addClient(REMOTE, client.address, 10, 10, 3600))
    return replace(world, client=client, keys=keys, client_id="client-1")


def test_an_answer_ends_the_packet_once(world: World) -> None:
    packet = ask(world)
    receipt = world.do(acknowledge(world, packet, b"yes"))
    (event,) = world.echo.events.Answered().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["sequence"] == packet.sequence
    (event,) = world.host.events.AckPacket().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["acknowledgement"] == b"yes"
    assert world.commitment_at(host.packet_commitment(packet.source_client, packet.sequence)) == bytes(32)
    assert len(world.do(acknowledge(world, packet, b"yes"))["logs"]) == 1, "a Noop"


def test_an_answer_to_another_packet_is_refused(world: World) -> None:
    packet = ask(world)
    changed = packet._replace(payloads=(packet.payloads[0]._replace(value=b"?"),))
    world.refuses(acknowledge(world, changed, b"yes"), r"packet\.mismatch")
    proof, height = world.proof([answered(packet, b"no")])
    world.refuses(world.host.functions.ackPacket((fields(packet), b"yes", proof, height)), r"proof\.root")
    assert world.commitment_at(host.packet_commitment(packet.source_client, packet.sequence)) != bytes(32)


def test_c5_a_timeout_needs_proven_absence_at_a_late_enough_time(world: World) -> None:
    packet = ask(world, ahead=30)
    world.refuses(time_out(world, packet), r"packet\.timeout_not_reached")
    world.advance(31)
    received = words.Leaf(unreceived(packet).path, b"\x02" + bytes(31))
    world.refuses(time_out(world, packet, received), r"proof\.root")
    elsewhere = words.Leaf(keccak256(host.packet_receipt(packet.source_client, packet.sequence)), words.ABSENT)
    world.refuses(time_out(world, packet, elsewhere), r"proof\.root")
    receipt = world.do(time_out(world, packet))
    assert len(world.host.events.TimeoutPacket().process_receipt(receipt, errors=DISCARD)) == 1
    assert world.commitment_at(host.packet_commitment(packet.source_client, packet.sequence)) == bytes(32)
    assert len(world.do(time_out(world, packet))["logs"]) == 1, "a Noop"


def test_c5_a_timeout_is_reached_in_its_very_second(world: World) -> None:
    packet = ask(world, ahead=30)
    world.advance(31)
    for at, reason in ((packet.timeout - 1, r"packet\.timeout_not_reached"), (packet.timeout, "")):
        proof, height = world.proof([unreceived(packet)], time=UnixSeconds(at))
        call = world.host.functions.timeoutPacket((fields(packet), proof, height))
        if reason:
            world.refuses(call, reason)
        else:
            world.do(call)


def test_p13_a_send_is_judged_by_this_chains_time_as_well(world: World) -> None:
    """The other ledger was not heard of for a while: its newest time is before a timeout that has passed here."""
    world.advance(100)
    call = world.echo.functions.ask(world.client_id, "remote", BODY, world.now() - 1)
    world.refuses(call, r"packet\.expired")


def test_a_send_has_a_body_and_somebody_to_go_to(world: World) -> None:
    for port, body in (("remote", b""), ("r", BODY), ("", BODY)):
        world.refuses(world.echo.functions.ask(world.client_id, port, body, world.now() + 60), r"packet\.invalid")


@pytest.mark.parametrize(("ahead", "reason"), [(0, r"packet\.expired"), (86_500, r"packet\.timeout_too_far")])
def test_a_send_keeps_within_the_timeouts_of_p13(world: World, ahead: int, reason: str) -> None:
    world.refuses(world.echo.functions.ask(world.client_id, "remote", BODY, world.now() + ahead), reason)
