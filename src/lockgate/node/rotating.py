"""Replacing the keys of parties that are no hosts: a relayer's account, a ledger's operator and authority (S11).

A rotation that stopped on the way, by a refusal or a kill, is finished by the next one: what is done stands on the
ledgers and in the key file. `rotated-KEY.json` says which rotation was seen through last, so that a schedule does not
make one again that stands on the ledgers already.
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
from lockgate.crypto.ports import Signer
from lockgate.hosting.work import Report
from lockgate.lightclients.cometbft.bisection import sound_light_block
from lockgate.lightclients.cometbft.commit import check_commit_light
from lockgate.machine import handover, succession
from lockgate.machine import keys as stores
from lockgate.machine.genesis import Parameters
from lockgate.machine.governance import rules_digest
from lockgate.machine.suites import read_table
from lockgate.node import cometbft, relay_record, rules, schedule, validator_rotation
from lockgate.node.announced import carried_out, decided
from lockgate.node.clock import SystemClock
from lockgate.node.config import load as load_config
from lockgate.node.folder import Folder
from lockgate.node.keystores import Party, changing
from lockgate.node.ledger import (
    LEDGER_KEYS,
    authority_name,
    operator,
    validator_indices,
    validator_name,
    wanted_keys,
)
from lockgate.node.patience import reached
from lockgate.node.provision import RELAY_KEYS, RELAY_LANE, LedgerAccess
from lockgate.node.recover import Authority, authorities, operators
from lockgate.node.relay_record import max_gas_prices
from lockgate.node.sources import nodes_of, open_ledger
from lockgate.node.wallet import KEPT, KeyTaken, NotRotated, Rotated, Wallet, rotate
from lockgate.primitives.errors import LockgateError, PeerFault, Refused
from lockgate.relay.chains.cometbft import CometBftChain
from lockgate.relay.rpc import b64
from lockgate.storage.signstate import SignState

ROTATION_LANE: Final = RELAY_LANE + 32  # nonce lanes of a running relayer and of `relay clear` lie below
ACCOUNT: Final = "account"
OPERATOR: Final = "operator"
AUTHORITY: Final = "authority"
VALIDATOR: Final = "validator"
ROTATES: Final = {"relays": (ACCOUNT,), "ledgers": (OPERATOR, AUTHORITY, VALIDATOR)}  # keys by kind of party
FOREIGN: Final = "its account is one on another chain as well: make another relayer, and stop this one"
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
    scheduled: bool = False  # then one that the ledgers show and that was not noted is the one that was due

    async def rotate(self) -> Row:
        """Raises NotCovered, NotRunning, KeyTaken, NotRotated, NotTheAuthority, and what a ledger refuses."""
        by: dict[str, Callable[[Rotation], Awaitable[list[Rotated]]]] = {
            ACCOUNT: _relay_account,
            OPERATOR: _operator,
            AUTHORITY: _authority,
            VALIDATOR: _signer,
        }
        done = await by[self.key](self)
        return {"party": self.party.path, "key": self.key, "on": [asdict(each) for each in done]}

    @property
    def known(self) -> int | None:
        """The newest rotation that was noted, where that decides what is done."""
        return schedule.Memory(self.party.home, self.key).index() if self.scheduled else None

    def stands(self, index: int) -> bool:
        """Is this, which the ledger shows, the rotation that is due?"""
        return self.known is not None and index > self.known

    def note(self, index: int | None) -> None:
        """The ledgers show the key of this rotation."""
        schedule.Memory(self.party.home, self.key).note(SystemClock().now(), index)

    async def erase(self, drop: Callable[[], None]) -> None:
        """Erase old keys. Where that fails the rotation is made all the same, and the next one erases them."""
        try:
            await asyncio.to_thread(drop)
        except LockgateError as error:
            self.say(f"keys that were replaced are not erased yet: {error}")

    def drop(self, names: Sequence[str]) -> None:
        with changing(self.folder, self.party.home, wanted_keys) as keystore:
            keystore.drop(names)


def rotates(party: Party) -> tuple[str, ...]:
    """The keys of a party that rotate: none of a relayer to another chain, whose account has that chain's key, too."""
    record = party.home / "relay.json"
    if party.kind == "relays" and record.exists() and "chain" in relay_record.read(party.home):
        return ()
    return ROTATES.get(party.kind, ())


async def keep(folder: Folder, party: Party, keys: Sequence[str], report: Report) -> None:
    """Rotate each key when it is due, one after the other, until cancelled. What fails is tried again a minute on."""
    clock = SystemClock()

    def said(key: str, text: str) -> None:
        report("rotation", {"key": key, "detail": text})

    while True:
        for key in keys:
            rotation = Rotation(folder, party, key, partial(said, key), scheduled=True)
            try:
                await schedule.rotate_if_due(party.home, rotation, schedule.Memory(party.home, key), clock, key)
            except Exception as error:  # whatever it is: nobody watches this task, and the next look may do better
                code = error.code if isinstance(error, LockgateError) else type(error).__name__
                report("rotation_failed", {"key": key, "code": code, "detail": str(error)})
        await asyncio.sleep(schedule.LOOK_S)


async def _relay_account(job: Rotation) -> list[Rotated]:
    folder, home = job.folder, job.party.home
    record = relay_record.read(home)
    if "chain" in record:
        raise NotCovered(FOREIGN)
    wallet, prices = Wallet(folder, home, RELAY_KEYS, ACCOUNT), max_gas_prices(record)
    accesses: list[LedgerAccess] = []
    try:
        for ledger in relay_record.between(record):
            chain = await open_ledger(folder, ledger, nodes_of(record, ledger), _unheard)
            accesses.append(await LedgerAccess.over(ledger, chain, wallet, ROTATION_LANE, prices.get(ledger, 0)))
        return await _account(job, wallet, accesses)
    finally:
        await asyncio.gather(*(access.chain.rpc.close() for access in accesses))


async def _operator(job: Rotation) -> list[Rotated]:
    folder, name = job.folder, job.party.name
    async with operators(folder, [name]) as accesses:
        return await _account(job, operator(folder, name), [accesses[name]])


async def _account(job: Rotation, wallet: Wallet, accesses: Sequence[LedgerAccess]) -> list[Rotated]:
    ledgers = {each.name: (each.submitter, each.genesis.domain_id) for each in accesses}
    done = await rotate(wallet, ledgers, known=job.known)
    index = max(each.index for each in done)
    job.note(index)
    await job.erase(partial(wallet.settle, index))
    return done


async def _authority(job: Rotation) -> list[Rotated]:
    """By the authority's own announced action; the folder's hosts take the rules that it brings about first (P16)."""
    async with operators(job.folder, [job.party.name]) as accesses:
        by = await Authority.of(job.folder, accesses[job.party.name])
        done = [] if job.stands(by.index) else [await _follow(job, by)]
        index = by.index + len(done)
        job.note(index)
    await job.erase(partial(job.drop, [authority_name(each) for each in range(index - KEPT)]))
    return done


async def _follow(job: Rotation, by: Authority) -> Rotated:
    """The authority's next key, announced by the one that stands."""
    folder, name, access = job.folder, job.party.name, by.access
    home, chain, genesis = job.party.home, access.chain, access.genesis
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
        path = folder.host(host) / "endpoint.json"
        if not path.exists():  # it has keys, and no ledger yet
            continue
        config = load_config(path)
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
        return new.key in [key for key, _ in await authorities(access)]

    due = await carried_out(by, succession.ROTATE, arguments, followed)
    return Rotated(name, index, due, due - 1)


async def _rule(chain: CometBftChain, name: bytes) -> bytes:
    return b64((await chain.query(f"/store/{stores.RULES}/key", name)).get("value"))


async def _signer(job: Rotation) -> list[Rotated]:
    """Where several sign, all of them, one after the other. The only signer's hand-over is announced by the authority,
    and the running ledger finds the key when it is time."""
    folder, name, home = job.folder, job.party.name, job.party.home
    if cometbft.is_cluster(folder, name):
        done = await validator_rotation.rotate(folder, name, job.say)
        job.note(None)
        return done
    async with operators(folder, [name]) as accesses:
        access = accesses[name]
        chain, genesis = access.chain, access.genesis
        ((old, _),) = (await decided(chain, genesis)).members
        with changing(folder, home, wanted_keys) as keystore:
            held = {keystore.signer(validator_name(each)).public_key: each for each in validator_indices(keystore)}
            if old not in held:
                raise KeyTaken(key=VALIDATOR, file=str(home), public_key=old)
            stood = job.stands(held[old])
            index = held[old] + (not stood)
            if not stood:
                # First what it has signed, which is nothing: without the file a key is not used (P12).
                SignState.open(folder.sign_state(name, index), fresh=True).close()
                keystore.make({validator_name(index): LEDGER_KEYS[VALIDATOR]})
            new = keystore.signer(validator_name(index))
        if not stood:
            await _hand_over(folder, access, old, new)
        job.note(index)
        since = (await decided(chain, genesis)).signs_from
        await reached(chain, since)
        await _require_signed(chain, new.public_key)
    await job.erase(partial(job.drop, [validator_name(each) for each in range(index)]))
    return [Rotated(name, index, since, since - 1)]


async def _hand_over(folder: Folder, access: LedgerAccess, old: bytes, new: Signer) -> None:
    chain, genesis = access.chain, access.genesis
    signed = handover.possession_bytes(old, new.public_key, genesis.domain_id, genesis.revision)
    by = await Authority.of(folder, access)
    arguments = {"public_key": new.public_key, "possession": new.sign(signed)}

    async def followed() -> bool:
        return (await decided(chain, genesis)).members[0][0] == new.public_key

    await carried_out(by, handover.ROTATE, arguments, followed)


async def _require_signed(chain: CometBftChain, key: bytes) -> None:
    """The newest header is signed by this key alone: then none before it is wanted. Raises NotRotated."""
    block = await chain.light_block((await chain.tip()).height.height)
    try:
        sound = sound_light_block(block)
        if [each.public_key for each in sound.validators.validators] != [key]:
            raise NotRotated("the newest header names another signer", height=block.height)
        check_commit_light(chain.chain_id, sound.validators, sound.commit)
    except PeerFault as error:
        raise NotRotated("the newest header does not verify", height=block.height) from error


def _unheard(kind: str, fields: dict[str, object]) -> None:
    """What is not agreed on is raised."""


__all__ = (
    "ACCOUNT",
    "AUTHORITY",
    "FOREIGN",
    "OPERATOR",
    "ROTATES",
    "VALIDATOR",
    "NotCovered",
    "Rotation",
    "keep",
    "rotates",
    "silent",
)
