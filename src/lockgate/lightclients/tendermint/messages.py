"""The two client messages of 07-tendermint: a header to advance by, and evidence to freeze on.

Decoding does the checks that need no state: both halves consistent, validator sets real and hashed
by the header, trusted height below. Source: ibc.lightclients.tendermint.v1, digest §§10, 11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lockgate.codec.wire import ibc_tendermint_pb2 as wire
from lockgate.codec.wire import tendermint_pb2
from lockgate.lightclients.cometbft import decoding, encoding
from lockgate.lightclients.cometbft.errors import HeaderRefused, UntrustedValidators
from lockgate.lightclients.cometbft.framing import bytes_field, message_field
from lockgate.lightclients.cometbft.soundness import SoundBlock, sound_block
from lockgate.lightclients.cometbft.types import SignedHeader, ValidatorSet
from lockgate.lightclients.tendermint.errors import InvalidHeight, MessageTooLarge, NotMisbehaviour
from lockgate.lightclients.tendermint.states import ConsensusState, encode_height
from lockgate.primitives.ids import Height, check_identifier, revision_number

# 10,000 validators: two sets at 80 bytes each, one signature list at 110; rounded up.
MAX_HEADER_BYTES: Final = 4 * 1024 * 1024
MAX_MISBEHAVIOUR_BYTES: Final = 2 * MAX_HEADER_BYTES + 1024
CLIENT_ID_LENGTH: Final = (9, 64)  # ICS-24 bounds that ibc-go applies to the deprecated field

ReadSet = Callable[[tendermint_pb2.ValidatorSet], ValidatorSet]


@dataclass(frozen=True, slots=True)
class ClientHeader:
    """A sound block, and the earlier height and validator set it asks to be trusted from."""

    block: SoundBlock
    trusted_height: Height
    trusted_validators: ValidatorSet

    @property
    def height(self) -> Height:
        header = self.block.header
        return Height(revision_number(header.chain_id), header.height)

    @property
    def consensus_state(self) -> ConsensusState:
        """What a client stores of this header."""
        header = self.block.header
        return ConsensusState(header.time, header.app_hash, header.next_validators_hash)


@dataclass(frozen=True, slots=True)
class ClientMisbehaviour:
    """Two headers of one chain, the first not lower than the second."""

    first: ClientHeader
    second: ClientHeader

    @property
    def is_contradiction(self) -> bool:
        """One height with two blocks, or a later height that is not later in time."""
        if self.first.height == self.second.height:
            return self.first.block.commit.block_id.hash != self.second.block.commit.block_id.hash
        return self.first.block.header.time <= self.second.block.header.time


def decode_header(raw: bytes, read_set: ReadSet = decoding.validator_set) -> ClientHeader:
    """Read a Header message. Raises `HeaderRefused`, `MessageTooLarge`, `InvalidHeight`."""
    if len(raw) > MAX_HEADER_BYTES:
        raise MessageTooLarge(length=len(raw), most=MAX_HEADER_BYTES)
    return _client_header(decoding.parse(wire.Header, raw), read_set)


def decode_misbehaviour(raw: bytes, read_set: ReadSet = decoding.validator_set) -> ClientMisbehaviour:
    """Read a Misbehaviour message; both headers must be sound. Raises also `NotMisbehaviour`."""
    if len(raw) > MAX_MISBEHAVIOUR_BYTES:
        raise MessageTooLarge(length=len(raw), most=MAX_MISBEHAVIOUR_BYTES)
    message = decoding.parse(wire.Misbehaviour, raw)
    check_identifier(message.client_id, *CLIENT_ID_LENGTH)
    headers = []
    for part in (message.header_1, message.header_2):
        if part.trusted_height.revision_height == 0:
            raise InvalidHeight("trusted height is zero")
        try:
            headers.append(_client_header(part, read_set))
        except HeaderRefused as failure:
            raise NotMisbehaviour(failure.code) from failure
    first, second = headers
    if first.block.header.chain_id != second.block.header.chain_id:
        raise NotMisbehaviour("two chains", first=first.block.header.chain_id, second=second.block.header.chain_id)
    if first.height < second.height:
        raise NotMisbehaviour("the first is lower", first=first.height, second=second.height)
    return ClientMisbehaviour(first, second)


def _client_header(message: wire.Header, read_set: ReadSet) -> ClientHeader:
    block = sound_block(decoding.signed_header(message.signed_header), read_set(message.validator_set))
    if not message.HasField("trusted_validators"):
        raise UntrustedValidators("none given")
    trusted = message.trusted_height
    header = ClientHeader(
        block,
        Height(trusted.revision_number, trusted.revision_height),
        read_set(message.trusted_validators),
    )
    if header.trusted_height >= header.height:
        raise InvalidHeight("trusted is not below", trusted=header.trusted_height, header=header.height)
    return header


def encode_header(
    signed_header: SignedHeader,
    validators: ValidatorSet,
    trusted_height: Height,
    trusted_validators: ValidatorSet,
) -> bytes:
    """Write the Header message a relayer sends. `trusted_validators` are those of trusted height + 1."""
    return frame_header(encoding.signed_header(signed_header), validators, trusted_height, trusted_validators)


def frame_header(
    signed_header: bytes, validators: ValidatorSet, trusted_height: Height, trusted_validators: ValidatorSet
) -> bytes:
    """As `encode_header`, of a signed header that is encoded already."""
    return b"".join(
        (
            message_field(b"\x0a", signed_header),
            message_field(b"\x12", encoding.validator_set(validators)),
            message_field(b"\x1a", encode_height(trusted_height)),
            message_field(b"\x22", encoding.validator_set(trusted_validators)),
        )
    )


def encode_misbehaviour(client_id: str, first: bytes, second: bytes) -> bytes:
    """Write the Misbehaviour message from two Header messages, the higher one first."""
    return b"".join(
        (
            bytes_field(b"\x0a", client_id.encode()),
            message_field(b"\x12", first),
            message_field(b"\x1a", second),
        )
    )


__all__ = (
    "MAX_HEADER_BYTES",
    "MAX_MISBEHAVIOUR_BYTES",
    "ClientHeader",
    "ClientMisbehaviour",
    "decode_header",
    "decode_misbehaviour",
    "encode_header",
    "encode_misbehaviour",
    "frame_header",
)
