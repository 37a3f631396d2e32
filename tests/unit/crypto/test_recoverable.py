"""secp256k1 signatures that give their signer back."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from lockgate.crypto import ecdsa
from lockgate.crypto.ec import SECP256K1, load_private, uncompressed
from lockgate.crypto.errors import BadKey
from lockgate.crypto.hashes import SHA256
from lockgate.crypto.recoverable import EvmKey, Recoverable, address_of, recover
from lockgate.primitives.errors import Misuse

# The first account of the mnemonic that every development node starts with
SCALAR = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
ADDRESS = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")
ORDER = SECP256K1.order


def test_an_address_is_the_end_of_the_points_hash() -> None:
    assert EvmKey(SCALAR).address == ADDRESS
    assert address_of(uncompressed(load_private(SECP256K1, SCALAR).public_key())) == ADDRESS


@pytest.mark.parametrize("number", range(8))
def test_a_signature_gives_its_signer_back_and_nobody_elses_digest_does(number: int) -> None:
    key = EvmKey(hashlib.sha256(b"key %d" % number).digest())
    message = b"message %d" % number
    digest = hashlib.sha256(message).digest()
    made = key.sign_digest(digest)
    assert recover(digest, made) == key.address
    assert made == key.sign_digest(digest), "signing is deterministic"
    assert recover(hashlib.sha256(b"other").digest(), made) != key.address
    assert recover(digest, dataclasses.replace(made, odd=not made.odd)) != key.address
    assert made.s <= ORDER // 2
    r, vs = made.compact
    assert (int.from_bytes(r), int.from_bytes(vs) & (1 << 255) - 1, vs[0] >> 7) == (made.r, made.s, made.odd)
    scalar = hashlib.sha256(b"key %d" % number).digest()
    public = ecdsa.SigningKey(SECP256K1, SHA256, scalar).public_key
    assert ecdsa.verify(SECP256K1, SHA256, public, r + made.s.to_bytes(32), message), "as the library sees it"


@pytest.mark.parametrize(
    "signature",
    [
        Recoverable(0, 1, False),
        Recoverable(1, 0, False),
        Recoverable(ORDER, 1, False),
        Recoverable(1, ORDER, True),
        Recoverable(1, ORDER // 2 + 1, False),
        Recoverable(5, 1, False),  # no point of the curve has this x
    ],
    ids=["no r", "no s", "r beyond the order", "s beyond the order", "high s", "no point"],
)
def test_what_nobody_can_have_signed_gives_nobody(signature: Recoverable) -> None:
    assert recover(bytes(32), signature) is None
    assert recover(hashlib.sha256(b"x").digest(), signature) is None


def test_a_digest_has_32_bytes() -> None:
    with pytest.raises(Misuse):
        EvmKey(SCALAR).sign_digest(b"short")
    assert recover(b"short", EvmKey(SCALAR).sign_digest(bytes(range(32)))) is None


@pytest.mark.parametrize("scalar", [bytes(32), ORDER.to_bytes(32), b"\x01"])
def test_a_key_is_a_scalar_below_the_order(scalar: bytes) -> None:
    with pytest.raises(BadKey):
        EvmKey(scalar)


def test_a_key_does_not_show_itself() -> None:
    assert SCALAR.hex() not in repr(EvmKey(SCALAR))
