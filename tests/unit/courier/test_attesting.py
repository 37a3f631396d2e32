"""What is asked of attestors and answered: exact bytes, bounded, and the fewest signatures that are enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.codec import cbor
from lockgate.courier import attesting
from lockgate.courier.attesting import (
    LENGTH_BYTES,
    MAX_FRAME,
    SCHEMAS,
    Answer,
    Attest,
    Attested,
    AttestorUnusable,
    HandedOver,
    HandOver,
    Known,
    NotAttested,
    Request,
    Who,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    frame_length,
    holds,
    missing,
    smallest,
)
from lockgate.courier.evm_attesting import EvmAttest, EvmAttested, EvmHandOver
from lockgate.courier.evm_wire import MAX_KEY, MAX_KEYS
from lockgate.crypto.suites import SIGN_ED25519_MLDSA65
from lockgate.lightclients.attested import SignerSet
from lockgate.lightclients.attested.messages import sign
from lockgate.lightclients.evm_attestation import Binding, Member, SigningSet
from lockgate.primitives.ids import Height
from lockgate.primitives.time import UnixNanos, UnixSeconds
from tests.support.attesters import START, attester, client_state, ordered, signer, signer_set
from tests.support.values import replace as with_fields

HASH, OTHER = b"\x11" * 32, b"\x22" * 32
BINDING = Binding(chain_id=31_337, contract=b"\x0a" * 20, client_id="client-0", source=HASH)
SET = SigningSet((Member(1, b"\x0b" * 20, 1), Member(2, b"\x0c" * 20, 65_535)), 3, 2, UnixSeconds(1_800_000_000))
REQUESTS: list[Request] = [
    Who(),
    Attest(HASH, Height(1, 7)),
    HandOver(HASH, OTHER),
    EvmAttest(BINDING, 1, Height(1, 7), (b"path", b"")),
    EvmAttest(BINDING, 1, Height(1, 7), (b"p" * MAX_KEY,) * MAX_KEYS),
    EvmHandOver(BINDING, 2, SET),
    EvmHandOver(BINDING, 2, replace(SET, members=())),
]
HEAD = [1, b"\x0a" * 20, "client-0", HASH, 1]
BAD_EVM: list[list[object]] = [
    ["attest-evm", HEAD, [1, 7], []],
    ["attest-evm", HEAD, [1, 7], [b"p"] * (MAX_KEYS + 1)],
    ["attest-evm", HEAD, [1, 7], [b"p" * (MAX_KEY + 1)]],
    ["attest-evm", HEAD, [1, 7], ["p"]],
    ["attest-evm", HEAD, [1, 1 << 63], [b"p"]],
    ["attest-evm", HEAD[1:], [1, 7], [b"p"]],
    ["attest-evm", [1 << 63, *HEAD[1:]], [1, 7], [b"p"]],
    ["attest-evm", [1, b"\x0a" * 19, *HEAD[2:]], [1, 7], [b"p"]],
    ["attest-evm", [*HEAD[:2], "", *HEAD[3:]], [1, 7], [b"p"]],
    ["attest-evm", [*HEAD[:2], "c" * 65, *HEAD[3:]], [1, 7], [b"p"]],
    ["hand-over-evm", HEAD, [[[1, b"\x0b" * 20, 1]] * 17, 3, 2, 5]],
    ["hand-over-evm", HEAD, [[[1, b"\x0b" * 19, 1]], 3, 2, 5]],
    ["hand-over-evm", HEAD, [[7], 3, 2, 5]],
    ["hand-over-evm", HEAD, [[], 3, 2]],
]
ANSWERS: list[Answer] = [
    Known("alpha-1", HASH, OTHER, Height(1, 0)),
    Attested(UnixNanos(5), HASH, OTHER, b"s" * 64),
    HandedOver(OTHER, b"s" * 3_373),
    EvmAttested(HASH, OTHER),
    NotAttested("attestor.not_final", "asked=1-9"),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_reads_as_it_was_written(request_: Request) -> None:
    framed = encode_request(request_)
    assert frame_length(framed[:LENGTH_BYTES]) == len(framed) - LENGTH_BYTES
    assert decode_request(framed[LENGTH_BYTES:]) == request_
    SCHEMAS[2 if isinstance(request_, EvmAttest | EvmHandOver) else 0].validate(framed[LENGTH_BYTES:])


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_reads_as_it_was_written(answer: Answer) -> None:
    framed = encode_answer(answer)
    assert decode_answer(framed[LENGTH_BYTES:]) == answer
    SCHEMAS[1].validate(framed[LENGTH_BYTES:])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        cbor.encode([]),
        cbor.encode("who"),
        cbor.encode([attesting.PROTOCOL]),
        cbor.encode([attesting.PROTOCOL, "sing"]),
        cbor.encode(["lockgate-attestor/2", "who"]),
        cbor.encode([attesting.PROTOCOL, "who", 1]),
        cbor.encode([attesting.PROTOCOL, "attest", HASH[1:], [1, 7]]),
        cbor.encode([attesting.PROTOCOL, "attest", HASH, [1, 1 << 63]]),
        cbor.encode([attesting.PROTOCOL, "attest", HASH, [1]]),
        cbor.encode([attesting.PROTOCOL, "attest", HASH, 7]),
        cbor.encode([attesting.PROTOCOL, "hand-over", HASH]),
        cbor.encode([1, 2]),
        *(cbor.encode([attesting.PROTOCOL, *value]) for value in BAD_EVM),
        b"\x00" * (MAX_FRAME + 1),
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(AttestorUnusable):
        decode_request(body)


@pytest.mark.parametrize(
    "value",
    [
        ["attested", 5, HASH, OTHER, b""],
        ["attested", 5, HASH, OTHER, b"s" * 8_193],
        ["attested", -1, HASH, OTHER, b"s"],
        ["attested", 5, HASH[1:], OTHER, b"s"],
        ["attested", 5, HASH, OTHER],
        ["handed-over", OTHER, b""],
        ["refused", "c" * 65, ""],
        ["refused", "c", "d" * 301],
        ["known", "alpha-1", HASH, OTHER, [1, 0], 0],
        ["gone"],
        ["attested-evm", HASH],
        ["attested-evm", HASH, HASH[1:]],
    ],
)
def test_what_is_no_answer_is_refused(value: list[object]) -> None:
    with pytest.raises(AttestorUnusable):
        decode_answer(cbor.encode(value))


def test_words_of_an_attestor_cannot_draw_on_a_terminal() -> None:
    answer = decode_answer(cbor.encode(["refused", "a.b", "\x1b[2J"]))
    assert answer == NotAttested("a.b", "?[2J")


@pytest.mark.parametrize("head", [b"\x00\x00\x00\x00", (MAX_FRAME + 1).to_bytes(4, "big"), b"\xff" * 4])
def test_a_length_is_bounded_before_anything_is_read(head: bytes) -> None:
    with pytest.raises(AttestorUnusable):
        frame_length(head)


def test_a_signature_counts_for_what_was_asked_and_under_the_sets_own_key() -> None:
    state = client_state()
    key_hash, signature = sign(attester(0), state, b"message")
    assert holds(state, state.signers, b"message", key_hash, signature)
    assert not holds(state, state.signers, b"another", key_hash, signature)
    assert not holds(state, state.signers, b"message", attester(1).key.hash, signature)
    assert not holds(replace(state, domain=HASH), state.signers, b"message", key_hash, signature)
    stranger, by_stranger = sign(attester(9), state, b"message")
    assert not holds(state, state.signers, b"message", stranger, by_stranger)


def names(signers: SignerSet) -> list[bytes]:
    return [each.key.hash for each in signers.signers]


def test_the_fewest_signatures_that_are_enough_are_taken_in_the_ledgers_order() -> None:
    signers = SignerSet(
        epoch=1, threshold=6, signers=ordered([signer(n, weight=w) for n, w in enumerate((1, 2, 3, 4))])
    )
    have = {name: b"by " + name for name in names(signers)}
    chosen = smallest(signers, have, START)
    assert chosen is not None
    assert {signers.by_hash[name].weight for name, _ in chosen} == {3, 4}
    assert [name for name, _ in chosen] == sorted(name for name, _ in chosen)
    assert all(signature == b"by " + name for name, signature in chosen)
    heaviest = next(each.key.hash for each in signers.signers if each.weight == 4)
    assert smallest(signers, {name: b"" for name in have if name != heaviest}, START) is not None
    lightest = {each.key.hash: b"" for each in signers.signers if each.weight < 3}
    assert smallest(signers, lightest, START) is None, "what is needed never falls"


def test_a_lapsed_delegation_and_a_stranger_count_for_nothing() -> None:
    signers = signer_set(3, 2)
    have = dict.fromkeys(names(signers)[:2], b"s")
    assert smallest(signers, have, START) is not None
    assert smallest(signers, have, signers.signers[0].until) is None
    assert smallest(signers, {names(signers)[0]: b"s", HASH: b"s"}, START) is None
    assert smallest(with_fields(signers, threshold=0), {}, START) == (), "which no ledger stores, nor believes"


def test_who_has_not_signed_is_named() -> None:
    signers = signer_set(3, 2)
    first = signers.by_hash[names(signers)[0]].operator
    assert set(missing(signers, names(signers)[1:])) == {first}
    assert len(missing(signers, [])) == 3


def test_a_frame_holds_the_longest_answer() -> None:
    suite = SIGN_ED25519_MLDSA65.id
    hybrid = attester(0, suite)
    state = client_state(SignerSet(epoch=1, threshold=1, signers=(signer(0, key=hybrid.key),)))
    _, signature = sign(hybrid, state, b"message")
    assert len(encode_answer(Attested(UnixNanos(5), HASH, OTHER, signature))) < MAX_FRAME
