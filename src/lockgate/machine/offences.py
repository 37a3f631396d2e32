"""Validators that were caught: what consensus reports of them, recorded for good, and their seat lost by rule.

CometBFT verifies evidence before it stands in a block (two votes of one validator for one height and round, or a
header that validators signed for a light client beside the ledger's own); the machine is told who, when, and with
how much power. The record names the key, stands under the ledger's root, and is never deleted: a key that was
caught signs no block of this ledger again. Nobody decides about it, and no bound on changes holds it up.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockgate.machine import keys, validators
from lockgate.machine.context import Context
from lockgate.machine.records import Record
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixNanos

MISBEHAVED: Final = "validator_misbehaved"
TOMBSTONED: Final = "validator_tombstoned"


class Offence(enum.IntEnum):
    """What a validator did. Source: ABCI 2.0, MisbehaviorType."""

    DUPLICATE_VOTE = 1
    LIGHT_CLIENT_ATTACK = 2

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """One validator's part in a piece of evidence that stands in a block, as the engine reports it.

    `validator` is its address, `power` and `total_power` are those of `height`, where it happened; `time` is
    that height's.
    """

    kind: Offence
    validator: bytes
    power: int
    height: int
    time: UnixNanos
    total_power: int


@dataclass(frozen=True, slots=True)
class OffenceRecord(Record):
    """The first offence of a validator. `recorded_at` is the height of the block that held the evidence."""

    kind: Offence
    public_key: bytes
    power: int
    total_power: int
    height: int
    time: UnixNanos
    recorded_at: int

    @classmethod
    def _convert(cls, values: list[Any]) -> list[Any]:
        return [Offence(values[0]), *values[1:]]


def record(view: View, context: Context, reported: Sequence[Misbehaviour]) -> Outcome:
    """Record each offence and take the offenders out of the set that is decided in this block.

    Where nobody else would be left they stay: a ledger without validators could not even be governed.
    """
    genesis, height = context.genesis, context.block.height.height
    outcome = Outcome()
    caught: dict[bytes, bytes] = {}  # address to key
    for each in reported:
        emit = outcome.emit
        emit(
            MISBEHAVED,
            ("validator", each.validator.hex()),
            ("kind", each.kind.words),
            ("height", str(each.height)),
            ("power", str(each.power)),
            ("total_power", str(each.total_power)),
        )
        signed = validators.signing(view, genesis, min(each.height, height)).members
        key = next((key for key, _ in signed if validators.address(key) == each.validator), None)
        if key is None or each.validator in caught or validators.tombstoned(view, key):
            continue
        caught[each.validator] = key
        entry = OffenceRecord(each.kind, key, each.power, each.total_power, each.height, each.time, height)
        outcome.set(keys.GOVERNANCE, keys.offence(each.validator), entry.to_bytes())
    members = dict(validators.newest(view, genesis).members)
    left = {key: power for key, power in members.items() if key not in caught.values()}
    for address, key in caught.items():
        outcome.emit(TOMBSTONED, ("validator", address.hex()), ("removed", str(bool(left) and key in members).lower()))
    if left and left != members:
        outcome.then(validators.decide(height, left))
    return outcome


__all__ = ("MISBEHAVED", "TOMBSTONED", "Misbehaviour", "Offence", "OffenceRecord", "record")
