"""Names of things that cross module borders: heights, client ids, domain and endpoint ids."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple, NewType, Self

from lockgate.primitives.errors import PeerFault

Hash32 = NewType("Hash32", bytes)  # 32 bytes, SHA-256 unless a name says otherwise
DomainId = NewType("DomainId", Hash32)  # hash of a ledger's genesis (P9)
EndpointId = NewType("EndpointId", Hash32)  # hash of an endpoint's inception record (P5)
ClientId = NewType("ClientId", str)  # ICS-24 identifier of a light client, "07-tendermint-0"
PortId = NewType("PortId", str)
ChainId = NewType("ChainId", str)  # CometBFT chain id, "name-N", at most 50 bytes
AccountId = NewType("AccountId", str)  # lower-case hex of 20 bytes
LaneId = NewType("LaneId", Hash32)
Sequence = NewType("Sequence", int)  # of a packet, >= 1

MAX_HEIGHT_TEXT: Final = 41  # two 64-bit numbers and a dash
MAX_CHAIN_ID: Final = 50  # CometBFT types/genesis.go: the header check refuses longer ones
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._+\-#\[\]<>]+\Z")
_CLIENT_FORM: Final = re.compile(r"\w+([\w-]+\w)?-[0-9]{1,20}\Z", re.ASCII)
_REVISION: Final = re.compile(r"[^\n]*[^\n-]-([1-9][0-9]*)\Z")


class BadIdentifier(PeerFault):
    code = "id.malformed"
    summary = "An identifier has characters or a length that its standard does not allow."
    next_step = "Correct the identifier; see ICS-24 for the character set."


class Height(NamedTuple):
    """A (revision number, revision height) pair; compares revision first. Source: ICS-02."""

    revision: int
    height: int

    def __str__(self) -> str:
        return f"{self.revision}-{self.height}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the `rev-height` form; refuse anything `str()` would not print."""
        left, dash, right = text.partition("-")
        if len(text) > MAX_HEIGHT_TEXT or not (
            dash and left.isascii() and left.isdigit() and right.isascii() and right.isdigit()
        ):
            raise BadIdentifier("not a height", height=text)
        value = cls(int(left), int(right))
        if str(value) != text:
            raise BadIdentifier("not a height", height=text)
        return value

    @property
    def is_zero(self) -> bool:
        return self.revision == 0 and self.height == 0


def revision_number(chain_id: str) -> int:
    """Return N when `chain_id` ends in `-N` without a leading zero, else 0. Source: ICS-07."""
    return _known_revision(chain_id) if len(chain_id) <= MAX_CHAIN_ID else _revision_number(chain_id)


def _revision_number(chain_id: str) -> int:
    match = _REVISION.match(chain_id)
    return int(match.group(1)) if match else 0


_known_revision: Final = lru_cache(1_024)(_revision_number)


def check_identifier(text: str, shortest: int, longest: int) -> str:
    """Return `text` if it is an ICS-24 identifier of the given length, else raise BadIdentifier."""
    if not shortest <= len(text) <= longest or not _IDENTIFIER.match(text):
        raise BadIdentifier("not an ICS-24 identifier", identifier=text)
    return text


def client_id(text: str) -> ClientId:
    """Check the `{type}-{n}` form that registration demands. Source: ICS-24, ibc-go v11."""
    if not 8 <= len(text) <= 64 or not _CLIENT_FORM.match(text):
        raise BadIdentifier("not a client id of the form {type}-{n}", client_id=text)
    return ClientId(text)


__all__ = (
    "MAX_CHAIN_ID",
    "AccountId",
    "BadIdentifier",
    "ChainId",
    "ClientId",
    "DomainId",
    "EndpointId",
    "Hash32",
    "Height",
    "LaneId",
    "PortId",
    "Sequence",
    "check_identifier",
    "client_id",
    "revision_number",
)
