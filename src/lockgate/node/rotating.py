"""Replacing the keys of parties that are no hosts: a relayer's account, a ledger's operator and authority (S11).

A rotation that stopped on the way, by a refusal or a kill, is finished by the next one: what is done stands on the
ledgers and in the key file, and nothing else remembers it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.crypto.hybrid import Purpose
from lockgate.crypto.keys import KeyRole
from lockgate.hosting.work import Report
from lockgate.machine import handover, succession
from lockgate.machine import keys as stores
from lockgate.machine.genesis import Parameters
from lockgate.machine.governance import rules_digest
from lockgate.machine.suites import read_table
from lockgate.node import cometbft, rules, schedule, validator_rotation
from lockgate.node.announced import carried_out, decided
from lockgate.node.clock import SystemClock
from lockgate.node.config import load as load_config
from lockgate.node.folder import Folder, read_json
from lockgate.node.keystores import Party, changing
from lockgate.node.ledger import (
    LEDGER_KEYS,
    authority_name,
    operator,
    validator_indices,
    validator_name,
    wanted_keys,
)
from lockgate.node.provision import RELAY_KEYS, RELAY_LANE, LedgerAccess
from lockgate.node.recover import DELAY_S, Authority, authorities, operators
from lockgate.node.relay_record import max_gas_prices
from lockgate.node.sources import nodes_of, open_ledger
from lockgate.node.wallet import KeyTaken, Rotated, Wallet, rotate
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import b64
from lockgate.storage.signstate import SignState

ROTATION_LANE: Final = RELAY_LANE + 32  # nonce lanes of a running relayer and of `relay clear` lie below
ACCOUNT: Final = "account"
OPERATOR: Final = "operator"
AUTHORITY: Final = "authority"
VALIDATOR: Final = "validator"
ROTATES: Final = {"relays": (ACCOUNT,), "ledgers": (OPERATOR, AUTHORITY, VALIDATOR)}  # keys by kind of party
Row = dict[str, Any]
Say = Callable[[str], None]


class NotCovered(Refused):
    code = "keys.not_covered"
    summary = "Keys of this kind are not rotated, revoked or scheduled by this command."
    untouched = "The keys are what they were."
    next_step = "Do what the refusal says for this kind."


def silent(_: str) -> None:
    """Nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """One key of a party, which rotates by a period or when somebody asks. Meets `schedule.Rotates`."""

    folder: Folder
    party: Party
    key: str
    say: Say = silent

    async def rotate(self) -> Row:
        """Raises NotCovered, NotRunning, KeyTaken, NotRotated, NotTheAuthority, and what a ledger refuses."""
        by: dict[str, Callable[[Folder, str], Awaitable[list[Rotated]]]] = {
            ACCOUNT: _relay_account,
            OPERATOR: _operator,
            AUTHORITY: _authority,
            VALIDATOR: partial(_signer, say=self.say),
        }
        done = await by[self.key](self.folder, self.party.name)
        schedule.Memory(self.party.home, self.key).note(SystemClock().now())
        return {"party": self.party.path, "key": self.key, "on": [asdict(each) for each in done]}


async def keep(folder: Folder, party: Party, keys: Sequence[str], report: Report) -> None:
    """Rotate each key when it is due, one after the other, until cancelled. What fails is tried again a minute on."""
    clock = SystemClock()
    while True:
        for key in keys:
            rotation, memory = Rotation(folder, party, key), schedule.Memory(party.home, key)
            try:
                await schedule.rotate_if_due(party.home, rotation, memory, clock, key)
            except LockgateError as error:
                report("rotation_failed", {"key": key, "code": error.code, "detail": str(error)})
        await asyncio.sleep(schedule.LOOK_S)


async def _relay_account(folder: Folder, name: str) -> list[Rotated]:
    home = folder.relay(name)
    record = read_json(home / "relay.json")
    if "chain" in record:
        raise NotCovered("its account is one on another chain as well: make another relayer, and stop this one")
    wallet, prices = Wallet(folder, home, RELAY_KEYS, ACCOUNT), max_gas_prices(record)
    accesses: list[LedgerAccess] = []
    try:
        for ledger in record["between"]:
            chain = await open_ledger(folder, ledger, nodes_of(record, ledger), _unheard)
            accesses.append(await LedgerAccess.over(ledger, chain, wallet, ROTATION_LANE, prices.get(ledger, 0)))
        return await rotate(wallet, {each.name: (each.submitter, each.genesis.domain_id) for each in accesses})
    finally:
        await asyncio.gather(*(access.chain.rpc.close() for access in accesses))


async def _operator(folder: Folder, name: str) -> list[Rotated]:
    async with operators(folder, [name]) as accesses:
        access = accesses[name]
        return await rotate(operator(folder, name), {name: (access.submitter, access.genesis.domain_id)})


async def _authority(folder: Folder, name: str) -> list[Rotated]:
    """By the authority's own announced action; the folder's hosts take the rules that it brings about first (P16)."""
    home = folder.ledger(name)
    async with operators(folder, [name]) as accesses:
        access = accesses[name]
        chain, genesis = access.chain, access.genesis
        by = await Authority.of(folder, access)
        old, index = by.signer.key, by.index + 1
        names = [authority_name(each) for each in (index, index + 1)]
        with changing(folder, home, wanted_keys) as keystore:
            keystore.make(dict.fromkeys(names, (KeyRole.AUTHORITY, old.suite)))
            new, following = (keystore.identity(each) for each in names)
        stands = await authorities(access)
        promised = dict(stands)[old]
        if promised and promised != succession.commitment(new.key):
            raise KeyTaken(key=names[0], file=str(home), index=index)
        following_rules = replace(
            genesis,
            parameters=Parameters.from_cbor(cbor.decode(await _rule(chain, stores.RULES_PARAMETERS))),
            suites=read_table(await _rule(chain, stores.RULES_SUITES) or None),
            authority=tuple(new.key if key == old else key for key, _ in stands),
        )
        digest = rules_digest(following_rules, genesis).hex()
        for host in folder.names("hosts"):
            config = load_config(folder.host(host) / "endpoint.json")
            if name in {ref.name for ref in (config.local, *config.remotes)}:
                await rules.accept(folder, host, name, (digest,))
        commitment = succession.commitment(following.key)
        signed = succession.possession_message(old.hash, commitment)
        arguments = {
            "authority": old.hash,
            "suite": new.key.suite,
            "parts": new.key.parts,
            "next": commitment,
            "possession": new.sign_for(Purpose.GOVERNANCE, genesis.domain_id, genesis.revision, signed),
        }

        async def followed() -> bool:
            return (await Authority.of(folder, access)).index == index

        due = await carried_out(by, succession.ROTATE, arguments, followed)
    with changing(folder, home, wanted_keys) as keystore:
        keystore.drop([authority_name(each) for each in range(index)])
    return [Rotated(name, index, due, due - 1)]


async def _rule(chain: CometBftChain, name: bytes) -> bytes:
    return b64((await chain.query(f"/store/{stores.RULES}/key", name)).get("value"))


async def _signer(folder: Folder, name: str, say: Say) -> list[Rotated]:
    """Where several sign, all of them, one after the other. The only signer's hand-over is announced by the authority,
    and the running ledger finds the key when it is time."""
    if cometbft.is_cluster(folder, name):
        return await validator_rotation.rotate(folder, name, say)
    home = folder.ledger(name)
    async with operators(folder, [name]) as accesses:
        access = accesses[name]
        chain, genesis = access.chain, access.genesis
        ((old, _),) = (await decided(chain, genesis)).members
        with changing(folder, home, wanted_keys) as keystore:
            held = {keystore.signer(validator_name(each)).public_key: each for each in validator_indices(keystore)}
            if old not in held:
                raise KeyTaken(key=VALIDATOR, file=str(home), public_key=old)
            index = held[old] + 1
            # First what it has signed, which is nothing: without the file a key is not used (P12).
            SignState.open(folder.sign_state(name, index), fresh=True).close()
            keystore.make({validator_name(index): LEDGER_KEYS[VALIDATOR]})
            new = keystore.signer(validator_name(index))
        signed = handover.possession_bytes(old, new.public_key, genesis.domain_id, genesis.revision)
        by = await Authority.of(folder, access)
        arguments = {"public_key": new.public_key, "possession": new.sign(signed)}

        async def followed() -> bool:
            return (await decided(chain, genesis)).members[0][0] == new.public_key

        await carried_out(by, handover.ROTATE, arguments, followed)
        since = (await decided(chain, genesis)).signs_from
        await chain.header_at_least(since, DELAY_S)
    with changing(folder, home, wanted_keys) as keystore:
        keystore.drop([validator_name(each) for each in range(index)])
    return [Rotated(name, index, since, since - 1)]


def _unheard(kind: str, fields: dict[str, object]) -> None:
    """What is not agreed on is raised."""


__all__ = ("ACCOUNT", "AUTHORITY", "OPERATOR", "ROTATES", "VALIDATOR", "NotCovered", "Rotation", "keep", "silent")
