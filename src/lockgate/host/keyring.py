"""A host's own keys through rotations: the current record, and older sealing keys that still open (P5).

A packet is sealed to the record its sender knew. After a rotation packets sealed to the record before
are still under way, for a packet's longest timeout; so are the replies to what was sent before. The
old sealing key is kept for that long, and no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lockgate.crypto.keys import IdentitySigner
from lockgate.crypto.ports import Decapsulator
from lockgate.machine.identity import KeyRecord, SignedRecord


@dataclass(frozen=True, slots=True)
class Opener:
    """A record of this endpoint and the private sealing key it names."""

    record: KeyRecord
    sealing: Decapsulator

    @property
    def key_id(self) -> bytes:
        return self.record.sealing.key_id


@dataclass(frozen=True, slots=True)
class AccountKey:
    """The account this endpoint's transactions are signed with; its record lists it."""

    public_key: bytes
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """`current` seals, signs and opens; `older` only opens."""

    signer: IdentitySigner
    current: Opener
    older: tuple[Opener, ...] = ()
    account: AccountKey | None = None  # where rotating changes it too

    @property
    def record(self) -> KeyRecord:
        return self.current.record

    def opener(self, key_id: bytes | None) -> Opener:
        """The key an envelope names on its outside, else the current one."""
        return next((one for one in (self.current, *self.older) if one.key_id == key_id), self.current)

    def of_record(self, record: bytes) -> KeyRecord | None:
        """The record of a hash, while keys of it are held."""
        return next((one.record for one in (self.current, *self.older) if one.record.hash == record), None)


class KeyCabinet(Protocol):
    """Where an endpoint's private keys lie, by the index of their record."""

    def ring(self, chain: Sequence[KeyRecord], /) -> KeyRing:
        """The keys of a proven chain: those of its last record, and older sealing keys that are still held."""
        ...

    def next_record(self, current: KeyRecord, /, sealing: int = 0, signing: int = 0) -> SignedRecord:
        """The record after `current`, signed, with a sealing key of suite `sealing`, and committing to an identity of
        suite `signing` for the record after it; 0 is the suite that there is.

        Its keys lie safe before this returns; asked again for the same suites, it is the same. Raises Unavailable where
        they cannot be had now."""
        ...

    def settled(self, record: KeyRecord, /) -> None:
        """The record is proven current: identities before it sign nothing any more, nor do those after it to which it
        did not commit."""
        ...

    def forget(self, index: int, /) -> None:
        """Erase sealing keys of records before `index`."""
        ...
