"""The genesis authority, already governance-shaped (P16): typed actions, announced, delayed, visible.

An authority signs what it wants done, and any account submits it (`authority`). An action is announced
on the ledger, waits `authority_delay_blocks`, and takes effect at the start of its block. Stopping a lane
is immediate; resuming one is an action like any other. What stands is visible under one provable key, the
rules digest, which changes no earlier than the announcement said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, Protocol

from lockgate.codec import cbor
from lockgate.machine import authority, endpoints, handover, keys, lanes, succession, suites, validators
from lockgate.machine.accounts import account_id
from lockgate.machine.context import Context, field, only_fields
from lockgate.machine.errors import AccountExists, ActionTooLarge, NothingScheduled, UnknownAction
from lockgate.machine.gas import AUTHORIZATION
from lockgate.machine.genesis import Genesis, Parameters
from lockgate.machine.records import Account, Scheduled
from lockgate.machine.suite_policy import FIELDS, SuitePolicy
from lockgate.machine.suite_table import DEFAULT
from lockgate.machine.transaction import SUITE_ED25519
from lockgate.primitives.errors import Damaged, LockgateError
from lockgate.primitives.state import Outcome, Overlay, View

MAX_SCHEDULED_PER_BLOCK: Final = 16  # actions are rare; the bound keeps the start of a block short
MAX_BALANCE: Final = 1 << 62  # sums of a few of them stay inside 64 bits
SETTLE: Final = "packet.settle"
VALIDATORS: Final = "validators.change"
RULES_LABEL: Final = "lockgate/rules/1"


class Packets(Protocol):
    """What actions need of the packet layer."""

    def recover(self, view: View, context: Context, subject: str, substitute: str) -> Outcome: ...

    def configure(self, view: View, context: Context, client: str, allowed_relayers: Sequence[str]) -> Outcome: ...

    def check_settlement(self, view: View, arguments: Mapping[str, Any]) -> None: ...

    def settle(self, view: View, context: Context, arguments: Mapping[str, Any], announced: int) -> Outcome: ...


def announce(view: View, context: Context, message: Mapping[str, Any], packets: Packets) -> Outcome:
    """Announce an action; it takes effect after the delay. Emits its height and number.

    A settlement is checked here, too, so that what cannot be settled is refused at once and in words; so are a
    change of validators and one of suites, as far as they do not depend on what stands at their height.
    """
    only_fields(message, "action", "arguments", AUTHORIZATION)
    by, outcome = authority.require(view, context, "gov.announce", message)
    action = field(message, "action", str)
    arguments = field(message, "arguments", dict)
    if action not in ACTIONS or set(arguments) != set(ACTIONS[action]):
        raise UnknownAction("unknown action or arguments", action=action)
    for name, kind in ACTIONS[action].items():
        field(arguments, name, kind)
    if action == SETTLE:
        packets.check_settlement(view, arguments)
    reserved = succession.every_part(view, context.genesis)
    if action == VALIDATORS:
        validators.check_shape(context.genesis, arguments["changes"], reserved)
    if action == handover.ROTATE:
        handover.check(view, context, arguments, reserved)
    if action == succession.ROTATE:
        succession.check(view, context, by, arguments)
    due = context.block.height.height + context.parameters.authority_delay_blocks
    if action in SUITES:
        suites.check_action(action, arguments, due)
    record = Scheduled(action, cbor.encode(arguments), context.block.height.height, by.key_id.hex())
    size = len(record.to_bytes())
    if size > cbor.DEFAULT_LIMITS.size:  # it would not be read back, and stop the ledger at its height
        raise ActionTooLarge("too large", action=action, size=size, most=cbor.DEFAULT_LIMITS.size)
    if action == succession.ROTATE and succession.promised(view, context.genesis, arguments):
        outcome.then(succession.reserve(view, context, arguments, due))
    else:
        _check_room(view, context, due)
    number = int.from_bytes(view.get(keys.GOVERNANCE, keys.ACTION_NUMBER) or b"", "big")
    outcome.set(keys.GOVERNANCE, keys.ACTION_NUMBER, keys.u64(number + 1))
    outcome.set(keys.GOVERNANCE, keys.scheduled(due, number), record.to_bytes())
    outcome.emit("gov_announced", ("action", action), ("due", str(due)), ("number", str(number)))
    return outcome


def _check_room(view: View, context: Context, due: int) -> None:
    """Raise UnknownAction where a height has its actions. Promised rotations are not among them."""
    waiting = sum(1 for _ in view.scan(keys.GOVERNANCE, keys.scheduled(due, 0), keys.scheduled(due + 1, 0)))
    if waiting - succession.reserved_at(view, context.genesis, due) >= MAX_SCHEDULED_PER_BLOCK:
        raise UnknownAction("too many actions are due at that height; announce in a later block", due=due)


def cancel(view: View, context: Context, message: Mapping[str, Any]) -> Outcome:
    """Withdraw an announced action before it is due, whoever of the authorities announced it.

    Raises RotationStands for an authority's rotation to the key that it committed to: a thief of the key that stands
    would keep its place by cancelling each.
    """
    only_fields(message, "due", "number", AUTHORIZATION)
    _, outcome = authority.require(view, context, "gov.cancel", message)
    due, number = field(message, "due", int), field(message, "number", int)
    if not (0 <= due < 1 << 63 and 0 <= number < 1 << 63):
        raise NothingScheduled("no such action", due=due, number=number)
    key = keys.scheduled(due, number)
    data = view.get(keys.GOVERNANCE, key)
    if data is None:
        raise NothingScheduled("no such action", due=due, number=number)
    record = Scheduled.from_bytes(data)
    if record.action == succession.ROTATE:
        arguments: Any = cbor.decode(record.arguments)
        if succession.promised(view, context.genesis, arguments):
            raise succession.RotationStands("it stands", authority=arguments["authority"])
    outcome.delete(keys.GOVERNANCE, key)
    outcome.emit("gov_cancelled", ("due", str(due)), ("number", str(number)))
    return outcome


def stop(view: View, context: Context, message: Mapping[str, Any]) -> Outcome:
    """Stop a lane at once. It can only stop: resuming takes the announced path."""
    only_fields(message, "lane", "note", AUTHORIZATION)
    by, outcome = authority.require(view, context, "gov.stop", message)
    note = f"{by.key_id.hex()}: {field(message, 'note', str)}"
    outcome.then(lanes.move(view, field(message, "lane", bytes, size=32), "stop", note))
    return outcome


def due_actions(view: View, context: Context, packets: Packets) -> Outcome:
    """Carry out what is due at this height. An action that fails is dropped and says so."""
    height, genesis = context.block.height.height, context.genesis
    outcome = Outcome()
    last = keys.scheduled(height + 1, 0)
    for key, data in list(view.scan(keys.GOVERNANCE, keys.SCHEDULE_PREFIX, last)):
        record = Scheduled.from_bytes(data)
        outcome.delete(keys.GOVERNANCE, key)
        current = Overlay(view, outcome.writes)
        try:
            if record.announced_by not in {each.key_id.hex() for each in succession.standing(current, genesis).keys}:
                raise succession.AnnouncerGone(announced_by=record.announced_by)
            done = _carry_out(current, context, record, packets)
        except Damaged:
            raise
        except LockgateError as error:
            outcome.emit("gov_failed", ("action", record.action), ("code", error.code))
            continue
        outcome.then(done)
        outcome.emit("gov_done", ("action", record.action), ("announced_at", str(record.announced_at)))
    return outcome


ACTIONS: Final[Mapping[str, Mapping[str, type]]] = {
    "lane.resume": {"lane": bytes},
    "lane.close": {"lane": bytes, "note": str},
    "endpoint.revoke": {"endpoint": bytes},
    "account.admit": {"suite": int, "public_key": bytes, "balance": int},
    "parameters.set": {"parameters": dict},
    "client.recover": {"subject": str, "substitute": str},
    "client.config": {"client": str, "allowed_relayers": tuple},
    SETTLE: {"client": str, "packet": bytes, "ending": str, "evidence": bytes},
    VALIDATORS: {"changes": tuple},
    suites.ACTIVATE: {"kind": str, "suite": int, "height": int},
    suites.SUNSET: {"kind": str, "suite": int, "height": int},
    suites.LANE: {"lane": bytes, **FIELDS},
    handover.ROTATE: {"public_key": bytes, "possession": bytes},
    succession.ROTATE: {"authority": bytes, "suite": int, "parts": tuple, "next": bytes, "possession": bytes},
}
SUITES: Final = frozenset({suites.ACTIVATE, suites.SUNSET, suites.LANE})


def _carry_out(view: View, context: Context, record: Scheduled, packets: Packets) -> Outcome:
    arguments: Any = cbor.decode(record.arguments)
    match record.action:
        case "lane.resume":
            return lanes.move(view, arguments["lane"], "resume", "")
        case "lane.close":
            return lanes.move(view, arguments["lane"], "close", f"{record.announced_by}: {arguments['note']}")
        case "endpoint.revoke":
            return endpoints.revoke(view, context.block.height, arguments["endpoint"])
        case "account.admit":
            return admit_account(
                view, context.genesis, arguments["suite"], arguments["public_key"], arguments["balance"]
            )
        case action if action == SETTLE:
            return packets.settle(view, context, arguments, record.announced_at)
        case action if action == VALIDATORS:
            reserved = succession.every_part(view, context.genesis)
            return validators.change(view, context, arguments["changes"], reserved)
        case action if action == handover.ROTATE:
            return handover.rotate(view, context, arguments, succession.every_part(view, context.genesis))
        case action if action == succession.ROTATE:
            done, standing = succession.rotate(view, context, arguments)
            current = replace(in_force(view, context.genesis), authority=standing.keys)
            done.then(rules(current, context.genesis))
            return done
        case suites.ACTIVATE | suites.SUNSET:
            table, outcome = suites.changed(view, context, record.action, arguments)
            outcome.then(rules(replace(in_force(view, context.genesis), suites=table), context.genesis))
            return outcome
        case suites.LANE:
            policy = SuitePolicy.read({name: arguments[name] for name in FIELDS})
            return suites.set_policy(lanes.named(view, arguments["lane"]), policy)
        case "client.config":
            if not all(type(relayer) is str for relayer in arguments["allowed_relayers"]):
                raise UnknownAction("a relayer is named by its account id", action=record.action)
            return packets.configure(view, context, arguments["client"], arguments["allowed_relayers"])
        case "client.recover":
            return packets.recover(view, context, arguments["subject"], arguments["substitute"])
    changed = Parameters.from_cbor({**parameters(view, context.genesis).to_cbor(), **arguments["parameters"]})
    if changed.header_memory > context.genesis.parameters.header_memory:
        raise UnknownAction("nodes may have pruned the headers: the memory only shrinks", action=record.action)
    if changed.header_trail != context.genesis.parameters.header_trail:
        raise UnknownAction("headers are bound from the first one or never", action=record.action)
    return rules(replace(in_force(view, context.genesis), parameters=changed), context.genesis)


def admit_account(view: View, genesis: Genesis, suite: int, public_key: bytes, balance: int) -> Outcome:
    """List an account with its first balance. Raises AccountExists: a balance is never overwritten."""
    if suite != SUITE_ED25519 or len(public_key) != 32 or not 0 <= balance <= MAX_BALANCE:
        raise UnknownAction("an account has a known suite, a 32-byte key and a balance", suite=suite)
    if public_key in succession.every_part(view, genesis):
        raise UnknownAction("an authority's key signs no transaction (P16)", action="account.admit")
    name = account_id(suite, public_key)
    if view.get(keys.ACCOUNT, keys.account(name)) is not None:
        raise AccountExists("listed already", account=name)
    if view.get(keys.ACCOUNT, keys.account_key(name)) is not None:
        raise AccountExists("another account has rotated to this key", account=name)
    outcome = Outcome()
    outcome.set(keys.ACCOUNT, keys.account(name), Account(suite, public_key, balance).to_bytes())
    outcome.emit("account_admitted", ("account", name))
    return outcome


def in_force(view: View, genesis: Genesis) -> Genesis:
    """The genesis as it would be written today: with the parameters, suites and authorities that stand now."""
    return replace(
        genesis,
        parameters=parameters(view, genesis),
        suites=suites.table(view, genesis),
        authority=succession.standing(view, genesis).keys,
    )


def rules(current: Genesis, genesis: Genesis) -> Outcome:
    """Write the parameters and suites in force and their digest under the rules store; hosts pin the digest."""
    digest, outcome = rules_digest(current, genesis), Outcome()
    outcome.set(keys.RULES, keys.RULES_PARAMETERS, cbor.encode(current.parameters.to_cbor()))
    if current.suites != DEFAULT:  # which nothing leads back to: each change leaves a height behind
        outcome.set(keys.RULES, keys.RULES_SUITES, cbor.encode(current.suites.to_value()))
    outcome.set(keys.RULES, keys.RULES_DIGEST, digest)
    outcome.emit("rules_changed", ("digest", digest.hex()))
    return outcome


def rules_digest(current: Genesis, genesis: Genesis) -> bytes:
    """What hosts pin: 32 bytes over the ledger's domain, authorities, parameters, and suites unless the default."""
    authorities = [[key.suite, *key.parts] for key in current.authority]
    covered: list[Any] = [RULES_LABEL, genesis.domain_id, authorities, cbor.encode(current.parameters.to_cbor())]
    if current.suites != DEFAULT:
        covered.append(cbor.encode(current.suites.to_value()))
    return hashlib.sha256(cbor.encode(covered)).digest()


def parameters(view: View, genesis: Genesis) -> Parameters:
    """The parameters in force: the genesis ones until an action changed them."""
    data = view.get(keys.RULES, keys.RULES_PARAMETERS)
    return genesis.parameters if data is None else _decoded(data)


@lru_cache(64)
def _decoded(data: bytes) -> Parameters:
    # The same bytes give the same parameters; they change a few times in a ledger's life.
    return Parameters.from_cbor(cbor.decode(data))
