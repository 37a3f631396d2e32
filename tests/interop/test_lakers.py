"""EDHOC live against lakers, which has one suite (2) and one method (static keys on both sides): both ways round."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import pytest

from lockgate.codec import cbor
from lockgate.crypto.dh import DH_P256
from lockgate.keystore.software import OsEntropy
from lockgate.primitives.errors import LockgateError
from lockgate.session.edhoc import Established, Identity, Known, Method, ccs, receive, start
from lockgate.session.edhoc.errors import CriticalEad, HandshakeFailed, HandshakeMalformed, WrongSuite
from lockgate.session.edhoc.initiator import Sent1, Sent3
from lockgate.session.edhoc.messages import KCCS, KID, Ead
from lockgate.session.edhoc.responder import Proven, Sent2
from tests.arch.sources import REPO

pytestmark = pytest.mark.interop
PYTHON = REPO / ".venv-tools" / "lakers" / "bin" / "python"
SIDE = REPO / "tests" / "interop" / "lakers" / "side.py"
C_I, C_R = b"\x0e", b"\x27"
STATIC = frozenset({Method.DH_DH})
ENTROPY = OsEntropy()


class Refused(Exception):
    """What lakers said."""


class Lakers:
    """The other side, in its own process."""

    def __init__(self, writing: IO[str], reading: IO[str]) -> None:
        self._writing, self._reading = writing, reading

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        said = {name: each.hex() if isinstance(each, bytes) else each for name, each in arguments.items()}
        self._writing.write(json.dumps({"do": do, **said}) + "\n")
        self._writing.flush()
        answer: dict[str, Any] = json.loads(self._reading.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def message(self, do: str, **arguments: Any) -> bytes:
        return bytes.fromhex(self.ask(do, **arguments)["message"])


@pytest.fixture(scope="module")
def lakers() -> Iterator[Lakers]:
    if not PYTHON.exists():
        pytest.skip("lakers is not installed: `make interop` installs it")
    with subprocess.Popen([PYTHON, "-I", SIDE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Lakers(process.stdin, process.stdout)
        process.stdin.close()
        process.wait(10)


@dataclass(frozen=True)
class Party:
    """A static P-256 key, and the claims set it is known by."""

    raw: bytes
    claims: bytes
    identity: Identity

    @classmethod
    def make(cls, kid: bytes) -> Party:
        raw = b"\x01" + ENTROPY.bytes(31)
        key = DH_P256.private_key(raw)
        x, y = key.public_key[1:33], key.public_key[33:]
        claims = cbor.encode({2: "party", 8: {1: {1: 2, 2: kid, -1: 1, -2: x, -3: y}}})
        return cls(raw, claims, Identity(ccs(claims), (), key))

    @property
    def whole(self) -> Known:
        """What is held where the credential travels whole."""
        return Known([self.identity.credential.named({KCCS: cbor.decode(self.claims)})])

    @property
    def named(self) -> Known:
        return Known([self.identity.credential])


ALICE, BOB, EVE = Party.make(b"\x2b"), Party.make(b"\x32"), Party.make(b"\x2b")


def flipped(message: bytes, place: float) -> bytes:
    """One bit other, behind the head of the byte string: a message of the same form."""
    spoilt = bytearray(message)
    spoilt[2 + int((len(message) - 3) * place)] ^= 0x10
    return bytes(spoilt)


# We begin.


def ours_first(**settings: Any) -> tuple[bytes, Sent1]:
    return start(Method.DH_DH, [2], C_I, ENTROPY, **settings)


def ours_third(lakers: Lakers, *, whole: bool = False) -> tuple[bytes, Sent3]:
    message_1, sent = ours_first()
    message_2 = lakers.message("second", message=message_1, key=BOB.raw, own=BOB.claims, c_r=C_R, whole=whole)
    return sent.take(message_2, ALICE.identity, BOB.whole if whole else BOB.named).message_3()


def alike(lakers: Lakers, done: Established) -> None:
    """The same secrets on both sides, before and after a key update, and others for each purpose.

    Labels are below 24: lakers writes a label as one bare byte, no CBOR integer from there on (RFC 9528 §4.1.2).
    """
    secrets = set()
    for _ in range(2):
        for label, context, length in ((0, b"", 16), (1, b"", 16), (1, b"context", 16), (23, b"\x00" * 32, 60)):
            theirs = bytes.fromhex(lakers.ask("export", label=label, context=context, length=length)["secret"])
            assert done.export(label, context, length) == theirs
            secrets.add(theirs)
        lakers.ask("update", context=b"fresh")
        done = done.updated(b"fresh")
    assert len(secrets) == 8


@pytest.mark.parametrize("whole", [False, True])
def test_S4_we_begin_and_both_hold_one_secret(lakers: Lakers, whole: bool) -> None:
    message_3, sent = ours_third(lakers, whole=whole)
    done, eads = sent.take(lakers.message("fourth", message=message_3, peer=ALICE.claims))
    assert (done.peer.cred, done.c_r, eads) == (BOB.claims, C_R, ())
    alike(lakers, done)


def test_S4_a_suite_that_lakers_lacks_is_before_the_one_it_has(lakers: Lakers) -> None:
    """We prefer suite 3, and were told that lakers has 2 alone."""
    message_1, sent = start(Method.DH_DH, [3, 2], C_I, ENTROPY, supported=[2])
    message_2 = lakers.message("second", message=message_1, key=BOB.raw, own=BOB.claims, c_r=C_R)
    message_3, third = sent.take(message_2, ALICE.identity, BOB.named).message_3()
    alike(lakers, third.take(lakers.message("fourth", message=message_3, peer=ALICE.claims))[0])


def test_S4_lakers_refuses_a_suite_it_lacks_and_our_method_0(lakers: Lakers) -> None:
    for message_1 in (start(Method.DH_DH, [3], C_I, ENTROPY)[0], start(Method.SIGN_SIGN, [2], C_I, ENTROPY)[0]):
        with pytest.raises(Refused):
            lakers.ask("second", message=message_1, key=BOB.raw, own=BOB.claims, c_r=C_R)


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 1])
def test_S4_what_lakers_sent_and_somebody_altered_is_refused_here(lakers: Lakers, place: float) -> None:
    message_1, sent = ours_first()
    message_2 = lakers.message("second", message=message_1, key=BOB.raw, own=BOB.claims, c_r=C_R)
    with pytest.raises(HandshakeFailed):
        sent.take(flipped(message_2, place), ALICE.identity, BOB.named)
    message_3, third = ours_third(lakers)
    message_4 = lakers.message("fourth", message=message_3, peer=ALICE.claims)
    with pytest.raises((HandshakeFailed, HandshakeMalformed)):
        third.take(flipped(message_4, place))


@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_S4_what_we_sent_and_somebody_altered_is_refused_by_lakers(lakers: Lakers, place: float) -> None:
    message_3, _ = ours_third(lakers)
    with pytest.raises(Refused):
        lakers.ask("fourth", message=flipped(message_3, place), peer=ALICE.claims)


def test_S4_an_altered_message_1_shows_in_message_2(lakers: Lakers) -> None:
    message_1, sent = ours_first()
    message_2 = lakers.message("second", message=message_1[:-1] + b"\x0d", key=BOB.raw, own=BOB.claims, c_r=C_R)
    with pytest.raises(HandshakeFailed):
        sent.take(message_2, ALICE.identity, BOB.named)


def test_S4_another_key_under_the_same_name_is_refused_on_each_side(lakers: Lakers) -> None:
    message_1, sent = ours_first()
    message_2 = lakers.message("second", message=message_1, key=EVE.raw, own=BOB.claims, c_r=C_R)
    with pytest.raises(HandshakeFailed):
        sent.take(message_2, ALICE.identity, BOB.named)
    message_3, _ = ours_third(lakers)
    with pytest.raises(Refused):
        lakers.ask("fourth", message=message_3, peer=EVE.claims)


# Lakers begins.


def theirs_third(lakers: Lakers, *, whole: bool = False) -> tuple[bytes, Sent2]:
    message_1 = lakers.message("first", c_i=C_I)
    message_2, sent = receive(message_1, [2], STATIC).message_2(C_R, BOB.identity, ENTROPY)
    message_3 = lakers.message(
        "third", message=message_2, key=ALICE.raw, own=ALICE.claims, peer=BOB.claims, whole=whole
    )
    return message_3, sent


def proven(lakers: Lakers, *, whole: bool = False) -> Proven:
    message_3, sent = theirs_third(lakers, whole=whole)
    return sent.take(message_3, ALICE.whole if whole else ALICE.named)


@pytest.mark.parametrize("whole", [False, True])
def test_S4_lakers_begins_and_both_hold_one_secret(lakers: Lakers, whole: bool) -> None:
    done = proven(lakers, whole=whole)
    assert (done.established.peer.cred, done.established.c_i) == (ALICE.claims, C_I)
    lakers.ask("done", message=done.message_4())
    alike(lakers, done.established)


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 1])
def test_S4_what_lakers_sent_third_and_somebody_altered_is_refused_here(lakers: Lakers, place: float) -> None:
    message_3, sent = theirs_third(lakers)
    spoilt = bytearray(message_3)
    spoilt[1 + int((len(spoilt) - 2) * place)] ^= 0x10
    with pytest.raises(HandshakeFailed):
        sent.take(bytes(spoilt), ALICE.named)


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 1])
def test_S4_what_we_answered_and_somebody_altered_is_refused_by_lakers(lakers: Lakers, place: float) -> None:
    message_1 = lakers.message("first", c_i=C_I)
    message_2, _ = receive(message_1, [2], STATIC).message_2(C_R, BOB.identity, ENTROPY)
    with pytest.raises(Refused):
        lakers.ask("third", message=flipped(message_2, place), key=ALICE.raw, own=ALICE.claims, peer=BOB.claims)
    done = proven(lakers)
    with pytest.raises(Refused):
        lakers.ask("done", message=done.message_4()[:-1] + b"\x00")


def test_S4_lakers_is_told_of_other_suites_and_methods(lakers: Lakers) -> None:
    message_1 = lakers.message("first", c_i=C_I)
    with pytest.raises(WrongSuite):
        receive(message_1, [-24, -23], STATIC)
    with pytest.raises(LockgateError) as refused:
        receive(message_1, [2])
    assert refused.value.code == "edhoc.method_refused"


def test_S4_authorisation_data_passes_both_ways_and_critical_ones_must_be_understood(lakers: Lakers) -> None:
    message_1 = lakers.message("first", c_i=C_I, ead=[9, False, "aabb"])
    assert receive(message_1, [2], STATIC).message.eads == (Ead(9, b"\xaa\xbb"),)
    critical = lakers.message("first", c_i=C_I, ead=[9, True, "aabb"])
    with pytest.raises(CriticalEad):
        receive(critical, [2], STATIC)
    asked = receive(critical, [2], STATIC, frozenset({9}))
    message_2, _ = asked.message_2(C_R, BOB.identity, ENTROPY, [Ead(11, b"quote")])
    answer = lakers.ask("third", message=message_2, key=ALICE.raw, own=ALICE.claims, peer=BOB.claims)
    assert answer["eads"] == [[11, False, b"quote".hex()]]
    ours, _ = ours_first(eads=[Ead(10, b"first")])
    seen = lakers.ask("second", message=ours, key=BOB.raw, own=BOB.claims, c_r=C_R)
    assert seen["eads"] == [[10, False, b"first".hex()]]
    assert BOB.identity.credential.id_cred == {KID: b"\x32"}
