"""What a host has proven about the endpoints it talks to: their key records, on their own ledger (P5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.envelope.content import LedgerView
from lockgate.host.sealing import Lane
from lockgate.hosting.config import HostConfig, PeerRef
from lockgate.hosting.reader import ProvenReader
from lockgate.machine import keys
from lockgate.machine.errors import BadKeyRecord, EndpointRevoked, UnknownEndpoint
from lockgate.machine.identity import KeyRecord, SignedRecord, verify_chain
from lockgate.machine.records import EndpointState
from lockgate.primitives.errors import Refused
from lockgate.primitives.ids import ClientId, DomainId, EndpointId, Hash32, Height, revision_number
from lockgate.primitives.ports import Clock
from lockgate.relay.rpc import b64

FRESH_FOR_NS: Final = 10_000_000_000  # a key record is proven anew after ten seconds


class UnknownPeer(Refused):
    code = "host.unknown_peer"
    summary = "The host has no peer of that name or endpoint id."
    untouched = "Nothing was sent."
    next_step = "Add the peer with its lane to the host's configuration."


@dataclass(frozen=True, slots=True)
class Proven:
    """A peer's current key record, and when it was proven."""

    record: KeyRecord
    at: int  # monotonic nanoseconds


class Peers:
    """Key records of peers, each verified from the endpoint's id and proven current."""

    def __init__(self, config: HostConfig, readers: dict[str, ProvenReader], clock: Clock) -> None:
        self._config = config
        self._readers = readers
        self._clock = clock
        self._known: dict[str, Proven] = {}
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

    async def record(self, peer: PeerRef, *, fresh: bool = False) -> KeyRecord:
        """The peer's current key record, verified from its id and proven on its ledger.

        Raises UnknownEndpoint, EndpointRevoked, BadKeyRecord, and what the reader raises.
        """
        known = self._known.get(peer.endpoint)
        if known is not None and not fresh and self._clock.monotonic() - known.at < FRESH_FOR_NS:
            return known.record
        endpoint = EndpointId(Hash32(bytes.fromhex(peer.endpoint)))
        record = await current_record(self.reader(peer), endpoint)
        self._known[peer.endpoint] = Proven(record, self._clock.monotonic())
        return record


async def current_record(reader: ProvenReader, endpoint: EndpointId) -> KeyRecord:
    """Prove which key record of an endpoint is current on a ledger, and verify its chain from the id."""
    height = await reader.latest()
    data = await reader.value(keys.ENDPOINT, keys.endpoint_state(endpoint), height)
    if data is None:
        raise UnknownEndpoint("not registered on its ledger", endpoint=endpoint)
    state = EndpointState.from_bytes(data)
    if state.revoked_at:
        raise EndpointRevoked("revoked", endpoint=endpoint, height=state.revoked_at)
    response = await reader.chain.query("/lockgate/key_records", endpoint)
    chain: Any = cbor.decode(b64(response.get("value")))
    record = verify_chain(endpoint, [SignedRecord.from_bytes(item) for item in chain])
    if record.hash != state.record_hash:
        raise BadKeyRecord("the records served do not end in the current one", endpoint=endpoint)
    return record


def seen(reader: ProvenReader) -> LedgerView:
    """The newest header this host trusts on a ledger, as it goes into envelopes (P20)."""
    latest = reader.follower.latest
    assert latest is not None, "the ledger was read before anything is sealed"
    digest = reader.follower.header_hash(latest.height)
    assert digest is not None
    return LedgerView(Height(reader.chain.revision, latest.height), Hash32(digest))
