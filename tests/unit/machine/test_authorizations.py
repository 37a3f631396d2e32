"""An authority's hybrid signature over an action, and everything that must hold around it (P6, P16, I2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2
from lockgate.crypto import ed25519, hybrid
from lockgate.crypto.errors import WrongPurpose
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.keys import IdentityKey, IdentitySigner, KeyRole, expand_seed
from lockgate.crypto.suites import SIGN_ED25519, SIGN_ED25519_MLDSA65
from lockgate.ibc import host
from lockgate.lab.entropy import seeded_identity_signer
from lockgate.lab.ledgers import LabAccount, LabLedger, lab_authority
from lockgate.lab.paths import expect
from lockgate.machine import authority, gas, keys, lanes
from lockgate.machine.authority import authorize
from lockgate.machine.errors import BadGenesis
from lockgate.machine.genesis import MAX_AUTHORITIES, Genesis, GenesisAccount, GenesisValidator, Parameters
from lockgate.machine.machine import TxResult
from lockgate.machine.records import LanePhase
from lockgate.machine.transaction import SUITE_ED25519, Message
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds, seconds
from tests.support.lab import World

HYBRID = SIGN_ED25519_MLDSA65


def stop(world: World, note: str = "drill") -> tuple[str, dict[str, Any]]:
    return "gov.stop", {"lane": world.lane, "note": note}


def phase(world: World) -> LanePhase:
    lane = lanes.lane_of(world.a.ledger.chain.view(), world.a.client)
    assert lane is not None
    return lane.phase


def state(ledger: LabLedger) -> dict[str, list[tuple[bytes, bytes]]]:
    """All stores but that of the accounts, whose sequences a refused transaction uses up."""
    view = ledger.chain.view()
    return {store: list(view.scan(store, b"\x00", b"\xff" * 90)) for store in keys.STORES if store != keys.ACCOUNT}


def submit(world: World, message: Message) -> TxResult:
    return world.a.ledger.transact(world.relayer_a, message)  # nobody's account, as far as this matters


def refused(world: World, message: Message, code: str) -> None:
    before = state(world.a.ledger)
    assert submit(world, message).log.split(":")[0] == code
    assert state(world.a.ledger) == before


def spoiled(message: Message, **changes: Any) -> Message:
    name, fields = message
    return name, {**fields, "authorization": {**fields["authorization"], **changes}}


@pytest.fixture(scope="module")
def hybrid_world() -> World:
    return World.make(suite=HYBRID.id)


def test_P6_P16_a_hybrid_authority_stops_a_lane_through_anybodys_transaction() -> None:
    world = World.make(suite=HYBRID.id)
    expect(submit(world, world.a.ledger.authorized(world.gov, *stop(world))))
    assert phase(world) is LanePhase.STOPPED
    assert authority.next_sequence(world.a.ledger.chain.view(), world.gov.key) == 1


def one_half(at: int) -> Callable[[World, bytes], bytes]:
    """The signature with one half kept, and in place of the other that of a stranger's key over the same bytes."""

    def make(world: World, good: bytes) -> bytes:
        size = HYBRID.algorithms[0].signature_bytes
        _, fields = world.a.ledger.authorized(lab_authority("thief", HYBRID.id), *stop(world))
        other: bytes = fields["authorization"]["signature"]
        return good[:size] + other[size:] if at == 0 else other[:size] + good[size:]

    return make


def classical_alone(world: World, good: bytes) -> bytes:
    return good[: HYBRID.algorithms[0].signature_bytes]


def quantum_alone(world: World, good: bytes) -> bytes:
    return good[HYBRID.algorithms[0].signature_bytes :]


def swapped(world: World, good: bytes) -> bytes:
    return quantum_alone(world, good) + classical_alone(world, good)


@pytest.mark.parametrize(
    "made", [one_half(0), one_half(1), classical_alone, quantum_alone, swapped, lambda *_: b""], ids=range(6)
)
def test_P6_one_half_of_the_hybrid_authorizes_nothing(
    hybrid_world: World, made: Callable[[World, bytes], bytes]
) -> None:
    world = hybrid_world
    good = world.a.ledger.authorized(world.gov, *stop(world))
    refused(world, spoiled(good, signature=made(world, good[1]["authorization"]["signature"])), "gov.signature")
    assert phase(world) is LanePhase.OPEN


def test_P16_a_stranger_announces_cancels_and_stops_nothing() -> None:
    world = World.make()
    stranger = lab_authority("stranger")
    announce = ("gov.announce", {"action": "lane.resume", "arguments": {"lane": world.lane}})
    for name, fields in (stop(world), announce, ("gov.cancel", {"due": 1, "number": 0})):
        own = world.a.ledger.authorized(stranger, name, fields)
        refused(world, own, "gov.not_authority")
        refused(world, spoiled(own, authority=world.gov.key.hash), "gov.signature")
        refused(world, (name, fields), "tx.bad_message")
        refused(world, spoiled(own, more=1), "tx.bad_message")
    assert phase(world) is LanePhase.OPEN


def test_P6_the_signature_covers_the_message_its_fields_and_its_bounds() -> None:
    world = World.make()
    name, fields = good = world.a.ledger.authorized(world.gov, *stop(world))
    given = fields["authorization"]
    refused(world, (name, {**fields, "note": "another"}), "gov.signature")
    refused(world, spoiled(good, valid_until=given["valid_until"] + 1), "gov.signature")
    cancel = {"due": 1, "number": 0}
    other = world.a.ledger.authorized(world.gov, "gov.cancel", cancel)[1]["authorization"]
    refused(world, (name, {**fields, "authorization": other}), "gov.signature")
    refused(world, ("gov.cancel", {**cancel, "authorization": given}), "gov.signature")
    expect(submit(world, good))


@pytest.mark.parametrize(
    ("purpose", "revision", "suite"),
    [(Purpose.TRANSACTION, 1, 1), (Purpose.TOKEN, 1, 1), (Purpose.GOVERNANCE, 2, 1), (Purpose.GOVERNANCE, 1, 2)],
)
def test_P6_a_signature_for_another_purpose_revision_or_suite_authorizes_nothing(
    purpose: Purpose, revision: int, suite: int
) -> None:
    """The good one is that over the bytes that the specification names, made here anew."""
    world = World.make()
    _, fields = good = world.a.ledger.authorized(world.gov, *stop(world))
    given, key = fields["authorization"], world.gov.key
    body = cbor.encode(["gov.stop", stop(world)[1], given["sequence"], given["valid_until"]])  # docs/spec/ledgers.md

    def signed(*, purpose: Purpose, revision: int, suite: int) -> bytes:
        return world.gov.sign(signing_bytes(purpose, suite, key.hash, given["domain"], revision, body))

    assert signed(purpose=Purpose.GOVERNANCE, revision=1, suite=1) == given["signature"]
    wrong = signed(purpose=purpose, revision=revision, suite=suite)
    refused(world, spoiled(good, signature=wrong), "gov.signature")


def test_P16_an_authorization_is_used_once_and_in_order() -> None:
    world = World.make()
    ledger = world.a.ledger
    first = ledger.authorized(world.gov, "gov.announce", {"action": "lane.resume", "arguments": {"lane": world.lane}})
    expect(submit(world, first))
    refused(world, first, "gov.sequence")
    refused(world, spoiled(first, sequence=1), "gov.signature")
    until = UnixSeconds(ledger.chain.time // NANOS_PER_SECOND + 60)
    early = authorize(world.gov, ledger.chain.machine.domain, ledger.revision, stop(world), 2, until)
    refused(world, early, "gov.sequence")
    # Two in one transaction run on, one after the other.
    second = authorize(world.gov, ledger.chain.machine.domain, ledger.revision, stop(world, "second"), 1, until)
    third = ("lane.close", {"lane": world.lane, "note": "third"})
    announce = ("gov.announce", {"action": third[0], "arguments": third[1]})
    last = authorize(world.gov, ledger.chain.machine.domain, ledger.revision, announce, 2, until)
    expect(ledger.transact(world.relayer_a, second, last))
    assert phase(world) is LanePhase.STOPPED


def test_P16_a_refused_action_leaves_its_number_unused() -> None:
    world = World.make()
    message = world.a.ledger.authorized(world.gov, "gov.cancel", {"due": 7, "number": 7})
    refused(world, message, "gov.not_scheduled")
    expect(world.a.ledger.govern(world.gov, *stop(world)))


def test_P6_an_authorization_means_nothing_on_a_forked_domain() -> None:
    """The same authority, chain id and validators under other rules: another domain."""
    world = World.make()
    forked = LabLedger("alpha-1", world.clock, authority=(world.gov.key,), parameters=Parameters(max_payloads=7))
    assert forked.chain.validators.hash == world.a.ledger.chain.validators.hash
    there = forked.authorized(world.gov, *stop(world))
    refused(world, there, "gov.wrong_domain")
    refused(world, spoiled(there, domain=world.a.ledger.chain.machine.domain), "gov.signature")
    assert phase(world) is LanePhase.OPEN


def test_P16_an_authorization_ends_with_its_validity() -> None:
    world = World.make()
    last = world.a.ledger.authorized(world.gov, *stop(world), valid_for_s=60)
    world.clock.advance(seconds(120))
    world.a.ledger.block()
    refused(world, last, "gov.expired")
    assert phase(world) is LanePhase.OPEN


def test_P16_stopping_is_immediate_and_resuming_waits_for_a_hybrid_authority() -> None:
    world = World.make(suite=HYBRID.id)
    ledger = world.a.ledger
    expect(ledger.govern(world.gov, *stop(world)))
    assert phase(world) is LanePhase.STOPPED
    resume = {"action": "lane.resume", "arguments": {"lane": world.lane}}
    announced = expect(ledger.govern(world.gov, "gov.announce", resume)).events[0]
    due = int(announced.get("due") or 0)
    while ledger.height < due - 1:
        ledger.block()
        assert phase(world) is LanePhase.STOPPED
    ledger.block()
    assert phase(world) is LanePhase.OPEN


def test_P16_who_stopped_a_lane_and_announced_stands_in_the_records() -> None:
    world = World.make()
    expect(world.a.ledger.govern(world.gov, *stop(world)))
    lane = lanes.lane_of(world.a.ledger.chain.view(), world.a.client)
    assert lane is not None
    assert lane.note == f"{world.gov.key.key_id.hex()}: drill"


def test_the_signature_has_its_price() -> None:
    world = World.make()
    message = world.a.ledger.authorized(world.gov, *stop(world))
    used = expect(submit(world, message)).gas_used
    bare = gas.PER_TRANSACTION + gas.PER_SIGNATURE + gas.PER_MESSAGE["gov.stop"]
    assert used > bare + gas.PER_AUTHORIZATION
    assert gas.estimate([message], 0) - gas.estimate([("gov.stop", {})], 0) == gas.PER_AUTHORIZATION


# What an authority's key signs, and what it never does.


def test_P16_an_authoritys_key_signs_no_transaction() -> None:
    """Its classical half is an account's key in form; a ledger that admits anyone still refuses it."""
    world = World.make()
    raw = ed25519.SigningKey(_seed_of(world.gov))
    assert raw.public_key in world.gov.key.parts
    before = world.a.ledger.chain.app_hash
    data = world.a.ledger.signed(LabAccount(raw), [world.sender.take_fence()])
    result = world.a.ledger.block(data).results.transactions[0]
    assert result.log.split(":")[0] == "tx.authority_key"
    assert world.a.ledger.chain.app_hash == before


def _seed_of(signer: IdentitySigner) -> bytes:
    seed = b"authority".ljust(32, b"\0")
    assert seeded_identity_signer(SIGN_ED25519.id, seed, KeyRole.AUTHORITY).key == signer.key
    return expand_seed(seed, KeyRole.AUTHORITY, SIGN_ED25519.algorithms[0].name)


def test_P16_an_authoritys_key_is_admitted_as_no_account() -> None:
    world = World.make(suite=HYBRID.id)
    arguments = {"suite": SUITE_ED25519, "public_key": world.gov.key.parts[0], "balance": 1}
    ledger = world.a.ledger
    expect(ledger.govern(world.gov, "gov.announce", {"action": "account.admit", "arguments": arguments}))
    blocks = [ledger.block() for _ in range(ledger.genesis.parameters.authority_delay_blocks)]
    failed = [event.get("code") for block in blocks for event in block.results.events if event.type == "gov_failed"]
    assert failed == ["gov.unknown_action"]


@pytest.mark.parametrize("part", [0, 1])
def test_I2_P16_a_genesis_gives_an_authoritys_key_no_other_use(part: int) -> None:
    key, other = lab_authority("one", HYBRID.id).key, lab_authority("two", HYBRID.id).key
    half = lab_authority("one", SIGN_ED25519.id).key
    assert half.parts[0] == key.parts[0], "one seed, one role, one algorithm"
    good = dataclasses.replace(World.make().a.ledger.genesis, authority=(key, other))
    assert Genesis.from_bytes(good.to_bytes()) == good
    used = key.parts[0]
    shared = IdentityKey(HYBRID.id, (key.parts[0], other.parts[1]) if part == 0 else (other.parts[0], key.parts[1]))
    for authorities in ((key, key), (key, half), (key, shared)):
        with pytest.raises(BadGenesis, match="share"):
            dataclasses.replace(good, authority=authorities)
    with pytest.raises(BadGenesis, match="signs no block"):
        dataclasses.replace(good, validators=(GenesisValidator(used, 10),))
    with pytest.raises(BadGenesis, match="signs no transaction"):
        dataclasses.replace(good, accounts=(GenesisAccount(SUITE_ED25519, used),))
    with pytest.raises(BadGenesis, match="too many"):
        dataclasses.replace(good, authority=tuple(lab_authority(f"{n}").key for n in range(MAX_AUTHORITIES + 1)))


def test_I2_a_genesis_of_accounts_as_authority_is_not_read() -> None:
    genesis = World.make().a.ledger.genesis
    value: Any = cbor.decode(genesis.to_bytes())
    for wrong in (("ab" * 20,), ((9, b"x"),), ((1, b"short"),), ((2, *genesis.authority[0].parts),), ((1,),), (1,)):
        with pytest.raises(BadGenesis):
            Genesis.from_bytes(cbor.encode({**value, "authority": wrong}))


def test_P6_an_authoritys_signer_signs_for_governance_alone() -> None:
    signer = lab_authority("authority", HYBRID.id)
    for purpose in set(Purpose) - {Purpose.GOVERNANCE}:
        with pytest.raises(WrongPurpose):
            signer.sign_for(purpose, bytes(32), 1, b"")
    host_key = seeded_identity_signer(HYBRID.id, b"h" * 32, KeyRole.IDENTITY)
    with pytest.raises(WrongPurpose):
        authorize(host_key, World.make().a.ledger.genesis.domain_id, 1, ("gov.stop", {}), 0, UnixSeconds(1))
    good = signer.sign_for(Purpose.GOVERNANCE, bytes(32), 1, b"x")
    assert hybrid.verify(HYBRID, signer.key.parts, signer.signing_bytes(Purpose.GOVERNANCE, bytes(32), 1, b"x"), good)


# What IBC leaves to an authority.


def test_P16_a_client_without_a_creator_is_configured_by_an_announced_action_alone() -> None:
    world = World.make()
    ledger, client = world.a.ledger, world.a.client
    mine = ibc_client_pb2.MsgDeleteClientCreator(client_id=client, signer=world.a.account.id)
    expect(ledger.transact(world.a.account, (urls.MSG_DELETE_CLIENT_CREATOR, mine.SerializeToString())))
    for who in (world.a.account, world.relayer_a):
        config = ibc_client_pb2.Config(allowed_relayers=[who.id])
        direct = ibc_client_pb2.MsgUpdateClientConfig(client_id=client, config=config, signer=who.id)
        result = ledger.transact(who, (urls.MSG_UPDATE_CLIENT_CONFIG, direct.SerializeToString()))
        assert "ibc.not_creator" in result.log
    assert act(world, {"client": client, "allowed_relayers": ["cd" * 20, 7]}) == ["gov_failed gov.unknown_action"]
    assert ledger.chain.view().get("ibc", host.config(client)) is None
    assert act(world, {"client": client, "allowed_relayers": [world.relayer_a.id]}) == ["gov_done"]
    assert world.relayer_a.id.encode() in (ledger.chain.view().get("ibc", host.config(client)) or b"")


def act(world: World, arguments: dict[str, Any]) -> list[str]:
    ledger = world.a.ledger
    expect(ledger.govern(world.gov, "gov.announce", {"action": "client.config", "arguments": arguments}))
    blocks = [ledger.block() for _ in range(ledger.genesis.parameters.authority_delay_blocks)]
    events = [event for block in blocks for event in block.results.events if event.type.startswith("gov_")]
    return [f"{event.type} {event.get('code') or ''}".strip() for event in events]
