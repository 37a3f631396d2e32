"""Watches what quorums of attestors say, and freezes every client that rests on one which said two things (P20).

What was attested stands in client updates, which anybody can read, and in what this relayer was told itself. What a
quorum said that the lane rests on, or one that it handed over to, is compared with what it said before, and with what
the ledger's own node shows; anybody can open clients of sets of his own, and those are not listened to. Two words that
contradict each other are evidence by themselves: they go to every client that they convict, and to no other. One that
contradicts the ledger's header is told, and the attestors are asked for another word on that height.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from lockgate.courier.evidence import client_messages_in
from lockgate.courier.ports import HeaderChain
from lockgate.lightclients.attested import Attestation, ClientState, Misbehaviour, SignerSet
from lockgate.lightclients.attested.messages import (
    ATTESTATION,
    MISBEHAVIOUR,
    decode_attestation,
    encode_attestation,
    encode_misbehaviour,
)
from lockgate.lightclients.attested.quorum import check_quorum
from lockgate.lightclients.attested.states import CLIENT_TYPE, AttestedForms
from lockgate.lightclients.attested.update import RETIRED, AttestedStore, check_misbehaviour, signers_of
from lockgate.lightclients.store import IBC_STORE, ClientStore
from lockgate.primitives.errors import LockgateError, PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Event
from lockgate.relay.attestors import Attestors, TooFewAttestors
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.endpoint import EndPoint, Slot
from lockgate.relay.guard import KeepEvidence
from lockgate.relay.messages import update_client
from lockgate.relay.mover import Counters, Report
from lockgate.relay.rpc import b64

KEPT: Final = 1_024  # heights of which a line's words are remembered, newest heard last
AT_ONE_HEIGHT: Final = 16  # unlike words of one height: two are evidence
SETS_KEPT: Final = 64  # of one line
RETIRED_READ: Final = 16  # sets before the present one that the ledger is asked for at the start
EVIDENCE_KEPT: Final = 64  # files of one line: two words are enough, and who lies at every height fills no disk
WAITING_MOST: Final = 4_096  # updates that wait to be looked at
LOOKS_MOST: Final = 8  # at an update whose block or client no node shows


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an attested client was updated."""

    on: EndPoint
    client: ClientId
    height: Height


@dataclass(slots=True)
class _Line:
    """A client that the lane rests on: the signer sets that it has had, and what their quorums said."""

    on: EndPoint
    client: ClientId
    of: EndPoint
    state: ClientState
    sets: dict[bytes, SignerSet] = field(default_factory=dict)  # by hash, oldest first
    heard: OrderedDict[Height, list[Attestation]] = field(default_factory=OrderedDict)
    kept: int = 0  # files of evidence

    def learn(self, signers: SignerSet) -> None:
        self.sets.setdefault(signers.hash, signers)
        while len(self.sets) > SETS_KEPT:  # a thief's many rotations bury neither the sets before them nor the newest
            del self.sets[list(self.sets)[SETS_KEPT // 2]]

    def before(self, epoch: int) -> list[SignerSet]:
        """The sets of earlier epochs, newest first."""
        return sorted((one for one in self.sets.values() if one.epoch < epoch), key=lambda one: -one.epoch)

    def beside(self, height: Height) -> list[Attestation]:
        """What was said of a height, and of those that are known below and above it."""
        below = max((each for each in self.heard if each < height), default=None)
        above = min((each for each in self.heard if each > height), default=None)
        return [each for place in (below, height, above) if place is not None for each in self.heard.get(place, ())]

    def remember(self, attestation: Attestation) -> None:
        said = self.heard.setdefault(attestation.height, [])
        if all(each.consensus_state != attestation.consensus_state for each in said):
            said.append(attestation)
            del said[:-AT_ONE_HEIGHT]
        self.heard.move_to_end(attestation.height)
        while len(self.heard) > KEPT:
            self.heard.popitem(last=False)


class QuorumGuard:
    """Compares attestations; submits evidence. `ends` are the ledgers known here."""

    def __init__(self, ends: Sequence[EndPoint], counters: Counters, report: Report, keep: KeepEvidence | None) -> None:
        self._ends = tuple(ends)
        self._counters = counters
        self._report = report
        self._keep = keep
        self._queue: deque[tuple[_Place, int]] = deque(maxlen=WAITING_MOST)  # and looks at it so far
        self._woken = asyncio.Event()
        self._lines: dict[tuple[str, ClientId], _Line] = {}  # by chain id and client

    def saw(self, on: EndPoint, event: Event, height: Height) -> None:
        """An update_client event was read on `on`."""
        client = event.get("client_id") or ""
        if client.rpartition("-")[0] == CLIENT_TYPE and isinstance(on.chain, CometBftChain):
            place = _Place(on, ClientId(client), height)
            if not self._queue or self._queue[-1][0] != place:  # the block is read for all of a client's at once
                self._queue.append((place, 0))
            self._woken.set()

    async def work(self) -> None:
        """Look at what waits; returns when there is nothing more."""
        if not self._queue:
            self._woken.clear()
            await self._woken.wait()
        while self._queue:
            place, looks = self._queue.popleft()
            try:
                await self._look(place)
            except LockgateError:
                if looks + 1 < LOOKS_MOST:
                    self._queue.append((place, looks + 1))
                raise

    async def _look(self, place: _Place) -> None:
        chain = place.on.chain
        assert isinstance(chain, CometBftChain), "no other ledger has such clients"
        tracked = await chain.client(place.client)
        of = next((end for end in self._ends if end.chain.chain_id == tracked.chain_id), None)
        lines = (
            [] if of is None else [one for one in await self._lines_of(of) if one.state.domain == tracked.state.domain]
        )
        if not lines:
            return  # of another domain, or no client that the lane rests on is such a one
        for data in await chain.transactions(place.height.height):
            for client, kind, value in client_messages_in(data):
                if client != place.client or kind != ATTESTATION:
                    continue
                try:  # whoever likes puts nonsense beside it, in a transaction that fails
                    attestation = decode_attestation(value)
                    signers = await _signed(chain, place.client, tracked.state, attestation)
                except (PeerFault, Refused):
                    continue
                for line in lines:
                    if signers.hash in line.sets:
                        await self._hear(line, replace(tracked.state, signers=signers), attestation)

    async def _lines_of(self, of: EndPoint) -> list[_Line]:
        """The attested clients of a ledger that the lane rests on, with the sets that they have now."""
        found = []
        for end in self._ends:
            if end is of or not isinstance(end.chain, CometBftChain):
                continue
            tracked = await end.chain.client(end.client)
            for each in (tracked, *tracked.members):
                if each.kind != CLIENT_TYPE or each.chain_id != of.chain.chain_id:
                    continue
                name = end.chain.chain_id, each.client_id
                if name not in self._lines:
                    line = _Line(end, each.client_id, of, each.state)
                    for signers in await _retired(end.chain, each.client_id, each.state):
                        line.learn(signers)
                    self._lines[name] = line
                self._lines[name].state = each.state
                self._lines[name].learn(each.state.signers)
                found.append(self._lines[name])
        return found

    async def _hear(self, line: _Line, state: ClientState, attestation: Attestation) -> None:
        """`state` has the set that signed it."""
        self._counters.misbehaviour_checks += 1
        attestors = attestors_of(line.of)
        if attestors is not None:
            attestors.heard(state, attestation)
        await self._compare(line, attestation)
        if attestors is None or not await self._differs(line.of, attestation):
            return
        self._report(
            "attested_otherwise",
            {"chain": line.of.chain.chain_id, "height": str(attestation.height), "attested": attestation.root.hex()},
        )
        await self._compare(line, await self._truth(line, attestors, state, attestation.height))

    async def _truth(self, line: _Line, attestors: Attestors, state: ClientState, height: Height) -> Attestation:
        """Another word on a height: of the set that is accused, else of the newest one before it.

        Whoever stole a quorum may have handed over to keys of his own, under which nobody honest signs; the sets before
        answer for their words all the same (ADR 32). Raises TooFewAttestors.
        """
        failure: TooFewAttestors | None = None
        for signers in (state.signers, *line.before(state.signers.epoch)):
            try:
                return await attestors.attest(replace(state, signers=signers), height, line.of.time, as_evidence=True)
            except TooFewAttestors as error:
                failure = failure or error
        assert failure is not None, "each set was asked"
        raise failure

    async def _differs(self, of: EndPoint, attestation: Attestation) -> bool:
        if not isinstance(of.chain, HeaderChain):
            return False
        header = (await of.chain.light_block(attestation.height.height)).header
        return (header.time, header.app_hash) != (attestation.timestamp, attestation.root)

    async def _compare(self, line: _Line, attestation: Attestation) -> None:
        """Compare with what was attested before: of the same height, and of the heights beside it."""
        others = line.beside(attestation.height)
        line.remember(attestation)
        for other in others:
            high, low = (attestation, other) if attestation.height >= other.height else (other, attestation)
            if Misbehaviour(high, low).is_contradiction:
                await self._accuse(line, Misbehaviour(high, low))

    async def _accuse(self, line: _Line, evidence: Misbehaviour) -> None:
        """Submit the two attestations to every client that they convict; what a ledger says to it is told."""
        chain_id = line.of.chain.chain_id
        fields: dict[str, object] = {"chain": chain_id, "height": str(evidence.first.height)}
        found: list[tuple[EndPoint, ClientId]] = []
        for end in self._ends:
            if isinstance(end.chain, CometBftChain):
                await end.see_tip()
                clients = await end.chain.clients_of(chain_id, CLIENT_TYPE)
                ordered = sorted(clients, key=lambda one: (one != line.client, one))  # anybody opens many
                found += [(end, one) for one in ordered if await _convicted(end, one, line.state.domain, evidence)]
        if not found:
            if (await line.on.chain.client(line.client)).status == "Active":
                self._report("not_evidence", {**fields, "why": "no active client has signers who said both"})
            return
        if self._keep is not None and line.kept < EVIDENCE_KEPT:
            line.kept += 1
            self._keep(f"{chain_id}-{evidence.first.height.height}-attested", _record(fields, evidence))
        for end, client in found:
            if (await end.chain.client(client)).status != "Active":
                continue  # a ledger of ours freezes all its clients of a domain on the first evidence
            submitter = end.submitters[Slot.CARE]
            message = update_client(client, MISBEHAVIOUR, encode_misbehaviour(evidence), submitter.signer)
            done = await submitter.submit([message])
            self._counters.evidence += done.code == 0
            told = {**fields, "on": end.chain.chain_id, "client": client, "log": done.log}
            self._report("misbehaviour" if done.code == 0 else "evidence_refused", told)
            await end.refresh()


class _Records:
    """Some rows of a ledger's state. Meets `View`."""

    def __init__(self, rows: dict[tuple[str, bytes], bytes]) -> None:
        self._rows = rows

    def get(self, store: str, key: bytes, /) -> bytes | None:
        return self._rows.get((store, key))

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        return iter(
            sorted((key, value) for (of, key), value in self._rows.items() if of == store and start <= key < end)
        )


async def _store(chain: CometBftChain, client: ClientId, state: ClientState, epochs: Collection[int]) -> AttestedStore:
    """What a client keeps of sets that retired, as far as these epochs go."""
    rows = {}
    for epoch in {one for one in epochs if 0 < one < state.signers.epoch}:
        key = f"clients/{client}/".encode() + RETIRED + epoch.to_bytes(8)
        raw = b64((await chain.query(f"store/{IBC_STORE}/key", key)).get("value"))
        if raw:
            rows[IBC_STORE, key] = raw
    return ClientStore(_Records(rows), client, AttestedForms())


async def _signed(chain: CometBftChain, client: ClientId, state: ClientState, attestation: Attestation) -> SignerSet:
    """The set of a client's a quorum of which signed. Raises StaleEpoch, SignaturesRefused, QuorumMissing."""
    kept = await _store(chain, client, state, [attestation.epoch])
    signers = signers_of(kept, state, attestation.epoch, None)
    check_quorum(state, signers, attestation.message(state.chain_id, signers), attestation.signatures, None)
    return signers


async def _retired(chain: CometBftChain, client: ClientId, state: ClientState) -> list[SignerSet]:
    """The sets before the present one that a client still keeps, oldest first."""
    epochs = range(max(1, state.signers.epoch - RETIRED_READ), state.signers.epoch)
    kept, found = await _store(chain, client, state, epochs), []
    for epoch in epochs:
        try:
            found.append(signers_of(kept, state, epoch, None))
        except (PeerFault, Refused):
            continue  # it is kept no more
    return found


async def _convicted(end: EndPoint, client: ClientId, domain: bytes, evidence: Misbehaviour) -> bool:
    """Would two words freeze an active client of this domain? What it would refuse is not paid for."""
    assert isinstance(end.chain, CometBftChain), "no other ledger has such clients"
    tracked = await end.chain.client(client)
    state: ClientState = tracked.state
    if tracked.status != "Active" or state.domain != domain:
        return False
    kept = await _store(end.chain, client, state, [evidence.first.epoch, evidence.second.epoch])
    try:
        check_misbehaviour(kept, state, evidence, end.time)
    except (PeerFault, Refused):
        return False
    return True


def attestors_of(end: EndPoint) -> Attestors | None:
    """The attestors of a ledger, where this relayer knows any."""
    found = end.updater.given(CLIENT_TYPE)
    return getattr(found, "attestors", None)


def _record(fields: dict[str, object], evidence: Misbehaviour) -> dict[str, object]:
    return {
        **fields,
        "first": encode_attestation(evidence.first).hex(),
        "second": encode_attestation(evidence.second).hex(),
        "message": encode_misbehaviour(evidence).hex(),
    }


__all__ = ("QuorumGuard", "attestors_of")
