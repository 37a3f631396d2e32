"""Two parties that can meet by EDHOC in any method and suite, with keys from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lockgate.codec import cbor
from lockgate.crypto import ecdsa, ed25519
from lockgate.crypto.dh import DhKey
from lockgate.crypto.ec import P256, P384
from lockgate.crypto.hashes import SHA256, SHA384
from lockgate.crypto.ports import Signer
from lockgate.lab.entropy import SeededEntropy, seeded_signer
from lockgate.session.edhoc import SUITES, CipherSuite, Credential, Established, Identity, Known, Method, receive, start
from lockgate.session.edhoc.exchange import DhExchange
from lockgate.session.edhoc.initiator import Met, Sent1, Sent3
from lockgate.session.edhoc.messages import Ead
from lockgate.session.edhoc.responder import Asked, Proven, Sent2


class _Ecdsa:
    def __init__(self, algorithm: str, scalar: bytes) -> None:
        curve, hash_ = (P256, SHA256) if algorithm == "ES256" else (P384, SHA384)
        self._key = ecdsa.SigningKey(curve, hash_, scalar)
        self.algorithm = algorithm
        self.public_key = self._key.public_key

    def sign(self, message: bytes, /) -> bytes:
        return self._key.sign(message)


def signer(algorithm: str, seed: bytes) -> Signer:
    if algorithm in ("ES256", "ES384"):
        return _Ecdsa(algorithm, seed[:32] if algorithm == "ES256" else seed[:32] + bytes(16))
    return seeded_signer(algorithm, seed[:32])


def static_key(suite: CipherSuite, seed: bytes) -> DhKey | None:
    if not isinstance(suite.exchange, DhExchange):
        return None
    return suite.exchange.offer(SeededEntropy(seed)).key


def party(name: str, suite: CipherSuite, *, kid: bytes | None = None, seed: str = "") -> Identity:
    """An identity with signing keys and, where the suite has such, a static key."""
    entropy = SeededEntropy((name + seed).encode())
    signers = [signer(algorithm, b"\x01" + entropy.bytes(31)) for algorithm in suite.signature.algorithms]
    static = static_key(suite, entropy.bytes(32))
    agreement = None
    if static is not None and isinstance(suite.exchange, DhExchange):
        agreement = suite.exchange.narrow(static.public_key)
    signing = tuple(one.public_key for one in signers)
    cred = cbor.encode([name, list(signing), agreement])
    id_cred: Mapping[int, Any] = {4: kid if kid is not None else name.encode()}
    return Identity(Credential(id_cred, cred, signing, agreement), signers, static)


@dataclass
class Pair:
    """An initiator and a responder that hold each other's credentials. Each step can be spoilt from outside."""

    suite: CipherSuite
    method: Method = Method.SIGN_SIGN
    seed: str = ""
    known: Known = field(init=False)

    def __post_init__(self) -> None:
        self.entropy = SeededEntropy(b"exchange" + self.seed.encode())
        self.initiator, self.responder = party("alice", self.suite), party("bob", self.suite)
        self.known = Known([self.initiator.credential, self.responder.credential])

    def first(self, *eads: Ead) -> tuple[bytes, Sent1]:
        return start(self.method, [self.suite.id], b"\x0e", self.entropy, eads=eads)

    def received(self, message_1: bytes, understood: frozenset[int] = frozenset()) -> Asked:
        return receive(message_1, [self.suite.id], {self.method}, understood)

    def second(self, message_1: bytes, *eads: Ead) -> tuple[bytes, Sent2]:
        return self.received(message_1).message_2(b"conn-r", self.responder, self.entropy, eads)

    def met(self) -> tuple[Met, Sent2]:
        message_1, sent_1 = self.first()
        message_2, sent_2 = self.second(message_1)
        return sent_1.take(message_2, self.initiator, self.known), sent_2

    def proven(self) -> tuple[Sent3, Proven]:
        met, sent_2 = self.met()
        message_3, sent_3 = met.message_3()
        return sent_3, sent_2.take(message_3, self.known)

    def established(self) -> tuple[Established, Established]:
        sent_3, proven = self.proven()
        return sent_3.take(proven.message_4())[0], proven.established


CLASSIC = tuple(suite for suite in SUITES.values() if not suite.post_quantum)
HYBRID = tuple(suite for suite in SUITES.values() if suite.post_quantum)

__all__ = ("CLASSIC", "HYBRID", "Pair", "ed25519", "party", "signer")
