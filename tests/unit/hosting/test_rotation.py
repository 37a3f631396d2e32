"""Keys rotate in mid-traffic and lose nothing; old keys, revoked and unknown endpoints are refused by name (P5)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from lockgate.courier.ports import ChainUnavailable
from lockgate.host.keyring import KeyRing
from lockgate.hosting.host import Host
from lockgate.hosting.opening import KeyRotatedAway
from lockgate.hosting.rotation import NoCabinet
from lockgate.hosting.steps import Steps
from lockgate.hosting.work import StepRefused
from lockgate.keystore.errors import DeviceAbsent
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.paths import expect
from lockgate.machine.errors import EndpointRevoked, NotTheEndpoint, UnknownEndpoint
from lockgate.machine.identity import KeyRecord, SignedRecord
from lockgate.primitives.errors import LockgateError
from lockgate.relay.submitter import AccountSubmitter
from tests.support import probe, talking
from tests.support.hosts import HostWorld, LabCabinet, Side, in_world, ring_of
from tests.support.lab import account


class Drawer(LabCabinet):
    """Its keys lie in a device that is away at times."""

    away = False
    gone_at = -1  # the record at which it is gone

    def next_record(self, current: KeyRecord, /, sealing: int = 0, signing: int = 0) -> SignedRecord:
        self.need()
        return super().next_record(current, sealing, signing)

    def ring(self, chain: Sequence[KeyRecord], /) -> KeyRing:
        if self.gone_at == chain[-1].index:
            raise DeviceAbsent(device="pulled out")
        return super().ring(chain)

    def forget(self, index: int, /) -> None:
        self.need()
        super().forget(index)

    def need(self) -> None:
        if self.away:
            raise DeviceAbsent(device="in a drawer")


async def with_cabinet(world: HostWorld, side: Side) -> Drawer:
    cabinet = Drawer(side.endpoint)
    side.host = world.make(side, cabinet=cabinet)
    await side.host.start()
    return cabinet


async def rotate(world: HostWorld, side: Side) -> dict[str, Any]:
    return await world._until(side, side.host.rotate())


def revoke(world: HostWorld, side: Side) -> None:
    ledger = side.end.ledger
    action = {"action": "endpoint.revoke", "arguments": {"endpoint": side.endpoint.id}}
    expect(ledger.govern(world.lab.gov, "gov.announce", action))
    for _ in range(ledger.genesis.parameters.authority_delay_blocks + 1):
        ledger.block()


async def ask(world: HostWorld, number: int) -> None:
    await world.send(world.a, probe.write(b"k%d" % number, b"v") + probe.output(probe.write(b"told%d" % number, b"v")))


def all_arrived(world: HostWorld, count: int) -> bool:
    return all(world.b.get(b"k%d" % n) and world.a.get(b"told%d" % n) for n in range(1, count + 1))


@in_world()
async def test_P5_the_receiver_rotates_while_messages_are_under_way(world: HostWorld) -> None:
    """[P5] What was sealed to the old record opens with the old key; the sender finds the new record."""
    cabinet = await with_cabinet(world, world.b)
    await ask(world, 1)
    result = await rotate(world, world.b)
    assert result["index"] == 1
    assert world.b.host.status()["record"] == 1
    await ask(world, 2)  # sealed to the record the sender still holds
    await world.settle()
    world.clock.advance(11_000_000_000)  # type: ignore[arg-type]  # past the ten seconds a record is held
    await ask(world, 3)
    await world.settle()
    assert all_arrived(world, 3)
    rows = world.a.store.all_sent()
    assert [row.state for row in rows] == ["acknowledged"] * 3
    assert rows[2].record == world.b.endpoint.record.hash != rows[0].record
    assert cabinet.held == {0, 1}


@in_world()
async def test_P5_the_sender_rotates_while_messages_are_under_way(world: HostWorld) -> None:
    """[P5] A message sealed under the old record was on the ledger before the rotation: it is accepted."""
    await with_cabinet(world, world.a)
    await ask(world, 1)
    world.relay()
    await world.turn(world.b)  # the receiver holds the first record now
    await ask(world, 2)
    await rotate(world, world.a)
    await ask(world, 3)
    await world.settle()
    assert all_arrived(world, 3)


@in_world()
async def test_P5_both_rotate_twice_between_question_and_answer(world: HostWorld) -> None:
    await with_cabinet(world, world.a)
    await with_cabinet(world, world.b)
    await ask(world, 1)
    for _ in range(2):
        await rotate(world, world.a)
        await rotate(world, world.b)
    await world.settle()
    assert all_arrived(world, 1)
    assert world.a.sent().state == "acknowledged"


@pytest.mark.parametrize("rotating", ["receiver", "sender", "both"])
@in_world(sessions=True)
async def test_a_message_of_a_session_is_answered_though_keys_rotate_in_between(
    world: HostWorld, rotating: str
) -> None:
    """[S11] The answer binds the records that met in the handshake, on both sides, whichever has rotated since."""
    await with_cabinet(world, world.a)
    await with_cabinet(world, world.b)
    await talking.ask(world, world.a, probe.write(b"k1", b"v") + probe.output(probe.write(b"told1", b"v")))
    await ask(world, 2)
    if rotating != "sender":
        await rotate(world, world.b)
    if rotating != "receiver":
        await rotate(world, world.a)
    await world.settle()
    assert all_arrived(world, 2)
    assert {row.state for row in world.a.store.all_sent()} == {"acknowledged"}


@in_world()
async def test_P5_keys_that_were_rotated_away_seal_nothing_new(world: HostWorld) -> None:
    """[P5] A thief with the old identity, and a hold of today's account, sends under the old record: refused."""
    await with_cabinet(world, world.a)
    await rotate(world, world.a)
    host = world.a.host
    honest, old = host.parts.keys, ring_of(world.a.endpoint, 0)
    await world.send(world.a, probe.output(b""))
    await world.settle()
    host.parts.keys = type(honest)(old.signer, old.current, (), honest.account)
    await world.send(world.a, probe.write(b"stolen", b"v"))
    await world.settle()
    assert world.b.get(b"stolen") is None
    assert (world.b.seen(2).state, world.b.seen(2).code) == ("refused", "envelope.rejected")
    assert KeyRotatedAway.__name__ in world.b.reported("rejected")[-1]["cause"]


@in_world()
async def test_P6_the_account_changes_with_the_record(world: HostWorld) -> None:
    """[P6] The old account acts for the endpoint no more."""
    await with_cabinet(world, world.b)
    await rotate(world, world.b)
    thief = world.make(world.b, ring=ring_of(world.b.endpoint, 1))  # signs with the first account
    with pytest.raises(StepRefused) as refused:
        await thief.start()
    assert NotTheEndpoint.code in str(refused.value)
    await ask(world, 1)
    await world.settle()
    assert all_arrived(world, 1)


@in_world()
async def test_old_sealing_keys_are_erased_when_nothing_can_need_them(world: HostWorld) -> None:
    cabinet = await with_cabinet(world, world.a)
    await world.send(world.a, probe.defer(), timeout_s=86_000)
    await rotate(world, world.a)
    world.pass_time(91_000)
    await world.turn(world.a)
    assert cabinet.held == {0, 1}, "a reply to the open message would be sealed to the old record"
    (packet,) = [packet for packet in world.sent(world.a) if packet.sequence == 1]
    expect(world.time_out(world.a, packet))
    world.a.relayed = world.a.end.ledger.height
    while await world.a.host.turn():
        pass
    await world.a.host.turn()
    assert world.a.sent().state == "timed_out"
    assert cabinet.held == {1}
    assert world.a.reported("keys_erased") == [{"before": 1}]


@in_world()
async def test_a_rotation_without_the_next_keys_at_hand_is_refused_and_holds_nothing_up(world: HostWorld) -> None:
    cabinet = await with_cabinet(world, world.b)
    cabinet.away = True
    await ask(world, 1)
    world.relay()
    asked = asyncio.ensure_future(world.b.host.rotate())
    await asyncio.sleep(0)
    await world.b.host.turn()
    with pytest.raises(DeviceAbsent):
        await asyncio.wait_for(asked, 5)
    await world.settle()
    assert all_arrived(world, 1)
    assert (world.b.host.status()["waiting"], world.b.host.status()["record"]) == (0, 0)
    cabinet.away = False
    assert (await rotate(world, world.b))["index"] == 1


@in_world()
async def test_nothing_is_posted_under_the_keys_of_before_once_a_rotation_is(world: HostWorld) -> None:
    """The ledger would refuse the old account, and the host would take that for a message nobody can answer."""
    cabinet = await with_cabinet(world, world.b)
    cabinet.gone_at = 1
    asked = asyncio.ensure_future(world.b.host.rotate())
    await asyncio.sleep(0)
    with pytest.raises(DeviceAbsent):
        await world.b.host.turn()
    await ask(world, 1)
    world.relay()
    with pytest.raises(DeviceAbsent):
        await world.b.host.turn()
    assert not asked.done()
    cabinet.gone_at = -1
    await world.settle()
    assert (await asked)["index"] == 1
    assert all_arrived(world, 1)


@in_world()
async def test_P18_what_is_due_is_erased_although_nothing_can_be_posted(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    cabinet = await with_cabinet(world, world.a)
    await rotate(world, world.a)
    world.pass_time(91_000)

    async def away(*_: object) -> None:
        raise ChainUnavailable("the node takes no transaction")

    monkeypatch.setattr(AccountSubmitter, "submit", away)
    asked = asyncio.ensure_future(world.a.host.rotate())
    await asyncio.sleep(0)
    with pytest.raises(ChainUnavailable):
        await world.a.host.turn()
    assert (cabinet.held, world.a.host.status()["waiting"]) == ({1}, 1), "the rotation is tried again"
    asked.cancel()


@in_world()
async def test_P18_what_is_due_is_erased_although_the_device_of_old_keys_is_away(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    cabinet = await with_cabinet(world, world.a)
    await rotate(world, world.a)
    world.pass_time(91_000)
    cabinet.away = True
    forgot: list[Steps] = []

    async def forget(steps: Steps, _: object) -> None:
        forgot.append(steps)

    monkeypatch.setattr(Steps, "forget", forget)
    with pytest.raises(DeviceAbsent):
        await world.a.host.turn()
    assert len(forgot) == 1
    assert cabinet.held == {0, 1}


@pytest.mark.parametrize("after", [False, True])
def test_a_rotation_cut_off_at_any_call_is_finished_by_the_next_start(after: bool) -> None:
    async def one(at: int) -> bool:
        async with HostWorld() as world:
            cabinet = await with_cabinet(world, world.b)
            node = Cut(world.b.rpc, at, after=after)
            world.b.host.reader.chain.rpc = node
            task = asyncio.ensure_future(world.b.host.rotate())
            await asyncio.sleep(0)
            try:
                while await world.b.host.turn():
                    pass
            except asyncio.CancelledError:
                task.cancel()
            on_ledger = world.b.endpoint.generation
            world.b.host = world.make(world.b, cabinet=cabinet, seed=b"again")
            await world.b.host.start()
            assert world.b.host.status()["record"] <= on_ledger
            await rotate(world, world.b)
            await ask(world, 1)
            await world.settle()
            assert all_arrived(world, 1), at
            return node.left > 0

    at = 1
    while not asyncio.run(one(at)):
        at += 1
    assert at > 5


class Cut:
    """A node whose caller is killed at its nth call."""

    def __init__(self, honest: Any, at: int, *, after: bool) -> None:
        self._honest = honest
        self.left = at
        self._after = after

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.left -= 1
        if self.left == 0 and not self._after:
            raise asyncio.CancelledError
        answer: dict[str, Any] = await self._honest.call(method, **params)
        if self.left == 0:
            raise asyncio.CancelledError
        return answer

    async def close(self) -> None: ...


@in_world()
async def test_a_revoked_peer_is_sent_nothing_and_its_messages_are_refused(world: HostWorld) -> None:
    await ask(world, 1)
    await world.settle()
    await world.send(world.b, probe.write(b"late", b"v"))
    world.relay()
    revoke(world, world.b)
    world.clock.advance(11_000_000_000)  # type: ignore[arg-type]
    await world.turn(world.a)
    assert (world.a.seen().state, world.a.seen().code) == ("refused", "endpoint.revoked")
    assert world.a.get(b"late") is None
    with pytest.raises(EndpointRevoked):
        await ask(world, 2)
    assert len(world.a.store.all_sent()) == 1


@in_world()
async def test_a_reply_given_before_the_revocation_counts(world: HostWorld) -> None:
    await ask(world, 1)
    world.relay()
    await world.turn(world.b)
    revoke(world, world.b)
    world.clock.advance(11_000_000_000)  # type: ignore[arg-type]
    await world.settle()
    assert all_arrived(world, 1)


@in_world()
async def test_a_revoked_endpoint_does_not_start(world: HostWorld) -> None:
    revoke(world, world.b)
    with pytest.raises(EndpointRevoked):
        await world.make(world.b).start()


@in_world()
async def test_an_endpoint_that_is_registered_nowhere_is_sent_nothing_and_does_not_start(world: HostWorld) -> None:
    stranger = LabEndpoint(b"stranger", (account("stranger").id,))
    known, world.b.endpoint = world.b.endpoint, stranger
    with pytest.raises(UnknownEndpoint):
        await world.make(world.b).start()
    world.a.host = world.make(world.a)
    await world.a.host.start()
    with pytest.raises(UnknownEndpoint):
        await world.send(world.a, b"x")
    assert known.id != stranger.id


@in_world()
async def test_an_endpoint_is_registered_once(world: HostWorld) -> None:
    result = world.b.end.ledger.transact(world.lab.host_b, world.b.endpoint.register())
    assert "endpoint.exists" in result.log


@in_world()
async def test_a_host_with_fixed_keys_rotates_none(world: HostWorld) -> None:
    host: Host = world.b.host
    with pytest.raises(NoCabinet):
        await world._until(world.b, host.rotate())
    assert issubclass(NoCabinet, LockgateError)
