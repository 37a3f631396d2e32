"""What a courier needs of a ledger: `Chain` reads it, `Submitter` writes to it (I10).

Both are met by the CometBFT RPC adapter for embedded ledgers, clusters and Cosmos chains alike, and
by the lab's in-process ones. The values are already parsed; nothing in them is trusted: whatever a
courier submits is proven to the other ledger, and the adapter checks proofs before they are spent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lockgate.courier.batches import Limits
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.tendermint.states import ClientState, ConsensusState
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import Unavailable
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Event
from lockgate.primitives.time import DurationNanos, UnixNanos


class ChainUnavailable(Unavailable):
    code = "chain.unavailable"
    summary = "A ledger's node does not answer, or answers something that is not usable."
    next_step = "Check that the node runs; the work is derived again from the ledgers when it is back."


class NotYet(Unavailable):
    code = "chain.not_yet"
    summary = "The ledger has not reached the height that was asked for."
    next_step = "Wait for the next block."


@dataclass(frozen=True, slots=True)
class Tip:
    """Newest block of a ledger."""

    chain_id: str
    height: Height
    time: UnixNanos


@dataclass(frozen=True, slots=True)
class BlockEvents:
    """Events of one block, those of transactions and those of the block itself, in order."""

    height: Height
    time: UnixNanos
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Proven:
    """A value (None: absent) with its ICS-23 proof, both for the header at `proof_height`."""

    value: bytes | None
    proof: bytes
    proof_height: Height


@dataclass(frozen=True, slots=True)
class TrackedClient:
    """A light client as the ledger that runs it shows it: what it judges by, and its newest header."""

    client_id: ClientId
    status: str  # Active, Expired, Frozen, Unknown
    state: ClientState
    consensus: ConsensusState

    @property
    def latest(self) -> Height:
        return self.state.latest_height

    @property
    def latest_time(self) -> UnixNanos:
        return self.consensus.timestamp

    @property
    def trusting_period(self) -> DurationNanos:
        return self.state.trusting_period


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a transaction. `code` 0 is success; `height` is where it was included."""

    code: int
    codespace: str
    log: str
    height: Height
    responses: tuple[bytes, ...]
    events: tuple[Event, ...]


Messages = Sequence[Message]


class Chain(Protocol):
    """Reads one ledger."""

    async def tip(self) -> Tip: ...

    async def block_events(self, height: int, /) -> BlockEvents: ...

    async def prove(self, store: str, key: bytes, at: Height, /) -> Proven:
        """Value and proof for header `at`, that is, of the state after block `at` - 1."""
        ...

    async def prove_many(self, store: str, keys: Sequence[bytes], at: Height, /) -> Sequence[Proven | Exception]:
        """As `prove`, for many keys of one header; what cannot be had stands in its place as its error."""
        ...

    async def outstanding(self, client_id: ClientId, /) -> Mapping[int, bytes]:
        """Commitments by sequence: packets sent over this client that have not ended."""
        ...

    async def still_open(self, client_id: ClientId, sequences: Collection[int], /) -> set[int]:
        """Those of the sequences sent over this client that have not ended."""
        ...

    async def received(self, client_id: ClientId, sequences: Collection[int], /) -> set[int]:
        """Those of the sequences that were received over this client."""
        ...

    async def acknowledged(self, client_id: ClientId, sequences: Collection[int], /) -> Mapping[int, bytes]:
        """Acknowledgement commitments of those of the sequences that have one."""
        ...

    async def client(self, client_id: ClientId, /) -> TrackedClient: ...

    async def light_block(self, height: int, /) -> LightBlock:
        """Header, commit and both validator sets of a height, not verified."""
        ...


class Submitter(Protocol):
    """Signs and submits for one account, one transaction at a time, and waits until it is included."""

    @property
    def signer(self) -> str: ...

    async def limits(self) -> Limits:
        """What one transaction may hold."""
        ...

    async def submit(self, messages: Messages, /) -> Submitted:
        """A refusal is a `Submitted` with a code; ChainUnavailable means that the fate is unknown."""
        ...
