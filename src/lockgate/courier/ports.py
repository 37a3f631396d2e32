"""What a courier needs of a ledger (I10): `Chain` reads it, `Submitter` writes to it, `Updater` makes it believed.

The values are already parsed; nothing in them is trusted: whatever a courier submits is proven to the
other ledger, and proofs are checked before they are spent. What depends on the kind of client on the other
ledger, the messages that bring it forward and the form in which it takes a proof, is an updater's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from lockgate.courier.batches import Limits
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import LockgateError, Unavailable
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
    """A value (None: absent) with its proof, in the form of whoever gives it, for the header at `proof_height`.

    A `Chain` gives the form of its ledger (ICS-23 of ours and of Cosmos chains); a `Ground` one it can join.
    """

    value: bytes | None
    proof: bytes
    proof_height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedClient:
    """A light client as the ledger that runs it shows it: how far it is, and what it judges by."""

    client_id: ClientId
    kind: str  # names the updater that brings it forward
    status: str  # Active, Expired, Frozen, Unknown
    chain_id: str  # of the ledger it follows
    latest: Height
    latest_time: UnixNanos
    trusting_period: DurationNanos
    state: Any = None  # of the kind's own type, as `consensus` is: only updaters of that kind look inside
    consensus: Any = None  # at `latest`
    members: tuple[TrackedClient, ...] = ()  # clients of the same ledger that it rests on


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
    """Reads one ledger. Raises ChainUnavailable and its kinds, NotYet, and PeerFault for nonsense; nothing else."""

    chain_id: str
    revision: int  # of its heights; 0 where a ledger has none

    @property
    def beat(self) -> int:
        """Counts blocks that were announced; read it before asking, give it to `pause` after."""
        ...

    @property
    def reconnects(self) -> int:
        """How often its announcements were lost and made again, for people."""
        ...

    @property
    def reorganisations(self) -> int:
        """How often blocks that are not final yet were replaced: what was read off the newest ones is read again."""
        ...

    async def pause(self, seen: int, longest_s: float = ..., /) -> None:
        """Wait for a block after `seen`, for `longest_s` at most."""
        ...

    async def tip(self) -> Tip:
        """The newest block that is final: what is read below it is never taken back."""
        ...

    async def earliest(self) -> int:
        """The first block that can still be read: nodes let old ones go, or began after them. At least 1."""
        ...

    async def block_events(self, height: int, /) -> BlockEvents: ...

    async def blocks_events(self, heights: Sequence[int], /) -> Sequence[BlockEvents]:
        """As `block_events`. Events have the names and attributes of `ibc.events`, whatever the ledger's own form."""
        ...

    async def find_events(
        self, kind: str, attribute: str, client: ClientId, sequences: set[int], accept: Callable[[Event], bool], /
    ) -> Mapping[int, tuple[Event, Height]]:
        """Past events `kind` of packets over a client, which `attribute` names, that `accept` believes, by sequence.

        What no node remembers is left out.
        """
        ...

    async def time_of(self, height: int, /) -> UnixNanos:
        """When a block was made."""
        ...

    async def prove(self, store: str, key: bytes, at: Height, /) -> Proven:
        """Value and proof for header `at`.

        That is of the state after block `at` - 1, where a header carries the root of the block before.
        """
        ...

    async def prove_many(self, store: str, keys: Sequence[bytes], at: Height, /) -> Sequence[Proven | Exception]:
        """As `prove`, for many keys of one header; what cannot be had stands in its place as its error."""
        ...

    async def outstanding(self, client_id: ClientId, /) -> Mapping[int, bytes]:
        """Commitments by sequence: packets sent over this client that have not ended."""
        ...

    async def last_sent(self, client_id: ClientId, /) -> int:
        """The newest sequence that was sent over a client; 0 before the first."""
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

    def health(self) -> dict[str, object] | None:
        """Its sources for people; None where there is one."""
        ...


@runtime_checkable
class OwnLedger(Protocol):
    """What a ledger of ours answers beside: the state of its own lanes."""

    async def pruned(self, client_id: ClientId, /) -> int:
        """The sequence up to which finished packets of a lane are forgotten."""
        ...

    async def next_in_order(self, client_id: ClientId, sender: bytes, /) -> int:
        """The number that the next packet of a sender over an ordered lane must have."""
        ...


@runtime_checkable
class HeaderChain(Chain, Protocol):
    """A ledger with headers that light clients of the CometBFT kind feed on."""

    async def light_block(self, height: int, /) -> LightBlock:
        """Header, commit and both validator sets of a height, not verified."""
        ...

    def forget(self, height: int, /) -> None:
        """Drop a block that is kept: another answer may be better."""
        ...

    def refuted(self, height: int, failure: LockgateError, /) -> None:
        """The light client does not believe the block that was served of a height."""
        ...


class Submitter(Protocol):
    """Signs and submits for one account, one transaction at a time, and waits until it is included.

    Messages are those of IBC v2 and of our machine, on every ledger; the form of a transaction is the
    submitter's. Where messages of one kind in a row carry the same proof, it is one proof for all of them.
    """

    @property
    def signer(self) -> str: ...

    async def limits(self) -> Limits:
        """What one transaction may hold."""
        ...

    async def submit(self, messages: Messages, /) -> Submitted:
        """A refusal is a `Submitted` with a code; ChainUnavailable means that the fate is unknown."""
        ...


class Ground(Protocol):
    """What a client knows of the ledger it follows, or will once `updates` are submitted: what packets are proven on.

    It serves one batch: whatever was proven on it may be proven together.
    """

    @property
    def height(self) -> Height:
        """The height that messages name."""
        ...

    def updates(self, client: ClientId, signer: str, /) -> Messages:
        """What stands in front of packets that are proven on it; empty where the client, or the proof, has all."""
        ...

    async def prove(self, store: str, keys: Sequence[bytes], /) -> Sequence[Proven | Exception]:
        """Values under keys of the ledger, each checked as the client will; what cannot be had, as its error."""
        ...

    def proofs(self, chosen: Sequence[Proven], /) -> Sequence[bytes]:
        """What each of these carries, when they travel in one transaction, in this order; some of one `prove`."""
        ...


class Updater(Protocol):
    """Brings clients of one kind, which live on another ledger, to heights of one ledger."""

    async def reach(self, tracked: TrackedClient, target: Height, now: UnixNanos, /) -> Ground:
        """Ground at `target` or above, or at the client's newest height where that is as high.

        `now` is the time of the ledger the client is on. Nothing is handed on that the client would not
        believe. Raises NotYet for what is only to be waited for, else why it is not to be believed.
        """
        ...

    def counts(self) -> Mapping[str, int]:
        """What it did, by name, for people."""
        ...

    def health(self) -> Mapping[str, object] | None:
        """Those whose word it needs, and how they do, for people; None where it needs nobody's."""
        ...
