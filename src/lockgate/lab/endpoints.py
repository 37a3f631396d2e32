"""Endpoints for the lab: an identity from a seed, its records, and the messages its host would post."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockgate.crypto.keys import IdentitySigner, KeyRole, SealingKey
from lockgate.crypto.ports import Decapsulator
from lockgate.crypto.suites import SEAL_X25519, SIGN_ED25519, seal_suite
from lockgate.lab.entropy import seeded_identity_signer
from lockgate.machine.endpoints import EMPTY_ROOT
from lockgate.machine.identity import KeyRecord, SignedRecord, next_keys_commitment, record_signing_bytes
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import EndpointId


@dataclass(slots=True)
class LabEndpoint:
    """One endpoint: its current identity key, the next one, and what its host knows of the ledger."""

    seed: bytes
    accounts: tuple[str, ...]
    suite: int = SIGN_ED25519.id
    sealed_to: int = SEAL_X25519.id
    fence: int = 0
    root: bytes = EMPTY_ROOT
    counter: int = 0
    chain: list[SignedRecord] = field(default_factory=list)
    generation: int = 0
    signed_from: dict[int, int] = field(default_factory=dict)  # generation from which identities are of another suite
    record: KeyRecord = field(init=False)

    def __post_init__(self) -> None:
        self.record = KeyRecord(
            endpoint=None,
            index=0,
            previous=b"",
            identity=self.signer(0).key,
            sealing=self.sealing(0),
            accounts=self.accounts,
            next_keys=next_keys_commitment(self.signer(1).key),
        )
        self.chain.append(self._signed(self.record, None))

    @property
    def id(self) -> EndpointId:
        return self.record.endpoint_id

    @property
    def port(self) -> str:
        return self.id.hex()

    def signer(self, generation: int) -> IdentitySigner:
        seed = (self.seed + b"/identity/%d" % generation).ljust(32, b"\0")[:32]
        newer = [since for since in self.signed_from if since <= generation]
        suite = self.signed_from[max(newer)] if newer else self.suite
        return seeded_identity_signer(suite, seed, KeyRole.IDENTITY)

    def sealing_secret(self, generation: int) -> bytes:
        return (self.seed + b"/sealing/%d" % generation).ljust(32, b"\0")[:32]

    def opener(self, generation: int) -> Decapsulator:
        """The private half of a sealing key: of the suite of its record, or of the one that the next is for."""
        return seal_suite(self._sealed_to(generation)).kem.private_key(self.sealing_secret(generation))

    def sealing(self, generation: int) -> SealingKey:
        return SealingKey(self._sealed_to(generation), self.opener(generation).public_key)

    def _sealed_to(self, generation: int) -> int:
        written = generation < len(self.chain)
        return KeyRecord.from_body(self.chain[generation].body).sealing.suite if written else self.sealed_to

    def rotated(self) -> SignedRecord:
        """The next record: signed by the old keys, opening the committed ones."""
        self.generation += 1
        old = self.record
        self.record = KeyRecord(
            endpoint=old.endpoint_id,
            index=old.index + 1,
            previous=old.hash,
            identity=self.signer(self.generation).key,
            sealing=self.sealing(self.generation),
            accounts=self.accounts,
            next_keys=next_keys_commitment(self.signer(self.generation + 1).key),
        )
        signed = self._signed(self.record, self.signer(self.generation - 1))
        self.chain.append(signed)
        return signed

    def _signed(self, record: KeyRecord, previous: IdentitySigner | None) -> SignedRecord:
        body = record.body()
        own = self.signer(self.generation)
        before = b"" if previous is None else previous.sign(record_signing_bytes(previous.key, body))
        return SignedRecord(body, own.sign(record_signing_bytes(own.key, body)), before)

    # Messages of its host.

    def register(self) -> Message:
        return "endpoint.register", {"record": self.chain[0].to_bytes()}

    def take_fence(self) -> Message:
        self.fence += 1
        return "endpoint.fence", {"endpoint": self.id, "fence": self.fence}

    def grant(self, lane: bytes, remote: LabEndpoint, most_open: int = 64) -> Message:
        return "endpoint.grant", {"endpoint": self.id, "lane": lane, "remote": remote.id, "most_open": most_open}

    def sending(self, client: str, to: LabEndpoint, timeout: int, value: bytes) -> dict[str, Any]:
        send = {
            "client": client,
            "destination": to.port,
            "timeout": timeout,
            "value": value,
            "fence": self.fence,
            "counter": self.counter,
        }
        self.counter += 1
        return send

    def advance(self, *sends: Mapping[str, Any], next_root: bytes | None = None) -> Message:
        message = {**self._swap(next_root), "sends": list(sends)}
        return "endpoint.advance", message

    def answer(
        self,
        client: str,
        sequence: int,
        *,
        ack: bytes | None = None,
        refusal: tuple[str, bytes] | None = None,
        sends: Sequence[Mapping[str, Any]] = (),
        next_root: bytes | None = None,
    ) -> Message:
        message = {**self._swap(next_root), "client": client, "sequence": sequence, "sends": list(sends)}
        if ack is not None:
            message["ack"] = ack
        if refusal is not None:
            message["refusal"] = list(refusal)
        return "endpoint.answer", message

    def _swap(self, next_root: bytes | None) -> dict[str, Any]:
        before = self.root
        self.root = next_root or bytes([self.root[0] + 1 & 0xFF]) + self.root[1:]
        return {"endpoint": self.id, "fence": self.fence, "prev_root": before, "next_root": self.root}
