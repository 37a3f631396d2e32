"""The genesis document of a ledger: who signs it, what it permits, and so what its name is.

The domain id is the hash of this document (P9): two ledgers with one id have one genesis, and a
fork under the same keys keeps the id, which is what makes its two histories comparable (P20).
Source: `cddl/genesis.1.0.cddl`; P9, P10, P16; I4.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.crypto.keys import IdentityKey
from lockgate.machine.errors import BadGenesis
from lockgate.machine.suite_table import DEFAULT, SuiteTable
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import MAX_CHAIN_ID, ChainId, DomainId, Hash32, revision_number
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos, seconds

DOMAIN_LABEL: Final = b"lockgate/domain/1"
FORMAT: Final = 1
MAX_VALIDATORS: Final = 10_000  # CometBFT's own bound on a validator set
MAX_GENESIS_ACCOUNTS: Final = 8_000  # with all validators the document is what one decoding takes: 1 MiB, 65,536 items
MAX_AUTHORITIES: Final = 16  # a few people and their spares; each adds 2 KB to the document
BFT_VALIDATORS: Final = 4  # the fewest that stand one liar: 3f + 1 for f = 1
MAX_TOTAL_POWER: Final = ((1 << 63) - 1) // 8  # CometBFT types/validator_set.go
MAX_DEVIATION_NS: Final = seconds(366 * 24 * 3600)  # longer than any client's trusting period
# Came when documents were in use: one that has the default leaves it out, so that its domain id stays (P9).
ADDED: Final = frozenset(
    {
        "deviation_slow_at",
        "deviation_quarantine_at",
        "deviation_freeze_at",
        "deviation_window_ns",
        "deviation_slowed_ns",
        "deviation_quarantined_ns",
        "deviation_clean_ns",
        "deviation_slowed_room",
        "header_trail",
    }
)


class LedgerClass(enum.StrEnum):
    """What a header of this ledger proves (P10)."""

    OPERATED = "operated"
    WITNESSED = "witnessed"
    BFT = "bft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Limits the rules of a ledger fix. Durations in nanoseconds, sizes in bytes, prices per gas."""

    max_tx_bytes: int = 1_048_576  # CometBFT's mempool default; a larger one cannot reach a cluster
    max_block_bytes: int = 22_020_096  # CometBFT's default consensus parameter
    max_tx_gas: int = 50_000_000  # about 1,000 packets in one transaction
    max_messages: int = 1_024  # bounds the loop of one transaction
    min_gas_price: int = 0
    max_payloads: int = 8  # own lanes (P2); foreign lanes carry one
    default_grace_ns: int = seconds(60)  # I6
    max_grace_ns: int = seconds(24 * 3600)
    sweep_per_block: int = 256  # expired entries settled at the start of one block (I6)
    inbox_per_grant: int = 256
    inbox_per_lane: int = 4_096
    inbox_total: int = 16_384
    inbox_reserved: int = 2  # slots of each grant that a full lane cannot take from it
    max_grants_per_endpoint: int = 1_024
    max_sends_per_answer: int = 64
    lane_max_packets: int = 4_096  # open over one lane; a lane may carry a lower cap of its own (P10)
    lane_max_bytes: int = 268_435_456  # 1,024 packets of the largest payload
    header_memory: int = 100_000  # own headers a lane opening may be compared with
    authority_delay_blocks: int = 10  # P16: announced actions wait this long
    account_admission_open: bool = True
    lane_admission_open: bool = True
    deviation_slow_at: int = 4  # deviations (S72): one may be a defect that somebody is mending
    deviation_quarantine_at: int = 16
    deviation_freeze_at: int = 3  # quarantines: time alone has not helped twice
    deviation_window_ns: int = seconds(3600)  # deviations are counted from the first one, for so long
    deviation_slowed_ns: int = seconds(600)
    deviation_quarantined_ns: int = seconds(3600)
    deviation_clean_ns: int = seconds(24 * 3600)  # without one, after which quarantines are forgotten: longest timeout
    deviation_slowed_room: int = 8  # entries that may wait over a slowed lane; grants keep their reserved slots
    header_trail: bool = False  # own headers are bound under the state root, so that a copy of them can be checked

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool):
                continue
            if not isinstance(value, int) or not 0 <= value < 1 << 63:
                raise BadGenesis("a parameter is out of range", parameter=item.name, value=value)
        if self.max_tx_bytes > self.max_block_bytes:
            raise BadGenesis("a transaction may not be larger than a block")
        if not 1 <= self.inbox_per_grant <= self.inbox_per_lane <= self.inbox_total:
            raise BadGenesis("inbox bounds must rise: grant, lane, total")
        if not self.lane_max_packets or not self.lane_max_bytes:
            raise BadGenesis("a lane's caps must be positive")
        if not 1 <= self.default_grace_ns <= self.max_grace_ns or not self.sweep_per_block:
            raise BadGenesis("the grace and the sweep must be positive")
        self._check_deviations()

    def _check_deviations(self) -> None:
        """Levels come one after the other, pass, and are forgotten later than they pass (S72)."""
        if not 1 <= self.deviation_slow_at <= self.deviation_quarantine_at:
            raise BadGenesis("a lane is slowed at the first deviation or later, and quarantined no earlier")
        if not self.deviation_freeze_at or not self.deviation_slowed_room:
            raise BadGenesis("a freeze takes a quarantine, and a slowed lane has room for an entry")
        passing = (self.deviation_window_ns, self.deviation_slowed_ns, self.deviation_quarantined_ns)
        if not 0 < min(passing) <= max(passing) < self.deviation_clean_ns <= MAX_DEVIATION_NS:
            # Nothing counts in a quarantine: what is forgotten when it ends could never add up to a freeze.
            raise BadGenesis("a deviation is remembered longer than what it brings about, and 366 days at most")

    def to_cbor(self) -> dict[str, Any]:
        """The map of a document, in which what was added later stands only where it is not the default."""
        values = [(item, getattr(self, item.name)) for item in fields(self)]
        return {item.name: value for item, value in values if item.name not in ADDED or value != item.default}

    def to_map(self) -> dict[str, Any]:
        """Every parameter by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_cbor(cls, value: Any) -> Self:
        if not isinstance(value, dict) or set(value) - {item.name for item in fields(cls)}:
            raise BadGenesis("unknown parameter")
        for item in fields(cls):
            if item.name in value and type(value[item.name]) is not type(item.default):
                raise BadGenesis("a parameter has the wrong type", parameter=item.name)
        return cls(**value)


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    """A validator's Ed25519 public key (32 bytes) and voting power."""

    public_key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """An account that exists from the first block: signature suite, public key, balance."""

    suite: int
    public_key: bytes
    balance: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """A ledger's genesis. `authority` lists the identities whose signed actions govern it (P16).

    Their keys sign nothing else: none is a validator's or a listed account's, or part of another authority.
    """

    chain_id: ChainId
    ledger_class: LedgerClass
    time: UnixNanos
    validators: tuple[GenesisValidator, ...]
    accounts: tuple[GenesisAccount, ...] = ()
    authority: tuple[IdentityKey, ...] = ()
    parameters: Parameters = Parameters()
    suites: SuiteTable = DEFAULT  # with which it begins (S61)

    def __post_init__(self) -> None:
        if not 0 < len(self.chain_id.encode()) <= MAX_CHAIN_ID or not self.chain_id.isprintable():
            raise BadGenesis("the chain id is 1 to 50 printable bytes", chain_id=self.chain_id)
        if revision_number(self.chain_id) == 0:
            raise BadGenesis("the chain id must end in -N, N >= 1: a restore needs the next N (P12)")
        if not NANOS_PER_SECOND <= self.time < 1 << 63:
            raise BadGenesis("the genesis time is out of range", time=self.time)
        if not 1 <= len(self.validators) <= MAX_VALIDATORS:
            raise BadGenesis("a ledger has 1 to 10,000 validators", count=len(self.validators))
        if any(type(v.public_key) is not bytes or len(v.public_key) != 32 or v.power < 1 for v in self.validators):
            raise BadGenesis("a validator has a 32-byte key and positive power")
        if len({v.public_key for v in self.validators}) != len(self.validators):
            raise BadGenesis("two validators share a key")
        if sum(v.power for v in self.validators) > MAX_TOTAL_POWER:
            raise BadGenesis("total voting power is 2^60 or more")
        if self.ledger_class is LedgerClass.BFT:
            if len(self.validators) < BFT_VALIDATORS:
                raise BadGenesis("class bft needs four validators or more (P10)", count=len(self.validators))
        elif len(self.validators) != 1:
            raise BadGenesis("one operator signs a ledger that is not bft (P10)", count=len(self.validators))
        if len(self.accounts) > MAX_GENESIS_ACCOUNTS:
            raise BadGenesis("too many genesis accounts", count=len(self.accounts))
        if len(self.authority) > MAX_AUTHORITIES:
            raise BadGenesis("too many authorities", count=len(self.authority))
        parts = self.authority_parts
        if len(parts) != sum(len(key.parts) for key in self.authority):
            raise BadGenesis("two authorities share a key")
        if not parts.isdisjoint(v.public_key for v in self.validators):
            raise BadGenesis("an authority's key signs no block: a validator has it (P16)")
        if not parts.isdisjoint(a.public_key for a in self.accounts):
            raise BadGenesis("an authority's key signs no transaction: an account has it (P16)")

    def to_bytes(self) -> bytes:
        """The document; the table of suites stands in it only where it is not the default."""
        suites = {} if self.suites == DEFAULT else {"suites": self.suites.to_value()}
        return cbor.encode(
            {
                **suites,
                "format": FORMAT,
                "chain_id": self.chain_id,
                "class": self.ledger_class.value,
                "time": self.time,
                "validators": [[v.public_key, v.power] for v in self.validators],
                "accounts": [[a.suite, a.public_key, a.balance] for a in self.accounts],
                "authority": [[key.suite, *key.parts] for key in self.authority],
                "parameters": self.parameters.to_cbor(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Decode a genesis document; every accepted byte string re-encodes to itself."""
        value: Any = cbor.decode(data)
        try:
            if value["format"] != FORMAT:
                raise BadGenesis("unknown genesis format", format=value["format"])
            genesis = cls(
                chain_id=ChainId(value["chain_id"]),
                ledger_class=LedgerClass(value["class"]),
                time=UnixNanos(value["time"]),
                validators=tuple(GenesisValidator(k, p) for k, p in value["validators"]),
                accounts=tuple(GenesisAccount(s, k, b) for s, k, b in value["accounts"]),
                authority=tuple(IdentityKey(suite, tuple(parts)) for suite, *parts in value["authority"]),
                parameters=Parameters.from_cbor(dict(value["parameters"])),
                suites=SuiteTable.from_value(value["suites"]) if "suites" in value else DEFAULT,
            )
        except BadGenesis:
            raise
        except LockgateError as error:
            raise BadGenesis("an authority is a suite and its public keys, and suites are known ones") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadGenesis("the document does not have the shape of genesis.1.0.cddl") from error
        if genesis.to_bytes() != data:
            raise BadGenesis("the document has fields this version does not know")
        return genesis

    @property
    def authority_parts(self) -> frozenset[bytes]:
        """Every public key of every authority, the halves of hybrid ones apart."""
        return frozenset(part for key in self.authority for part in key.parts)

    @property
    def domain_id(self) -> DomainId:
        return DomainId(Hash32(hashlib.sha256(DOMAIN_LABEL + self.to_bytes()).digest()))

    @property
    def revision(self) -> int:
        return revision_number(self.chain_id)
