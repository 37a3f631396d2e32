"""Evidence freezes a client; what is not evidence is refused and changes nothing (digest §11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.codec.type_urls import TENDERMINT_MISBEHAVIOUR
from lockgate.lightclients.cometbft.errors import TrustedHeaderExpired, UntrustedValidators
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.tendermint import encode_misbehaviour
from lockgate.lightclients.tendermint.errors import ConsensusStateMissing, InvalidHeight, NotMisbehaviour
from lockgate.lightclients.tendermint.messages import MAX_MISBEHAVIOUR_BYTES, encode_header
from lockgate.lightclients.tendermint.states import encode_client_state
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import BadIdentifier, Height
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.chain import TRUSTING, TestLedger, client_state_of, header_message, resigned, sign
from tests.unit.lightclients.world import CLIENT, ClientWorld


def fork(world: ClientWorld, height: int = 10) -> tuple[LightBlock, LightBlock]:
    block = world.ledger.block(height)
    return block, resigned(block, app_hash=b"\x01" * 32)


def frozen_by(world: ClientWorld, one: LightBlock, other: LightBlock) -> bool:
    update = world.accuse(one, other)
    return update.misbehaviour and not update.consensus_heights and world.status() == "Frozen"


def test_two_headers_of_one_height_freeze() -> None:
    world = ClientWorld()
    assert frozen_by(world, *fork(world))


def test_a_later_height_that_is_not_later_freezes() -> None:
    world = ClientWorld()
    low = world.ledger.block(8)
    high = resigned(world.ledger.block(10), time=low.header.time)
    assert frozen_by(world, high, low)


def test_evidence_from_the_future_is_evidence() -> None:
    world = ClientWorld()
    one, other = fork(world)
    far = UnixNanos(world.now + seconds(3_600))
    assert frozen_by(world, resigned(one, time=far), resigned(other, time=far))


def test_evidence_of_an_earlier_revision_is_evidence() -> None:
    """After an upgrade to ledger-2, a fork of ledger-1 still counts while its state is trusted."""
    world = ClientWorld()
    state = replace(client_state_of(world.first), chain_id="ledger-2")
    world.view.stores["ibc"][b"clients/07-tendermint-0/clientState"] = encode_client_state(state)
    assert frozen_by(world, *fork(world))


def test_a_chain_without_revisions_is_told_from_others_by_its_whole_id() -> None:
    world = ClientWorld(chain_id="plain")
    twin = TestLedger("plainer")
    twin.run(10)
    with pytest.raises(NotMisbehaviour):
        world.accuse(twin.block(10), resigned(twin.block(10), app_hash=b"\x01" * 32))
    assert frozen_by(world, *fork(world))


Spoil = Callable[[ClientWorld], tuple[bytes, bytes]]


def spoilt(change: Callable[[ClientWorld, LightBlock, LightBlock], tuple[LightBlock, LightBlock]]) -> Spoil:
    def messages(world: ClientWorld) -> tuple[bytes, bytes]:
        one, other = change(world, *fork(world))
        return header_message(one, world.first), header_message(other, world.first)

    return messages


def of_another_chain(world: ClientWorld, one: LightBlock, other: LightBlock) -> tuple[LightBlock, LightBlock]:
    chain = TestLedger("other-1")
    chain.run(10)
    return chain.block(10), resigned(chain.block(10), app_hash=b"\x01" * 32)


def from_nowhere(world: ClientWorld) -> tuple[bytes, bytes]:
    one, other = fork(world)
    return header_message(one, world.first), header_message(other, world.ledger.block(2))


def from_height_zero(world: ClientWorld) -> tuple[bytes, bytes]:
    one, other = fork(world)
    zero = encode_header(other.signed_header, other.validators, Height(1, 0), world.first.next_validators)
    return header_message(one, world.first), zero


def from_other_validators(world: ClientWorld) -> tuple[bytes, bytes]:
    one, other = fork(world)
    stranger = TestLedger(powers=(1,)).produce().validators
    message = encode_header(other.signed_header, other.validators, Height(1, 1), stranger)
    return header_message(one, world.first), message


REFUSALS: list[tuple[str, Spoil, type[LockgateError]]] = [
    ("the same header twice", spoilt(lambda w, one, other: (one, one)), NotMisbehaviour),
    (
        "two heights in good order",
        spoilt(lambda w, one, other: (one, w.ledger.block(8))),
        NotMisbehaviour,
    ),
    ("the lower one first", spoilt(lambda w, one, other: (w.ledger.block(8), one)), NotMisbehaviour),
    ("another chain", spoilt(of_another_chain), NotMisbehaviour),
    (
        "two chains",
        spoilt(lambda w, one, other: (one, of_another_chain(w, one, other)[0])),
        NotMisbehaviour,
    ),
    (
        "one not signed by its own set",
        spoilt(
            lambda w, one, other: (
                one,
                replace(other, signed_header=sign(other.header, other.validators, absent={0, 1})),
            )
        ),
        NotMisbehaviour,
    ),
    (
        "one not matching its commit",
        spoilt(
            lambda w, one, other: (
                one,
                replace(
                    other, signed_header=replace(other.signed_header, header=replace(other.header, app_hash=bytes(32)))
                ),
            )
        ),
        NotMisbehaviour,
    ),
    ("trusted height missing", from_nowhere, ConsensusStateMissing),
    ("trusted height zero", from_height_zero, InvalidHeight),
    ("trusted validators of another hash", from_other_validators, UntrustedValidators),
]


@pytest.mark.parametrize(("spoil", "refusal"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_what_is_no_evidence_is_refused(spoil: Spoil, refusal: type[LockgateError]) -> None:
    world = ClientWorld()
    raw = encode_misbehaviour(CLIENT, *spoil(world))
    before = world.view.snapshot()
    with pytest.raises(refusal):
        world.send(TENDERMINT_MISBEHAVIOUR, raw)
    assert world.view.snapshot() == before
    assert world.status() == "Active"


def test_too_few_trusted_signers_make_no_evidence() -> None:
    world = ClientWorld()
    usurpers = TestLedger(powers=(10, 10, 10, 10, 10, 10, 10))
    usurpers.run(9)
    block = usurpers.produce(absent={0, 1})
    other = resigned(block, app_hash=b"\x01" * 32)
    known = {member.address for member in world.first.next_validators.validators}
    weak = [
        replace(
            b,
            signed_header=sign(
                b.header,
                b.validators,
                absent={place for place, member in enumerate(b.validators.validators) if member.address in known},
            ),
        )
        for b in (block, other)
    ]
    with pytest.raises(NotMisbehaviour):
        world.accuse(*weak)


def test_evidence_expires_with_what_it_is_trusted_from() -> None:
    world = ClientWorld()
    one, other = fork(world)
    world.update(world.ledger.block(5))
    world.now = UnixNanos(world.first.header.time + TRUSTING)
    with pytest.raises(TrustedHeaderExpired):
        world.accuse(one, other)
    world.now = UnixNanos(world.now - 1)
    assert frozen_by(world, one, other)


def test_the_deprecated_client_id_must_still_be_one() -> None:
    world = ClientWorld()
    one, other = (header_message(block, world.first) for block in fork(world))
    with pytest.raises(BadIdentifier):
        world.send(TENDERMINT_MISBEHAVIOUR, encode_misbehaviour("no/id", one, other))


def test_oversized_evidence_is_refused_unread() -> None:
    world = ClientWorld()
    with pytest.raises(LockgateError, match="message_too_large"):
        world.send(TENDERMINT_MISBEHAVIOUR, bytes(MAX_MISBEHAVIOUR_BYTES + 1))
