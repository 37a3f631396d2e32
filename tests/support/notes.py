"""An application on a ledger: it keeps each note it receives, and refuses the ones that say so."""

from __future__ import annotations

from typing import Final

from lockgate.ibc.ports import Accepted, Call, Reception, Rejected
from lockgate.primitives.state import Outcome, View

PORT: Final = "notes"
REFUSED: Final = "notes.unwanted"


class Notes:
    """Meets `ibc.ports.Application`; writes under `app: note/{how}/{sequence}/{index}`."""

    def on_send(self, view: View, call: Call, /) -> Outcome:
        return self._kept(call, "sent")

    def on_receive(self, view: View, call: Call, /) -> Reception:
        if call.payload.value == b"refuse me":
            return Rejected(REFUSED)
        return Accepted(b"kept", self._kept(call, "received"))

    def on_acknowledgement(self, view: View, call: Call, acknowledgement: bytes, /) -> Outcome:
        return self._kept(call, "acknowledged", acknowledgement)

    def on_timeout(self, view: View, call: Call, /) -> Outcome:
        return self._kept(call, "timed_out")

    @staticmethod
    def _kept(call: Call, how: str, value: bytes = b"") -> Outcome:
        outcome = Outcome()
        outcome.set("app", note_key(how, call.packet.sequence, call.index), value or call.payload.value)
        return outcome


def note_key(how: str, sequence: int, index: int) -> bytes:
    return f"note/{how}/{sequence}/{index}".encode()
