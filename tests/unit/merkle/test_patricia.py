"""Merkle-Patricia proofs: what a trie holds and does not hold, and every node list that says otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.codec import rlp
from lockgate.crypto.keccak import keccak256
from lockgate.merkle import ethereum, patricia
from lockgate.merkle.errors import ProofMalformed, ProofMismatch
from lockgate.merkle.patricia_tree import PatriciaTree

KEYS = st.binary(min_size=2, max_size=2)
ENTRIES = st.dictionaries(KEYS, st.binary(min_size=1, max_size=40), max_size=40)
HELD = {bytes([a, b]): bytes([a, b]) * 20 for a in (0, 1, 0x10) for b in (0, 1, 0x22)}
TREE = PatriciaTree(HELD)
KEY, ABSENT = b"\x01\x22", b"\x01\x23"
ADDRESS, SLOT = b"\xaa" * 20, b"\x05".rjust(32, b"\0")


@given(ENTRIES, KEYS)
def test_a_tree_proves_what_it_holds_and_what_not(held: dict[bytes, bytes], other: bytes) -> None:
    tree = PatriciaTree(held)
    for key in [*held, other]:
        assert patricia.get(tree.root, key, tree.prove(key)) == held.get(key)
    assert [value for _, value in tree.items()] == [held[key] for key in sorted(held)]


@given(st.dictionaries(st.binary(min_size=1, max_size=4), st.binary(min_size=1, max_size=3), max_size=12))
def test_keys_of_unlike_lengths_and_nodes_inside_nodes(held: dict[bytes, bytes]) -> None:
    tree = PatriciaTree(held)
    for key in [*held, b"\0", b"\xff\xff"]:
        assert patricia.get(tree.root, key, tree.prove(key)) == held.get(key)


def test_the_empty_trie_holds_nothing() -> None:
    assert PatriciaTree({}).root == patricia.EMPTY_ROOT
    assert patricia.get(patricia.EMPTY_ROOT, KEY, []) is None
    assert patricia.get(patricia.EMPTY_ROOT, KEY, [b"\x80"]) is None
    with pytest.raises(ProofMalformed):
        patricia.get(patricia.EMPTY_ROOT, KEY, [b"\x80", b"\x80"])


@pytest.mark.parametrize("key", [KEY, ABSENT])
@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lambda way: way[:-1], ProofMismatch),
        (lambda way: way[1:], ProofMismatch),
        (lambda way: way[::-1], ProofMismatch),
        (lambda way: [*way, way[0]], ProofMalformed),
        (lambda way: [*way[:-1], way[-1][:-1] + bytes([way[-1][-1] ^ 1])], ProofMismatch),
        (lambda way: [], ProofMismatch),
        (lambda way: way * 30, ProofMalformed),
        (lambda way: [bytes(patricia.MAX_NODE_BYTES + 1)], ProofMalformed),
    ],
    ids=["cut", "headless", "reversed", "padded", "flipped", "empty", "too-many", "too-large"],
)
def test_another_list_of_nodes_proves_nothing(key: bytes, spoil, refusal) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(refusal):
        patricia.get(TREE.root, key, spoil(TREE.prove(key)))


def branch(**children: rlp.Rlp) -> tuple[rlp.Rlp, ...]:
    """A branch with children by their nibble in hexadecimal, and the value of the key that ends there."""
    return (*(children.get(f"n{nibble:x}", b"") for nibble in range(16)), children.get("value", b""))


FULL = branch(n0=b"", n3=b"h" * 32)
LONG = (b"\x20", b"long enough to be named by its hash alone")


@pytest.mark.parametrize(
    "nodes",
    [
        [(b"\x20", b"v", b"third")],
        [b"a string"],
        [branch(n0=b"\x01" * 31)],
        [branch(n0=LONG)],
        [branch(n0=(b"\x20",))],
        [(b"\x40\x01", b"v")],
        [(b"\x00", keccak256(rlp.encode(FULL))), FULL],
        [(b"\x25\x01\x22", b"v")],
        [(b"", b"v")],
        [(b"\x20\x01\x22", b"")],
        [((), b"v")],
        [(b"\x20\x01\x22", ())],
        [(b"\x00\x01", keccak256(rlp.encode((b"\x20\x22", b"v" * 32)))), (b"\x20\x22", b"v" * 32)],
    ],
    ids=[
        *("three-items", "a-string", "no-hash", "should-be-hashed", "one-item", "unknown-flag"),
        *("empty-extension", "pad-not-zero", "no-path", "empty-leaf", "path-a-list", "value-a-list", "leaf-after"),
    ],
)
def test_what_no_trie_holds(nodes: list[rlp.Rlp]) -> None:
    encoded = list(map(rlp.encode, nodes))
    with pytest.raises(ProofMalformed):
        patricia.get(keccak256(encoded[0]), KEY, encoded)


def test_a_node_that_is_no_rlp() -> None:
    with pytest.raises(ProofMalformed):
        patricia.get(keccak256(b"\xb8\x01a"), KEY, [b"\xb8\x01a"])


def world(word: bytes = b"\x2a", storage_root: bytes | None = None) -> tuple[bytes, list[bytes], list[bytes]]:
    """State root, account proof and storage proof of one account with one word among others."""
    slots = {keccak256(bytes([n]) * 32): rlp.encode(bytes([n])) for n in range(1, 9)}
    storage = PatriciaTree(slots | {keccak256(SLOT): rlp.encode(word)})
    held = ethereum.Account(1, 10**18, storage_root or storage.root, bytes(32))
    state = PatriciaTree({keccak256(ADDRESS): held.to_bytes(), keccak256(b"\x01" * 20): held.to_bytes()})
    return state.root, state.prove(keccak256(ADDRESS)), storage.prove(keccak256(SLOT))


def test_a_word_of_an_account() -> None:
    root, account_proof, storage_proof = world()
    found = ethereum.account(root, ADDRESS, account_proof)
    assert found is not None
    assert (found.nonce, found.balance) == (1, 10**18)
    assert ethereum.storage(found.storage_root, SLOT, storage_proof) == b"\x2a".rjust(32, b"\0")


@pytest.mark.parametrize("word", [b"\0", b"\0\x2a", b"\x01" + bytes(32)], ids=["zero", "leading-zero", "33-bytes"])
def test_a_word_is_stored_in_one_way(word: bytes) -> None:
    root, account_proof, storage_proof = world(word)
    found = ethereum.account(root, ADDRESS, account_proof)
    assert found is not None
    with pytest.raises(ProofMalformed):
        ethereum.storage(found.storage_root, SLOT, storage_proof)


@pytest.mark.parametrize(
    "leaf",
    [
        rlp.encode((b"", b"", bytes(32))),
        rlp.encode((b"\0", b"", bytes(32), bytes(32))),
        rlp.encode((b"", b"", bytes(31), bytes(32))),
        rlp.encode((b"", b"", (), bytes(32))),
        rlp.encode(b"account"),
        b"\xf8\x01",
    ],
    ids=["three-items", "leading-zero", "short-root", "root-a-list", "a-string", "no-rlp"],
)
def test_a_leaf_that_is_no_account(leaf: bytes) -> None:
    tree = PatriciaTree({keccak256(ADDRESS): leaf})
    with pytest.raises(ProofMalformed):
        ethereum.account(tree.root, ADDRESS, tree.prove(keccak256(ADDRESS)))


def test_keys_have_their_lengths() -> None:
    with pytest.raises(ProofMalformed):
        ethereum.account(TREE.root, b"\0" * 19, [])
    with pytest.raises(ProofMalformed):
        ethereum.storage(TREE.root, b"\0" * 31, [])
