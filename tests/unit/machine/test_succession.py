"""An authority is followed by its next key, in the open, and has no power left after it (P16, S11)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from lockgate.crypto import ed25519
from lockgate.crypto.keys import IdentitySigner, KeyRole
from lockgate.crypto.signatures import ED25519
from lockgate.crypto.suites import SIGN_ED25519, SIGN_ED25519_MLDSA65
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabAccount, LabLedger, lab_authority
from lockgate.lab.paths import expect
from lockgate.machine import governance, handover, keys, succession
from lockgate.machine.genesis import Parameters
from lockgate.machine.machine import TxResult
from lockgate.primitives.state import Event
from lockgate.primitives.time import UnixNanos
from tests.support.account_keys import key, rotation
from tests.support.authorities import succeeding

START = UnixNanos(1_760_000_000 * 10**9)
DELAY = 10
Announced = dict[str, Any]


class World:
    """A ledger with one authority, or two, and the keys that are to follow the first."""

    def __init__(self, suite: int = SIGN_ED25519.id, others: tuple[IdentitySigner, ...] = ()) -> None:
        self.suite = suite
        self.keys = [self.named(f"authority {index}") for index in range(5)]
        listed = (self.keys[0].key, *(other.key for other in others))
        parameters = Parameters(authority_delay_blocks=DELAY)
        self.ledger = LabLedger("alpha-1", SimulatedClock(START), authority=listed, parameters=parameters, spares=2)

    def named(self, name: str) -> IdentitySigner:
        return lab_authority(name, self.suite)

    def follow(self, index: int, *, new: str = "", following: str = "") -> Announced:
        """The announcement by which key `index` follows the one before."""
        successor = self.named(new) if new else self.keys[index]
        committed = self.named(following) if following else self.keys[index + 1]
        return succeeding(self.ledger, self.keys[index - 1], successor, committed)

    def announce(self, by: IdentitySigner, announced: Announced) -> TxResult:
        return self.ledger.govern(by, "gov.announce", announced)

    def pass_blocks(self, count: int) -> list[Event]:
        """What came due in them."""
        return [event for _ in range(count) for event in self.ledger.block().results.events]

    def rotate(self, index: int) -> list[Event]:
        expect(self.announce(self.keys[index - 1], self.follow(index)))
        return self.pass_blocks(DELAY)

    def stands(self) -> tuple[bytes, ...]:
        return tuple(each.hash for each in succession.standing(self.ledger.chain.view(), self.ledger.genesis).keys)

    def digest(self) -> bytes | None:
        return self.ledger.chain.view().get(keys.RULES, keys.RULES_DIGEST)


def admit(name: str) -> Announced:
    return {
        "action": "account.admit",
        "arguments": {"suite": 1, "public_key": key(name).public_key, "balance": 7},
    }


@pytest.mark.parametrize("suite", [SIGN_ED25519.id, SIGN_ED25519_MLDSA65.id])
def test_the_next_key_follows_after_the_delay_and_not_before(suite: int) -> None:
    w = World(suite)
    digest = w.digest()
    expect(w.announce(w.keys[0], w.follow(1)))
    w.pass_blocks(DELAY - 2)
    assert (w.stands(), w.digest()) == ((w.keys[0].key.hash,), digest)
    events = w.pass_blocks(2)
    assert [event.type for event in events if event.type.startswith(("authority", "gov"))] == [
        "authority_rotated",
        "gov_done",
    ]
    assert w.stands() == (w.keys[1].key.hash,)
    expect(w.announce(w.keys[1], admit("somebody")))


def test_P16_the_rules_digest_names_who_stands() -> None:
    """[P16] Hosts pin the digest: nobody becomes an authority behind their back."""
    w = World()
    before = w.digest()
    w.rotate(1)
    genesis = replace(w.ledger.genesis, authority=(w.keys[1].key,))
    assert w.digest() == governance.rules_digest(genesis, w.ledger.genesis) != before
    change = {"action": "parameters.set", "arguments": {"parameters": {"max_messages": 64}}}
    expect(w.announce(w.keys[1], change))
    w.pass_blocks(DELAY)
    genesis = replace(genesis, parameters=replace(genesis.parameters, max_messages=64))
    assert w.digest() == governance.rules_digest(genesis, w.ledger.genesis)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("gov.announce", admit("x")),
        ("gov.cancel", {"due": 1, "number": 0}),
        ("gov.stop", {"lane": bytes(32), "note": "n"}),
    ],
)
def test_a_thief_of_the_old_key_has_nothing(name: str, fields: dict[str, Any]) -> None:
    w = World()
    w.rotate(1)
    refused = w.ledger.govern(w.keys[0], name, fields)
    assert refused.log.split(":")[0] == "gov.not_authority"


def test_what_the_old_key_announced_is_dropped_when_it_comes_due() -> None:
    """Also what was announced in the last block before: whoever stole the key may have announced it."""
    w = World()
    expect(w.announce(w.keys[0], admit("before")))
    expect(w.announce(w.keys[0], w.follow(1)))
    w.pass_blocks(2)
    expect(w.announce(w.keys[0], admit("after")))
    events = w.pass_blocks(DELAY)
    done = [(e.type, e.get("action"), e.get("code")) for e in events if e.type in {"gov_done", "gov_failed"}]
    assert done == [
        ("gov_done", "account.admit", None),
        ("gov_done", "authority.rotate", None),
        ("gov_failed", "account.admit", "gov.announcer_gone"),
    ]
    assert not any(part for _, part in w.ledger.chain.view().scan(keys.GOVERNANCE, b"schedule/", b"schedule0"))


def test_the_numbers_of_a_successor_begin_anew_and_are_its_own() -> None:
    w = World()
    recorded = w.ledger.authorized(w.keys[0], "gov.announce", w.follow(1))
    expect(w.ledger.transact(w.ledger.clerk, recorded))
    w.pass_blocks(DELAY)
    assert w.ledger.transact(w.ledger.clerk, recorded).log.split(":")[0] == "gov.not_authority", "a replay"
    own = w.ledger.authorized(w.keys[1], "gov.announce", w.follow(2))
    expect(w.ledger.transact(w.ledger.clerk, own))
    assert w.ledger.transact(w.ledger.clerk, own).log.split(":")[0] == "gov.sequence"


@dataclass(frozen=True)
class Part:
    """An Ed25519 key as the half of an identity."""

    key: ed25519.SigningKey
    algorithm: str = ED25519.name

    @property
    def public_key(self) -> bytes:
        return self.key.public_key

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)


def single(key: ed25519.SigningKey) -> IdentitySigner:
    """An authority of one key, which may be somebody's already."""
    return IdentitySigner(SIGN_ED25519.id, (Part(key),), KeyRole.AUTHORITY)


def listed_account(w: World) -> Announced:
    expect(w.announce(w.keys[0], admit("authority key")))
    w.pass_blocks(DELAY)
    pair = single(key("authority key"))
    return succeeding(w.ledger, w.keys[0], pair, w.keys[2])


def validator_key(w: World) -> Announced:
    pair = single(w.ledger.keys[0])
    return succeeding(w.ledger, w.keys[0], pair, w.keys[2])


def spoiled(w: World, **fields: Any) -> Announced:
    made = w.follow(1)
    return {**made, "arguments": {**made["arguments"], **fields}}


@pytest.mark.parametrize(
    "spoil",
    [
        listed_account,
        validator_key,
        lambda w: spoiled(w, possession=bytes(64)),
        lambda w: spoiled(w, next=bytes(32)),
        lambda w: spoiled(w, authority=bytes(32)),
        lambda w: spoiled(w, suite=99),
        lambda w: spoiled(w, parts=()),
        lambda w: spoiled(w, parts=(b"short",)),
        lambda w: spoiled(w, parts=(1,)),
        lambda w: spoiled(w, parts=w.keys[2].key.parts),
        lambda w: w.follow(1, new="authority 0"),
    ],
)
def test_a_successor_that_is_not_in_order_is_refused_at_once(spoil: Callable[[World], Announced]) -> None:
    w = World()
    announced = spoil(w)
    stands, digest = w.stands(), w.digest()
    refused = w.announce(w.keys[0], announced)
    assert refused.log.split(":")[0] == "gov.bad_successor"
    assert (w.stands(), w.digest()) == (stands, digest)
    w.rotate(1)


def test_a_thief_of_the_second_key_cannot_name_a_third_of_his_own() -> None:
    w = World()
    w.rotate(1)
    assert w.announce(w.keys[1], w.follow(2, new="thief")).log.split(":")[0] == "gov.bad_successor"
    w.rotate(2)
    assert w.stands() == (w.keys[2].key.hash,)


def test_nobody_rotates_another_and_nobody_comes_back() -> None:
    other = lab_authority("another person")
    w = World(others=(other,))
    assert w.announce(other, w.follow(1)).log.split(":")[0] == "gov.bad_successor"
    w.rotate(1)
    assert w.stands() == (w.keys[1].key.hash, other.key.hash)
    back = succeeding(w.ledger, other, w.keys[0], w.keys[3])
    assert w.announce(other, back).log.split(":")[0] == "gov.bad_successor", "a key that was one is no other's"
    gone = succeeding(w.ledger, other, w.keys[1], w.keys[3])
    assert w.announce(other, gone).log.split(":")[0] == "gov.bad_successor", "nor one that stands"


def pair_with(w: World, part: ed25519.SigningKey, name: str) -> IdentitySigner:
    """A hybrid authority of which one half is somebody's."""
    other = lab_authority(name, SIGN_ED25519_MLDSA65.id)
    return IdentitySigner(SIGN_ED25519_MLDSA65.id, (Part(part), other.signers[1]), KeyRole.AUTHORITY)


def refused(w: World, by: IdentitySigner, new: IdentitySigner) -> bool:
    stands = w.stands()
    result = w.announce(by, succeeding(w.ledger, by, new, w.keys[4]))
    return (result.log.split(":")[0], w.stands()) == ("gov.bad_successor", stands)


def test_P16_a_half_of_an_authority_in_between_is_nobodys_again() -> None:
    """[P16] Neither the genesis nor what stands names it any more: the record of it does."""
    other = lab_authority("another person")
    w = World(others=(other,))
    half = ed25519.SigningKey(b"5" * 32)
    between = pair_with(w, half, "between")
    w.keys[1] = between
    w.keys[2] = w.named("authority 2")
    w.rotate(1)
    w.rotate(2)
    assert w.stands()[0] == w.keys[2].key.hash
    assert refused(w, other, pair_with(w, half, "again")), "in another pair"
    assert refused(w, other, single(half)), "alone"
    assert w.ledger.transact(LabAccount(half), ("endpoint.fence", {})).log.startswith("tx.authority_key")
    name, fields = rotation(w.ledger, w.ledger.clerk.id, 1, "clerk 1", "clerk 2")
    moved = w.ledger.transact(w.ledger.clerk, (name, {**fields, "public_key": half.public_key}))
    assert moved.log.startswith("account.bad_rotation")
    listed = {"action": "account.admit", "arguments": {"suite": 1, "public_key": half.public_key, "balance": 1}}
    expect(w.announce(w.keys[2], listed))
    (old,) = w.ledger.chain.validators_at(w.ledger.height + 1).validators
    domain = w.ledger.chain.machine.domain
    signed = handover.possession_bytes(old.public_key, half.public_key, domain, w.ledger.revision)
    fields = {"public_key": half.public_key, "possession": half.sign(signed)}
    handed = w.announce(w.keys[2], {"action": handover.ROTATE, "arguments": fields})
    assert handed.log.startswith("gov.bad_hand_over")
    events = w.pass_blocks(DELAY)
    assert [e.get("code") for e in events if e.type == "gov_failed"] == ["gov.unknown_action"]


@pytest.mark.parametrize("rotations", [1, 2])
def test_P6_a_key_that_an_account_rotated_to_is_nobody_elses(rotations: int) -> None:
    """[P6] The current one, and one that was replaced: it stands under the id that would be its own."""
    w = World()
    for index in range(1, rotations + 1):
        names = f"clerk {index}", f"clerk {index + 1}"
        expect(w.ledger.transact(w.ledger.clerk, rotation(w.ledger, w.ledger.clerk.id, index, *names)))
        w.ledger.clerk.key = key(f"clerk {index}")
    taken = key("clerk 1")
    assert refused(w, w.keys[0], single(taken))
    assert refused(w, w.keys[0], pair_with(w, taken, "x"))
    (old,) = w.ledger.chain.validators_at(w.ledger.height + 1).validators
    signed = handover.possession_bytes(
        old.public_key, taken.public_key, w.ledger.chain.machine.domain, w.ledger.revision
    )
    fields = {"public_key": taken.public_key, "possession": taken.sign(signed)}
    handed = w.announce(w.keys[0], {"action": handover.ROTATE, "arguments": fields})
    assert handed.log.startswith("gov.bad_hand_over")
    expect(w.announce(w.keys[0], {"action": "account.admit", "arguments": {**admit("clerk 1")["arguments"]}}))
    events = w.pass_blocks(DELAY)
    assert [e.get("code") for e in events if e.type == "gov_failed"] == ["gov.account_exists"]


def test_P6_a_signer_that_handed_over_is_no_authority() -> None:
    """[P6] The signer of the genesis, one in between, and one that is decided and does not sign yet."""
    w = World()
    signers = [w.ledger.keys[0], *w.ledger.spares[:2]]
    for before, after in itertools.pairwise(signers):
        signed = handover.possession_bytes(
            before.public_key, after.public_key, w.ledger.chain.machine.domain, w.ledger.revision
        )
        fields = {"public_key": after.public_key, "possession": after.sign(signed)}
        expect(w.announce(w.keys[0], {"action": handover.ROTATE, "arguments": fields}))
        w.pass_blocks(DELAY)
    for each in signers:
        assert refused(w, w.keys[0], single(each))


def test_of_two_announced_rotations_the_first_holds() -> None:
    w = World()
    expect(w.announce(w.keys[0], w.follow(1)))
    expect(w.announce(w.keys[0], w.follow(1, new="rival")))
    events = w.pass_blocks(DELAY + 2)
    assert [e.get("code") for e in events if e.type == "gov_failed"] == ["gov.announcer_gone"]
    assert w.stands() == (w.keys[1].key.hash,)


def test_a_half_of_the_new_authority_signs_no_transaction_and_no_block() -> None:
    w = World()
    part = ed25519.SigningKey(b"7" * 32)
    pair = single(part)
    expect(w.announce(w.keys[0], succeeding(w.ledger, w.keys[0], pair, w.keys[2])))
    w.pass_blocks(DELAY)
    account = LabAccount(part)
    assert w.ledger.transact(account, ("endpoint.fence", {})).log.split(":")[0] == "tx.authority_key"
    admitted = {"action": "account.admit", "arguments": {"suite": 1, "public_key": part.public_key, "balance": 1}}
    expect(w.announce(pair, admitted))
    events = w.pass_blocks(DELAY)
    assert [e.get("code") for e in events if e.type == "gov_failed"] == ["gov.unknown_action"]
    name, fields = rotation(w.ledger, w.ledger.clerk.id, 1, "clerk 1", "clerk 2")
    assert w.ledger.transact(w.ledger.clerk, (name, {**fields, "public_key": part.public_key})).log.startswith(
        "account.bad_rotation"
    )
