"""An inbox entry: verify it, open it, run the guest, answer (P1, P3, P4, P17, P20)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

from lockgate.courier.ports import NotYet, Proven
from lockgate.envelope.binding import Role
from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.seal import Opened
from lockgate.host import memory
from lockgate.host import ports as guest_ports
from lockgate.host.memory import Deferred
from lockgate.host.ports import MAX_REFUSAL_DETAIL
from lockgate.host.refusal import SCHEMA as REFUSAL_SCHEMA
from lockgate.host.refusal import RefusalWords
from lockgate.host.sealing import Place, schema_name
from lockgate.host.windows import Replayed
from lockgate.hosting import traffic
from lockgate.hosting.bulk import Bulk, BulkUnavailable, Handed, is_bulk, is_of_bulk
from lockgate.hosting.config import PeerRef
from lockgate.hosting.epochs import Epochs
from lockgate.hosting.forks import Forks, trusted_one
from lockgate.hosting.handshakes import HandshakeRefused, Handshakes, is_handshake
from lockgate.hosting.opening import Found, Spoken, open_from
from lockgate.hosting.peers import FenceNotShown, UnknownPeer
from lockgate.hosting.reader import Distrusted, TwoHistories
from lockgate.hosting.reserved import RESERVED
from lockgate.hosting.sessions import SessionRequired, place_of
from lockgate.hosting.steps import Steps
from lockgate.hosting.suites import NOT_ALLOWED
from lockgate.hosting.traffic import Arrived, NotProven, Traffic
from lockgate.hosting.views import view_of
from lockgate.hosting.work import PATIENCE, Decision, Item, Patience, Plan, StepRefused, Writes
from lockgate.ibc import host as ibc_host
from lockgate.machine import keys
from lockgate.machine.errors import EndpointRevoked, GuestTrapped, UnknownEndpoint
from lockgate.machine.identity import KeyRecord
from lockgate.machine.records import Entry
from lockgate.primitives.errors import LockgateError, PeerFault, Refused
from lockgate.primitives.ids import Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds, floor_seconds
from lockgate.session.errors import UNUSABLE, SessionUnknown
from lockgate.storage.host import Seen


class Arrivals:
    """Decides about messages in the endpoint's inbox."""

    def __init__(
        self,
        steps: Steps,
        blocks: Traffic,
        forks: Forks,
        bulk: Bulk | None,
        handshakes: Handshakes,
        epochs: Epochs,
        wake: Callable[[], None],
    ) -> None:
        self._proofs: dict[tuple[str, str, int], Proven | Exception] = {}
        self._bulk = bulk
        self._handshakes = handshakes
        self._epochs = epochs
        self._wake = wake
        self._steps = steps
        self._parts = steps.parts
        self._peers = steps.peers
        self._blocks = blocks
        self._forks = forks

    async def prove(self, items: Sequence[Item], height: int) -> None:
        """Ask for the proofs of a batch's entries together; each is verified when its item is decided."""
        wanted = [item for item in items if item.kind == "inbox"]
        chain = self._steps.reader.chain
        names = [keys.entry(item.client, item.sequence) for item in wanted]
        proofs = await chain.prove_many(keys.INBOX, names, Height(chain.revision, height)) if wanted else []
        self._proofs = {item.name: proof for item, proof in zip(wanted, proofs, strict=True)}

    async def decide(self, item: Item) -> Decision:
        """What to do about one entry, proven before. No plans when it has left the inbox.

        Raises NotProven and what a lying node causes: the item is then kept.
        """
        proof = self._proofs.pop(item.name)
        if isinstance(proof, Exception):
            raise proof
        data = self._steps.reader.check(keys.INBOX, keys.entry(item.client, item.sequence), proof)
        if data is None:
            if self._bulk is not None:
                self._bulk.forget(item, self._parts.store, self._parts.clock.now())
            return Decision()
        entry = Entry.from_bytes(data)
        arrived = await self._arrived(item, entry)
        waiting = Deferred(
            client=item.client,
            sequence=item.sequence,
            commitment=entry.commitment,
            sender=entry.sender,
            timeout=arrived.packet.timeout,
            deadline=entry.deadline,
            schema=REFUSAL_SCHEMA,
            index=entry.index,
            count=len(arrived.packet.payloads),
        )
        try:
            peer = self._peers.by_endpoint(entry.sender.hex(), item.client)
            with self._blocks.doubted(entry.received_height):
                return await self._from_peer(item, peer, arrived, waiting)
        except (UnknownPeer, Distrusted, EndpointRevoked, UnknownEndpoint) as error:
            return self._refuse(waiting, None, error.code, str(error))

    async def _from_peer(self, item: Item, peer: PeerRef, arrived: Arrived, waiting: Deferred) -> Decision:
        record = await self._peers.record(peer)
        lane = self._peers.lane(peer)
        acted = memory.acted_key(lane.remote_domain, item.client, item.sequence, waiting.commitment, waiting.timeout)
        try:
            envelope = await self._open(item, peer, arrived, waiting)
            opened, record = envelope.opened, envelope.record
            windows = self._windows(opened, waiting.timeout)
            if self._parts.tree.host_get(acted) is not None:
                raise Replayed("acted on before", client=item.client, sequence=item.sequence)
        except (BadEnvelope, Replayed) as error:
            cause = {"client": item.client, "sequence": item.sequence, "cause": repr(error.__cause__)}
            self._parts.report("rejected", cause)
            return self._refuse(waiting, peer, error.code, str(error), sealed=self._told(peer, record, waiting, error))
        except TwoHistories as found:
            await self._forks.found(found)
            return self._two_histories(peer, record, waiting, found)
        marks: Writes = [*windows, (acted, b"\x01")]
        handed = Handed(opened.content.schema, opened.content.body)
        if envelope.session is not None:
            within = place_of(opened.binding.choice)
            news = self._parts.sessions.opened(
                peer, envelope.session, waiting.commitment, within, waiting.deadline, self._steps.time
            )
            waiting = dataclasses.replace(waiting, within=within)
            if news:
                self._handshakes.go_on()
        try:
            await self._steps.suites.check(peer, envelope.used, envelope.session)
        except NOT_ALLOWED as error:  # the sender's host finds another suite, and seals it again
            refusal = self._refuse(waiting, peer, error.code, str(error), marks=marks)
            return _unseen(refusal, waiting) if handed.schema.id.startswith(RESERVED) else refusal
        if handed.schema.id.startswith(RESERVED):  # in whichever form it came: nothing of it is for a guest
            return await self._meet(peer, record, handed, waiting, marks, item.patience)
        if is_of_bulk(handed.schema):
            try:
                handed = self._fetched(item, peer, waiting, handed)
            except BulkUnavailable as error:
                return self._without_body(peer, record, waiting, error, marks)
        waiting = dataclasses.replace(waiting, schema=handed.schema)
        return await self._run(item, peer, record, handed, waiting, marks)

    def _fetched(self, item: Item, peer: PeerRef, waiting: Deferred, sent: Handed) -> Handed:
        """The body of a bulk message. Raises BulkComing, BulkUnavailable."""
        if not is_bulk(sent.schema):
            raise BulkUnavailable("only a host says that a body lies with it, and no sender")
        if self._bulk is None:
            raise BulkUnavailable("this host takes no bulk bodies")
        now = max(self._steps.time, self._parts.clock.now())
        seconds = max(0, waiting.deadline - now) / NANOS_PER_SECOND
        named, deadline = waiting.commitment, waiting.deadline
        return self._bulk.take(item, peer.endpoint, named, sent.body, deadline, seconds, self._wake)

    def _without_body(
        self,
        peer: PeerRef,
        record: KeyRecord,
        waiting: Deferred,
        error: BulkUnavailable,
        marks: list[tuple[bytes, bytes | None]],
    ) -> Decision:
        """Refuse a message whose body never came whole: one public code, the cause sealed to its sender."""
        cause = error.__cause__
        code = cause.code if isinstance(cause, LockgateError) else error.code
        words = RefusalWords(code, error.detail[:MAX_REFUSAL_DETAIL]).encode()
        sealed = self._steps.seal_reply(peer, record, waiting, Role.REFUSAL, REFUSAL_SCHEMA, words)
        return self._refuse(waiting, peer, error.code, error.detail, b"", marks, sealed)

    def _drop(self, waiting: Deferred) -> None:
        if self._bulk is not None:
            self._bulk.drop(waiting.commitment)

    async def _arrived(self, item: Item, entry: Entry) -> Arrived:
        """The packet of an entry, from the block that received it."""
        block = await self._blocks.block(entry.received_height)
        arrived = block.received.get((item.client, item.sequence))
        if arrived is None or arrived.commitment != entry.commitment:
            self._blocks.forget(entry.received_height)
            raise NotProven("the packet of the entry is not in its block", client=item.client, sequence=item.sequence)
        return arrived

    async def _meet(
        self,
        peer: PeerRef,
        record: KeyRecord,
        handed: Handed,
        waiting: Deferred,
        marks: list[tuple[bytes, bytes | None]],
        patience: Patience,
    ) -> Decision:
        """A message of a handshake: the host answers it, and its guest hears nothing of it."""
        waiting = dataclasses.replace(waiting, schema=handed.schema)
        try:
            if waiting.within is None:
                reply = await self._handshakes.answer(peer, record, waiting.commitment, handed.body, patience)
            else:
                reply = self._epochs.answer(peer, waiting.commitment, waiting.within, handed.body)
        except TwoHistories:
            raise
        except (PeerFault, Refused) as error:
            self._parts.report("handshake_refused", {"peer": peer.endpoint, "code": error.code, "detail": str(error)})
            words = RefusalWords(error.code).encode()
            sealed = self._steps.seal_reply(peer, record, waiting, Role.REFUSAL, REFUSAL_SCHEMA, words)
            refusal = self._refuse(waiting, peer, HandshakeRefused.code, error.code, marks=marks, sealed=sealed)
            return _unseen(refusal, waiting)
        plan = await self._steps.answer(peer, record, waiting, reply, marks, body=b"")
        return _unseen(Decision((plan,)), waiting)

    def _told(self, peer: PeerRef, record: KeyRecord, waiting: Deferred, error: Refused) -> bytes:
        """The sealed detail of a message that did not open: that its session is of no use and another is needed."""
        cause = error.__cause__
        if not isinstance(cause, UNUSABLE):
            return b""
        words = RefusalWords(cause.code).encode()
        return self._steps.seal_reply(peer, record, waiting, Role.REFUSAL, REFUSAL_SCHEMA, words)

    async def _open(self, item: Item, peer: PeerRef, arrived: Arrived, waiting: Deferred) -> Found:
        """Verify the packet, open its envelope, compare what its author saw of both ledgers."""
        packet, reader = arrived.packet, self._peers.reader(peer)
        check = traffic.check_arrived(reader, arrived)
        await self._forks.checked(reader, item.client, arrived.proof_height, check)
        key = ibc_host.packet_commitment(packet.source_client, packet.sequence)
        spoken = Spoken(key, arrived.commitment, arrived.proof_height.height)
        place = Place(Role.MESSAGE, waiting.timeout, b"", waiting.index, waiting.count)
        value = packet.payloads[waiting.index].value
        try:
            found = await open_from(self._parts, self._peers, peer, value, place, spoken)
        except BadEnvelope as error:
            self._patient(item, error)
            raise
        opened, views = found.opened, self._steps.views
        in_session = found.session is not None
        if in_session is not self._parts.sessions.required and not is_handshake(opened.content.schema):
            raise BadEnvelope from SessionRequired("in a session" if in_session else "outside sessions")
        await views.compare(reader, opened.content.source_seen, item.patience)
        await views.compare(self._steps.reader, opened.content.destination_seen, item.patience)
        fence = opened.message_id.fence
        if not await self._peers.sent_under(peer, fence, packet.source_client, packet.sequence):
            raise BadEnvelope from FenceNotShown("another start", fence=fence, sequence=packet.sequence)
        return found

    @property
    def _under_way(self) -> bool:
        return self._handshakes.open or self._epochs.open

    def _patient(self, item: Item, error: BadEnvelope) -> None:
        """A message may come before the answer that made its session here. Raises NotYet."""
        if isinstance(error.__cause__, SessionUnknown) and self._under_way and item.attempts < PATIENCE:
            raise NotYet("its session may be on its way", client=item.client, sequence=item.sequence) from error

    def _windows(self, opened: Opened, timeout: UnixSeconds) -> Writes:
        """Its sender's replay windows with this message in them. Raises Replayed."""
        said = opened.message_id
        held = self._parts.tree.host_scan(*memory.windows_of(said.sender))
        key, now = memory.window_key(said.sender, said.fence), floor_seconds(self._steps.time)
        return memory.accepted(held, key, said.counter, timeout, now)

    async def _run(
        self,
        item: Item,
        peer: PeerRef,
        record: KeyRecord,
        handed: Handed,
        waiting: Deferred,
        marks: list[tuple[bytes, bytes | None]],
    ) -> Decision:
        steps, parts, body = self._steps, self._parts, handed.body
        call_id = hashlib.sha256(b"lockgate/call/1" + parts.endpoint + waiting.commitment).digest()
        if item.declined:
            return self._refuse(waiting, peer, StepRefused.code, item.declined, body, marks)
        message = guest_ports.Message(
            id=guest_ports.MessageRef(call_id),
            sender=self._peers.alias(waiting.sender),
            schema=schema_name(handed.schema),
            body=body,
            deadline=waiting.deadline,
        )
        outcome = steps.call(guest_ports.Handle(message), call_id)
        if isinstance(outcome.result, guest_ports.Refusal | guest_ports.GuestTrap):
            self._drop(waiting)
        match outcome.result:
            case guest_ports.Reply() | guest_ports.Refusal() as result:
                late = await steps.late(outcome)
                plan = await steps.answer(peer, record, waiting, result, marks, outcome, body)
                return Decision((plan, *late))
            case guest_ports.GuestTrap(kind, detail):
                parts.report("trap", {"kind": kind.value, "detail": detail, "sequence": item.sequence})
                return self._refuse(waiting, peer, GuestTrapped.code, detail, body, marks)
        marks.append((memory.DEFERRED + call_id, waiting.to_bytes()))
        row = Seen(state="deferred", body=body, **steps.row(peer, waiting))
        return Decision(await steps.follow(outcome, marks, (row,), needed=True))

    def _refuse(
        self,
        waiting: Deferred,
        peer: PeerRef | None,
        code: str,
        detail: str,
        body: bytes = b"",
        marks: list[tuple[bytes, bytes | None]] | None = None,
        sealed: bytes = b"",
    ) -> Decision:
        """Refuse in the host's own name: the code is public, the detail stays here (P3)."""
        row = (
            {
                "domain": b"",
                "client": waiting.client,
                "sequence": waiting.sequence,
                "commitment": waiting.commitment,
                "peer": self._peers.alias(waiting.sender),
            }
            if peer is None
            else self._steps.row(peer, waiting)
        )
        content = {"client": waiting.client, "sequence": waiting.sequence, "refusal": [code, sealed]}
        seen = Seen(state="refused", body=body, code=code, detail=detail, **row)
        return Decision((Plan(name="endpoint.answer", content=content, host=marks or (), records=(seen,)),))

    def _two_histories(self, peer: PeerRef, record: KeyRecord, waiting: Deferred, found: TwoHistories) -> Decision:
        """Refuse, and where the own ledger is the two-faced one, hand the sender the header that is trusted here.

        The sender saw the other one: with both, its host freezes the clients on its own ledger.
        """
        own = found.chain_id == self._steps.reader.chain.chain_id
        view = view_of(self._steps.reader, trusted_one(self._steps.reader, found.evidence)) if own else None
        words = RefusalWords(TwoHistories.code, found.chain_id, view).encode()
        sealed = self._steps.seal_reply(peer, record, waiting, Role.REFUSAL, REFUSAL_SCHEMA, words)
        return self._refuse(waiting, peer, TwoHistories.code, str(found), sealed=sealed)


def _unseen(decision: Decision, waiting: Deferred) -> Decision:
    """The same without a row in the inbox: it is no message of anybody's."""
    plans = tuple(dataclasses.replace(plan, records=()) for plan in decision.plans)
    return dataclasses.replace(decision, plans=plans, settles=(waiting.commitment,))
