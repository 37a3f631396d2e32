"""Suites are data: one frozen record and one number each, chosen by value (STYLE "Agility by value").

A record on a ledger, a key and a message name a suite by its id. Which ids are allowed, in which
order and at which heights, is an argument: a `SuiteList`, made of genesis and governance records.
Ids are never reused. 1–15 are signature suites, 16–31 seal suites.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from lockgate.crypto import hpke
from lockgate.crypto.aead import Aead
from lockgate.crypto.dhkem import DHKEM_X25519
from lockgate.crypto.errors import DowngradeRefused, NoCommonSuite, SuiteNotAllowed, UnknownSuite
from lockgate.crypto.families import Families, of_kem, of_signatures
from lockgate.crypto.hpke import HpkeSuite
from lockgate.crypto.kdf import HKDF_SHA256
from lockgate.crypto.ports import Kem
from lockgate.crypto.signatures import ED25519, ES256, ML_DSA_65, SignatureAlgorithm
from lockgate.crypto.xwing import MLKEM768_P256, XWING
from lockgate.primitives.errors import Misuse


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureSuite:
    """One algorithm, or two of which both must hold. Parts of keys and signatures keep this order."""

    id: int
    name: str
    algorithms: tuple[SignatureAlgorithm, ...]
    post_quantum: bool

    @property
    def signature_bytes(self) -> int:
        return sum(algorithm.signature_bytes for algorithm in self.algorithms)

    @property
    def families(self) -> Families:
        """All of them must break before it is forged."""
        return of_signatures(self.algorithms)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealSuite:
    """An HPKE suite under a number of ours."""

    id: int
    name: str
    hpke: HpkeSuite
    post_quantum: bool

    @property
    def kem(self) -> Kem:
        return self.hpke.kem

    @property
    def aead(self) -> Aead:
        aead = self.hpke.aead
        assert aead is not None  # no seal suite is export-only
        return aead

    @property
    def families(self) -> Families:
        """All of them must break before it is opened."""
        return of_kem(self.kem)


Suite = SignatureSuite | SealSuite
S = TypeVar("S")

SIGN_ED25519: Final = SignatureSuite(id=1, name="Ed25519", algorithms=(ED25519,), post_quantum=False)
SIGN_ED25519_MLDSA65: Final = SignatureSuite(
    id=2, name="Ed25519+ML-DSA-65", algorithms=(ED25519, ML_DSA_65), post_quantum=True
)
SIGN_P256_MLDSA65: Final = SignatureSuite(  # TPMs have no Ed25519 (P22)
    id=3, name="P-256+ML-DSA-65", algorithms=(ES256, ML_DSA_65), post_quantum=True
)
SEAL_X25519: Final = SealSuite(  # deterministic given its ephemeral key: the lab's default (I13)
    id=16,
    name="X25519+ChaCha20-Poly1305",
    hpke=HpkeSuite(DHKEM_X25519, HKDF_SHA256, 0x0003),
    post_quantum=False,
)
SEAL_XWING_AES: Final = SealSuite(
    id=17, name="X-Wing+AES-256-GCM", hpke=HpkeSuite(XWING, HKDF_SHA256, 0x0002), post_quantum=True
)
SEAL_XWING_CHACHA: Final = SealSuite(
    id=18, name="X-Wing+ChaCha20-Poly1305", hpke=HpkeSuite(XWING, HKDF_SHA256, 0x0003), post_quantum=True
)
SEAL_P256_AES: Final = SealSuite(  # for devices without X25519, TPMs among them (P22)
    id=19, name="ML-KEM-768+P-256+AES-256-GCM", hpke=HpkeSuite(MLKEM768_P256, HKDF_SHA256, 0x0002), post_quantum=True
)

SIGNATURE_SUITES: Final = {s.id: s for s in (SIGN_ED25519, SIGN_ED25519_MLDSA65, SIGN_P256_MLDSA65)}
SEAL_SUITES: Final = {s.id: s for s in (SEAL_X25519, SEAL_XWING_AES, SEAL_XWING_CHACHA, SEAL_P256_AES)}
SUITES: Final[dict[int, Suite]] = {**SIGNATURE_SUITES, **SEAL_SUITES}
assert all(suite.hpke.aead_id in hpke.AEADS for suite in SEAL_SUITES.values())


def signature_suite(suite_id: int) -> SignatureSuite:
    """Raises UnknownSuite, also for the id of a seal suite or a value that is no integer."""
    return _look_up(SIGNATURE_SUITES, suite_id)


def seal_suite(suite_id: int) -> SealSuite:
    """Raises UnknownSuite, also for the id of a signature suite or a value that is no integer."""
    return _look_up(SEAL_SUITES, suite_id)


@dataclass(frozen=True, slots=True)
class Allowance:
    """A suite allowed at heights `from_height` <= h < `sunset_height`."""

    suite: int
    from_height: int = 0
    sunset_height: int | None = None

    def holds_at(self, height: int) -> bool:
        return self.from_height <= height and (self.sunset_height is None or height < self.sunset_height)


@dataclass(frozen=True, slots=True)
class SuiteList:
    """Suites of one kind in order of preference, best first, each with its heights."""

    entries: tuple[Allowance, ...]

    def __post_init__(self) -> None:
        ids = [entry.suite for entry in self.entries]
        kinds = {type(_look_up(SUITES, suite_id)) for suite_id in ids}
        if len(set(ids)) != len(ids) or len(kinds) != 1:
            raise Misuse("a suite list names different suites of one kind", suites=ids)
        if any(e.sunset_height is not None and e.sunset_height <= e.from_height for e in self.entries):
            raise Misuse("a suite's sunset comes after its activation", suites=ids)

    def allowed(self, height: int) -> tuple[int, ...]:
        """The ids allowed at `height`, in order of preference."""
        return tuple(entry.suite for entry in self.entries if entry.holds_at(height))

    def require(self, suite_id: int, height: int) -> None:
        """Raise SuiteNotAllowed unless the suite is on the list and active at `height`."""
        if suite_id not in self.allowed(height):
            raise SuiteNotAllowed(suite=suite_id, height=height)

    def choose(self, offered: Collection[int], height: int) -> int:
        """The most preferred suite that the peer offers too. Raises NoCommonSuite."""
        for suite_id in self.allowed(height):
            if suite_id in offered:
                return suite_id
        raise NoCommonSuite(height=height, ours=self.allowed(height), offered=sorted(offered))

    def refuse_downgrade(self, used: int, offered: Collection[int], height: int) -> None:
        """Raise unless `used` is what `choose` gives for the peer's authenticated offer.

        `offered` must come from where an attacker cannot shorten it: the peer's key record, proven,
        not the message under judgement. Raises SuiteNotAllowed, NoCommonSuite, DowngradeRefused.
        """
        self.require(used, height)
        best = self.choose(offered, height)
        if used != best:
            raise DowngradeRefused(used=used, best=best, height=height)


def refuse_mixed(suite_ids: Iterable[int]) -> None:
    """Raise DowngradeRefused if classical and post-quantum recipients stand beside each other.

    One classical recipient opens the body to whoever breaks the classical KEM, for all of them.
    """
    ids = sorted(suite_ids)
    if len({_look_up(SUITES, suite_id).post_quantum for suite_id in ids}) > 1:
        raise DowngradeRefused("classical and post-quantum recipients in one message", suites=ids)


def _look_up(table: dict[int, S], suite_id: int) -> S:
    suite = table.get(suite_id) if type(suite_id) is int else None
    if suite is None:
        raise UnknownSuite(suite=suite_id)
    return suite


DEFAULT_IDENTITY: Final = SuiteList((Allowance(SIGN_ED25519_MLDSA65.id), Allowance(SIGN_P256_MLDSA65.id)))
DEFAULT_SEAL: Final = SuiteList(
    (Allowance(SEAL_XWING_AES.id), Allowance(SEAL_XWING_CHACHA.id), Allowance(SEAL_P256_AES.id))
)
LAB_IDENTITY: Final = SuiteList((Allowance(SIGN_ED25519.id),))
LAB_SEAL: Final = SuiteList((Allowance(SEAL_X25519.id),))

__all__ = (
    "DEFAULT_IDENTITY",
    "DEFAULT_SEAL",
    "LAB_IDENTITY",
    "LAB_SEAL",
    "SEAL_P256_AES",
    "SEAL_SUITES",
    "SEAL_X25519",
    "SEAL_XWING_AES",
    "SEAL_XWING_CHACHA",
    "SIGNATURE_SUITES",
    "SIGN_ED25519",
    "SIGN_ED25519_MLDSA65",
    "SIGN_P256_MLDSA65",
    "SUITES",
    "Allowance",
    "SealSuite",
    "SignatureSuite",
    "Suite",
    "SuiteList",
    "refuse_mixed",
    "seal_suite",
    "signature_suite",
)
