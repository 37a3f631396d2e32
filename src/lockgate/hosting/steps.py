"""One step of a host: verify, open, run the guest, stage what follows (P1, P3, P4, P17, P20)."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

from lockgate.crypto.keys import SecretBytes
from lockgate.envelope.binding import Role, SenderChoice
from lockgate.envelope.content import LedgerView
from lockgate.envelope.errors import BadEnvelope
from lockgate.host import ports as guest_ports
from lockgate.host.sealing import Local, incoming, outgoing, schema_name, schema_ref, seal, unseal
from lockgate.host.staging import GuestTree
from lockgate.host.windows import Replayed, Window
from lockgate.hosting import traffic
from lockgate.hosting.config import HostConfig, PeerRef
from lockgate.hosting.peers import Peers, seen
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.work import Item, Report, Staged
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import SENTINEL
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.machine import endpoints, keys
from lockgate.machine.errors import GuestRefused, GuestTrapped
from lockgate.machine.records import Entry, Reason
from lockgate.primitives.ports import Rng
from lockgate.primitives.time import UnixSeconds, floor_seconds
from lockgate.storage.host import HostStore, Seen, Sent, Step

WINDOW: Final = b"window/"
DEFERRED: Final = b"deferred/"
ENDED: Final = b"ended/"
DEFAULT_SCHEMA: Final = "bytes@1.0"


class Steps:
    """Turns items into staged steps. Holds the fence, the message counter and the root the next step starts from."""

    def __init__(
        self,
        config: HostConfig,
        store: HostStore,
        tree: GuestTree,
        guest: guest_ports.Guest,
        local: Local,
        peers: Peers,
        reader: ProvenReader,
        rng: Rng,
        report: Report,
    ) -> None:
        self.peers = peers
        self.reader = reader
        self.guest = guest
        self.store = store
        self.fence = 0
        self.counter = 0
        self.root = endpoints.EMPTY_ROOT
        self.tree = tree
        self._local = local
        self._rng = rng
        self._report = report
        self._start_secret = SecretBytes(rng.bytes(32))
        self._endpoint = bytes.fromhex(config.endpoint)

    async def step(self, item: Item, height: int) -> Staged | None:
        match item.kind:
            case "inbox":
                return await self._inbox(item, height)
            case "ended":
                return await self._ended(item, height)
            case "command":
                return await self._command(item)
        return await self._direct(item)

    async def _inbox(self, item: Item, height: int) -> Staged | None:
        """Verify an entry and its packet, open it, run the guest, stage the Answer."""
        data = await self.reader.value(keys.INBOX, keys.entry(item.client, item.sequence), height)
        if data is None:
            return None
        entry = Entry.from_bytes(data)
        arrived = (await traffic.received_in(self.reader.chain, entry.received_height)).get(
            (item.client, item.sequence)
        )
        if arrived is None or arrived.commitment != entry.commitment:
            raise traffic.NotProven("the packet of the entry is not in its block", client=item.client)
        peer = self.peers.by_endpoint(entry.sender.hex(), item.client)
        await traffic.check_arrived(self.peers.reader(peer), arrived)
        record = await self.peers.record(peer)
        packet, alias = arrived.packet, self.peers.alias(entry.sender)
        lane, timeout = self.peers.lane(peer), packet.timeout
        context = incoming(lane, self._local.record, record, timeout, Role.MESSAGE, b"")
        call_id = hashlib.sha256(b"lockgate/call/1" + self._endpoint + entry.commitment).digest()
        try:
            try:
                opened = unseal(context, self._local, record, packet.payloads[0].value)
            except BadEnvelope:
                # The peer may have rotated since its record was last proven.
                record = await self.peers.record(peer, fresh=True)
                context = incoming(lane, self._local.record, record, timeout, Role.MESSAGE, b"")
                opened = unseal(context, self._local, record, packet.payloads[0].value)
            await self._compare_views(peer, opened.content.source_seen, opened.content.destination_seen)
            message_id = opened.message_id
            window_key = WINDOW + message_id.sender + message_id.fence.to_bytes(8, "big")
            window = Window.from_bytes(self.tree.host_get(window_key)).accept(message_id.counter)
        except (BadEnvelope, Replayed) as error:
            self._report("rejected", {"client": item.client, "sequence": item.sequence, "cause": repr(error.__cause__)})
            code = BadEnvelope.code if isinstance(error, BadEnvelope) else error.code
            seen_row = Seen(item.client, item.sequence, alias, "refused", b"", None, code, str(error))
            return self._stage_answer(item, (), (), None, (code, b""), [], seen_row, None)
        message = guest_ports.Message(
            id=guest_ports.MessageRef(call_id),
            sender=alias,
            schema=schema_name(opened.content.schema),
            body=opened.content.body,
            deadline=entry.deadline,
        )
        outcome = self._call(guest_ports.Handle(message), call_id)
        host_writes: list[tuple[bytes, bytes | None]] = [(window_key, window.to_bytes())]
        sends = await self._seal_sends(outcome)
        reply_context = outgoing(lane, self._local.record, record, timeout, Role.REPLY, entry.commitment)
        views = (seen(self.reader), seen(self.peers.reader(peer)))
        match outcome.result:
            case guest_ports.Reply(body):
                sealed = seal(reply_context, self._local, record, self._choice(), views, opened.content.schema, body)
                row = Seen(item.client, item.sequence, alias, "answered", opened.content.body, body, None, None)
                return self._stage_answer(item, outcome.writes, host_writes, sealed, None, sends, row, outcome)
            case guest_ports.Refusal(code, detail):
                refusal = dataclasses.replace(reply_context, role=Role.REFUSAL)
                text = f"{code}\n{detail}".encode()
                sealed = seal(refusal, self._local, record, self._choice(), views, opened.content.schema, text)
                row = Seen(item.client, item.sequence, alias, "refused", opened.content.body, None, code, detail)
                reason = (GuestRefused.code, sealed)
                return self._stage_answer(item, (), host_writes, None, reason, [], row, outcome)
            case guest_ports.GuestTrap(kind, detail):
                self._report("trap", {"kind": kind.value, "detail": detail, "sequence": item.sequence})
                row = Seen(
                    item.client, item.sequence, alias, "refused", opened.content.body, None, GuestTrapped.code, detail
                )
                return self._stage_answer(item, (), host_writes, None, (GuestTrapped.code, b""), [], row, outcome)
        row = Seen(item.client, item.sequence, alias, "deferred", opened.content.body, None, None, None)
        host_writes.append((DEFERRED + call_id, item.client.encode() + b"/" + str(item.sequence).encode()))
        return self._stage_advance(item, outcome.writes, host_writes, sends, lambda: self.store.add_seen(row), {})

    async def _ended(self, item: Item, height: int) -> Staged | None:
        """A message of ours ended: prove how, tell the guest, stage what it does about it."""
        sent = self.store.sent_by_packet(item.client, item.sequence)
        if sent is None or sent.state != "sent":
            return None
        peer = self.peers.named(sent.peer)
        reply: bytes | None = None
        code: str | None = None
        ref = guest_ports.MessageRef(sent.ref)
        invocation: guest_ports.Invocation
        if item.how == "timed_out":
            invocation = guest_ports.TimedOut(ref)
        else:
            returned = (await traffic.returned_in(self.reader.chain, item.height)).get((item.client, item.sequence))
            if returned is None:
                raise traffic.NotProven("the acknowledgement is not in its block", client=item.client)
            await traffic.check_returned(self.peers.reader(peer), returned)
            if returned.acknowledgement.elements[0] == SENTINEL:
                code = await self._reason(peer, item, bytes(commit_packet(returned.packet)))
                invocation = guest_ports.RefusedByPeer(ref, code)
            else:
                reply = await self._open_reply(peer, returned)  # under our own packet's commitment (P4)
                invocation = guest_ports.Acknowledged(ref, reply)
        state = {"timed_out": "timed_out"}.get(item.how, "refused" if code else "acknowledged")

        def record() -> None:
            self.store.end_sent(sent.ref, state, reply, code)

        call_id = hashlib.sha256(b"lockgate/ended/1" + self._endpoint + sent.ref).digest()
        if self.tree.host_get(ENDED + sent.ref) is None:
            outcome = self._call(invocation, call_id)
            sends = await self._seal_sends(outcome)
            if outcome.writes or sends:
                # The mark stands under the same root as the effect, so a restart cannot repeat it.
                host = [(ENDED + sent.ref, b"\x01")]
                return self._stage_advance(item, outcome.writes, host, sends, record, {})
        with self.store.commit():
            record()
        return None

    async def _open_reply(self, peer: PeerRef, returned: traffic.Returned) -> bytes:
        commitment = bytes(commit_packet(returned.packet))
        if not returned.acknowledgement.elements[0].startswith(commitment):
            raise traffic.NotProven("the acknowledgement names another packet", sequence=returned.packet.sequence)
        record = await self.peers.record(peer)
        lane = self.peers.lane(peer)
        context = incoming(lane, self._local.record, record, returned.packet.timeout, Role.REPLY, commitment)
        return unseal(context, self._local, record, returned.acknowledgement.elements[0][32:]).content.body

    async def _reason(self, peer: PeerRef, item: Item, commitment: bytes) -> str:
        """The typed reason beside the sentinel, proven on the receiver's ledger (P3)."""
        reader = self.peers.reader(peer)
        height = await reader.latest()
        data = await reader.value(keys.REASON, keys.reason(peer.remote_client, item.sequence), height)
        reason = None if data is None else Reason.from_bytes(data)
        return "unknown" if reason is None or reason.commitment != commitment else reason.code_text

    async def _command(self, item: Item) -> Staged | None:
        call_id = hashlib.sha256(b"lockgate/command/1" + self._rng.bytes(32)).digest()
        outcome = self._call(guest_ports.Command(item.input), call_id)
        match outcome.result:
            case guest_ports.Reply(body):
                result: dict[str, Any] = {"output": body.hex()}
            case guest_ports.Refusal(code, detail):
                item.finish({"refused": code, "detail": detail})
                return None
            case guest_ports.GuestTrap(kind, detail):
                item.finish({"trapped": kind.value, "detail": detail})
                return None
            case _:
                result = {}
        sends = await self._seal_sends(outcome)
        if not (outcome.writes or sends):
            item.finish(result)
            return None
        return self._stage_advance(item, outcome.writes, (), sends, lambda: None, result)

    async def _direct(self, item: Item) -> Staged:
        ref = hashlib.sha256(b"lockgate/direct/1" + self._rng.bytes(32)).digest()
        send = guest_ports.Send(
            ref=guest_ports.MessageRef(ref), to=item.to, schema=item.schema, body=item.input, timeout_s=item.timeout_s
        )
        sends = [await self._seal_send(send)]
        return self._stage_advance(item, (), (), sends, lambda: None, {"ref": ref.hex()})

    def _call(self, invocation: guest_ports.Invocation, call_id: bytes) -> guest_ports.GuestOutcome:
        latest = self.reader.follower.latest
        assert latest is not None, "the own ledger was read before any guest runs"
        env = guest_ports.GuestEnv(
            call_id=call_id,
            ledger_time=latest.header.time,
            public_seed=guest_ports.PublicSeed(hashlib.sha256(header_hash(latest.header) + call_id).digest()),
            secret_seed=guest_ports.SecretSeed(
                hmac.digest(self._start_secret.reveal(), self.guest.identity + call_id, "sha256")
            ),
            peers=self.peers.aliases,
            state_bytes=self.tree.state_bytes(),
        )
        outcome = self.guest.call(invocation, self.tree, env)
        for line in outcome.logs:
            self._report("guest_log", {"level": line.level, "text": line.text})
        return outcome

    async def _compare_views(self, peer: PeerRef, source: LedgerView, destination: LedgerView) -> None:
        """P20: the author's view of both ledgers must be ours; two hashes at one height are evidence."""
        for reader, view in ((self.peers.reader(peer), source), (self.reader, destination)):
            if view.height.height > (await reader.chain.tip()).height.height:
                raise BadEnvelope("the author saw a header that its ledger does not have")
            await reader.reach(view.height.height)
            ours = reader.follower.header_hash(view.height.height)
            if ours is not None and ours != view.header_hash:
                self._report(
                    "two_histories",
                    {
                        "chain": reader.chain.chain_id,
                        "height": str(view.height),
                        "ours": ours.hex(),
                        "theirs": view.header_hash.hex(),
                    },
                )
                raise BadEnvelope("the author saw another history of a ledger")

    # Staging.

    def _choice(self) -> SenderChoice:
        choice = SenderChoice.outside_sessions(self.fence, self.counter)
        self.counter += 1
        return choice

    async def _seal_sends(self, outcome: guest_ports.GuestOutcome) -> list[tuple[dict[str, Any], Sent]]:
        return [await self._seal_send(send) for send in outcome.sends]

    async def _seal_send(self, send: guest_ports.Send) -> tuple[dict[str, Any], Sent]:
        peer = self.peers.named(send.to)
        record = await self.peers.record(peer)
        latest = self.reader.follower.latest
        assert latest is not None
        timeout = UnixSeconds(floor_seconds(latest.header.time) + send.timeout_s)
        context = outgoing(self.peers.lane(peer), self._local.record, record, timeout, Role.MESSAGE, b"")
        choice = self._choice()
        views = (seen(self.reader), seen(self.peers.reader(peer)))
        value = seal(context, self._local, record, choice, views, schema_ref(send.schema or DEFAULT_SCHEMA), send.body)
        message = {
            "client": peer.local_client,
            "destination": peer.endpoint,
            "timeout": int(timeout),
            "value": value,
            "fence": choice.fence,
            "counter": choice.counter,
        }
        sent = Sent(
            send.ref,
            None,
            None,
            choice.fence,
            choice.counter,
            peer.endpoint,
            "staged",
            send.body,
            None,
            None,
            record.hash,
        )
        return message, sent

    def _stage_answer(
        self,
        item: Item,
        guest: Any,
        host: Any,
        ack: bytes | None,
        refusal: tuple[str, bytes] | None,
        sends: list[tuple[dict[str, Any], Sent]],
        row: Seen,
        outcome: guest_ports.GuestOutcome | None,
    ) -> Staged:
        content: dict[str, Any] = {"client": item.client, "sequence": item.sequence}
        if ack is not None:
            content["ack"] = ack
        if refusal is not None:
            content["refusal"] = list(refusal)
        result = {"fuel": outcome.fuel_used if outcome else 0}
        return self._stage(
            "endpoint.answer", item, guest, host, sends, content, lambda: self.store.add_seen(row), result
        )

    def _stage_advance(
        self,
        item: Item,
        guest: Any,
        host: Any,
        sends: list[tuple[dict[str, Any], Sent]],
        record: Callable[[], None],
        result: dict[str, Any],
    ) -> Staged:
        return self._stage("endpoint.advance", item, guest, host, sends, {}, record, result)

    def _stage(
        self,
        name: str,
        item: Item,
        guest: Any,
        host: Any,
        sends: list[tuple[dict[str, Any], Sent]],
        content: dict[str, Any],
        record: Callable[[], None],
        result: dict[str, Any],
    ) -> Staged:
        with self.store.commit():
            tentative = self.tree.stage(guest, host, self._rng.bytes(32))
            self.store.add_step(Step(tentative.version, tentative.root, tentative.salt, b"", promoted=False))
            for _, sent in sends:
                self.store.add_sent(sent)
        message = {
            "endpoint": self._endpoint,
            "fence": self.fence,
            "prev_root": self.root,
            "next_root": tentative.root,
            "sends": [send for send, _ in sends],
            **content,
        }
        self.root = tentative.root
        return Staged(
            item, tentative.version, tentative.root, (name, message), [sent for _, sent in sends], record, result
        )
