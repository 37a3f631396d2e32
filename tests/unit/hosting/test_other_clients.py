"""Hosts follow a ledger by its headers, whatever kind of client the lane's ledger follows it by (I9, P21)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lockgate.hosting.forks import ClientDiffers
from lockgate.hosting.work import PATIENCE
from lockgate.ibc import host as ibc_host
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Packet
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import (
    TRUSTING,
    End,
    create_client,
    expect,
    open_lane_message,
    receive_message,
    register,
    update,
    update_message,
)
from lockgate.lightclients.attested.messages import ATTESTATION, encode_attestation
from lockgate.lightclients.composite import ClientState, ConsensusState, encode_agreement, parse, states
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import Sequence
from tests.support import probe
from tests.support.attested_lab import attestation, attested_state, client_message, create, create_attested
from tests.support.hosts import HostWorld
from tests.support.values import replace
from tests.unit.hosting.test_forks import twin_of


class Attested:
    """B follows A by five attesters; A follows B by its headers."""

    def __init__(self) -> None:
        self.spoilt: dict[str, Any] = {}

    def clients(self, a: End, b: End) -> None:
        self.state = attested_state(a.ledger)
        create_attested(b, a.ledger, self.state)
        self.five = b.client

    def join(self, a: End, b: End) -> None:
        create_client(a, b.ledger)
        self.clients(a, b)
        register(a, b.client)
        register(b, a.client)
        update(a, b.ledger)
        expect(a.ledger.transact(a.account, open_lane_message(a, b)))
        expect(b.ledger.transact(b.account, *self.updates(b, a.ledger)))
        b.trusted = a.ledger.height
        expect(b.ledger.transact(b.account, open_lane_message(b, a)))

    def updates(self, on: End, of: LabLedger) -> list[Message]:
        value = encode_attestation(attestation(of, self.state, of.height, **self.spoilt))
        return [client_message(End(on.ledger, on.account, self.five), ATTESTATION, value)]


class Composed(Attested):
    """B follows A by a rule: its headers and five attesters."""

    def clients(self, a: End, b: End) -> None:
        super().clients(a, b)
        self.header = End(b.ledger, b.account)
        create_client(self.header, a.ledger)
        of = a.ledger
        seen = of.chain.signed_header(of.height).header
        expect(self._attest(b, of))
        state = ClientState(
            domain=of.genesis.domain_id,
            chain_id=of.genesis.chain_id,
            rule=parse(f"{self.header.client} AND {self.five}(4/5)"),
            trusting_period=TRUSTING,
            latest_height=of.at(of.height),
        )
        first = states.encode_consensus_state(ConsensusState(seen.time, seen.app_hash))
        expect(create(b, states.encode_client_state(state), first))
        b.trusted = of.height

    def _attest(self, on: End, of: LabLedger) -> Any:
        return on.ledger.transact(on.account, *super().updates(on, of))

    def updates(self, on: End, of: LabLedger) -> list[Message]:
        header = update_message(self.header, of, of.height)
        self.header.trusted = of.height
        agreement = client_message(on, states.AGREEMENT, encode_agreement(of.at(of.height)))
        return [header, *super().updates(on, of), agreement]


def run(kind: Attested, test: Callable[[HostWorld], Coroutine[Any, Any, None]]) -> None:
    async def within() -> None:
        world = HostWorld(join=kind.join)
        world.b.updates = kind.updates
        async with world:
            await test(world)

    asyncio.run(within())


@pytest.mark.parametrize("kind", [Attested, Composed])
def test_a_message_and_its_reply_cross_over_another_kind_of_client(kind: type[Attested]) -> None:
    async def test(world: HostWorld) -> None:
        script = probe.write(b"k", b"v") + probe.output(probe.write(b"told", b"yes"))
        await world.command(world.a, probe.send("b", script))
        await world.settle()
        assert (world.b.get(b"k"), world.a.get(b"told")) == (b"v", b"yes")
        assert (world.a.sent().state, world.b.seen().state) == ("acknowledged", "answered")
        await world.command(world.b, probe.send("a", probe.write(b"back", b"too") + probe.output(b"")))
        await world.settle()
        assert world.a.get(b"back") == b"too"

    run(kind(), test)


def forged(world: HostWorld) -> tuple[LabLedger, Packet]:
    """What A's validators never signed for anybody to see: A with a packet that its host never sent."""
    twin = twin_of(world.a, world.a.end.ledger.height)
    lab = world.lab
    sent = world.sent(world.a)[0]
    packet = replace(sent, sequence=Sequence(sent.sequence + 1))
    key = ibc_host.packet_commitment(lab.a.client, packet.sequence)
    twin.chain.state.apply({("ibc", key): bytes(commit_packet(packet))})
    for _ in range(2):
        twin.block()
    return twin, packet


@pytest.mark.parametrize("honest", [True, False])
def test_b5_attesters_who_all_lie_move_a_ledger_and_no_host(honest: bool) -> None:
    """The ledger takes the packet, as its client lets it; the host asks the sender's own headers, and says so."""
    kind = Attested()

    async def test(world: HostWorld) -> None:
        await world.command(world.a, probe.send("b", probe.write(b"k", b"v") + probe.output(b"")))
        if honest:
            await world.settle()
            assert world.b.get(b"k") == b"v"
            return
        twin, packet = forged(world)
        while world.a.end.ledger.height < twin.height:
            world.a.end.ledger.block()
        on = world.b.end
        expect(on.ledger.transact(on.account, *kind.updates(on, twin)))
        on.trusted = twin.height
        received = expect(
            on.ledger.transact(on.account, receive_message(on, End(twin, on.account, world.a.end.client), packet))
        )
        assert "recv_packet" in [event.type for event in received.events]
        for _ in range(PATIENCE + 2):
            await world.turn(world.b)
        assert world.b.get(b"k") is None, "no guest ran"
        (said,) = world.b.reported("client_differs")
        assert said["client"] == on.client
        assert ClientDiffers.code == "host.client_differs"

    run(kind, test)
