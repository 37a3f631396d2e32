"""The responder's side, without I/O: `receive` → `Asked.message_2` → `Sent2.take` → `Proven.message_4`.

Source: RFC 9528 §5; PROTOCOL P19.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from lockgate.codec import cbor
from lockgate.crypto.errors import OpenFailed
from lockgate.crypto.ports import Encapsulator
from lockgate.session.edhoc.credentials import Credentials
from lockgate.session.edhoc.errors import HandshakeFailed, HandshakeMalformed, MethodRefused, WrongSuite
from lockgate.session.edhoc.established import Established
from lockgate.session.edhoc.exchange import EXCHANGE_FAILURES, DhEphemeral, Response
from lockgate.session.edhoc.identity import Identity, check_critical, check_proof, held, static_key
from lockgate.session.edhoc.initiator import keys_4, refused
from lockgate.session.edhoc.messages import (
    Ead,
    Eads,
    Message1,
    Plaintext2,
    Plaintext3,
    byte_string,
    encode_eads,
    is_error,
)
from lockgate.session.edhoc.schedule import (
    Info,
    aad,
    context_2,
    context_3,
    extract,
    following,
    kdf,
    mac_bytes,
    secret,
    th_2,
    xor,
)
from lockgate.session.edhoc.suites import SUITES, CipherSuite, Method


@dataclass(frozen=True, slots=True)
class Asked:
    """A message_1 that can be answered. Nothing in it is authenticated: EAD_1 may be anybody's."""

    suite: CipherSuite
    message: Message1
    encoded: bytes

    @property
    def hash(self) -> bytes:
        """H(message_1): of two handshakes that cross, the one with the lower hash goes on (P19)."""
        return self.suite.hash.digest(self.encoded)

    def message_2(self, c_r: bytes, identity: Identity, entropy: Encapsulator, eads: Eads = ()) -> tuple[bytes, Sent2]:
        """Raises HandshakeMalformed for a key that cannot be answered."""
        try:
            response = self.suite.exchange.answer(self.message.g_x, entropy)
        except EXCHANGE_FAILURES as error:
            raise HandshakeMalformed("G_X cannot be answered") from error
        return self.answer(c_r, identity, response, eads)

    def answer(self, c_r: bytes, identity: Identity, response: Response, eads: Eads = ()) -> tuple[bytes, Sent2]:
        """message_2 with an exchange of the caller's. Raises CredentialUnusable, HandshakeMalformed."""
        suite, own, signs = self.suite, identity.credential, self.message.method.responder_signs
        th = th_2(suite.hash, response.public, self.encoded)
        prk_2e = extract(suite, th, response.shared)
        prk_3e2m = prk_2e
        if not signs:
            salt = secret(suite, prk_2e, Info.SALT_3E2M, th)
            try:
                prk_3e2m = extract(suite, salt, identity.agree(suite, self.message.g_x))
            except EXCHANGE_FAILURES as error:
                raise HandshakeMalformed("G_X cannot be answered") from error
        context = context_2(c_r, own.id_cred, th, own.cred, eads)
        mac = kdf(suite, prk_3e2m, Info.MAC_2, context, mac_bytes(suite, signs=signs))
        proof = identity.prove(suite, th, mac, eads, signs=signs)
        plaintext = Plaintext2(c_r, dict(own.id_cred), proof, tuple(eads)).encode()
        ciphertext = xor(plaintext, kdf(suite, prk_2e, Info.KEYSTREAM_2, th, len(plaintext)))
        th_3 = following(suite.hash, th, plaintext, own.cred)
        sent = Sent2(suite, self.message.method, self.message.c_i, c_r, th_3, prk_3e2m, response.ephemeral, identity)
        return cbor.encode(response.public + ciphertext), sent


@dataclass(frozen=True, slots=True)
class Sent2:
    """message_2 is on its way; message_3 is awaited."""

    suite: CipherSuite
    method: Method
    c_i: bytes
    c_r: bytes
    th_3: bytes
    prk_3e2m: bytes = field(repr=False)
    ephemeral: DhEphemeral | None = field(repr=False)
    identity: Identity = field(repr=False)

    def take(self, message_3: bytes, credentials: Credentials, understood: Set[int] = frozenset()) -> Proven:
        """Authenticate the initiator.

        Raises HandshakeMalformed for a message of another form, HandshakeFailed for whatever does not authenticate,
        CriticalEad, PeerRefused when it is an error message.
        """
        if is_error(message_3):
            raise refused(message_3)
        suite = self.suite
        key = kdf(suite, self.prk_3e2m, Info.K_3, self.th_3, suite.aead.key_bytes)
        nonce = kdf(suite, self.prk_3e2m, Info.IV_3, self.th_3, suite.aead.nonce_bytes)
        ciphertext = byte_string(message_3)
        try:
            plaintext = suite.aead.open(key, nonce, ciphertext, aad(self.th_3))
            proven = self._authenticate(plaintext, credentials)
        except (OpenFailed, HandshakeMalformed, HandshakeFailed, *EXCHANGE_FAILURES):
            raise HandshakeFailed("message_3 does not authenticate") from None
        check_critical(proven.eads, understood)
        return proven

    def _authenticate(self, plaintext: bytes, credentials: Credentials) -> Proven:
        suite, signs = self.suite, self.method.initiator_signs
        inner = Plaintext3.decode(plaintext)
        peer = held(credentials, inner.id_cred, self.identity.credential)
        prk_4e3m = self.prk_3e2m
        if not signs:
            if self.ephemeral is None:
                raise HandshakeFailed("the suite has no static keys")
            salt = secret(suite, self.prk_3e2m, Info.SALT_4E3M, self.th_3)
            prk_4e3m = extract(suite, salt, self.ephemeral.finish(static_key(peer)))
        context = context_3(inner.id_cred, self.th_3, peer.cred, inner.eads)
        mac = kdf(suite, prk_4e3m, Info.MAC_3, context, mac_bytes(suite, signs=signs))
        check_proof(suite, peer, self.th_3, mac, inner.eads, inner.proof, signs=signs)
        th_4 = following(suite.hash, self.th_3, plaintext, peer.cred)
        out = secret(suite, prk_4e3m, Info.PRK_OUT, th_4)
        return Proven(Established(suite, self.c_i, self.c_r, peer, th_4, out), inner.eads, prk_4e3m)


@dataclass(frozen=True, slots=True)
class Proven:
    """Both sides are authenticated; message_4 tells the initiator so."""

    established: Established
    eads: tuple[Ead, ...]  # EAD_3
    prk_4e3m: bytes = field(repr=False)

    def message_4(self, eads: Eads = ()) -> bytes:
        done = self.established
        return cbor.encode(keys_4(done.suite, self.prk_4e3m, done.transcript).seal(encode_eads(eads)))


def receive(
    message_1: bytes,
    supported: Sequence[int],
    methods: Set[Method] = frozenset({Method.SIGN_SIGN}),
    understood: Set[int] = frozenset(),
) -> Asked:
    """Judge a message_1.

    Raises HandshakeMalformed; MethodRefused; WrongSuite, to be answered with `ErrorMessage.wrong_suite`, also when the
    initiator names a suite before the selected one that is supported here: somebody took it out of the choice (RFC 9528
    §5.2.3); CriticalEad.
    """
    message = Message1.decode(message_1)
    first = next((suite for suite in message.suites if suite in supported), None)
    if first is None or first != message.selected or first not in SUITES:
        raise WrongSuite(selected=message.selected, offered=message.suites, ours=tuple(supported))
    suite = SUITES[first]
    if message.method not in methods or not suite.takes(message.method):
        raise MethodRefused(method=int(message.method), suite=suite.id)
    try:
        suite.exchange.check(message.g_x)
    except EXCHANGE_FAILURES as error:
        raise HandshakeMalformed("G_X is not a public key of the selected suite") from error
    check_critical(message.eads, understood)
    return Asked(suite, message, message_1)


__all__ = ("Asked", "Proven", "Sent2", "receive")
