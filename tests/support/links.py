"""Two parties that can open a link, on a clock of the test's: key records from names, and a wire that can be spoilt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from lockgate.codec import cbor
from lockgate.crypto.keys import IdentitySigner, KeyRole
from lockgate.crypto.suites import SIGN_ED25519_MLDSA65
from lockgate.envelope.content import LedgerView
from lockgate.keystore.software import OsEntropy, identity_signer
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import Hash32, Height
from lockgate.session.link import Asked, Event, Link, LinkLimits, Presented
from lockgate.session.link.errors import LinkOver
from lockgate.session.meeting import Claims, Party, Sides

VIEW = LedgerView(Height(1, 7), Hash32(b"h" * 32))
SECOND = 1_000_000_000


def signer_of(name: str, suite: int = SIGN_ED25519_MLDSA65.id) -> IdentitySigner:
    return identity_signer(suite, name.encode().ljust(32, b"\0"), KeyRole.IDENTITY)


def party(name: str, signer: IdentitySigner | None = None, *, record: str = "first", client: str = "a-0") -> Party:
    """An endpoint that stands under a name, with the key record of that name (and generation)."""
    key = (signer or signer_of(name)).key
    body = cbor.encode([name, record, list(key.parts)])
    hashed = (name + record).encode().ljust(32)
    return Party(b"domain".ljust(32), client, endpoint_of(name), hashed, body, key)


def endpoint_of(name: str) -> bytes:
    return name.encode().ljust(32)


def sides(own: str, peer: str, *, thief: IdentitySigner | None = None, record: str = "first") -> Sides:
    """`own` as it sees `peer`. `thief` is who holds other private keys than the record names."""
    mine = party(own)
    return Sides(mine, party(peer, record=record), mine.identity(thief or signer_of(own)))


def claims(fence: int = 1, evidence: bytes = b"") -> Claims:
    return Claims(fence, VIEW, VIEW, evidence)


@dataclass
class Friends:
    """Meets `Acquaintances` for one endpoint, by name, with nobody asked."""

    own: str
    peers: list[str]
    revoked: set[str] = field(default_factory=set)
    judged: list[tuple[bytes, int]] = field(default_factory=list)
    refusal: LockgateError | None = None
    record: str = "first"

    async def all(self) -> Sequence[Sides]:
        return [sides(self.own, peer, record=self.record) for peer in self.peers if peer not in self.revoked]

    async def one(self, endpoint: bytes, /) -> Sides:
        name = endpoint.rstrip().decode()
        if name not in self.peers or name in self.revoked:
            raise Nobody(endpoint=endpoint)
        return sides(self.own, name, record=self.record)

    async def claims(self, sides: Sides, /) -> Claims:
        return claims(7)

    async def judge(self, sides: Sides, claims: Claims, /) -> None:
        self.judged.append((sides.peer.endpoint, claims.fence))
        if self.refusal is not None:
            raise self.refusal


class Nobody(Refused):
    code = "tests.nobody"
    summary = "A test's endpoint is not known, or revoked."
    next_step = "None."


Spoil = Callable[[bytes], bytes]


class Pair:
    """Two ends and the wire between them. `at` is the time of both."""

    def __init__(
        self,
        caller: Sides | None = None,
        table: Sequence[Sides] | None = None,
        limits: LinkLimits | None = None,
        *,
        evidence: bytes = b"",
    ) -> None:
        self.at = 0
        self.limits = limits or LinkLimits()
        self.table = list(table) if table is not None else [sides("bob", "alice"), sides("bob", "carol")]
        self.evidence = evidence
        entropy = OsEntropy()
        self.alice = Link.call(caller or sides("alice", "bob"), claims(3), entropy, self.at, self.limits)
        self.bob = Link.answer(entropy, self.at, self.limits)
        self.seen: dict[str, list[Event]] = {"alice": [], "bob": []}
        self.judged: list[Presented] = []

    def feed(self, to: Link, data: bytes) -> list[Event]:
        """Bytes to one end, as it wants them; whatever it asks its caller is answered."""
        found: list[Event] = []
        while data and to.wanted:
            piece, data = data[: to.wanted], data[to.wanted :]
            event = to.receive(piece, self.at)
            if isinstance(event, Asked):
                to.answer_with(self.table, self.at)
                continue
            if isinstance(event, Presented):
                self.judged.append(event)
                event = to.accept(claims(5, self.evidence) if to is self.bob else None, self.at)
            if event is not None:
                found.append(event)
        return found

    def pump(self, *, spoil: Spoil = lambda data: data) -> None:
        """Carry everything both ways until both are silent. `spoil` alters what goes to bob."""
        while out := b"".join(self.alice.take()):
            self.seen["bob"] += self.feed(self.bob, spoil(out))
            self.back()

    def back(self) -> None:
        self.seen["alice"] += self.feed(self.alice, b"".join(self.bob.take()))

    def open(self) -> Pair:
        self.pump()
        assert self.alice.open
        assert self.bob.open
        return self


def refused(failure: type[LockgateError], link: Link, data: bytes, pair: Pair) -> None:
    """One end refuses these bytes and ends: it reads nothing more, and its application can send nothing."""
    with pytest.raises(failure):
        pair.feed(link, data)
    assert not link.open
    assert link.wanted == 0
    with pytest.raises(LinkOver):
        link.send(b"more", pair.at)


def frames(data: bytes) -> list[bytes]:
    """What was written, frame by frame."""
    found = []
    while data:
        end = 4 + int.from_bytes(data[1:4])
        found.append(data[:end])
        data = data[end:]
    return found


__all__ = (
    "SECOND",
    "Friends",
    "Nobody",
    "Pair",
    "claims",
    "endpoint_of",
    "frames",
    "party",
    "refused",
    "sides",
    "signer_of",
)
