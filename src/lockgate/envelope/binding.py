"""What an envelope binds (P17): the place it was sealed for, field by field, as associated data.

The receiver rebuilds all of it. `Context` comes from proven packet fields and the receiver's own
state; `SenderChoice` alone is read from the envelope's protected header. Both sides encode the same
list; a field that differs anywhere makes another list, and nothing opens.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.envelope.errors import BadBinding, BindingMismatch
from lockgate.primitives.ids import ClientId, DomainId, EndpointId, Hash32
from lockgate.primitives.time import UnixSeconds

LABEL: Final = "lockgate/envelope/1"
LABEL_IN_SESSION: Final = "lockgate/envelope-in-session/1"
VERSION: Final = "lockgate-1"  # of the payload (I7)
ENCODING: Final = "application/cose"
CONTENT_SCHEMA: Final = "envelope/content/1"  # id and major version of what is sealed
MAX_PAYLOADS: Final = 16  # of one packet of our own lanes; ibc-go takes one
_U16: Final = 1 << 16
_U32: Final = 1 << 32
_U64: Final = 1 << 64
_HASH: Final = 32


class Role(IntEnum):
    """What an envelope is in its packet's life. Numbers are on the wire and never reused."""

    MESSAGE = 1
    REPLY = 2  # inside an acknowledgement
    REFUSAL = 3  # the sealed detail of a reason record (P3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The place of an envelope. Source is whoever seals it: in a reply, the packet's receiver.

    `source_revision` is that of the source domain's chain id; it is bound by the signatures (P6), not
    by the associated data. `request` is the packet commitment a reply or refusal answers, empty in a
    message. Raises BadBinding on a field out of range.
    """

    suite: int  # seal suite of the recipient's key record
    role: Role
    source_domain: DomainId
    destination_domain: DomainId
    source_client: ClientId  # the source ledger's client of the destination
    destination_client: ClientId
    source_endpoint: EndpointId
    destination_endpoint: EndpointId
    source_key_record: Hash32
    destination_key_record: Hash32
    source_revision: int
    timeout: UnixSeconds  # of the packet
    payload_index: int
    payload_count: int  # 1..MAX_PAYLOADS
    version: str
    encoding: str
    schema: str  # of the sealed content: CONTENT_SCHEMA
    request: bytes  # 32 bytes, or empty

    def __post_init__(self) -> None:
        for name in _HASHES:
            if not _is_bytes(getattr(self, name), _HASH):
                raise BadBinding("not 32 bytes", field=name)
        for name, shortest, longest in _TEXTS:
            value = getattr(self, name)
            if type(value) is not str or not shortest <= len(value) <= longest:
                raise BadBinding("a text has the wrong length", field=name)
        for name, bound in (("suite", _U16), ("source_revision", _U64), ("timeout", _U64)):
            if not _is_below(getattr(self, name), bound):
                raise BadBinding("a number is out of range", field=name)
        if not _is_below(self.payload_index, MAX_PAYLOADS) or not _is_below(self.payload_count, MAX_PAYLOADS + 1):
            raise BadBinding("a packet has 1 to 16 payloads")
        if self.payload_index >= self.payload_count:
            raise BadBinding("the payload's index is not below their count", index=self.payload_index)
        if not isinstance(self.role, Role) or not _is_bytes(self.request, 0 if self.role is Role.MESSAGE else _HASH):
            raise BadBinding("a reply names its request by 32 bytes, a message names none")

    def require_ours(self) -> None:
        """Raise BindingMismatch unless version, encoding and schema are those of this format."""
        if (self.version, self.encoding, self.schema) != (VERSION, ENCODING, CONTENT_SCHEMA):
            raise BindingMismatch(version=self.version, encoding=self.encoding, schema=self.schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderChoice:
    """The only fields a receiver takes from the envelope: session, place in it, and message number.

    Outside sessions `session` and `place` are None, `epoch` 0 and `start_salt` empty; a content key is then drawn
    for each message. `fence` and `counter` with the sender's endpoint id are the message id (I7); `place` counts the
    messages of a session alone, so that a sender of many sessions leaves no gaps in any. A reply restates session,
    epoch, salt and place of the message it answers.
    """

    session: bytes | None  # 32 bytes
    epoch: int
    start_salt: bytes  # 32 bytes in a session (P8)
    fence: int  # the sender's start, 1..2^32-1; 32 bits outlast a restart each second for a century
    counter: int  # from 0 within a start
    place: int | None = None  # from 0 within a start, in a session

    def __post_init__(self) -> None:
        in_session = self.session is not None
        if in_session and not _is_bytes(self.session, _HASH):
            raise BadBinding("a session id has 32 bytes", field="session")
        if not _is_bytes(self.start_salt, _HASH if in_session else 0):
            raise BadBinding("a start salt has 32 bytes, in a session", field="start_salt")
        if not _is_below(self.epoch, _U32) or (self.epoch and not in_session):
            raise BadBinding("an epoch is a number within a session", field="epoch")
        if not _is_below(self.fence, _U32) or not self.fence or not _is_below(self.counter, _U64):
            raise BadBinding("fence or counter is out of range", fence=self.fence, counter=self.counter)
        if not (_is_below(self.place, _U32) if in_session else self.place is None):
            raise BadBinding("a message has a place in a session, and none outside", field="place")

    @classmethod
    def outside_sessions(cls, fence: int, counter: int) -> Self:
        return cls(session=None, epoch=0, start_salt=b"", fence=fence, counter=counter)

    def to_value(self) -> tuple[Any, ...]:
        choice = (self.session, self.epoch, self.start_salt, self.fence, self.counter)
        return choice if self.place is None else (*choice, self.place)

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """Read the header parameter. Raises BindingMismatch."""
        if type(value) is not tuple or len(value) not in (5, 6):
            raise BindingMismatch("the sender's choice is an array of five, or six in a session")
        session, epoch, start_salt, fence, counter, *more = value
        place = more[0] if more else None
        try:
            return cls(session=session, epoch=epoch, start_salt=start_salt, fence=fence, counter=counter, place=place)
        except BadBinding as error:
            raise BindingMismatch("the sender's choice is out of range") from error

    @property
    def nonce(self) -> bytes:
        """12 bytes that no other message of this sender has: fence, then counter.

        The content key is fresh for each message. Should the entropy of a cloned machine repeat it,
        the clone has another fence (P8), so key and nonce still do not repeat together.
        """
        return self.fence.to_bytes(4) + self.counter.to_bytes(8)


@dataclass(frozen=True, slots=True)
class MessageId:
    """What a message is called: its sender, the sender's start, and a number within it (I7)."""

    sender: EndpointId
    fence: int
    counter: int


@dataclass(frozen=True, slots=True)
class Binding:
    """All that P17 lists."""

    context: Context
    choice: SenderChoice

    @property
    def message_id(self) -> MessageId:
        return MessageId(self.context.source_endpoint, self.choice.fence, self.choice.counter)

    def encode(self) -> bytes:
        """The associated data: one deterministic CBOR list. Source: P17; schemas in `cddl/`."""
        context, choice = self.context, self.choice
        return cbor.encode(
            [
                LABEL if choice.session is None else LABEL_IN_SESSION,
                context.suite,
                int(context.role),
                context.source_domain,
                context.destination_domain,
                context.source_client,
                context.destination_client,
                context.source_endpoint,
                context.destination_endpoint,
                context.source_key_record,
                context.destination_key_record,
                choice.session,
                choice.epoch,
                choice.start_salt,
                choice.fence,
                choice.counter,
                context.timeout,
                context.payload_index,
                context.payload_count,
                context.version,
                context.encoding,
                context.schema,
                context.request or None,
                *(() if choice.place is None else (choice.place,)),
            ]
        )


_HASHES: Final = (
    "source_domain",
    "destination_domain",
    "source_endpoint",
    "destination_endpoint",
    "source_key_record",
    "destination_key_record",
)
_TEXTS: Final = (
    ("source_client", 8, 64),  # ICS-24
    ("destination_client", 8, 64),
    ("version", 1, 128),  # as long as a port: ours have far less, and IBC sets no limit
    ("encoding", 1, 128),
    ("schema", 1, 128),
)


def _is_bytes(value: object, size: int) -> bool:
    return type(value) is bytes and len(value) == size


def _is_below(value: object, bound: int) -> bool:
    return type(value) is int and 0 <= value < bound


__all__ = (
    "CONTENT_SCHEMA",
    "ENCODING",
    "LABEL",
    "LABEL_IN_SESSION",
    "MAX_PAYLOADS",
    "VERSION",
    "Binding",
    "Context",
    "MessageId",
    "Role",
    "SenderChoice",
)
