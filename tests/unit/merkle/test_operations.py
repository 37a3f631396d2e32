"""Hash and length operations: known answers, and what is refused."""

from __future__ import annotations

import hashlib

import pytest

from lockgate.codec.wire import ics23_pb2 as wire
from lockgate.merkle import digests, operations
from lockgate.merkle.errors import SpecViolation
from lockgate.merkle.specs import HashOp, LengthOp

# Digests of nothing, as published with each function.
OF_NOTHING = {
    HashOp.SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    HashOp.SHA512: "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    HashOp.KECCAK256: "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
    HashOp.RIPEMD160: "9c1185a5c5e9fc54612808977ee8f548b2258d31",
    HashOp.BITCOIN: "b472a266d0bd89c13706a4132ccfb16f7c3b9fcb",
    HashOp.SHA512_256: "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a",
    HashOp.BLAKE2B_512: "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419"
    "d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce",
    HashOp.BLAKE2S_256: "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9",
    HashOp.BLAKE3: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
}
LENGTHS = sorted({0, 1, 55, 56, 63, 64, 65, 119, 135, 136, 137, 271, 272, 273, 1000})


@pytest.mark.parametrize("operation", sorted(OF_NOTHING))
def test_published_digests(operation: HashOp) -> None:
    assert operations.do_hash(operation, b"").hex() == OF_NOTHING[operation]


def test_every_named_hash_can_be_computed() -> None:
    assert set(OF_NOTHING) == set(HashOp) - {HashOp.NO_HASH}
    assert {int(op) for op in HashOp} == set(wire.HashOp.values())
    assert {int(op) for op in LengthOp} == set(wire.LengthOp.values())


@pytest.mark.parametrize("operation", [HashOp.NO_HASH, 10, -1, 2**31 - 1])
def test_a_node_has_a_known_hash(operation: int) -> None:
    with pytest.raises(SpecViolation):
        operations.do_hash(operation, b"data")


def test_no_hash_leaves_a_key_or_value_as_it_is() -> None:
    assert operations.prehash(HashOp.NO_HASH, b"data") == b"data"
    assert operations.prehash(HashOp.SHA256, b"data") == hashlib.sha256(b"data").digest()


@pytest.mark.parametrize("length", LENGTHS)
def test_ripemd_is_that_of_openssl(length: int) -> None:
    if "ripemd160" not in hashlib.algorithms_available:
        pytest.skip("this OpenSSL has no RIPEMD-160")
    data = bytes(i * 7 & 0xFF for i in range(length))
    assert digests.ripemd160(data) == hashlib.new("ripemd160", data).digest()


# Inputs of the BLAKE3 test vectors: bytes 0, 1, … 250, 0, 1, …; the default hash of 32 bytes.
BLAKE3 = {
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
    1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
    2049: "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
    3073: "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3",
}


@pytest.mark.parametrize("length", sorted(BLAKE3))
def test_blake3_vectors(length: int) -> None:
    assert digests.blake3(bytes(i % 251 for i in range(length))).hex() == BLAKE3[length]


@pytest.mark.parametrize(
    ("operation", "prefix"),
    [
        (LengthOp.NO_PREFIX, ""),
        (LengthOp.VAR_PROTO, "ac02"),
        (LengthOp.FIXED32_BIG, "0000012c"),
        (LengthOp.FIXED32_LITTLE, "2c010000"),
        (LengthOp.FIXED64_BIG, "000000000000012c"),
        (LengthOp.FIXED64_LITTLE, "2c01000000000000"),
    ],
)
def test_length_prefixes(operation: int, prefix: str) -> None:
    assert operations.with_length(operation, bytes(300)) == bytes.fromhex(prefix) + bytes(300)


@pytest.mark.parametrize(("operation", "size"), [(LengthOp.REQUIRE_32_BYTES, 32), (LengthOp.REQUIRE_64_BYTES, 64)])
def test_required_lengths(operation: int, size: int) -> None:
    assert operations.with_length(operation, bytes(size)) == bytes(size)
    for wrong in (0, size - 1, size + 1):
        with pytest.raises(SpecViolation):
            operations.with_length(operation, bytes(wrong))


@pytest.mark.parametrize("operation", [LengthOp.VAR_RLP, 9, -1])
def test_unknown_length_rules_are_refused(operation: int) -> None:
    with pytest.raises(SpecViolation):
        operations.with_length(operation, b"data")


def test_leaves_and_steps_need_their_parts() -> None:
    leaf = wire.LeafOp(hash=wire.SHA256)
    for key, value in ((b"", b"v"), (b"k", b"")):
        with pytest.raises(SpecViolation):
            operations.leaf_hash(leaf, key, value)
    with pytest.raises(SpecViolation):
        operations.inner_hash(wire.InnerOp(hash=wire.SHA256, prefix=b"\x01"), b"")
