"""Answers: execution is tentative until the ledger accepts it (P1).

`Answer` ends an inbox entry: a compare-and-swap on the endpoint's state root, under its newest fence,
before the entry's deadline, with the acknowledgement and the guest's own sends in one atomic step.
`Advance` is the same without a packet: the guest acted on a command, an acknowledgement or a timeout.
The deadline's error acknowledgement is the sweep's; exactly one of the two can ever exist.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, Protocol

from lockgate.ibc.packet import Packet, Payload
from lockgate.machine import endpoints, inbox, keys, lanes
from lockgate.machine.context import Context, field, only_fields
from lockgate.machine.errors import (
    AnswerTooLate,
    BadMessage,
    DeadlinePassed,
    DuplicateMessage,
    NotInInbox,
    RootMismatch,
    StaleFence,
)
from lockgate.machine.records import Entry, MessageId, OpenMessage, Reason
from lockgate.primitives.errors import MAX_CODE_BYTES
from lockgate.primitives.ids import ClientId, PortId
from lockgate.primitives.state import Outcome, Overlay, View
from lockgate.primitives.time import UnixSeconds

MAX_DETAIL: Final = 8_192  # a sealed refusal: 1 KiB of words under a hybrid signature and an X-Wing capsule
MAX_CAUSE: Final = 128


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One message of an endpoint on its way into a packet."""

    client: ClientId
    destination: str  # port of the receiving endpoint
    timeout: UnixSeconds
    value: bytes  # the sealed envelope
    fence: int
    counter: int
    beside: tuple[Payload, ...] = ()  # payloads to applications that share the packet's fate (P2)


class Packets(Protocol):
    """What answers need of IBC: acknowledge a held packet, and send one."""

    def acknowledge(
        self, view: View, context: Context, client: str, sequence: int, entry: Entry, ack: bytes
    ) -> tuple[Outcome, str | None]:
        """Execute the packet's other payloads and acknowledge; also the code when one of them refused."""
        ...

    def refuse(self, view: View, context: Context, client: str, sequence: int, entry: Entry) -> Outcome: ...

    def send(self, view: View, context: Context, endpoint: bytes, sending: Sending) -> tuple[int, Outcome]: ...


def answer(view: View, context: Context, message: Mapping[str, Any], packets: Packets) -> Outcome:
    """Accept the execution of one packet, or refuse all of it."""
    only_fields(message, "endpoint", "client", "sequence", "fence", "prev_root", "next_root", "ack", "refusal", "sends")
    endpoint = field(message, "endpoint", bytes, size=32)
    client, sequence = field(message, "client", str), field(message, "sequence", int)
    entry = inbox.find(view, client, sequence) if 0 < sequence < 1 << 63 else None
    if entry is None or entry.endpoint != endpoint:
        raise NotInInbox("no open entry", client=client, sequence=sequence)
    if context.block.time >= entry.deadline:
        raise AnswerTooLate("at or past the deadline", time=context.block.time, deadline=entry.deadline)
    lane = lanes.lane_of(view, client)
    if lane is not None and lane.equivocated:
        lanes.check_open(lane)  # the message stands in one of two histories: nobody acts on it (P14)
    moved = _swap_root(view, context, endpoint, message)
    outcome = inbox.release(view, client, sequence, entry)
    if ("ack" in message) == ("refusal" in message):
        raise BadMessage("an answer carries an acknowledgement or a refusal, not both", field="ack")
    undone: str | None = None
    if "ack" in message:
        # The packet's commitment is put in front of it below, and not in the host's hands (P4).
        ack = field(message, "ack", bytes)
        done, undone = packets.acknowledge(Overlay(view, outcome.writes), context, client, sequence, entry, ack)
        outcome.then(done)
    else:
        code, detail = _refusal(message)
        outcome.then(_refused(Overlay(view, outcome.writes), context, client, sequence, entry, code, detail, packets))
    if undone is None:
        outcome.then(moved)
        outcome.then(_sends(Overlay(view, outcome.writes), context, endpoint, message, packets))
    # Else a payload beside the message was refused: the packet is, whole, so the guest's step never was (P2).
    outcome.emit(
        "answer",
        ("endpoint", endpoint.hex()),
        ("client", client),
        ("sequence", str(sequence)),
        ("undone", undone or ""),
    )
    return outcome


def advance(view: View, context: Context, message: Mapping[str, Any], packets: Packets) -> Outcome:
    """Accept a step of the guest that ended no packet."""
    only_fields(message, "endpoint", "fence", "prev_root", "next_root", "sends")
    endpoint = field(message, "endpoint", bytes, size=32)
    outcome = _swap_root(view, context, endpoint, message)
    outcome.then(_sends(Overlay(view, outcome.writes), context, endpoint, message, packets))
    outcome.emit("advance", ("endpoint", endpoint.hex()))
    return outcome


def sweep(view: View, context: Context, packets: Packets) -> Outcome:
    """Settle entries whose deadline has come: the sentinel, and the reason beside it (I6, P3)."""
    outcome = Outcome()
    for client, sequence, entry in inbox.expired(view, context.block.time, context.parameters.sweep_per_block):
        current = Overlay(view, outcome.writes)
        outcome.then(inbox.release(current, client, sequence, entry))
        current = Overlay(view, outcome.writes)
        outcome.then(_refused(current, context, client, sequence, entry, DeadlinePassed.code, b"", packets))
    return outcome


def reason(client: str, sequence: int, commitment: bytes, code: str, detail: bytes) -> Outcome:
    """Record why a packet was refused, provably, beside the sentinel acknowledgement (P3)."""
    outcome = Outcome()
    outcome.set(keys.REASON, keys.reason(client, sequence), Reason(commitment, code, detail).to_bytes())
    outcome.emit("packet_refused", ("client", client), ("sequence", str(sequence)), ("code", code))
    return outcome


def message_ended(packet: Packet, payload: Payload, how: str) -> Outcome:
    """Tell the sending endpoint's host that a message of its has ended."""
    outcome = Outcome()
    outcome.emit(
        "message_ended",
        ("endpoint", payload.source_port),
        ("client", packet.source_client),
        ("sequence", str(packet.sequence)),
        ("how", how),
    )
    return outcome


def forget_message(view: View, client: str, sequence: int) -> Outcome:
    """The packet has ended for its sender: its message id is no longer open (P17)."""
    outcome = Outcome()
    key = keys.message_of_packet(client, sequence)
    data = view.get(keys.ENDPOINT, key)
    if data is not None:
        message = MessageId.from_bytes(data)
        outcome.delete(keys.ENDPOINT, key)
        outcome.delete(keys.ENDPOINT, keys.open_message(message.endpoint, message.fence, message.counter))
    return outcome


def _swap_root(view: View, context: Context, endpoint: bytes, message: Mapping[str, Any]) -> Outcome:
    state = endpoints.acting(view, context, endpoint)
    fence = field(message, "fence", int)
    if fence != state.fence or fence == 0:
        raise StaleFence("not the newest start", fence=fence, newest=state.fence)
    if field(message, "prev_root", bytes, size=32) != state.root:
        raise RootMismatch("the state has moved", claimed=message["prev_root"], on_ledger=state.root)
    outcome = Outcome()
    moved = dataclasses.replace(state, root=field(message, "next_root", bytes, size=32))
    outcome.set(keys.ENDPOINT, keys.endpoint_state(endpoint), moved.to_bytes())
    return outcome


def _refusal(message: Mapping[str, Any]) -> tuple[str, bytes]:
    refusal = field(message, "refusal", tuple, size=2)
    code, detail = refusal
    if type(code) is not str or not code.isascii() or not 0 < len(code) <= MAX_CODE_BYTES:
        raise BadMessage("a refusal code is 1 to 64 ASCII characters", field="refusal")
    if type(detail) is not bytes or len(detail) > MAX_DETAIL:
        raise BadMessage("a refusal detail is at most 8,192 bytes", field="refusal")
    return code, detail


def _refused(
    view: View, context: Context, client: str, sequence: int, entry: Entry, code: str, detail: bytes, packets: Packets
) -> Outcome:
    outcome = reason(client, sequence, entry.commitment, code, detail)
    outcome.then(packets.refuse(Overlay(view, outcome.writes), context, client, sequence, entry))
    return outcome


def _sends(view: View, context: Context, endpoint: bytes, message: Mapping[str, Any], packets: Packets) -> Outcome:
    sends = field(message, "sends", tuple)
    if len(sends) > context.parameters.max_sends_per_answer:
        raise BadMessage("too many sends in one answer", field="sends")
    outcome = Outcome()
    for item in sends:
        sending = _sending(item)
        if sending.fence != message["fence"]:
            raise BadMessage("a message id carries the fence of the answer", field="sends")
        current = Overlay(view, outcome.writes)
        opened = keys.open_message(endpoint, sending.fence, sending.counter)
        if current.get(keys.ENDPOINT, opened) is not None:
            raise DuplicateMessage("open already", fence=sending.fence, counter=sending.counter)
        sequence, sent = packets.send(current, context, endpoint, sending)
        outcome.then(sent)
        outcome.set(keys.ENDPOINT, opened, OpenMessage(sending.client, sequence).to_bytes())
        outcome.set(
            keys.ENDPOINT,
            keys.message_of_packet(sending.client, sequence),
            MessageId(endpoint, sending.fence, sending.counter).to_bytes(),
        )
        outcome.emit(
            "message_opened",
            ("endpoint", endpoint.hex()),
            ("client", sending.client),
            ("sequence", str(sequence)),
            ("fence", str(sending.fence)),
            ("counter", str(sending.counter)),
        )
    return outcome


def _sending(item: Any) -> Sending:
    if not isinstance(item, Mapping):
        raise BadMessage("a send is a map", field="sends")
    only_fields(item, "client", "destination", "timeout", "value", "fence", "counter", "beside")
    fence, counter = field(item, "fence", int), field(item, "counter", int)
    if not (0 <= fence < 1 << 63 and 0 <= counter < 1 << 63 and 0 < field(item, "timeout", int) < 1 << 63):
        raise BadMessage("a number of a send is out of range", field="sends")
    return Sending(
        client=ClientId(field(item, "client", str)),
        destination=field(item, "destination", str),
        timeout=UnixSeconds(item["timeout"]),
        value=field(item, "value", bytes),
        fence=fence,
        counter=counter,
        beside=tuple(map(_payload, field(item, "beside", tuple) if "beside" in item else ())),
    )


def _payload(item: Any) -> Payload:
    """One payload to an application: [source port, destination port, version, encoding, value]."""
    if type(item) is not tuple or [type(part) for part in item] != [str, str, str, str, bytes]:
        raise BadMessage("a payload beside is four texts and a byte string", field="beside")
    source, destination, version, encoding, value = item
    return Payload(
        source_port=PortId(source),
        destination_port=PortId(destination),
        version=version,
        encoding=encoding,
        value=value,
    )
