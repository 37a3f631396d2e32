"""Offline proof bundles: that a ledger received one packet and how it was answered, without any node.

A bundle holds a header chain from a trusted header, the packet, its acknowledgement, and the proofs of
both under the newest header of the chain, with the ledger's own statement of its domain and class. A
verifier compares the trusted header with one it knows (P11); everything else follows from the bytes.
Changing any byte refuses the bundle. Source: `cddl/bundle.1.0.cddl`; P4, P10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.registry import Schema, Version, cddl_text
from lockgate.codec.wire import tendermint_pb2 as wire
from lockgate.hosting.config import LedgerRef, PeerRef
from lockgate.hosting.reader import SPECS
from lockgate.ibc import host
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.packet import SENTINEL
from lockgate.lightclients.cometbft import decoding, encoding
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.types import LightBlock, Validator, ValidatorSet
from lockgate.lightclients.cometbft.verification import TrustOptions
from lockgate.lightclients.follower import Accepted, Anchor, Follower
from lockgate.machine import keys
from lockgate.machine.lanes import counterparty_value
from lockgate.machine.wording import finality
from lockgate.merkle import ics23
from lockgate.primitives.errors import LockgateError, PeerFault
from lockgate.primitives.ids import ChainId, ClientId, DomainId, Hash32, Height
from lockgate.primitives.time import seconds
from lockgate.relay.chains.cometbft import CometBftChain

FORMAT: Final = 1
SCHEMA: Final = Schema("node/bundle", Version(1, 0), cddl_text("bundle", Version(1, 0), package="lockgate.node"))
MAX_BUNDLE: Final = 4 * 1024 * 1024  # a chain of headers with 150 validators is far below
MAX_HEADERS: Final = 256
FOREVER: Final = seconds(100 * 365 * 86_400)  # an old bundle stays evidence; expiry is for live clients


class BadBundle(PeerFault):
    code = "bundle.malformed"
    summary = "The file is not a proof bundle, or what it proves does not hold together."
    untouched = "Nothing was believed from it."
    next_step = "Take the bundle from its source again."


class UntrustedStart(PeerFault):
    code = "bundle.untrusted_start"
    summary = "The bundle starts from another header than the one given as trusted."
    untouched = "Nothing was believed from it."
    next_step = "Check the trusted header hash with the ledger's publisher."


@dataclass(frozen=True, slots=True)
class Finding:
    """What a verified bundle proves."""

    chain_id: str
    domain: str
    ledger_class: str
    trusted_hash: str
    height: int
    time: int
    client: str
    sequence: int
    accepted: bool
    packet_commitment: str
    finality: str  # who stands behind the last header, in words (P10)

    def sentence(self) -> str:
        """The proof in words, never more than is true (P10)."""
        how = "accepted and answered" if self.accepted else "refused"
        return (
            f"Ledger {self.chain_id} ({self.finality}) {how} packet {self.client}/{self.sequence} "
            f"by height {self.height}; trust starts from header {self.trusted_hash[:16]}…"
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """`headers` are light blocks, the trusted one first; proofs are for the last one's app hash."""

    headers: tuple[LightBlock, ...]
    packet: bytes
    acknowledgement: bytes
    ack_proof: bytes
    counterparty_proof: bytes
    domain_value: bytes
    domain_proof: bytes

    def to_bytes(self) -> bytes:
        return cbor.encode(
            [
                FORMAT,
                [_block_value(block) for block in self.headers],
                self.packet,
                self.acknowledgement,
                self.ack_proof,
                self.counterparty_proof,
                self.domain_value,
                self.domain_proof,
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a bundle in its one encoding. Raises BadBundle."""
        if len(data) > MAX_BUNDLE:
            raise BadBundle("too long", size=len(data))
        try:
            value: Any = cbor.decode(data, limits=cbor.Limits(size=MAX_BUNDLE))
            form, headers, *rest = value
            if form != FORMAT or not 0 < len(headers) <= MAX_HEADERS:
                raise BadBundle("unknown format, or no headers")
            bundle = cls(tuple(map(_block, headers)), *rest)
            same = bundle.to_bytes() == data
        except BadBundle:
            raise
        except (LockgateError, LookupError, TypeError, ValueError) as error:
            raise BadBundle("the bundle does not read") from error
        if not same:
            raise BadBundle("the bundle has another encoding than its own")
        return bundle


async def build(chain: CometBftChain, start: LedgerRef, peer: PeerRef, sequence: int) -> Bundle:
    """Prove on the receiver's ledger what became of one packet of `peer`'s lane."""
    key = host.packet_acknowledgement(peer.remote_client, sequence)
    found = await _written(chain, peer.remote_client, sequence)
    tip = await chain.tip()
    at = Height(chain.revision, tip.height.height)
    ack = await chain.prove("ibc", key, at)
    counterparty = await chain.prove("ibc", host.counterparty(peer.remote_client), at)
    domain = await chain.prove(keys.RULES, keys.RULES_DOMAIN, at)
    headers = (await chain.light_block(start.height), await chain.light_block(at.height))
    packet, acknowledgement = found
    return Bundle(headers, packet, acknowledgement, ack.proof, counterparty.proof, domain.value or b"", domain.proof)


def verify(data: bytes, trusted: bytes | None = None) -> Finding:
    """Verify a bundle offline. `trusted` is the hash of the first header, from elsewhere (P11).

    Raises BadBundle, UntrustedStart, or what a header or proof violates.
    """
    bundle = Bundle.from_bytes(data)
    first, last = bundle.headers[0], bundle.headers[-1]
    start = header_hash(first.header)
    if trusted is not None and start != trusted:
        raise UntrustedStart("another first header", given=trusted, found=start)
    try:
        packet = ibc_wire.read_packet(bundle.packet)
        acknowledgement = ibc_wire.read_acknowledgement(bundle.acknowledgement)
        root = _follow(bundle.headers, start)
        ack_key = host.packet_acknowledgement(packet.destination_client, packet.sequence)
        value = commit_acknowledgement(acknowledgement)
        ics23.verify_membership(SPECS, root, (b"ibc", ack_key), value, bundle.ack_proof)
        # A packet's commitment does not name its source client (IBC v2); the counterparty record does.
        source = counterparty_value(ClientId(packet.source_client))
        counterparty_path = (b"ibc", host.counterparty(packet.destination_client))
        ics23.verify_membership(SPECS, root, counterparty_path, source, bundle.counterparty_proof)
        domain_path = (keys.RULES.encode(), keys.RULES_DOMAIN)
        ics23.verify_membership(SPECS, root, domain_path, bundle.domain_value, bundle.domain_proof)
        domain: Any = cbor.decode(bundle.domain_value)
        domain_id, chain_id, ledger_class = domain
    except (TypeError, ValueError) as error:
        raise BadBundle("the ledger's statement of its domain does not read") from error
    commitment = commit_packet(packet)
    accepted = acknowledgement.elements[0] != SENTINEL
    if accepted and not acknowledgement.elements[0].startswith(commitment):
        raise BadBundle("the acknowledgement names another packet (P4)")
    return Finding(
        chain_id=chain_id,
        domain=domain_id.hex(),
        ledger_class=ledger_class,
        trusted_hash=start.hex(),
        height=last.height - 1,
        time=last.header.time,
        client=packet.destination_client,
        sequence=packet.sequence,
        accepted=accepted,
        packet_commitment=commitment.hex(),
        finality=finality(
            [validator.public_key for validator in last.validators.validators],
            sum(bool(vote.signature) for vote in last.signed_header.commit.signatures),
        ),
    )


def _follow(headers: tuple[LightBlock, ...], start: bytes) -> bytes:
    """Verify each header from the one before; return the last one's app hash."""
    first = headers[0].header
    anchor = Anchor(
        domain=DomainId(Hash32(bytes(32))),
        chain_id=ChainId(first.chain_id),
        height=first.height,
        header_hash=Hash32(start),
    )
    follower = Follower(anchor, TrustOptions(trusting_period=FOREVER))
    for block in headers:
        result = follower.feed(block, block.header.time)
        if not isinstance(result, Accepted):
            raise BadBundle("a header does not verify from the one before", height=block.height)
    return headers[-1].header.app_hash


async def _written(chain: CometBftChain, client: str, sequence: int) -> tuple[bytes, bytes]:
    query = (
        f"write_acknowledgement.packet_dest_client='{client}' AND write_acknowledgement.packet_sequence='{sequence}'"
    )
    heights = set()
    for method, name in (("tx_search", "txs"), ("block_search", "blocks")):
        answer = await chain.rpc.call(method, query=query)
        for item in answer.get(name) or ():
            heights.add(int(item.get("height") or item["block"]["header"]["height"]))
    for height in sorted(heights):
        for event in (await chain.block_events(height)).events:
            if event.type == "write_acknowledgement" and event.get("packet_sequence") == str(sequence):
                if event.get("packet_dest_client") == client:
                    packet = bytes.fromhex(event.get("encoded_packet_hex") or "")
                    return packet, bytes.fromhex(event.get("encoded_acknowledgement_hex") or "")
    raise BadBundle("the ledger shows no acknowledgement of this packet", client=client, sequence=sequence)


def _block_value(block: LightBlock) -> list[Any]:
    def members(validators: ValidatorSet) -> list[Any]:
        place = validators.place(validators.proposer.address)
        return [place, [[v.public_key, v.voting_power] for v in validators.validators]]

    return [encoding.signed_header(block.signed_header), members(block.validators), members(block.next_validators)]


def _block(value: Any) -> LightBlock:
    signed, own, following = value

    def members(item: Any) -> ValidatorSet:
        place, pairs = item
        validators = tuple(Validator.from_key(key, power) for key, power in pairs)
        return ValidatorSet(validators, validators[place])

    return LightBlock(
        decoding.signed_header(decoding.parse(wire.SignedHeader, signed)), members(own), members(following)
    )
