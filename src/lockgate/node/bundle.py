"""Offline proof bundles: what became of one packet, without any node.

A bundle holds the packet and one or two sections. A section is a header chain of one ledger from a trusted
header, and proofs under its last header: the ledger's own statement of its domain and class, the lane the packet
travelled in, and the objects that its kind names. A verifier compares each trusted header with one it knows
(P11); everything else follows from the bytes. Changing any byte refuses the bundle.

| kind | ledger | proven |
|---|---|---|
| sent | source | the packet's commitment stands |
| received | destination | receipt, and the inbox entry that names the packet and its deadline |
| acknowledged | destination | the acknowledgement, which names its packet (P4) |
| refused | destination | the error acknowledgement, and the reason record that names the packet (P3) |
| timed_out | both | the commitment stood; in a header past the timeout there is no receipt, none forgotten (I15) |

Source: docs/spec/bundles.md, cddl/bundle.2.0.cddl; P3, P4, P9, P10, P11.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.registry import Schema, Version, cddl_text
from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.lightclients.cometbft import decoding, encoding
from lockgate.lightclients.cometbft.types import LightBlock, Validator, ValidatorSet
from lockgate.primitives.errors import LockgateError, PeerFault

FORMAT: Final = 2
SCHEMA: Final = Schema("node/bundle", Version(2, 0), cddl_text("bundle", Version(2, 0), package="lockgate.node"))
MAX_BUNDLE: Final = 4 * 1024 * 1024  # a chain of headers with 150 validators is far below
MAX_HEADERS: Final = 256


class BadBundle(PeerFault):
    code = "bundle.malformed"
    summary = "The file is not a proof bundle, or what it proves does not hold together."
    untouched = "Nothing was believed from it."
    next_step = "Take the bundle from its source again."


class Kind(enum.StrEnum):
    SENT = "sent"
    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"


class Side(enum.StrEnum):
    SOURCE = "source"
    DESTINATION = "destination"


class Name(enum.StrEnum):
    """Objects a section proves, by the name they have in a bundle."""

    DOMAIN = "domain"
    LANE = "lane"
    COMMITMENT = "commitment"
    RECEIPT = "receipt"
    ENTRY = "entry"
    ACKNOWLEDGEMENT = "acknowledgement"
    REASON = "reason"
    WATERMARK = "watermark"


_ALWAYS: Final = (Name.DOMAIN, Name.LANE)
# What each kind proves, section by section; the one table that builder and verifier share.
CONTENTS: Final[Mapping[Kind, tuple[tuple[Side, tuple[Name, ...]], ...]]] = {
    Kind.SENT: ((Side.SOURCE, (*_ALWAYS, Name.COMMITMENT)),),
    Kind.RECEIVED: ((Side.DESTINATION, (*_ALWAYS, Name.RECEIPT, Name.ENTRY)),),
    Kind.ACKNOWLEDGED: ((Side.DESTINATION, (*_ALWAYS, Name.ACKNOWLEDGEMENT)),),
    Kind.REFUSED: ((Side.DESTINATION, (*_ALWAYS, Name.ACKNOWLEDGEMENT, Name.REASON)),),
    Kind.TIMED_OUT: (
        (Side.SOURCE, (*_ALWAYS, Name.COMMITMENT)),
        (Side.DESTINATION, (*_ALWAYS, Name.RECEIPT, Name.WATERMARK)),
    ),
}


@dataclass(frozen=True, slots=True)
class Item:
    """A value (empty: proven absent) and its ICS-23 proof."""

    value: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class Section:
    """`headers` are light blocks, the trusted one first; proofs are for the last one's app hash."""

    headers: tuple[LightBlock, ...]
    items: Mapping[Name, Item]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as a value. What its kind asks for is there, in the order of `CONTENTS`; nothing is verified yet."""

    kind: Kind
    packet: bytes  # protobuf
    acknowledgement: bytes  # protobuf; empty where the kind has none
    sections: tuple[Section, ...]

    def to_bytes(self) -> bytes:
        return cbor.encode(
            [
                FORMAT,
                self.kind.value,
                self.packet,
                self.acknowledgement,
                [
                    [
                        [_block_value(block) for block in section.headers],
                        [[section.items[name].value, section.items[name].proof] for name in names],
                    ]
                    for section, (_, names) in zip(self.sections, CONTENTS[self.kind], strict=True)
                ],
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a bundle in its one encoding. Raises BadBundle."""
        if len(data) > MAX_BUNDLE:
            raise BadBundle("too long", size=len(data))
        try:
            value: Any = cbor.decode(data, limits=cbor.Limits(size=MAX_BUNDLE))
            form, kind_text, packet, acknowledgement, sections = value
            if form != FORMAT:
                raise BadBundle("unknown format", format=form)
            kind = Kind(kind_text)
            answered = kind in {Kind.ACKNOWLEDGED, Kind.REFUSED}
            if type(packet) is not bytes or type(acknowledgement) is not bytes or bool(acknowledgement) != answered:
                raise BadBundle("a packet, and an acknowledgement where the kind has one, are byte strings")
            read = tuple(_section(section, names) for section, (_, names) in zip(sections, CONTENTS[kind], strict=True))
            bundle = cls(kind, packet, acknowledgement, read)
            same = bundle.to_bytes() == data
        except BadBundle:
            raise
        except (LockgateError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise BadBundle("the bundle does not read") from error
        if not same:
            raise BadBundle("the bundle has another encoding than its own")
        return bundle


def _section(value: Any, names: tuple[Name, ...]) -> Section:
    headers, items = value
    if not 0 < len(headers) <= MAX_HEADERS:
        raise BadBundle("no headers, or too many", count=len(headers))
    read = {}
    for name, (content, proof) in zip(names, items, strict=True):
        if type(content) is not bytes or type(proof) is not bytes:
            raise BadBundle("a value and its proof are byte strings", name=name.value)
        read[name] = Item(content, proof)
    return Section(tuple(map(_block, headers)), read)


def _block_value(block: LightBlock) -> list[Any]:
    def members(validators: ValidatorSet) -> list[Any]:
        return [[member.public_key, member.voting_power] for member in validators.validators]

    return [encoding.signed_header(block.signed_header), members(block.validators), members(block.next_validators)]


def _block(value: Any) -> LightBlock:
    signed, own, following = value

    def members(pairs: Any) -> ValidatorSet:
        # Whose turn it is to propose is in no header hash; a bundle does not carry it.
        return ValidatorSet.of(tuple(Validator.from_key(key, power) for key, power in pairs))

    return LightBlock(
        decoding.signed_header(decoding.parse(wire.SignedHeader, signed)), members(own), members(following)
    )


__all__ = ("CONTENTS", "BadBundle", "Bundle", "Item", "Kind", "Name", "Section", "Side")
