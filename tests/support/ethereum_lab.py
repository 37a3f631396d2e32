"""Clients of a lab EVM on a lab ledger: made, updated and accused by transactions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as client_wire
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.packet import Packet, Payload
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.ledgers import LabAccount, LabLedger
from lockgate.lab.paths import End, expect
from lockgate.lightclients.attested import Attestation, SignerSet, messages
from lockgate.lightclients.attested import ClientState as AttestedState
from lockgate.lightclients.attested import ConsensusState as AttestedConsensus
from lockgate.lightclients.attested import states as attested_states
from lockgate.lightclients.attested.messages import ATTESTATION
from lockgate.lightclients.composite import ClientState as CompositeState
from lockgate.lightclients.composite import ConsensusState as CompositeConsensus
from lockgate.lightclients.composite import encode_agreement, parse
from lockgate.lightclients.composite import states as composite_states
from lockgate.lightclients.ethereum import states
from lockgate.lightclients.ethereum.messages import HEADER, encode_header
from lockgate.machine.machine import TxResult
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, UnixSeconds, seconds
from tests.support.attested_lab import client_message, create
from tests.support.attesters import ordered, signatures, signer
from tests.support.ethereum_worlds import CHAIN_ID, WEEK, Evm, at
from tests.support.lab import START, account
from tests.support.notes import PORT, Notes

FIRST = 136  # the slot that clients start from; the ledger's clock stands at slot 200
CONTRACT_CLIENT = ClientId("client-0")  # what the host contract calls its client of the ledger


class EthereumLab:
    """A ledger that follows an EVM by its sync committees."""

    def __init__(self, evm: Evm | None = None) -> None:
        self.evm = evm or Evm()
        self.clock = SimulatedClock(START)
        self.ledger = LabLedger("alpha-1", self.clock, applications={PORT: Notes()})
        self.ethereum = self.follow("operator")

    def follow(self, name: str, slot: int = FIRST) -> End:
        """Make a client of kind `ethereum`."""
        end = End(self.ledger, account(name))
        state = states.encode_client_state(self.evm.client_state(slot))
        expect(create(end, state, states.encode_consensus_state(self.evm.consensus(slot, following=True))))
        end.trusted = slot
        return end

    def update(self, end: End, attested: int, evm: Evm | None = None, **of_update: Any) -> TxResult:
        header = (evm or self.evm).header(attested, end.trusted, **of_update)
        value = encode_header(header, self.evm.chain.network)
        result = self.ledger.transact(end.account, client_message(end, HEADER, value))
        if not result.code:
            end.trusted = max(end.trusted, header.update.finalized_header.beacon.slot)
        return result

    def status(self, end: End) -> str:
        chain = self.ledger.chain
        return chain.machine.packets.kinds.status(chain.view(), end.client, chain.time)

    def face(self, end: End) -> None:
        """Name the host contract's client as the counterparty; its paths stand in one mapping, without a prefix."""
        message = client_wire.MsgRegisterCounterparty(
            client_id=end.client,
            counterparty_merkle_prefix=[b""],
            counterparty_client_id=CONTRACT_CLIENT,
            signer=end.account.id,
        )
        expect(self.ledger.transact(end.account, (urls.MSG_REGISTER_COUNTERPARTY, message.SerializeToString())))

    def packet(self, end: End, sequence: int = 1) -> Packet:
        """What the contract sends to an application of the ledger."""
        payload = Payload(PORT, PORT, "v", "e", b"from the EVM")
        timeout = UnixSeconds(self.ledger.chain.time // NANOS_PER_SECOND + 3_600)
        return Packet(sequence, CONTRACT_CLIENT, end.client, timeout, (payload,))

    def receive(self, end: End, packet: Packet, proof: bytes, slot: int) -> Message:
        return urls.MSG_RECV_PACKET, ibc_wire.encode_receive(packet, proof, at(slot), end.account.id)


class AttestedEvm:
    """Five attesters of an EVM, who read it each from a node of their own."""

    def __init__(self, lab: EthereumLab, threshold: int = 4) -> None:
        until = UnixNanos(START + seconds(86_400 * 300))
        signers = ordered([signer(number, until=until) for number in range(5)])
        self.evm = lab.evm
        self.state = AttestedState(
            domain=lab.evm.chain.network.genesis_validators_root,
            chain_id=CHAIN_ID,
            signers=SignerSet(epoch=1, threshold=threshold, signers=signers),
            trusting_period=WEEK,
            max_clock_drift=seconds(40),
            latest_height=at(FIRST),
        )
        self.end = End(lab.ledger, account("attested"))
        first = AttestedConsensus(*self.content(FIRST))
        raws = attested_states.encode_client_state(self.state), attested_states.encode_consensus_state(first)
        expect(create(self.end, *raws))

    def content(self, slot: int) -> tuple[UnixNanos, bytes]:
        held = self.evm.consensus(slot)
        return held.timestamp, held.root

    def attest(self, slot: int, **spoilt: Any) -> TxResult:
        timestamp, root = self.content(slot)
        bare = replace(Attestation(epoch=1, height=at(slot), timestamp=timestamp, root=root), **spoilt)
        signed = signatures(self.state, bare.message(CHAIN_ID, self.state.signers), range(self.state.signers.threshold))
        value = messages.encode_attestation(replace(bare, signatures=signed))
        return self.end.ledger.transact(self.end.account, client_message(self.end, ATTESTATION, value))


def create_composite(
    ledger: LabLedger, by: LabAccount, rule: str, state: dict[str, Any], held: tuple[Any, bytes]
) -> End:
    end = End(ledger, by)
    made = CompositeState(rule=parse(rule), trusting_period=WEEK, **state)
    first = CompositeConsensus(*held)
    raws = composite_states.encode_client_state(made), composite_states.encode_consensus_state(first)
    expect(create(end, *raws))
    return end


def agree(end: End, height: Any) -> TxResult:
    value = encode_agreement(height)
    return end.ledger.transact(end.account, client_message(end, composite_states.AGREEMENT, value))
