"""Two lab ledgers as the tool reads them, and packets brought to each point of their lives."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lockgate.ibc import host
from lockgate.ibc.packet import ERROR_ACKNOWLEDGEMENT, Packet
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import expect, timeout_message, update
from lockgate.lab.rpc import LabRpc, service_of
from lockgate.machine.records import Lane
from lockgate.node.folder import Folder
from lockgate.node.ledgers import Ledger, Ledgers
from lockgate.node.packets import PacketName, parse
from lockgate.node.prove import build
from lockgate.node.story import Story
from lockgate.node.trace import Tracer
from lockgate.primitives.time import seconds
from lockgate.relay.chains.cometbft import CometBftChain
from tests.support.lab import World


def ledger(name: str, lab: LabLedger) -> Ledger:
    view = lab.chain.view()
    lanes = tuple(Lane.from_bytes(value) for _, value in view.scan("lane", b"lane/", b"lane0"))
    chain = CometBftChain(LabRpc.of(service_of(lab)), lab.genesis.chain_id)
    return Ledger(name, chain, lab.genesis, lanes)


def ledgers(world: World, *, down: str = "", folder: Path | None = None) -> Ledgers:
    """Both ledgers of a world as alpha and beta; the one called `down` does not answer."""
    both = {"alpha": world.a.ledger, "beta": world.b.ledger}
    opened = Ledgers(None if folder is None else Folder(folder))
    opened.found = {name: ledger(name, lab) for name, lab in both.items() if name != down}
    opened.down = {lab.genesis.domain_id: name for name, lab in both.items() if name == down}
    return opened


def story(world: World, name: str | PacketName, *, down: str = "") -> Story:
    wanted = parse(name) if isinstance(name, str) else name
    return asyncio.run(Tracer(ledgers(world, down=down), world.clock).story(wanted))


def proof(world: World, name: str, start: int = 0) -> bytes:
    async def work() -> bytes:
        return await build(await Tracer(ledgers(world), world.clock).life(parse(name)), None, start)

    return asyncio.run(work())


def name_of(packet: Packet) -> str:
    return f"alpha/{packet.source_client}/{packet.sequence}"


def pass_time(world: World, duration_s: int) -> None:
    """Let time pass on both ledgers, which go on making blocks."""
    world.clock.advance(seconds(duration_s))
    for lab in (world.a.ledger, world.b.ledger):
        lab.block()
        lab.block()


# A packet, brought so far.


def sent(world: World) -> Packet:
    return world.send()


def held(world: World, body: bytes = b"sealed") -> Packet:
    packet = world.send(body)
    expect(world.deliver(packet))
    return packet


def answered(world: World) -> Packet:
    packet = held(world)
    expect(world.answer(packet))
    return packet


def acknowledged(world: World, body: bytes = b"sealed") -> Packet:
    packet = held(world, body)
    result = expect(world.answer(packet))
    expect(world.acknowledge(packet, world.acknowledgement(result, packet)))
    return packet


def refused(world: World) -> Packet:
    """Refused by the guest, with a sealed word, and brought back."""
    packet = held(world)
    refusal = world.receiver.answer(world.b.client, packet.sequence, refusal=("guest.refused", b"sealed words"))
    expect(world.b.ledger.transact(world.host_b, refusal))
    expect(world.acknowledge(packet, ERROR_ACKNOWLEDGEMENT))
    return packet


def overdue(world: World) -> Packet:
    """Held past its deadline: the ledger itself has refused it."""
    packet = held(world)
    pass_time(world, 61)
    return packet


def expired(world: World) -> Packet:
    """Past its timeout, and nobody has told the sender's ledger yet."""
    packet = world.send(timeout_s=30)
    pass_time(world, 31)
    return packet


def timed_out(world: World) -> Packet:
    packet = expired(world)
    updates = world._update(world.a, world.b)
    expect(world.a.ledger.transact(world.a.account, *updates, timeout_message(world.a, world.b, packet)))
    return packet


def pruned(world: World) -> Packet:
    """A packet that timed out, and a later one that was answered and forgotten together with it (I15)."""
    late = timed_out(world)
    after = acknowledged(world)
    update(world.b, world.a.ledger)
    key = host.packet_commitment(world.a.client, after.sequence)
    proof_ = world.a.ledger.prove("ibc", key, world.b.trusted).merkle_proof
    content = {"client": world.b.client, "first": 1, "last": after.sequence, "proof": proof_}
    message = ("lane.prune", {**content, "height": str(world.a.ledger.at(world.b.trusted))})
    expect(world.b.ledger.transact(world.b.account, message))
    return late
