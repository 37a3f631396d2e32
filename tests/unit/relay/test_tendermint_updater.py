"""Headers are verified by the client's own terms before they are submitted, with bisection where it takes that."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lockgate.courier.ports import NotYet, TrackedClient
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.tendermint.messages import decode_header
from lockgate.lightclients.tendermint.states import ConsensusState, encode_consensus_state
from lockgate.primitives.errors import LockgateError, PeerFault
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos, seconds
from lockgate.relay.kinds import kind_of
from lockgate.relay.one_source import OneSource
from lockgate.relay.updaters.grounds import OtherHistory
from lockgate.relay.updaters.tendermint import GROUNDS_KEPT, TendermintUpdater, consensus_of
from tests.support.chain import TestLedger, client_state_of, resigned


class Node(OneSource):
    """Serves the blocks of a test ledger; meets what `TendermintUpdater` needs of a chain."""

    def __init__(self, ledger: TestLedger) -> None:
        self.ledger = ledger
        self.chain_id = "test-1"
        self.fetched: list[int] = []
        self.other: dict[int, LightBlock] = {}
        self.lies: list[int] = []  # heights whose blocks it was told are not believed

    def refuted(self, height: int, failure: LockgateError) -> None:
        self.lies.append(height)

    async def light_block(self, height: int) -> LightBlock:
        self.fetched.append(height)
        return self.other.get(height, self.ledger.block(height))

    def forget(self, height: int) -> None:
        pass


def tracked_at(block: LightBlock) -> TrackedClient:
    kind = kind_of("07-tendermint-0")
    consensus = encode_consensus_state(consensus_of(block))
    return kind.tracked(ClientId("07-tendermint-0"), "Active", client_state_of(block), consensus)


def updater(node: Node) -> TendermintUpdater:
    return TendermintUpdater(node)  # type: ignore[arg-type]  # what it needs of a chain


def test_one_header_where_the_validators_stayed() -> None:
    ledger = TestLedger()
    ledger.run(30)
    now = UnixNanos(ledger.latest.header.time + seconds(1))
    ground = asyncio.run(updater(Node(ledger)).reach(tracked_at(ledger.block(3)), Height(1, 30), now))
    (header,) = (decode_header(raw) for _, raw in ground.brought)
    assert (header.trusted_height, header.height) == (Height(1, 3), Height(1, 30))


def test_a_set_that_changed_by_more_than_two_thirds_is_reached_through_headers_in_between() -> None:
    ledger = TestLedger(powers=(10, 10, 10, 10))
    ledger.run(5)
    for first in (1, 2, 3, 4, 5, 6, 7, 8):  # one validator of four leaves each time
        ledger.elect((10, 10, 10, 10), first)
        ledger.run(4)
    now = UnixNanos(ledger.latest.header.time + seconds(1))
    subject = updater(Node(ledger))
    target = Height(1, ledger.latest.height)
    ground = asyncio.run(subject.reach(tracked_at(ledger.block(3)), target, now))
    headers = [decode_header(raw) for _, raw in ground.brought]
    assert len(headers) > 1
    assert subject.bisections == len(headers) - 1
    steps = [Height(1, 3), *(header.height for header in headers)]
    assert [header.trusted_height for header in headers] == steps[:-1], "each from the one before"
    assert steps[-1] == target


def test_what_the_client_has_already_needs_no_header() -> None:
    ledger = TestLedger()
    ledger.run(10)
    now = UnixNanos(ledger.latest.header.time + seconds(1))
    ground = asyncio.run(updater(Node(ledger)).reach(tracked_at(ledger.block(8)), Height(1, 5), now))
    assert (ground.height, ground.brought) == (Height(1, 8), ())


def test_headers_that_others_brought_are_not_kept_for_ever() -> None:
    ledger = TestLedger()
    ledger.run(3 * GROUNDS_KEPT)
    now = UnixNanos(ledger.latest.header.time + seconds(1))
    brought = updater(Node(ledger))

    async def reached(height: int) -> object:
        return await brought.reach(tracked_at(ledger.block(height)), Height(1, 1), now)

    for height in range(1, 3 * GROUNDS_KEPT):
        assert asyncio.run(reached(height)) is asyncio.run(reached(height)), "what was checked is remembered"
    assert len(brought._grounds) <= GROUNDS_KEPT


def test_a_client_that_was_given_another_history_is_looked_at_again() -> None:
    ledger = TestLedger()
    ledger.run(10)
    now = UnixNanos(ledger.latest.header.time + seconds(1))
    brought = updater(Node(ledger))
    asyncio.run(brought.reach(tracked_at(ledger.block(8)), Height(1, 5), now))
    recovered = tracked_at(resigned(ledger.block(8), app_hash=b"\x55" * 32))
    for target in (Height(1, 5), Height(1, 9)):
        with pytest.raises(OtherHistory):
            asyncio.run(brought.reach(recovered, target, now))


def test_another_history_below_the_target_is_named() -> None:
    ledger = TestLedger()
    ledger.run(10)
    node = Node(ledger)
    node.other[3] = resigned(ledger.block(3), app_hash=b"\x55" * 32)
    now = UnixNanos(ledger.latest.header.time + seconds(1))
    for target in (Height(1, 9), Height(1, 2)):
        with pytest.raises(OtherHistory):
            asyncio.run(updater(node).reach(tracked_at(ledger.block(3)), target, now))


def test_a_header_that_is_not_signed_enough_is_refused_here() -> None:
    ledger = TestLedger()
    ledger.run(8)
    ledger.produce(absent={0, 1})
    now = UnixNanos(ledger.latest.header.time + seconds(1))
    node = Node(ledger)
    with pytest.raises(PeerFault):
        asyncio.run(updater(node).reach(tracked_at(ledger.block(3)), Height(1, 9), now))
    assert node.lies == [9], "whose block it was is told, so that another source is asked"


def test_a_header_ahead_of_the_other_ledgers_clock_is_waited_for() -> None:
    ledger = TestLedger()
    ledger.run(20)
    now = UnixNanos(ledger.block(4).header.time)
    node = Node(ledger)
    with pytest.raises(NotYet):
        asyncio.run(updater(node).reach(tracked_at(ledger.block(3)), Height(1, 20), now))
    assert node.lies == [], "clocks differ; that is no lie"


def test_a_consensus_state_is_compared_whole() -> None:
    ledger = TestLedger()
    ledger.run(10)
    block = ledger.block(3)
    good = consensus_of(block)
    now = UnixNanos(ledger.latest.header.time + seconds(1))
    for wrong in (
        ConsensusState(UnixNanos(good.timestamp + 1), good.root, good.next_validators_hash),
        ConsensusState(good.timestamp, bytes(31) + b"\x01", good.next_validators_hash),
        ConsensusState(good.timestamp, good.root, bytes(31) + b"\x01"),
    ):
        client = replace(tracked_at(block), consensus=wrong)
        with pytest.raises(OtherHistory):
            asyncio.run(updater(Node(ledger)).reach(client, Height(1, 9), now))
