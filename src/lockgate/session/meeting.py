"""Who meets in a handshake, and for what: key records as credentials, and what each side states about itself (P19).

A credential is an endpoint's key record, named by its hash: whoever verifies has proven on the endpoint's ledger that
it is the current one. Claims travel as external authorisation data of message_2 and message_3, inside the transcript.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.crypto.keys import IdentityKey, IdentitySigner
from lockgate.crypto.suites import SIGN_ED25519, SIGN_ED25519_MLDSA65, SIGN_P256_MLDSA65
from lockgate.envelope.content import LedgerView
from lockgate.envelope.errors import ContentMalformed
from lockgate.session.edhoc.credentials import Credential
from lockgate.session.edhoc.errors import HandshakeFailed, WrongSuite
from lockgate.session.edhoc.identity import Identity
from lockgate.session.edhoc.messages import KID, Ead
from lockgate.session.edhoc.suites import DEFAULT, SUITE_4

LABEL: Final = "lockgate/meeting/1"
CLAIMS: Final = 65_001  # EAD labels of ours, in the registry's range for private use; critical
EVIDENCE: Final = 65_002  # of the environment a side runs in: carried and bound here, appraised elsewhere
UNDERSTOOD: Final = frozenset({CLAIMS, EVIDENCE})
MAX_EVIDENCE: Final = 32_768
_BY_IDENTITY: Final = {
    SIGN_ED25519_MLDSA65.id: DEFAULT,
    SIGN_P256_MLDSA65.id: DEFAULT,
    SIGN_ED25519.id: (SUITE_4.id,),
}
SPOKEN: Final = frozenset(suite for suites in _BY_IDENTITY.values() for suite in suites)  # by hosts in packets


@dataclass(frozen=True, slots=True)
class Party:
    """One endpoint as the other proved it: where it is registered, and its current key record."""

    domain: bytes
    client: str  # its ledger's client of the other one's
    endpoint: bytes
    record: bytes  # hash of the key record
    body: bytes  # the key record itself
    key: IdentityKey

    @property
    def credential(self) -> Credential:
        return Credential({KID: self.record}, cbor.encode(self.body), self.key.parts)

    def identity(self, signer: IdentitySigner) -> Identity:
        """This party with its private keys."""
        return Identity(self.credential, signer.signers)

    def to_value(self) -> list[Any]:
        return [self.domain, self.client, self.endpoint, self.record]


@dataclass(frozen=True, slots=True)
class Sides:
    """Both parties as one of them sees them, and that one's private keys.

    `suites` are those they may use, the strongest first, where their ledgers say so (S61).
    """

    own: Party
    peer: Party
    identity: Identity = field(repr=False)
    suites: tuple[int, ...] = ()

    @property
    def offered(self) -> tuple[int, ...]:
        """What a handshake begins with; where no ledger says it, what has both signatures. Raises WrongSuite."""
        return self.suites or suites_of(self.own.key, self.peer.key)

    @property
    def records(self) -> tuple[bytes, bytes]:
        return self.own.record, self.peer.record

    def context(self, *, initiator: bool) -> bytes:
        """What both meet for, where this side began the handshake or not."""
        return meeting(self.own, self.peer) if initiator else meeting(self.peer, self.own)


def meeting(initiator: Party, responder: Party) -> bytes:
    """What both sides meet for: the exporter's context, so that another lane or record makes other secrets."""
    return cbor.encode([LABEL, initiator.to_value(), responder.to_value()])


def suites_of(own: IdentityKey, peer: IdentityKey) -> tuple[int, ...]:
    """Suites for two identities, best first: their signatures decide. Raises WrongSuite."""
    suites = _BY_IDENTITY.get(own.suite)
    if suites is None or suites != _BY_IDENTITY.get(peer.suite):
        raise WrongSuite("no suite has the signatures of both key records", ours=own.suite, theirs=peer.suite)
    return tuple(suites)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a side states of itself: its fence (P8), and the newest headers it trusts of both ledgers."""

    fence: int
    own_seen: LedgerView
    peer_seen: LedgerView
    evidence: bytes = b""

    def eads(self) -> tuple[Ead, ...]:
        value = cbor.encode([self.fence, self.own_seen.to_value(), self.peer_seen.to_value()])
        claims = Ead(CLAIMS, value, critical=True)
        return (claims, Ead(EVIDENCE, self.evidence)) if self.evidence else (claims,)

    @classmethod
    def of(cls, eads: Sequence[Ead]) -> Self:
        """The claims among a peer's authenticated data. Raises HandshakeFailed."""
        stated = [ead.value for ead in eads if ead.label == CLAIMS]
        evidence = [ead.value or b"" for ead in eads if ead.label == EVIDENCE]
        if len(stated) != 1 or stated[0] is None or len(evidence) > 1:
            raise HandshakeFailed("a side states its claims once")
        try:
            fence, own, peer = cbor.decode(stated[0])
            views = tuple(map(LedgerView.from_value, (own, peer)))
        except (Malformed, ContentMalformed, TypeError, ValueError) as error:
            raise HandshakeFailed("claims of another shape") from error
        if type(fence) is not int or not 0 < fence < 1 << 32 or any(len(one) > MAX_EVIDENCE for one in evidence):
            raise HandshakeFailed("claims out of range")
        return cls(fence, views[0], views[1], *evidence)


__all__ = ("CLAIMS", "EVIDENCE", "SPOKEN", "UNDERSTOOD", "Claims", "Party", "Sides", "meeting", "suites_of")
