"""A transaction framed by hand is what the CBOR encoder writes of the same value."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.codec import cbor
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
