"""Clients of an EVM on a ledger: packets both ways by storage proofs, evidence, and as members of a rule (P21)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockgate.codec import type_urls as urls
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.lab.beacon import Beacon
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabLedger
from lockgate.lab.paths import End, StepFailed, create_client, expect, packets_of, update
from lockgate.lightclients.ethereum import ExecutionHeader, Header, Misbehaviour, Network, states
from lockgate.lightclients.ethereum.messages import HEADER, MISBEHAVIOUR, encode_header, encode_misbehaviour
from lockgate.merkle.errors import ProofMismatch
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds
from tests.support.attested_lab import attest, attested_state, client_message, create, create_attested
from tests.support.ethereum_lab import FIRST, AttestedEvm, EthereumLab, agree, create_composite
from tests.support.ethereum_worlds import CHAIN_ID, HOST, WEEK, Evm, at
from tests.support.lab import START, account
from tests.support.notes import PORT, Notes, note_key

STEP = 8  # slots between blocks
NEWEST = 200  # slot of the EVM's newest block, and of the ledger's clock


def grown(lab: EthereumLab, until: int) -> None:
    """Let the EVM go on to a slot, and the ledger's clock with it."""
    newest = max(lab.evm.states)
    for slot in range(newest + STEP, until + 1, STEP):
        lab.evm.block(slot)
    lab.clock.advance(seconds(6 * (until + 1 - newest)))
    lab.ledger.block()


def kept(lab: EthereumLab, how: str, sequence: int = 1) -> bytes | None:
    return lab.ledger.chain.view().get("app", note_key(how, sequence, 0))


# --- packets


def test_a_packet_of_a_contract_reaches_an_application_by_the_committee_s_word_alone() -> None:
    lab = EthereumLab()
    end = lab.ethereum
    lab.face(end)
    packet = lab.packet(end)
    path = host.packet_commitment(packet.source_client, 1)
    lab.evm.state.commit(HOST, path, commit_packet(packet))
    grown(lab, 232)
    proof = lab.evm.proof(208, path)
    early = lab.ledger.transact(end.account, lab.receive(end, packet, proof, 208))
    assert "lightclient.proof_height_ahead" in early.log
    expect(lab.update(end, 184))
    expect(lab.update(end, 224))
    assert end.trusted == 208
    other = replace_payload(packet)
    assert "merkle.proof_mismatch" in lab.ledger.transact(end.account, lab.receive(end, other, proof, 208)).log
    stale = lab.evm.proof(200, path)
    assert "merkle." in lab.ledger.transact(end.account, lab.receive(end, packet, stale, 208)).log
    assert kept(lab, "received") is None
    expect(lab.ledger.transact(end.account, lab.receive(end, packet, proof, 208)))
    assert kept(lab, "received") == b"from the EVM"


def replace_payload(packet: Packet) -> Packet:
    return packet._replace(payloads=(packet.payloads[0]._replace(value=b"forged"),))


def send(lab: EthereumLab, end: End, timeout: int) -> Packet:
    payload = Payload(PORT, PORT, "v", "e", b"to the EVM")
    message = ibc_wire.SendMessage(end.client, UnixSeconds(timeout), (payload,), end.account.id)
    result = expect(lab.ledger.transact(end.account, (urls.MSG_SEND_PACKET, ibc_wire.encode_send(message))))
    return packets_of(result)[0]


def test_an_acknowledgement_of_the_contract_comes_back() -> None:
    lab = EthereumLab()
    end = lab.ethereum
    lab.face(end)
    expect(lab.update(end, 184))
    packet = send(lab, end, START // NANOS_PER_SECOND + 3_600)
    answer = Acknowledgement((b"done",))
    path = host.packet_acknowledgement(packet.destination_client, 1)
    lab.evm.state.commit(HOST, path, commit_acknowledgement(answer))
    grown(lab, 232)
    expect(lab.update(end, 224))
    proof = lab.evm.proof(208, path)
    for said, good in ((Acknowledgement((b"else",)), False), (answer, True)):
        content = ibc_wire.encode_acknowledge(packet, said, proof, at(208), end.account.id)
        result = lab.ledger.transact(end.account, (urls.MSG_ACKNOWLEDGEMENT, content))
        assert (result.code == 0) is good, result.log
    assert kept(lab, "acknowledged") == b"done"


def test_a_packet_that_the_contract_never_received_times_out_by_the_time_of_a_final_block() -> None:
    lab = EthereumLab()
    end = lab.ethereum
    lab.face(end)
    expect(lab.update(end, 184))
    timeout = START // NANOS_PER_SECOND + 10 * 6
    packet = send(lab, end, timeout)
    path = host.packet_receipt(packet.destination_client, 1)
    grown(lab, 240)
    expect(lab.update(end, 224))
    early = ibc_wire.encode_timeout(packet, lab.evm.proof(208, path), at(208), end.account.id)
    assert "timeout" in lab.ledger.transact(end.account, (urls.MSG_TIMEOUT, early)).log
    expect(lab.update(end, 232))
    late = ibc_wire.encode_timeout(packet, lab.evm.proof(216, path), at(216), end.account.id)
    expect(lab.ledger.transact(end.account, (urls.MSG_TIMEOUT, late)))
    assert kept(lab, "timed_out") == b"to the EVM"


# --- evidence


def two_histories(lab: EthereumLab) -> tuple[Header, Header]:
    other = lab.evm.forked()
    other.block(160, gas_used=1)
    other.chain.propose(176, other.chain.blocks[176].header.execution, finalized=160)
    return lab.evm.header(176, FIRST), other.header(176, FIRST)


def test_p20_one_evidence_freezes_every_client_of_the_chain() -> None:
    lab = EthereumLab()
    second, far = lab.follow("second"), lab.follow("far", 144)
    evidence = encode_misbehaviour(Misbehaviour(*two_histories(lab)), lab.evm.chain.network)
    result = expect(lab.ledger.transact(second.account, client_message(second, MISBEHAVIOUR, evidence)))
    caught = [event.get("client_id") for event in result.events if event.type == "client_misbehaviour"]
    assert set(caught) == {"ethereum-0", "ethereum-1", "ethereum-2"}
    assert [lab.status(each) for each in (lab.ethereum, second, far)] == ["Frozen"] * 3
    assert "not active" in lab.update(lab.ethereum, 176).log


def test_an_update_that_a_client_refuses_leaves_the_ledger_as_it_was() -> None:
    lab = EthereumLab()
    before = lab.ledger.chain.view().get(host.STORE, host.client_state(lab.ethereum.client))
    low = lab.update(lab.ethereum, 176, participants=21)
    assert "ethereum.participation_low" in low.log
    assert (low.codespace, low.code) == ("lockgate", 77)
    assert lab.ledger.chain.view().get(host.STORE, host.client_state(lab.ethereum.client)) == before


def test_what_people_are_told_of_it() -> None:
    lab = EthereumLab()
    chain = lab.ledger.chain
    rows = chain.machine.packets.clients.described(chain.view(), chain.time)
    (row,) = rows
    assert row[:4] == ["ethereum-0", "ethereum", "Active", CHAIN_ID]
    assert row[4] == [0, FIRST]
    assert "22 of the 32 keys" in row[7]


# --- as a member


def evm_state(lab: EthereumLab) -> dict[str, Any]:
    return {
        "domain": lab.evm.chain.network.genesis_validators_root,
        "chain_id": CHAIN_ID,
        "latest_height": at(FIRST),
    }


class JointLab(EthereumLab):
    """An EVM that is followed by its committees and by five attesters, and by a rule over both."""

    def __init__(self) -> None:
        super().__init__()
        self.attesters = AttestedEvm(self)
        self.joint = create_composite(
            self.ledger,
            account("joint"),
            "attested-1(4/5) AND ethereum-0",
            evm_state(self),
            self.attesters.content(FIRST),
        )


def test_p21_a_height_of_an_evm_counts_when_committee_and_attesters_agree_and_storage_proofs_are_read_under_it() -> (
    None
):
    lab = JointLab()
    end = lab.joint
    lab.face(end)
    packet = lab.packet(end)
    path = host.packet_commitment(packet.source_client, 1)
    lab.evm.state.commit(HOST, path, commit_packet(packet))
    grown(lab, 232)
    expect(lab.update(lab.ethereum, 184))
    expect(lab.update(lab.ethereum, 224))
    assert "composite.rule_unsatisfied" in agree(end, at(208)).log
    expect(lab.attesters.attest(208))
    expect(agree(end, at(208)))
    proof = lab.evm.proof(208, path)
    wrong = lab.evm.proof(200, path)
    assert "merkle." in lab.ledger.transact(end.account, lab.receive(end, packet, wrong, 208)).log
    forged = lab.receive(end, replace_payload(packet), proof, 208)
    assert "merkle." in lab.ledger.transact(end.account, forged).log
    expect(lab.ledger.transact(end.account, lab.receive(end, packet, proof, 208)))
    assert kept(lab, "received") == b"from the EVM"


def test_p21_attesters_who_say_something_else_of_a_slot_freeze_the_joint_client() -> None:
    lab = JointLab()
    expect(lab.update(lab.ethereum, 176))
    expect(lab.attesters.attest(160, root=b"\x02" * 32))
    expect(agree(lab.joint, at(160)))
    assert lab.status(lab.joint) == "Frozen"
    assert lab.status(lab.ethereum) == "Active"


def test_p21_a_committee_that_was_caught_freezes_what_rests_on_it() -> None:
    lab = JointLab()
    evidence = encode_misbehaviour(Misbehaviour(*two_histories(lab)), lab.evm.chain.network)
    end = lab.ethereum
    expect(lab.ledger.transact(end.account, client_message(end, MISBEHAVIOUR, evidence)))
    assert lab.status(lab.joint) == "Frozen"
    assert lab.status(lab.attesters.end) == "Active"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("attested-1 OR ethereum-0", "one party satisfies"),
        ("ethereum-0 AND ethereum-2", "share"),
        ("attested-1 AND ethereum-3", "another ledger"),
    ],
)
def test_p21_rules_that_rest_on_one_committee_or_on_another_chain_are_refused(rule: str, why: str) -> None:
    lab = EthereumLab()
    attesters = AttestedEvm(lab)
    lab.follow("again")
    stranger = End(lab.ledger, account("stranger"))
    network = replace(lab.evm.chain.network, genesis_validators_root=b"\x05" * 32)
    first = states.encode_consensus_state(lab.evm.consensus(FIRST))
    expect(create(stranger, states.encode_client_state(lab.evm.client_state(FIRST, network=network)), first))
    with pytest.raises(StepFailed, match=why):
        create_composite(lab.ledger, account("joint"), rule, evm_state(lab), attesters.content(FIRST))


class SignedLedger:
    """A ledger of ours whose headers a beacon's committee signs too: (height, time, root) as (slot, time, root)."""

    def __init__(self) -> None:
        self.clock = SimulatedClock(START)
        self.a, self.b = (LabLedger(name, self.clock, applications={PORT: Notes()}) for name in ("alpha-1", "beta-1"))
        self.network = Network(
            genesis_validators_root=self.b.genesis.domain_id,
            genesis_time=START // NANOS_PER_SECOND - 100,
            seconds_per_slot=1,
            slots_per_epoch=8,
            epochs_per_period=8,
            committee_size=32,
            forks=Evm(()).chain.network.forks,
        )
        self.beacon = Beacon(self.network)
        self.header, self.attested, self.committee = (End(self.a, account(name)) for name in ("h", "att", "com"))
        self.first = self.next_height()
        create_client(self.header, self.b)
        self.attested_state = attested_state(self.b)
        create_attested(self.attested, self.b, self.attested_state)
        self.create_ethereum()
        signed = self.b.chain.signed_header(self.first).header
        state = {
            "domain": self.b.genesis.domain_id,
            "chain_id": "beta-1",
            "latest_height": self.b.at(self.first),
        }
        rule = "07-tendermint-0 AND (attested-1(4/5) OR ethereum-2)"
        self.joint = create_composite(self.a, account("joint"), rule, state, (signed.time, signed.app_hash))

    def next_height(self) -> int:
        """A height of B at a whole second, in which a beacon block stands for it."""
        self.clock.advance(seconds(1))
        self.b.block()
        height = self.b.height
        self.propose(height)
        return height

    def propose(self, height: int, **changes: Any) -> None:
        header = self.b.chain.signed_header(height).header
        assert header.time % NANOS_PER_SECOND == 0
        made = ExecutionHeader(state_root=header.app_hash, timestamp=header.time // NANOS_PER_SECOND)
        self.beacon.propose(height, replace(made, **changes))

    def create_ethereum(self) -> None:
        block = self.beacon.blocks[self.first].header
        state = states.ClientState(
            chain_id="beta-1",
            network=self.network,
            host=HOST,
            commitments=b"\x01" * 32,
            trusting_period=WEEK,
            latest_height=self.b.at(self.first),
        )
        first = states.ConsensusState(
            timestamp=UnixNanos(block.execution.timestamp * NANOS_PER_SECOND),
            number=block.execution.block_number,
            root=block.execution.state_root,
            block_root=block.beacon.root,
            committee=self.beacon.committee(0).root,
            next_committee=None,
        )
        expect(create(self.committee, states.encode_client_state(state), states.encode_consensus_state(first)))

    def finalize(self, height: int) -> None:
        """Bring the committee's client to a height, by a block on top that sees it as final."""
        top = max(self.beacon.blocks) + 1
        self.beacon.propose(top, self.beacon.blocks[height].header.execution, finalized=height)
        update = self.beacon.update(top)
        header = Header(trusted=self.b.at(self.first), committee=self.beacon.committee(0), update=update)
        value = encode_header(header, self.network)
        expect(self.a.transact(self.committee.account, client_message(self.committee, HEADER, value)))


def test_p21_tendermint_and_either_attesters_or_a_committee() -> None:
    """The rule as it is written; the committee's member reads no ICS-23 proofs, and vouches for the root."""
    w = SignedLedger()
    height = w.next_height()
    at_height = w.b.at(height)
    update(w.header, w.b, height)
    assert "composite.rule_unsatisfied" in agree(w.joint, at_height).log
    w.finalize(height)
    expect(agree(w.joint, at_height))
    view = w.a.chain.view()
    module = w.a.chain.machine.packets.clients.of(view, w.joint.client)
    key, value = b"domain", w.b.chain.view_at(height - 1).get("rules", b"domain")
    assert value is not None
    proof = w.b.prove("rules", key, height).merkle_proof
    module.verify_membership(view, w.joint.client, at_height, proof, (b"rules", key), value)
    with pytest.raises(ProofMismatch):
        module.verify_membership(view, w.joint.client, at_height, proof, (b"rules", key), value + b"\0")
    later = w.next_height()
    update(w.header, w.b, later)
    expect(attest(w.attested, w.b, w.attested_state, later))
    expect(agree(w.joint, w.b.at(later)))


def test_p21_a_committee_that_signs_another_root_freezes_the_rule_over_it() -> None:
    w = SignedLedger()
    height = w.next_height()
    w.propose(height, state_root=b"\x02" * 32)
    update(w.header, w.b, height)
    expect(attest(w.attested, w.b, w.attested_state, height))
    w.finalize(height)
    expect(agree(w.joint, w.b.at(height)))
    chain = w.a.chain
    assert chain.machine.packets.kinds.status(chain.view(), w.joint.client, chain.time) == "Frozen"
    assert chain.machine.packets.kinds.status(chain.view(), ClientId("07-tendermint-0"), chain.time) == "Active"
