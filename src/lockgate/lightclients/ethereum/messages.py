"""What relayers bring to an ethereum client: an update with the committee that signed it, or two that contradict.

A consensus state holds committees by their roots alone, so an update comes with the keys of the one that signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.lightclients.ethereum.containers import SyncCommittee, Update
from lockgate.lightclients.ethereum.network import Fork, Network
from lockgate.lightclients.ethereum.ssz_form import decode_committee, decode_update, encode_committee, encode_update
from lockgate.lightclients.forms import decoded, items
from lockgate.lightclients.standing import MalformedState
from lockgate.primitives.ids import Height

HEADER: Final = "/lockgate.lightclients.ethereum.v1.Header"
MISBEHAVIOUR: Final = "/lockgate.lightclients.ethereum.v1.Misbehaviour"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """An update, judged from the consensus state at `trusted`."""

    trusted: Height
    committee: SyncCommittee  # of the period of the signature slot
    update: Update


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """Two updates of one chain that cannot both be honest."""

    first: Header
    second: Header

    @property
    def contradiction(self) -> tuple[bytes, bytes] | None:
        """The roots of two blocks of one slot that were both made final, or both attested; None where none were.

        Whoever is of two thirds of a committee for both has signed both, or one of them is forged.
        """
        one, other = self.first.update, self.second.update
        for left, right in (
            (one.finalized_header.beacon, other.finalized_header.beacon),
            (one.attested_header.beacon, other.attested_header.beacon),
        ):
            if left.slot == right.slot and left != right:
                return left.root, right.root
        return None


def encode_header(header: Header, network: Network) -> bytes:
    return cbor.encode(_header_value(header, network))


def decode_header(raw: bytes, network: Network) -> Header:
    """Raises MalformedState, MalformedBeaconData."""
    return _read_header(decoded(raw), network)


def encode_misbehaviour(evidence: Misbehaviour, network: Network) -> bytes:
    return cbor.encode([_header_value(evidence.first, network), _header_value(evidence.second, network)])


def decode_misbehaviour(raw: bytes, network: Network) -> Misbehaviour:
    """Raises MalformedState, MalformedBeaconData."""
    first, second = items(decoded(raw), tuple, tuple)
    return Misbehaviour(_read_header(first, network), _read_header(second, network))


def _header_value(header: Header, network: Network) -> list[Any]:
    fork = network.fork(header.update.attested_header.beacon.slot)
    trusted = [header.trusted.revision, header.trusted.height]
    update = encode_update(header.update, fork, network.committee_size)
    return [trusted, int(fork), encode_committee(header.committee), update]


def _read_header(value: Sequence[Any], network: Network) -> Header:
    trusted, number, committee, raw = items(value, tuple, int, bytes, bytes)
    if not Fork.CAPELLA <= number <= max(Fork):
        raise MalformedState("no fork whose headers show an execution state", fork=number)
    update = decode_update(raw, Fork(number), network.committee_size)
    # One form for each update: otherwise the same one could be brought in several encodings.
    if network.fork(update.attested_header.beacon.slot) != number:
        raise MalformedState("the update has the form of another fork", fork=number)
    return Header(
        trusted=Height(*items(trusted, int, int)),
        committee=decode_committee(committee, network.committee_size),
        update=update,
    )


__all__ = (
    "HEADER",
    "MISBEHAVIOUR",
    "Header",
    "Misbehaviour",
    "decode_header",
    "decode_misbehaviour",
    "encode_header",
    "encode_misbehaviour",
)
