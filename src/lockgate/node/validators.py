"""A cluster's validators, as its operator sees and changes them: the authority's announced action (P16).

A node joins first, as one that follows; it becomes a validator when the authority gives its key power, and may be
stopped when it has none any more. Everything is announced in the open and takes effect after the delay that the
ledger's rules fix.
"""

from __future__ import annotations

import binascii
import contextlib
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lockgate.lightclients.cometbft.types import address_of
from lockgate.machine import keys
from lockgate.machine.governance import VALIDATORS
from lockgate.machine.offences import OffenceRecord
from lockgate.node import cometbft
from lockgate.node.announced import decided
from lockgate.node.folder import Folder
from lockgate.node.ledgers import Ledger, Ledgers
from lockgate.node.patience import reached
from lockgate.node.recover import Authority, due_of, operators
from lockgate.primitives.errors import Refused
from lockgate.relay.rpc import b64

Say = Callable[[str], None]
Row = dict[str, Any]
KEY_BYTES: Final = 32


class NoSuchValidator(Refused):
    code = "node.no_such_validator"
    summary = "The name is that of no validator: neither a node of this folder's cluster nor an Ed25519 public key."
    next_step = "Give a node's number, or 32 bytes in hex or base64, as `lockgate ledger validators list` shows them."


class NotChanged(Refused):
    code = "node.validators_not_changed"
    summary = "The announced change of validators came due and was not carried out."
    untouched = "The validators are as they were."
    next_step = "Read the cause in the error with `lockgate explain`, then announce another change."


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of an announced change, in heights."""

    announced_at: int
    due: int
    signs_from: int


async def listed(folder: Folder, name: str) -> list[Row]:
    """Who signs the newest block, who will sign soon, and who was caught. Raises LedgerDown, NotInitialised."""
    async with Ledgers(folder) as ledgers:
        ledger = ledgers.named(name)
        chain = ledger.chain
        height = (await chain.tip()).height.height
        signing = {v.public_key: v.voting_power for v in (await chain.validators(height)).validators}
        newest = await decided(chain, ledger.genesis)
        caught = await _caught(ledger)
    coming, since = dict(newest.members), newest.signs_from
    numbers = _numbers(folder, name)
    every = (*signing, *coming, *caught)
    return [
        {
            "validator": numbers.get(key, ""),
            "address": address_of(key).hex().upper(),
            "public_key": key.hex(),
            "power": signing.get(key, 0),
            "offence": caught.get(key, ""),
            "then": "" if since <= height else f"{coming.get(key, 0)} from block {since}",
        }
        for key in dict.fromkeys(every)
    ]


async def change(folder: Folder, name: str, changes: dict[str, int], say: Say) -> Changed:
    """Have the authority announce other powers, by name of the validator, and wait until they are decided.

    Raises NoSuchValidator, NotTheAuthority, NotRunning, SetupFailed, NotChanged.
    """
    wanted = [[named(folder, name, each), power] for each, power in changes.items()]
    async with operators(folder, [name]) as accesses:
        access = accesses[name]
        by = await Authority.of(folder, access)
        done = await by.announce(VALIDATORS, {"changes": wanted})
        due = due_of(done)
        say(f"announced at block {done.height.height}; it takes effect at block {due}")
        await reached(access.chain, due + 1)
        events = (await access.chain.block_events(due)).events
        failed = next((event.get("code") for event in events if event.type == "gov_failed"), None)
        since = next((int(event.get("signs_from") or 0) for event in events if event.type == "validators_changed"), 0)
    if not since:
        raise NotChanged("it was dropped", ledger=name, due=due, cause=failed)
    say(f"the new set signs from block {since}")
    return Changed(done.height.height, due, since)


def named(folder: Folder, name: str, validator: str) -> bytes:
    """The public key that an operator names: a node's number, or the key in hex or base64. Raises NoSuchValidator."""
    by_number = {str(number): key for key, number in _numbers(folder, name).items()}
    if validator in by_number:
        return by_number[validator]
    for decode in (bytes.fromhex, _base64):
        with contextlib.suppress(ValueError, binascii.Error):
            key = decode(validator)
            if len(key) == KEY_BYTES:
                return key
    raise NoSuchValidator("not known", ledger=name, validator=validator)


def _base64(text: str) -> bytes:
    return b64decode(text, validate=True)


def _numbers(folder: Folder, name: str) -> dict[bytes, int]:
    """The nodes of this folder's cluster by their validator's key."""
    if not cometbft.is_cluster(folder, name):
        return {}
    return {cometbft.public_key(node): node.index for node in cometbft.nodes_of(folder, name)}


async def _caught(ledger: Ledger) -> dict[bytes, str]:
    """Validators that were caught, by key, and at what. For people."""
    start = keys.OFFENCE_PREFIX
    found = {}
    for place in await ledger.chain.keys(keys.GOVERNANCE, start, start + b"\xff" * 21):
        answer = await ledger.chain.query(f"/store/{keys.GOVERNANCE}/key", place)
        entry = OffenceRecord.from_bytes(b64(answer.get("value")))
        found[entry.public_key] = f"{entry.kind.words} at block {entry.height}"
    return found


__all__ = ("Changed", "NoSuchValidator", "NotChanged", "change", "listed", "named")
