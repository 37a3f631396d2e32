"""One side's own means of authentication, and the checks both roles share."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from lockgate.crypto.dh import DhKey
from lockgate.crypto.hashes import equal
from lockgate.crypto.ports import Signer
from lockgate.session.edhoc.credentials import Credential, Credentials, same
from lockgate.session.edhoc.errors import CredentialUnusable, CriticalEad, HandshakeFailed
from lockgate.session.edhoc.exchange import DhExchange
from lockgate.session.edhoc.messages import Ead, Eads, IdCred
from lockgate.session.edhoc.schedule import to_be_signed
from lockgate.session.edhoc.suites import CipherSuite


@dataclass(frozen=True, slots=True)
class Identity:
    """A credential with the private keys behind it: signers of the suite's algorithms, or a static key."""

    credential: Credential
    signers: Sequence[Signer] = ()
    static: DhKey | None = field(default=None, repr=False)

    def agree(self, suite: CipherSuite, peer: bytes) -> bytes:
        """The static secret with the other side's ephemeral key, as it travelled. Raises BadKey, CredentialUnusable."""
        if self.static is None or not isinstance(suite.exchange, DhExchange):
            raise CredentialUnusable("this side has no static key for the method")
        return self.static.exchange(suite.exchange.widen(peer))

    def prove(self, suite: CipherSuite, th: bytes, mac: bytes, eads: Eads, *, signs: bool) -> bytes:
        """Signature_or_MAC_x."""
        if not signs:
            return mac
        one = self.credential
        return suite.signature.sign(self.signers, to_be_signed(one.id_cred, th, one.cred, eads, mac))


def held(credentials: Credentials, id_cred: IdCred, own: Credential) -> Credential:
    """The peer's credential. Raises HandshakeFailed for one that is not held, and for this side's own (reflection)."""
    found = credentials.find(id_cred)
    if found is None or same(found, own):
        raise HandshakeFailed("no such credential is held")
    return found


def check_proof(
    suite: CipherSuite, peer: Credential, th: bytes, mac: bytes, eads: Eads, proof: bytes, *, signs: bool
) -> None:
    """Raise HandshakeFailed unless the peer's signature, or MAC, is right."""
    if signs:
        good = suite.signature.verify(peer.signing, proof, to_be_signed(peer.id_cred, th, peer.cred, eads, mac))
    else:
        good = equal(mac, proof)
    if not good:
        raise HandshakeFailed("the peer's proof does not hold")


def static_key(peer: Credential) -> bytes:
    """The peer's static key as it travels. Raises HandshakeFailed where its credential has none."""
    if peer.agreement is None:
        raise HandshakeFailed("the credential holds no static key")
    return peer.agreement


def check_critical(eads: Sequence[Ead], understood: Set[int]) -> None:
    """Raises CriticalEad."""
    for ead in eads:
        if ead.critical and ead.label not in understood:
            raise CriticalEad(label=ead.label)


__all__ = ("Identity", "check_critical", "check_proof", "held", "static_key")
