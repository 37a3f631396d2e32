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
    "lane.prune": 15_000,  # and for each packet
    "account.rotate": 6_000,  # a second signature, and the record
    "gov.announce": 5_000,
    "gov.cancel": 3_000,
    "gov.stop": 5_000,
    "suite.stop": 5_000,
}
PER_SEND: Final = 10_000  # each send inside an answer or advance
PER_AUTHORIZATION: Final = 20_000  # a hybrid verification, beside the price of the message that carries it
PER_PRUNED: Final = 1_000  # each packet in a run that is forgotten: half a dozen reads, three deletes
AUTHORIZATION: Final = "authorization"  # the field of a message in which an authority's signature stands (P16)
# What freezes a client is shown to every other one (P14): a look at each and at each member of a joined one, the bytes
# of the message where it follows the same ledger, and the signatures where what it holds is contradicted.
PER_CLIENT_SHOWN: Final = 500
EVIDENCE: Final = "v1.Misbehaviour"  # how the type URL of such a message ends
SHOWN_ROOM: Final = 16  # clients of one chain that an estimate leaves room for; those that lanes rest on come first
HEADER_ROOM: Final = 60_000  # for a header that turns out to be evidence: to be shown to a few clients, or to one
SIGNATURE_BYTES: Final = 170  # that evidence has for each signature at least: it, an address, a time, a listed key
PRUNE: Final = "lane.prune"
_UPDATE: Final = "/ibc.core.client.v1.MsgUpdateClient"


ENVELOPE_BYTES: Final = 256  # what COSE and the signature add to a body, rounded up


def estimate(messages: Sequence[tuple[str, Any]], body_bytes: int) -> int:
    """Gas that a transaction of these messages uses at most; unknown messages count nothing.

    Evidence may use more, on a ledger where more than `SHOWN_ROOM` clients follow one chain; a header that turns out
    to be evidence has `HEADER_ROOM`. With less it is shown to fewer, and still freezes the client it is for.
    """
    total = PER_TRANSACTION + PER_SIGNATURE + PER_BYTE * (body_bytes + ENVELOPE_BYTES)
    for name, content in messages:
        total += PER_MESSAGE.get(name, 0)
        if isinstance(content, Mapping):
            total += beside(name, content)
        elif name == _UPDATE:
            total += SHOWN_ROOM * shown(len(content)) if EVIDENCE.encode() in content else HEADER_ROOM
    return total


def beside(name: str, content: Mapping[str, Any]) -> int:
    """What a message of ours costs beside the price of its name: its sends, an authorization, the packets of a run."""
    total = PER_SEND * len(content.get("sends", ())) + PER_AUTHORIZATION * (AUTHORIZATION in content)
    return total + PER_PRUNED * run_length(content) if name == PRUNE else total


def run_length(prune: Mapping[str, Any]) -> int:
    """How many packets a `lane.prune` names; 0 where it is none that its handler takes."""
    first, last = prune.get("first"), prune.get("last")
    return max(0, last - first + 1) if type(first) is int and type(last) is int else 0


def shown(size: int) -> int:
    """Most gas for showing evidence, in a message of so many bytes, to one more client of the chain it is about."""
    return PER_CLIENT_SHOWN + PER_BYTE * size + PER_SIGNATURE * (1 + size // SIGNATURE_BYTES)


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
