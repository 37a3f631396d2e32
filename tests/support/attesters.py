"""Signers of an attested client, and what they sign: the good world that tests spoil."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

from lockgate.crypto.keys import IdentitySigner, KeyRole
from lockgate.crypto.suites import SIGN_ED25519
from lockgate.keystore.software import identity_signer
from lockgate.lightclients.attested import (
    Attestation,
    AttestedClient,
    ClientState,
    ConsensusState,
    Misbehaviour,
    Rotation,
    Signer,
    SignerSet,
    messages,
    states,
)
from lockgate.lightclients.attested.messages import ATTESTATION, MISBEHAVIOUR, ROTATION
from lockgate.lightclients.standing import ClientUpdate
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos, seconds
from lockgate.storage.memory import MemoryNodes
from tests.support.memory_view import MemoryView

CLIENT = ClientId("attested-0")
OWN = Height(3, 77)
DOMAIN = sha256(b"genesis of the attested ledger").digest()
START = UnixNanos(1_760_000_000 * 10**9)
DAY = seconds(86_400)


@cache
def attester(number: int, suite: int = SIGN_ED25519.id) -> IdentitySigner:
    """The key of attester `number`; the same in every run."""
    return identity_signer(suite, sha256(b"attester %d" % number).digest(), KeyRole.ATTESTER)


def ordered(signers: Sequence[Signer]) -> tuple[Signer, ...]:
    return tuple(sorted(signers, key=lambda signer: signer.key.hash))


def signer(
    number: int, weight: int = 1, operator: str = "", source: str = "", suite: int = SIGN_ED25519.id, **changes: Any
) -> Signer:
    made = Signer(
        key=attester(number, suite).key,
        weight=weight,
        operator=operator or f"operator-{number}",
        source=source or f"node-{number}",
        until=UnixNanos(START + 300 * DAY),
    )
    return replace(made, **changes)


def signer_set(count: int = 5, threshold: int = 3, epoch: int = 1, first: int = 0) -> SignerSet:
    """`count` signers of weight 1, each an operator and a source of its own."""
    numbers = range(first, first + count)
    return SignerSet(epoch=epoch, threshold=threshold, signers=ordered([signer(number) for number in numbers]))


def client_state(signers: SignerSet | None = None, **changes: Any) -> ClientState:
    made = ClientState(
        domain=DOMAIN,
        chain_id="ledger-1",
        signers=signers or signer_set(),
        trusting_period=seconds(14 * 86_400),
        max_clock_drift=seconds(15),
        latest_height=Height(1, 1),
    )
    return replace(made, **changes)


def signatures(
    state: ClientState, message: bytes, by: Collection[int], key: Callable[[int], IdentitySigner] = attester
) -> messages.Signatures:
    return tuple(sorted(messages.sign(key(number), state, message) for number in by))


class AttestedWorld:
    """A ledger's state, three of five signers who attest it, and a host's view with a client of them."""

    def __init__(self, signers: SignerSet | None = None) -> None:
        self.store = MultiStore(("ibc", "upgrade"), MemoryNodes())
        self.store.apply({("ibc", b"seed"): b"\x01", ("upgrade", b"seed"): b"\x01"})
        self.store.commit(1)
        self.root = self.store.app_hash
        self.client = AttestedClient()
        self.view = MemoryView()
        self.now = UnixNanos(START + seconds(60))
        self.state = client_state(signers)
        self.create(CLIENT)

    def create(self, client_id: ClientId, state: ClientState | None = None, time: UnixNanos = START) -> None:
        first = states.encode_consensus_state(ConsensusState(time, self.root))
        raw = states.encode_client_state(state or self.state)
        self.view.apply(self.client.initialise(self.view, client_id, raw, first, self.now, OWN))

    def attest(
        self,
        height: int,
        by: Collection[int] = (0, 1, 2),
        *,
        root: bytes | None = None,
        at: UnixNanos | None = None,
        signers: SignerSet | None = None,
        state: ClientState | None = None,
    ) -> Attestation:
        """An attestation of a height, a second after the one below unless `at` says otherwise."""
        present = signers or self.current().signers
        bare = Attestation(
            epoch=present.epoch,
            height=Height(1, height),
            timestamp=UnixNanos(START + seconds(height - 1)) if at is None else at,
            root=self.root if root is None else root,
        )
        where = state or self.state
        return replace(bare, signatures=signatures(where, bare.message(where.chain_id, present), by))

    def rotation(self, following: SignerSet, by: Collection[int] = (0, 1, 2)) -> Rotation:
        bare = Rotation(following=following)
        message = bare.message(self.state.chain_id, self.current().signers)
        return replace(bare, signatures=signatures(self.state, message, by))

    def current(self) -> ClientState:
        raw = self.view.get("ibc", b"clients/attested-0/clientState")
        assert raw is not None
        return states.decode_client_state(raw)

    def send(self, kind: str, value: bytes, client_id: ClientId = CLIENT) -> ClientUpdate:
        done = self.client.update(self.view, client_id, (kind, value), self.now, OWN)
        self.view.apply(done.outcome)
        return done

    def update(self, attestation: Attestation) -> ClientUpdate:
        return self.send(ATTESTATION, messages.encode_attestation(attestation))

    def rotate(self, rotation: Rotation) -> ClientUpdate:
        return self.send(ROTATION, messages.encode_rotation(rotation))

    def accuse(self, first: Attestation, second: Attestation) -> ClientUpdate:
        return self.send(MISBEHAVIOUR, messages.encode_misbehaviour(Misbehaviour(first, second)))

    def status(self) -> str:
        return self.client.status(self.view, CLIENT, self.now)
