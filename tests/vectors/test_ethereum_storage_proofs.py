"""Third-party cases for Merkle-Patricia tries: roots, account and storage proofs, a receipt; and each spoilt."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from lockgate.codec import rlp
from lockgate.crypto.keccak import keccak256
from lockgate.merkle import ethereum, patricia
from lockgate.merkle.errors import ProofMalformed, ProofMismatch
from lockgate.merkle.patricia_tree import PatriciaTree
from tests.vectors.sets import Tally, vector_set

TOPIC = "ethereum-storage-proofs"


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


def word(text: str) -> bytes:
    return int(text, 16).to_bytes(32)


def nodes(texts: Sequence[str]) -> list[bytes]:
    return [raw(text) for text in texts]


def entries(given: Any) -> dict[bytes, bytes]:
    """What a trie holds after a list of changes, in order, or after an object's in any order."""
    held: dict[bytes, bytes] = {}
    for key, value in given.items() if isinstance(given, dict) else given:
        if value is None:
            held.pop(raw(key), None)
        else:
            held[raw(key)] = raw(value)
    return held


def test_trie_roots() -> None:
    tally = Tally(TOPIC, "trie-roots")
    for path in sorted(vector_set(TOPIC, "trie-roots").glob("*.json")):
        for name, case in json.loads(path.read_text())["tests"].items():
            if "root" in case:
                held = entries(case["in"])
                if "secure" in path.name.lower():
                    held = {keccak256(key): value for key, value in held.items()}
                tree = PatriciaTree(held)
                proven = all(patricia.get(tree.root, key, tree.prove(key)) == value for key, value in held.items())
                tally.check(proven and tree.root == raw(case["root"]), f"{path.name}:{name}")
            else:
                tally.check(neighbours(case), f"{path.name}:{name}")
    tally.close()


def neighbours(case: Any) -> bool:
    """Keys in order, as a trie is walked: the one before a key and the one after it."""
    tree = PatriciaTree({key.encode(): b"x" for key in case["in"]})
    halves = [path for path, _ in tree.items()]
    keys = [bytes(a << 4 | b for a, b in zip(path[::2], path[1::2], strict=True)).decode() for path in halves]
    return all(
        (before, after)
        == (
            max((key for key in keys if key < query), default=""),
            min((key for key in keys if key > query), default=""),
        )
        for query, before, after in case["tests"]
    )


def test_get_proof() -> None:
    tally = Tally(TOPIC, "get-proof")
    for path in sorted(vector_set(TOPIC, "get-proof").glob("*.json")):
        for case in json.loads(path.read_text()):
            tally.check(account_and_slots(case), f"{path.name}:{case['name']}")
    tally.close()


def account_and_slots(case: Any) -> bool:
    proof, root = case["proof"], raw(case["state_root"])
    address, way = raw(proof["address"]), nodes(proof["accountProof"])
    found = ethereum.account(root, address, way)
    given = ethereum.Account(
        int(proof["nonce"], 16), int(proof["balance"], 16), raw(proof["storageHash"]), raw(proof["codeHash"])
    )
    spoilt_account = spoilt(ethereum.account, root, address, way, found)
    return found == given and spoilt_account and all(slot(given.storage_root, held) for held in proof["storageProof"])


def slot(storage_root: bytes, held: Any) -> bool:
    key, way = word(held["key"]), nodes(held["proof"])
    value = ethereum.storage(storage_root, key, way)
    return value == word(held["value"]) and spoilt(ethereum.storage, storage_root, key, way, value)


def spoilt(
    get: Callable[[bytes, bytes, Sequence[bytes]], object], root: bytes, key: bytes, way: list[bytes], value: object
) -> bool:
    """Another root, a flipped bit, a node dropped, doubled or out of order, another key: never the same answer."""
    flipped = [[*way[:at], bytes([node[0] ^ 1]) + node[1:], *way[at + 1 :]] for at, node in enumerate(way)]
    dropped = [way[:at] + way[at + 1 :] for at in range(len(way))]
    wrong = [*flipped, *dropped, [*way, way[-1]]] if way else []
    wrong += [way[::-1]] if len(way) > 1 else []
    refused = all(refuses(lambda candidate=candidate: get(root, key, candidate)) for candidate in wrong)
    other_root = refuses(lambda: get(bytes([root[0] ^ 1]) + root[1:], key, way)) if way else True
    other_key = bytes([key[0] ^ 1]) + key[1:]
    try:
        elsewhere = get(root, other_key, way)
    except (ProofMalformed, ProofMismatch):
        elsewhere = None
    empty = value is None or value == bytes(32)
    return refused and other_root and (empty or elsewhere != value)


def refuses(action: Callable[[], object]) -> bool:
    try:
        action()
    except (ProofMalformed, ProofMismatch):
        return True
    return False


def test_ibc_store() -> None:
    tally = Tally(TOPIC, "ibc-store")
    for path in sorted(vector_set(TOPIC, "ibc-store").glob("*.json")):
        for case in json.loads(path.read_text()):
            found = ethereum.account(raw(case["state_root"]), raw(case["address"]), nodes(case["account_proof"]))
            assert found is not None
            held = {"key": case["key"], "value": case["value"], "proof": case["storage_proof"]}
            good = found.storage_root == raw(case["storage_root"]) and slot(found.storage_root, held)
            tally.check(good and case["present"] == (word(case["value"]) != bytes(32)), case["name"])
    tally.close()


def test_receipt_proof() -> None:
    folder = vector_set(TOPIC, "receipt-proof")
    receipt, block = (json.loads((folder / f"{name}.json").read_text()) for name in ("receipt", "block"))
    tally = Tally(TOPIC, "receipt-proof")
    given, way = receipt["receipt"], nodes(receipt["receiptProof"])
    key = rlp.encode_number(int(given["transactionIndex"], 16))
    logs = tuple((raw(log["address"]), tuple(map(raw, log["topics"])), raw(log["data"])) for log in given["logs"])
    status, gas = (
        number.to_bytes((number.bit_length() + 7) // 8)
        for number in (int(given["status"], 16), int(given["cumulativeGasUsed"], 16))
    )
    encoded = raw(given["type"].replace("0x", "0x0")) + rlp.encode((status, gas, raw(given["logsBloom"]), logs))
    root = raw(block["receiptsRoot"])
    value = patricia.get(root, key, way)
    tally.check(value == encoded and spoilt(patricia.get, root, key, way, value), "receipt")
    tally.close()
