"""Watches what quorums of attestors say, and freezes every client that rests on one which said two things (P20).

What was attested stands in client updates, which anybody can read, and in what this relayer was told itself. Each
is compared with what was attested of that height before, and with what the ledger's own node shows. Two that
contradict each other are evidence by themselves: they go to every client whose signers signed both. One that
contradicts the ledger's header is told, and the attestors are asked for another word on that height.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.courier.evidence import client_messages_in
from lockgate.courier.ports import HeaderChain
from lockgate.lightclients.attested import Attestation, ClientState, Misbehaviour
from lockgate.lightclients.attested.messages import (
    ATTESTATION,
    MISBEHAVIOUR,
    decode_attestation,
    encode_attestation,
    encode_misbehaviour,
)
from lockgate.lightclients.attested.states import CLIENT_TYPE
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Event
from lockgate.relay.attestors import Attestors
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.endpoint import EndPoint, Slot
from lockgate.relay.guard import KeepEvidence
from lockgate.relay.messages import update_client
from lockgate.relay.mover import Counters, Report

KEPT: Final = 1_024  # attestations remembered of each ledger, newest heard last
WAITING_MOST: Final = 4_096  # updates that wait to be looked at
LOOKS_MOST: Final = 8  # at an update whose block or client no node shows


@dataclass(slots=True)
class _Seen:
    """An update event of an attested client."""

    on: EndPoint
    client: ClientId
    height: Height
    looks: int = 0


class QuorumGuard:
    """Compares attestations; submits evidence. `ends` are the ledgers known here."""

    def __init__(self, ends: Sequence[EndPoint], counters: Counters, report: Report, keep: KeepEvidence | None) -> None:
        self._ends = tuple(ends)
        self._counters = counters
        self._report = report
        self._keep = keep
        self._queue: deque[_Seen] = deque(maxlen=WAITING_MOST)
        self._woken = asyncio.Event()
        self._heard: dict[str, OrderedDict[Height, list[Attestation]]] = {}  # by chain id

    def saw(self, on: EndPoint, event: Event, height: Height) -> None:
        """An update_client event was read on `on`."""
        client = event.get("client_id") or ""
        if client.rpartition("-")[0] == CLIENT_TYPE and isinstance(on.chain, CometBftChain):
            self._queue.append(_Seen(on, ClientId(client), height))
            self._woken.set()

    async def work(self) -> None:
        """Look at what waits; returns when there is nothing more."""
        if not self._queue:
            self._woken.clear()
            await self._woken.wait()
        while self._queue:
            seen = self._queue.popleft()
            try:
                await self._look(seen)
            except LockgateError:
                seen.looks += 1
                if seen.looks < LOOKS_MOST:
                    self._queue.append(seen)
                raise

    async def _look(self, seen: _Seen) -> None:
        assert isinstance(seen.on.chain, CometBftChain), "no other ledger has such clients"
        tracked = await seen.on.chain.client(seen.client)
        of = next((end for end in self._ends if end.chain.chain_id == tracked.chain_id), None)
        if of is None:
            return
        for data in await seen.on.chain.transactions(seen.height.height):
            for client, kind, value in client_messages_in(data):
                if client == seen.client and kind == ATTESTATION:
                    await self._hear(of, tracked.state, decode_attestation(value))

    async def _hear(self, of: EndPoint, state: ClientState, attestation: Attestation) -> None:
        self._counters.misbehaviour_checks += 1
        attestors = attestors_of(of)
        if attestors is not None:
            attestors.heard(state, attestation)
        await self._compare(of, attestation)
        if attestors is None or not await self._differs(of, attestation):
            return
        self._report(
            "attested_otherwise",
            {"chain": of.chain.chain_id, "height": str(attestation.height), "attested": attestation.root.hex()},
        )
        other = await attestors.attest(state, attestation.height, of.time, as_evidence=True)
        await self._compare(of, other)

    async def _differs(self, of: EndPoint, attestation: Attestation) -> bool:
        if not isinstance(of.chain, HeaderChain):
            return False
        header = (await of.chain.light_block(attestation.height.height)).header
        return (header.time, header.app_hash) != (attestation.timestamp, attestation.root)

    async def _compare(self, of: EndPoint, attestation: Attestation) -> None:
        """Compare with what was attested before: of the same height, and of the heights beside it."""
        heard = self._heard.setdefault(of.chain.chain_id, OrderedDict())
        for other in self._beside(heard, attestation.height):
            high, low = (attestation, other) if attestation.height >= other.height else (other, attestation)
            if Misbehaviour(high, low).is_contradiction:
                await self._accuse(of, Misbehaviour(high, low))
        said = heard.setdefault(attestation.height, [])
        if all(each.consensus_state != attestation.consensus_state for each in said):
            said.append(attestation)
        heard.move_to_end(attestation.height)
        while len(heard) > KEPT:
            heard.popitem(last=False)

    @staticmethod
    def _beside(heard: OrderedDict[Height, list[Attestation]], height: Height) -> list[Attestation]:
        below = max((each for each in heard if each < height), default=None)
        above = min((each for each in heard if each > height), default=None)
        return [each for place in (below, height, above) if place is not None for each in heard.get(place, ())]

    async def _accuse(self, of: EndPoint, evidence: Misbehaviour) -> None:
        """Submit the two attestations to every attested client of that ledger; what a ledger says to it is told."""
        fields: dict[str, object] = {"chain": of.chain.chain_id, "height": str(evidence.first.height)}
        clients: list[tuple[EndPoint, ClientId]] = []
        for end in self._ends:
            if isinstance(end.chain, CometBftChain):
                clients += [(end, client) for client in await end.chain.clients_of(of.chain.chain_id, CLIENT_TYPE)]
        if self._keep is not None:
            self._keep(f"{of.chain.chain_id}-{evidence.first.height.height}-attested", _record(fields, evidence))
        for end, client in clients:
            if (await end.chain.client(client)).status != "Active":
                continue
            submitter = end.submitters[Slot.CARE]
            message = update_client(client, MISBEHAVIOUR, encode_misbehaviour(evidence), submitter.signer)
            done = await submitter.submit([message])
            self._counters.evidence += done.code == 0
            told = {**fields, "on": end.chain.chain_id, "client": client, "log": done.log}
            self._report("misbehaviour" if done.code == 0 else "evidence_refused", told)
            await end.refresh()


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
