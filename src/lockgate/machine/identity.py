"""Key records: endpoints certify themselves (P5).

An endpoint's id is the hash of its inception record. Each later record names the one before by hash,
is signed by the keys of the record before, and carries the very keys whose hash that record committed
to in advance. So a thief of today's keys can sign, but cannot rotate; and no operator, registry or
governance can put keys of its own under an endpoint's name. A ledger proves only which record is
current; whoever talks to the endpoint verifies the chain from the id.
Source: P5, P6; `cddl/key-record.1.0.cddl`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.keys import IdentityKey, SealingKey
from lockgate.machine.errors import BadKeyRecord
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import EndpointId, Hash32

FORMAT: Final = 1
ENDPOINT_LABEL: Final = b"lockgate/endpoint/1"
RECORD_LABEL: Final = b"lockgate/key-record/1"
NEXT_LABEL: Final = b"lockgate/next-keys/1"
MAX_ACCOUNTS: Final = 16  # accounts one endpoint lists; host, its spare, a few operators
MAX_RECORDS: Final = 4_096  # rotations in an endpoint's life: a daily one for eleven years
MAX_RECORD_BYTES: Final = 16_384  # a hybrid record with two signatures is below 12 KiB
MAX_SIGNATURE: Final = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """One link of an endpoint's key history."""

    endpoint: EndpointId | None  # None in the inception record, whose hash is the id
    index: int
    previous: bytes  # hash of the record before; empty in the inception record
    identity: IdentityKey
    sealing: SealingKey
    accounts: tuple[str, ...]
    next_keys: Hash32  # commitment to the next identity key

    def body(self) -> bytes:
        return cbor.encode(
            {
                "format": FORMAT,
                "endpoint": self.endpoint,
                "index": self.index,
                "previous": self.previous,
                "identity": [self.identity.suite, *self.identity.parts],
                "sealing": [self.sealing.suite, self.sealing.public_key],
                "accounts": list(self.accounts),
                "next": self.next_keys,
            }
        )

    @classmethod
    def from_body(cls, data: bytes) -> Self:
        try:
            decoded: Any = cbor.decode(data)
            value = dict(decoded)
            if value.pop("format") != FORMAT:
                raise BadKeyRecord("unknown key record format")
            suite, *parts = value.pop("identity")
            sealing_suite, sealing_key = value.pop("sealing")
            record = cls(
                endpoint=value.pop("endpoint"),
                index=value.pop("index"),
                previous=value.pop("previous"),
                identity=IdentityKey(suite, tuple(parts)),
                sealing=SealingKey(sealing_suite, sealing_key),
                accounts=tuple(value.pop("accounts")),
                next_keys=value.pop("next"),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadKeyRecord("the record does not have the shape of key-record.1.0.cddl") from error
        except LockgateError as error:
            raise BadKeyRecord("the record's keys or encoding are not valid") from error
        if value or record.body() != data:
            raise BadKeyRecord("the record has fields or an encoding this version does not know")
        record.check_shape()
        return record

    def check_shape(self) -> None:
        inception = self.index == 0
        if type(self.index) is not int or not 0 <= self.index < MAX_RECORDS:
            raise BadKeyRecord("the index is out of range", index=self.index)
        if inception != (self.endpoint is None) or inception != (self.previous == b""):
            raise BadKeyRecord("only the inception record has no endpoint id and no previous record")
        if not all(_is_hash(h) for h in (self.next_keys, *(() if inception else (self.endpoint, self.previous)))):
            raise BadKeyRecord("a hash has 32 bytes")
        if not all(type(a) is str and len(a) == 40 for a in self.accounts):
            raise BadKeyRecord("an account id is 40 hex characters")
        if not 1 <= len(self.accounts) <= MAX_ACCOUNTS or len(set(self.accounts)) != len(self.accounts):
            raise BadKeyRecord("a record lists 1 to 16 different accounts", count=len(self.accounts))

    @property
    def hash(self) -> Hash32:
        return record_hash(self.body())

    @property
    def endpoint_id(self) -> EndpointId:
        if self.endpoint is not None:
            return self.endpoint
        return EndpointId(Hash32(hashlib.sha256(ENDPOINT_LABEL + self.body()).digest()))


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A key record with its signatures: by its own keys, and from index 1 on by the previous keys."""

    body: bytes
    own_signature: bytes
    previous_signature: bytes

    def to_bytes(self) -> bytes:
        return cbor.encode([self.body, self.own_signature, self.previous_signature])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        if len(data) > MAX_RECORD_BYTES + 2 * MAX_SIGNATURE:
            raise BadKeyRecord("the signed record is too long", size=len(data))
        try:
            decoded: Any = cbor.decode(data)
            body, own, previous = decoded
        except (TypeError, ValueError) as error:
            raise BadKeyRecord("a signed record is an array of three") from error
        if not all(isinstance(part, bytes) for part in (body, own, previous)):
            raise BadKeyRecord("a signed record holds three byte strings")
        return cls(body, own, previous)


def record_hash(body: bytes) -> Hash32:
    return Hash32(hashlib.sha256(RECORD_LABEL + body).digest())


def next_keys_commitment(identity: IdentityKey) -> Hash32:
    """Commit to identity keys that will be shown at the next rotation only."""
    return Hash32(hashlib.sha256(NEXT_LABEL + cbor.encode([identity.suite, *identity.parts])).digest())


def record_signing_bytes(signer: IdentityKey, body: bytes) -> bytes:
    """What a key record's signatures cover. No domain: one record serves an endpoint on every ledger."""
    return signing_bytes(Purpose.KEY_RECORD, signer.suite, signer.hash, b"", 0, body)


def verify_next(previous: KeyRecord | None, signed: SignedRecord) -> KeyRecord:
    """Check one link and return it. `previous` is None for the inception record.

    Raises BadKeyRecord: bad shape, wrong index or hash, unopened commitment, or a bad signature.
    """
    record = KeyRecord.from_body(signed.body)
    if not record.identity.verify(record_signing_bytes(record.identity, signed.body), signed.own_signature):
        raise BadKeyRecord("the record's own signature does not verify", index=record.index)
    if previous is None:
        if record.index != 0 or signed.previous_signature:
            raise BadKeyRecord("a chain starts with the inception record", index=record.index)
        return record
    if record.index != previous.index + 1 or record.previous != previous.hash:
        raise BadKeyRecord("the record does not follow the one before", index=record.index)
    if record.endpoint_id != previous.endpoint_id:
        raise BadKeyRecord("the record is of another endpoint", endpoint=record.endpoint_id)
    if next_keys_commitment(record.identity) != previous.next_keys:
        raise BadKeyRecord("the keys are not those committed in advance", index=record.index)
    old = previous.identity
    if not old.verify(record_signing_bytes(old, signed.body), signed.previous_signature):
        raise BadKeyRecord("the previous keys did not sign the record", index=record.index)
    return record


def verify_records(endpoint: EndpointId, chain: Sequence[SignedRecord]) -> tuple[KeyRecord, ...]:
    """Verify an endpoint's records from its id on; return them all, the current one last."""
    records: list[KeyRecord] = []
    if not 0 < len(chain) <= MAX_RECORDS:
        raise BadKeyRecord("a chain has 1 to 4,096 records", count=len(chain))
    for signed in chain:
        record = verify_next(records[-1] if records else None, signed)
        if record.endpoint_id != endpoint:
            raise BadKeyRecord("the chain does not start from this endpoint's id", endpoint=endpoint)
        records.append(record)
    return tuple(records)


def verify_chain(endpoint: EndpointId, chain: Sequence[SignedRecord]) -> KeyRecord:
    """Verify an endpoint's records from its id on; return the last one."""
    return verify_records(endpoint, chain)[-1]


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 32
