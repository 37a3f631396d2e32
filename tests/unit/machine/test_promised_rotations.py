"""Whoever stole an authority's key cannot keep it from following the key that it committed to (P16, S11)."""

from __future__ import annotations

from typing import Any

from lockgate.crypto.keys import IdentitySigner
from lockgate.lab.ledgers import lab_authority
from lockgate.lab.paths import expect
from lockgate.machine import accounts, governance, keys
from lockgate.machine.authority import authorize, next_sequence
from lockgate.machine.machine import TxResult
from lockgate.machine.transaction import Message
from lockgate.primitives.state import Event
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds
from tests.unit.machine.test_succession import DELAY, Announced, World, admit


def several(w: World, by: IdentitySigner, *sent: tuple[str, dict[str, Any]]) -> list[Message]:
    """Messages of one authority for one block, numbered as they stand."""
    chain, until = w.ledger.chain, UnixSeconds(w.ledger.chain.time // NANOS_PER_SECOND + 600)
    first = next_sequence(chain.view(), by.key)
    return [
        authorize(by, chain.machine.domain, w.ledger.revision, message, first + number, until)
        for number, message in enumerate(sent)
    ]


def announcements(count: int) -> list[tuple[str, Announced]]:
    return [("gov.announce", admit(f"account {number}")) for number in range(count)]


def placed(result: TxResult) -> tuple[int, int]:
    """Height and number of what was announced."""
    (event,) = [event for event in expect(result).events if event.type == "gov_announced"]
    return int(event.get("due") or 0), int(event.get("number") or 0)


def cancel(w: World, by: IdentitySigner, due: int, number: int) -> TxResult:
    return w.ledger.govern(by, "gov.cancel", {"due": due, "number": number})


def failed(events: list[Event]) -> list[tuple[str | None, str | None]]:
    return [(event.get("action"), event.get("code")) for event in events if event.type == "gov_failed"]


def test_P16_a_rotation_to_the_key_that_was_committed_to_is_not_cancelled() -> None:
    other = lab_authority("another person")
    w = World(others=(other,))
    w.rotate(1)
    due, number = placed(w.announce(w.keys[1], w.follow(2)))
    before = w.ledger.chain.view().get(keys.GOVERNANCE, keys.scheduled(due, number))
    for thief in (w.keys[1], other):
        assert cancel(w, thief, due, number).log.startswith("gov.rotation_stands")
    assert w.ledger.chain.view().get(keys.GOVERNANCE, keys.scheduled(due, number)) == before
    w.pass_blocks(DELAY - 2)
    assert w.stands()[0] == w.keys[2].key.hash


def test_a_first_rotation_and_any_other_action_can_be_cancelled() -> None:
    """Nothing committed to the first one: it may be a thief's, and its owner must be able to end it."""
    w = World()
    for announced in (w.follow(1), admit("somebody")):
        expect(cancel(w, w.keys[0], *placed(w.announce(w.keys[0], announced))))
    w.pass_blocks(DELAY + 2)
    assert w.stands() == (w.keys[0].key.hash,)
    w.rotate(1)


def test_P16_full_heights_keep_no_promised_rotation_out() -> None:
    """Sixteen others are due at its height, before it and after it, and it takes none of their places."""
    w = World()
    w.rotate(1)
    most = governance.MAX_SCHEDULED_PER_BLOCK
    sent = [*announcements(most - 1), ("gov.announce", w.follow(2)), ("gov.announce", admit("the last"))]
    expect(w.ledger.transact(w.ledger.clerk, *several(w, w.keys[1], *sent)))
    w.pass_blocks(DELAY)
    assert w.stands() == (w.keys[2].key.hash,)
    sent = [*announcements(most + 1)]
    full = w.ledger.transact(w.ledger.clerk, *several(w, w.keys[2], *sent))
    assert "too many actions" in full.log
    sent = [*announcements(most), ("gov.announce", w.follow(3))]
    expect(w.ledger.transact(w.ledger.clerk, *several(w, w.keys[2], *sent)))
    w.pass_blocks(DELAY)
    assert w.stands() == (w.keys[3].key.hash,)


def test_copies_of_a_promised_rotation_fill_no_height() -> None:
    """A thief has the key that signs the announcement, and the ledger shows the rest of it."""
    w = World()
    w.rotate(1)
    expect(w.announce(w.keys[1], w.follow(2)))
    for _ in range(2):
        assert w.announce(w.keys[1], w.follow(2)).log.startswith("gov.rotation_stands")
    events = w.pass_blocks(DELAY)
    assert not failed(events)
    assert w.stands() == (w.keys[2].key.hash,)
    left = [key for key, _ in w.ledger.chain.view().scan(keys.GOVERNANCE, b"rotating/", b"rotating0")]
    assert not left


def test_P16_a_thief_cannot_spoil_the_key_between_its_announcement_and_its_height() -> None:
    """He sees it announced, and has its half listed as an account by an action with a shorter way."""
    w = World()
    w.rotate(1)
    shorter = {"action": "parameters.set", "arguments": {"parameters": {"authority_delay_blocks": 1}}}
    expect(w.announce(w.keys[1], shorter))
    w.pass_blocks(DELAY - 3)
    expect(w.announce(w.keys[1], w.follow(2)))
    w.pass_blocks(3)
    half = w.keys[2].key.parts[0]
    listing = {"action": "account.admit", "arguments": {"suite": 1, "public_key": half, "balance": 1}}
    expect(w.announce(w.keys[1], listing))
    w.pass_blocks(2)
    assert accounts.load(w.ledger.chain.view(), accounts.account_id(1, half)) is not None
    assert not failed(w.pass_blocks(DELAY))
    assert w.stands() == (w.keys[2].key.hash,)
