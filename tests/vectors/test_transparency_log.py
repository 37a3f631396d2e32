"""RFC 9162 proofs of the transparency-dev project, good and broken."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from lockgate.merkle import tree
from lockgate.primitives.errors import PeerFault
from tests.vectors.sets import Tally, vector_set


def b64(case: dict[str, Any], name: str) -> bytes:
    return base64.b64decode(case[name] or "")


def inclusion(case: dict[str, Any], proof: list[bytes]) -> None:
    tree.verify_inclusion(b64(case, "leafHash"), case["leafIdx"], case["treeSize"], proof, b64(case, "root"))


def consistency(case: dict[str, Any], proof: list[bytes]) -> None:
    tree.verify_consistency(case["size1"], case["size2"], proof, b64(case, "root1"), b64(case, "root2"))


def subtree_inclusion(case: dict[str, Any], proof: list[bytes]) -> None:
    leaf, root = b64(case, "leafHash"), b64(case, "root")
    tree.verify_subtree_inclusion(leaf, case["leafIdx"], case["start"], case["end"], proof, root)


def subtree_consistency(case: dict[str, Any], proof: list[bytes]) -> None:
    roots = b64(case, "root1"), b64(case, "root2")
    tree.verify_subtree_consistency(case["start"], case["end"], case["size"], proof, *roots)


def kind(case: dict[str, Any]) -> Callable[[dict[str, Any], list[bytes]], None]:
    """Tell a case's kind by its fields."""
    if "leafIdx" in case:
        return subtree_inclusion if "start" in case else inclusion
    return subtree_consistency if "start" in case else consistency


def test_merkle() -> None:
    tally = Tally("transparency-log", "merkle")
    for file in sorted(vector_set("transparency-log", "merkle").glob("*.json")):
        for case in json.loads(file.read_text()):
            proof = [base64.b64decode(item) for item in case["proof"] or []]
            try:
                kind(case)(case, proof)
                refused = False
            except PeerFault:
                refused = True
            tally.check(refused is case["wantErr"], case["name"])
    tally.close()
