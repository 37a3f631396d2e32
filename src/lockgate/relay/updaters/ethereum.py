"""Brings ethereum clients forward: what sync committees signed, verified here first, and storage proofs under it.

Two nodes are read and neither is believed. The EVM's node says what happened, and proves it; a beacon node says what is
final, and shows who signed. From what the client on the other ledger holds, the very module that runs there runs here,
over a state of its own: what it refuses is not sent. The root that it ends with must be that of the EVM node's block.

A beacon's height is a slot, an EVM's a number. Whatever reads an EVM chain counts in numbers, so a target is one, and
the client's place among them is the number of the execution block it knows (`relay.kinds`); messages name slots.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.courier.ports import Chain, ChainUnavailable, NotYet, Proven, TrackedClient, Updater
from lockgate.lightclients.ethereum import ClientState, ConsensusState, EthereumClient, Header, SyncCommittee, Update
from lockgate.lightclients.ethereum.containers import NO_HEADER
from lockgate.lightclients.ethereum.errors import CommitteeRefused, PeriodSkipped, SlotAhead
from lockgate.lightclients.ethereum.messages import HEADER, encode_header
from lockgate.lightclients.ethereum.proofs import AccountProofs, encode_proof
from lockgate.lightclients.ethereum.states import EthereumForms, encode_client_state, encode_consensus_state
from lockgate.lightclients.standing import ClientFrozen
from lockgate.lightclients.store import ClientStore
from lockgate.machine.transaction import Message
from lockgate.primitives.errors import LockgateError, PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome
from lockgate.primitives.time import UnixNanos
from lockgate.relay.chains.beacon import UPDATES_AT_ONCE, BeaconApi, BeaconUnknown
from lockgate.relay.chains.evm.chain import EvmChain, Report
from lockgate.relay.chains.evm.proofs import StorageProof
from lockgate.relay.messages import update_client
from lockgate.relay.rpc import BadAnswer
from lockgate.relay.updaters.words import check_words

GROUNDS_KEPT: Final = 8
COMMITTEES_KEPT: Final = 8  # of up to 2,048 keys
MOST_PERIODS: Final = 512  # in one walk: a client that slept as long as it may is 13 behind on Ethereum
OWN: Final = Height(0, 1)  # of the ledger that is played here; nothing depends on it


class OtherExecution(PeerFault):
    code = "relay.other_execution"
    summary = "An EVM node shows another block than the one that a sync committee made final."
    untouched = "No update and no packet was sent."
    next_step = "Compare the node with another one: it lies, is on a fork, or its database is damaged."


class BeaconRefuted(PeerFault):
    code = "relay.beacon_refuted"
    summary = "A beacon node gave what no client of that chain would believe."
    untouched = "Nothing of it was sent; further beacon nodes are asked."
    next_step = "Stop using the node until it is known why; the alarm says what was refused."


class NoBeacon(Refused):
    code = "relay.no_beacon"
    summary = "A client follows a chain by its sync committees, and no beacon node is configured to read them from."
    untouched = "Nothing was sent."
    next_step = "Name the address of a beacon node that serves the light client API."


@dataclass(frozen=True, slots=True)
class FinalizedGround:
    """A finalized header that the client knows, or will once `headers` are submitted. Meets `courier.ports.Ground`."""

    chain: EvmChain
    height: Height  # revision and slot
    block: Height  # of the execution block
    words: AccountProofs
    headers: tuple[bytes, ...] = ()

    def updates(self, client: ClientId, signer: str, /) -> list[Message]:
        return [update_client(client, HEADER, header, signer) for header in self.headers]

    async def prove(self, store: str, keys: Sequence[bytes], /) -> list[Proven | Exception]:
        """What the host contract stores under paths of ICS-24; each proof as the client will check it."""
        found = await self.chain.prove_many(store, keys, self.block)
        return check_words(self.words, _client_form, self.height, keys, found)

    def proofs(self, chosen: Sequence[Proven], /) -> list[bytes]:
        return [proven.proof for proven in chosen]


class EthereumUpdater:
    """Brings clients of one host contract's chain forward. Meets `courier.ports.Updater`.

    What any of the beacon nodes shows is proven or nothing, so they are asked in turn and one is enough.
    """

    def __init__(self, chain: EvmChain, beacons: Sequence[BeaconApi], report: Report) -> None:
        """Raises NoBeacon."""
        if not beacons:
            raise NoBeacon(chain=chain.chain_id)
        self.chain = chain
        self._beacons = tuple(beacons)
        self._report = report
        self._grounds: OrderedDict[tuple[Height, Height], FinalizedGround] = OrderedDict()
        self._committees: OrderedDict[bytes, SyncCommittee] = OrderedDict()  # by their roots
        self.periods = 0
        self.refuted = 0

    @classmethod
    def of(cls, chain: Chain, _others: Updater) -> EthereumUpdater:
        """For `relay.kinds`: a chain names no beacon node, so its endpoint is given the updater. Raises NoBeacon."""
        raise NoBeacon(chain=chain.chain_id)

    def counts(self) -> dict[str, int]:
        return {"periods": self.periods, "beacons_refuted": self.refuted}

    def health(self) -> dict[str, object] | None:
        """Each beacon node by its address, and how often one was refuted."""
        return {"beacons": [beacon.address for beacon in self._beacons], "refuted": self.refuted}

    async def reach(self, tracked: TrackedClient, target: Height, now: UnixNanos, /) -> FinalizedGround:
        """As `Updater.reach`; heights are numbers of execution blocks.

        Raises NotYet for what is not final or signed yet, BeaconRefuted, OtherExecution, ChainUnavailable, and
        ClientFrozen.
        """
        if tracked.state.is_frozen:
            raise ClientFrozen(client_id=tracked.client_id)
        at = tracked.state.latest_height
        key = at, max(tracked.latest, target)
        known = self._grounds.get(key)
        if known is None:
            if tracked.latest >= target:
                known = await self._ground(tracked.state, tracked.consensus, ())
            else:
                known = await self._walked(tracked, target, now)
            self._grounds[key] = known
            while len(self._grounds) > GROUNDS_KEPT:
                self._grounds.popitem(last=False)
        return known

    async def _walked(self, tracked: TrackedClient, target: Height, now: UnixNanos) -> FinalizedGround:
        failure: LockgateError | None = None
        for beacon in self._beacons:
            try:
                walk = _Walk(tracked, beacon, now, self._committees)
                await walk.to(target)
            except (NotYet, ChainUnavailable) as error:
                failure = failure or error
            except (PeerFault, Refused) as error:
                self.refuted += 1
                fields = {"chain": tracked.chain_id, "beacon": beacon.address, "refused": error.code}
                self._report("beacon_refuted", {"code": BeaconRefuted.code, **fields, "detail": str(error)[:300]})
                failure = BeaconRefuted(str(error), **fields)
            else:
                self.periods += len(walk.headers) - 1
                return await self._ground(walk.state, walk.consensus, tuple(walk.headers))
        assert failure is not None, "there is a beacon"
        raise failure

    async def _ground(self, state: ClientState, known: ConsensusState, headers: tuple[bytes, ...]) -> FinalizedGround:
        """Raises OtherExecution, NotYet while the EVM's node does not have the block for final."""
        block = await self.chain.block(known.number)
        if (block.state_root, block.nanos) != (known.root, known.timestamp):
            raise OtherExecution(
                chain=self.chain.chain_id, number=known.number, root=known.root, shown=block.state_root
            )
        words = AccountProofs(known.root, state.host, state.commitments)
        return FinalizedGround(self.chain, state.latest_height, block.height, words, headers)


class _Walk:
    """From what a client holds to what a beacon node shows final, each step as the client will take it."""

    def __init__(
        self, tracked: TrackedClient, beacon: BeaconApi, now: UnixNanos, committees: OrderedDict[bytes, SyncCommittee]
    ) -> None:
        self.headers: list[bytes] = []
        self._beacon = beacon
        self._now = now
        self._committees = committees
        self._module = EthereumClient()
        self._id = tracked.client_id
        self._view = _Played()
        raw = encode_client_state(tracked.state), encode_consensus_state(tracked.consensus)
        self._view.apply(self._module.initialise(self._view, self._id, *raw, now, OWN))
        self._store = ClientStore(self._view, self._id, EthereumForms())
        self._network = self.state.network
        self._updates: dict[int, Update] = {}

    @property
    def state(self) -> ClientState:
        return self._store.client_state()

    @property
    def consensus(self) -> ConsensusState:
        return self._store.consensus_state(self.state.latest_height)

    async def to(self, target: Height) -> None:
        """Take headers until the client knows the execution block of this number. Raises NotYet, or what is refused."""
        newest = await self._beacon.finality_update()
        final = newest.finalized_header
        if final == NO_HEADER or final.execution.block_number < target.height:
            raise NotYet("the beacon chain has not made the block final", number=target.height)
        for _ in range(MOST_PERIODS):
            if self.consensus.number >= target.height:
                return  # the best update of a period may make the same header final
            period, known = self._period, self.consensus
            last = period if known.next_committee is None else period + 1
            if (
                self._network.period(final.beacon.slot) == period
                and self._network.period(newest.signature_slot) <= last
            ):
                await self._take(newest)
                return
            # A committee that signs later is brought by the best update of the period before it.
            await self._take(await self._update(last))
        raise BadAnswer("more periods than a client can sleep", periods=MOST_PERIODS)

    @property
    def _period(self) -> int:
        return self._network.period(self.state.latest_height.height)

    async def _take(self, update: Update) -> None:
        period, known = self._period, self.consensus
        signed = self._network.period(update.signature_slot)
        root = {period: known.committee, period + 1: known.next_committee}.get(signed)
        if root is None:
            raise PeriodSkipped(known_to=period + (known.next_committee is not None), signed=signed)
        committee = await self._committee(root, signed)
        header = Header(trusted=self.state.latest_height, committee=committee, update=update)
        raw = encode_header(header, self._network)
        try:
            done = self._module.update(self._view, self._id, (HEADER, raw), self._now, OWN)
        except SlotAhead as error:
            raise NotYet("the header is ahead of the other ledger's time", slot=update.signature_slot) from error
        if done.misbehaviour:
            raise BadAnswer("headers out of order", slot=update.finalized_header.beacon.slot)
        self._view.apply(done.outcome)
        self.headers.append(raw)

    async def _update(self, period: int) -> Update:
        """The best update of a period; those after it come along."""
        if period not in self._updates:
            for found in await self._beacon.updates(period, UPDATES_AT_ONCE):  # a node may lack some in between
                self._updates[self._network.period(found.attested_header.beacon.slot)] = found
        if period not in self._updates:
            raise NotYet("the beacon node has no update of the period", period=period)
        return self._updates[period]

    async def _committee(self, root: bytes, period: int) -> SyncCommittee:
        """The keys of a committee that is known by its root. Raises CommitteeRefused."""
        for show in (self._named_before, self._at_start):
            if root not in self._committees:
                found = await show(period)
                if found is not None:
                    self._committees[found.root] = found
                    while len(self._committees) > COMMITTEES_KEPT:
                        self._committees.popitem(last=False)
        if root not in self._committees:
            raise CommitteeRefused("the beacon node shows no committee of that root", expected=root, period=period)
        return self._committees[root]

    async def _named_before(self, period: int) -> SyncCommittee | None:
        """The committee of a period as an update of the period before names it; a node may not go back so far."""
        try:
            return (await self._update(period - 1)).next_sync_committee if period else None
        except NotYet:
            return None

    async def _at_start(self, period: int) -> SyncCommittee | None:
        """The committee of the client's own period, as its newest block's state has it."""
        if period != self._period:
            return None
        try:
            return (await self._beacon.bootstrap(self.consensus.block_root)).current_sync_committee
        except BeaconUnknown:
            return None


def _client_form(proof: StorageProof) -> bytes:
    return encode_proof(proof.account, proof.storage)


class _Played:
    """The state of a ledger on which there is nothing but one client. Meets `View`."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, bytes], bytes] = {}

    def get(self, store: str, key: bytes, /) -> bytes | None:
        return self._values.get((store, key))

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        found = sorted((key, value) for (name, key), value in self._values.items() if name == store)
        return ((key, value) for key, value in found if start <= key < end)

    def apply(self, outcome: Outcome) -> None:
        for place, value in outcome.writes.items():
            if value is None:
                self._values.pop(place, None)
            else:
                self._values[place] = value


__all__ = ("BeaconRefuted", "EthereumUpdater", "FinalizedGround", "NoBeacon", "OtherExecution")
