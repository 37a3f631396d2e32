"""What Ethereum's state tries hold: accounts under the state root, words under an account's storage root.

Both are keyed by Keccak-256, of the 20-byte address and of the 32-byte slot. Source: Yellow Paper §4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.codec import rlp
from lockgate.codec.errors import RlpMalformed
from lockgate.crypto.keccak import keccak256
from lockgate.merkle import patricia
from lockgate.merkle.errors import ProofMalformed

ADDRESS_BYTES: Final = 20
WORD_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the state trie."""

    nonce: int
    balance: int  # wei
    storage_root: bytes  # 32 bytes
    code_hash: bytes  # 32 bytes

    def to_bytes(self) -> bytes:
        nonce, balance = (value.to_bytes((value.bit_length() + 7) // 8) for value in (self.nonce, self.balance))
        return rlp.encode((nonce, balance, self.storage_root, self.code_hash))


def account(state_root: bytes, address: bytes, proof: Sequence[bytes]) -> Account | None:
    """The account at `address`, None when the proof shows that there is none. Raises as `patricia.get`."""
    if len(address) != ADDRESS_BYTES:
        raise ProofMalformed("an address has 20 bytes", size=len(address))
    found = patricia.get(state_root, keccak256(address), proof)
    if found is None:
        return None
    try:
        nonce, balance, storage_root, code_hash = rlp.decode_list(found)
        numbers = rlp.number(nonce), rlp.number(balance)
    except (RlpMalformed, ValueError):
        raise ProofMalformed("the leaf holds no account") from None
    for part in (storage_root, code_hash):
        if not isinstance(part, bytes) or len(part) != WORD_BYTES:
            raise ProofMalformed("an account's storage root and code hash have 32 bytes each")
    assert isinstance(storage_root, bytes)
    assert isinstance(code_hash, bytes)
    return Account(*numbers, storage_root, code_hash)


def storage(storage_root: bytes, slot: bytes, proof: Sequence[bytes]) -> bytes:
    """The word in a slot, 32 bytes; zero when there is none, as on the chain. Raises as `patricia.get`."""
    if len(slot) != WORD_BYTES:
        raise ProofMalformed("a storage slot has 32 bytes", size=len(slot))
    found = patricia.get(storage_root, keccak256(slot), proof)
    if found is None:
        return bytes(WORD_BYTES)
    try:
        value = rlp.number(rlp.decode(found))
    except RlpMalformed:
        raise ProofMalformed("the leaf holds no word") from None
    if not 0 < value < 1 << 8 * WORD_BYTES:
        raise ProofMalformed("a stored word is not zero and has at most 32 bytes")
    return value.to_bytes(WORD_BYTES)


__all__ = ("ADDRESS_BYTES", "WORD_BYTES", "Account", "account", "storage")
