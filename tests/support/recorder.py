"""A recorder that keeps every packet, and tries to open each with whatever it was handed later (P18).

It knows what a party knows of where a message stands; what it lacks are keys. So with the keys of a session of before
it opens what was sent then, and a test that it opens nothing can fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lockgate.crypto.ports import Decapsulator
from lockgate.envelope.binding import Context, Role
from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.outside import inspect_envelope
from lockgate.host.sealing import Place, outgoing, unseal, unseal_within
from lockgate.hosting.sessions import place_of
from lockgate.ibc.packet import Packet
from lockgate.primitives.errors import LockgateError
from lockgate.session import Book
from tests.support.hosts import HostWorld, Side


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message as it left a ledger."""

    world: HostWorld
    sender: Side
    packet: Packet

    @property
    def in_session(self) -> bool:
        return inspect_envelope(self.value).choice.session is not None

    @property
    def value(self) -> bytes:
        return self.packet.payloads[0].value

    @property
    def receiver(self) -> Side:
        return self.world.other(self.sender)

    @property
    def context(self) -> Context:
        """What both ends know of where it stands."""
        lane = self.sender.host.peers.lane(self.sender.host.peers.named(self.receiver.name))
        place = Place(Role.MESSAGE, self.packet.timeout, b"", 0, len(self.packet.payloads))
        return outgoing(lane, self.sender.endpoint.record, self.receiver.endpoint.record, place)

    def opened_with(self, books: Iterable[Book], sealing: Iterable[Decapsulator] = ()) -> bytes | None:
        """The body, if any of these books or long-term keys gives it."""
        value, context = self.value, self.context
        choice = inspect_envelope(value).choice
        if choice.session is None:
            for key in sealing:
                try:
                    return unseal(context, key, self.sender.endpoint.record, value).content.body
                except BadEnvelope:
                    continue
            return None
        for session in (one for book in books for one in book if one.name == choice.session):
            try:
                keys, _ = session.open(place_of(choice))
                return unseal_within(context, keys.message, self.sender.endpoint.record, value).content.body
            except LockgateError:
                continue
        return None


def record(world: HostWorld, side: Side) -> list[Recorded]:
    """Everything that left a side's ledger."""
    side.relayed = 0
    return [Recorded(world, side, packet) for packet in world.sent(side)]
