"""A host that reads a ledger through several nodes: two histories seen at two of them, and liars that prove nothing."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.hosting.reader import TwoHistories
from lockgate.lightclients.cometbft import rpc_json
from lockgate.primitives.errors import Unavailable
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import Calls
from lockgate.relay.sources_chain import SourcedChain
from tests.support import probe
from tests.support.forgery import forged
from tests.support.hosts import HostWorld, in_world
from tests.support.relays import FaultyRpc
from tests.support.sources import Alarms, Json, codes, several
from tests.unit.hosting.test_forks import TwoFaced, frozen, twin_of


async def reading_a(world: HostWorld, *rpcs: Calls, required: int = 2) -> tuple[SourcedChain, Alarms]:
    """B's host again, now reading A's ledger through these nodes."""
    chain, alarms = several(rpcs, required)
    plain = world.chain
    world.chain = lambda side, rpc=None: rpc if isinstance(rpc, CometBftChain) else plain(side, rpc)  # type: ignore
    world.b.host = world.make(world.b, remote=chain)  # type: ignore[arg-type]
    await world.b.host.start()
    return chain, alarms


class Turning:
    """A node that is replaced by another behind its address."""

    def __init__(self, inner: Calls) -> None:
        self.inner = inner

    async def call(self, method: str, **params: Any) -> Json:
        return await self.inner.call(method, **params)

    async def close(self) -> None: ...


@pytest.mark.parametrize("count", [2, 3])
@in_world()
async def test_P20_two_histories_seen_at_two_nodes_freeze_the_client(world: HostWorld, count: int) -> None:
    """[P20] No message is needed: the host's own nodes show both headers, and its light client believes both."""
    rpc = world.a.rpc
    turning = Turning(rpc)
    chain, _ = await reading_a(world, *([rpc] * (count - 1)), turning)
    await world.send(world.a, probe.write(b"k", b"v"))
    tip = world.a.end.ledger.height
    turning.inner = TwoFaced(rpc, twin_of(world.a, tip), tip)
    world.relay()
    await world.turn(world.b)
    assert frozen(world.b)
    (said,) = world.b.reported("two_histories")
    assert world.b.evidence.documents[said["evidence"]]["kind"] == "two-histories"
    assert [row["outcome"] for row in world.b.reported("misbehaviour")] == ["frozen"]
    assert world.b.get(b"k") is None
    assert said["code"] == TwoHistories.code
    assert chain.take_conflicts() == []


def strangers(world: HostWorld, above: int) -> Any:
    """Headers that people who are no validators have signed, at every height above one."""

    def spoil(method: str, params: Json, result: Json) -> Json:
        if method == "commit" and int(params["height"]) > above:
            lie = forged(world.a.end.ledger, int(params["height"]), signed_by="stranger")
            result["signed_header"] = rpc_json.signed_header_to_json(lie)
        return result

    return spoil


@in_world()
async def test_a_history_that_nobody_signed_is_no_evidence_and_the_message_arrives(world: HostWorld) -> None:
    rpc = world.a.rpc
    bad = FaultyRpc(rpc, spoil=strangers(world, world.a.end.ledger.height))
    _, alarms = await reading_a(world, bad, rpc, rpc)
    await world.send(world.a, probe.write(b"k", b"v"))
    await world.settle()
    assert world.b.get(b"k") == b"v"
    assert not frozen(world.b)
    assert world.b.reported("two_histories") == []
    assert set(codes(alarms)) == {"sources.lied"}
    assert {fields["source"] for _, fields in alarms} == {"0"}


@in_world()
async def test_every_node_shows_what_nobody_signed_and_the_host_waits(world: HostWorld) -> None:
    """They agree, so nothing is outvoted: the light client refutes them, and then there are too few."""
    rpc = world.a.rpc
    bad = [FaultyRpc(rpc, spoil=strangers(world, world.a.end.ledger.height)) for _ in range(2)]
    chain, alarms = await reading_a(world, *bad)
    await world.send(world.a, probe.write(b"k", b"v"))
    world.relay()
    await world.turn(world.b)
    assert world.b.get(b"k") is None
    assert set(codes(alarms)) == {"sources.lied"}
    with pytest.raises(Unavailable, match=r"sources\.too_few"):
        await chain.tip()
    assert world.b.host.status()["sources"]["a"]["halted"][-1] == "sources.too_few"
