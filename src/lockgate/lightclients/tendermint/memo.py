"""Pure memos of a client module: what some bytes decode to, keyed by exactly those bytes.

They never change a result, only its cost: a batch of packets reads one client state, one consensus
state and mostly one validator set. Each is emptied whole when it reaches its bound, so that what is
in it never depends on the order of old requests.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from lockgate.codec.wire import tendermint_pb2
from lockgate.lightclients.cometbft import decoding
from lockgate.lightclients.cometbft.types import MAX_VALIDATORS, ValidatorSet
from lockgate.lightclients.tendermint.messages import (
    ClientHeader,
    ClientMisbehaviour,
    decode_header,
    decode_misbehaviour,
)
from lockgate.lightclients.tendermint.states import (
    ClientState,
    ConsensusState,
    decode_client_state,
    decode_consensus_state,
    encode_client_state,
    encode_consensus_state,
)
from lockgate.merkle.ics23_fast import ProofMemo
from lockgate.merkle.specs import ProofSpec

CLIENT_STATES: Final = 256  # clients of one ledger, several times over; a few hundred bytes each
CONSENSUS_STATES: Final = 1_024  # heights that packets of one block are proven at; 150 bytes each
PROOF_MEMOS: Final = 16  # roots in use at one time; ProofMemo bounds itself
MEMBERS: Final = 2 * MAX_VALIDATORS  # validators over all remembered sets: both of one largest header


class ClientMemo:
    """Decoded states, validator sets, the last header and evidence, and accepted proof parts."""

    __slots__ = ("_clients", "_consensus", "_evidence", "_header", "_members", "_proofs", "_sets")

    def __init__(self) -> None:
        self._clients: dict[bytes, ClientState] = {}
        self._consensus: dict[bytes, ConsensusState] = {}
        self._sets: dict[bytes, ValidatorSet] = {}
        self._members = 0
        self._evidence: tuple[bytes, ClientMisbehaviour] | None = None
        self._header: tuple[bytes, ClientHeader] | None = None
        self._proofs: dict[tuple[bytes, tuple[bytes, ...]], ProofMemo] = {}

    def client_state(self, raw: bytes) -> ClientState:
        """Decode what a store holds as client state."""
        state = self._clients.get(raw)
        if state is None:
            state = decode_client_state(raw)
            if len(self._clients) >= CLIENT_STATES:
                self._clients.clear()
            self._clients[raw] = state
        return state

    def consensus_state(self, raw: bytes) -> ConsensusState:
        """Decode what a store holds as consensus state."""
        state = self._consensus.get(raw)
        if state is None:
            state = decode_consensus_state(raw)
            if len(self._consensus) >= CONSENSUS_STATES:
                self._consensus.clear()
            self._consensus[raw] = state
        return state

    @staticmethod
    def encode_client_state(state: ClientState) -> bytes:
        return encode_client_state(state)

    @staticmethod
    def encode_consensus_state(state: ConsensusState) -> bytes:
        return encode_consensus_state(state)

    def validator_set(self, message: tendermint_pb2.ValidatorSet) -> ValidatorSet:
        """Read a validator set; the same bytes give the same set, its hash computed once."""
        raw = message.SerializeToString(deterministic=True)
        found = self._sets.get(raw)
        if found is None:
            found = decoding.validator_set(message)
            if self._members + len(found) > MEMBERS:
                self._sets.clear()
                self._members = 0
            self._sets[raw] = found
            self._members += len(found)
        return found

    def header(self, raw: bytes) -> ClientHeader:
        """Decode a header; one that froze a client is shown to others in turn."""
        if self._header is None or self._header[0] != raw:
            self._header = raw, decode_header(raw, self.validator_set)
        return self._header[1]

    def misbehaviour(self, raw: bytes) -> ClientMisbehaviour:
        """Decode evidence; what was decoded last is shown to every client of a ledger in turn."""
        if self._evidence is None or self._evidence[0] != raw:
            self._evidence = raw, decode_misbehaviour(raw, self.validator_set)
        return self._evidence[1]

    def proofs(self, state: ClientState, consensus: ConsensusState) -> ProofMemo:
        """Return the verifier for one root under one client's specs, with what it has accepted."""
        key = (consensus.root, state.proof_specs)
        found = self._proofs.get(key)
        if found is None:
            if len(self._proofs) >= PROOF_MEMOS:
                self._proofs.clear()
            found = self._proofs[key] = ProofMemo(consensus.root, _specs(state.proof_specs))
        return found


@lru_cache(64)  # clients of Cosmos chains share one list; a client state bounds its size
def _specs(encoded: tuple[bytes, ...]) -> tuple[ProofSpec, ...]:
    return tuple(map(ProofSpec.from_bytes, encoded))


__all__ = ("ClientMemo",)
