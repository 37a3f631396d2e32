"""What a host has proven about the endpoints it talks to: their key records, on their own ledger (P5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lockgate.host.sealing import Lane
from lockgate.hosting.config import HostConfig, PeerRef
from lockgate.hosting.reader import ProvenReader
from lockgate.hosting.rules import Rules
from lockgate.machine import keys
from lockgate.machine.errors import BadKeyRecord, EndpointRevoked, UnknownEndpoint
from lockgate.machine.identity import KeyRecord, SignedRecord, verify_records
from lockgate.machine.records import EndpointState, MessageId
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId, DomainId, EndpointId, Hash32, revision_number
from lockgate.primitives.ports import Clock
from lockgate.relay.rpc import array
from lockgate.relay.search import search

FRESH_FOR_NS: Final = 10_000_000_000  # a key record is proven anew after ten seconds


class UnknownPeer(Refused):
    code = "host.unknown_peer"
    summary = "The host has no peer of that name or endpoint id."
    untouched = "Nothing was sent."
    next_step = "Add the peer with its lane to the host's configuration."


class FenceNotShown(Refused):
    code = "host.fence_not_shown"
    summary = "A message names another start of its sender than its ledger shows for it (P8)."
    untouched = "The guest did not run."
    next_step = "Nothing: the peer's host is broken, or hostile."


@dataclass(frozen=True, slots=True)
class Known:
    """A peer's key records from the inception record on, as one header of its ledger proved them."""

    chain: tuple[KeyRecord, ...]
    revoked_at: int  # height, 0 while not revoked
    fence: int  # of its newest start
    at: int  # monotonic nanoseconds

    @property
    def record(self) -> KeyRecord:
        """The current record."""
        return self.chain[-1]


class Peers:
    """Key records of peers, each verified from the endpoint's id and proven current."""

    def __init__(self, config: HostConfig, readers: dict[str, ProvenReader], clock: Clock, rules: Rules) -> None:
        self._config = config
        self._rules = rules
        self._readers = readers
        self._clock = clock
        self._known: dict[str, Known] = {}
        self._aliases = {peer.endpoint: alias for alias, peer in config.peers.items()}

    def alias(self, endpoint: bytes) -> str:
        """The name of an endpoint in this host's configuration, else its id in hex."""
        return self._aliases.get(endpoint.hex(), endpoint.hex())

    @property
    def aliases(self) -> frozenset[str]:
        return frozenset(self._config.peers)

    def named(self, name: str) -> PeerRef:
        """Find a peer by alias or endpoint id. Raises UnknownPeer."""
        peer = self._config.peers.get(name) or self._config.peers.get(self._aliases.get(name, ""))
        if peer is None:
            raise UnknownPeer("not configured", peer=name)
        return peer

    def by_endpoint(self, endpoint: str, client: str) -> PeerRef:
        """Find the peer an inbox entry came from: its id, over this lane. Raises UnknownPeer."""
        peer = self.named(endpoint)
        if peer.local_client != client:
            raise UnknownPeer("not over this lane", peer=endpoint, client=client)
        return peer

    def reader(self, peer: PeerRef) -> ProvenReader:
        return self._readers[peer.ledger]

    async def ruled(self, peer: PeerRef) -> None:
        """The peer's ledger goes by rules that are accepted here. Raises RulesChanged."""
        await self._rules.check(peer.ledger)

    def lane(self, peer: PeerRef) -> Lane:
        remote = self.reader(peer).follower.anchor
        local = self._config.local
        return Lane(
            local_domain=DomainId(Hash32(bytes.fromhex(local.domain))),
            remote_domain=remote.domain,
            local_client=ClientId(peer.local_client),
            remote_client=ClientId(peer.remote_client),
            local_revision=revision_number(local.chain_id),
            remote_revision=revision_number(remote.chain_id),
        )

    async def known(self, peer: PeerRef, *, fresh: bool = False) -> Known:
        """The peer's key records, verified from its id and proven on its ledger; revoked or not.

        Raises Distrusted, RulesChanged, UnknownEndpoint, BadKeyRecord, and what the reader raises.
        """
        reader = self.reader(peer)
        if reader.distrusted is not None:
            raise reader.distrusted
        await self.ruled(peer)
        known = self._known.get(peer.endpoint)
        now = self._clock.monotonic()
        if known is not None and not fresh and now - known.at < FRESH_FOR_NS:
            return known
        endpoint = EndpointId(Hash32(bytes.fromhex(peer.endpoint)))
        found = await prove_records(reader, endpoint, known.chain if known else ())
        self._known[peer.endpoint] = made = Known(*found, now)
        return made

    def held(self, peer: PeerRef, record: bytes) -> KeyRecord | None:
        """A record of the peer by its hash, current or not, of those that were verified."""
        known = self._known.get(peer.endpoint)
        return next((one for one in known.chain if one.hash == record), None) if known is not None else None

    async def record(self, peer: PeerRef, *, fresh: bool = False) -> KeyRecord:
        """The record to seal to. Raises EndpointRevoked, and as `known` does."""
        known = await self.known(peer, fresh=fresh)
        if known.revoked_at:
            raise EndpointRevoked("the peer is revoked", endpoint=known.record.endpoint_id, height=known.revoked_at)
        return known.record

    async def sent_under(self, peer: PeerRef, fence: int, client: str, sequence: int) -> bool:
        """Did the peer send this packet, which is open, as the start that holds `fence` (P8)?

        Its ledger takes messages of the newest start alone, so the newest one is believed; an earlier one is what the
        ledger remembers of the packet.
        """
        known = await self.known(peer)
        if fence > known.fence:
            known = await self.known(peer, fresh=True)
        if fence >= known.fence:
            return fence == known.fence
        reader = self.reader(peer)
        data = await reader.value(keys.ENDPOINT, keys.message_of_packet(client, sequence), reader.newest.height)
        return data is not None and MessageId.from_bytes(data).fence == fence

    async def stood_under(self, peer: PeerRef, record: KeyRecord, key: bytes, value: bytes, near: int) -> bool:
        """Did `key` hold `value` on the peer's ledger while `record` was the peer's current one?

        So an envelope of an older record opens only if it was on the ledger before the rotation: whoever
        steals keys that are rotated away seals nothing new with them (P5). `near` is a height whose
        header proves the value already; the other one tried is that of the rotation itself.
        """
        reader = self.reader(peer)
        state_key = keys.endpoint_state(record.endpoint_id)
        for height in (near, await _rotation(reader, record)):
            data = await reader.value(keys.ENDPOINT, state_key, height) if height else None
            if data is not None and EndpointState.from_bytes(data).record_hash == record.hash:
                if height == near or await reader.value("ibc", key, height) == value:
                    return True
        return False


async def prove_records(
    reader: ProvenReader, endpoint: EndpointId, held: tuple[KeyRecord, ...] = ()
) -> tuple[tuple[KeyRecord, ...], int, int]:
    """Prove which key record is current on a ledger, and verify the chain to it from the endpoint's id.

    `held` is a chain verified before: when it still ends in the current record, nothing is verified twice.
    Returns the chain, the height of the revocation, 0 for none, and the newest fence.
    """
    height = await reader.latest()
    data = await reader.value(keys.ENDPOINT, keys.endpoint_state(endpoint), height)
    if data is None:
        raise UnknownEndpoint("not registered on its ledger", endpoint=endpoint)
    state = EndpointState.from_bytes(data)
    if held and held[-1].hash == state.record_hash:
        return held, state.revoked_at, state.fence
    served = array(await reader.chain.query("/lockgate/key_records", endpoint), bytes)
    # The node reads its newest state; a rotation after the proven header is not there yet.
    chain = verify_records(endpoint, [SignedRecord.from_bytes(item) for item in served[: state.record_index + 1]])
    if chain[-1].hash != state.record_hash:
        raise BadKeyRecord("the records served do not end in the current one", endpoint=endpoint)
    return chain, state.revoked_at, state.fence


async def _rotation(reader: ProvenReader, record: KeyRecord) -> int:
    """Height at which the record after this one was written, as the node says; 0 when it says none.

    Only a hint where to look: what is proven is the state in that block's header, which is the one
    before the block.
    """
    found = await search(
        reader.chain, "endpoint_rotated", ("endpoint", record.endpoint_id.hex()), index=str(record.index + 1)
    )
    return max((hit.height.height for hit in found), default=0)
