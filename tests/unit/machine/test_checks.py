"""The mempool's checks: what is remembered of a transaction is never believed of another state."""

from __future__ import annotations

import pytest

from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.machine.checks import Checks
from lockgate.machine.machine import Machine
from lockgate.machine.transaction import Message
from lockgate.primitives.state import Draft
from lockgate.primitives.time import UnixNanos, seconds
from tests.support.lab import World, account


class Counting:
    """A machine that counts how often a transaction was run for a check."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.runs = 0

    def check(self, draft: Draft, data: bytes, height: int, now: UnixNanos) -> object:
        self.runs += 1
        return self.machine.check(draft, data, height, now)


class Pool:
    """Checks over a lab ledger's newest block, as an engine asks for them."""

    def __init__(self, ledger: LabLedger) -> None:
        self.ledger = ledger
        self.machine = Counting(ledger.chain.machine)
        self.checks = Checks(self.machine)  # type: ignore[arg-type]  # counts, and hands on

    def check(self, data: bytes, later_s: int = 0) -> str:
        """The refusal's code, or nothing."""
        chain = self.ledger.chain
        now = UnixNanos(chain.time + seconds(later_s))
        return self.checks.check(chain.view(), data, chain.height + 1, now).log.split(":")[0]

    def block(self, *transactions: bytes) -> None:
        self.ledger.block(*transactions)
        self.checks.begin()


@pytest.fixture
def world() -> World:
    return World.make()


def strangers(count: int) -> list[LabAccount]:
    return [account(f"stranger {number}") for number in range(count)]


def registering(holder: LabAccount, name: bytes = b"endpoint") -> Message:
    return LabEndpoint(name + holder.id.encode(), (holder.id,)).register()


def test_what_still_waits_after_a_block_is_not_run_again(world: World) -> None:
    pool = Pool(world.a.ledger)
    waiting = [pool.ledger.signed(each, [registering(each)]) for each in strangers(6)]
    assert [pool.check(data) for data in waiting] == [""] * 6
    pool.block(*waiting[:2])
    assert [pool.check(data) for data in waiting[2:]] == [""] * 4
    assert pool.machine.runs == 6
    assert pool.check(waiting[2]) == "tx.sequence"  # it is taken in already
    assert pool.check(waiting[0]) == "tx.sequence"  # it is in a block


def test_one_that_reads_what_a_block_wrote_is_run_again_and_refused(world: World) -> None:
    """Two transactions of one account, over two nonce lanes, do the same: the block holds the one not seen before."""
    pool = Pool(world.a.ledger)
    fence = world.sender.take_fence()
    seen, other = (pool.ledger.signed(LabAccount(world.host_a.key), [fence], nonce_lane=lane) for lane in (3, 4))
    for _ in range(2):
        assert pool.check(seen) == ""
        pool.block()
    assert pool.machine.runs == 1
    pool.block(other)
    assert pool.check(seen) == "endpoint.fenced_off"
    assert pool.machine.runs == 2


def test_one_that_rests_on_another_is_refused_when_that_one_is_gone(world: World) -> None:
    pool = Pool(world.a.ledger)
    (stranger,) = strangers(1)
    first = pool.ledger.signed(stranger, [registering(stranger)])
    second = pool.ledger.signed(stranger, [registering(stranger, b"another")])
    assert [pool.check(first), pool.check(second)] == ["", ""]
    pool.block()
    assert pool.check(second) == "tx.sequence"  # the node dropped the first one
    assert [pool.check(first), pool.check(second)] == ["", ""]


def test_a_refused_one_leaves_nothing_behind(world: World) -> None:
    pool = Pool(world.a.ledger)
    (stranger,) = strangers(1)
    refused = pool.ledger.signed(stranger, [registering(stranger), registering(stranger)])
    assert pool.check(refused) == "endpoint.exists"
    stranger.sequence = 0
    assert pool.check(pool.ledger.signed(stranger, [registering(stranger)])) == ""


def test_of_time_nothing_is_remembered_for_long(world: World) -> None:
    pool = Pool(world.a.ledger)
    (stranger,) = strangers(1)
    data = pool.ledger.signed(stranger, [registering(stranger)])
    for later_s, runs in ((0, 1), (5, 1), (6, 2), (5, 3)):  # a clock that goes back is no older knowledge
        pool.checks.begin()
        assert pool.check(data, later_s) == ""
        assert pool.machine.runs == runs
    pool.checks.begin()
    assert pool.check(data, 3_600 * 24 * 365) == "tx.expired"


def test_no_more_is_remembered_than_fits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(world.a.ledger)
    waiting = [pool.ledger.signed(each, [registering(each)]) for each in strangers(5)]
    monkeypatch.setattr("lockgate.machine.checks.MAX_REMEMBERED", 3)
    assert [pool.check(data) for data in waiting] == [""] * 5
    assert next(iter(pool.checks._judged.values())).places > 3
    assert len(pool.checks._judged) == 3
    assert pool.checks._places == sum(each.places for each in pool.checks._judged.values())
    monkeypatch.setattr("lockgate.machine.checks.MAX_PLACES", 3)
    pool.checks.begin()
    assert [pool.check(data) for data in waiting] == [""] * 5
    assert (len(pool.checks._judged), pool.checks._places) == (0, 0)
