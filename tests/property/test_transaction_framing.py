"""A transaction framed by hand is what the CBOR encoder writes of the same value."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.machine import transaction as tx
from lockgate.primitives.ids import DomainId, Hash32
from lockgate.primitives.time import UnixSeconds

contents = st.tuples(st.just("/ibc.Msg"), st.binary(max_size=300)) | st.tuples(
    st.sampled_from(["gov.stop", "é"]), st.dictionaries(st.text("abc", max_size=3), st.integers(0, 300), max_size=3)
)
transactions = st.builds(
    tx.Transaction,
    domain=st.binary(min_size=32, max_size=32).map(lambda raw: DomainId(Hash32(raw))),
    chain_id=st.text("abc-1", max_size=20),
    public_key=st.binary(min_size=32, max_size=32),
    nonce_lane=st.integers(0, 0xFFFF),
    sequence=st.integers(0, 2**48),
    valid_until=st.integers(0, 2**40).map(UnixSeconds),
    gas_limit=st.integers(0, 2**48),
    fee=st.integers(0, 2**60),
    messages=st.lists(contents, min_size=1, max_size=30).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(transactions, st.integers(0, 2**64 - 1))
def test_body_and_signed_bytes_are_what_the_encoder_writes(one: tx.Transaction, revision: int) -> None:
    body = one.body()
    assert body == cbor.encode(
        [
            one.domain,
            one.chain_id,
            [tx.SUITE_ED25519, one.public_key],
            one.nonce_lane,
            one.sequence,
            one.valid_until,
            one.gas_limit,
            one.fee,
            [list(message) for message in one.messages],
        ]
    )
    protected = tx._protected(one.account)
    key_hash = hashlib.sha256(one.public_key).digest()
    context = signing_bytes(Purpose.TRANSACTION, tx.SUITE_ED25519, key_hash, one.domain, revision, b"")
    signed = cbor.encode(["Signature1", protected, context, body])
    for _ in range(2):  # once more with what was remembered
        assert tx._to_be_signed(one, revision, protected, body) == signed


def _decoded(body: bytes) -> object:
    try:
        return cbor.decode(body)
    except Malformed:
        return None


@settings(max_examples=300, deadline=None)
@given(transactions, st.data())
def test_a_body_read_by_position_is_what_the_decoder_reads(one: tx.Transaction, data: st.DataObject) -> None:
    """Any change of a byte, also of the framing, is read as the decoder does, or left to it."""
    body = one.body()
    usual = tx._usual(body, 30)
    relayed = all(type(content) is bytes for _, content in one.messages)
    assert usual == (cbor.decode(body) if relayed else None)
    at = data.draw(st.integers(0, len(body) - 1))
    put = data.draw(st.binary(max_size=3) | st.sampled_from([b"\x82", b"\x58\x05", b"\x59\x00\x20", b"\x5f"]))
    taken = data.draw(st.integers(0, 3))
    changed = body[:at] + put + body[at + taken :]
    read = tx._usual(changed, 30)
    assert read is None or read == _decoded(changed)
    assert tx._usual(body[:at], 30) is None
    assert tx._usual(body + b"\x00", 30) is None


@settings(max_examples=200, deadline=None)
@given(transactions, st.data())
def test_a_frame_read_by_position_is_what_the_decoder_reads(one: tx.Transaction, data: st.DataObject) -> None:
    signed = tx.sign(one, 1, lambda _: bytes(64))
    assert tx._usual_frame(signed) == tx.read_sign1(signed)
    at = data.draw(st.integers(0, len(signed) - 1) | st.sampled_from([0, 1, 3, 29, 30, 31]))
    put = data.draw(st.binary(max_size=3) | st.sampled_from([b"\x58\x05", b"\x59\x00\x20", b"\x5f", b"\xa0"]))
    taken = data.draw(st.integers(0, 3))
    changed = signed[:at] + put + signed[at + taken :]
    read = tx._usual_frame(changed)
    assert read is None or read == tx.read_sign1(changed)
    assert tx._usual_frame(signed[:at]) is None
    assert tx._usual_frame(signed + b"\x00") is None


def test_a_number_longer_than_needed_is_left_to_the_decoder() -> None:
    for head in (
        b"\x18\x17",
        b"\x19\x00\xff",
        b"\x1a\x00\x00\xff\xff",
        b"\x1b" + bytes(4) + b"\xff" * 4,
        b"\x1c",
        b"\x20",
    ):
        with pytest.raises(IndexError):
            tx._number(head + bytes(8), 0)
    assert tx._number(b"\x18\x18", 0) == (24, 2)
    assert tx._number(b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00", 0) == (1 << 32, 9)


@settings(max_examples=20, deadline=None)
@given(transactions)
def test_more_messages_than_allowed_are_left_to_the_decoder(one: tx.Transaction) -> None:
    assert tx._usual(one.body(), len(one.messages) - 1) is None


def test_an_unusual_length_is_left_to_the_decoder() -> None:
    for head in (b"\x58\x05", b"\x59\x00\x20", b"\x5a\x00\x01\x00\x00", b"\x5f", b"\x65"):
        with pytest.raises(IndexError):
            tx._length(head + bytes(4), 0, 0x40)


@settings(max_examples=30, deadline=None)
@given(transactions, st.sampled_from([0x80, 0x81, 0x83, 0x9F, 0xA1, 0x42]))
def test_a_message_that_is_no_pair_is_left_to_the_decoder(one: tx.Transaction, head: int) -> None:
    message = cbor.encode(list(one.messages[0]))
    front, _, behind = one.body().partition(message)
    assert tx._usual(front + bytes((head,)) + message[1:] + behind, 30) is None
