"""The attested client at the edges of what it takes: each bound from both sides (S20, S28)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from web3.exceptions import ContractLogicError

from lockgate.lightclients import evm_attestation as words
from lockgate.primitives.time import UnixSeconds
from tests.interop.evm.test_attested import active, rotated, update
from tests.interop.evm.world import SOURCE, Refused, World, attestation, deploy, keys_of, sent, set_fields, signing_set

pytestmark = pytest.mark.interop

LEAF = words.Leaf(b"\x21" * 32, b"\x22" * 32)
DAY = 86_400


def made(world: World, members: tuple[words.Member, ...], **changes: Any) -> None:
    wanted = replace(signing_set(world.keys, world.now() + DAY), members=members, **changes)
    deploy(world.web3, "attested", world.host.address, SOURCE, set_fields(wanted))


def test_a_member_has_a_key_and_a_weight(world: World) -> None:
    first, *others = signing_set(world.keys, 0).members
    heaviest = tuple(replace(one, weight=65_535) for one in (first, *others))
    made(world, heaviest, threshold=3 * 65_535)
    for spoilt in (replace(first, signer=bytes(20)), replace(first, weight=0)):
        with pytest.raises(Refused, match=r"set\.member"):
            made(world, (spoilt, *others))
    heavier = tuple(replace(one, weight=65_536) for one in (first, *others))
    with pytest.raises(Refused, match=r"set\.member"):
        made(world, heavier, threshold=3 * 65_536)


def test_operators_ascend_from_one(world: World) -> None:
    first, second, *others = signing_set(world.keys, 0).members
    for spoilt in ((replace(first, operator=0), second), (second, first), (first, replace(second, operator=1))):
        with pytest.raises(Refused, match=r"set\.operator"):
            made(world, (*spoilt, *others))


def test_a_set_of_sixteen_is_the_largest_and_two_the_smallest(world: World) -> None:
    sixteen = signing_set(keys_of(3, 16), 0).members
    made(world, sixteen, threshold=9, operators=9)
    made(world, sixteen[:2], threshold=2, operators=2)
    with pytest.raises(Refused, match="reverted"):  # without words: no constructor takes such a list
        made(world, signing_set(keys_of(3, 17), 0).members, threshold=9, operators=9)


@pytest.mark.parametrize(
    ("weights", "threshold", "good"),
    [
        ((1, 1, 1), 2, True),
        ((1, 1, 1), 4, False),
        ((2, 1, 1), 3, True),
        ((3, 1, 1), 3, False),
        ((1, 1, 1, 1), 2, False),
    ],
)
def test_a_threshold_is_more_than_half_and_more_than_anyones(
    world: World, weights: tuple[int, ...], threshold: int, good: bool
) -> None:
    members = signing_set(keys_of(3, len(weights)), 0).members
    weighed = tuple(replace(one, weight=weight) for one, weight in zip(members, weights, strict=True))
    operators = len(weights) // 2 + 1
    if good:
        made(world, weighed, threshold=threshold, operators=operators)
        return
    with pytest.raises(Refused, match=r"set\.threshold"):
        made(world, weighed, threshold=threshold, operators=operators)


def test_more_than_half_of_the_operators_sign(world: World) -> None:
    members = signing_set(keys_of(3, 6), 0).members
    made(world, members, threshold=4, operators=4)
    with pytest.raises(Refused, match=r"set\.operators"):
        made(world, members, threshold=4, operators=3)


def test_an_expiry_is_ahead_and_fits_its_field(world: World) -> None:
    members = signing_set(world.keys, 0).members
    made(world, members, expires=UnixSeconds(2**40 - 1))
    for expires in (2**40, world.now()):
        with pytest.raises(Refused, match=r"set\.expired"):
            made(world, members, expires=UnixSeconds(expires))


def test_a_set_counts_to_its_last_second(world: World) -> None:
    lapses = world.now() + 100
    rotated(world, signing_set(world.keys, lapses))
    world.rpc("evm_setNextBlockTimestamp", lapses - 1)
    world.rpc("evm_mine")
    assert active(world)
    world.rpc("evm_setNextBlockTimestamp", lapses)
    world.rpc("evm_mine")
    assert not active(world)


def test_nobody_binds_a_client_but_its_host(world: World) -> None:
    first = set_fields(signing_set(world.keys, world.now() + DAY))
    fresh = deploy(world.web3, "attested", world.host.address, SOURCE, first)
    with pytest.raises(Refused, match=r"client\.bound"):
        world.do(fresh.functions.bind("client-1", world.web3.eth.accounts[0]))


def test_the_same_height_and_a_lower_one_prove_again(world: World) -> None:
    """A second batch under a statement of the same height, and one under an older statement that nobody brought."""
    older = world.statement([LEAF], time=UnixSeconds(world.now() - 1))
    same_time = world.statement([LEAF])
    newest = world.statement([LEAF], time=same_time.time)
    for statement in (newest, newest, same_time, older):
        world.do(update(world, statement, world.signed(statement)))
        assert world.client.functions.status().call() == [True, newest.height, newest.time]
    for changes in ({"time": UnixSeconds(newest.time + 1)}, {"time": UnixSeconds(newest.time - 1)}):
        spoilt = replace(newest, **changes)
        world.refuses(update(world, spoilt, world.signed(spoilt)), r"attestation\.time")
    late = replace(older, time=UnixSeconds(newest.time + 1))
    world.refuses(update(world, late, world.signed(late)), r"attestation\.time")


def test_a_clock_a_minute_ahead_is_the_furthest(world: World) -> None:
    now = world.now() + 10
    calls = {}
    for ahead in (61, 60):
        statement = world.statement([LEAF], time=UnixSeconds(now + ahead))
        calls[ahead] = update(world, statement, world.signed(statement))
    world.rpc("evm_setNextBlockTimestamp", now)
    world.rpc("evm_mine")
    options: Any = {"from": world.web3.eth.accounts[0]}
    with pytest.raises(ContractLogicError, match=r"attestation\.future"):
        calls[61].call(options, "latest")
    calls[60].call(options, "latest")


@pytest.mark.parametrize("wanted", [[0], [255], [127, 128], [0, 1, 254, 255]])
def test_a_root_covers_256_leaves(world: World, wanted: list[int]) -> None:
    packets = [world.incoming(number + 1) for number in range(4)]
    places = dict(zip(wanted, packets, strict=False))
    leaves = [sent(places[at]) if at in places else words.Leaf(at.to_bytes(32), bytes(32)) for at in range(256)]
    world.do(world.receive_many(list(places.values()), *world.proof(leaves, wanted)))


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 8, 9, 17])
def test_trees_of_any_width_are_walked(world: World, width: int) -> None:
    packets = [world.incoming(number + 1) for number in range(width)]
    leaves = [sent(packet) for packet in packets]
    for wanted in ([width - 1], list(range(width)), list(range(0, width, 2))):
        with world.undone():
            chosen = [packets[at] for at in wanted]
            world.do(world.receive_many(chosen, *world.proof(leaves, wanted)))


def test_evidence_is_of_one_height_or_of_ascending_ones(world: World) -> None:
    first = world.statement([LEAF])
    second = world.statement([LEAF], time=UnixSeconds(first.time - 1))
    low, high = (attestation(one, world.signed(one)) for one in (first, second))
    equal = world.statement([LEAF], time=first.time)
    even = attestation(equal, world.signed(equal))
    for pair in ((high, low), (low, even), (even, low), (low, low)):
        world.refuses(world.client.functions.misbehaviour(*pair), r"misbehaviour\.none")
    world.do(world.client.functions.misbehaviour(low, high))
    assert not active(world)


@pytest.mark.parametrize("field", ["time", "state_root"])
def test_either_word_that_differs_at_one_height_freezes(world: World, field: str) -> None:
    first = world.statement([LEAF])
    changed = {"time": UnixSeconds(first.time - 1), "state_root": b"\x77" * 32}[field]
    second = replace(first, **{field: changed})
    both = [attestation(one, world.signed(one)) for one in (first, second)]
    world.do(world.client.functions.misbehaviour(*both))
    world.refuses(world.client.functions.misbehaviour(*both), r"client\.frozen")


def test_two_values_need_one_path_and_one_height(world: World) -> None:
    other = words.Leaf(LEAF.path, b"\x33" * 32)
    elsewhere = words.Leaf(b"\x44" * 32, b"\x33" * 32)
    first = world.statement([LEAF])
    call, alone = world.client.functions.misbehaviourOfLeaf, (1, 1, [])

    def spoilt(leaf: words.Leaf, **changes: Any) -> Any:
        second = replace(first, leaves_root=words.merkle_root([leaf]), **changes)
        one, two = (attestation(each, world.signed(each)) for each in (first, second))
        return call(one, (LEAF.path, LEAF.value), alone, two, (leaf.path, leaf.value), alone)

    world.refuses(spoilt(elsewhere), r"misbehaviour\.none")
    world.refuses(spoilt(other, height=first.height + 1), r"misbehaviour\.none")
    world.refuses(spoilt(LEAF), r"misbehaviour\.none")
    world.do(spoilt(other))
    assert not active(world)
