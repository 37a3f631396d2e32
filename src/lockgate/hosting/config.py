"""What a host is told at its start: whose ledgers to follow from which fingerprints, and whom it talks to."""

from __future__ import annotations

from dataclasses import dataclass, field

from lockgate.lightclients.cometbft.verification import TrustOptions
from lockgate.lightclients.follower import Anchor, Follower
from lockgate.primitives.ids import ChainId, DomainId, Hash32
from lockgate.primitives.time import seconds
from lockgate.relay.pairing import DRIFT

TRUSTING_S = 14 * 86_400
ARCHIVE_S = 3_600  # as long as a message in a session may be under way: theft of a disk opens no more than that (P18)
BULK_BYTES = 4 << 30  # a lane of the default grace could not carry more than that in time


@dataclass(frozen=True, slots=True)
class LedgerRef:
    """A ledger, the fingerprint trust in it starts from (P11), and which of its rules are accepted (P16)."""

    name: str
    chain_id: str
    domain: str  # hex
    height: int
    header_hash: str  # hex
    rules: tuple[str, ...] = ()  # accepted digests of its rules, hex; a host needs one at least
    sources: tuple[str, ...] = ()  # addresses of nodes it is read through, beside the folder's own
    required: int = 0  # how many of all nodes must agree; 0: two where there are several

    def follower(self) -> Follower:
        anchor = Anchor(
            domain=DomainId(Hash32(bytes.fromhex(self.domain))),
            chain_id=ChainId(self.chain_id),
            height=self.height,
            header_hash=Hash32(bytes.fromhex(self.header_hash)),
        )
        # The drift that the ledgers' own clients bear: where a host bore less, a lane would go on and the host stand.
        return Follower(anchor, TrustOptions(trusting_period=seconds(TRUSTING_S), clock_drift=DRIFT))


@dataclass(frozen=True, slots=True)
class PeerRef:
    """An endpoint on the other ledger and the lane to it."""

    endpoint: str  # hex
    ledger: str  # name of the ledger it is registered on
    lane: str  # hex
    local_client: str
    remote_client: str
    blobs: tuple[str, ...] = ()  # addresses where its bulk bodies are fetched, best first


@dataclass(frozen=True, slots=True)
class EpochLimits:
    """After which use a session's keys come of a fresh exchange (P18)."""

    messages: int = 1 << 16
    size: int = 1 << 30  # bytes of bodies
    age_s: int = 3_600  # of the own ledger's time


@dataclass(frozen=True, slots=True)
class HostConfig:
    """Everything a host process needs beside its keys."""

    name: str
    guest: str  # name of a shipped guest or path of a component
    endpoint: str  # hex
    records: tuple[str, ...]  # this endpoint's signed key records, hex, from the inception record on
    local: LedgerRef
    remotes: tuple[LedgerRef, ...] = ()
    peers: dict[str, PeerRef] = field(default_factory=dict)  # by alias
    blobs: tuple[str, ...] = ()  # addresses where this host serves its own; none: a socket in its folder
    bulk_bytes: int = BULK_BYTES  # the longest bulk body it sends or takes
    bulk_total: int = 4 * BULK_BYTES  # of received bodies together
    sessions: bool = True  # messages travel in sessions (P18), or else under long-term keys; both hosts agree
    epochs: EpochLimits = field(default_factory=EpochLimits)
    archive_s: int | None = ARCHIVE_S  # how long bodies of messages that have ended are kept; None: for good, plain
    max_gas_price: int = 0  # what it pays for a unit of gas at most, whatever its ledger's node says
