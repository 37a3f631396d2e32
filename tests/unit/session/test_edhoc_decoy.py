"""Whatever is wrong with message_2, a signature is checked before it is refused (P19)."""

from __future__ import annotations

import pytest

from lockgate.crypto import hybrid
from lockgate.crypto.signatures import SignatureAlgorithm
from lockgate.crypto.suites import SIGN_ED25519_MLDSA65
from lockgate.session.edhoc import DEFAULT, SUITES, CipherSuite, Method
from lockgate.session.edhoc.errors import HandshakeFailed
from tests.support.edhoc import CLASSIC, Pair

HEAD = 3 + 1120  # of a CBOR byte string, and G_Y
NAME = HEAD + 1 + len(b"conn-r") + 1


@pytest.mark.parametrize(
    "place", [3 + 500, HEAD - 20, HEAD, NAME, NAME + 40], ids=["ML-KEM", "X25519", "form", "name", "signature"]
)
def test_P19_each_way_to_fail_checks_a_proof_once(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(SUITES[DEFAULT[0]])
    message_1, sent = pair.first()
    message_2, _ = pair.second(message_1)
    checked: list[bool] = []
    verify = hybrid.verify

    def counting(*arguments: object) -> bool:
        checked.append(verify(*arguments))  # type: ignore[arg-type]
        return checked[-1]

    monkeypatch.setattr(hybrid, "verify", counting)
    spoilt = message_2[:place] + bytes([message_2[place] ^ 1]) + message_2[place + 1 :]
    with pytest.raises(HandshakeFailed):
        sent.take(spoilt, pair.initiator, pair.known)
    assert checked == [False]
    sent.take(message_2, pair.initiator, pair.known)
    assert checked == [False, True]


@pytest.mark.parametrize("suite", CLASSIC, ids=lambda suite: str(suite.id))
@pytest.mark.parametrize("method", list(Method))
def test_so_it_is_in_suites_of_one_algorithm_and_with_static_keys(suite: CipherSuite, method: Method) -> None:
    """No other failure than the one, whichever way the responder proves itself."""
    pair = Pair(suite, method)
    message_1, sent = pair.first()
    message_2, _ = pair.second(message_1)
    for place in range(len(message_2) - 40, len(message_2)):
        spoilt = message_2[:place] + bytes([message_2[place] ^ 1]) + message_2[place + 1 :]
        with pytest.raises(HandshakeFailed):
            sent.take(spoilt, pair.initiator, pair.known)


def test_both_halves_of_a_hybrid_signature_are_asked_though_the_first_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(SUITES[DEFAULT[0]])
    asked: list[str] = []
    verify = SignatureAlgorithm.verify

    def counting(self: SignatureAlgorithm, public_key: bytes, signature: bytes, message: bytes) -> bool:
        asked.append(self.name)
        return verify(self, public_key, signature, message)

    monkeypatch.setattr(SignatureAlgorithm, "verify", counting)
    signature = bytes(SIGN_ED25519_MLDSA65.signature_bytes)
    assert not hybrid.verify(SIGN_ED25519_MLDSA65, pair.responder.credential.signing, b"message", signature)
    assert asked == ["Ed25519", "ML-DSA-65"]
