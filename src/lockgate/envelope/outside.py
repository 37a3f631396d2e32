"""What anyone can read on an envelope, before it is opened."""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.crypto.suites import seal_suite
from lockgate.envelope.binding import SenderChoice
from lockgate.envelope.cose.encrypt import Encrypt, Encrypt0
from lockgate.envelope.cose.labels import KID, SENDER_CHOICE, SUITE
from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.in_session import TAGGED, parse_in_session
from lockgate.envelope.seal import parse_sealed
from lockgate.primitives.errors import LockgateError


@dataclass(frozen=True, slots=True)
class Outside:
    """Nothing of it is authenticated yet."""

    suite: int
    choice: SenderChoice
    recipient: bytes | None  # key id of the sealing key; None in a session


def inspect_envelope(data: bytes) -> Outside:
    """Read the outside, to choose among keys and records or to look at a replay window first.

    Raises BadEnvelope as opening does.
    """
    try:
        message: Encrypt | Encrypt0 = parse_in_session(data) if data[:1] == TAGGED else parse_sealed(data)
        protected = message.headers.protected
        suite = seal_suite(protected[SUITE])
        choice = SenderChoice.from_value(protected[SENDER_CHOICE])
        recipient = message.recipients[0].headers.protected[KID] if isinstance(message, Encrypt) else None
        return Outside(suite.id, choice, recipient)
    except LockgateError as error:
        raise BadEnvelope from error


__all__ = ("Outside", "inspect_envelope")
