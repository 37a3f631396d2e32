"""RFC 9529: whole exchanges with every value on the way, and messages that must be refused.

A trace is a list of named values. The inputs are taken by name: private keys, credentials, identifiers. From them the
machine makes the messages, which must be the trace's; and every other value of the trace must be one that the key
schedule gives, in one of the forms it can be written in. So no name but an input's steers anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.x509 import load_der_x509_certificate

from lockgate.codec import cbor
from lockgate.crypto import ecdsa
from lockgate.crypto.ec import P256, uncompressed
from lockgate.crypto.ed25519 import SigningKey
from lockgate.crypto.hashes import SHA256
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.session.edhoc import Identity, Known, Method, Sent1, ccs, receive
from lockgate.session.edhoc import initiator as initiating
from lockgate.session.edhoc.credentials import Credential
from lockgate.session.edhoc.exchange import DhExchange, Response
from lockgate.session.edhoc.messages import ErrorMessage, Message1, Plaintext2, byte_string
from lockgate.session.edhoc.schedule import (
    Info,
    aad,
    context_2,
    context_3,
    extract,
    following,
    info,
    kdf,
    mac_bytes,
    secret,
    th_2,
    to_be_signed,
)
from lockgate.session.edhoc.suites import SUITES, CipherSuite
from tests.vectors.sets import Tally, vector_set

ITEM, RAW, SEQUENCE = " (CBOR Data Item)", " (Raw Value)", " (CBOR Sequence)"


class Trace:
    """Values by name and place; a name may stand more than once."""

    def __init__(self, path: Path) -> None:
        self.entries = [(entry["name"], bytes.fromhex(entry["hex"])) for entry in json.loads(path.read_text())]

    def every(self, *names: str) -> list[bytes]:
        return [value for name, value in self.entries if name in names]

    def last(self, *names: str) -> bytes:
        return self.every(*names)[-1]

    def credential(self, side: str) -> tuple[Credential, Identity]:
        """The credential of a side, and its identity with the private key."""
        id_cred = cbor.decode(self.last(f"ID_CRED_{side}{ITEM}"))
        cred, secret_key = self.last(f"CRED_{side}{ITEM}"), self.last(f"SK_{side}{RAW}")
        content = cbor.decode(cred)
        if isinstance(content, bytes):
            return _certified(id_cred, cred, content, secret_key)
        found = ccs(cred).named(id_cred)
        return found, self._keys(found, secret_key)

    def _keys(self, found: Credential, secret_key: bytes) -> Identity:
        exchange = SUITES[self.suites()[-1]].exchange
        assert isinstance(exchange, DhExchange)
        signers: list[Any] = []
        if len(found.signing) == 1:
            made = SigningKey(secret_key) if len(found.signing[0]) == 32 else ecdsa.SigningKey(P256, SHA256, secret_key)
            signers = [Named(made)]
        return Identity(found, signers, exchange.group.private_key(secret_key))

    def suites(self) -> tuple[int, ...]:
        item = cbor.decode(self.last(f"SUITES_I{ITEM}"))
        return (item,) if isinstance(item, int) else item


class Named:
    """A private key as a `Signer`."""

    def __init__(self, key: SigningKey | ecdsa.SigningKey) -> None:
        self._key = key
        self.algorithm = "Ed25519" if isinstance(key, SigningKey) else "ES256"
        self.public_key = key.public_key

    def sign(self, message: bytes, /) -> bytes:
        return self._key.sign(message)


def _certified(id_cred: Any, cred: bytes, der: bytes, secret_key: bytes) -> tuple[Credential, Identity]:
    """A certificate of a trace: named as the trace names it. Its key may be of either kind."""
    key = load_der_x509_certificate(der).public_key()
    match key:
        case ed25519.Ed25519PublicKey():
            found = Credential(id_cred, cred, (key.public_bytes_raw(),))
            return found, Identity(found, [Named(SigningKey(secret_key))])
        case x25519.X25519PublicKey():
            found = Credential(id_cred, cred, (), key.public_bytes_raw())
            return found, Identity(found, [], SUITES[0].exchange.private_key(secret_key).key)  # type: ignore[attr-defined]
        case EllipticCurvePublicKey():
            point = uncompressed(key)
            found = Credential(id_cred, cred, (point,), point[1:33])
            static = SUITES[2].exchange.private_key(secret_key).key  # type: ignore[attr-defined]
            return found, Identity(found, [Named(ecdsa.SigningKey(P256, SHA256, secret_key))], static)
        case _:
            raise AssertionError("a certificate with a key of no suite")


def forms(values: Iterable[bytes]) -> set[bytes]:
    """Each value as it is, and as a CBOR byte string."""
    return {form for value in values for form in (value, cbor.encode(value))}


def test_traces_are_reproduced_value_by_value() -> None:
    tally = Tally("edhoc", "traces")
    for path in sorted(vector_set("edhoc", "traces").rglob("*.json")):
        strangers = replay(Trace(path))
        tally.check(not strangers, f"{path.name}: {strangers[:5]}")
    tally.close()


def replay(trace: Trace) -> list[str]:
    """Run both sides, and return the names of the trace's values that nothing gives."""
    method, suites = Method(cbor.decode(trace.last(f"METHOD{ITEM}"))), trace.suites()
    suite = SUITES[suites[-1]]
    exchange = suite.exchange
    assert isinstance(exchange, DhExchange)
    x, y = (exchange.private_key(trace.last(f"{name}{RAW}")) for name in "XY")
    c_i, c_r = trace.last(f"C_I{RAW}"), trace.last(f"C_R{RAW}", "C_R (raw value)")
    (i_credential, i_side), (r_credential, r_side) = trace.credential("I"), trace.credential("R")
    known = Known([i_credential, r_credential])
    made: set[bytes] = set()

    message_1, sent_1 = initiating.begin(method, suites, c_i, x)
    asked = receive(message_1, [suite.id], set(Method))
    message_2, sent_2 = asked.answer(c_r, r_side, Response(y.public, y.finish(x.public), y))
    met = sent_1.take(message_2, i_side, known)
    message_3, sent_3 = met.message_3()
    proven = sent_2.take(message_3, known)
    message_4 = proven.message_4()
    done, _ = sent_3.take(message_4)
    assert done.prk_out == proven.established.prk_out
    for name, message in zip("1234", (message_1, message_2, message_3, message_4), strict=True):
        theirs = trace.every(f"message_{name}{SEQUENCE}")
        if theirs:
            assert theirs[-1] == message, f"message_{name}"

    made |= forms([message_1, message_2, message_3, message_4, x.public, y.public, sent_1.encoded, b""])
    made |= {byte_string(message) for message in (message_2, message_3, message_4)}
    made |= schedule(trace, suite, sent_1, y.public, i_credential, r_credential, i_side, r_side, message_2, message_3)
    made |= refused_before(trace, exchange, suite)
    context = trace.every("context for KeyUpdate (Raw Value)")
    for state in (done, *(done.updated(one) for one in context)):
        made |= {state.prk_out, secret(suite, state.prk_out, Info.PRK_EXPORTER, b"")}
        made |= {state.export(label, b"", length) for label, length in ((0, suite.application_aead.key_bytes), (1, 8))}
    made |= {info(label, b"", length) for label, length in ((0, suite.application_aead.key_bytes), (1, 8))}
    made |= {info(Info.PRK_EXPORTER, b"", suite.hash.digest_bytes)}
    given = forms([*inputs(trace), *context])
    return [name for name, value in trace.entries if value not in made and value not in given]


def inputs(trace: Trace) -> list[bytes]:
    """What the RFC hands to the parties, and what only describes those: the other coordinate, raw public keys."""
    handed = (
        "METHOD",
        "SUITES_I",
        "X",
        "Y",
        "C_I",
        "C_R",
        "SK_I",
        "SK_R",
        "ID_CRED_I",
        "ID_CRED_R",
        "CRED_I",
        "CRED_R",
    )
    found = [value for name, value in trace.entries if name.split(" (")[0] in handed]
    exchange = SUITES[trace.suites()[-1]].exchange
    assert isinstance(exchange, DhExchange)
    for name in ("X", "Y", "SK_I", "SK_R"):
        for raw in trace.every(f"{name}{RAW}"):
            public = exchange.group.private_key(raw).public_key
            found += [public, public[1:33], public[33:], SigningKey(raw).public_key]
    for name in ("C_I", "C_R"):
        found += list(trace.every(f"{name}{ITEM}"))
    for side in "IR":  # a certificate and its thumbprint stand by themselves as well
        content, name = cbor.decode(trace.last(f"CRED_{side}{ITEM}")), cbor.decode(trace.last(f"ID_CRED_{side}{ITEM}"))
        found += [content] if isinstance(content, bytes) else []
        found += [part for value in name.values() if isinstance(value, tuple) for part in value if type(part) is bytes]
    return found


def schedule(
    trace: Trace,
    suite: CipherSuite,
    sent: Sent1,
    g_y: bytes,
    i_credential: Credential,
    r_credential: Credential,
    i_side: Identity,
    r_side: Identity,
    message_2: bytes,
    message_3: bytes,
) -> set[bytes]:
    """Every value between the messages, from the functions the machine itself uses."""
    method, size = sent.message.method, suite.hash.digest_bytes
    made: list[bytes] = []
    digest = suite.hash.digest(sent.encoded)
    second = th_2(suite.hash, g_y, sent.encoded)
    shared = sent.ephemeral.finish(g_y)
    prk_2e = extract(suite, second, shared)
    made += [digest, cbor.encode(g_y) + cbor.encode(digest), second, shared, prk_2e]
    prk_3e2m = prk_2e
    if not method.responder_signs:
        salt = secret(suite, prk_2e, Info.SALT_3E2M, second)
        g_rx = r_side.agree(suite, sent.ephemeral.public)
        prk_3e2m = extract(suite, salt, g_rx)
        made += [info(Info.SALT_3E2M, second, size), salt, g_rx]
    c_r = trace.last(f"C_R{RAW}", "C_R (raw value)")
    context = context_2(c_r, r_credential.id_cred, second, r_credential.cred, ())
    length = mac_bytes(suite, signs=method.responder_signs)
    mac = kdf(suite, prk_3e2m, Info.MAC_2, context, length)
    signed = to_be_signed(r_credential.id_cred, second, r_credential.cred, (), mac)
    proof = r_side.prove(suite, second, mac, (), signs=method.responder_signs)
    plaintext = Plaintext2(c_r, dict(r_credential.id_cred), proof, ()).encode()
    stream = kdf(suite, prk_2e, Info.KEYSTREAM_2, second, len(plaintext))
    made += [prk_3e2m, context, info(Info.MAC_2, context, length), mac, signed, proof, plaintext, stream]
    made += [info(Info.KEYSTREAM_2, second, len(plaintext)), byte_string(message_2)[suite.exchange.answer_bytes :]]
    third = following(suite.hash, second, plaintext, r_credential.cred)
    made += [cbor.encode(second) + plaintext + r_credential.cred, third]

    prk_4e3m = prk_3e2m
    if not method.initiator_signs:
        salt = secret(suite, prk_3e2m, Info.SALT_4E3M, third)
        g_iy = i_side.agree(suite, g_y)
        prk_4e3m = extract(suite, salt, g_iy)
        made += [info(Info.SALT_4E3M, third, size), salt, g_iy]
    context = context_3(i_credential.id_cred, third, i_credential.cred, ())
    length = mac_bytes(suite, signs=method.initiator_signs)
    mac = kdf(suite, prk_4e3m, Info.MAC_3, context, length)
    signed = to_be_signed(i_credential.id_cred, third, i_credential.cred, (), mac)
    proof = i_side.prove(suite, third, mac, (), signs=method.initiator_signs)
    made += [prk_4e3m, context, info(Info.MAC_3, context, length), mac, signed, proof]
    key_bytes, nonce_bytes = suite.aead.key_bytes, suite.aead.nonce_bytes
    key, nonce = kdf(suite, prk_3e2m, Info.K_3, third, key_bytes), kdf(suite, prk_3e2m, Info.IV_3, third, nonce_bytes)
    plaintext = suite.aead.open(key, nonce, byte_string(message_3), aad(third))
    made += [aad(third), info(Info.K_3, third, key_bytes), info(Info.IV_3, third, nonce_bytes), key, nonce, plaintext]
    fourth = following(suite.hash, third, plaintext, i_credential.cred)
    made += [cbor.encode(third) + plaintext + i_credential.cred, fourth, aad(fourth), info(Info.PRK_OUT, fourth, size)]
    for label, length in ((Info.K_4, key_bytes), (Info.IV_4, nonce_bytes)):
        made += [info(label, fourth, length), kdf(suite, prk_4e3m, label, fourth, length)]
    return forms(made)


def refused_before(trace: Trace, exchange: DhExchange, suite: CipherSuite) -> set[bytes]:
    """What a first message_1 with another suite gives, where the trace starts with one, and the error it meets."""
    made: set[bytes] = set()
    for message in trace.every(f"message_1{SEQUENCE}")[:-1]:
        first = Message1.decode(message)
        assert first.encode() == message
        made |= forms([first.g_x, first.c_i]) | {message, cbor.encode(first.selected)}
        error = ErrorMessage.wrong_suite([suite.id]).encode()
        assert initiating.refused(error).fields["supported"] == (suite.id,)
        made.add(error)
    made |= {exchange.private_key(raw).public for raw in trace.every(f"X{RAW}")}
    return made


def test_invalid_messages_are_refused() -> None:
    """Each by the reader of its item, and every message_1 by a responder that supports all suites and methods."""
    tally = Tally("edhoc", "invalid")
    readers = {
        "message_1": lambda data: receive(data, list(SUITES), set(Method)),
        "message_2": byte_string,
        "PLAINTEXT_2": Plaintext2.decode,
    }
    for path in sorted(vector_set("edhoc", "invalid").rglob("*.json")):
        for case in json.loads(path.read_text()):
            reader = readers.get(case["item"])
            if reader is None:
                tally.failed(f"{case['name']}: nothing here reads {case['item']}")
                continue
            try:
                reader(bytes.fromhex(case["hex"]))
            except (PeerFault, Refused):
                tally.passed()
            else:
                tally.failed(case["name"])
    tally.close()
