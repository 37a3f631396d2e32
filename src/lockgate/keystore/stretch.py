"""From a passphrase to a root: Argon2id (RFC 9106), run once for all files that share a salt.

The files of one deployment share their passphrase, so whoever guesses it needs one of them: a salt for
each would cost the owner a run a file, and an attacker still one run a guess. What differs from file to
file is expanded from the root (`sealed`). Sources: RFC 9106 §3.1, §4; P17 (commitment).
"""

from __future__ import annotations

import threading
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from lockgate.codec import cbor
from lockgate.crypto.keys import SecretBytes
from lockgate.primitives.errors import LockgateError, Misuse
from lockgate.primitives.ports import Rng

MAX_MEMORY_KIB: Final = 1 << 20  # 1 GiB: a hostile file must not exhaust the machine that reads it
MAX_ITERATIONS: Final = 64
MAX_LANES: Final = 64
SALT_BYTES: Final = 16  # RFC 9106 §3.1
ROOT_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one guess at the passphrase costs: Argon2id's memory in KiB, passes and lanes."""

    memory_kib: int = 65_536  # RFC 9106 §4, the option for memory-constrained hosts: 64 MiB, t=3, p=4
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        if not (
            0 < self.lanes <= MAX_LANES
            and 0 < self.iterations <= MAX_ITERATIONS
            and 8 * self.lanes <= self.memory_kib <= MAX_MEMORY_KIB
        ):
            raise Misuse("the cost of a key file is out of range", cost=self)


DEFAULT_COST: Final = Cost()
_TURN: Final = threading.Lock()  # lanes share OpenSSL's pool of threads, in which two runs at once wait for ever


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase and what it was stretched to so far. The roots are as secret as the passphrase."""

    text: str = field(repr=False)
    roots: dict[tuple[Cost, bytes], SecretBytes] = field(default_factory=dict, repr=False)

    def root(self, salt: bytes, cost: Cost) -> bytes:
        """The root under a salt: 32 bytes. Runs Argon2id unless it did before."""
        known = self.roots.get((cost, salt))
        if known is not None:
            return known.reveal()
        derivation = Argon2id(
            salt=salt, length=ROOT_BYTES, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib
        )
        # NFC, so that the same characters typed on another system are the same passphrase.
        text = unicodedata.normalize("NFC", self.text).encode()
        with _TURN:
            root = derivation.derive(text)
        self.roots[cost, salt] = SecretBytes(root)
        return root

    def salt(self, cost: Cost, rng: Rng) -> bytes:
        """A salt for a new file: one that was paid for already, else a fresh one."""
        return next((salt for known, salt in self.roots if known == cost), None) or rng.bytes(SALT_BYTES)


def roots_to_bytes(passphrase: Passphrase) -> bytes:
    """The roots, for a child process that opens the same files. Secret: never on disk, never in a log."""
    return cbor.encode(
        [[c.memory_kib, c.iterations, c.lanes, salt, root.reveal()] for (c, salt), root in passphrase.roots.items()]
    )


def roots_from_bytes(data: bytes) -> dict[tuple[Cost, bytes], SecretBytes]:
    """Read what `roots_to_bytes` wrote. Raises Misuse: only our own parent writes them."""
    try:
        items: Any = cbor.decode(data)
        return {
            (Cost(memory_kib=memory, iterations=iterations, lanes=lanes), salt): SecretBytes(root)
            for memory, iterations, lanes, salt, root in items
        }
    except (LockgateError, TypeError, ValueError) as error:
        raise Misuse("these are not roots of a passphrase") from error


__all__ = ("DEFAULT_COST", "SALT_BYTES", "Cost", "Passphrase", "roots_from_bytes", "roots_to_bytes")
