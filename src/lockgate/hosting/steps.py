"""One step of a host: run the guest, seal what follows, stage it (P1, P8, P17).

An item is first decided, reading and sealing only; then its steps are staged in one go. Nothing that
waits on a network stands between a changed state and its row in the store.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec.registry import SchemaName
from lockgate.crypto.keys import SecretBytes
from lockgate.envelope.binding import Role, SenderChoice
from lockgate.envelope.content import LedgerView
from lockgate.host import memory
from lockgate.host import ports as guest_ports
from lockgate.host.memory import Deferred
from lockgate.host.refusal import SCHEMA as REFUSAL_SCHEMA
from lockgate.host.refusal import RefusalWords
from lockgate.host.sealing import Place, outgoing, schema_name, schema_ref, seal, seal_within
from lockgate.hosting.bulk import Bulk
from lockgate.hosting.config import PeerRef
from lockgate.hosting.packets import commitment_of, content_of
from lockgate.hosting.peers import Peers, UnknownPeer
from lockgate.hosting.reader import Distrusted, ProvenReader
from lockgate.hosting.reserved import HANDSHAKE, RESERVED, ReservedSchema
from lockgate.hosting.sealed import Sealed
from lockgate.hosting.sessions import Keys, ToPeer
from lockgate.hosting.suites import NOT_ALLOWED, Suites
from lockgate.hosting.views import Views
from lockgate.hosting.work import Decision, Item, Made, Parts, Plan, Sending, Staged, Writes
from lockgate.ibc.packet import Payload
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.machine import endpoints, keys
from lockgate.machine.errors import DeadlinePassed, EndpointRevoked, GuestRefused
from lockgate.machine.identity import KeyRecord
from lockgate.primitives.time import UnixNanos, UnixSeconds, floor_seconds
from lockgate.session.errors import KeyGone, SessionUnknown
from lockgate.storage.host import MESSAGE, Note, Seen, Sent, Step

DEFAULT_SCHEMA: Final = "bytes@1.0"
FIRST: Final = 0  # this host's envelope stands first in its packet; others may put theirs anywhere (P2)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A message that may be sealed: to a proven record, under suites that count, `to` where it goes in a session."""

    send: guest_ports.Send
    purpose: str
    peer: PeerRef
    record: KeyRecord
    schema: SchemaName
    to: ToPeer | None


class Steps:
    """Holds the fence, the message counter, and the root the next step starts from."""

    def __init__(self, parts: Parts, peers: Peers, reader: ProvenReader) -> None:
        self.parts = parts
        self.peers = peers
        self.reader = reader
        self.views = Views(parts.report)
        self.sealed = Sealed(parts.sessions)
        self.suites = Suites(parts.config.local.name, peers, reader, parts.clock)
        self.fence = 0
        self.counter = 0
        self.root = endpoints.EMPTY_ROOT
        self._start_secret = SecretBytes(parts.rng.bytes(32))
        self._guest_bytes: int | None = None

    def begin(self, fence: int) -> None:
        """This process holds a fence: its messages count from 0, and their keys come of starts of its own (P8)."""
        self.fence, self.counter = fence, 0
        self.parts.sessions.begin(fence)

    async def forget(self, bulk: Bulk | None = None) -> None:
        """Erase keys of what has ended, and bodies that were kept long enough, by the ledger's time (P18).

        That time is proven anew when something may be due.
        """
        sessions, store, now = self.parts.sessions, self.parts.store, self.parts.clock.now()
        if sessions.overdue(now) or store.overdue(now):
            await self.reader.latest()
        sessions.sweep(self.time)
        for commitment in store.age(self.time, lambda: {waiting.commitment for waiting in self.deferred().values()}):
            if bulk is not None:
                bulk.drop(commitment)

    @property
    def time(self) -> UnixNanos:
        """Proven time of the own ledger."""
        return self.reader.newest.header.time

    # Running the guest.

    def call(self, invocation: guest_ports.Invocation, call_id: bytes) -> guest_ports.GuestOutcome:
        """Run the guest on the staged state. What it writes counts only once it is staged itself."""
        parts = self.parts
        if self._guest_bytes is None:
            self._guest_bytes = parts.tree.state_bytes()
        env = guest_ports.GuestEnv(
            call_id=call_id,
            ledger_time=self.time,
            public_seed=guest_ports.PublicSeed(
                hashlib.sha256(header_hash(self.reader.newest.header) + call_id).digest()
            ),
            secret_seed=guest_ports.SecretSeed(
                hmac.digest(self._start_secret.reveal(), parts.guest.identity + call_id, "sha256")
            ),
            peers=self.peers.aliases,
            deferred=frozenset(self.deferred()),
            state_bytes=self._guest_bytes,
            longest_timeout_s=parts.sessions.longest_timeout_s,
        )
        outcome = parts.guest.call(invocation, parts.tree, env)
        for line in outcome.logs:
            parts.report("guest_log", {"level": line.level, "text": line.text})
        return outcome

    def deferred(self) -> dict[guest_ports.MessageRef, Deferred]:
        """Messages the guest still owes an answer, and may still give one: before their deadline."""
        found = ((key, Deferred.from_bytes(data)) for key, data in self.parts.tree.host_scan(memory.DEFERRED))
        return {
            guest_ports.MessageRef(key[len(memory.DEFERRED) :]): waiting
            for key, waiting in found
            if waiting.deadline > self.time
        }

    async def follow(
        self, outcome: guest_ports.GuestOutcome, host: Writes, records: Sequence[Note], *, needed: bool
    ) -> tuple[Plan, ...]:
        """Steps of an outcome without an answer of its own: one Advance, then the late answers.

        With nothing to write, send or answer there is no step, unless `needed`.
        """
        late = await self.late(outcome)
        sends = await self.sendings(outcome)
        if not (needed or outcome.writes or sends or late):
            return ()
        return (Plan(guest=outcome.writes, host=host, sends=sends, records=tuple(records)), *late)

    async def late(self, outcome: guest_ports.GuestOutcome) -> tuple[Plan, ...]:
        """One Answer for each deferred message that the guest has now answered, if it is still open."""
        plans = []
        waiting = self.deferred()
        for answer in outcome.answers:
            kept = waiting[answer.id]
            data = await self.reader.value(
                keys.INBOX, keys.entry(kept.client, kept.sequence), self.reader.newest.height
            )
            if data is None:
                continue  # the deadline was first; the next step clears it
            try:
                peer = self.peers.named(kept.sender.hex())
                record = await self.peers.record(peer)
                session = None if kept.within is None else self.parts.sessions.find(peer, kept.within.session)
                await self.suites.check(peer, (self.parts.keys.record, record), session)
            except (UnknownPeer, EndpointRevoked, Distrusted, SessionUnknown, *NOT_ALLOWED) as error:
                # There is nobody to seal it to, or nothing to seal it with; the deadline answers.
                self.parts.report("late_answer_dropped", {"code": error.code, "sequence": kept.sequence})
                continue
            try:
                plan = await self.answer(peer, record, kept, answer.result, ((memory.DEFERRED + answer.id, None),))
            except (SessionUnknown, KeyGone) as error:
                # Its session went with the state of this host that held it; the deadline answers.
                self.parts.report("late_answer_dropped", {"code": error.code, "sequence": kept.sequence})
                continue
            plans.append(plan)
        return tuple(plans)

    async def answer(
        self,
        peer: PeerRef,
        record: KeyRecord,
        to: Deferred,
        result: guest_ports.Reply | guest_ports.Refusal,
        host: Sequence[tuple[bytes, bytes | None]],
        outcome: guest_ports.GuestOutcome | None = None,
        body: bytes | None = None,
    ) -> Plan:
        """The Answer with the guest's reply or refusal to one message; `outcome` is the call that gave it."""
        place: dict[str, Any] = {"client": to.client, "sequence": to.sequence}
        row: dict[str, Any] = self.row(peer, to)
        if body is None:
            seen = self.parts.store.seen(to.client, to.sequence)
            body = b"" if seen is None else seen.body
        if isinstance(result, guest_ports.Reply):
            place["ack"] = self.seal_reply(peer, record, to, Role.REPLY, to.schema, result.body)
            return Plan(
                name="endpoint.answer",
                content=place,
                guest=() if outcome is None else outcome.writes,
                host=host,
                shared=to.count > 1,
                sends=() if outcome is None else await self.sendings(outcome),
                records=(Seen(state="answered", body=body, reply=result.body, **row),),
            )
        words = RefusalWords(result.code, result.detail).encode()
        sealed = self.seal_reply(peer, record, to, Role.REFUSAL, REFUSAL_SCHEMA, words)
        place["refusal"] = [GuestRefused.code, sealed]
        refused = Seen(state="refused", body=body, code=result.code, detail=result.detail, **row)
        return Plan(name="endpoint.answer", content=place, host=host, records=(refused,))

    def row(self, peer: PeerRef, to: Deferred) -> dict[str, Any]:
        """What an inbox row says of every message: whose, and which packet (P4)."""
        return {
            "domain": self.peers.lane(peer).remote_domain,
            "client": to.client,
            "sequence": to.sequence,
            "commitment": to.commitment,
            "peer": self.peers.alias(to.sender),
        }

    # Sealing.

    def seal_reply(
        self, peer: PeerRef, record: KeyRecord, to: Deferred, role: Role, schema: SchemaName, body: bytes
    ) -> bytes:
        """Seal a reply or the detail of a refusal. Raises SessionUnknown, KeyGone where the session is gone."""
        place = Place(role, to.timeout, to.commitment, to.index, to.count)
        if to.within is None:
            return self._seal(peer, record, place, self._choice(None), schema, body, None)
        keys = self.parts.sessions.of_reply(peer, to.within)
        session = self.parts.sessions.find(peer, to.within.session)
        # Between the records that met in the handshake, whichever of the two has rotated since the message came.
        own = self.parts.keys.of_record(session.own_record)
        theirs = self.peers.held(peer, session.peer_record) or record
        return self._seal(peer, theirs, place, self._choice(keys), schema, body, keys.key, own)

    async def sendings(self, outcome: guest_ports.GuestOutcome) -> tuple[Sending, ...]:
        """Seal the messages of a call, once each of them may be: what is sealed and not sent uses up its session."""
        ready = [await self._ready(send, MESSAGE) for send in outcome.sends]
        return tuple(self._sending(one, ()) for one in ready)

    async def sending(
        self, send: guest_ports.Send, beside: tuple[Payload, ...] = (), *, purpose: str = MESSAGE
    ) -> Sending:
        """Seal one message, and compute its packet's commitment before any ledger has seen it (P4).

        `beside` are payloads to applications, which share its packet and its fate (P2). What makes a session is sealed
        to long-term keys. Raises SessionComing, TimeoutTooLong, ReservedSchema, NoSuiteLeft and others of suites.
        """
        return self._sending(await self._ready(send, purpose), beside)

    async def _ready(self, send: guest_ports.Send, purpose: str) -> _Ready:
        """A message that may be sealed now."""
        peer = self.peers.named(send.to)
        record = await self.peers.record(peer)
        schema = schema_ref(send.schema or DEFAULT_SCHEMA)
        if purpose == MESSAGE and schema.id.startswith(RESERVED):
            raise ReservedSchema(schema=schema.id)
        own, sessions, to = self.parts.keys.record, self.parts.sessions, None
        allowed = await self.suites.check(peer, (own, record))
        if purpose != HANDSHAKE and sessions.required:
            to = ToPeer(peer, (own.hash, record.hash), send.timeout_s, allowed.handshakes(own, record))
            sessions.ready(to, self.time)
        return _Ready(send, purpose, peer, record, schema, to)

    def _sending(self, ready: _Ready, beside: tuple[Payload, ...]) -> Sending:
        send, peer, record = ready.send, ready.peer, ready.record
        keys = None
        if ready.to is not None:
            keys = self.parts.sessions.of_message(ready.to, len(send.body), self.time)
        timeout = self._timeout(send.timeout_s)
        place = Place(Role.MESSAGE, timeout, b"", FIRST, 1 + len(beside))
        choice = self._choice(keys)
        value = self._seal(peer, record, place, choice, ready.schema, send.body, None if keys is None else keys.key)
        commitment = commitment_of(self.parts.config.endpoint, peer, self.peers.lane(peer), timeout, value, beside)
        self.sealed.add(commitment)
        if keys is not None:
            self.parts.sessions.await_reply(commitment, keys)
        row = Sent(
            ref=send.ref,
            fence=choice.fence,
            counter=choice.counter,
            peer=peer.endpoint,
            state="staged",
            body=send.body,
            commitment=commitment,
            timeout=timeout,
            record=record.hash,
            purpose=ready.purpose,
            schema=schema_name(ready.schema),
        )
        return Sending(content_of(peer, timeout, value, choice, beside), row)

    def _timeout(self, seconds_: int) -> UnixSeconds:
        """Counted from now: an idle ledger's newest header may be a heartbeat old, or as old as its last stop.

        The longest is what the ledger takes whatever its clock says: a day after its newest header (P13).
        """
        newest = floor_seconds(self.time)
        asked = max(newest, floor_seconds(self.parts.clock.now())) + seconds_
        return UnixSeconds(min(asked, newest + guest_ports.MAX_TIMEOUT_S))

    def _choice(self, keys: Keys | None) -> SenderChoice:
        fence, counter = self.fence, self.counter
        self.counter += 1
        return SenderChoice.outside_sessions(fence, counter) if keys is None else keys.choice(fence, counter)

    def _seal(
        self,
        peer: PeerRef,
        record: KeyRecord,
        place: Place,
        choice: SenderChoice,
        schema: SchemaName,
        body: bytes,
        key: bytes | None,
        own: KeyRecord | None = None,
    ) -> bytes:
        """Seal under a session's key, or signed and to the peer's long-term sealing key."""
        ring = self.parts.keys
        context, views = outgoing(self.peers.lane(peer), own or ring.record, record, place), self.seen(peer)
        if key is not None:
            return seal_within(context, choice, views, schema, body, key)
        return seal(context, ring.signer, record, choice, views, schema, body, self.parts.encapsulator)

    def seen(self, peer: PeerRef) -> tuple[LedgerView, LedgerView]:
        """The newest headers that this host trusts, of its own ledger and the peer's."""
        return self.views.of(self.reader), self.views.of(self.peers.reader(peer))

    # Staging.

    def stage(self, item: Item, decision: Decision) -> Staged:
        """Apply a decision's steps as the next versions, durable with the next durable commit."""
        parts = self.parts
        staged = Staged(item, 0, b"", [], [], decision.result, decision.settles)
        root = self.root
        with parts.store.commit():
            for number, plan in enumerate(decision.plans):
                cleared, records = ([], []) if number else self._cleared()
                self._count(plan.guest)
                made = parts.tree.stage(plan.guest, [*cleared, *plan.host], parts.rng.bytes(32))
                staged.made.append(Made(plan, staged.version, root))
                noted = (*records, *plan.records)
                staged.settles += tuple(row.commitment for row in noted if isinstance(row, Seen) and row.answered)
                parts.store.add_step(Step(made.version, made.root, made.salt, noted, promoted=False))
                for sending in plan.sends:
                    parts.store.add_sent(sending.row)
                    staged.sends.append(sending.row)
                message = {
                    "endpoint": parts.endpoint,
                    "fence": self.fence,
                    "prev_root": root,
                    "next_root": made.root,
                    "sends": [sending.message for sending in plan.sends],
                    **plan.content,
                }
                staged.messages.append((plan.name, message))
                staged.version, staged.root = made.version, made.root
                root = made.root
        self.sealed.staged()
        self.root = root
        return staged

    def discard(self) -> None:
        """Back to the last proven state; what was staged above it is gone."""
        parts = self.parts
        committed = parts.store.steps(promoted=True)
        self.sealed.let_go(self.time, [row.commitment for row in parts.store.all_sent("staged")])
        with parts.store.commit():
            parts.store.drop_staged()
            parts.tree.discard_after(committed[-1].version if committed else 0)
        self.root = committed[-1].root if committed else endpoints.EMPTY_ROOT
        self._guest_bytes = None

    def _count(self, writes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Keep the size of the guest's state, so that no call has to walk all of it."""
        for key, value in writes:
            if self._guest_bytes is not None:
                old = self.parts.tree.get(key)
                before = 0 if old is None else len(key) + len(old)
                self._guest_bytes += (0 if value is None else len(key) + len(value)) - before

    def _cleared(self) -> tuple[Writes, list[Seen]]:
        """Marks of the host's own that have done their work; a step of any kind clears some."""
        parts = self.parts
        now = floor_seconds(self.time)
        gone: Writes = [(k, None) for k in memory.outlived((k for k, _ in parts.tree.host_scan(memory.ACTED)), now)]
        rows = []
        for key, data in parts.tree.host_scan(memory.DEFERRED):
            late = Deferred.from_bytes(data)
            if late.deadline <= self.time:
                # The machine has answered in the guest's place (I6).
                gone.append((key, None))
                seen = parts.store.seen(late.client, late.sequence)
                if seen is not None:
                    rows.append(dataclasses.replace(seen, state="refused", code=DeadlinePassed.code))
        return gone, rows
