"""What a Lockgate guest in Python is written with.

    from lockgate_guest import Guest

    guest = Guest()

    @guest.handles("hello@1.0")
    def hello(message):
        return b"hello, " + message.body

- `Guest`: handlers by schema, by event, and for the operator's commands
- `messages`: send, and answer what was deferred
- `state`: the only thing that lasts between calls
- `ledger`, `randomness`, `log`: time, the two kinds of random bytes, lines for the operator
- `cbor`: deterministic CBOR, the profile Lockgate uses on the wire

A handler returns bytes, returns `DEFER`, or raises `Refused`. Every call runs on a fresh instance of the
whole program: what is not in `state` is gone afterwards. Inside the sandbox `time`, `random` and
`os.urandom` work and come from the ledger and the host (see `component`); `datetime.now()` does not.
"""

from . import cbor, ledger, log, messages, randomness, state
from .guest import DEFER, Guest, Message, Refused
from .messages import SendFailed

__all__ = (
    "DEFER",
    "Guest",
    "Message",
    "Refused",
    "SendFailed",
    "cbor",
    "ledger",
    "log",
    "messages",
    "randomness",
    "state",
)
