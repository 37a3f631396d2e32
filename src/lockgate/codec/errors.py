"""Why bytes were not taken for a value, or a value not for bytes."""

from __future__ import annotations

from lockgate.primitives.errors import Misuse, PeerFault, Refused


class Malformed(PeerFault):
    """Bytes that no honest encoder of the format makes; the base of every decoding failure."""

    code = "codec.malformed"
    summary = "Bytes do not follow the format they were said to have."
    next_step = "Drop the message; ask the sender for its software version."


class TooLarge(Malformed):
    code = "codec.too_large"
    summary = "An encoding exceeds a limit on bytes, items or nesting."
    next_step = "Drop the message; the limits are listed in docs/reference/cbor-profile.md."


class CborIllFormed(Malformed):
    code = "codec.cbor_ill_formed"
    summary = "Bytes are not one well-formed CBOR item (RFC 8949 section 5.3)."


class CborNotDeterministic(Malformed):
    code = "codec.cbor_not_deterministic"
    summary = "A CBOR item is well formed, but is not the one encoding its value has (RFC 8949 section 4.2)."
    next_step = "Drop the message; its sender must encode deterministically."


class CborNotAllowed(Malformed):
    code = "codec.cbor_not_allowed"
    summary = "A CBOR item holds a kind of value that this profile excludes."
    next_step = "Drop the message; docs/reference/cbor-profile.md lists what may be sent."


class ProtobufMalformed(Malformed):
    code = "codec.protobuf_malformed"
    summary = "Bytes do not parse as the protobuf message they should hold."


class ProtobufNotCanonical(Malformed):
    code = "codec.protobuf_not_canonical"
    summary = "A protobuf message has unknown fields or does not re-encode to the same bytes."
    next_step = "Drop the message; its sender must write fields in order, once, without zero values."


class UnknownTypeUrl(Malformed):
    code = "codec.unknown_type_url"
    summary = "A google.protobuf.Any names a type that is not expected here."
    next_step = "Check the type URL; codec/type_urls.py lists the known ones."


class RlpMalformed(Malformed):
    code = "codec.rlp_malformed"
    summary = "Bytes are not the one RLP encoding of a value, or not of the value expected."
    next_step = "Drop the proof or message; honest nodes of Ethereum encode in one way."


class AbiMalformed(Malformed):
    code = "codec.abi_malformed"
    summary = "Bytes are not the canonical Solidity ABI encoding of the expected tuple."


class Unencodable(Misuse):
    code = "codec.unencodable"
    summary = "A value has no encoding in the chosen format."
    next_step = "Report the bug; the value should have been checked before it was encoded."


class SchemaInvalid(Misuse):
    code = "codec.schema_invalid"
    summary = "A schema was registered twice, with gaps, or against the compatibility rules."
    next_step = "Correct the registration; docs/reference/cbor-profile.md states the rules."


class SchemaUnknown(Refused):
    code = "codec.schema_unknown"
    summary = "No codec reads this schema id and major version."
    next_step = "Update the software, or ask the sender for a version both sides know."


class SchemaMismatch(Malformed):
    code = "codec.schema_mismatch"
    summary = "A value is not what its schema describes."
    next_step = "Drop the message; compare it with the CDDL text of the schema."


__all__ = (
    "AbiMalformed",
    "CborIllFormed",
    "CborNotAllowed",
    "CborNotDeterministic",
    "Malformed",
    "ProtobufMalformed",
    "ProtobufNotCanonical",
    "SchemaInvalid",
    "SchemaMismatch",
    "SchemaUnknown",
    "TooLarge",
    "Unencodable",
    "UnknownTypeUrl",
)
