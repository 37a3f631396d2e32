"""Who attests: keys with weights, operators and data sources, and which sets a client may rest on.

A quorum is a weight. What protects a client is how many *parties* must collude to reach it, so operators
and the places they read the ledger from are part of the set, and a set is refused unless every quorum
holds more than half of the weight and of the operators, and no data source alone reaches it. So two
quorums always share an operator, and no strict minority of operators can make an attestation.
Sources: P10, P21; incidents B1-B5, C3.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.crypto.keys import IdentityKey
from lockgate.lightclients.attested.errors import RotationRefused, SignersRefused
from lockgate.lightclients.forms import items
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.time import DurationNanos, UnixNanos, seconds

MAX_SIGNERS: Final = 32  # classical; about 15 hybrid ones fill the 32 KiB of a client state
MAX_SET_BYTES: Final = 32_000  # of the 32,768 of a stored client state; its other fields take less than 200
MAX_WEIGHT: Final = 1 << 32  # of one signer: sums and their products stay far below 128 bits
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9 ._:/-]{0,62}[a-z0-9])?")  # of an operator or a data source
MAX_DELEGATION: Final[DurationNanos] = seconds(400 * 86_400)  # a year and a month: nobody signs for ever (B1)
_LABEL: Final = b"lockgate/signer-set/1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One key that attests. `operator` runs it, `source` is where it reads the ledger."""

    key: IdentityKey
    weight: int
    operator: str
    source: str
    until: UnixNanos  # from then on it signs for nobody: delegations lapse by themselves (B1)


@dataclass(frozen=True, kw_only=True)  # no slots: what follows from the fields is computed once
class SignerSet:
    """A signer set under its epoch; signers ascend by key hash."""

    epoch: int
    threshold: int  # weight that makes a quorum
    signers: tuple[Signer, ...]

    @cached_property
    def total(self) -> int:
        return sum(signer.weight for signer in self.signers)

    @cached_property
    def by_hash(self) -> dict[bytes, Signer]:
        return {signer.key.hash: signer for signer in self.signers}

    @cached_property
    def hash(self) -> bytes:
        """What signatures bind: epoch, threshold, and every signer with all it is."""
        return hashlib.sha256(_LABEL + cbor.encode(self.to_value())).digest()

    @property
    def operators(self) -> Counter[str]:
        """Weight by operator."""
        return _weights((signer.operator, signer.weight) for signer in self.signers)

    @property
    def sources(self) -> Counter[str]:
        """Weight by data source."""
        return _weights((signer.source, signer.weight) for signer in self.signers)

    @property
    def operators_needed(self) -> int:
        """The fewest operators that reach the threshold together."""
        return _fewest(self.operators, self.threshold)

    @property
    def sources_needed(self) -> int:
        return _fewest(self.sources, self.threshold)

    @property
    def post_quantum(self) -> bool:
        return all(signer.key.signature_suite.post_quantum for signer in self.signers)

    def to_value(self) -> list[Any]:
        """The array of `signer-set` in the CDDL."""
        return [self.epoch, self.threshold, [_signer_value(signer) for signer in self.signers]]


def read_set(value: Any) -> SignerSet:
    """Read a signer set's array. Raises MalformedState; `check_set` judges what it says."""
    epoch, threshold, listed = items(value, int, int, tuple)
    return SignerSet(epoch=epoch, threshold=threshold, signers=tuple(map(_read_signer, listed)))


def check_set(signers: SignerSet, now: UnixNanos) -> None:
    """Raise SignersRefused unless a client may rest on this set at ledger time `now`."""
    if signers.epoch < 1 or not 0 < len(signers.signers) <= MAX_SIGNERS:
        raise SignersRefused("epoch or count", epoch=signers.epoch, count=len(signers.signers), most=MAX_SIGNERS)
    size = len(cbor.encode(signers.to_value()))
    if size > MAX_SET_BYTES:
        raise SignersRefused("too large to be stored in a client state", size=size, most=MAX_SET_BYTES)
    names = [signer.key.hash for signer in signers.signers]
    if any(one >= other for one, other in pairwise(names)):
        raise SignersRefused("signers ascend by key hash, each once")
    parts = [part for signer in signers.signers for part in signer.key.parts]
    if len(set(parts)) != len(parts):
        raise SignersRefused("two signers share a key")
    for signer in signers.signers:
        _check_signer(signer, now)
    if not signers.total < 2 * signers.threshold <= 2 * signers.total:
        raise SignersRefused(
            "a quorum is more than half of the weight", threshold=signers.threshold, total=signers.total
        )
    operators = len(signers.operators)
    if operators < 2 or not operators < 2 * signers.operators_needed:
        raise SignersRefused(
            "a quorum is more than half of the operators", operators=operators, enough=signers.operators_needed
        )
    if signers.sources_needed < 2:
        raise SignersRefused("one data source reaches the threshold", sources=len(signers.sources))


def check_not_lower(old: SignerSet, new: SignerSet) -> None:
    """Raise RotationRefused where `new` would require less than `old` in any respect."""
    lowered = [
        name
        for name, falls in (
            ("threshold", new.threshold < old.threshold),
            ("share", new.threshold * old.total < old.threshold * new.total),
            ("operators", len(new.operators) < len(old.operators)),
            ("operators needed", new.operators_needed < old.operators_needed),
            ("sources needed", new.sources_needed < old.sources_needed),
            ("post-quantum", old.post_quantum and not new.post_quantum),
        )
        if falls
    ]
    if lowered:
        raise RotationRefused("what is required never falls", lowered=", ".join(lowered))


def _check_signer(signer: Signer, now: UnixNanos) -> None:
    if not 0 < signer.weight <= MAX_WEIGHT:
        raise SignersRefused("weight", weight=signer.weight, most=MAX_WEIGHT)
    for name in (signer.operator, signer.source):
        # Names that look alike would let one party pass for two.
        if not _NAME.fullmatch(name):
            raise SignersRefused("a name is 1 to 64 of a-z, 0-9, and blank . _ : / - within", name=name)
    if not now < signer.until <= now + MAX_DELEGATION:
        raise SignersRefused("a delegation ends later than now, and within 400 days", until=signer.until)


def _read_signer(value: Any) -> Signer:
    key, weight, operator, source, until = items(value, tuple, int, str, str, int)
    suite, *parts = key or (0,)
    try:
        identity = IdentityKey(suite, tuple(parts))
    except (PeerFault, Refused, TypeError) as failure:
        raise SignersRefused("a key is not one of its suite", suite=suite) from failure
    return Signer(key=identity, weight=weight, operator=operator, source=source, until=UnixNanos(until))


def _signer_value(signer: Signer) -> list[Any]:
    key = [signer.key.suite, *signer.key.parts]
    return [key, signer.weight, signer.operator, signer.source, int(signer.until)]


def _weights(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, weight in pairs:
        found[name] += weight
    return found


def _fewest(weights: Counter[str], threshold: int) -> int:
    """How many of the heaviest reach the threshold; one more than there are when all together do not."""
    reached = 0
    for count, (_, weight) in enumerate(weights.most_common(), start=1):
        reached += weight
        if reached >= threshold:
            return count
    return len(weights) + 1


__all__ = ("MAX_DELEGATION", "MAX_SIGNERS", "Signer", "SignerSet", "check_not_lower", "check_set", "read_set")
