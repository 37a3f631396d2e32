"""Transactions of a Cosmos SDK chain: SIGN_MODE_DIRECT over protobuf, by one secp256k1 account.

Source: cosmos-sdk ADR 020 (the bytes that are signed are those that are sent); an account is RIPEMD-160 over
SHA-256 of its compressed key, in Bech32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec import bech32
from lockgate.codec.protobuf import serialize
from lockgate.codec.wire import cosmos_pb2 as wire
from lockgate.crypto import ecdsa
from lockgate.crypto.ec import SECP256K1
from lockgate.crypto.hashes import SHA256
from lockgate.machine.transaction import Message

PUB_KEY: Final = "/cosmos.crypto.secp256k1.PubKey"
DIRECT: Final = 1  # cosmos.tx.signing.v1beta1.SignMode
COSMOS_PREFIX: Final = "cosmos"


@dataclass(frozen=True, slots=True)
class CosmosKey:
    """An account's key. `public_key` is the compressed point; `sign_with` gives raw r ‖ s with low s."""

    public_key: bytes
    sign_with: Callable[[bytes], bytes]
    prefix: str = COSMOS_PREFIX

    @classmethod
    def of(cls, scalar: bytes, prefix: str = COSMOS_PREFIX) -> CosmosKey:
        """The key of a big-endian scalar. Raises BadKey."""
        key = ecdsa.SigningKey(SECP256K1, SHA256, scalar, low_s=True)
        size = SECP256K1.coordinate_bytes
        x, y = key.public_key[1 : 1 + size], key.public_key[1 + size :]
        return cls((b"\x03" if y[-1] & 1 else b"\x02") + x, key.sign, prefix)

    @property
    def address(self) -> str:
        digest = hashlib.new("ripemd160", hashlib.sha256(self.public_key).digest()).digest()
        return bech32.encode(self.prefix, digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class CosmosTerms:
    """What a transaction is signed for, beside its messages. `fee` is (amount, denomination) or None."""

    chain_id: str
    account_number: int
    sequence: int
    gas_limit: int
    fee: tuple[int, str] | None = None


def sign(messages: Sequence[Message], key: CosmosKey, terms: CosmosTerms) -> bytes:
    """Return the bytes of a signed transaction (TxRaw); the messages' bytes go in as they are."""
    body = wire.TxBody(messages=[AnyMessage(type_url=name, value=content) for name, content in messages])
    signer = wire.SignerInfo(
        public_key=AnyMessage(type_url=PUB_KEY, value=serialize(wire.PubKey(key=key.public_key))),
        mode_info=wire.ModeInfo(single=wire.ModeInfo.Single(mode=DIRECT)),
        sequence=terms.sequence,
    )
    amount = [] if terms.fee is None else [wire.Coin(denom=terms.fee[1], amount=str(terms.fee[0]))]
    auth = wire.AuthInfo(signer_infos=[signer], fee=wire.Fee(amount=amount, gas_limit=terms.gas_limit))
    body_bytes, auth_bytes = serialize(body), serialize(auth)
    signed = wire.SignDoc(
        body_bytes=body_bytes,
        auth_info_bytes=auth_bytes,
        chain_id=terms.chain_id,
        account_number=terms.account_number,
    )
    raw = wire.TxRaw(body_bytes=body_bytes, auth_info_bytes=auth_bytes, signatures=[key.sign_with(serialize(signed))])
    return serialize(raw)


__all__ = ("COSMOS_PREFIX", "CosmosKey", "CosmosTerms", "sign")
