"""Who signs this ledger's blocks, by height, and how the authority changes that (P10, P16).

The genesis lists the first validators. A set that is decided in block h signs from block h + 2 on and is
announced in the header of h + 1, as CometBFT has it. Each set stands in the state under the height it signs
from, so that every later state says who signed any block before. What the authority may change is bounded,
so that light clients can follow by skipping, and so that the ledger stays what its class says it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockgate.crypto.ed25519 import check_public_key
from lockgate.crypto.errors import BadKey
from lockgate.machine import keys
from lockgate.machine.context import Context
from lockgate.machine.errors import CODESPACE
from lockgate.machine.genesis import (
    BFT_VALIDATORS,
    MAX_TOTAL_POWER,
    MAX_VALIDATORS,
    Genesis,
    GenesisValidator,
    LedgerClass,
)
from lockgate.machine.records import Record
from lockgate.primitives.errors import Refused
from lockgate.primitives.state import Outcome, View

FIRST: Final = 1  # height from which the validators of genesis sign
DELAY: Final = 2  # blocks from a decision to the first block that the new set signs
MAX_CHANGES: Final = 100  # validators one action names: the start of a block stays short
CHANGED: Final = "validators_changed"
_UNTOUCHED: Final = "The validators are as they were."


class BadValidators(Refused):
    code = "gov.validators"
    summary = "The change does not leave a validator set that this ledger may have."
    untouched = _UNTOUCHED
    next_step = "Name each validator once, with another power than it has, and keep four of them or more (P10)."
    wire = (CODESPACE, 100)


class TooMuchAtOnce(Refused):
    code = "gov.too_much_at_once"
    summary = "The change lets more than a third of the voting power come or go: light clients could lose the way."
    untouched = _UNTOUCHED
    next_step = "Announce it in several actions, each due at a height of its own."
    wire = (CODESPACE, 101)


class Tombstoned(Refused):
    code = "gov.tombstoned"
    summary = "The key was caught signing against the ledger's rules, and signs no block of this ledger again."
    untouched = _UNTOUCHED
    next_step = "Give the validator another key, when it is known how the old one came to sign twice."
    wire = (CODESPACE, 103)


class OneOperator(Refused):
    code = "gov.one_operator"
    summary = "A ledger that one operator signs has no set to be changed; its signer hands over to its next key."
    untouched = _UNTOUCHED
    next_step = "Replace the signer's key by `signer.rotate` (`lockgate keys rotate ledger/NAME validator`)."
    wire = (CODESPACE, 102)


@dataclass(frozen=True, slots=True)
class ValidatorsRecord(Record):
    """A set as (public key, power), in CometBFT's order: power descending, then address. `signs_from` is a height."""

    signs_from: int
    members: tuple[tuple[bytes, int], ...]

    @property
    def power(self) -> int:
        return sum(power for _, power in self.members)


def newest(view: View, genesis: Genesis) -> ValidatorsRecord:
    """The set that was decided last. It may not sign yet."""
    pointer = view.get(keys.GOVERNANCE, keys.NEWEST_VALIDATORS)
    return _of_genesis(genesis) if pointer is None else _record(view, pointer)


def signing(view: View, genesis: Genesis, height: int) -> ValidatorsRecord:
    """The set that signs a height, which is at most two above the block that `view` is the state after."""
    pointer = view.get(keys.GOVERNANCE, keys.NEWEST_VALIDATORS)
    if pointer is None:
        return _of_genesis(genesis)
    if int.from_bytes(pointer, "big") <= height:
        return _record(view, pointer)
    first, last = keys.validators(FIRST), keys.validators(height + 1)
    earlier = [data for _, data in view.scan(keys.GOVERNANCE, first, last)]
    return ValidatorsRecord.from_bytes(earlier[-1]) if earlier else _of_genesis(genesis)


def check_shape(genesis: Genesis, changes: Sequence[Any], reserved: Container[bytes]) -> None:
    """Refuse at once what no set makes right; `reserved` are an authority's keys. Raises OneOperator, BadValidators."""
    if genesis.ledger_class is not LedgerClass.BFT:
        raise OneOperator("a ledger of its class has one signer, who is in its genesis", kind=genesis.ledger_class)
    if not 1 <= len(changes) <= MAX_CHANGES:
        raise BadValidators("an action names 1 to 100 validators", count=len(changes))
    seen = set()
    for change in changes:
        match change:
            case (bytes(key), int(power)) if type(power) is int and 0 <= power <= MAX_TOTAL_POWER:
                pass
            case _:
                raise BadValidators("a change is a public key and its power from now on, 0 to remove it")
        try:
            check_public_key(key)
        except BadKey as error:
            raise BadValidators("no Ed25519 public key that can be trusted to sign", public_key=key) from error
        if key in seen:
            raise BadValidators("a validator is named twice", public_key=key)
        if key in reserved:
            raise BadValidators("an authority's key signs no block (P16)", public_key=key)
        seen.add(key)


def change(view: View, context: Context, changes: Sequence[tuple[bytes, int]], reserved: Container[bytes]) -> Outcome:
    """Decide another set. Raises OneOperator, BadValidators, TooMuchAtOnce, Tombstoned.

    What changes is measured against the set that signs the next block: two actions of one block do not add
    up to more than one may do.
    """
    genesis, height = context.genesis, context.block.height.height
    check_shape(genesis, changes, reserved)
    members = dict(newest(view, genesis).members)
    for key, power in changes:
        if members.get(key, 0) == power:
            raise BadValidators("a validator has that power already, or is none", public_key=key, power=power)
        if power and tombstoned(view, key):
            raise Tombstoned("it signed two blocks of a height", public_key=key)
        if power:
            members[key] = power
        else:
            del members[key]
    _check_set(signing(view, genesis, height + 1), members)
    return decide(height, members, [key for key, power in changes if power])


def decide(height: int, members: Mapping[bytes, int], named: Iterable[bytes] = ()) -> Outcome:
    """Write the set that block `height` decided; `named` are those among it that may be new."""
    record = ValidatorsRecord(height + DELAY, _ordered(members))
    outcome = Outcome()
    for key in named:
        outcome.set(keys.GOVERNANCE, keys.signer(address(key)), b"\x01")
    outcome.set(keys.GOVERNANCE, keys.validators(record.signs_from), record.to_bytes())
    outcome.set(keys.GOVERNANCE, keys.NEWEST_VALIDATORS, keys.u64(record.signs_from))
    outcome.emit(
        CHANGED,
        ("signs_from", str(record.signs_from)),
        ("count", str(len(record.members))),
        ("power", str(record.power)),
    )
    return outcome


def tombstoned(view: View, public_key: bytes) -> bool:
    """Was this key caught at an offence (`offences`)?"""
    return view.get(keys.GOVERNANCE, keys.offence(address(public_key))) is not None


def has_signed(view: View, genesis: Genesis, public_key: bytes) -> bool:
    """Is this a validator's key, or was it ever one that was decided to sign this ledger?"""
    first = any(each.public_key == public_key for each in genesis.validators)
    return first or view.get(keys.GOVERNANCE, keys.signer(address(public_key))) is not None


def updates(before: ValidatorsRecord, after: ValidatorsRecord) -> tuple[GenesisValidator, ...]:
    """What an engine is told: each validator whose power is another, with the new one; 0 removes."""
    old, new = dict(before.members), dict(after.members)
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return tuple(GenesisValidator(key, new.get(key, 0)) for key in changed)


def address(public_key: bytes) -> bytes:
    """A validator's name in headers, votes and evidence: 20 bytes."""
    return hashlib.sha256(public_key).digest()[:20]


def _check_set(before: ValidatorsRecord, members: Mapping[bytes, int]) -> None:
    old = dict(before.members)
    if len(members) < BFT_VALIDATORS:
        raise BadValidators("class bft needs four validators or more (P10)", count=len(members))
    if len(members) > MAX_VALIDATORS:
        raise BadValidators("too many validators", count=len(members), most=MAX_VALIDATORS)
    # CometBFT adds before it removes, and its sum must not pass the bound on the way.
    most = sum(max(members.get(key, 0), old.get(key, 0)) for key in members.keys() | old.keys())
    if most > MAX_TOTAL_POWER:
        raise BadValidators("total voting power is too high", power=most, most=MAX_TOTAL_POWER)
    total, greatest = sum(members.values()), max(members.values())
    if 3 * greatest >= total and greatest * before.power > max(old.values()) * total:
        raise BadValidators("one validator would hold a third of the power, and could stop the ledger", power=greatest)
    # Of the old power P, the first header of the new set is signed by more than P - gone - (P - gone + come) / 3, and
    # that is no less than a third of P.
    changes = [members.get(key, 0) - old.get(key, 0) for key in members.keys() | old.keys()]
    come, gone = sum(max(each, 0) for each in changes), sum(max(-each, 0) for each in changes)
    if 3 * max(come, gone) > before.power:
        raise TooMuchAtOnce("more than a third of the power", come=come, gone=gone, total=before.power)


def _ordered(members: Mapping[bytes, int]) -> tuple[tuple[bytes, int], ...]:
    return tuple(sorted(members.items(), key=lambda member: (-member[1], address(member[0]))))


def _of_genesis(genesis: Genesis) -> ValidatorsRecord:
    return ValidatorsRecord(FIRST, _ordered({v.public_key: v.power for v in genesis.validators}))


def _record(view: View, pointer: bytes) -> ValidatorsRecord:
    data = view.get(keys.GOVERNANCE, keys.VALIDATORS_PREFIX + pointer)
    return ValidatorsRecord.from_bytes(data or b"")


__all__ = (
    "CHANGED",
    "DELAY",
    "FIRST",
    "BadValidators",
    "OneOperator",
    "Tombstoned",
    "TooMuchAtOnce",
    "ValidatorsRecord",
    "address",
    "change",
    "check_shape",
    "decide",
    "has_signed",
    "newest",
    "signing",
    "tombstoned",
    "updates",
)
