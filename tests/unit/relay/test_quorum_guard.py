"""A guard over attestations listens to quorums that its lane rests on, and accuses whom their words convict (P20)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from lockgate.codec import cbor
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.courier.ports import Submitted
from lockgate.lightclients.attested import Attestation, ClientState, SignerSet, messages
from lockgate.lightclients.attested.messages import ATTESTATION, MISBEHAVIOUR
from lockgate.lightclients.attested.update import RETIRED
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Event
from lockgate.primitives.time import UnixNanos, seconds
from lockgate.relay import quorum_guard
from lockgate.relay.attestors import TooFewAttestors
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.endpoint import Slot
from lockgate.relay.mover import Counters
from lockgate.relay.quorum_guard import QuorumGuard
from tests.support.attesters import START, client_state, signatures, signer_set

OWN, OTHER = ClientId("attested-0"), ClientId("attested-1")
TRUE, FALSE = b"\x11" * 32, b"\x66" * 32
HONEST, THIEVES = signer_set(), signer_set(first=20, epoch=2)
THEIRS = range(20, 23)  # of the thieves


@pytest.fixture(autouse=True)
def plain_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum_guard, "client_messages_in", lambda data: data)


def attest(signers: SignerSet, height: int, root: bytes, by: Sequence[int] = (0, 1, 2), **of: Any) -> Attestation:
    bare = Attestation(
        epoch=signers.epoch, height=Height(1, height), timestamp=UnixNanos(START + seconds(height)), root=root
    )
    state = client_state(signers, **of)
    return replace(bare, signatures=signatures(state, bare.message(state.chain_id, signers), by))


class Ledger(CometBftChain):
    """A ledger that shows what a test put there."""

    def __init__(self, chain_id: str) -> None:
        node: Any = SimpleNamespace(reconnects=0, losses=0)
        super().__init__(node, chain_id)
        self.states: dict[ClientId, ClientState] = {}
        self.frozen: set[ClientId] = set()
        self.rows: dict[bytes, bytes] = {}
        self.block: list[Any] = []  # of each transaction: client, type, content

    async def client(self, client_id: ClientId, /) -> Any:
        state = self.states[client_id]
        status = "Frozen" if client_id in self.frozen else "Active"
        return SimpleNamespace(
            client_id=client_id, kind="attested", status=status, chain_id=state.chain_id, state=state, members=()
        )

    async def clients_of(self, chain_id: str, kind: str = "") -> list[ClientId]:
        return [client for client, state in self.states.items() if state.chain_id == chain_id]

    async def transactions(self, height: int) -> Any:
        return self.block

    async def query(self, path: str, data: bytes, *, height: int = 0, prove: bool = False) -> dict[str, Any]:
        return {"value": base64.b64encode(self.rows.get(data, b"")).decode()}

    async def light_block(self, height: int) -> Any:
        return SimpleNamespace(
            header=SimpleNamespace(time=UnixNanos(START + seconds(height)), app_hash=TRUE), height=height
        )

    def retire(self, client: ClientId, signers: SignerSet) -> None:
        key = f"clients/{client}/".encode() + RETIRED + signers.epoch.to_bytes(8)
        self.rows[key] = cbor.encode([int(START), signers.to_value()])


class Asked:
    """Attestors who have a quorum of one set."""

    def __init__(self, signers: SignerSet) -> None:
        self.signers = signers
        self.noted: list[Attestation] = []

    def heard(self, _state: ClientState, attestation: Attestation) -> None:
        self.noted.append(attestation)

    async def attest(self, state: ClientState, height: Height, _now: UnixNanos, *, as_evidence: bool) -> Attestation:
        if state.signers != self.signers:
            raise TooFewAttestors(epoch=state.signers.epoch)
        return attest(self.signers, height.height, TRUE)


class Guarding:
    """A guard of a lane whose client on `here` rests on HONEST, and follows `there`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[tuple[ClientId, str]] = []
        self.files: list[str] = []
        self.here, self.there = Ledger("here-1"), Ledger("ledger-1")
        self.here.states[OWN] = client_state(HONEST)
        self.attestors = Asked(HONEST)
        self.ends = [self.end(self.here, OWN), self.end(self.there, ClientId("07-tendermint-0"))]
        self.guard = QuorumGuard(
            self.ends,
            Counters(),
            lambda name, fields: self.told.append((name, fields)),
            lambda name, _: self.files.append(name),
        )

    def end(self, chain: Ledger, client: ClientId) -> Any:
        async def nothing() -> None: ...

        async def submit(sent: Sequence[Any]) -> Submitted:
            ((_, content),) = sent
            named = ClientId(client_wire.MsgUpdateClient.FromString(content).client_id)
            self.sent.append((named, MISBEHAVIOUR))
            chain.frozen.add(named)
            return Submitted(0, "", "", Height(1, 1), (), ())

        return SimpleNamespace(
            chain=chain,
            client=client,
            submitters={Slot.CARE: SimpleNamespace(submit=submit, signer="me")},
            time=UnixNanos(START + seconds(1_000)),
            see_tip=nothing,
            refresh=nothing,
            updater=SimpleNamespace(given=lambda _: SimpleNamespace(attestors=self.attestors)),
        )

    def say(self, *words: tuple[ClientId, Any]) -> None:
        """What updates in one block said, and a look at it."""
        encoded = [
            (client, ATTESTATION, one if isinstance(one, bytes) else messages.encode_attestation(one))
            for client, one in words
        ]
        self.here.block = [[each] for each in encoded]
        for client, _ in words:
            self.guard.saw(self.ends[0], Event("update_client", (("client_id", client),)), Height(1, 5))
        asyncio.run(self.guard.work())

    def names(self) -> list[str]:
        return [name for name, _ in self.told]


def test_a_quorum_of_the_lanes_that_says_two_things_is_accused() -> None:
    g = Guarding()
    g.say((OWN, attest(HONEST, 5, TRUE)))
    assert g.told == []
    g.say((OWN, attest(HONEST, 5, FALSE)))
    assert g.sent == [(OWN, MISBEHAVIOUR)]
    assert "misbehaviour" in g.names()
    assert len(g.files) == 1


def test_what_quorums_of_sets_that_a_stranger_made_say_is_neither_remembered_nor_paid_for() -> None:
    g = Guarding()
    g.here.states[OTHER] = client_state(signer_set(first=20))
    strangers = signer_set(first=20)
    for root in (TRUE, FALSE):
        g.say((OTHER, attest(strangers, 5, root, THEIRS)))
    g.say((OWN, attest(HONEST, 5, TRUE)))
    assert (g.sent, g.told, g.files) == ([], [], [])
    assert [one.root for one in g.attestors.noted] == [TRUE]


def test_a_client_of_another_domain_with_the_same_name_is_not_listened_to() -> None:
    g = Guarding()
    elsewhere = b"\x09" * 32
    g.here.states[OTHER] = client_state(HONEST, domain=elsewhere)
    for root in (TRUE, FALSE):
        g.say((OTHER, attest(HONEST, 5, root, domain=elsewhere)))
    assert (g.sent, g.told, g.files, g.attestors.noted) == ([], [], [], [])


def test_evidence_goes_to_clients_that_it_convicts_and_to_no_other() -> None:
    g = Guarding()
    second, stranger = ClientId("attested-2"), ClientId("attested-3")
    g.here.states |= {second: client_state(HONEST), stranger: client_state(signer_set(first=20))}
    g.here.states[ClientId("attested-4")] = client_state(HONEST, domain=b"\x09" * 32)
    g.say((OWN, attest(HONEST, 5, TRUE)))
    g.say((second, attest(HONEST, 5, FALSE)))
    assert [client for client, _ in g.sent] == [OWN, second]
    assert g.names().count("misbehaviour") == 2


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff",
        attest(HONEST, 5, FALSE, (0, 1)),
        replace(attest(HONEST, 5, FALSE), root=b"\x67" * 32),
        replace(attest(HONEST, 5, FALSE), epoch=9),
        replace(attest(HONEST, 5, FALSE), epoch=-1),
    ],
    ids=["no attestation", "too few", "other signatures", "a later epoch", "no epoch"],
)
def test_nonsense_beside_it_hides_no_word(nonsense: Any) -> None:
    """Anybody can have a transaction fail in the block in which a false word was told."""
    g = Guarding()
    g.say((OWN, attest(HONEST, 5, TRUE)))
    g.say((OWN, nonsense), (OWN, attest(HONEST, 5, FALSE)))
    assert [client for client, _ in g.sent] == [OWN]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_false_word_of_a_set_that_thieves_rotated_to_is_met_by_the_set_before_it(restarted: bool) -> None:
    g = Guarding()
    if not restarted:
        g.say((OWN, attest(HONEST, 4, TRUE)))
    g.here.states[OWN] = client_state(THIEVES)
    g.here.retire(OWN, HONEST)
    g.say((OWN, attest(THIEVES, 5, FALSE, THEIRS)))
    assert "attested_otherwise" in g.names()
    assert g.sent == [(OWN, MISBEHAVIOUR)]


def test_who_lies_at_every_height_fills_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum_guard, "EVIDENCE_KEPT", 2)
    g = Guarding()
    for height in range(5, 10):
        g.here.frozen.clear()
        g.say((OWN, attest(HONEST, height, FALSE)))
    assert len(g.files) == 2
    assert len(g.sent) >= 5


def test_what_no_quorum_signed_stands_in_for_no_word() -> None:
    g = Guarding()
    g.ends[1].updater = SimpleNamespace(given=lambda _: None)
    false = attest(HONEST, 5, FALSE)
    g.say((OWN, replace(false, signatures=false.signatures[:2])), (OWN, false))
    g.say((OWN, attest(HONEST, 5, TRUE)))
    assert [client for client, _ in g.sent] == [OWN]
