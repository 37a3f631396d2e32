"""A packet host on a small EVM under a lab beacon chain, and a client of it: the good world that tests spoil."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

from lockgate.lab.beacon import ELECTRA, Beacon, minimal_network
from lockgate.lab.execution import COMMITMENTS_SLOT, ExecutionState, StateAt, commitment_key
from lockgate.lightclients.ethereum import ClientState, ConsensusState, EthereumClient, Header, Misbehaviour, states
from lockgate.lightclients.ethereum.messages import HEADER, MISBEHAVIOUR, encode_header, encode_misbehaviour
from lockgate.lightclients.ethereum.proofs import encode_proof
from lockgate.lightclients.standing import ClientUpdate
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, seconds
from tests.support.beacons import EPOCH, GENESIS_TIME, PERIOD, execution
from tests.support.memory_view import MemoryView

CLIENT = ClientId("ethereum-0")
OWN = Height(3, 77)
HOST = b"\xcc" * 20
CHAIN_ID = "31337"
WEEK = seconds(7 * 86_400)
LAST = 3 * PERIOD + EPOCH  # slot of the newest block


def at(slot: int) -> Height:
    return Height(0, slot)


def time_of(slot: int) -> UnixNanos:
    return UnixNanos((GENESIS_TIME + 6 * slot) * NANOS_PER_SECOND)


def path_of(slot: int) -> bytes:
    """Where the contract keeps what it committed to in the block of a slot."""
    return b"client-0\x01" + slot.to_bytes(8)


def word_of(slot: int) -> bytes:
    return slot.to_bytes(16) + b"\x01" * 16


class Evm:
    """A beacon chain over an EVM whose host commits to one packet a block. One block an epoch, unless said."""

    def __init__(
        self, slots: Iterable[int] = range(0, LAST + 1, EPOCH), fork_epochs: tuple[int, ...] = ELECTRA
    ) -> None:
        self.chain = Beacon(minimal_network(GENESIS_TIME, fork_epochs))
        self.state = ExecutionState()
        self.states: dict[int, StateAt] = {}
        for slot in slots:
            self.block(slot)

    def block(self, slot: int, **changes: Any) -> None:
        self.state.commit(HOST, path_of(slot), word_of(slot))
        self.states[slot] = self.state.at()
        header = replace(execution(slot, self.states[slot].root), **changes)
        self.chain.propose(slot, header)

    def proof(self, slot: int, path: bytes, address: bytes = HOST) -> bytes:
        """What a node serves at the block of a slot for the word under a path."""
        held = self.states[slot]
        return encode_proof(held.prove_account(address), held.prove_storage(address, commitment_key(path)))

    def client_state(self, slot: int, **changes: Any) -> ClientState:
        made = ClientState(
            chain_id=CHAIN_ID,
            network=self.chain.network,
            host=HOST,
            commitments=COMMITMENTS_SLOT,
            trusting_period=WEEK,
            latest_height=at(slot),
        )
        return replace(made, **changes)

    def consensus(self, slot: int, *, following: bool = False) -> ConsensusState:
        header, period = self.chain.blocks[slot].header, self.chain.network.period(slot)
        return ConsensusState(
            timestamp=UnixNanos(header.execution.timestamp * NANOS_PER_SECOND),
            number=header.execution.block_number,
            root=header.execution.state_root,
            block_root=header.beacon.root,
            committee=self.chain.committee(period).root,
            next_committee=self.chain.committee(period + 1).root if following else None,
        )

    def header(self, attested: int, trusted: int, **of_update: Any) -> Header:
        """The update that attests a block, to be judged from a trusted slot."""
        made = self.chain.update(attested, **of_update)
        signers = self.chain.committee(self.chain.network.period(made.signature_slot))
        return Header(trusted=at(trusted), committee=signers, update=made)

    def forked(self) -> Evm:
        other = Evm(())
        other.chain, other.states = self.chain.forked(), dict(self.states)
        other.state = ExecutionState({address: dict(words) for address, words in self.state.storage.items()})
        return other


@cache
def usual() -> Evm:
    """The chain that most tests look at; nobody changes it."""
    return Evm()


class EthereumWorld:
    """A host's view with a client that trusts slot 8, and knows no next committee yet."""

    def __init__(self, evm: Evm | None = None, **changes: Any) -> None:
        self.evm = evm or usual()
        self.client = EthereumClient()
        self.view = MemoryView()
        self.now = time_of(LAST + 1)
        self.create(CLIENT, 8, **changes)

    def create(self, client_id: ClientId, slot: int, *, following: bool = False, **changes: Any) -> None:
        state = states.encode_client_state(self.evm.client_state(slot, **changes))
        first = states.encode_consensus_state(self.evm.consensus(slot, following=following))
        self.view.apply(self.client.initialise(self.view, client_id, state, first, self.now, OWN))

    def header(self, attested: int, trusted: int | None = None, **of_update: Any) -> Header:
        latest = self.client.latest_height(self.view, CLIENT).height
        return self.evm.header(attested, latest if trusted is None else trusted, **of_update)

    def send(self, kind: str, value: bytes, client_id: ClientId = CLIENT) -> ClientUpdate:
        done = self.client.update(self.view, client_id, (kind, value), self.now, OWN)
        self.view.apply(done.outcome)
        return done

    def update(self, header: Header, client_id: ClientId = CLIENT) -> ClientUpdate:
        return self.send(HEADER, encode_header(header, self.evm.chain.network), client_id)

    def accuse(self, first: Header, second: Header) -> ClientUpdate:
        return self.send(MISBEHAVIOUR, encode_misbehaviour(Misbehaviour(first, second), self.evm.chain.network))

    def status(self, client_id: ClientId = CLIENT) -> str:
        return self.client.status(self.view, client_id, self.now)

    def held(self, slot: int, client_id: ClientId = CLIENT) -> ConsensusState | None:
        raw = self.view.get("ibc", b"clients/%s/consensusStates/0-%d" % (client_id.encode(), slot))
        return None if raw is None else states.decode_consensus_state(raw)
