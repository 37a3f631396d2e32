"""Attack replays B1, B3, B4, B5, C3 and C6 of the incident list against the contracts, from a stolen key to its end.

What stands in the other files of this folder by its id is not repeated here: sets that are never installed (B2),
signatures for elsewhere (C1), signers that are no quorum (C3), two words for one height (C6).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.ibc import host
from lockgate.lightclients import evm_attestation as words
from tests.interop.evm.world import (
    SOURCE,
    Node,
    Refused,
    World,
    attestation,
    deploy,
    keys_of,
    make_world,
    sent,
    set_fields,
    signing_set,
)

pytestmark = pytest.mark.interop

CAP = 3  # packets of a window


def refused_at_birth(world: World, members: tuple[words.Member, ...], reason: str, **changes: Any) -> None:
    """No client is made of such a set."""
    wanted = replace(signing_set(world.keys, world.now() + 86400), members=members, **changes)
    with pytest.raises(Refused, match=reason):
        deploy(world.web3, "attested", world.host.address, SOURCE, set_fields(wanted))


def members_of(world: World) -> tuple[words.Member, ...]:
    return signing_set(world.keys, world.now() + 86400).members


def receive_many(world: World, first: int, count: int) -> Any:
    packets = [world.incoming(first + number) for number in range(count)]
    proof, height = world.proof([sent(packet) for packet in packets])
    return world.receive_many(packets, proof, height)


# --- B1 (Ronin 2022): keys that one operator holds, and a delegation long over


def test_b1_four_keys_of_one_company_are_listed_once_or_not_at_all(world: World) -> None:
    """Nine keys, four of one company, five to sign."""
    nine = signing_set(keys_of(2, 9), world.now() + 86400).members
    ronin = tuple(replace(member, operator=max(1, member.operator - 3)) for member in nine)
    assert [member.operator for member in ronin].count(1) == 4
    refused_at_birth(world, ronin, r"set\.operator", threshold=5, operators=5)
    heavy = (
        replace(nine[0], weight=4),
        *nine[4:],
    )  # one key with the weight of four: five signatures are five all the same
    wanted = replace(signing_set(world.keys, world.now() + 86400), members=heavy, threshold=5, operators=5)
    deploy(world.web3, "attested", world.host.address, SOURCE, set_fields(wanted))


def test_b1_a_set_that_nobody_renewed_signs_nothing_even_for_its_successor(world: World) -> None:
    following = signing_set(keys_of(7), world.now() + 60 * 86400)
    signatures = world.sign(following.rotation_digest(world.binding, 1))
    world.advance(31 * 86400)
    signed = [(one.position, one.r, one.vs) for one in signatures]
    world.refuses(world.client.functions.rotate(set_fields(following), signed), r"set\.expired")
    packet = world.incoming(1)
    world.refuses(world.receive(packet, *world.proof([sent(packet)])), r"set\.expired")


# --- B3 (Harmony, Orbit): hot keys are taken


def test_b3_less_than_a_quorum_of_stolen_keys_brings_nothing(world: World) -> None:
    packet = world.incoming(1)
    statement = world.statement([sent(packet)])
    inclusion = words.prove([sent(packet)], [0])[1]
    proof = words.encode_proof(statement, world.signed(statement, (0, 1)), inclusion)
    world.refuses(world.receive(packet, proof, (0, statement.height)), r"attestation\.operators")


def test_b3_a_stolen_quorum_is_contained_by_the_lanes_cap_and_ended_by_its_guardian(node: Node) -> None:
    """With three of five keys a thief makes packets up; no more than a window's worth, and none after the stop."""
    world = make_world(node, in_max=CAP)
    world.do(receive_many(world, 1, CAP))
    world.refuses(receive_many(world, 1 + CAP, 1), r"lane\.limit")
    world.advance(1800)
    world.refuses(receive_many(world, 1 + CAP, 1), r"lane\.limit")
    world.do(world.host.functions.pause(world.client_id))
    world.advance(3601)
    world.refuses(receive_many(world, 1 + CAP, 1), r"lane\.paused")
    made_up = [world.incoming(number) for number in range(1, CAP + 2)]
    receipts = [world.commitment_at(host.packet_receipt(p.destination_client, p.sequence)) for p in made_up]
    assert [receipt != bytes(32) for receipt in receipts] == [True] * CAP + [False]


def test_b3_a_rotation_makes_the_stolen_keys_worthless(world: World) -> None:
    fresh = keys_of(8)
    following = signing_set(fresh, world.now() + 86400)
    signatures = world.sign(following.rotation_digest(world.binding, 1))
    world.do(world.client.functions.rotate(set_fields(following), [(s.position, s.r, s.vs) for s in signatures]))
    packet = world.incoming(1)
    world.refuses(world.receive(packet, *world.proof([sent(packet)])), r"attestation\.epoch")
    thief = replace(world, epoch=2)
    thief.refuses(thief.receive(packet, *thief.proof([sent(packet)])), r"attestation\.signer")
    owner = replace(world, keys=fresh, epoch=2, height=world.height + 5)
    owner.do(owner.receive(packet, *owner.proof([sent(packet)])))


# --- B4 (Multichain): all shares with one person


def test_b4_one_persons_keys_are_one_member_and_one_member_is_no_quorum(world: World) -> None:
    members = members_of(world)
    one_person = tuple(replace(member, operator=1) for member in members)
    refused_at_birth(world, one_person, r"set\.operator")
    same_key = tuple(replace(member, signer=members[0].signer) for member in members)
    refused_at_birth(world, same_key, r"set\.signer_twice")
    heavy = (replace(members[0], weight=100), *members[1:])
    refused_at_birth(world, heavy, r"set\.threshold", threshold=60)


# --- B5 (KelpDAO, LayerZero): one verifier is enough


@pytest.mark.parametrize(("count", "operators", "threshold"), [(1, 1, 1), (2, 1, 2), (5, 1, 3), (2, 2, 1)])
def test_b5_a_lane_whose_verification_rests_on_one_is_never_opened(
    world: World, count: int, operators: int, threshold: int
) -> None:
    members = members_of(world)[:count]
    refused_at_birth(world, members, r"set\.(operators|threshold)", operators=operators, threshold=threshold)


def test_b5_no_failure_lowers_what_is_required(world: World) -> None:
    """Two of five signers are silenced for good: the other three cannot agree to need fewer from then on."""
    for count, operators, threshold in ((3, 2, 2), (5, 2, 3)):
        following = signing_set(keys_of(9, count), world.now() + 86400, operators=operators, threshold=threshold)
        signatures = world.sign(following.rotation_digest(world.binding, 1))
        signed = [(one.position, one.r, one.vs) for one in signatures]
        world.refuses(world.client.functions.rotate(set_fields(following), signed), r"set\.(lowered|operators)")


# --- C3 (Chainswap): quota and list are not what a message says


def test_c3_what_a_caller_brings_is_never_the_set(world: World) -> None:
    """A message with a whole quorum of another list, of another epoch's number, or of nobody's."""
    packet = world.incoming(1)
    for keys, epoch, reason in (
        (keys_of(6), 1, r"attestation\.signer"),
        (keys_of(6), 2, r"attestation\.epoch"),
        (world.keys, 0, r"attestation\.epoch"),
        (world.keys, 2**63, r"attestation\.epoch"),
    ):
        forger = replace(world, keys=keys, epoch=epoch)
        forger.refuses(forger.receive(packet, *forger.proof([sent(packet)])), reason)


# --- C6: re-organisation after release


def test_c6_a_history_that_changes_after_release_halts_the_lane_for_good(world: World) -> None:
    """A packet was received under one root of a height; then its signers tell another: nothing moves any more."""
    packet = world.incoming(1)
    first = world.statement([sent(packet)])
    inclusion = words.prove([sent(packet)], [0])[1]
    world.do(world.receive(packet, words.encode_proof(first, world.signed(first), inclusion), (0, first.height)))
    other = replace(first, state_root=b"\x66" * 32)
    both = attestation(first, world.signed(first)), attestation(other, world.signed(other, (1, 2, 3)))
    world.do(world.client.functions.misbehaviour(*both))
    following = world.incoming(2)
    world.refuses(world.receive(following, *world.proof([sent(following)])), r"client\.frozen")
    rescue = signing_set(keys_of(5), world.now() + 86400)
    signatures = [(s.position, s.r, s.vs) for s in world.sign(rescue.rotation_digest(world.binding, 1))]
    world.refuses(world.client.functions.rotate(set_fields(rescue), signatures), r"client\.frozen")
