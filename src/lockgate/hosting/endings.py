"""A message of this endpoint ended: prove how, tell the guest, stage what it does about it (P3, P4).

The ledger's node says that it ended; what counts is what the receiver's ledger proves: the
acknowledgement, or at a header not earlier than the timeout that there is no receipt. The packet is found
by the commitment this host computed when it sealed it, so no word of a node says which message it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Final

from lockgate.envelope.binding import Role
from lockgate.envelope.content import LedgerView
from lockgate.envelope.errors import BadEnvelope, ContentMalformed
from lockgate.host import ports as guest_ports
from lockgate.host.refusal import RefusalWords
from lockgate.host.sealing import Place
from lockgate.hosting import epochs as epoch_messages
from lockgate.hosting import handshakes as handshake_messages
from lockgate.hosting import traffic
from lockgate.hosting.bulk import Bulk
from lockgate.hosting.config import PeerRef
from lockgate.hosting.epochs import Epochs
from lockgate.hosting.forks import Forks
from lockgate.hosting.handshakes import Crossed, HandshakeRefused, Handshakes
from lockgate.hosting.opening import Spoken, open_from
from lockgate.hosting.reader import TwoHistories
from lockgate.hosting.sessions import LONGEST_TIMEOUT_S
from lockgate.hosting.steps import FIRST, Steps
from lockgate.hosting.suites import NOT_ALLOWED
from lockgate.hosting.traffic import NotProven, Returned, TimedOut, Traffic
from lockgate.hosting.work import Decision, Item, Plan
from lockgate.ibc import host as ibc_host
from lockgate.ibc.commitment import commit_acknowledgement
from lockgate.ibc.packet import SENTINEL
from lockgate.machine import keys
from lockgate.machine.records import Reason
from lockgate.primitives.time import UnixSeconds, floor_seconds
from lockgate.session.errors import UNUSABLE
from lockgate.storage.host import RESEALED, Ended, Resealed, Sent

COMMITMENT_BYTES: Final = 32
LOST: Final = frozenset(error.code for error in UNUSABLE)  # the peer's words for a session it cannot open in
OVER: Final = frozenset(error.code for error in NOT_ALLOWED)  # the peer's words for a suite that counts no more
SEALED_AGAIN: Final = 4  # times, as many as a pair has sessions: then the guest is told
LEAST_S: Final = 10  # of a message's time that must be left for sealing it again


@dataclass(frozen=True, slots=True)
class _Found:
    """How it ended, for the guest and for the outbox."""

    invocation: guest_ports.Invocation
    record: Ended


class Endings:
    """Decides about messages of the endpoint that have ended."""

    def __init__(
        self,
        steps: Steps,
        blocks: Traffic,
        forks: Forks,
        bulk: Bulk | None,
        handshakes: Handshakes,
        epochs: Epochs,
    ) -> None:
        self._bulk = bulk
        self._handshakes = handshakes
        self._epochs = epochs
        self._steps = steps
        self._parts = steps.parts
        self._peers = steps.peers
        self._blocks = blocks
        self._forks = forks

    async def decide(self, item: Item) -> Decision:
        """What follows from one ended message. Raises NotProven, RulesChanged, and what a lying node causes."""
        sent, end = await self._what(item)
        if sent is None or end is None:
            return Decision()
        peer = self._peers.named(sent.peer)
        reader = self._peers.reader(peer)
        await self._peers.ruled(peer)
        if isinstance(end, TimedOut):
            check = traffic.check_timed_out(reader, end)
        else:
            check = traffic.check_returned(reader, end)
        with self._blocks.doubted(item.height):
            await self._forks.checked(reader, item.client, end.proof_height, check)
            found = await self._how(item, sent, peer, end)
        match sent.purpose:
            case handshake_messages.PURPOSE:
                return await self._of_handshake(item, peer, sent, found)
            case epoch_messages.PURPOSE:
                return self._of_epoch(peer, sent, found)
        over = found.record.reason in OVER  # the peer's host alone says so, before its guest runs
        if over:
            await self._steps.suites.of(peer, fresh=True)  # as new as what the peer has judged by
        if self._lost(peer, sent, found) or over:
            plan = await self._again(peer, sent, found, end)
            if plan is not None:
                return Decision((plan,), (), (sent.commitment,))
        if self._bulk is not None:
            self._bulk.withdraw(sent.body)  # the packet has ended, that is proven: nobody fetches any more
        call_id = hashlib.sha256(b"lockgate/ended/1" + self._parts.endpoint + sent.ref).digest()
        outcome = self._steps.call(found.invocation, call_id)
        plans = await self._steps.follow(outcome, [], (found.record,), needed=False)
        return Decision(plans, (found.record,), (sent.commitment,))

    async def _of_handshake(self, item: Item, peer: PeerRef, sent: Sent, found: _Found) -> Decision:
        """The host's own: its guest hears nothing of it."""
        plans: tuple[Plan, ...] = ()
        match found.invocation:
            case guest_ports.Acknowledged(_, reply):
                plans = await self._handshakes.replied(peer, sent.commitment, reply, item.patience)
            case guest_ports.RefusedByPeer(_, Crossed.code):
                self._handshakes.ended(peer, sent.commitment, Crossed())
            case guest_ports.RefusedByPeer(_, code):
                refused = HandshakeRefused(found.record.detail or "", by=peer.endpoint, code=code)
                self._handshakes.ended(peer, sent.commitment, refused)
            case _:
                self._handshakes.ended(peer, sent.commitment, HandshakeRefused("no answer in time", by=peer.endpoint))
        if plans:
            first = dataclasses.replace(plans[0], records=(*plans[0].records, found.record))
            plans = (first, *plans[1:])
        return Decision(plans, (found.record,), (sent.commitment,))

    def _of_epoch(self, peer: PeerRef, sent: Sent, found: _Found) -> Decision:
        if isinstance(found.invocation, guest_ports.Acknowledged):
            self._epochs.replied(peer, sent.commitment, found.invocation.reply)
        else:
            self._lost(peer, sent, found)
            self._epochs.ended(peer, sent.commitment)
        return Decision((), (found.record,), (sent.commitment,))

    def _lost(self, peer: PeerRef, sent: Sent, found: _Found) -> bool:
        """Does the peer's host say that it opens nothing in the session of a message? The next one asks for another.

        A guest may say such a word as well, so what the ledger's reason is counts too.
        """
        lost = found.record.reason == BadEnvelope.code and found.record.code in LOST
        if lost:
            self._parts.sessions.lost(peer, sent.commitment)
        return lost

    async def _again(self, peer: PeerRef, sent: Sent, found: _Found, end: Returned | TimedOut) -> Plan | None:
        """Send a message once more, under keys that the peer holds and with the time it had (P17, P18).

        Its packet is proven to have ended without running anybody's guest. None where the guest is to be told instead:
        its body is gone from here, there is no time left, it was done often enough, or no session can be made. Raises
        SessionComing.
        """
        now = max(floor_seconds(self._steps.time), floor_seconds(self._parts.clock.now()))
        left = min(sent.timeout - now, LONGEST_TIMEOUT_S)
        refs = (_ref_of(sent.ref, number) for number in range(SEALED_AGAIN))
        under = next((ref for ref in refs if self._parts.store.sent(ref) is None), None)
        if sent.erased or not sent.schema:
            return None  # an empty body under the message's name would be another message
        if under is None or left < LEAST_S or self._handshakes.hopeless(peer.endpoint):
            return None
        send = guest_ports.Send(
            ref=guest_ports.MessageRef(under), to=peer.endpoint, schema=sent.schema, body=sent.body, timeout_s=left
        )
        sending = await self._steps.sending(send, end.packet.payloads[FIRST + 1 :], purpose=RESEALED)
        record = found.record
        assert record.code is not None, "it is refused"
        assert record.reason is not None, "by its ledger"
        self._parts.report("sealed_again", {"client": record.client, "sequence": record.sequence, "code": record.code})
        goes_on = Resealed(
            ref=sent.ref,
            under=under,
            client=record.client,
            sequence=record.sequence,
            code=record.code,
            reason=record.reason,
        )
        return Plan(sends=(sending,), records=(goes_on,))

    async def _how(self, item: Item, sent: Sent, peer: PeerRef, end: Returned | TimedOut) -> _Found:
        """What the guest is told of an end that is proven."""
        match end:
            case TimedOut():
                await self._was_ours(item, sent)
                return _Found(guest_ports.TimedOut(guest_ports.MessageRef(sent.ref)), _end(sent, item, "timed_out"))
            case Returned() if end.acknowledgement.elements[0] == SENTINEL:
                return await self._refused(item, sent, peer, end)
        return await self._acknowledged(item, sent, peer, end)

    async def _what(self, item: Item) -> tuple[Sent | None, Returned | TimedOut | None]:
        """The row and the end of an item; none when there is nothing to do any more."""
        named = self._parts.store.sent_by_packet(item.client, item.sequence)
        if named is not None and named.state != "sent":
            return None, None
        end = (await self._blocks.block(item.height)).ended.get((item.client, item.sequence))
        sent = None if end is None else self._parts.store.sent_by_commitment(end.commitment)
        if end is None or (named is not None and (sent is None or sent.ref != named.ref)):
            self._blocks.forget(item.height)
            raise NotProven("the end is not in its block", client=item.client, sequence=item.sequence)
        if sent is None or sent.state != "sent":
            return None, None  # of an endpoint's earlier life, or told already
        return sent, end

    async def _acknowledged(self, item: Item, sent: Sent, peer: PeerRef, returned: Returned) -> _Found:
        """Open the reply under the commitment computed at sending; the acknowledgement must name it (P4)."""
        element = returned.acknowledgement.elements[FIRST]
        if element[:COMMITMENT_BYTES] != sent.commitment:
            raise NotProven("the acknowledgement names another packet", client=item.client, sequence=item.sequence)
        key = ibc_host.packet_acknowledgement(peer.remote_client, item.sequence)
        spoken = Spoken(key, commit_acknowledgement(returned.acknowledgement), returned.proof_height.height)
        place = _place(Role.REPLY, sent, returned)
        ref = guest_ports.MessageRef(sent.ref)
        try:
            found = await open_from(self._parts, self._peers, peer, element[COMMITMENT_BYTES:], place, spoken)
        except BadEnvelope as error:
            # The peer's ledger acknowledged, and nobody can read with what: one public word for it (P3).
            self._parts.report("rejected", {"sequence": item.sequence, "cause": repr(error.__cause__)})
            return _Found(guest_ports.RefusedByPeer(ref, error.code), _end(sent, item, "refused", code=error.code))
        reply = found.opened.content.body
        return _Found(guest_ports.Acknowledged(ref, reply), _end(sent, item, "acknowledged", reply=reply))

    async def _refused(self, item: Item, sent: Sent, peer: PeerRef, returned: Returned) -> _Found:
        """The typed reason beside the sentinel, and the sealed words of whoever refused (P3)."""
        reader = self._peers.reader(peer)
        height = await reader.latest()
        key = keys.reason(peer.remote_client, item.sequence)
        data = await reader.value(keys.REASON, key, height)
        if data is None:
            await self._was_ours(item, sent)
            return self._refusal(sent, item, "unknown")
        reason = Reason.from_bytes(data)
        if reason.commitment != sent.commitment:
            raise NotProven("the reason is another packet's", client=item.client, sequence=item.sequence)
        if not reason.detail:
            return self._refusal(sent, item, reason.code_text)
        spoken = Spoken(key, data, height)
        place = _place(Role.REFUSAL, sent, returned)
        try:
            found = await open_from(self._parts, self._peers, peer, reason.detail, place, spoken)
            words = RefusalWords.decode(found.opened.content.body)
        except (BadEnvelope, ContentMalformed) as error:
            self._parts.report("rejected", {"sequence": item.sequence, "cause": repr(error.__cause__)})
            return self._refusal(sent, item, reason.code_text, RefusalWords(BadEnvelope.code))
        if words.view is not None:
            await self._two_histories(item, peer, words.view)
        return self._refusal(sent, item, reason.code_text, words)

    async def _two_histories(self, item: Item, peer: PeerRef, view: LedgerView) -> None:
        """The receiver found its own ledger two-faced and sent the header it trusts: compare, and act on it.

        A view that is no evidence changes nothing about the end. Raises NotYet and RpcError while there is patience.
        """
        try:
            await self._steps.views.compare(self._peers.reader(peer), view, item.patience)
        except TwoHistories as found:
            await self._forks.found(found)
        except BadEnvelope as error:
            self._parts.report("rejected", {"peer": peer.endpoint, "cause": repr(error.__cause__)})

    async def _was_ours(self, item: Item, sent: Sent) -> None:
        """Prove that the packet of this sequence was this message: it stood until the block that ended it."""
        key = ibc_host.packet_commitment(item.client, item.sequence)
        value = await self._steps.reader.value("ibc", key, item.height)
        if value != sent.commitment:
            raise NotProven("the sequence is another packet's", client=item.client, sequence=item.sequence)

    @staticmethod
    def _refusal(sent: Sent, item: Item, reason: str, words: RefusalWords | None = None) -> _Found:
        """What the guest learns: the words of whoever refused where they are there, else the ledger's code."""
        code, detail = (reason, None) if words is None else (words.code, words.detail)
        invocation = guest_ports.RefusedByPeer(guest_ports.MessageRef(sent.ref), code)
        return _Found(invocation, _end(sent, item, "refused", code=code, detail=detail, reason=reason))


def _ref_of(message: bytes, number: int) -> bytes:
    """Name of a packet that a message was sealed into before its present one."""
    return hashlib.sha256(b"lockgate/resealed/1" + message + number.to_bytes(1, "big")).digest()


def _place(role: Role, sent: Sent, returned: Returned) -> Place:
    """Of the answer to a message of ours: the packet is the one sent, by its commitment, so its payloads are."""
    return Place(role, UnixSeconds(sent.timeout), sent.commitment, FIRST, len(returned.packet.payloads))


def _end(
    sent: Sent,
    item: Item,
    state: str,
    *,
    reply: bytes | None = None,
    code: str | None = None,
    detail: str | None = None,
    reason: str | None = None,
) -> Ended:
    return Ended(
        ref=sent.ref,
        client=item.client,
        sequence=item.sequence,
        state=state,
        reply=reply,
        code=code,
        detail=detail,
        reason=reason,
    )
