"""Gas: a published price for logical work, never for how fast it was done (I3).

Prices count what a message asks for (bytes, signatures, proofs, records), so two nodes with unlike
caches charge alike. The table is part of the protocol: changing a price is a new app version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lockgate.machine.errors import OutOfGas

PER_TRANSACTION: Final = 3_000  # envelope, one account read and write
PER_SIGNATURE: Final = 1_000  # one Ed25519 verification
PER_BYTE: Final = 1  # of the encoded transaction

PER_MESSAGE: Final[Mapping[str, int]] = {
    "/ibc.core.client.v1.MsgCreateClient": 20_000,
    "/ibc.core.client.v1.MsgUpdateClient": 60_000,  # two signature rounds over a validator set
    "/ibc.core.client.v1.MsgUpgradeClient": 40_000,
    "/ibc.core.client.v1.MsgDeleteClientCreator": 2_000,
    "/ibc.core.client.v2.MsgRegisterCounterparty": 5_000,
    "/ibc.core.client.v2.MsgUpdateClientConfig": 5_000,
    "/ibc.core.channel.v2.MsgSendPacket": 10_000,
    "/ibc.core.channel.v2.MsgRecvPacket": 20_000,
    "/ibc.core.channel.v2.MsgAcknowledgement": 18_000,
    "/ibc.core.channel.v2.MsgTimeout": 18_000,
    "endpoint.register": 60_000,  # an ML-DSA-65 verification and 10 KB of state
    "endpoint.rotate": 80_000,
    "endpoint.fence": 5_000,
    "endpoint.grant": 5_000,
    "endpoint.ungrant": 3_000,
    "token.revoke": 8_000,  # a list of 5 KB is read and written
    "endpoint.answer": 15_000,
    "endpoint.advance": 8_000,
    "lane.open": 100_000,  # four proofs
    "lane.receive": 30_000,  # as MsgRecvPacket, with a second proof
    "lane.foreign": 80_000,  # three
    "lane.prune": 15_000,
    "account.rotate": 6_000,  # a second signature, and the record
    "gov.announce": 5_000,
    "gov.cancel": 3_000,
    "gov.stop": 5_000,
    "suite.stop": 5_000,
}
PER_SEND: Final = 10_000  # each send inside an answer or advance
PER_AUTHORIZATION: Final = 20_000  # a hybrid verification, beside the price of the message that carries it
AUTHORIZATION: Final = "authorization"  # the field of a message in which an authority's signature stands (P16)
# Evidence that freezes a client is shown to every other one (P14): a look at each, and where it follows the same chain,
# so that it may have to verify the whole, what the message itself costs.
PER_CLIENT_SHOWN: Final = 500
EVIDENCE: Final = "v1.Misbehaviour"  # how the type URL of such a message ends
SHOWN_ROOM: Final = 64  # clients of one chain that an estimate leaves room for
_UPDATE: Final = "/ibc.core.client.v1.MsgUpdateClient"


ENVELOPE_BYTES: Final = 256  # what COSE and the signature add to a body, rounded up


def estimate(messages: Sequence[tuple[str, Any]], body_bytes: int) -> int:
    """Gas that a transaction of these messages uses at most; unknown messages count nothing.

    Evidence may take more, on a ledger where more than `SHOWN_ROOM` clients follow one chain.
    """
    total = PER_TRANSACTION + PER_SIGNATURE + PER_BYTE * (body_bytes + ENVELOPE_BYTES)
    for name, content in messages:
        total += PER_MESSAGE.get(name, 0)
        if isinstance(content, Mapping):
            total += PER_SEND * len(content.get("sends", ())) + PER_AUTHORIZATION * (AUTHORIZATION in content)
        elif name == _UPDATE and EVIDENCE.encode() in content:
            total += SHOWN_ROOM * shown(len(content))
    return total


def shown(size: int) -> int:
    """Gas for showing evidence, in a message of so many bytes, to one more client of the chain that it is about."""
    return PER_CLIENT_SHOWN + PER_MESSAGE[_UPDATE] + PER_BYTE * size


class Meter:
    """Counts gas up to a limit."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def charge(self, amount: int, what: str) -> None:
        """Add `amount`; raise OutOfGas, with the limit charged in full, when it does not fit."""
        if self.used + amount > self.limit:
            self.used = self.limit
            raise OutOfGas("out of gas", at=what, limit=self.limit)
        self.used += amount
