"""Headers are read out of transactions of either kind; what is neither gives none."""

from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import cosmos_pb2, ibc_client_pb2
from lockgate.courier.evidence import headers_in
from lockgate.crypto import ed25519
from lockgate.machine.transaction import Message, Transaction, sign
from lockgate.primitives.ids import ChainId, DomainId, Hash32
from lockgate.primitives.time import UnixSeconds


def update(kind: str, value: bytes) -> Message:
    message = ibc_client_pb2.MsgUpdateClient(
        client_id="07-tendermint-3", client_message=AnyMessage(type_url=kind, value=value), signer="somebody"
    )
    return urls.MSG_UPDATE_CLIENT, message.SerializeToString()


MESSAGES = [
    update(urls.TENDERMINT_HEADER, b"one"),
    (urls.MSG_RECV_PACKET, b"anything"),
    update(urls.TENDERMINT_MISBEHAVIOUR, b"no header"),
    update(urls.TENDERMINT_HEADER, b"two"),
]
FOUND = [("07-tendermint-3", b"one"), ("07-tendermint-3", b"two")]


def ours(messages: list[Message]) -> bytes:
    key = ed25519.SigningKey(b"\x01" * 32)
    body = Transaction(
        domain=DomainId(Hash32(bytes(32))),
        chain_id=ChainId("alpha-1"),
        public_key=key.public_key,
        nonce_lane=0,
        sequence=0,
        valid_until=UnixSeconds(10),
        gas_limit=1,
        fee=0,
        messages=tuple(messages),
    )
    return sign(body, 1, key.sign)


def cosmos(messages: list[Message]) -> bytes:
    body = cosmos_pb2.TxBody(messages=[AnyMessage(type_url=name, value=value) for name, value in messages])
    raw = cosmos_pb2.TxRaw(body_bytes=body.SerializeToString(), auth_info_bytes=b"\x12\x00", signatures=[bytes(64)])
    return raw.SerializeToString()


@pytest.mark.parametrize("kind", [ours, cosmos])
def test_every_header_is_found_in_order(kind: object) -> None:
    assert callable(kind)
    assert headers_in(kind(MESSAGES)) == FOUND


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"\x0a\x05hello", cosmos([]), cosmos([update("/x", b"")])])
def test_other_bytes_give_none(data: bytes) -> None:
    assert headers_in(data) == []


def test_an_update_that_does_not_parse_costs_nothing_but_itself() -> None:
    assert headers_in(cosmos([(urls.MSG_UPDATE_CLIENT, b"\xff")])) == []
