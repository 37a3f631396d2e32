"""Watches every header that clients are given, and freezes them all when their ledger signed two (§10).

A client update on one ledger says what another ledger's validators signed. It is compared with what that
ledger's own node shows at the height, and with every further node that is configured. Where they differ
and both verify, the evidence goes to every client of that ledger, on every ledger known here, and into a
file. A height the node does not have yet is waited for (`comparing`); a difference is looked at twice.

Evidence that somebody else submitted on one ledger is carried to the clients on the others, whether or not a node
of the ledger that signed twice is known: both headers are in it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec.type_urls import TENDERMINT_MISBEHAVIOUR
from lockgate.courier.evidence import Accusation, Conflict, accuse, agrees, headers_in, misbehaviour_in, readdressed
from lockgate.ibc.events import UPDATE_CLIENT
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.tendermint.messages import (
    ClientHeader,
    ClientMisbehaviour,
    decode_header,
    decode_misbehaviour,
    encode_header,
)
from lockgate.primitives.errors import LockgateError, PeerFault
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Event
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.comparing import Comparing, Given
from lockgate.relay.endpoint import EndPoint, Slot
from lockgate.relay.kinds import follows_headers
from lockgate.relay.messages import update_client
from lockgate.relay.mover import Counters, Report
from lockgate.relay.rpc import RpcError
from lockgate.relay.search import search
from lockgate.relay.updaters.tendermint import consensus_of

RECHECK_S: Final = 0.5  # a difference is believed only when it stands after this long
WAIT_S: Final = 1.0  # for a height that the ledger's node does not have yet
LOOKS_MOST: Final = 3_600  # after an hour of waiting for a height, people are told instead
WAITING_MOST: Final = 4_096  # blocks in which clients froze
TOLD_MOST: Final = 1_024  # clients of which people were told that not all of their updates are compared
TRUSTED_TRIED: Final = 64  # heights of a client tried as common ground, newest first
HEADERS_COMPARED: Final = 1_024  # hashes of headers that were found equal, not compared again
KeepEvidence = Callable[[str, dict[str, object]], None]


@dataclass(slots=True)
class _Froze:
    """A block of `on` in which clients froze."""

    on: EndPoint
    height: Height
    looks: int = 0


class Guard:
    """Compares; submits evidence. `ends` are the ledgers known here; of those without such headers none is asked."""

    def __init__(self, ends: Sequence[EndPoint], counters: Counters, report: Report, keep: KeepEvidence | None) -> None:
        self._ends = tuple(end for end in ends if isinstance(end.chain, CometBftChain))
        self._counters = counters
        self._report = report
        self._keep = keep
        self._waiting = Comparing(self._dropped)
        self._told: deque[tuple[str, str]] = deque(maxlen=TOLD_MOST)
        self._tracks: dict[tuple[str, str], EndPoint | None] = {}
        self._equal: deque[bytes] = deque(maxlen=HEADERS_COMPARED)
        self._woken = asyncio.Event()
        self._conflicts: list[tuple[EndPoint, Conflict]] = []
        self._frozen: deque[_Froze] = deque(maxlen=WAITING_MOST)

    def saw(self, on: EndPoint, event: Event, height: Height) -> None:
        """An update_client event was read on `on`."""
        client = event.get("client_id") or ""
        known = self._tracks.get((on.chain.chain_id, client), on)
        if known is not None and isinstance(on.chain, CometBftChain) and follows_headers(client):
            self._waiting.add(on, client, height)
            self._woken.set()

    def froze(self, on: EndPoint, height: Height) -> None:
        """A client_misbehaviour event was read on `on`."""
        if isinstance(on.chain, CometBftChain) and not any(
            each.on is on and each.height == height for each in self._frozen
        ):
            self._frozen.append(_Froze(on, height))

    async def suspect(self, chain_id: str) -> None:
        """A node shows another header than a client trusts: compare how each client got to its newest one.

        Its header may have been found equal when it was given: a ledger that was restored together with its
        signing state had that history before it had this one.
        """
        self._equal.clear()
        for on in self._ends:
            for client in await _chain(on).clients_of(chain_id):
                latest = (await on.chain.client(client)).latest
                for hit in await search(_chain(on), UPDATE_CLIENT, ("consensus_height", str(latest)), client_id=client):
                    self.saw(on, hit.event, hit.height)

    async def work(self) -> None:
        """Compare what waits; returns when nothing does for a while."""
        if not self._waiting:
            self._woken.clear()
            await self._woken.wait()
        later: list[Given] = []
        failure: LockgateError | None = None
        try:
            while (given := self._waiting.take()) is not None:
                given.looks += 1
                later.append(given)
                try:
                    if await self._compare(given):
                        later.pop()
                except PeerFault as error:  # what a node says of one block holds up no other
                    failure = error
        finally:
            for given in later:
                if given.looks < LOOKS_MOST:
                    self._waiting.again(given)
                else:
                    for client in given.clients:
                        self._dropped(given.on, client, given.height)
        if failure is not None:
            raise failure
        if later:
            await asyncio.sleep(WAIT_S)

    def _dropped(self, on: EndPoint, client: str, height: Height) -> None:
        """Say once of a client that not all of its updates are compared, and count them."""
        self._counters.not_compared += 1
        key = (on.chain.chain_id, client)
        if key not in self._told:
            self._told.append(key)
            self._report("not_compared", {"on": on.chain.chain_id, "client": client, "height": str(height)})

    async def conflicting(self) -> None:
        """Nodes of a ledger that show two signed headers of a height: evidence, where a client can verify both."""
        for of in self._ends:
            self._conflicts += [(of, conflict) for conflict in _chain(of).take_conflicts()]
        while self._conflicts:
            of, conflict = self._conflicts[0]
            (_, first), (_, second) = conflict.blocks[:2]
            trusted = Height(of.chain.revision, first.height - 1)
            raw = encode_header(first.signed_header, first.validators, trusted, first.validators)
            await self._accuse(of, decode_header(raw), second)
            self._conflicts.pop(0)

    async def carry(self) -> None:
        """Bring the evidence that froze clients on one ledger to the clients on the others."""
        while self._frozen:
            froze = self._frozen.popleft()
            try:
                for data in await _chain(froze.on).transactions(froze.height.height):
                    for _, raw in misbehaviour_in(data):
                        await self._carry(froze.on, decode_misbehaviour(raw))
            except LockgateError:
                froze.looks += 1
                if froze.looks < LOOKS_MOST:
                    self._frozen.append(froze)
                raise

    async def _carry(self, on: EndPoint, evidence: ClientMisbehaviour) -> None:
        header = evidence.second
        found = []
        for end in self._ends:
            if end is on:
                continue  # it has shown the message to all of its own
            await end.see_tip()
            for client in await _chain(end).clients_of(header.block.header.chain_id):
                accusation = await self._readdressed(end, client, evidence)
                if accusation is not None:
                    found.append((end, accusation))
        if found:
            chain_id = header.block.header.chain_id
            fields: dict[str, object] = {"chain": chain_id, "height": str(header.height)}
            hashes = (evidence.first.block.hash, header.block.hash)
            await self._submit(fields, hashes, found)

    async def _readdressed(self, end: EndPoint, client: ClientId, evidence: ClientMisbehaviour) -> Accusation | None:
        tracked = await end.chain.client(client)
        if tracked.status != "Active":
            return None
        below = [h for h in await _chain(end).consensus_heights(client) if h < evidence.second.height]
        for height in below[: -TRUSTED_TRIED - 1 : -1]:
            trusted = await _chain(end).consensus(client, height)
            with contextlib.suppress(LockgateError):  # from another height it may hold
                made = readdressed(client, tracked.state, height, trusted, evidence, end.time)
                if made is not None:
                    return made
        return None

    async def _compare(self, given: Given) -> bool:
        """Compare the headers that a block gave to clients; False asks to come back."""
        ready: dict[str, EndPoint] = {}
        for client in sorted(given.clients):
            of = await self._tracked_by(given.on, client)
            if of is None:
                given.clients.discard(client)
            elif of.height.height >= given.ahead.get(client, 0):
                ready[client] = of
        if ready:
            waits: dict[str, int] = {}
            for data in await _chain(given.on).transactions(given.height.height):
                for client, raw in headers_in(data):
                    of = ready.get(client)
                    if of is not None:
                        header = decode_header(raw)
                        compared = await self._compare_header(of, header)
                        if compared is None:
                            self._dropped(given.on, client, given.height)
                        elif not compared:
                            waits[client] = min(header.height.height, waits.get(client, header.height.height))
            given.clients -= ready.keys() - waits.keys()
            given.ahead.update(waits)
        return not given.clients

    async def _tracked_by(self, on: EndPoint, client: str) -> EndPoint | None:
        """The ledger that a client follows, if it is one of ours."""
        key = (on.chain.chain_id, client)
        if key not in self._tracks:
            chain_id = (await on.chain.client(ClientId(client))).chain_id
            self._tracks[key] = next((end for end in self._ends if end.chain.chain_id == chain_id), None)
        return self._tracks[key]

    async def _compare_header(self, of: EndPoint, header: ClientHeader) -> bool | None:
        """False: not yet. None: never, since the ledger's node let the block go."""
        if header.block.hash in self._equal:
            return True
        if header.height.height > of.height.height:
            await of.see_tip()
            if header.height.height > of.height.height:
                return False  # a ledger that has not got there is no evidence
        self._counters.misbehaviour_checks += 1
        own = await self._shown_by(of, header.height)
        if own is None:
            return None if header.height.height < await of.chain.earliest() else False  # it may come, unless it is gone
        if agrees(header, own):
            self._equal.append(header.block.hash)
            return True
        await asyncio.sleep(RECHECK_S)
        _chain(of).forget(header.height.height)
        own = await self._shown_by(of, header.height)
        if own is None or agrees(header, own):
            return own is not None
        await self._accuse(of, header, own)
        return True

    async def _shown_by(self, of: EndPoint, height: Height) -> LightBlock | None:
        """The ledger's block at a height, when its node has it and every witness shows the same one."""
        try:
            own = await _chain(of).light_block(height.height)
            for witness in of.witnesses:
                other = await witness.light_block(height.height)
                if header_hash(other.header) != header_hash(own.header):
                    witness.forget(height.height)
                    _chain(of).forget(height.height)
                    self._report("sources_disagree", {"chain": of.chain.chain_id, "height": str(height)})
                    return None
        except RpcError:
            return None
        return own

    async def _accuse(self, of: EndPoint, header: ClientHeader, own: LightBlock) -> None:
        """Submit the two headers to every client of that ledger that can check them."""
        found: list[tuple[EndPoint, Accusation]] = []
        for end in self._ends:
            for client in await _chain(end).clients_of(of.chain.chain_id):
                accusation = await self._evidence_for(end, client, of, header, own)
                if accusation is not None:
                    found.append((end, accusation))
        fields: dict[str, object] = {"chain": of.chain.chain_id, "height": str(header.height)}
        if not found:
            self._report("not_evidence", {**fields, "why": "no client could verify both headers"})
            return
        await self._submit(fields, (header.block.hash, header_hash(own.header)), found)

    async def _submit(
        self, fields: dict[str, object], hashes: tuple[bytes, bytes], found: list[tuple[EndPoint, Accusation]]
    ) -> None:
        if self._keep is not None:
            name = f"{fields['chain']}-{str(fields['height']).rpartition('-')[2]}"
            self._keep(name, _record(fields, hashes, found))
        for end, accusation in found:
            if (await end.chain.client(accusation.client)).status != "Active":
                continue  # a ledger of ours freezes all its clients of a domain on the first evidence
            submitter = end.submitters[Slot.CARE]
            evidence = update_client(
                accusation.client, TENDERMINT_MISBEHAVIOUR, accusation.misbehaviour, submitter.signer
            )
            done = await submitter.submit([evidence])
            self._counters.evidence += done.code == 0
            told = {**fields, "on": end.chain.chain_id, "client": accusation.client, "log": done.log}
            self._report("misbehaviour" if done.code == 0 else "evidence_refused", told)
            if end.client == accusation.client:
                await end.refresh()

    async def _evidence_for(
        self, end: EndPoint, client: ClientId, of: EndPoint, header: ClientHeader, own: LightBlock
    ) -> Accusation | None:
        """Evidence from the newest height below the two headers on which the client and the ledger agree."""
        tracked = await end.chain.client(client)
        if tracked.status != "Active":
            return None
        below = [h for h in await _chain(end).consensus_heights(client) if h < header.height]
        await end.see_tip()
        for height in below[: -TRUSTED_TRIED - 1 : -1]:
            trusted = await _chain(end).consensus(client, height)
            try:
                witness = await _chain(of).light_block(height.height)
                if consensus_of(witness) == trusted:
                    return accuse(client, tracked.state, height, trusted, witness, header, own, end.time)
            except LockgateError as refusal:
                self._report("not_evidence", {"client": client, "trusted": str(height), "why": str(refusal)[:200]})
        return None


def _chain(end: EndPoint) -> CometBftChain:
    assert isinstance(end.chain, CometBftChain), "no other ledger is looked at here"
    return end.chain


def _record(
    fields: dict[str, object], hashes: tuple[bytes, bytes], found: list[tuple[EndPoint, Accusation]]
) -> dict[str, Any]:
    return {
        **fields,
        "submitted": hashes[0].hex(),
        "shown": hashes[1].hex(),
        "misbehaviour": [
            {
                "on": end.chain.chain_id,
                "client": accusation.client,
                "trusted": str(accusation.trusted),
                "message": accusation.misbehaviour.hex(),
            }
            for end, accusation in found
        ],
    }


__all__ = ("Guard", "KeepEvidence")
