"""An account replaces its key: id, sequences and balance stay; the old key ends; nobody else can do it (P6, S11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabAccount, LabLedger, lab_authority
from lockgate.lab.paths import expect
from lockgate.machine import accounts, governance, keys
from lockgate.machine.accounts import MAX_OVERLAP
from lockgate.machine.errors import BadTransaction
from lockgate.machine.genesis import Parameters
from lockgate.machine.machine import TxResult
from lockgate.machine.transaction import Transaction, decode_and_verify, read_sign1
from lockgate.primitives.time import UnixNanos
from tests.support.account_keys import key, rotation

START = UnixNanos(1_760_000_000 * 10**9)
Fields = dict[str, Any]


class Rotating:
    """An account on a ledger, with keys to come that have names: `key 0`, `key 1`, …"""

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.gov = lab_authority("authority")
        self.ledger = LabLedger("alpha-1", SimulatedClock(START), authority=(self.gov.key,), parameters=parameters)
        self.account = LabAccount(key("key 0"))

    def fields(self, index: int, *, overlap: int = 0, new: str = "", following: str = "") -> Fields:
        """The rotation of that number, as an honest owner makes it."""
        names = new or f"key {index}", following or f"key {index + 1}"
        return rotation(self.ledger, self.account.id, index, *names, overlap)[1]

    def rotate(self, index: int, **how: Any) -> TxResult:
        return self.ledger.transact(self.account, ("account.rotate", self.fields(index, **how)))

    def use(self, name: str) -> TxResult:
        """The account does something harmless under the key of that name, at the sequence the ledger expects."""
        view = self.ledger.chain.view()
        self.account.key, self.account.sequence = key(name), accounts.next_sequence(view, self.account.id, 0)
        return self.ledger.transact(self.account, ("account.rotate", {"x": 1}))  # refused, for its shape alone

    def admitted(self, name: str) -> bool:
        code = self.use(name).log.split(":")[0]
        assert code in {"tx.bad_message", "tx.key_not_current"}
        return code == "tx.bad_message"

    def held(self) -> bytes | None:
        return self.ledger.chain.view().get(keys.ACCOUNT, keys.account_keys(self.account.id))


def test_the_account_keeps_its_name_and_its_sequences() -> None:
    w = Rotating()
    expect(w.rotate(1))
    assert w.account.sequence == 1
    w.account.key = key("key 1")
    expect(w.rotate(2))
    held = accounts.rotated(w.ledger.chain.view(), w.account.id)
    assert held is not None
    assert (held.index, held.public_key) == (2, key("key 2").public_key)
    assert accounts.next_sequence(w.ledger.chain.view(), w.account.id, 0) == 2, "sequences never reset"
    assert accounts.next_sequence(w.ledger.chain.view(), accounts.account_id(1, key("key 1").public_key), 0) == 0


def test_the_old_key_is_refused_from_the_next_block_on_and_spends_nothing() -> None:
    w = Rotating()
    assert w.admitted("key 0")
    w.account.sequence = 1
    expect(w.rotate(1))
    before = accounts.next_sequence(w.ledger.chain.view(), w.account.id, 0)
    assert w.use("key 0").log.split(":")[0] == "tx.key_not_current"
    assert accounts.next_sequence(w.ledger.chain.view(), w.account.id, 0) == before
    assert w.admitted("key 1")


def test_a_rotation_is_effective_from_the_next_block_on_for_both_keys() -> None:
    w = Rotating()
    rotation = w.ledger.signed(w.account, [("account.rotate", w.fields(1))])
    old = w.ledger.signed(w.account, [("account.rotate", w.fields(1, new="thief"))])
    w.account.key = key("key 1")
    new = w.ledger.signed(w.account, [("account.rotate", w.fields(2))])
    done = w.ledger.block(rotation, old, new).results.transactions
    codes = [result.log.split(":")[0] for result in done]
    assert codes == ["", "account.bad_rotation", "tx.key_not_current"], (
        "in its own block the old key signs, and rotates no more"
    )


def test_an_overlap_lets_the_old_key_sign_for_so_many_blocks_and_not_rotate() -> None:
    w = Rotating()
    expect(w.rotate(1, overlap=4))  # at the height of this block, which an empty one followed
    held = accounts.rotated(w.ledger.chain.view(), w.account.id)
    assert held is not None
    assert held.previous_until == held.since + 3
    w.account.key = key("key 0")
    again = w.ledger.transact(w.account, ("account.rotate", w.fields(2)))
    assert again.log.startswith("account.bad_rotation")
    while w.ledger.height + 1 < held.previous_until:
        w.ledger.block()
    assert w.admitted("key 0")
    assert not w.admitted("key 0"), "two blocks on, the overlap is over"
    assert w.admitted("key 1")


def refused(w: Rotating, fields: Fields, code: str) -> None:
    held = w.held()
    w.account.sequence = accounts.next_sequence(w.ledger.chain.view(), w.account.id, 0)
    assert w.ledger.transact(w.account, ("account.rotate", fields)).log.split(":")[0] == code
    assert w.held() == held


def another_overlap(w: Rotating) -> Fields:
    return {**w.fields(1), "overlap": 1}


def another_commitment(w: Rotating) -> Fields:
    return {**w.fields(1), "next": bytes(32)}


def authority_part(w: Rotating) -> Fields:
    return {**w.fields(1), "public_key": w.gov.key.parts[0]}


@pytest.mark.parametrize(
    "spoil",
    [
        another_overlap,
        another_commitment,
        authority_part,
        lambda w: {**w.fields(1), "possession": bytes(64)},
        lambda w: {**w.fields(1), "public_key": key("key 9").public_key},
        lambda w: {**w.fields(1), "public_key": bytes(32)},
        lambda w: {**w.fields(1), "suite": 2},
        lambda w: w.fields(1, overlap=MAX_OVERLAP + 1),
        lambda w: w.fields(1, overlap=-1),
        lambda w: w.fields(2),
        lambda w: w.fields(1, new="key 0"),
        lambda w: w.fields(1, new="listed"),
    ],
)
def test_a_rotation_that_is_not_in_order_changes_nothing(spoil: Callable[[Rotating], Fields]) -> None:
    w = Rotating()
    admit = {"suite": 1, "public_key": key("listed").public_key, "balance": 0}
    expect(w.ledger.govern(w.gov, "gov.announce", {"action": "account.admit", "arguments": admit}))
    for _ in range(12):
        w.ledger.block()
    refused(w, spoil(w), "account.bad_rotation")
    expect(w.ledger.transact(w.account, ("account.rotate", w.fields(1))))


@pytest.mark.parametrize("name", ["suite", "public_key", "next", "overlap", "possession"])
def test_every_field_is_needed(name: str) -> None:
    w = Rotating()
    fields = w.fields(1)
    del fields[name]
    refused(w, fields, "tx.bad_message")
    refused(w, {**w.fields(1), "more": 1}, "tx.bad_message")


def test_a_thief_of_the_second_key_cannot_rotate_to_his_own() -> None:
    w = Rotating()
    expect(w.rotate(1))
    w.account.key = key("key 1")
    refused(w, w.fields(2, new="thief"), "account.bad_rotation")
    expect(w.ledger.transact(w.account, ("account.rotate", w.fields(2))))


def test_a_recorded_rotation_does_nothing_when_it_is_brought_again() -> None:
    w = Rotating()
    data = w.ledger.signed(w.account, [("account.rotate", w.fields(1))])
    assert w.ledger.block(data).results.transactions[0].code == 0
    w.account.key = key("key 1")
    expect(w.rotate(2))
    held = w.held()
    again = w.ledger.block(data).results.transactions[0]
    assert again.log.split(":")[0] == "tx.key_not_current"
    assert w.held() == held


def test_nobody_signs_for_an_account_by_naming_it() -> None:
    w = Rotating()
    assert not w.admitted("a stranger's key"), "of an account that has its first key"
    w.account.key, w.account.sequence = key("key 0"), 0
    expect(w.rotate(1))
    assert not w.admitted("a stranger's key"), "and of one that has another"


def test_the_new_key_does_not_sign_before_it_is_there() -> None:
    w = Rotating()
    assert not w.admitted("key 1")


def test_a_listed_account_keeps_its_balance_and_its_place() -> None:
    w = Rotating(Parameters(account_admission_open=False))
    admit = {"suite": 1, "public_key": key("key 0").public_key, "balance": 7}
    clerk = {**admit, "public_key": w.ledger.clerk.key.public_key}
    view = w.ledger.chain.view()  # nobody is listed yet who could bring the authority's words
    for each in (admit, clerk):
        done = governance.admit_account(view, w.ledger.genesis, each["suite"], each["public_key"], each["balance"])
        w.ledger.chain.state.apply(done.writes)
    w.ledger.block()
    expect(w.rotate(1))
    assert w.admitted("key 1")
    record = accounts.load(w.ledger.chain.view(), w.account.id)
    assert record is not None
    assert record.balance == 7


def test_a_transaction_names_its_account_in_one_way_only() -> None:
    w = Rotating()
    expect(w.rotate(1))
    w.account.key = key("key 1")
    data = w.ledger.signed(w.account, [("account.rotate", w.fields(2))])
    signed = decode_and_verify(data, 1, max_bytes=1 << 20, max_messages=8)
    assert signed.transaction.account == w.account.id
    body = list(cbor.decode(read_sign1(data)[2]))
    own = bytes.fromhex(accounts.account_id(1, key("key 1").public_key))
    for name in (own, b"", b"x" * 19, "x" * 20, None):
        wrong = cbor.encode([*body[:2], [1, key("key 1").public_key, name], *body[3:]])
        with pytest.raises(BadTransaction):
            Transaction.from_body(wrong, 8)
    with pytest.raises(BadTransaction):
        Transaction.from_body(cbor.encode([*body[:2], [1, key("key 1").public_key, b"x" * 20, 1], *body[3:]]), 8)
