"""What a thief of a relayer's or a ledger's keys can still do, and for how long (S13).

From the public record of the keys, the schedules and the ledger's genesis; a host's keys are `exposure`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lockgate.machine.genesis import Genesis
from lockgate.node import schedule
from lockgate.node.exposure import DEVICES, Exposure, where
from lockgate.node.folder import Folder
from lockgate.node.keystores import Party
from lockgate.node.rotating import ACCOUNT, AUTHORITY, OPERATOR, ROTATES, VALIDATOR, rotates
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

ROLES: Final = {ACCOUNT: "account", OPERATOR: "account", AUTHORITY: "authority", VALIDATOR: "validator"}
TAKES_OVER: Final = "giving it a next key of the thief's own, since nothing has committed to one yet"


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """What decides how long a theft of one key counts."""

    key: str
    next_rotation: UnixNanos | None  # by this machine's clock
    last_rotation: UnixNanos | None
    committed: bool  # to the key after it, by a rotation before
    in_device: bool
    delay_blocks: int | None = None  # of the ledger's announcements


def standing(folder: Folder, party: Party) -> list[KeyStanding]:
    """One entry for each key of the party that rotates."""
    places, rotating = where(party), rotates(party)
    genesis = party.home / "genesis.cbor"
    delay = Genesis.from_bytes(genesis.read_bytes()).parameters.authority_delay_blocks if genesis.exists() else None
    found = []
    for key in ROTATES.get(party.kind, ()):
        last = schedule.last_rotation(schedule.Memory(party.home, key))
        found.append(
            KeyStanding(
                key=key,
                next_rotation=schedule.read(party.home, key).due(last) if key in rotating else None,
                last_rotation=last,
                committed=last is not None and key != VALIDATOR,  # the next key lies in the file before any rotation
                in_device=bool(places.get(ROLES[key], set()) & set(DEVICES)),
                delay_blocks=delay,
            )
        )
    return found


def exposures(found: list[KeyStanding]) -> list[Exposure]:
    """In words, the worst first."""
    by = {each.key: each for each in found}
    rows = [make(by[key]) for key, make in _EACH.items() if key in by]
    if rows:
        rows.insert(0, _file(found))
    return rows


def _file(found: list[KeyStanding]) -> Exposure:
    left = [each.key for each in found if not each.in_device]
    if not left:
        return Exposure("the key file and its passphrase", "nothing without the device", "it is good for nothing now")
    what = f"what the {' and '.join(left)} key is good for, and rotating it to keys of the thief's own"
    return Exposure("the key file and its passphrase", what, "new parties in its place; a rotation does not end it")


def _authority(key: KeyStanding) -> Exposure:
    seen = "seen before they hold" if key.delay_blocks is None else f"seen {key.delay_blocks} blocks before they hold"
    what = f"stopping lanes and suites at once, announcing actions, {seen}, and cancelling announced ones"
    if key.committed:
        what += ", but not the rotation to the key that was committed to"
        until = f"{_rotation(key)}, which drops what it had announced and is not due"
    else:
        what += f", the rotation to a next key among them; {TAKES_OVER}"
        until = f"{_rotation(key)}, if it takes effect: the thief may cancel each, or come first"
    return Exposure("the authority's key", what, until)


def _signer(key: KeyStanding) -> Exposure:
    what = "signing another history of the ledger, for those who do not see this one: both together freeze clients"
    until = f"{_rotation(key)}; for clients that hold a header from before, when that leaves their trusting period"
    return Exposure("the validator's key", what, until)


def _operator(key: KeyStanding) -> Exposure:
    what = "spending its balance, and submitting what the authority signed; it decides nothing"
    return Exposure("the operator's key", what if key.committed else f"{what}; {TAKES_OVER}", _rotation(key))


def _account(key: KeyStanding) -> Exposure:
    what = "spending its balance, and relaying in its name, which changes no packet"
    return Exposure("the account's key", what if key.committed else f"{what}; {TAKES_OVER}", _rotation(key))


def _rotation(key: KeyStanding) -> str:
    if key.next_rotation is None:
        return "the next rotation, which is not scheduled: for good unless one is made"
    return f"the rotation due at {key.next_rotation // NANOS_PER_SECOND} (unix)"


_EACH: Final = {AUTHORITY: _authority, VALIDATOR: _signer, OPERATOR: _operator, ACCOUNT: _account}

__all__ = ("KeyStanding", "exposures", "standing")
