"""The only signer of a ledger is followed by its next key, and light clients by one header (P10, P12, S11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lockgate.codec import type_urls as urls
from lockgate.crypto import ed25519
from lockgate.engines.embedded.chain import EmbeddedChain
from lockgate.engines.embedded.recovery import check_blocks
from lockgate.engines.embedded.roster import LocalValidator, NoSigner
from lockgate.lab.ledgers import LabAccount, LabLedger, MemorySigningState
from lockgate.lab.paths import expect, update, update_message
from lockgate.lightclients.cometbft.types import SignedHeader, ValidatorSet
from lockgate.lightclients.tendermint.messages import encode_header
from lockgate.machine import handover, keys
from lockgate.machine.genesis import Parameters
from lockgate.machine.wording import finality
from tests.support.equivocation import client_message
from tests.support.forgery import forged
from tests.support.lab import World

DELAY = Parameters().authority_delay_blocks
Fields = dict[str, Any]


def fields(ledger: LabLedger, old: ed25519.SigningKey, new: ed25519.SigningKey) -> Fields:
    signed = handover.possession_bytes(old.public_key, new.public_key, ledger.chain.machine.domain, ledger.revision)
    return {"public_key": new.public_key, "possession": new.sign(signed)}


def announced(world: World, arguments: Fields) -> str:
    action = {"action": handover.ROTATE, "arguments": arguments}
    return world.a.ledger.govern(world.gov, "gov.announce", action).log


def handed_over(world: World, old: ed25519.SigningKey, new: ed25519.SigningKey) -> int:
    """Announce, wait; returns the height from which the new key signs."""
    ledger = world.a.ledger
    assert not announced(world, fields(ledger, old, new))
    events = [event for _ in range(DELAY - 1) for event in ledger.block().results.events]
    (found,) = [event for event in events if event.type == "validators_changed"]
    return int(found.get("signs_from") or 0)


def first_hand_over(world: World) -> int:
    ledger = world.a.ledger
    since = handed_over(world, ledger.keys[0], ledger.spares[0])
    while ledger.height < since + 2:
        ledger.block()
    return since


def signer_at(ledger: LabLedger, height: int) -> bytes:
    (member,) = ledger.chain.validators_at(height).validators
    return member.public_key


def test_the_next_key_signs_from_the_height_that_the_last_header_of_the_old_one_announced() -> None:
    world = World.make(spares=1)
    ledger = world.a.ledger
    since = first_hand_over(world)
    old, new = ledger.keys[0].public_key, ledger.spares[0].public_key
    assert [signer_at(ledger, since + step) for step in (-1, 0, 1)] == [old, new, new]
    last, first = (ledger.chain.signed_header(height).header for height in (since - 1, since))
    assert last.next_validators_hash == first.validators_hash != last.validators_hash
    assert [state.height for state in ledger.signing] == [since - 1, ledger.height], "each signed its own heights"
    check_blocks(ledger.genesis, ledger.chain.store, ledger.chain.state, range(1, ledger.height + 1))
    assert finality([new], 1).endswith(new.hex()[:16])


def test_packets_go_on_over_the_hand_over_and_a_client_needs_the_one_header() -> None:
    world = World.make(spares=1)
    ledger = world.a.ledger
    update(world.b, ledger)
    before = world.b.trusted
    packet = world.send()
    since = first_hand_over(world)
    skipped = world.b.ledger.transact(world.b.account, update_message(world.b, ledger, ledger.height))
    assert "cometbft.insufficient_overlap" in skipped.log
    world.b.trusted = before
    update(world.b, ledger, since - 1)
    expect(world.deliver(packet))
    expect(world.acknowledge(packet, world.acknowledgement(expect(world.answer(packet)), packet)))
    assert world.b.trusted > since


def bring(world: World, signed: SignedHeader, trusted: int, signers: ValidatorSet) -> str:
    """Show ledger B's client of A a header from one that it holds; the refusal's code, or nothing."""
    ledger = world.a.ledger
    value = encode_header(signed, signers, ledger.at(trusted), ledger.chain.validators_at(trusted + 1))
    message = client_message(world.b, urls.TENDERMINT_HEADER, value)
    return world.b.ledger.transact(world.b.account, message).log.split(":")[0]


def test_a_thief_of_the_old_key_leads_no_client_on_from_the_header_of_the_hand_over() -> None:
    world = World.make(spares=1)
    ledger = world.a.ledger
    update(world.b, ledger)
    since = first_hand_over(world)
    update(world.b, ledger, since - 1)
    update(world.b, ledger)
    old = ledger.chain.validators_at(since - 1)
    later = forged(ledger, ledger.height + 5, validators=old)
    assert bring(world, later, world.b.trusted, old) == "cometbft.insufficient_overlap"
    assert bring(world, later, since - 1, old) == "cometbft.insufficient_overlap"


def test_from_a_header_before_it_he_can_until_that_expires_and_the_true_header_freezes_the_client() -> None:
    """The limit of every 07-tendermint client: what it trusted once it trusts for its trusting period."""
    world = World.make(spares=1)
    ledger = world.a.ledger
    update(world.b, ledger)
    before = world.b.trusted
    since = first_hand_over(world)
    update(world.b, ledger, since - 1)
    update(world.b, ledger)
    newest, old = world.b.trusted, ledger.chain.validators_at(since - 1)
    later = forged(ledger, ledger.height + 2, validators=old)
    assert bring(world, later, before, old) == ""
    for _ in range(3):
        ledger.block()
    world.b.trusted = newest
    assert not world.b.ledger.transact(world.b.account, update_message(world.b, ledger, later.header.height)).code
    chain = world.b.ledger.chain
    assert chain.machine.packets.kinds.status(chain.view(), world.b.client, chain.time) == "Frozen"


def refused(world: World, arguments: Fields, code: str = "gov.bad_hand_over") -> None:
    assert announced(world, arguments).split(":")[0] == code
    assert not list(world.a.ledger.chain.view().scan(keys.GOVERNANCE, b"schedule/", b"schedule0"))


def of_another_key(world: World) -> Fields:
    stranger = ed25519.SigningKey(b"9" * 32)
    return {
        **fields(world.a.ledger, world.a.ledger.keys[0], stranger),
        "public_key": world.a.ledger.spares[0].public_key,
    }


def after_another(world: World) -> Fields:
    return fields(world.a.ledger, world.a.ledger.spares[0], world.a.ledger.spares[0])


def itself(world: World) -> Fields:
    return fields(world.a.ledger, world.a.ledger.keys[0], world.a.ledger.keys[0])


def an_authority(world: World) -> Fields:
    return {**fields(world.a.ledger, *([world.a.ledger.keys[0]] * 2)), "public_key": world.gov.key.parts[0]}


def no_key(world: World) -> Fields:
    return {**itself(world), "public_key": bytes(32)}


@pytest.mark.parametrize("spoil", [of_another_key, after_another, itself, an_authority, no_key])
def test_a_key_that_cannot_follow_is_refused_at_once(spoil: Callable[[World], Fields]) -> None:
    world = World.make(spares=1)
    refused(world, spoil(world))
    handed_over(world, world.a.ledger.keys[0], world.a.ledger.spares[0])


def test_an_account_signs_no_block() -> None:
    world = World.make(spares=1)
    ledger = world.a.ledger
    admit = {"suite": 1, "public_key": ledger.spares[0].public_key, "balance": 0}
    expect(ledger.govern(world.gov, "gov.announce", {"action": "account.admit", "arguments": admit}))
    for _ in range(DELAY):
        ledger.block()
    refused(world, fields(ledger, ledger.keys[0], ledger.spares[0]))


def test_a_key_that_has_signed_never_comes_back() -> None:
    world = World.make(spares=2)
    ledger = world.a.ledger
    first_hand_over(world)
    refused(world, fields(ledger, ledger.spares[0], ledger.keys[0]))
    handed_over(world, ledger.spares[0], ledger.spares[1])
    for _ in range(4):
        ledger.block()
    refused(world, fields(ledger, ledger.spares[1], ledger.spares[0]))
    assert signer_at(ledger, ledger.height) == ledger.spares[1].public_key


def test_of_two_announced_hand_overs_the_second_is_dropped_when_due() -> None:
    world = World.make(spares=2)
    ledger = world.a.ledger
    for spare in ledger.spares:
        assert not announced(world, fields(ledger, ledger.keys[0], spare))
    events = [event for _ in range(DELAY + 2) for event in ledger.block().results.events]
    assert [event.get("code") for event in events if event.type == "gov_failed"] == ["gov.bad_hand_over"]
    assert signer_at(ledger, ledger.height) == ledger.spares[0].public_key


def test_P10_several_validators_do_not_hand_over() -> None:
    world = World.make(validators=4, spares=1)
    refused(world, fields(world.a.ledger, world.a.ledger.keys[0], world.a.ledger.spares[0]))


def test_P12_who_has_only_the_old_key_signs_nothing_more() -> None:
    world = World.make(spares=1)
    ledger = world.a.ledger
    first_hand_over(world)
    old = LocalValidator(ledger.keys[0].public_key, ledger.keys[0].sign, MemorySigningState())
    with pytest.raises(NoSigner):
        EmbeddedChain(ledger.genesis, ledger.chain.store, ledger.chain.state, [old], world.clock)
    assert old.state.height == 0
    assert ledger.keys[0].public_key not in ledger.chain._own, "the running process let it go"


def test_the_running_ledger_finds_the_key_when_it_is_time() -> None:
    world = World.make(spares=1)
    ledger = world.a.ledger
    asked: list[bytes] = []
    spare = ledger.spares[0]
    made = LocalValidator(spare.public_key, spare.sign, MemorySigningState())

    def find(public_key: bytes) -> LocalValidator | None:
        asked.append(public_key)
        return made if public_key == spare.public_key else None

    held = ledger.chain._own[ledger.keys[0].public_key]
    ledger.chain = EmbeddedChain(ledger.genesis, ledger.chain.store, ledger.chain.state, [held], world.clock, find=find)
    since = first_hand_over(world)
    assert asked == [spare.public_key]
    assert made.state.height == ledger.height >= since


def test_the_hand_over_is_the_authoritys_and_no_accounts() -> None:
    world = World.make(spares=1)
    ledger = world.a.ledger
    action = {"action": handover.ROTATE, "arguments": fields(ledger, ledger.keys[0], ledger.spares[0])}
    done = ledger.transact(LabAccount(ed25519.SigningKey(b"8" * 32)), ("gov.announce", action))
    assert done.log.split(":")[0] == "tx.bad_message", "without an authorization it is nothing"
