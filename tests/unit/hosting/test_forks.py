"""A ledger that signed two histories: the first message across freezes its clients (P20)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.hosting.forks import MARK
from lockgate.hosting.reader import Distrusted, NotVouchedFor, TwoHistories
from lockgate.hosting.views import ViewsDiffer
from lockgate.ibc import host as ibc_host
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.rpc import LabRpc, service_of
from lockgate.lightclients.cometbft import decoding
from lockgate.lightclients.cometbft.errors import HeaderRefused
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.tendermint import states
from lockgate.primitives.ids import Height
from lockgate.primitives.time import seconds
from lockgate.relay.rpc import Calls
from tests.support import probe
from tests.support.chain import sign, validator_set
from tests.support.hosts import HostWorld, Side, in_world
from tests.support.lab import account


def twin_of(side: Side, upto: int) -> LabLedger:
    """The same ledger under the same keys, with another state in the header of `upto`."""
    ledger = side.end.ledger
    made = LabLedger(ledger.genesis.chain_id, ledger.clock, authority=ledger.genesis.authority)
    for height in range(made.height + 1, upto - 1):
        row = ledger.chain.store.block(height)
        assert row is not None
        made.chain.produce(tuple(decoding.parse(wire.Block, row.block).data.txs))
    stranger = account("stranger")
    made.block(made.signed(stranger, [LabEndpoint(b"stranger", (stranger.id,)).register()]))
    made.block()
    assert made.chain.signed_header(upto).header.app_hash != ledger.chain.signed_header(upto).header.app_hash
    return made


class TwoFaced:
    """A node that shows the twin's header at some heights, the ledger's own at others."""

    def __init__(self, honest: Calls, twin: LabLedger, *heights: int) -> None:
        self._honest = honest
        self._twin = LabRpc.of(service_of(twin))
        self._heights = heights

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        at = int(params.get("height") or 0) + (method == "abci_query")  # the state after a block is in the next header
        shown = method in {"commit", "abci_query"} and at in self._heights
        return await (self._twin if shown else self._honest).call(method, **params)

    async def close(self) -> None: ...


def frozen(on: Side) -> bool:
    """Is `on`'s client of the other ledger frozen?"""
    data = on.end.ledger.chain.view().get("ibc", ibc_host.client_state(on.end.client))
    assert data is not None
    return states.decode_client_state(data).frozen_height != Height(0, 0)


async def replace_host(world: HostWorld, side: Side, **nodes: Calls) -> None:
    """Start this side's host again, with other nodes to ask."""
    side.host = world.make(side, **nodes)
    await side.host.start()


async def seen_height(world: HostWorld) -> int:
    """Send from A, and tell the height of A's ledger that its author saw."""
    await world.send(world.a, probe.write(b"k", b"v"))
    head: int = world.a.host._steps.views._written["alpha-1"].height.height
    return head


@in_world()
async def test_P20_the_first_message_across_freezes_the_senders_ledger(world: HostWorld) -> None:
    """[P20] B was shown another header of A's ledger than the message's author saw: evidence, submitted."""
    height = await seen_height(world)
    await replace_host(world, world.b, remote=TwoFaced(world.a.rpc, twin_of(world.a, height), height))
    world.relay()
    await world.turn(world.b)
    assert frozen(world.b)
    (said,) = world.b.reported("two_histories")
    document = world.b.evidence.documents[said["evidence"]]
    assert document["kind"] == "two-histories"
    assert document["first"][0] != document["second"][0]
    assert [row["outcome"] for row in world.b.reported("misbehaviour")] == ["frozen"]
    assert world.b.get(b"k") is None
    # A ledger that stopped its client takes no answer over it: the authority settles what is open (P14).
    assert "two histories" in world.b.reported("held")[-1]["detail"]


@in_world()
async def test_P20_a_host_on_another_history_than_its_ledgers_client_finds_both_headers(world: HostWorld) -> None:
    """[P20] The packet's proof fails under the history the host knows; the header its client took is the evidence."""
    await world.send(world.a, probe.write(b"k", b"v"))
    tip = world.a.end.ledger.height
    await replace_host(world, world.b, remote=TwoFaced(world.a.rpc, twin_of(world.a, tip), tip))
    world.relay()
    assert world.b.end.trusted == tip
    await world.turn(world.b)
    assert frozen(world.b)
    assert world.b.get(b"k") is None


@in_world()
async def test_P20_a_receiver_on_a_two_faced_ledger_tells_the_sender_who_freezes_it(world: HostWorld) -> None:
    """[P20] The sealed refusal carries the receiver's signed header; with the sender's own it is evidence."""
    height = world.b.end.ledger.height
    await replace_host(world, world.a, remote=TwoFaced(world.b.rpc, twin_of(world.b, height), height))
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()
    with pytest.raises(Distrusted):
        await world.turn(world.b)
    assert world.b.host.fenced is not None
    with pytest.raises(Distrusted):
        await world.b.host.send("a", "probe@1.0", b"x", 60)
    world.relay()
    await world.turn(world.a)
    assert frozen(world.a)
    assert world.a.reported("two_histories")
    assert (world.a.sent().state, world.a.sent().code) == ("refused", TwoHistories.code)


@in_world()
async def test_what_a_two_faced_ledger_proves_is_believed_no_more_also_after_a_restart(world: HostWorld) -> None:
    height = await seen_height(world)
    lying = TwoFaced(world.a.rpc, twin_of(world.a, height), height)
    await replace_host(world, world.b, remote=lying)
    world.relay()
    await world.turn(world.b)
    with pytest.raises(Distrusted):
        await world.send(world.b, b"x")
    await replace_host(world, world.b, remote=lying)
    with pytest.raises(Distrusted):
        await world.send(world.b, b"x")
    rows = world.b.store.connection.execute("SELECT count(*) FROM meta WHERE name LIKE ?", (MARK + "%",)).fetchone()
    assert rows == (1,)


class Restored:
    """A node that ends, and answers again from a backup: other blocks than it had shown, signed all the same."""

    def __init__(self, before: Calls) -> None:
        self._now = before
        self.losses = 0

    def restore(self, after: Calls) -> None:
        self._now, self.losses = after, self.losses + 1

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._now.call(method, **params)

    async def close(self) -> None: ...


@in_world()
async def test_P20_the_first_message_after_a_ledger_was_restored_with_its_signing_state_freezes_it(
    world: HostWorld,
) -> None:
    """[P20] What the ledger signs next follows from what A trusts; the header A trusts is not there any more."""
    node = Restored(world.b.rpc)
    await replace_host(world, world.a, remote=node)
    await world.send(world.a, probe.write(b"k", b"v"))
    await world.settle()
    height = world.a.host.peers._readers["b"].newest.height
    node.restore(TwoFaced(world.b.rpc, twin_of(world.b, height), height))
    world.clock.advance(seconds(11))  # a peer's key record is held for ten
    with pytest.raises(Distrusted):
        await world.send(world.a, b"x")
    assert frozen(world.a)
    assert [row["outcome"] for row in world.a.reported("misbehaviour")] == ["frozen"]
    (said,) = world.a.reported("two_histories")
    assert world.a.evidence.documents[said["evidence"]]["kind"] == "two-histories"


@in_world()
async def test_P20_a_host_of_a_restored_ledger_stops_for_good(world: HostWorld) -> None:
    """[P20] Not as one that another copy has overtaken: its ledger shows an older root on another history."""
    node = Restored(world.b.rpc)
    await replace_host(world, world.b, own=node)
    await world.send(world.a, probe.write(b"k", b"v"))
    await world.settle()
    height = world.b.host.reader.newest.height
    node.restore(TwoFaced(world.b.rpc, twin_of(world.b, height), height))
    await world.send(world.a, b"x")
    world.relay()
    with pytest.raises(Distrusted):
        await world.turn(world.b)
    assert [row["kind"] for row in world.b.evidence.documents.values()] == ["two-histories"]


@in_world()
async def test_a_connection_that_was_lost_and_shows_the_same_history_changes_nothing(world: HostWorld) -> None:
    node = Restored(world.b.rpc)
    await replace_host(world, world.a, remote=node)
    await world.send(world.a, probe.write(b"k", b"v"))
    await world.settle()
    node.restore(world.b.rpc)
    await world.send(world.a, probe.write(b"k", b"w"))
    await world.settle()
    assert world.b.get(b"k") == b"w"
    assert world.a.evidence.documents == {}


@in_world()
async def test_without_a_signed_header_another_view_is_a_claim_and_freezes_nothing(world: HostWorld) -> None:
    """The message is refused with the public word; nobody is accused."""
    views = world.a.host._steps.views
    honest = views.of
    views.of = lambda reader: dataclasses.replace(honest(reader), header_hash=bytes(32), signed=None)  # type: ignore[method-assign, arg-type, return-value]
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()
    await world.turn(world.b)
    assert (world.b.seen().state, world.b.seen().code) == ("refused", "envelope.rejected")
    assert ViewsDiffer.__name__ in world.b.reported("rejected")[-1]["cause"]
    assert not frozen(world.b)
    assert world.b.evidence.documents == {}


@in_world()
async def test_a_header_that_nobody_signed_is_no_evidence(world: HostWorld) -> None:
    height = await seen_height(world)
    block = twin_of(world.a, height).light_block(height)
    reader = world.b.host.peers._readers["a"]
    await reader.reach(height)
    unsigned = dataclasses.replace(
        block.signed_header,
        commit=dataclasses.replace(
            block.signed_header.commit,
            signatures=tuple(
                dataclasses.replace(sig, signature=bytes(64)) for sig in block.signed_header.commit.signatures
            ),
        ),
    )
    with pytest.raises(HeaderRefused):
        reader.judge(dataclasses.replace(block, signed_header=unsigned))
    with pytest.raises(TwoHistories):
        reader.judge(block)


@in_world()
async def test_a_header_of_strangers_is_no_evidence(world: HostWorld) -> None:
    """Signed, and sound in itself, by validators that nobody here ever trusted."""
    reader = world.b.host.peers._readers["a"]
    height = world.a.end.ledger.height
    await reader.reach(height)
    strangers = validator_set((10, 10))
    header = dataclasses.replace(
        world.a.end.ledger.chain.signed_header(height).header,
        validators_hash=strangers.hash,
        next_validators_hash=strangers.hash,
    )
    with pytest.raises(NotVouchedFor):
        reader.judge(LightBlock(sign(header, strangers), strangers, strangers))
    assert reader.follower.header_hash(height) is not None
