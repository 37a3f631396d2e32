"""A message reads what it pays for (I3): grants are not counted by scanning, a run is not read before its proof."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lockgate.ibc import host
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.paths import expect, update
from lockgate.machine import gas, keys, pruning
from lockgate.machine.genesis import Parameters
from lockgate.machine.transaction import Message
from lockgate.primitives.state import Draft
from tests.support.lab import World
from tests.support.traffic import run_through


def ungrant(world: World, remote: LabEndpoint) -> Message:
    content = {"endpoint": world.receiver.id, "lane": world.lane, "remote": remote.id}
    return "endpoint.ungrant", content


def strangers(world: World, count: int) -> list[LabEndpoint]:
    return [LabEndpoint(b"stranger %d" % number, (world.host_b.id,)) for number in range(count)]


def test_an_endpoint_holds_as_many_grants_as_it_may_and_changes_those_it_has() -> None:
    """The world has given one."""
    world = World.make(Parameters(max_grants_per_endpoint=3))
    ledger, who = world.b.ledger, world.host_b
    second, third, fourth = strangers(world, 3)
    for remote in (second, third):
        expect(ledger.transact(who, world.receiver.grant(world.lane, remote)))
    before = ledger.chain.view().get(keys.ENDPOINT, keys.grant_count(world.receiver.id))
    assert before == keys.u64(3)
    assert "holds the most grants" in ledger.transact(who, world.receiver.grant(world.lane, fourth)).log
    expect(ledger.transact(who, world.receiver.grant(world.lane, second, most_open=2)))
    assert "no such grant" in ledger.transact(who, ungrant(world, fourth)).log
    assert ledger.chain.view().get(keys.ENDPOINT, keys.grant_count(world.receiver.id)) == before
    expect(ledger.transact(who, ungrant(world, third)))
    expect(ledger.transact(who, world.receiver.grant(world.lane, fourth)))
    assert "holds the most grants" in ledger.transact(who, world.receiver.grant(world.lane, third)).log


def test_a_grant_scans_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.make()
    before = Draft.scan

    def counted(self: Draft, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        assert store != keys.ENDPOINT, "a scan of an endpoint's records"
        return before(self, store, start, end)

    monkeypatch.setattr(Draft, "scan", counted)
    (stranger,) = strangers(world, 1)
    expect(world.b.ledger.transact(world.host_b, world.receiver.grant(world.lane, stranger)))
    expect(world.b.ledger.transact(world.host_b, ungrant(world, stranger)))


def prune(world: World, first: int, last: int, proof: bytes = b"") -> Message:
    key = host.packet_commitment(world.a.client, last)
    proof = proof or world.a.ledger.prove("ibc", key, world.b.trusted).merkle_proof
    height = str(world.a.ledger.at(world.b.trusted))
    run = {"client": world.b.client, "first": first, "last": last}
    return "lane.prune", {**run, "height": height, "proof": proof}


def test_I15_a_run_pays_for_each_of_its_packets() -> None:
    used, world = [], World.make()
    run_through(world, 5)
    update(world.b, world.a.ledger)
    for first, last in ((1, 1), (2, 4)):
        message = prune(world, first, last)
        result = expect(world.b.ledger.transact(world.b.account, message))
        used.append(result.gas_used - len(message[1]["proof"]))  # type: ignore[call-overload]  # a CBOR map
        assert gas.estimate([message], 4_096) > result.gas_used
    assert abs(used[1] - used[0] - 2 * gas.PER_PRUNED) < 64, "but for a few bytes"
    assert pruning.watermark(world.b.ledger.chain.view(), world.b.client) == 4


@pytest.mark.parametrize(("first", "last"), [(2, 3), (0, 3), (1, 0), (1, 4_097)])
def test_I15_a_run_begins_after_the_watermark_and_is_bounded(first: int, last: int) -> None:
    world = World.make()
    run_through(world, 3)
    update(world.b, world.a.ledger)
    name, content = prune(world, 1, 3)
    result = world.b.ledger.transact(world.b.account, (name, {**content, "first": first, "last": last}))  # type: ignore[dict-item]
    assert "prune.still_open" in result.log
    assert pruning.watermark(world.b.ledger.chain.view(), world.b.client) == 0


def test_I15_of_a_run_that_is_not_proven_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.make()
    run_through(world, 3)
    update(world.b, world.a.ledger)
    read = []
    before = pruning.inbox.find
    monkeypatch.setattr(pruning.inbox, "find", lambda *arguments: read.append(arguments) or before(*arguments))
    message = prune(world, 1, 3, proof=b"false")
    assert "merkle." in world.b.ledger.transact(world.b.account, message).log
    assert not read
    expect(world.b.ledger.transact(world.b.account, prune(world, 1, 3)))
    assert len(read) == 3
