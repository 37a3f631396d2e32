"""The initiator's side, without I/O: each step takes a message, returns the next state, and can be taken once more.

`start` → message_1 → `Sent1.take` → `Met.message_3` → `Sent3.take` → `Established`.
Source: RFC 9528 §5; PROTOCOL P19.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from lockgate.codec import cbor
from lockgate.crypto.errors import OpenFailed
from lockgate.crypto.ports import Encapsulator
from lockgate.session.edhoc.credentials import Credential, Credentials
from lockgate.session.edhoc.decoy import check_none
from lockgate.session.edhoc.errors import (
    CredentialUnusable,
    HandshakeFailed,
    HandshakeMalformed,
    MethodRefused,
    PeerRefused,
    WrongSuite,
)
from lockgate.session.edhoc.established import Established
from lockgate.session.edhoc.exchange import EXCHANGE_FAILURES, Ephemeral
from lockgate.session.edhoc.identity import Identity, check_critical, check_proof, held, static_key
from lockgate.session.edhoc.messages import (
    MAX_EADS,
    WRONG_SUITE,
    Ead,
    Eads,
    ErrorMessage,
    Message1,
    Plaintext2,
    Plaintext3,
    byte_string,
    is_error,
    read_eads,
    sequence,
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
class Sent1:
    """message_1 is on its way; message_2 is awaited."""

    suite: CipherSuite
    message: Message1
    encoded: bytes
    ephemeral: Ephemeral = field(repr=False)

    def take(
        self, message_2: bytes, identity: Identity, credentials: Credentials, understood: Set[int] = frozenset()
    ) -> Met:
        """Authenticate the responder.

        Raises HandshakeMalformed for a message of another form or length, and one HandshakeFailed for whatever is
        wrong inside (P19): its encryption is a bare keystream, so what an answer tells apart an attacker can ask for.
        CriticalEad and MethodRefused come after authentication. PeerRefused when it is an error message.
        """
        if is_error(message_2):
            raise refused(message_2)
        both = byte_string(message_2)
        g_y, ciphertext = both[: self.suite.exchange.answer_bytes], both[self.suite.exchange.answer_bytes :]
        if not ciphertext or len(ciphertext) > 255 * self.suite.hash.digest_bytes:
            raise HandshakeMalformed("message_2 has another length than the suite gives it", got=len(both))
        try:
            met = self._authenticate(g_y, ciphertext, identity, credentials)
        except (HandshakeMalformed, HandshakeFailed, *EXCHANGE_FAILURES):
            raise HandshakeFailed("message_2 does not authenticate") from None
        check_critical(met.eads, understood)
        return met

    def _authenticate(self, g_y: bytes, ciphertext: bytes, identity: Identity, credentials: Credentials) -> Met:
        suite, method = self.suite, self.message.method
        th = th_2(suite.hash, g_y, self.encoded)
        prk_2e = extract(suite, th, self.ephemeral.finish(g_y))
        plaintext = xor(ciphertext, kdf(suite, prk_2e, Info.KEYSTREAM_2, th, len(ciphertext)))
        try:
            inner = Plaintext2.decode(plaintext)
            peer = held(credentials, inner.id_cred, identity.credential)
        except (HandshakeMalformed, HandshakeFailed):
            if method.responder_signs:
                check_none(suite, identity.credential, th, prk_2e)
            raise
        prk_3e2m = prk_2e
        if not method.responder_signs:
            salt = secret(suite, prk_2e, Info.SALT_3E2M, th)
            prk_3e2m = extract(suite, salt, self.ephemeral.finish(static_key(peer)))
        context = context_2(inner.c_r, inner.id_cred, th, peer.cred, inner.eads)
        mac = kdf(suite, prk_3e2m, Info.MAC_2, context, mac_bytes(suite, signs=method.responder_signs))
        check_proof(suite, peer, th, mac, inner.eads, inner.proof, signs=method.responder_signs)
        th_3 = following(suite.hash, th, plaintext, peer.cred)
        return Met(suite, method, self.message.c_i, inner.c_r, peer, inner.eads, g_y, th_3, prk_3e2m, identity)


@dataclass(frozen=True, slots=True)
class Met:
    """The responder is authenticated, and does not know yet by whom."""

    suite: CipherSuite
    method: Method
    c_i: bytes
    c_r: bytes
    peer: Credential
    eads: tuple[Ead, ...]  # EAD_2
    g_y: bytes
    th_3: bytes
    prk_3e2m: bytes = field(repr=False)
    identity: Identity = field(repr=False)

    def message_3(self, eads: Eads = ()) -> tuple[bytes, Sent3]:
        """Raises CredentialUnusable where this side lacks a key for the method."""
        suite, own, signs = self.suite, self.identity.credential, self.method.initiator_signs
        prk_4e3m = self.prk_3e2m
        if not signs:
            salt = secret(suite, self.prk_3e2m, Info.SALT_4E3M, self.th_3)
            prk_4e3m = extract(suite, salt, self.identity.agree(suite, self.g_y))
        context = context_3(own.id_cred, self.th_3, own.cred, eads)
        mac = kdf(suite, prk_4e3m, Info.MAC_3, context, mac_bytes(suite, signs=signs))
        proof = self.identity.prove(suite, self.th_3, mac, eads, signs=signs)
        plaintext = Plaintext3(dict(own.id_cred), proof, tuple(eads)).encode()
        key = kdf(suite, self.prk_3e2m, Info.K_3, self.th_3, suite.aead.key_bytes)
        nonce = kdf(suite, self.prk_3e2m, Info.IV_3, self.th_3, suite.aead.nonce_bytes)
        message = cbor.encode(suite.aead.seal(key, nonce, plaintext, aad(self.th_3)))
        th_4 = following(suite.hash, self.th_3, plaintext, own.cred)
        out = secret(suite, prk_4e3m, Info.PRK_OUT, th_4)
        done = Established(suite, self.c_i, self.c_r, self.peer, th_4, out)
        return message, Sent3(done, prk_4e3m)


@dataclass(frozen=True, slots=True)
class Sent3:
    """message_3 is on its way. Nothing is known to have come of it before message_4 (P19)."""

    unconfirmed: Established
    prk_4e3m: bytes = field(repr=False)

    def take(self, message_4: bytes, understood: Set[int] = frozenset()) -> tuple[Established, tuple[Ead, ...]]:
        """The session, and EAD_4. Raises HandshakeMalformed, HandshakeFailed, CriticalEad, PeerRefused."""
        if is_error(message_4):
            raise refused(message_4)
        done = self.unconfirmed
        try:
            plaintext = keys_4(done.suite, self.prk_4e3m, done.transcript).open(byte_string(message_4))
        except OpenFailed:
            raise HandshakeFailed("message_4 does not authenticate") from None
        eads = read_eads(sequence(plaintext, 2 * MAX_EADS))
        check_critical(eads, understood)
        return done, eads


@dataclass(frozen=True, slots=True)
class Keys4:
    """What message_4 is encrypted with."""

    suite: CipherSuite
    key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    th_4: bytes

    def seal(self, plaintext: bytes) -> bytes:
        return self.suite.aead.seal(self.key, self.nonce, plaintext, aad(self.th_4))

    def open(self, ciphertext: bytes) -> bytes:
        return self.suite.aead.open(self.key, self.nonce, ciphertext, aad(self.th_4))


def keys_4(suite: CipherSuite, prk_4e3m: bytes, th_4: bytes) -> Keys4:
    key = kdf(suite, prk_4e3m, Info.K_4, th_4, suite.aead.key_bytes)
    return Keys4(suite, key, kdf(suite, prk_4e3m, Info.IV_4, th_4, suite.aead.nonce_bytes), th_4)


def start(
    method: Method,
    suites: Sequence[int],
    c_i: bytes,
    entropy: Encapsulator,
    *,
    supported: Sequence[int] | None = None,
    eads: Eads = (),
) -> tuple[bytes, Sent1]:
    """message_1, for a list of own suites with the most preferred one first.

    The first is selected, or the first that is in `supported`: what an error message said the responder has. Raises
    WrongSuite, MethodRefused.
    """
    place = next((at for at, suite in enumerate(suites) if supported is None or suite in supported), None)
    if place is None or suites[place] not in SUITES:
        raise WrongSuite("no suite that both sides support", ours=tuple(suites), theirs=tuple(supported or ()))
    suite = SUITES[suites[place]]
    if not suite.takes(method):
        raise MethodRefused(method=int(method), suite=suite.id)
    return begin(method, tuple(suites[: place + 1]), c_i, suite.exchange.offer(entropy), eads=eads)


def begin(
    method: Method, suites: tuple[int, ...], c_i: bytes, ephemeral: Ephemeral, *, eads: Eads = ()
) -> tuple[bytes, Sent1]:
    """message_1 with a key of the caller's; one key serves one handshake."""
    suite = SUITES[suites[-1]]
    if len(ephemeral.public) != suite.exchange.offer_bytes:
        raise CredentialUnusable("the ephemeral key is of another suite")
    message = Message1(method, suites, ephemeral.public, c_i, tuple(eads))
    encoded = message.encode()
    return encoded, Sent1(suite, message, encoded, ephemeral)


def refused(data: bytes) -> PeerRefused:
    """What an error message says, as an error; `supported` is there when it is about suites."""
    error = ErrorMessage.decode(data)
    if error.code == WRONG_SUITE:
        return PeerRefused("the peer supports other suites", error=error.code, supported=error.info)
    return PeerRefused(str(error.info) if isinstance(error.info, str) else "", error=error.code)


__all__ = ("Keys4", "Met", "Sent1", "Sent3", "begin", "keys_4", "refused", "start")
