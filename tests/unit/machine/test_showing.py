"""What froze one client is shown to the others (P14, P20): every showing is paid for, and none shields another."""

from __future__ import annotations

import pytest

from lockgate.codec import type_urls as urls
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import End, connect, create_client, expect, update
from lockgate.lightclients.cometbft import commit
from lockgate.machine import gas
from lockgate.machine.machine import TxResult
from lockgate.machine.transaction import Message
from lockgate.primitives.time import seconds
from tests.support.equivocation import client_message, fork_of, header_of, misbehaviour
from tests.support.lab import World, account


def status(end: End) -> str:
    ledger = end.ledger
    return ledger.chain.machine.packets.kinds.status(ledger.chain.view(), end.client, ledger.chain.time)


def siblings(world: World, count: int) -> list[End]:
    """Further clients on ledger A that follow ledger B."""
    found = [End(world.a.ledger, account(f"sibling {number}")) for number in range(count)]
    for end in found:
        create_client(end, world.b.ledger)
    return found


def equivocate(world: World) -> tuple[LabLedger, int]:
    """Let B sign a second history; returns it, and the height that both are shown at."""
    world.b.ledger.block()
    height = world.b.ledger.height
    return fork_of(world, height), height


def two_headers(world: World, accused: End, fork: LabLedger, height: int) -> Message:
    evidence = misbehaviour(world, fork, height, accused.trusted)
    return client_message(accused, urls.TENDERMINT_MISBEHAVIOUR, evidence)


def one_header(accused: End, fork: LabLedger, height: int, trusted: int) -> Message:
    return client_message(accused, urls.TENDERMINT_HEADER, header_of(fork, height, trusted))


def frozen_by(result: TxResult) -> list[str | None]:
    return [event.get("client_id") for event in result.events if event.type == "client_misbehaviour"]


def unshown(result: TxResult) -> list[str | None]:
    return [event.get("from_client") for event in result.events if event.type == "evidence_not_shown"]


def paying(world: World, accused: End, message: Message, gas_limit: int) -> TxResult:
    data = world.a.ledger.signed(accused.account, [message], gas_limit=gas_limit)
    (result,) = world.a.ledger.block(data).results.transactions
    return expect(result)


def alone(size: int) -> int:
    """Gas of a transaction with one client message that is shown to nobody, short of what a showing costs."""
    return gas.PER_TRANSACTION + gas.PER_SIGNATURE + gas.PER_BYTE * (size + gas.ENVELOPE_BYTES) + 60_000


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """One item for each signature of a commit that is verified."""
    found: list[bytes] = []
    before = commit.verify_zip215

    def counted(key: bytes, signature: bytes, message: bytes) -> bool:
        found.append(signature)
        return before(key, signature, message)

    monkeypatch.setattr(commit, "verify_zip215", counted)
    return found


@pytest.mark.parametrize("which", ["two headers", "one header"])
def test_P20_each_client_costs_what_it_may_take_whatever_the_message(which: str) -> None:
    used = []
    for same, others in ((0, 0), (1, 0), (3, 0), (0, 1)):
        world = World.make()
        first, *rest = siblings(world, 1 + same)
        trusted = first.trusted
        world.clock.advance(seconds(1))
        for number in range(others):
            create_client(End(world.a.ledger, account("third")), LabLedger(f"gamma{number}-1", world.clock))
        fork, height = equivocate(world)
        if which == "one header":
            for end in (first, *rest):
                update(end, world.b.ledger)
        pair = two_headers(world, first, fork, height) if which == "two headers" else None
        message = pair or one_header(first, fork, height, trusted)
        used.append(expect(world.a.ledger.transact(first.account, message)).gas_used)
    signatures = 2 if which == "two headers" else 1
    each = gas.PER_CLIENT_SHOWN + gas.PER_BYTE * len(message[1]) + gas.PER_SIGNATURE * signatures
    assert [more - used[0] for more in used[1:]] == [each, 3 * each, gas.PER_CLIENT_SHOWN]
    assert gas.shown(len(message[1])) > each
    assert gas.estimate([message], 0) > used[1]


def test_P20_the_signatures_of_a_header_are_verified_as_often_as_somebody_paid(verified: list[bytes]) -> None:
    """Else whoever makes clients of a chain of his own has every validator verify once for each, for one update."""
    world = World.make()
    others = siblings(world, 8)
    trusted = others[0].trusted
    fork, height = equivocate(world)
    for end in others:
        update(end, world.b.ledger)
    message = one_header(others[0], fork, height, trusted)
    verified.clear()
    each = gas.PER_CLIENT_SHOWN + gas.PER_BYTE * len(message[1]) + gas.PER_SIGNATURE
    nothing_held = each - gas.PER_SIGNATURE  # of the lane's client
    result = paying(world, others[0], message, alone(len(message[1])) + nothing_held + 3 * each)
    assert len(verified) == 1 + 3
    assert frozen_by(result) == [end.client for end in others[:4]]
    assert unshown(result) == [others[4].client]
    assert [status(end) for end in others] == ["Frozen"] * 4 + ["Active"] * 4


def test_P20_clients_that_hold_nothing_against_a_header_cost_no_signature(verified: list[bytes]) -> None:
    world = World.make()
    siblings(world, 5)
    trusted = world.a.trusted
    fork, height = equivocate(world)
    update(world.a, world.b.ledger)
    message = one_header(world.a, fork, height, trusted)
    verified.clear()
    frozen = expect(world.a.ledger.transact(world.a.account, message))
    assert frozen_by(frozen) == [world.a.client]
    assert len(verified) == 1


@pytest.mark.parametrize("which", ["two headers", "one header"])
def test_P20_no_number_of_others_shields_the_client_that_is_told(which: str) -> None:
    """It freezes for the price of one update. So does each of the others, by a message of its own."""
    world = World.make()
    others = siblings(world, 6)
    accused, second = others[-1], others[-2]
    trusted = accused.trusted
    fork, height = equivocate(world)
    if which == "one header":
        for end in others:
            update(end, world.b.ledger)
    for told in (accused, second):
        pair = two_headers(world, told, fork, height) if which == "two headers" else None
        message = pair or one_header(told, fork, height, trusted)
        result = paying(world, told, message, alone(len(message[1])))
        assert frozen_by(result) == [told.client]
        assert unshown(result) == [world.a.client]
    assert [status(end) for end in (world.a, *others)] == ["Active"] * 5 + ["Frozen"] * 2


def test_P20_clients_that_lanes_rest_on_are_shown_it_before_older_ones() -> None:
    """Whoever makes cheap clients first must not use up the gas that a lane's client needs."""
    world = World.make()
    others = siblings(world, 6)
    late = End(world.a.ledger, account("late"))
    connect(late, End(world.b.ledger, account("late there")))
    accused = others[0]
    fork, height = equivocate(world)
    message = two_headers(world, accused, fork, height)
    each = gas.PER_CLIENT_SHOWN + gas.PER_BYTE * len(message[1]) + 2 * gas.PER_SIGNATURE
    result = paying(world, accused, message, alone(len(message[1])) + 2 * each)
    assert frozen_by(result) == [accused.client, world.a.client, late.client]
    assert unshown(result) == [others[1].client]


def test_P20_with_room_for_it_an_estimate_reaches_others() -> None:
    world = World.make()
    others = siblings(world, 3)
    accused, trusted = others[0], others[0].trusted
    fork, height = equivocate(world)
    for end in (world.a, *others):
        update(end, world.b.ledger)
    message = one_header(accused, fork, height, trusted)
    result = paying(world, accused, message, gas.estimate([message], len(message[1])))
    assert set(frozen_by(result)) == {end.client for end in (world.a, *others)}
    assert not unshown(result)
