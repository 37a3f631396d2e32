"""A good world of envelopes: two endpoints on two ledgers, their keys, and one packet between them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lockgate.codec.registry import SchemaName, Version
from lockgate.crypto.commitment import key_commitment
from lockgate.crypto.hybrid import Purpose
from lockgate.crypto.keys import IdentityKey, IdentitySigner, KeyRole, SealingKey
from lockgate.crypto.ports import Decapsulator
from lockgate.crypto.suites import SEAL_X25519, SEAL_XWING_AES, SIGN_ED25519, SIGN_ED25519_MLDSA65, seal_suite
from lockgate.envelope.binding import (
    CONTENT_SCHEMA,
    ENCODING,
    VERSION,
    Binding,
    Context,
    Role,
    SenderChoice,
)
from lockgate.envelope.content import Content, LedgerView
from lockgate.envelope.cose import distribution
from lockgate.envelope.cose.agreement import Agreed
from lockgate.envelope.cose.algorithms import SEAL_CONTENT, SEAL_KEY_ENCRYPTION, SIGNER_NUMBERS
from lockgate.envelope.cose.encrypt import Encrypt, encrypt
from lockgate.envelope.cose.headers import Acceptance, Headers
from lockgate.envelope.cose.hpke import HpkeKey
from lockgate.envelope.cose.labels import Label
from lockgate.envelope.cose.recipients import Receiver
from lockgate.envelope.cose.sign import Sign
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.seal import Opened, open_envelope, seal_envelope
from lockgate.keystore.software import OsEntropy, identity_signer
from lockgate.primitives.ids import ClientId, DomainId, EndpointId, Hash32, Height
from lockgate.primitives.time import UnixSeconds

LAB = (SEAL_X25519.id, SIGN_ED25519.id)
HYBRID = (SEAL_XWING_AES.id, SIGN_ED25519_MLDSA65.id)


def h(text: str) -> Hash32:
    return Hash32(hashlib.sha256(text.encode()).digest())


def context(suite: int, **changes: Any) -> Context:
    base = Context(
        suite=suite,
        role=Role.MESSAGE,
        source_domain=DomainId(h("domain a")),
        destination_domain=DomainId(h("domain b")),
        source_client=ClientId("07-tendermint-0"),
        destination_client=ClientId("07-tendermint-3"),
        source_endpoint=EndpointId(h("alice")),
        destination_endpoint=EndpointId(h("bob")),
        source_key_record=h("alice's record"),
        destination_key_record=h("bob's record"),
        source_revision=1,
        timeout=UnixSeconds(1_800_000_000),
        payload_index=0,
        payload_count=1,
        version=VERSION,
        encoding=ENCODING,
        schema=CONTENT_SCHEMA,
        request=b"",
    )
    return replace(base, **changes)


def content(body: bytes = b"a quote") -> Content:
    return Content(
        source_seen=LedgerView(Height(1, 42), h("header a")),
        destination_seen=LedgerView(Height(1, 17), h("header b")),
        schema=SchemaName("test/quote", Version(1, 0)),
        body=body,
    )


class World:
    """`suites` are (seal suite, signature suite). Every part can be spoiled before `open`."""

    def __init__(self, suites: tuple[int, int] = HYBRID, seed: bytes = bytes(32)) -> None:
        self.suites = suites
        self.alice: IdentitySigner = identity_signer(suites[1], seed, KeyRole.IDENTITY)
        self.author: IdentityKey = self.alice.key
        self.bob: Decapsulator = seal_suite(suites[0]).kem.derive_key(b"bob" + seed)
        self.recipient = SealingKey(suites[0], self.bob.public_key)
        self.context = context(suites[0])
        self.choice = SenderChoice.outside_sessions(fence=3, counter=9)
        self.content = content()
        self.sealed = b""

    def seal(self) -> bytes:
        binding = Binding(self.context, self.choice)
        self.sealed = seal_envelope(binding, self.content, self.alice, self.recipient, OsEntropy())
        return self.sealed

    def open(self) -> Opened:
        return open_envelope(self.context, self.sealed, self.bob, self.author)


def plaintext_of(world: World) -> bytes:
    """The signed part of a sealed envelope, as its recipient sees it."""
    message = Encrypt.decode(world.sealed, Wire.OURS)
    aad, number = Binding(world.context, world.choice).encode(), SEAL_KEY_ENCRYPTION[world.suites[0]]
    accept = Acceptance(
        algorithms=frozenset({number, SEAL_CONTENT[world.suites[0]]}), understood=frozenset(), bare_alg=False
    )
    receiver = Receiver(key=HpkeKey(number, world.bob), agreed=Agreed(hpke_info=aad))
    return message.decrypt(receiver, accept, external_aad=aad)


def sign_content(world: World, payload: bytes, body: Headers | None = None) -> bytes:
    """Sign any payload as the author does, for the world's place; `body` are headers of the message."""
    aad = Binding(world.context, world.choice).encode()
    place = world.context
    external = world.alice.signing_bytes(Purpose.ENVELOPE, place.source_domain, place.source_revision, aad)
    signed = Sign(Headers.build() if body is None else body, payload, ())
    for signer in world.alice.signers:
        headers = Headers.build({1: SIGNER_NUMBERS[signer.algorithm], -70001: world.suites[1]})
        signed = signed.signed_by(signer, headers, external)
    return signed.encode()


def seal_plaintext(world: World, place: Context, plaintext: bytes, recipient: SealingKey, **protected: Any) -> bytes:
    """Seal any plaintext correctly: what somebody without the author's key can still do.

    `protected` replaces header parameters by name, before everything is authenticated.
    """
    suite, aad, key = world.suites[0], Binding(place, world.choice).encode(), bytes(range(32))
    layer = distribution.hpke(
        SEAL_KEY_ENCRYPTION[suite],
        recipient.public_key,
        key,
        SEAL_CONTENT[suite],
        OsEntropy(),
        kid=recipient.key_id,
        agreed=Agreed(hpke_info=aad),
    )
    header: dict[Label, Any] = {
        5: protected.get("iv", world.choice.nonce),
        -70001: protected.get("suite", suite),
        -70002: world.choice.to_value(),
        -70003: key_commitment(key, aad),
    }
    message = encrypt(plaintext, key, SEAL_CONTENT[suite], (layer,), protected=header, unprotected={}, external_aad=aad)
    return message.encode()


def causes(error: BaseException) -> Iterator[BaseException]:
    """The chain below an error, nearest first."""
    cause = error.__cause__
    while cause is not None:
        yield cause
        cause = cause.__cause__
