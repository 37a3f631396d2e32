"""An authority hands over to its next key: announced and delayed like all it does (P16, S11).

The genesis lists the first authorities. Once one has rotated, the ones that stand are a record of the state, which the
rules digest covers. The announcement is signed by the authority itself, shows that the new key signs with all its
halves, and commits to the key after it, which the next rotation must then open (as P5 has it for endpoints). When it
takes effect the old key is nobody's: it signs nothing more, and what it announced and has not come due is dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.crypto.keys import IdentityKey
from lockgate.machine import accounts, keys, validators
from lockgate.machine.context import Context, field
from lockgate.machine.errors import CODESPACE
from lockgate.machine.genesis import Genesis
from lockgate.machine.records import Record
from lockgate.primitives.errors import LockgateError, PeerFault, Refused
from lockgate.primitives.state import Outcome, View

ROTATE: Final = "authority.rotate"
SUCCESSOR_LABEL: Final = "lockgate/authority-successor/1"
NEXT_LABEL: Final = "lockgate/next-authority/1"
_UNTOUCHED: Final = "The authorities are as they were."


class BadSuccessor(PeerFault):
    code = "gov.bad_successor"
    summary = "The key does not follow the authority's: not committed to, used, or it did not sign for itself."
    untouched = _UNTOUCHED
    next_step = "Let the authority announce the key that it committed to, with that key's own signature."
    wire = (CODESPACE, 124)


class AnnouncerGone(Refused):
    code = "gov.announcer_gone"
    summary = "Who announced the action is no authority any more, so it was dropped when it came due."
    untouched = "What the action would have changed is as it was."
    next_step = "Let the authority that stands now announce it, if it is still wanted."
    wire = (CODESPACE, 125)


class RotationStands(Refused):
    code = "gov.rotation_stands"
    summary = "The authority's rotation to the key that it committed to is announced, and nothing takes that back."
    untouched = "The rotation takes effect at its height; no message of the transaction took effect."
    next_step = "Wait for its height, or cancel something else."
    wire = (CODESPACE, 115)


@dataclass(frozen=True, slots=True)
class Authorities(Record):
    """Those that stand, in the order of the genesis: suite, public keys, commitment to the next (empty: to none)."""

    members: tuple[tuple[int, tuple[bytes, ...], bytes], ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """The authorities of a ledger at a height."""

    keys: tuple[IdentityKey, ...]
    commitments: tuple[bytes, ...]
    parts: frozenset[bytes]  # of these and of those in the genesis

    def of(self, key_hash: bytes) -> IdentityKey | None:
        """The one whose keys have this hash, if it stands."""
        return next((key for key in self.keys if key.hash == key_hash), None)

    def listed(self) -> list[list[Any]]:
        """As the rules digest has them."""
        return [[key.suite, *key.parts] for key in self.keys]


def standing(view: View, genesis: Genesis) -> Standing:
    """Who stands now: those of the genesis, until one has rotated."""
    return read_standing(view.get(keys.GOVERNANCE, keys.AUTHORITIES), genesis)


def every_part(view: View, genesis: Genesis) -> Container[bytes]:
    """Public keys that an authority has or had, alone or as a half: they sign no transaction and no block (P16)."""
    data = view.get(keys.GOVERNANCE, keys.AUTHORITIES)
    return genesis.authority_parts if data is None else _Every(view, _decoded(data, genesis).parts)


class _Every:
    """Those of the genesis, those that stand, and those in between, of which the state has a record each."""

    __slots__ = ("_parts", "_view")

    def __init__(self, view: View, parts: frozenset[bytes]) -> None:
        self._view = view
        self._parts = parts

    def __contains__(self, key: object) -> bool:
        if key in self._parts:
            return True
        return type(key) is bytes and self._view.get(keys.GOVERNANCE, keys.authority_part(key)) is not None


def read_standing(data: bytes | None, genesis: Genesis) -> Standing:
    """The same of what stands under `gov/authorities`, or does not."""
    return of_genesis(genesis) if data is None else _decoded(data, genesis)


def of_genesis(genesis: Genesis) -> Standing:
    return Standing(genesis.authority, (b"",) * len(genesis.authority), genesis.authority_parts)


@lru_cache(64)  # the same bytes are the same authorities, and every transaction asks
def _decoded(data: bytes, genesis: Genesis) -> Standing:
    members = Authorities.from_bytes(data).members
    found = tuple(IdentityKey(suite, tuple(parts)) for suite, parts, _ in members)
    parts = frozenset(part for key in found for part in key.parts)
    return Standing(found, tuple(bytes(following) for *_, following in members), genesis.authority_parts | parts)


def commitment(key: IdentityKey) -> bytes:
    """Commit to an authority's keys that are shown at a later rotation only. 32 bytes, SHA-256."""
    return hashlib.sha256(cbor.encode([NEXT_LABEL, key.suite, *key.parts])).digest()


def possession_message(authority: bytes, following: bytes) -> bytes:
    """What the new key signs, for purpose 5, this domain and its revision."""
    return cbor.encode([SUCCESSOR_LABEL, authority, following])


def check(view: View, context: Context, by: IdentityKey, arguments: Mapping[str, Any]) -> None:
    """Refuse at once what another than the authority itself announces, or what cannot be. Raises BadSuccessor."""
    if by.hash != arguments["authority"]:
        raise BadSuccessor("an authority is followed by whom it names itself", authority=arguments["authority"])
    _successor(view, context, arguments)


def promised(view: View, genesis: Genesis, arguments: Mapping[str, Any]) -> bool:
    """Whether a rotation is to the very key that the authority committed to when it followed the one before.

    Such a rotation is its owner's, whoever has stolen the key that stands: it is not cancelled, and has a place of its
    own at its height.
    """
    now = standing(view, genesis)
    if now.of(arguments["authority"]) is None:
        return False
    made = now.commitments[[each.hash for each in now.keys].index(arguments["authority"])]
    return bool(made) and commitment(IdentityKey(arguments["suite"], arguments["parts"])) == made


def reserve(view: View, context: Context, arguments: Mapping[str, Any], due: int) -> Outcome:
    """Note when a promised rotation takes effect. Raises RotationStands: one at a time, so copies fill no block."""
    key = keys.rotating(arguments["authority"])
    if int.from_bytes(view.get(keys.GOVERNANCE, key) or b"", "big") > context.block.height.height:
        raise RotationStands("announced already", authority=arguments["authority"])
    outcome = Outcome()
    outcome.set(keys.GOVERNANCE, key, keys.u64(due))
    return outcome


def reserved_at(view: View, genesis: Genesis, due: int) -> int:
    """How many promised rotations are due at a height: one for each authority at most."""
    found = (view.get(keys.GOVERNANCE, keys.rotating(key.hash)) for key in standing(view, genesis).keys)
    return sum(each == keys.u64(due) for each in found)


def rotate(view: View, context: Context, arguments: Mapping[str, Any]) -> tuple[Outcome, Standing]:
    """Put the new key in the old one's place; returns the writes, and who stands then. Raises BadSuccessor."""
    before = standing(view, context.genesis)
    key = _successor(view, context, arguments, due=True)
    members = [
        (key.suite, key.parts, arguments["next"])
        if each.hash == arguments["authority"]
        else (each.suite, each.parts, following)
        for each, following in zip(before.keys, before.commitments, strict=True)
    ]
    data = Authorities(tuple(members)).to_bytes()
    outcome = Outcome()
    outcome.set(keys.GOVERNANCE, keys.AUTHORITIES, data)
    outcome.set(keys.GOVERNANCE, keys.authority(key.hash), keys.u64(0))  # it has been one: its number is never reset
    if view.get(keys.GOVERNANCE, keys.rotating(arguments["authority"])) is not None:
        outcome.delete(keys.GOVERNANCE, keys.rotating(arguments["authority"]))
    gone = before.of(arguments["authority"])
    for part in () if gone is None else gone.parts:
        outcome.set(keys.GOVERNANCE, keys.authority_part(part), b"\x01")
    outcome.emit("authority_rotated", ("authority", arguments["authority"].hex()), ("successor", key.hash.hex()))
    return outcome, _decoded(data, context.genesis)


def _successor(view: View, context: Context, arguments: Mapping[str, Any], *, due: bool = False) -> IdentityKey:
    old, following = field(arguments, "authority", bytes, size=32), field(arguments, "next", bytes, size=32)
    possession = field(arguments, "possession", bytes)
    now = standing(view, context.genesis)
    if now.of(old) is None:
        raise BadSuccessor("it is no authority", authority=old)
    try:
        key = IdentityKey(arguments["suite"], arguments["parts"])
    except LockgateError as error:
        raise BadSuccessor("no identity of a suite that is known") from error
    made = now.commitments[[each.hash for each in now.keys].index(old)]
    if made and commitment(key) != made:
        raise BadSuccessor("the key is not the one committed to", authority=old)
    # Its announcement shows a promised key to a thief of the present one, who could have it listed before it is due.
    _check_unused(view, context, key, elsewhere=not (made and due))
    signed = possession_message(old, following)
    covered = signing_bytes(
        Purpose.GOVERNANCE, key.suite, key.hash, context.domain, context.block.height.revision, signed
    )
    if not key.verify(covered, possession):
        raise BadSuccessor("the new key did not sign for itself with all its halves", authority=old)
    return key


def _check_unused(view: View, context: Context, key: IdentityKey, *, elsewhere: bool) -> None:
    """One key, one purpose (P6, P16): none that was an authority's or, `elsewhere`, a validator's or account's."""
    had = every_part(view, context.genesis)
    for part in key.parts:
        signs = len(part) == 32 and (accounts.in_use(view, part) or validators.has_signed(view, context.genesis, part))
        if part in had or (elsewhere and signs):
            raise BadSuccessor("the key, or a half of it, is in use or was", key_id=key.key_id)


__all__ = (
    "ROTATE",
    "AnnouncerGone",
    "Authorities",
    "BadSuccessor",
    "RotationStands",
    "Standing",
    "check",
    "commitment",
    "every_part",
    "of_genesis",
    "possession_message",
    "promised",
    "read_standing",
    "reserve",
    "reserved_at",
    "rotate",
    "standing",
)
