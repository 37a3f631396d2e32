"""A lane on a real EVM node: its limits, its stop, and batches of its packets under one quorum (S20)."""

from __future__ import annotations

import pytest

from lockgate.ibc import host
from lockgate.ibc.packet import Packet
from lockgate.lightclients import evm_attestation as words
from lockgate.primitives.ids import ClientId
from tests.interop.evm.world import (
    REMOTE,
    SOURCE,
    Node,
    Refused,
    World,
    answered,
    deploy,
    fields,
    make_world,
    sent,
    set_fields,
    signing_set,
)

pytestmark = pytest.mark.interop

BODY = b"\x01" * 128


def receive_many(world: World, count: int, wanted: list[int] | None = None) -> object:
    packets = [world.incoming(at + 1, bytes([at + 1]) * 128) for at in range(count)]
    proof, height = world.proof([sent(packet) for packet in packets], wanted)
    chosen = packets if wanted is None else [packets[at] for at in wanted]
    return world.receive_many(chosen, proof, height)


def received(world: World, sequence: int) -> bool:
    return world.commitment_at(host.packet_receipt(world.client_id, sequence)) != bytes(32)


def test_a_batch_is_received_under_one_quorum(world: World) -> None:
    world.do(receive_many(world, 7))
    assert [received(world, sequence) for sequence in range(1, 9)] == [True] * 7 + [False]


@pytest.mark.parametrize("wanted", [[0], [6], [1, 2], [0, 3, 6], [2, 4, 5], list(range(7))])
def test_any_part_of_a_batch_can_be_received(world: World, wanted: list[int]) -> None:
    world.do(receive_many(world, 7, wanted))
    assert [at for at in range(7) if received(world, at + 1)] == wanted


def test_a4_each_leaf_and_each_sibling_is_used_once(world: World) -> None:
    packets = [world.incoming(at + 1) for at in range(5)]
    leaves = [sent(packet) for packet in packets]
    statement = world.statement(leaves)
    signed = world.signed(statement)
    _, good = words.prove(leaves, [1, 3])
    chosen = [packets[1], packets[3]]

    def refused(inclusion: words.Inclusion, reason: str, which: list[Packet] = chosen) -> None:
        proof = words.encode_proof(statement, signed, inclusion)
        world.refuses(world.receive_many(which, proof, (0, statement.height)), reason)

    refused(words.Inclusion(good.size, good.positions | 1, good.siblings), r"proof\.positions")
    refused(words.Inclusion(good.size, good.positions | 1 << 200, good.siblings), r"proof\.positions")
    refused(words.Inclusion(good.size, 1 << 1, good.siblings), r"proof\.positions")
    refused(words.Inclusion(good.size, 1 << 1 | 1 << 9, good.siblings), r"proof\.positions")
    refused(words.Inclusion(good.size, good.positions, (*good.siblings, bytes(32))), r"proof\.siblings")
    refused(words.Inclusion(good.size, good.positions, good.siblings[:-1]), "")
    refused(words.Inclusion(good.size + 4, good.positions, good.siblings), "")
    refused(words.Inclusion(0, 0, ()), r"proof\.size")
    refused(words.Inclusion(257, good.positions, good.siblings), r"proof\.size")
    refused(good, r"proof\.root", chosen[::-1])
    refused(good, r"proof\.root", [chosen[0], chosen[0]])
    world.do(world.receive_many(chosen, words.encode_proof(statement, signed, good), (0, statement.height)))


def test_a_batch_is_of_one_lane(world: World) -> None:
    packets = [world.incoming(1), world.incoming(2)._replace(destination_client="client-7")]  # type: ignore[arg-type]
    proof, height = world.proof([sent(packet) for packet in packets])
    world.refuses(world.receive_many(packets, proof, height), r"proof\.root")
    elsewhere = packets[0]._replace(source_client=ClientId("attested-1"))
    world.refuses(world.receive_many([elsewhere], proof, height), r"packet\.counterparty")
    none = world.host.functions.recvPackets(REMOTE, world.client_id, [], proof, height)
    world.refuses(none, r"packet\.none")


def test_a_repeated_packet_of_a_batch_changes_nothing(world: World) -> None:
    first = world.incoming(1)
    proof, height = world.proof([sent(first)])
    world.do(world.receive(first, proof, height))
    both = [first, world.incoming(2)]
    proof, height = world.proof([sent(packet) for packet in both])
    receipt = world.do(world.receive_many(both, proof, height))
    assert len(receipt["logs"]) == 2, "a Noop, and the second's acknowledgement"
    assert received(world, 2)


def test_answers_come_back_in_one_batch(world: World) -> None:
    timeout = world.now() + 3600
    bodies = [bytes([at + 1]) * 128 for at in range(5)]
    world.do(world.echo.functions.askMany(world.client_id, "remote", bodies, timeout))
    packets = []
    for at, body in enumerate(bodies):
        packet = world.incoming(at + 1, body, timeout=timeout)
        payload = packet.payloads[0]._replace(source_port=world.port, destination_port="remote")
        source, destination = packet.destination_client, packet.source_client
        packets.append(packet._replace(payloads=(payload,), source_client=source, destination_client=destination))
    answers = [bytes([at + 1]) for at in range(5)]
    proof, height = world.proof([answered(*pair) for pair in zip(packets, answers, strict=True)])
    world.refuses(world.acknowledge_many(packets, answers[:4], proof, height), r"packet\.none")
    world.refuses(world.acknowledge_many(packets, answers[::-1], proof, height), r"proof\.root")
    world.do(world.acknowledge_many(packets, answers, proof, height))
    for packet in packets:
        assert world.commitment_at(host.packet_commitment(world.client_id, packet.sequence)) == bytes(32)


def test_a_lane_takes_so_many_packets_in_a_window(node: Node) -> None:
    world = make_world(node, in_max=3, out_max=2)
    world.do(receive_many(world, 4))
    assert [received(world, sequence) for sequence in range(1, 5)] == [True] * 3 + [False]
    packet = world.incoming(9)
    world.refuses(world.receive(packet, *world.proof([sent(packet)])), r"lane\.limit")
    for _ in range(2):
        world.do(world.echo.functions.ask(world.client_id, "remote", BODY, world.now() + 60))
    world.refuses(world.echo.functions.ask(world.client_id, "remote", BODY, world.now() + 60), r"lane\.limit")
    world.advance(3601)
    world.do(world.echo.functions.ask(world.client_id, "remote", BODY, world.now() + 60))
    world.do(world.receive(packet._replace(timeout=world.now() + 60), *again(world, packet)))  # type: ignore[arg-type]


def again(world: World, packet: object) -> tuple[bytes, tuple[int, int]]:
    renewed = packet._replace(timeout=world.now() + 60)  # type: ignore[attr-defined]
    return world.proof([sent(renewed)])


def test_p16_a_stop_is_immediate_and_resuming_is_delayed(world: World) -> None:
    lanes = world.host.functions
    packet = world.incoming(1)
    world.do(world.echo.functions.ask(world.client_id, "remote", BODY, world.now() + 86_000))
    world.do(lanes.announce(world.client_id, 5, 5, 60))
    world.do(lanes.pause(world.client_id))
    world.refuses(lanes.enact(world.client_id), r"lane\.not_announced")
    world.refuses(world.receive(packet, *world.proof([sent(packet)])), r"lane\.paused")
    world.refuses(world.echo.functions.ask(world.client_id, "remote", BODY, world.now() + 60), r"lane\.paused")
    ended = world.incoming(1)._replace(source_client=world.client_id, destination_client="attested-0")  # type: ignore[arg-type]
    proof, height = world.proof([answered(ended, b"x")])
    world.refuses(lanes.ackPacket((fields(ended), b"x", proof, height)), r"lane\.paused")
    world.do(lanes.announce(world.client_id, 5, 6, 60))
    world.refuses(lanes.enact(world.client_id), r"lane\.too_early")
    world.advance(3601)
    world.do(lanes.enact(world.client_id))
    assert lanes.getLane(world.client_id).call()[3:] == [False, 5 | 6 << 32 | 60 << 64]
    packet = world.incoming(1)
    world.do(world.receive(packet, *world.proof([sent(packet)])))


@pytest.mark.parametrize("limits", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_limit_is_state_not_a_default(world: World, limits: tuple[int, int, int]) -> None:
    world.refuses(world.host.functions.announce(world.client_id, *limits), r"lane\.limits")
    with pytest.raises(Refused, match=r"lane\.limits"):
        world.do(world.host.functions.addClient("attested-0", world.client.address, *limits))


def test_a_client_serves_one_lane(world: World) -> None:
    with pytest.raises(Refused, match=r"client\.bound"):
        world.do(world.host.functions.addClient("attested-0", world.client.address, 1, 1, 1))


def test_only_who_made_a_client_opens_its_lane(world: World) -> None:
    """Whoever was first with somebody's client would be the guardian of its lane."""
    first = set_fields(signing_set(world.keys, world.now() + 86400))
    client = deploy(world.web3, "attested", world.host.address, SOURCE, first)
    opening = world.host.functions.addClient("attested-0", client.address, 1, 1, 1)
    with pytest.raises(Refused, match=r"client\.opener"):
        world.do(opening, **{"from": world.web3.eth.accounts[5]})
    world.do(opening)
