"""A link of two parties with a stream between them: a handshake, then sealed records both ways (P8, P18, P19).

- `frames`: what travels, and how long it may be; `records`: keys of one direction
- `handshake`: EDHOC in frames, with claims judged by the caller; `state`: the link itself, bytes in and bytes out
- `ports`: who proves key records and compares ledgers

Nothing here does I/O or asks the time: `lockgate.transport` runs it over sockets.
"""

from lockgate.session.link.frames import HEADER_BYTES, MAX_CONTENT
from lockgate.session.link.handshake import Asked, Presented
from lockgate.session.link.ports import Acquaintances
from lockgate.session.link.records import LinkLimits
from lockgate.session.link.state import Closed, Data, Event, Healed, Link

__all__ = (
    "HEADER_BYTES",
    "MAX_CONTENT",
    "Acquaintances",
    "Asked",
    "Closed",
    "Data",
    "Event",
    "Healed",
    "Link",
    "LinkLimits",
    "Presented",
)
