"""The hybrid suites beside an implementation that shares no code with ours (docs/spec/handshake.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lockgate.crypto.xwing import XWING
from lockgate.lab.entropy import SeededEntropy, seeded_signer
from lockgate.session.edhoc import Credential, Established, Identity, Known, Method, receive
from lockgate.session.edhoc.exchange import KemEphemeral
from lockgate.session.edhoc.initiator import begin
from tests.arch.sources import REPO

DOCUMENT: dict[str, Any] = json.loads((REPO / "vectors" / "session" / "hybrid-handshake.json").read_text())


class Replayed(SeededEntropy):
    """Gives the draws of a case: ML-KEM's coins, then the scalar."""

    def __init__(self, *draws: bytes) -> None:
        super().__init__(b"")
        self._draws = list(draws)

    def bytes(self, count: int, /) -> bytes:
        draw = self._draws.pop(0)
        assert len(draw) == count
        return draw


def identity(side: dict[str, Any]) -> Identity:
    signers = [
        seeded_signer(name, bytes.fromhex(seed))
        for name, seed in zip(("Ed25519", "ML-DSA-65"), side["seeds"], strict=True)
    ]
    keys = tuple(bytes.fromhex(key) for key in side["keys"])
    assert tuple(signer.public_key for signer in signers) == keys
    return Identity(Credential({4: bytes.fromhex(side["kid"])}, bytes.fromhex(side["cred"]), keys), signers)


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=[case["name"] for case in DOCUMENT["cases"]])
def test_the_hybrid_suites_are_those_of_the_second_implementation(case: dict[str, Any]) -> None:
    alice, bob = identity(case["initiator"]), identity(case["responder"])
    known = Known([alice.credential, bob.credential])
    ephemeral = KemEphemeral(XWING.private_key(bytes.fromhex(case["x_seed"])))
    c_i, c_r = bytes.fromhex(case["c_i"]), bytes.fromhex(case["c_r"])
    message_1, sent_1 = begin(Method.SIGN_SIGN, (case["suite"],), c_i, ephemeral)
    draws = Replayed(bytes.fromhex(case["coins"]), bytes.fromhex(case["scalar"]))
    message_2, sent_2 = receive(message_1, [case["suite"]]).message_2(c_r, bob, draws)
    message_3, sent_3 = sent_1.take(message_2, alice, known).message_3()
    proven = sent_2.take(message_3, known)
    message_4 = proven.message_4()
    assert [message.hex() for message in (message_1, message_2, message_3, message_4)] == case["messages"]
    done, _ = sent_3.take(message_4)
    for side in (done, proven.established):
        check(side, case)


def check(side: Established, case: dict[str, Any]) -> None:
    context = DOCUMENT["context"].encode()
    assert side.transcript.hex() == case["th_4"]
    assert side.prk_out.hex() == case["prk_out"]
    assert side.export(DOCUMENT["label"], context, 32).hex() == case["exported"]
    updated = side.updated(DOCUMENT["update"].encode())
    assert updated.export(DOCUMENT["label"], context, 32).hex() == case["exported_after_update"]
