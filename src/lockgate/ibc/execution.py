"""Running the applications of a received packet as one step that happens whole or not at all.

All payloads run in order on one sub-state. The first refusal drops everything that was written,
by the gate and by earlier payloads alike; their events come out marked as never having happened.
Source: ICS-04 v2 atomic payloads, P2, P3, P4.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from lockgate.ibc.errors import BadAcknowledgement, DeferredAmongSeveral, SentinelAsSuccess
from lockgate.ibc.events import as_errors
from lockgate.ibc.packet import SENTINEL
from lockgate.ibc.ports import Accepted, Call, Passage, Rejected
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.quick import make
from lockgate.primitives.state import Event, Outcome, Overlay, View

NONE_GIVEN: Final[Mapping[int, bytes]] = MappingProxyType({})


class Executed(NamedTuple):
    """Every payload was accepted. One acknowledgement element per payload, in order."""

    outcome: Outcome
    elements: tuple[bytes, ...]


class Undone(NamedTuple):
    """A payload was refused; nothing of any payload remains but these events."""

    rejected: Rejected
    events: tuple[Event, ...]


class Postponed(NamedTuple):
    """The only payload was taken and will be acknowledged later."""

    outcome: Outcome


def execute(
    wiring: Wiring,
    view: View,
    passage: Passage,
    first: Outcome,
    *,
    own: bool,
    given: Mapping[int, bytes] = NONE_GIVEN,
) -> Executed | Undone | Postponed:
    """Run the applications of a packet on top of `first`, which shares their fate.

    Payloads in `given` were executed elsewhere and bring their acknowledgement bytes. On own lanes
    each element is made to start with the packet's commitment, whatever the application (P4).
    Raises NoRoute, SentinelAsSuccess, BadAcknowledgement or DeferredAmongSeveral.
    """
    payloads = passage.packet.payloads
    begun = Outcome(first.writes.copy(), first.events.copy())
    current = Overlay(view, begun.writes)
    elements = []
    for index, payload in enumerate(payloads):
        acknowledgement = given.get(index)
        if acknowledgement is None:
            application = wiring.router.route(payload.destination_port)
            reception = application.on_receive(current, make(Call, (passage, index)))
            if isinstance(reception, Rejected):
                return Undone(reception, tuple(as_errors(begun.events)))
            begun.then(reception.outcome)
            if not isinstance(reception, Accepted):
                if len(payloads) > 1:
                    raise DeferredAmongSeveral("deferred", port=payload.destination_port, index=index)
                return Postponed(begun)
            acknowledgement = reception.acknowledgement
        if acknowledgement == SENTINEL:
            raise SentinelAsSuccess("the error sentinel", port=payload.destination_port)
        if not acknowledgement:
            raise BadAcknowledgement("an application gave no bytes", port=payload.destination_port)
        elements.append(passage.commitment + acknowledgement if own else acknowledgement)
    return make(Executed, (begun, tuple(elements)))
