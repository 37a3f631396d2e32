"""What is signed and then encrypted: the author's view of both ledgers (P20), a body, and padding.

A view may carry the signed header behind its hash. When somebody was shown another header of that
height, the two together are evidence that anybody can check; the hash alone would be a claim.

Padding brings every content to one of few lengths, so that an observer learns the size of a body to
within a quarter. It is zeros, as many as the one rule below gives: a content has one encoding.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.codec.registry import SchemaName
from lockgate.envelope.errors import BodyTooLarge, ContentMalformed
from lockgate.primitives.ids import Hash32, Height

FORMAT: Final = 1
MAX_BODY: Final = 131_072  # bytes; longer bodies travel in chunks (I8)
MIN_BUCKET: Final = 512  # bytes; quotes, answers and acknowledgements all fit in
_STEPS: Final = 4  # buckets per doubling: padding costs at most a quarter
MAX_SIGNED_VIEW: Final = 4_096  # bytes of one signed header with its set; some 25 signatures
_U16: Final = 1 << 16
_U64: Final = 1 << 64
_SOURCE_SIGNED: Final = 1  # keys of the map of a content of minor version 1
_DESTINATION_SIGNED: Final = 2


@dataclass(frozen=True, slots=True)
class SignedView:
    """A header with its commit, and the validators that signed it: protobuf, read by whoever needs it.

    `validators` is empty where the reader will know the set by its hash. Raises ContentMalformed.
    """

    header: bytes
    validators: bytes = b""

    def __post_init__(self) -> None:
        if type(self.header) is not bytes or type(self.validators) is not bytes or not self.header:
            raise ContentMalformed("a signed view is two byte strings")
        if len(self.header) + len(self.validators) > MAX_SIGNED_VIEW:
            raise ContentMalformed("a signed view is too long")


@dataclass(frozen=True, slots=True)
class LedgerView:
    """A ledger as the author of an envelope saw it: a height and the hash of the header there."""

    height: Height
    header_hash: Hash32
    signed: SignedView | None = None

    def to_value(self) -> list[Any]:
        """The view with its signed header in it, as other documents carry it."""
        return [*_view_value(self), *(() if self.signed is None else ([self.signed.header, self.signed.validators],))]

    @staticmethod
    def from_value(value: Any) -> LedgerView:
        """Read what `to_value` wrote. Raises ContentMalformed."""
        if type(value) is not tuple or len(value) not in (3, 4):
            raise ContentMalformed("a ledger view is an array of three, or four with its signed header")
        return replace(_view(value[:3]), signed=_signed(value[3]) if len(value) == 4 else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """`source_seen` is the author's own ledger, `destination_seen` the other."""

    source_seen: LedgerView
    destination_seen: LedgerView
    schema: SchemaName  # of the body
    body: bytes = field(repr=False)
    extensions: tuple[tuple[int, Any], ...] = ()  # of a later minor version: kept, and passed over

    def encode(self) -> bytes:
        """Encode and pad to a bucket. Raises BodyTooLarge. Source: schema envelope-content, 1.0 or 1.1."""
        return cbor.encode(self.to_value())

    def to_value(self) -> list[Any]:
        if len(self.body) > MAX_BODY:
            raise BodyTooLarge(size=len(self.body), limit=MAX_BODY)
        fields = [
            FORMAT,
            _view_value(self.source_seen),
            _view_value(self.destination_seen),
            self.schema.to_value(),
            self.body,
        ]
        extensions = {**dict(self.extensions), **self._signed_views()}
        fields += [extensions, b""] if extensions else [b""]
        fields[-1] = bytes(_padding(len(cbor.encode(fields))))
        return fields

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a content that has exactly its own padding. Raises ContentMalformed."""
        try:
            item = cbor.decode(data)
        except Malformed as error:
            raise ContentMalformed("not deterministic CBOR") from error
        return cls.from_value(item)

    @classmethod
    def from_value(cls, item: Any) -> Self:
        if type(item) is not tuple or len(item) not in (6, 7) or type(item[0]) is not int or item[0] != FORMAT:
            raise ContentMalformed("not an array of six or seven in a known format")
        _, source, destination, schema, body, *more, padding = item
        if type(body) is not bytes or len(body) > MAX_BODY:
            raise ContentMalformed("the body is no byte string, or too long")
        try:
            name = SchemaName.from_value(schema)
        except Malformed as error:
            raise ContentMalformed("the body's schema is not named") from error
        signed, extensions = _extensions(more[0]) if more else ({}, ())
        content = cls(
            source_seen=replace(_view(source), signed=signed.get(_SOURCE_SIGNED)),
            destination_seen=replace(_view(destination), signed=signed.get(_DESTINATION_SIGNED)),
            schema=name,
            body=body,
            extensions=extensions,
        )
        if type(padding) is not bytes or content.to_value()[-1] != padding:
            raise ContentMalformed("the padding is not the one of this length")
        return content

    def _signed_views(self) -> dict[int, list[bytes]]:
        views = {_SOURCE_SIGNED: self.source_seen.signed, _DESTINATION_SIGNED: self.destination_seen.signed}
        return {key: [view.header, view.validators] for key, view in views.items() if view is not None}


def bucket(size: int) -> int:
    """The smallest bucket that holds `size` bytes: 512, then four to each doubling."""
    if size <= MIN_BUCKET:
        return MIN_BUCKET
    step = (1 << (size - 1).bit_length() - 1) // _STEPS
    return -(-size // step) * step


def _padding(size: int) -> int:
    """How many zeros bring an encoding of `size` bytes, its padding still empty, to a bucket.

    The head of the padding grows with it, so a few gaps cannot be filled exactly; those go on to the
    next bucket.
    """
    target = bucket(size)
    while True:
        gap = target - size
        for head in (0, 1, 2, 4):  # how much longer the head is than that of an empty string
            count = gap - head
            if count >= 0 and len(cbor.head(0x40, count)) == 1 + head:
                return count
        target = bucket(target + 1)


def _view_value(view: LedgerView) -> list[Any]:
    return [view.height.revision, view.height.height, view.header_hash]


def _view(value: Any) -> LedgerView:
    if type(value) is not tuple or len(value) != 3:
        raise ContentMalformed("a ledger view is an array of three")
    revision, height, header_hash = value
    if not _is_below(revision, _U64) or not _is_below(height, _U64):
        raise ContentMalformed("a height is two numbers of 64 bits")
    if type(header_hash) is not bytes or len(header_hash) != 32:
        raise ContentMalformed("a header hash has 32 bytes")
    return LedgerView(Height(revision, height), Hash32(header_hash))


def _signed(value: Any) -> SignedView:
    if type(value) is not tuple or len(value) != 2:
        raise ContentMalformed("a signed view is an array of two")
    return SignedView(*value)


def _extensions(value: Any) -> tuple[dict[int, SignedView], tuple[tuple[int, Any], ...]]:
    """Split the map of a minor version into what this one knows and what a later one added."""
    if not isinstance(value, dict) or not value or not all(type(key) is int and 0 < key < _U16 for key in value):
        raise ContentMalformed("the map of a content has positive numbers as keys, and is not empty")
    known = {key: _signed(value[key]) for key in (_SOURCE_SIGNED, _DESTINATION_SIGNED) if key in value}
    return known, tuple((key, item) for key, item in value.items() if key not in known)


def _is_below(value: object, bound: int) -> bool:
    return type(value) is int and 0 <= value < bound


__all__ = ("MAX_BODY", "MAX_SIGNED_VIEW", "MIN_BUCKET", "Content", "LedgerView", "SignedView", "bucket")
