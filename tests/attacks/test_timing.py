"""Whether the ways in which an envelope or a message_2 fails to open are told apart by the time they take (P3, P19).

Statistical, so with the long runs (`make soak`); what was found is in docs/explanation/secrets-in-memory.md. Pairs
whose difference would say something of a secret must not be told apart. Of the others, where whoever spoiled the bytes
knows already what he spoiled, the difference has a bound: a refusal reaches him in a block, after a durable write,
milliseconds later.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lockgate.crypto.suites import SEAL_XWING_AES, SIGN_ED25519_MLDSA65
from lockgate.envelope.cose.encrypt import Encrypt, Encrypt0
from lockgate.envelope.cose.labels import ENCAPSULATED_KEY, KEY_COMMITMENT
from lockgate.envelope.cose.wire import Wire
from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.outside import inspect_envelope
from lockgate.host.sealing import unseal, unseal_within
from lockgate.hosting.sessions import place_of
from lockgate.session import Book
from lockgate.session.edhoc import DEFAULT, SUITES
from lockgate.session.edhoc.errors import HandshakeFailed
from tests.support import probe
from tests.support.edhoc import Pair
from tests.support.hosts import HostWorld
from tests.support.recorder import Recorded, record
from tests.support.talking import ask
from tests.support.timing import compare

RUNS = int(os.environ.get("LOCKGATE_TIMING_RUNS", "2000"))
BOUND_NS = 100_000  # far below what a block and a durable write scatter by
Try = Callable[[], None]


@dataclass(frozen=True)
class Ways:
    """Ways to fail, each by one flipped bit."""

    tries: dict[str, Try]

    def differ(self, one: str, other: str, capsys: pytest.CaptureFixture[str]) -> tuple[bool, float]:
        """Are they told apart, and by how many nanoseconds? Measured again where they are: noise does not repeat."""
        for seed in range(3):
            found = compare(self.tries[one], self.tries[other], RUNS, seed)
            with capsys.disabled():
                sys.stdout.write(f"\n{one:>34} | {other:<34} {found}")
            if not found.told:
                break
        return found.told, found.apart_ns


def refused(attempt: Callable[[bytes], object], data: bytes, error: type[Exception]) -> Try:
    def run() -> None:
        try:
            attempt(data)
        except error:
            return
        raise AssertionError("it opens")

    run()
    return run


def flipped(data: bytes, part: bytes, at: int) -> bytes:
    """One bit of a part of the data, which stands there once."""
    assert data.count(part) == 1
    place = data.index(part) + (at % len(part))
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.fixture(scope="module")
def envelopes() -> tuple[Ways, Ways]:
    """Of an envelope to a long-term key, and of one in a session."""

    async def work() -> tuple[Ways, Ways]:
        async with HostWorld(sessions=True, endpoints=(SIGN_ED25519_MLDSA65.id, SEAL_XWING_AES.id)) as world:
            kept: list[bytes] = []
            vault = world.vaults["b"]
            save = vault.save

            def keeping(book: bytes, /) -> None:
                kept.append(book)
                save(book)

            vault.save = keeping  # type: ignore[method-assign]
            await ask(world, world.a, probe.write(b"k", bytes(500)))
            recorded = record(world, world.a)
            return outside(recorded[0]), inside(recorded[-1], kept)

    return asyncio.run(work())


def outside(one: Recorded) -> Ways:
    data, sealing = one.value, one.receiver.endpoint.opener(0)
    message = Encrypt.decode(data, Wire.OURS)
    enc = message.recipients[0].headers.unprotected[ENCAPSULATED_KEY]

    def opened(envelope: bytes) -> object:
        return unseal(one.context, sealing, one.sender.endpoint.record, envelope)

    assert isinstance(enc, bytes)
    opened(data)
    return Ways(
        {
            "ML-KEM ciphertext": refused(opened, flipped(data, enc, 500), BadEnvelope),
            "X25519 public key": refused(opened, flipped(data, enc, len(enc) - 20), BadEnvelope),
            **sealed(opened, data, message.headers.protected[KEY_COMMITMENT]),
        }
    )


def inside(one: Recorded, books: list[bytes]) -> Ways:
    data = one.value
    place = place_of(inspect_envelope(data).choice)
    book = next(book for book in map(Book.from_bytes, books) if any(each.name == place.session for each in book))
    session = next(each for each in book if each.name == place.session)
    key = session.open(place)[0].message

    def opened(envelope: bytes) -> object:
        return unseal_within(one.context, key, one.sender.endpoint.record, envelope)

    opened(data)
    return Ways(sealed(opened, data, Encrypt0.decode(data, Wire.OURS).headers.protected[KEY_COMMITMENT]))


def sealed(opened: Callable[[bytes], object], data: bytes, commitment: object) -> dict[str, Try]:
    assert isinstance(commitment, bytes)
    return {
        "commitment, first byte": refused(opened, flipped(data, commitment, 0), BadEnvelope),
        "commitment, last byte": refused(opened, flipped(data, commitment, 31), BadEnvelope),
        "ciphertext, last byte": refused(opened, data[:-1] + bytes([data[-1] ^ 1]), BadEnvelope),
        "ciphertext, a byte within": refused(opened, data[:-200] + bytes([data[-200] ^ 1]) + data[-199:], BadEnvelope),
    }


@pytest.fixture(scope="module")
def second_messages() -> Ways:
    """Of message_2 in the default suite, whose keystream lets a bit of the plaintext be flipped at will."""
    pair = Pair(SUITES[DEFAULT[0]])
    message_1, sent = pair.first()
    message_2, _ = pair.second(message_1)
    suite = pair.suite
    g_y, head = 3, 3 + suite.exchange.answer_bytes  # after the head of a CBOR byte string
    name = head + 1 + len(b"conn-r")
    proof = name + 1 + len(b"bob") + 3

    def taken(message: bytes) -> object:
        return sent.take(message, pair.initiator, pair.known)

    def at(place: int) -> Try:
        spoilt = message_2[:place] + bytes([message_2[place] ^ 1]) + message_2[place + 1 :]
        return refused(taken, spoilt, HandshakeFailed)

    taken(message_2)
    return Ways(
        {
            "ML-KEM ciphertext": at(g_y + 500),
            "X25519 public key": at(head - 20),
            "form of the plaintext": at(head),
            "name of the credential": at(name + 1),
            "Ed25519 half: R, no point": at(proof + 10),
            "Ed25519 half: S": at(proof + 32 + 10),
            "ML-DSA half": at(proof + 64 + 48 + 1500),
        }
    )


SECRET = [
    ("ML-KEM ciphertext", "X25519 public key"),  # implicit rejection shows as nothing else
    ("commitment, first byte", "commitment, last byte"),
    ("ciphertext, last byte", "ciphertext, a byte within"),
]


@pytest.mark.soak
@pytest.mark.parametrize(("one", "other"), SECRET)
def test_P3_ways_to_fail_that_hang_on_secrets_are_not_told_apart(
    envelopes: tuple[Ways, Ways], one: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for ways in envelopes:
        if one in ways.tries:
            told, apart_ns = ways.differ(one, other, capsys)
            assert not told, f"by {apart_ns:.0f} ns"


@pytest.mark.soak
@pytest.mark.parametrize("other", ["ciphertext, last byte", "X25519 public key"])
def test_P3_the_first_and_the_last_check_are_near_each_other(
    envelopes: tuple[Ways, Ways], other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for ways in envelopes:
        if other in ways.tries:
            told, apart_ns = ways.differ("commitment, first byte", other, capsys)
            assert not told or apart_ns < BOUND_NS


@pytest.mark.soak
@pytest.mark.parametrize(
    "other",
    ["X25519 public key", "form of the plaintext", "name of the credential", "Ed25519 half: R, no point"],
)
def test_P19_ways_in_which_message_2_fails_are_near_each_other(
    second_messages: Ways, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told, apart_ns = second_messages.differ("ML-KEM ciphertext", other, capsys)
    assert not told or apart_ns < BOUND_NS


@pytest.mark.soak
@pytest.mark.parametrize("half", ["ML-DSA half", "Ed25519 half: S"])
def test_what_a_spoiled_signature_takes_is_said(
    second_messages: Ways, half: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong Ed25519 half with a point in it is computed again in Python (P7), a right one is not: both are told from
    the rest. Who sees it has a message_2 of the responder's with that half spoiled, by himself."""
    told, apart_ns = second_messages.differ("ML-KEM ciphertext", half, capsys)
    assert told
    assert apart_ns < 100_000_000
