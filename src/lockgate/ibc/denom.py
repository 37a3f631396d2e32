"""ICS-20 denominations: where a token came from, hop by hop, and the names that follow from it.

A full path is `port/client` hops and then the base name, joined by `/`. The hash of the path names
the voucher on this ledger. Source: ICS-20 v2, specs/ibc-v2.md §10.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from lockgate.ibc.errors import BadData
from lockgate.ibc.host import MAX_SEQUENCE, is_client_id

VOUCHER_PREFIX: Final = "ibc"
ESCROW_VERSION: Final = b"ics20-1"  # part of the preimage; stays, or escrowed tokens would move
ESCROW_BYTES: Final = 20

_CHANNEL: Final = re.compile(r"channel-([0-9]{1,20})\Z")
_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9/:._-]{2,127}\Z")  # the Cosmos SDK's denomination rule


@dataclass(frozen=True, slots=True)
class Hop:
    """One ledger border a token crossed: the port and client (or channel) of the receiving side."""

    port: str
    client: str


@dataclass(frozen=True, slots=True)
class Denom:
    """A base denomination and the hops it came by, latest first."""

    base: str  # may itself contain slashes
    hops: tuple[Hop, ...] = ()

    @property
    def path(self) -> str:
        return "/".join([*(f"{hop.port}/{hop.client}" for hop in self.hops), self.base])

    @property
    def digest(self) -> bytes:
        """SHA-256 of the full path, 32 bytes."""
        return sha256(self.path.encode()).digest()

    @property
    def local_name(self) -> str:
        """The name on this ledger: the base for a native token, else `ibc/` and the hash."""
        return f"{VOUCHER_PREFIX}/{self.digest.hex().upper()}" if self.hops else self.base

    def came_over(self, port: str, client: str) -> bool:
        """Was (port, client) the last border the token crossed, so that sending it there returns it?"""
        return bool(self.hops) and self.hops[0] == Hop(port, client)

    def crossed(self, port: str, client: str) -> Denom:
        """The denomination once the token has been received over (port, client)."""
        return Denom(self.base, (Hop(port, client), *self.hops))

    def returned(self) -> Denom:
        """The denomination once the token has gone back over its latest hop."""
        return Denom(self.base, self.hops[1:])


def parse_path(path: str) -> Denom:
    """Read a full path from the left, as long as pairs look like a port and a client or channel.

    Whatever follows is the base. ibc-go reads it the same way, so both sides hash the same path.
    """
    parts = path.split("/")
    hops = []
    at = 0
    # A path of two parts is a base with a slash in it: a hop needs something to follow.
    while len(parts) > 2 and at + 1 < len(parts) and _is_border(parts[at + 1]):
        hops.append(Hop(parts[at], parts[at + 1]))
        at += 2
    return Denom("/".join(parts[at:]), tuple(hops))


def check_local_name(name: str) -> None:
    """Refuse a name that no token on a Cosmos ledger has. Raises BadData.

    `ibc` alone names nothing; after `ibc/` stands a SHA-256 in hexadecimal of either case.
    """
    if not _NAME.match(name):
        raise BadData("not a denomination", name=name)
    prefix, slash, digest = name.partition("/")
    if prefix != VOUCHER_PREFIX:
        return
    if not slash or not re.fullmatch(r"[0-9A-Fa-f]{64}", digest):
        raise BadData("not ibc/ and a SHA-256 in hexadecimal", name=name)


def escrow_address(port: str, client: str) -> bytes:
    """Return the 20-byte account that holds what was sent out over (port, client)."""
    return sha256(ESCROW_VERSION + b"\0" + f"{port}/{client}".encode()).digest()[:ESCROW_BYTES]


def _is_border(text: str) -> bool:
    match = _CHANNEL.match(text)
    return is_client_id(text) or (match is not None and int(match.group(1)) <= MAX_SEQUENCE)
