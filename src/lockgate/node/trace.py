"""Reading a packet's whole life off the public data of both ledgers: with hosts and relayers down, and long after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from lockgate.crypto.suites import seal_suite
from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.outside import inspect_envelope
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Packet
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.rfc3339 import format_time
from lockgate.machine import keys
from lockgate.machine.pruning import watermark_key
from lockgate.machine.records import Lane, Reason
from lockgate.node.config import load as load_config
from lockgate.node.explain import explained
from lockgate.node.ledgers import Ledger, Ledgers
from lockgate.node.packets import (
    AmbiguousPacket,
    ByPlace,
    ByRef,
    ByTrace,
    NoSuchPacket,
    PacketName,
    trace_id,
)
from lockgate.node.provision import described_one
from lockgate.node.signed import signed_by
from lockgate.node.story import Facts, LedgerFacts, Refusal, Sealing, State, Step, Story, What, standing
from lockgate.primitives.errors import Unavailable
from lockgate.primitives.ids import ClientId
from lockgate.primitives.ports import Clock
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos
from lockgate.relay.rpc import b64
from lockgate.relay.search import Found, search
from lockgate.storage.host import HostStore

POLL_S: Final = 0.2  # while following one packet
PRUNE_STEPS: Final = "lane_pruned"


@dataclass(frozen=True, slots=True)
class Life:
    """Everything the ledgers show of one packet; `there` is None while the destination does not answer."""

    source: Ledger
    there: Ledger | None
    lane: Lane
    packet: Packet
    sent: Found
    received: Found | None = None
    held: Found | None = None
    answer: Found | None = None
    refused: Found | None = None
    ended: Found | None = None
    how: str = ""  # as the sender's ledger says it to the sending endpoint
    pruned: Found | None = None

    @property
    def state(self) -> State | None:
        """How it ended; None while it has not."""
        if self.ended is None:
            return None
        if self.ended.event.type == "timeout_packet":
            return State.TIMED_OUT
        return State.REFUSED if self.refusal or self.how == State.REFUSED else State.ACKNOWLEDGED

    @property
    def refusal(self) -> bool:
        shown = self.acknowledgement
        return bool(shown) and not wire.read_acknowledgement(shown).success

    @property
    def acknowledgement(self) -> bytes:
        """Protobuf of the acknowledgement the destination wrote; empty while there is none."""
        return b"" if self.answer is None else bytes.fromhex(self.answer.event.get("encoded_acknowledgement_hex") or "")


class Tracer:
    """Finds packets and tells their stories."""

    def __init__(self, ledgers: Ledgers, clock: Clock) -> None:
        self.ledgers = ledgers
        self._clock = clock
        self._headers: dict[tuple[str, int], tuple[str, str]] = {}

    async def story(self, name: PacketName) -> Story:
        """The whole life of a packet so far. Raises NoSuchPacket, AmbiguousPacket, LedgerDown."""
        return await self.tell(await self.life(name))

    async def follow(self, name: PacketName) -> AsyncIterator[Story]:
        """The story each time something happened to the packet, until it has ended."""
        life = await self.life(name)
        told: tuple[object, ...] = ()
        while True:
            story = await self.tell(life)
            now = (len(story.steps), story.standing.state, story.standing.suspended)
            if now != told:
                told = now
                yield story
            if story.standing.ended:
                return
            await asyncio.sleep(POLL_S)
            life = await self._read(life.source, life.lane, life.sent)

    async def life(self, name: PacketName) -> Life:
        """Find a packet and read what happened to it."""
        source, client, sequence = await self._place(name)
        lane = source.lane(client)
        if lane is None:
            raise NoSuchPacket("no lane over this client", ledger=source.name, client=client)
        found = await search(source.chain, "send_packet", _sequence(sequence), packet_source_client=client)
        if not found:
            raise NoSuchPacket("the node shows no such packet", ledger=source.name, client=client, sequence=sequence)
        return await self._read(source, lane, found[0])

    async def _read(self, source: Ledger, lane: Lane, sent: Found) -> Life:
        packet = wire.read_packet(bytes.fromhex(sent.event.get("encoded_packet_hex") or ""))
        ours = {"packet_source_client": str(lane.local_client)}
        theirs = {"packet_dest_client": str(lane.remote_client)}
        narrow, own = _sequence(packet.sequence), ("sequence", str(packet.sequence))
        there = self.ledgers.of_domain(lane.remote_domain)
        ended, told = await asyncio.gather(
            self._first(source, ("acknowledge_packet", "timeout_packet"), narrow, ours),
            self._first(source, ("message_ended",), own, {"client": str(lane.local_client)}),
        )
        alone = Life(
            source, None, lane, packet, sent, ended=ended, how="" if told is None else told.event.get("how") or ""
        )
        if there is None:
            return alone
        by_client = {"client": str(lane.remote_client)}
        try:
            received, held, answer, refused, pruned = await asyncio.gather(
                self._first(there, ("recv_packet",), narrow, theirs),
                self._first(there, ("inbox",), own, by_client),
                self._first(there, ("write_acknowledgement",), narrow, theirs),
                self._first(there, ("packet_refused",), own, by_client),
                self._pruning(there, lane.remote_client, packet.sequence),
            )
        except Unavailable:
            return alone
        return replace(alone, there=there, received=received, held=held, answer=answer, refused=refused, pruned=pruned)

    async def tell(self, life: Life) -> Story:
        packet, lane, source = life.packet, life.lane, life.source
        payload = packet.payloads[0]
        destination = self.ledgers.name_of(lane.remote_domain)
        return Story(
            packet=f"{source.name}/{packet.source_client}/{packet.sequence}",
            trace_id=trace_id(source.domain, packet.source_client, packet.sequence).hex(),
            source=source.name,
            destination=destination,
            source_client=packet.source_client,
            destination_client=packet.destination_client,
            sequence=packet.sequence,
            sender=payload.source_port,
            receiver=payload.destination_port,
            size=len(payload.value),
            sealing=_sealing(payload.value),
            timeout=format_time(UnixNanos(packet.timeout * NANOS_PER_SECOND)),
            commitment=commit_packet(packet).hex(),
            steps=tuple([await self._step(*item) for item in _happened(life)]),
            standing=standing(await self._facts(life, destination)),
            refusal=await self._refusal(life),
        )

    async def _facts(self, life: Life, destination: str) -> Facts:
        deadline = "0" if life.held is None else life.held.event.get("deadline") or "0"
        try:
            there = None if life.there is None else await self._ledger(life.there, life.lane.remote_client)
        except Unavailable:
            there = None
        return Facts(
            now=self._clock.now(),
            source=await self._ledger(life.source, life.lane.local_client),
            destination=there,
            destination_name=destination,
            timeout=life.packet.timeout,
            receiver=life.packet.payloads[0].destination_port,
            received=life.received is not None,
            deadline=UnixNanos(int(deadline)),
            answered=life.answer is not None,
            ended=life.state,
        )

    @staticmethod
    async def _ledger(ledger: Ledger, client: ClientId) -> LedgerFacts:
        tip, row = await asyncio.gather(ledger.chain.tip(), described_one(ledger.chain, client))
        return LedgerFacts(ledger.name, tip.time, client, row[2])

    async def _refusal(self, life: Life) -> Refusal | None:
        if life.refused is None or life.there is None:
            return None
        code = life.refused.event.get("code") or ""
        height = life.refused.height.height
        key = keys.reason(life.packet.destination_client, life.packet.sequence)
        response = await life.there.chain.query(f"store/{keys.REASON}/key", key, height=height)
        record = b64(response.get("value"))
        meaning, next_step = explained(code)
        return Refusal(code, meaning, next_step, len(Reason.from_bytes(record).detail) if record else 0)

    async def _step(self, what: What, ledger: Ledger, found: Found, note: str) -> Step:
        header, signed = await self._carrier(ledger, found.height.height + 1)
        return Step(what, ledger.name, found.height.height, format_time(found.time), header, signed, note)

    async def _carrier(self, ledger: Ledger, height: int) -> tuple[str, str]:
        """Hash and signers of the header that carries a state; empty until it is there."""
        known = self._headers.get((ledger.name, height))
        if known is not None:
            return known
        if (await ledger.chain.tip()).height.height < height:
            return "", ""
        signed, validators = await asyncio.gather(ledger.chain.signed_header(height), ledger.chain.validators(height))
        told = header_hash(signed.header).hex(), signed_by(signed, validators).words
        self._headers[(ledger.name, height)] = told
        return told

    @staticmethod
    async def _first(
        ledger: Ledger, kinds: Iterable[str], narrow: tuple[str, str], match: dict[str, str]
    ) -> Found | None:
        for kind in kinds:
            found = await search(ledger.chain, kind, narrow, **match)
            if found:
                return found[0]
        return None

    @staticmethod
    async def _pruning(ledger: Ledger, client: ClientId, sequence: int) -> Found | None:
        response = await ledger.chain.query(f"store/{keys.LANE}/key", watermark_key(client))
        if int.from_bytes(b64(response.get("value")), "big") < sequence:
            return None
        runs = await search(ledger.chain, PRUNE_STEPS, ("client", client))
        return next((run for run in runs if int(run.event.get("last") or 0) >= sequence), None)

    # Finding it.

    async def _place(self, name: PacketName) -> tuple[Ledger, ClientId, int]:
        match name:
            case ByRef(ref):
                name = self._of_host(ref)
            case ByTrace(wanted):
                return await self._by_trace(wanted)
        if name.ledger:
            candidates = [self.ledgers.named(name.ledger)]
        else:
            candidates = list(self.ledgers.found.values())
        sent = [ledger for ledger in candidates if name.sequence < await self._following(ledger, name.client)]
        if len(sent) > 1:
            raise AmbiguousPacket("say which ledger sent it", ledgers=", ".join(ledger.name for ledger in sent))
        if not sent:
            down = ", ".join(self.ledgers.down.values())
            raise NoSuchPacket("not sent", client=name.client, sequence=name.sequence, unreachable=down or "none")
        return sent[0], name.client, name.sequence

    async def _by_trace(self, wanted: bytes) -> tuple[Ledger, ClientId, int]:
        """Sequences count up from 1, so the ids of all packets ever sent can be made again and compared."""
        for ledger in self.ledgers.found.values():
            for lane in ledger.lanes:
                for sequence in range(1, await self._following(ledger, lane.local_client)):
                    if trace_id(ledger.domain, lane.local_client, sequence) == wanted:
                        return ledger, lane.local_client, sequence
        raise NoSuchPacket("no packet has this trace id", trace_id=wanted)

    def _of_host(self, ref: bytes) -> ByPlace:
        folder = self.ledgers.folder
        for name in folder.names("hosts") if folder is not None else ():
            assert folder is not None
            home = folder.host(name)
            if not (home / "host.sqlite").exists():
                continue
            store = HostStore.reading(home / "host.sqlite")
            try:
                row = store.sent(ref)
            finally:
                store.close()
            if row is not None and row.client is not None and row.sequence is not None:
                return ByPlace(load_config(home / "endpoint.json").local.name, ClientId(row.client), row.sequence)
        raise NoSuchPacket("no host here has sent a message of this ref", ref=ref)

    @staticmethod
    async def _following(ledger: Ledger, client: str) -> int:
        """The sequence the next packet over a client will have; 0 when none was ever sent."""
        response = await ledger.chain.query(f"store/{host.STORE}/key", host.next_sequence_send(client))
        return int.from_bytes(b64(response.get("value")), "big")


@dataclass(slots=True)
class _Steps:
    items: list[tuple[What, Ledger, Found, str]] = field(default_factory=list)

    def add(self, what: What, ledger: Ledger | None, found: Found | None, note: str = "") -> None:
        if ledger is not None and found is not None:
            self.items.append((what, ledger, found, note))


def _sealing(value: bytes) -> Sealing | None:
    try:
        outside = inspect_envelope(value)
    except BadEnvelope:
        return None
    choice, suite = outside.choice, seal_suite(outside.suite).name
    if choice.session is None:
        return Sealing(suite, choice.fence, choice.counter)
    return Sealing(suite, choice.fence, choice.counter, choice.session.hex(), choice.epoch, choice.place or 0)


def _happened(life: Life) -> list[tuple[What, Ledger, Found, str]]:
    steps = _Steps()
    steps.add(What.SENT, life.source, life.sent)
    steps.add(What.RECEIVED, life.there, life.received)
    if life.held is not None:
        by = format_time(UnixNanos(int(life.held.event.get("deadline") or 0)))
        steps.add(What.HELD, life.there, life.held, f"until {by}")
    if life.refusal:
        code = (life.refused.event.get("code") if life.refused is not None else None) or "no reason recorded"
        steps.add(What.REFUSED, life.there, life.answer, code)
    else:
        steps.add(What.ANSWERED, life.there, life.answer)
    timed_out = life.state is State.TIMED_OUT
    steps.add(What.TIMED_OUT if timed_out else What.ACKNOWLEDGED, life.source, life.ended)
    if life.received is not None:  # a run that is pruned may hold packets that never came
        steps.add(What.PRUNED, life.there, life.pruned)
    return steps.items


def _sequence(sequence: int) -> tuple[str, str]:
    return "packet_sequence", str(sequence)


__all__ = ("Life", "Tracer")
