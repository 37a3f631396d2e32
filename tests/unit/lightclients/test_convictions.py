"""What contradicts nothing that a client holds costs no signature, and none is verified that nobody pays for (P20)."""

from __future__ import annotations

import pytest

from lockgate.lightclients.attested import messages, update
from lockgate.lightclients.ethereum import committee, verification
from lockgate.lightclients.ethereum.messages import HEADER, Misbehaviour, encode_header, encode_misbehaviour
from lockgate.lightclients.ethereum.messages import MISBEHAVIOUR as ETHEREUM_MISBEHAVIOUR
from lockgate.primitives.ids import ClientId
from tests.support.attesters import OWN, AttestedWorld
from tests.support.ethereum_worlds import EthereumWorld
from tests.unit.lightclients.test_ethereum_client import other_history

OTHER = b"\x02" * 32
ATTESTED, ETHEREUM = ClientId("attested-1"), ClientId("ethereum-1")


class Purse:
    """An `Affords` that remembers what it was asked for."""

    def __init__(self, *, full: bool = True) -> None:
        self.full = full
        self.asked: list[int] = []

    def __call__(self, signatures: int) -> bool:
        self.asked.append(signatures)
        return self.full


@pytest.fixture
def quorums(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One item for each quorum that is verified: how many signed."""
    found: list[int] = []
    before = update.check_quorum

    def counted(*arguments: object) -> None:
        found.append(len(arguments[3]))  # type: ignore[arg-type]  # its signatures
        before(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(update, "check_quorum", counted)
    return found


@pytest.fixture
def aggregates(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One item for each aggregate signature that is verified: its participants."""
    found: list[int] = []

    def counted(members: object, aggregate: object, message: bytes) -> bool:
        found.append(aggregate.participants)  # type: ignore[attr-defined]
        return committee.is_signed(members, aggregate, message)  # type: ignore[arg-type]

    monkeypatch.setattr(verification, "is_signed", counted)
    return found


def test_P20_an_attestation_is_verified_where_it_contradicts_and_somebody_pays(quorums: list[int]) -> None:
    w = AttestedWorld()
    w.create(ATTESTED)
    against = messages.ATTESTATION, messages.encode_attestation(w.attest(7, root=OTHER))
    purse = Purse()
    assert w.client.convict(w.view, ATTESTED, against, w.now, purse) is None, "it holds nothing of that height"
    assert not purse.asked
    held = messages.ATTESTATION, messages.encode_attestation(w.attest(7))
    w.view.apply(w.client.update(w.view, ATTESTED, held, w.now, OWN).outcome)
    quorums.clear()
    poor = Purse(full=False)
    assert w.client.convict(w.view, ATTESTED, against, w.now, poor) is None
    assert not quorums
    assert w.client.convict(w.view, ATTESTED, against, w.now, purse) is not None
    assert poor.asked == purse.asked == quorums


def test_P20_two_attestations_are_verified_if_somebody_pays_for_both(quorums: list[int]) -> None:
    w = AttestedWorld()
    w.create(ATTESTED)
    raw = messages.encode_misbehaviour(messages.Misbehaviour(w.attest(7), w.attest(7, root=OTHER)))
    poor, purse = Purse(full=False), Purse()
    assert w.client.convict(w.view, ATTESTED, (messages.MISBEHAVIOUR, raw), w.now, poor) is None
    assert not quorums
    assert w.client.convict(w.view, ATTESTED, (messages.MISBEHAVIOUR, raw), w.now, purse) is not None
    assert poor.asked == purse.asked == [sum(quorums)]


def test_P20_an_update_is_verified_where_it_contradicts_and_somebody_pays(aggregates: list[int]) -> None:
    w = EthereumWorld()
    w.create(ETHEREUM, 16)
    network = w.evm.chain.network
    against = HEADER, encode_header(other_history(w).header(48, 8), network)
    purse = Purse()
    aggregates.clear()
    assert w.client.convict(w.view, ETHEREUM, against, w.now, purse) is None, "it holds nothing of that slot"
    assert not purse.asked
    assert not aggregates
    w.update(w.evm.header(48, 16), ETHEREUM)
    aggregates.clear()
    poor = Purse(full=False)
    assert w.client.convict(w.view, ETHEREUM, against, w.now, poor) is None
    assert not aggregates
    assert w.client.convict(w.view, ETHEREUM, against, w.now, purse) is not None
    assert poor.asked == purse.asked == [network.committee_size]
    assert len(aggregates) == 1


def test_P20_two_updates_are_verified_if_somebody_pays_for_each(aggregates: list[int]) -> None:
    w = EthereumWorld()
    w.create(ETHEREUM, 16)
    network = w.evm.chain.network
    pair = Misbehaviour(w.header(48), other_history(w).header(48, 8))
    evidence = ETHEREUM_MISBEHAVIOUR, encode_misbehaviour(pair, network)
    aggregates.clear()
    poor, purse = Purse(full=False), Purse()
    assert w.client.convict(w.view, ETHEREUM, evidence, w.now, poor) is None
    assert not aggregates
    assert w.client.convict(w.view, ETHEREUM, evidence, w.now, purse) is not None
    assert purse.asked == [network.committee_size] * 2
    assert len(aggregates) == 2
