"""Verifying a bundle offline, and saying what it proves: never more than is true (P10)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.hosting.reader import SPECS
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.packet import SENTINEL, Packet
from lockgate.ibc.receiving import RECEIPT
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.rfc3339 import format_time
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.cometbft.verification import TrustOptions
from lockgate.lightclients.follower import Accepted, Anchor, Follower
from lockgate.machine import keys
from lockgate.machine.pruning import watermark_key
from lockgate.machine.records import Entry, Lane, Reason, StateDamaged
from lockgate.merkle import ics23
from lockgate.node.bundle import CONTENTS, BadBundle, Bundle, Item, Kind, Name, Section, Side
from lockgate.node.packets import trace_id
from lockgate.node.signed import signed_by
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ChainId, DomainId, Hash32
from lockgate.primitives.time import floor_seconds, seconds

FOREVER: Final = seconds(100 * 365 * 86_400)  # an old bundle stays evidence; expiry is for live clients
SHOWN: Final = 16  # hex digits of a hash in a sentence


class UntrustedStart(PeerFault):
    code = "bundle.untrusted_start"
    summary = "The bundle starts from another header than the one given as trusted."
    untouched = "Nothing was believed from it."
    next_step = "Check the trusted header hash with the ledger's publisher."


class BadTrust(Refused):
    code = "bundle.bad_trust"
    summary = "A header hash given as trusted is not 32 bytes in hex."
    next_step = (
        "Give the hash as its publisher shows it: 64 hex digits; `lockgate ledger list` shows those of this folder."
    )


@dataclass(frozen=True, slots=True)
class Witness:
    """One ledger of a bundle: what stands behind its statements."""

    side: str
    chain_id: str
    domain: str
    ledger_class: str
    trusted_height: int
    trusted_hash: str
    height: int  # the state that the proofs are of; the header after it carries its root
    header_hash: str
    time: str
    signers: tuple[str, ...]
    signed: str

    def words(self) -> str:
        return f"ledger {self.chain_id} ({self.signed} at height {self.height}, {self.time})"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a verified bundle proves. `trust_given` says whether its first headers were compared with known ones."""

    kind: str
    source_domain: str
    destination_domain: str
    source_client: str
    destination_client: str
    sequence: int
    trace_id: str
    packet_commitment: str
    timeout: int
    deadline: int  # of the answer, nanoseconds; 0 where the kind proves none
    code: str  # of the refusal; empty where there is none
    trust_given: bool
    ledgers: tuple[Witness, ...]

    @property
    def accepted(self) -> bool:
        return self.kind == Kind.ACKNOWLEDGED

    def sentence(self) -> str:
        """The proof in words."""
        packet = f"packet {self.source_client}/{self.sequence} of domain {self.source_domain[:SHOWN]}…"
        one, other = self.ledgers[0].words(), self.ledgers[-1].words()
        said = {
            Kind.SENT: f"{one} has sent {packet} and waits for its end.",
            Kind.RECEIVED: f"{one} has received {packet} and holds it for its endpoint.",
            Kind.ACKNOWLEDGED: f"{one} accepted and answered {packet}.",
            Kind.REFUSED: f"{one} refused {packet}; the recorded reason is {self.code}.",
            Kind.TIMED_OUT: f"{one} has sent {packet}; {other}, past the timeout, has not received it and never can.",
        }[Kind(self.kind)]
        starts = " and ".join(f"{w.trusted_hash[:SHOWN]}… of {w.chain_id}" for w in self.ledgers)
        trust = (
            f"Trust starts from header {starts}, as given."
            if self.trust_given
            else f"Trust starts from header {starts}, which nobody compared: ask the ledger's publisher (--trust)."
        )
        return f"{said[0].upper()}{said[1:]} {trust}"


def verify(data: bytes, trusted: Collection[bytes] | None = None) -> Finding:
    """Verify a bundle. `trusted` are hashes of first headers, from elsewhere (P11).

    Raises BadBundle, UntrustedStart, or what a header or proof violates.
    """
    try:
        return _verified(Bundle.from_bytes(data), trusted)
    except (StateDamaged, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadBundle("a record of the bundle does not read") from error


def _verified(bundle: Bundle, trusted: Collection[bytes] | None) -> Finding:
    packet = wire.read_packet(bundle.packet)
    commitment = bytes(commit_packet(packet))
    checks: list[_Check] = []
    for section, (side, names) in zip(bundle.sections, CONTENTS[bundle.kind], strict=True):
        first, last = section.headers[0], section.headers[-1]
        start = header_hash(first.header)
        if trusted is not None and start not in trusted:
            raise UntrustedStart("another first header", chain=first.header.chain_id, found=start)
        check = _Check(bundle, packet, commitment, section, last.header.app_hash, side)
        for name in names:  # what costs nothing first: a claim that its own bytes contradict needs no proof
            check.says(name)
        checks.append(check)
    _same_lane(checks)
    for check in checks:
        _follow(check.section.headers)
        for name in check.section.items:
            check.proven(name)
    side, lane = checks[0].side, checks[0].lane
    source = lane.local_domain if side is Side.SOURCE else lane.remote_domain
    destination = lane.remote_domain if side is Side.SOURCE else lane.local_domain
    if bundle.kind is Kind.TIMED_OUT and floor_seconds(bundle.sections[1].headers[-1].header.time) < packet.timeout:
        raise BadBundle("the header that shows no receipt is before the timeout", timeout=packet.timeout)
    return Finding(
        kind=bundle.kind.value,
        source_domain=source.hex(),
        destination_domain=destination.hex(),
        source_client=packet.source_client,
        destination_client=packet.destination_client,
        sequence=packet.sequence,
        trace_id=trace_id(source, packet.source_client, packet.sequence).hex(),
        packet_commitment=commitment.hex(),
        timeout=packet.timeout,
        deadline=_entry(bundle).deadline if bundle.kind is Kind.RECEIVED else 0,
        code=Reason.from_bytes(bundle.sections[0].items[Name.REASON].value).code_text
        if bundle.kind is Kind.REFUSED
        else "",
        trust_given=trusted is not None,
        ledgers=tuple(map(_witness, checks)),
    )


def header_hashes(texts: Collection[str]) -> list[bytes] | None:
    """Hashes given as trusted, from hex; None when there are none. Raises BadTrust."""
    found = []
    for text in texts:
        try:
            found.append(bytes.fromhex(text))
        except ValueError:
            found.append(b"")
        if len(found[-1]) != 32 or len(text) != 64:
            raise BadTrust("not a header hash", given=text[:80])
    return found or None


def location(name: Name, side: Side, packet: Packet, lane_id: bytes) -> tuple[str, bytes]:
    """Store and key under which an object of a packet stands on the ledger of `side`."""
    client = packet.source_client if side is Side.SOURCE else packet.destination_client
    sequence = packet.sequence
    return {
        Name.DOMAIN: (keys.RULES, keys.RULES_DOMAIN),
        Name.LANE: (keys.LANE, keys.lane(lane_id)),
        Name.COMMITMENT: (keys.IBC, host.packet_commitment(client, sequence)),
        Name.RECEIPT: (keys.IBC, host.packet_receipt(client, sequence)),
        Name.ENTRY: (keys.INBOX, keys.entry(client, sequence)),
        Name.ACKNOWLEDGEMENT: (keys.IBC, host.packet_acknowledgement(client, sequence)),
        Name.REASON: (keys.REASON, keys.reason(client, sequence)),
        Name.WATERMARK: (keys.LANE, watermark_key(client)),
    }[name]


class _Check:
    """Verifies the objects of one section: the proof of each, and that it says what the kind claims."""

    def __init__(
        self, bundle: Bundle, packet: Packet, commitment: bytes, section: Section, root: bytes, side: Side
    ) -> None:
        self.bundle = bundle
        self.packet = packet
        self.commitment = commitment
        self.section = section
        self.root = root
        self.side = side
        self.lane = _lane(section, side, packet)
        self.domain = _domain(section)

    def says(self, name: Name) -> None:
        if not self._says(name, self.section.items[name].value):
            raise BadBundle("an object does not say what the bundle claims", name=name.value)

    def proven(self, name: Name) -> None:
        item = self.section.items[name]
        store, key = location(name, self.side, self.packet, self.lane.lane_id)
        _canonical(item)
        if item.value:
            ics23.verify_membership(SPECS, self.root, (store.encode(), key), item.value, item.proof)
        else:
            ics23.verify_non_membership(SPECS, self.root, (store.encode(), key), item.proof)

    def _says(self, name: Name, value: bytes) -> bool:
        match name:
            case Name.DOMAIN:
                domain_id, chain_id, _ = self.domain
                return domain_id == self.lane.local_domain and chain_id == self.section.headers[-1].header.chain_id
            case Name.LANE:
                return True  # read and compared before anything was looked up by it
            case Name.COMMITMENT:
                return value == self.commitment
            case Name.RECEIPT:
                return value == (b"" if self.bundle.kind is Kind.TIMED_OUT else RECEIPT)
            case Name.ENTRY:
                return Entry.from_bytes(value).commitment == self.commitment
            case Name.ACKNOWLEDGEMENT:
                return self._answered(value)
            case Name.REASON:
                return Reason.from_bytes(value).commitment == self.commitment
            case Name.WATERMARK:
                # A receipt that was forgotten by proof is absent too; the watermark tells the two apart.
                return int.from_bytes(value, "big") < self.packet.sequence

    def _answered(self, value: bytes) -> bool:
        acknowledgement = wire.read_acknowledgement(self.bundle.acknowledgement)
        if not acknowledgement.elements or value != commit_acknowledgement(acknowledgement):
            return False
        if self.bundle.kind is Kind.REFUSED:
            return acknowledgement.elements == (SENTINEL,)
        return acknowledgement.success and acknowledgement.elements[0].startswith(self.commitment)


def _canonical(item: Item) -> None:
    """Two encodings of one proof would be two bundles with one meaning."""
    if ics23.parse_merkle_proof(item.proof).SerializeToString(deterministic=True) != item.proof:
        raise BadBundle("a proof has another encoding than its own")


def _domain(section: Section) -> tuple[DomainId, str, str]:
    value: Any = cbor.decode(section.items[Name.DOMAIN].value)
    match value:
        case (bytes(domain_id), str(chain_id), str(ledger_class)) if len(domain_id) == 32:
            return DomainId(Hash32(domain_id)), chain_id, ledger_class
    raise BadBundle("the ledger's statement of its domain does not read")


def _lane(section: Section, side: Side, packet: Packet) -> Lane:
    """The lane record, whose clients must be the packet's: it names the domain at its other end (P9)."""
    lane = Lane.from_bytes(section.items[Name.LANE].value)
    ours, theirs = packet.source_client, packet.destination_client
    if side is Side.DESTINATION:
        ours, theirs = theirs, ours
    if (lane.local_client, lane.remote_client) != (ours, theirs) or type(lane.lane_id) is not bytes:
        raise BadBundle("the lane is another than the packet's")
    return lane


def _same_lane(checks: list[_Check]) -> None:
    one, other = checks[0].lane, checks[-1].lane
    if one.lane_id != other.lane_id or (len(checks) == 2 and one.local_domain != other.remote_domain):
        raise BadBundle("the two ledgers speak of two lanes")


def _entry(bundle: Bundle) -> Entry:
    return Entry.from_bytes(bundle.sections[0].items[Name.ENTRY].value)


def _witness(check: _Check) -> Witness:
    first, last = check.section.headers[0], check.section.headers[-1]
    domain_id, chain_id, ledger_class = check.domain
    signed = signed_by(last.signed_header, last.validators)
    return Witness(
        side=check.side.value,
        chain_id=chain_id,
        domain=domain_id.hex(),
        ledger_class=ledger_class,
        trusted_height=first.height,
        trusted_hash=header_hash(first.header).hex(),
        height=last.height - 1,
        header_hash=header_hash(last.header).hex(),
        time=format_time(last.header.time),
        signers=signed.signers,
        signed=signed.words,
    )


def _follow(headers: tuple[LightBlock, ...]) -> None:
    """Verify each header from the ones before."""
    first = headers[0].header
    anchor = Anchor(
        domain=DomainId(Hash32(bytes(32))),
        chain_id=ChainId(first.chain_id),
        height=first.height,
        header_hash=Hash32(header_hash(first)),
    )
    follower = Follower(anchor, TrustOptions(trusting_period=FOREVER))
    height = 0
    for block in headers:
        if block.height <= height:
            raise BadBundle("headers rise", height=block.height)
        height = block.height
        result = follower.feed(block, block.header.time)
        if not isinstance(result, Accepted):
            raise BadBundle("a header does not verify from the one before", height=block.height)


__all__ = ("BadTrust", "Finding", "UntrustedStart", "Witness", "header_hashes", "location", "verify")
