"""Transactions of type 2: what is signed, what is sent, and its hash, known before. Source: EIP-1559, EIP-2718."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from lockgate.codec import rlp
from lockgate.codec.errors import RlpMalformed
from lockgate.crypto.keccak import keccak256
from lockgate.crypto.recoverable import ADDRESS_BYTES, EvmKey, Recoverable, recover

TYPE: Final = b"\x02"
FIELDS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class EvmTransaction:
    """One account's next step. `to` is empty for a contract's creation; fees are wei per gas."""

    network: int
    nonce: int
    tip: int  # maxPriorityFeePerGas
    fee: int  # maxFeePerGas, tip included
    gas: int
    to: bytes
    data: bytes

    def digest(self) -> bytes:
        """What is signed."""
        return keccak256(TYPE + rlp.encode(self._fields()))

    def signed(self, key: EvmKey) -> SignedTransaction:
        made = key.sign_digest(self.digest())
        values = (*self._fields(), _number(made.odd), _number(made.r), _number(made.s))
        return SignedTransaction(self, key.address, TYPE + rlp.encode(values))

    def _fields(self) -> tuple[rlp.Rlp, ...]:
        numbers = [_number(one) for one in (self.network, self.nonce, self.tip, self.fee, self.gas)]
        return (*numbers, self.to, b"", self.data, ())  # no value is ever sent, no access list


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction with its sender and the bytes that are sent."""

    transaction: EvmTransaction
    sender: bytes
    raw: bytes

    @property
    def hash(self) -> bytes:
        return keccak256(self.raw)


def read(raw: bytes) -> SignedTransaction:
    """Read a signed transaction of the kind made here. Raises RlpMalformed for anything else."""
    if raw[:1] != TYPE:
        raise RlpMalformed("not a transaction of type 2")
    values = rlp.decode_list(raw[1:])
    if len(values) != FIELDS:
        raise RlpMalformed("a transaction has twelve fields", got=len(values))
    network, nonce, tip, fee, gas = map(rlp.number, values[:5])
    to, value, data, access = values[5:9]
    odd, r, s = map(rlp.number, values[9:])
    if value != b"" or access != () or odd > 1:
        raise RlpMalformed("a transaction that is not of the kind made here")
    if not isinstance(to, bytes) or not isinstance(data, bytes) or len(to) not in (0, ADDRESS_BYTES):
        raise RlpMalformed("a transaction's receiver or data has another shape")
    made = EvmTransaction(network=network, nonce=nonce, tip=tip, fee=fee, gas=gas, to=to, data=data)
    sender = recover(made.digest(), Recoverable(r, s, bool(odd)))
    if sender is None:
        raise RlpMalformed("a signature that nobody can have made")
    return SignedTransaction(made, sender, raw)


def dearer(transaction: EvmTransaction, tip: int, fee: int) -> EvmTransaction:
    """The same step for other fees."""
    return dataclasses.replace(transaction, tip=tip, fee=fee)


def created_address(sender: bytes, nonce: int) -> bytes:
    """Where a contract that an account creates will stand."""
    return keccak256(rlp.encode((sender, _number(nonce))))[-ADDRESS_BYTES:]


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8)


__all__ = ("EvmTransaction", "SignedTransaction", "created_address", "dearer", "read")
