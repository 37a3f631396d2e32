"""The attested client on a real EVM node: whose words count, and what freezes it (S20, S28)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data
from web3 import Web3

from lockgate.lightclients import evm_attestation as words
from lockgate.primitives.time import UnixSeconds
from tests.interop.evm.world import (
    SOURCE,
    Refused,
    World,
    attestation,
    deploy,
    keys_of,
    sent,
    set_fields,
    signature,
    signing_set,
)

pytestmark = pytest.mark.interop

LEAF = words.Leaf(b"\x21" * 32, b"\x22" * 32)
OTHER = words.Leaf(b"\x23" * 32, b"\x24" * 32)


def update(world: World, statement: words.Statement, signatures: Sequence[words.Signed]) -> Any:
    return world.client.functions.update(attestation(statement, signatures))


def active(world: World) -> bool:
    return bool(world.client.functions.status().call()[0])


def test_the_digest_is_the_one_of_eip712(world: World) -> None:
    """Judged by another implementation of EIP-712."""
    statement = world.statement([LEAF])
    names = {"name": "lockgate.attested", "version": "1", "chainId": world.web3.eth.chain_id, "salt": SOURCE}
    names["verifyingContract"] = world.client.address
    kinds = [("bytes32", "client"), *(("uint64", name) for name in ("epoch", "height", "time"))]
    kinds += [("bytes32", "stateRoot"), ("bytes32", "leavesRoot")]
    content = {
        "client": Web3.keccak(text=world.client_id),
        "epoch": statement.epoch,
        "height": statement.height,
        "time": statement.time,
        "stateRoot": statement.state_root,
        "leavesRoot": statement.leaves_root,
    }
    typed = {"Attestation": [{"type": kind, "name": name} for kind, name in kinds]}
    assert statement.digest(world.binding) == _hash_eip191_message(encode_typed_data(names, typed, content))


def test_a_quorum_moves_the_client_forward(world: World) -> None:
    statement = world.statement([LEAF])
    world.do(update(world, statement, world.signed(statement, (0, 2, 4))))
    assert world.client.functions.status().call() == [True, statement.height, statement.time]


@pytest.mark.parametrize(
    ("signers", "reason"),
    [
        ((0, 1), r"attestation\.operators"),
        ((0, 0, 1), r"attestation\.order"),
        ((1, 0, 2), r"attestation\.order"),
        ((0, 1, 1), r"attestation\.order"),
        ((), r"attestation\.operators"),
    ],
    ids=["too few", "duplicate", "unordered", "duplicate at the end", "none"],
)
def test_c3_signers_that_do_not_make_a_quorum(world: World, signers: tuple[int, ...], reason: str) -> None:
    statement = world.statement([LEAF])
    world.refuses(update(world, statement, world.signed(statement, signers)), reason)


def test_c3_unknown_signers_are_refused(world: World) -> None:
    statement = world.statement([LEAF])
    digest = statement.digest(world.binding)
    honest = world.signed(statement)
    stranger = keys_of(7)[0]
    world.refuses(update(world, statement, (*honest[:2], signature(stranger, digest, 2))), r"attestation\.signer")
    beyond = signature(world.keys[0], digest, 9)
    world.refuses(update(world, statement, (*honest[:2], beyond)), r"attestation\.signer")
    lent = replace(honest[0], position=3)  # one operator under another's position
    world.refuses(update(world, statement, (honest[0], honest[1], lent)), r"attestation\.signer")
    for position in (2, 9):  # ecrecover answers the zero address, which is what stands where there is no member
        empty = words.Signed(position, bytes(32), bytes(32))
        world.refuses(update(world, statement, (*honest[:2], empty)), r"attestation\.signer")


def test_c3_a_quorum_needs_weight_beside_number(world: World) -> None:
    """Three operators of five, but with three ninths of the weight where six are asked for."""
    weights = (1, 1, 1, 3, 3)
    members = signing_set(world.keys, 0).members
    weighed = tuple(replace(one, weight=weight) for one, weight in zip(members, weights, strict=True))
    rotated(world, signing_set(world.keys, world.now() + 86400, members=weighed, threshold=6))
    statement = world.statement([LEAF])
    world.refuses(update(world, statement, world.signed(statement, (0, 1, 2))), r"attestation\.weight")
    world.refuses(update(world, statement, world.signed(statement, (0, 1, 4))), r"attestation\.weight")
    world.refuses(update(world, statement, world.signed(statement, (3, 4))), r"attestation\.operators")
    world.do(update(world, statement, world.signed(statement, (2, 3, 4))))


def rotated(world: World, following: words.SigningSet) -> None:
    """Put the next set, of the same keys, in place."""
    signatures = world.sign(following.rotation_digest(world.binding, world.epoch))
    signed = [(one.position, one.r, one.vs) for one in signatures]
    world.do(world.client.functions.rotate(set_fields(following), signed))
    world.epoch += 1


def test_a_signature_has_one_form(world: World) -> None:
    statement = world.statement([LEAF])
    first, second, third = world.signed(statement)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    vs = int.from_bytes(third.vs)
    flipped = (order - (vs & (1 << 255) - 1)) | ((vs >> 255) ^ 1) << 255
    world.refuses(
        update(world, statement, (first, second, replace(third, vs=flipped.to_bytes(32)))), r"attestation\.signer"
    )


@pytest.mark.parametrize("epoch", [0, 2])
def test_another_epoch_is_refused(world: World, epoch: int) -> None:
    statement = world.statement([LEAF], epoch=epoch)
    world.refuses(update(world, statement, world.signed(statement)), r"attestation\.epoch")


@pytest.mark.parametrize("field", ["chain_id", "contract", "client_id", "source"])
def test_c1_a_signature_for_elsewhere_is_refused(world: World, field: str) -> None:
    """Another network, contract, client or ledger: each alone makes it another statement."""
    changed = {"chain_id": 1, "contract": b"\x05" * 20, "client_id": "client-1", "source": b"\x06" * 32}[field]
    statement = world.statement([LEAF])
    binding = replace(world.binding, **{field: changed})
    signatures = world.sign(statement.digest(binding))
    world.refuses(update(world, statement, signatures), r"attestation\.signer")


@pytest.mark.parametrize("field", ["height", "time", "state_root", "leaves_root"])
def test_every_field_is_signed(world: World, field: str) -> None:
    statement = world.statement([LEAF])
    changed = {"height": statement.height + 1, "time": statement.time - 1}.get(field, b"\x09" * 32)
    world.refuses(
        update(world, replace(statement, **{field: changed}), world.signed(statement)), r"attestation\.signer"
    )


def test_a1_what_was_never_set_is_never_valid(world: World) -> None:
    for changes in ({"height": 0}, {"state_root": bytes(32)}):
        statement = world.statement([LEAF], **changes)
        world.refuses(update(world, statement, world.signed(statement)), r"attestation\.empty")


def test_a1_a_client_of_no_ledger_or_no_host_is_not_made(world: World) -> None:
    first = set_fields(signing_set(world.keys, world.now() + 86400))
    for hosting, source in ((world.host.address, bytes(32)), (world.web3.eth.accounts[3], SOURCE)):
        with pytest.raises(Refused, match=r"client\.constructor"):
            deploy(world.web3, "attested", hosting, source, first)


def test_time_goes_with_height(world: World) -> None:
    _, height, time = world.client.functions.status().call()
    for changes, reason in (
        ({"time": UnixSeconds(time - 1)}, r"attestation\.time"),
        ({"height": height - 1, "time": UnixSeconds(time + 1)}, r"attestation\.time"),
        ({"height": height, "time": UnixSeconds(time - 1)}, r"attestation\.time"),
        ({"height": height, "time": UnixSeconds(time + 1)}, r"attestation\.time"),
        ({"time": UnixSeconds(world.now() + 600)}, r"attestation\.future"),
    ):
        statement = world.statement([LEAF], **changes)
        world.refuses(update(world, statement, world.signed(statement)), reason)


def test_c6_two_words_for_one_height_freeze_for_good(world: World) -> None:
    first = world.statement([LEAF])
    second = replace(first, state_root=b"\x77" * 32)
    both = attestation(first, world.signed(first)), attestation(second, world.signed(second, (2, 3, 4)))
    world.refuses(world.client.functions.misbehaviour(both[0], both[0]), r"misbehaviour\.none")
    unsigned = attestation(second, world.signed(first))
    world.refuses(world.client.functions.misbehaviour(both[0], unsigned), r"attestation\.signer")
    world.do(world.client.functions.misbehaviour(*both))
    assert not active(world)
    later = world.statement([LEAF])
    world.refuses(update(world, later, world.signed(later)), r"client\.frozen")
    packet = world.incoming(1)
    world.refuses(world.receive(packet, *world.proof([sent(packet)])), r"client\.frozen")
    world.refuses(world.echo.functions.ask(world.client_id, "remote", b"x", world.now() + 60), r"client\.not_active")


def test_times_that_run_backwards_freeze(world: World) -> None:
    first = world.statement([LEAF])
    second = world.statement([LEAF], time=UnixSeconds(first.time - 1))
    good = attestation(first, world.signed(first)), attestation(second, world.signed(second))
    world.refuses(world.client.functions.misbehaviour(good[1], good[0]), r"misbehaviour\.none")
    world.do(world.client.functions.misbehaviour(*good))
    assert not active(world)


def test_two_values_of_one_path_freeze(world: World) -> None:
    first = world.statement([LEAF, OTHER])
    changed = replace(LEAF, value=words.ABSENT)
    second = replace(first, leaves_root=words.merkle_root([OTHER, changed]))
    a, b = attestation(first, world.signed(first)), attestation(second, world.signed(second))
    in_first = words.inclusion_fields(words.prove([LEAF, OTHER], [0])[1])
    in_second = words.inclusion_fields(words.prove([OTHER, changed], [1])[1])
    call = world.client.functions.misbehaviourOfLeaf
    one, two = (LEAF.path, LEAF.value), (changed.path, changed.value)
    a_in, b_in = as_bytes(in_first), as_bytes(in_second)
    world.refuses(call(a, one, a_in, a, one, a_in), r"misbehaviour\.none")
    world.refuses(call(a, two, a_in, b, two, b_in), r"proof\.root")
    world.do(call(a, one, a_in, b, two, b_in))
    assert not active(world)


def as_bytes(inclusion: tuple[Any, ...]) -> tuple[Any, ...]:
    size, positions, siblings = inclusion
    return size, positions, [one.to_bytes(32) for one in siblings]


def test_a_set_hands_over_to_the_next(world: World) -> None:
    keys = keys_of(3, 6)
    following = signing_set(keys, world.now() + 86400, threshold=4, operators=4)
    signatures = world.sign(following.rotation_digest(world.binding, 1))
    rotate = world.client.functions.rotate
    signed = [(one.position, one.r, one.vs) for one in signatures]
    world.refuses(rotate(set_fields(replace(following, operators=5)), signed), r"attestation\.signer")
    world.refuses(rotate(set_fields(following), signed[:2]), r"attestation\.operators")
    world.do(rotate(set_fields(following), signed))
    old = world.statement([LEAF])
    world.refuses(update(world, old, world.signed(old)), r"attestation\.epoch")
    with pytest.raises(Refused, match=r"attestation\.signer|attestation\.operators"):
        world.do(rotate(set_fields(following), signed))
    now = replace(world, keys=keys, epoch=2)
    statement = now.statement([LEAF])
    world.refuses(update(now, statement, now.signed(statement)), r"attestation\.operators")
    now.do(update(now, statement, now.signed(statement, (0, 1, 2, 5))))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"threshold": 0}, r"set\.threshold"),
        ({"threshold": 6}, r"set\.threshold"),
        ({"threshold": 2}, r"set\.threshold"),
        ({"operators": 1}, r"set\.operators"),
        ({"operators": 6}, r"set\.operators"),
        ({"expires": UnixSeconds(1)}, r"set\.expired"),
    ],
)
def test_b2_a_set_that_does_not_hold_is_not_installed(world: World, changes: Any, reason: str) -> None:
    first = signing_set(world.keys, world.now() + 86400, **changes)
    with pytest.raises(Refused, match=reason):
        deploy(world.web3, "attested", world.host.address, SOURCE, set_fields(first))


def test_b1_an_operator_counts_once_and_none_suffices_alone(world: World) -> None:
    good = signing_set(world.keys, world.now() + 86400)
    twice = replace(good, members=(good.members[0], replace(good.members[1], operator=1), *good.members[2:]))
    heavy = replace(good, members=(replace(good.members[0], weight=9), *good.members[1:]), threshold=9)
    shared = replace(good, members=(*good.members[:4], replace(good.members[4], signer=good.members[0].signer)))
    few = replace(good, members=tuple(replace(one, weight=3) for one in good.members), threshold=8, operators=2)
    for bad, reason in ((twice, "operator"), (heavy, "threshold"), (shared, "signer_twice"), (few, "operators")):
        with pytest.raises(Refused, match=rf"set\.{reason}"):
            deploy(world.web3, "attested", world.host.address, SOURCE, set_fields(bad))


def test_a_rotation_never_asks_for_less(world: World) -> None:
    for following in (
        signing_set(keys_of(4, 7), world.now() + 86400, threshold=4, operators=4),  # 4/7 < 3/5
        signing_set(keys_of(4, 3), world.now() + 86400, threshold=3, operators=2),
    ):
        signatures = world.sign(following.rotation_digest(world.binding, 1))
        signed = [(one.position, one.r, one.vs) for one in signatures]
        world.refuses(world.client.functions.rotate(set_fields(following), signed), r"set\.lowered")


def test_a_set_that_nobody_renews_lapses(world: World) -> None:
    world.advance(31 * 86400)
    assert not active(world)
    statement = world.statement([LEAF])
    world.refuses(update(world, statement, world.signed(statement)), r"set\.expired")
