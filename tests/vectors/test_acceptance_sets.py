"""What a ledger accepts as a signature is pinned here and not by a library's version (P7).

`vectors/crypto/acceptance.json` was computed by other code than ours. Each Ed25519 case is also put to
the plain formula, with the library's answer taken away, so a library that accepts less changes nothing.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from lockgate.crypto import ed25519
from lockgate.crypto.mldsa import MLDSA65
from tests.arch.sources import REPO


@cache
def pinned() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((REPO / "vectors" / "crypto" / "acceptance.json").read_text())
    return document


def verdicts() -> list[tuple[str, bool, bool]]:
    """(name, strict, ZIP-215) of every pinned case, by our code as it stands."""
    found = []
    for case in pinned()["ed25519"]:
        key, signature, message = (bytes.fromhex(case[name]) for name in ("key", "signature", "message"))
        strict = ed25519.verify_strict(key, signature, message)
        found.append((case["name"], strict, ed25519.verify_zip215(key, signature, message)))
    return found


def expected() -> list[tuple[str, bool, bool]]:
    return [(case["name"], case["strict"], case["zip215"]) for case in pinned()["ed25519"]]


def test_P7_both_ed25519_sets_are_the_pinned_ones() -> None:
    assert verdicts() == expected()
    kinds = {(strict, loose) for _, strict, loose in expected()}
    assert kinds == {(True, True), (False, True), (False, False)}, "strict lies inside ZIP-215, and both refuse some"


def test_P7_a_library_that_accepts_nothing_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ed25519, "_library_accepts", lambda *_: False)
    assert verdicts() == expected()


def test_P7_what_the_library_accepts_lies_inside_the_formula() -> None:
    accepts = ed25519._library_accepts
    for case in pinned()["ed25519"]:
        key, signature, message = (bytes.fromhex(case[name]) for name in ("key", "signature", "message"))
        if len(key) == 32 and len(signature) == 64 and accepts(key, signature, message):
            assert case["zip215"], case["name"]


def test_P7_the_ml_dsa_set_is_the_pinned_one() -> None:
    document = pinned()["ml_dsa_65"]
    for case in document["cases"]:
        key, signature = bytearray.fromhex(document["public_key"]), bytearray.fromhex(document["signature"])
        for place, mask in case["edits"]:
            signature[place] ^= mask
        for place, mask in case["key_edits"]:
            key[place] ^= mask
        given = bytes(signature[: len(signature) - case["cut"]]) + bytes.fromhex(case["more"])
        message, context = bytes.fromhex(case["message"]), bytes.fromhex(case["context"])
        assert MLDSA65.verify(bytes(key), given, message, context) is case["accept"], case["name"]
