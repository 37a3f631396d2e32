"""The suites in force on a ledger, and how they change (P16, S61).

The table stands under one provable key, and the digest that hosts pin covers it. The authority announces an activation
or a sunset, which takes the delay that every action takes. Stopping a suite is immediate: the stop stands under a key
of its own and not in the digest, for it only takes away, and nobody has to agree to less. An activation after it ends
the stop, and so goes the announced way.

The machine holds the key records that endpoints write to the table and to what their lanes ask for. It cannot see what
a body is sealed under: hosts judge that, by the tables and policies of both ledgers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.machine import authority, keys
from lockgate.machine.context import Context, field, only_fields
from lockgate.machine.errors import CODESPACE
from lockgate.machine.gas import AUTHORIZATION
from lockgate.machine.genesis import Genesis
from lockgate.machine.identity import KeyRecord
from lockgate.machine.records import Lane
from lockgate.machine.suite_policy import ANY, FIELDS, BadPolicy, SuitePolicy
from lockgate.machine.suite_table import (
    DEFAULT,
    KNOWN,
    NEVER,
    BadSuiteRecord,
    SuiteKind,
    SuiteName,
    SuiteRecord,
    SuiteTable,
    name_of,
)
from lockgate.primitives.errors import Refused
from lockgate.primitives.state import Outcome, View

ACTIVATE: Final = "suite.activate"
SUNSET: Final = "suite.sunset"
LANE: Final = "lane.suites"
STOP: Final = "suite.stop"


class SuiteNotActive(Refused):
    code = "suites.not_active"
    summary = "A suite is not active on a ledger at this height: not yet, or past its sunset (S61)."
    untouched = "Nothing was registered, granted, sealed or opened under it."
    next_step = "Use keys of a suite that `lockgate ledger suites list` shows as active."
    wire = (CODESPACE, 119)


# What is in force.


def table(view: View, genesis: Genesis) -> SuiteTable:
    """The table without stops, as the rules digest covers it."""
    data = view.get(keys.RULES, keys.RULES_SUITES)
    return genesis.suites if data is None else read_table(data)


def in_force(view: View, genesis: Genesis) -> SuiteTable:
    """What counts: the table with the ends that the authority set at once."""
    return table(view, genesis).stopped(read_stops(view.get(keys.RULES, keys.RULES_STOPS)))


@lru_cache(64)
def read_table(data: bytes | None) -> SuiteTable:
    """What stands under `rules/suites`; a ledger where nothing does goes by the default. Raises BadSuiteRecord."""
    return DEFAULT if data is None else SuiteTable.from_value(cbor.decode(data))


def read_stops(data: bytes | None) -> dict[SuiteName, int]:
    """What stands under `rules/stops`: heights at which suites ended. Raises BadSuiteRecord."""
    value: Any = () if data is None else cbor.decode(data)
    try:
        return {name_of(kind, number): int(height) for kind, number, height in value}
    except (TypeError, ValueError) as error:
        raise BadSuiteRecord("not a list of stopped suites") from error


def policy_of(view: View, lane_id: bytes) -> SuitePolicy:
    """What a lane asks of its suites."""
    return read_policy(view.get(keys.LANE, keys.lane_suites(lane_id)))


def read_policy(data: bytes | None) -> SuitePolicy:
    """What stands under a lane's key; a lane where nothing does asks for nothing beyond the table."""
    return ANY if data is None else SuitePolicy.from_bytes(data)


# What endpoints may use.


def names_of(record: KeyRecord) -> tuple[SuiteName, SuiteName]:
    """The suites of a key record: of its identity and of its sealing key."""
    return SuiteName(SuiteKind.SIGNATURE, record.identity.suite), SuiteName(SuiteKind.SEAL, record.sealing.suite)


def check_record(view: View, context: Context, record: KeyRecord, policy: SuitePolicy = ANY) -> None:
    """Both suites of a key record are active here and now, and meet a policy. Raises SuiteNotActive, BelowPolicy."""
    found, height = in_force(view, context.genesis), context.block.height.height
    for name in names_of(record):
        if not found.active(name, height):
            raise SuiteNotActive("not active on this ledger", suite=name, height=height)
        policy.check(name, KNOWN[name])


# How it changes.


def check_action(action: str, arguments: Mapping[str, Any], due: int) -> None:
    """What can be said of an action when it is announced. Raises BadSuiteRecord, BadPolicy."""
    if action == LANE:
        SuitePolicy.read({name: arguments[name] for name in FIELDS})
        return
    name_of(arguments["kind"], arguments["suite"])
    height = arguments["height"]
    if height and not due <= height < 1 << 63:
        raise BadSuiteRecord("the height is earlier than the action takes effect", height=height, due=due)


def changed(view: View, context: Context, action: str, arguments: Mapping[str, Any]) -> tuple[SuiteTable, Outcome]:
    """The table after an activation or a sunset that is due, and what else that writes. Raises BadSuiteRecord."""
    now, outcome = context.block.height.height, Outcome()
    name, height = name_of(arguments["kind"], arguments["suite"]), arguments["height"] or now
    stops = read_stops(view.get(keys.RULES, keys.RULES_STOPS))
    made = after(table(view, context.genesis), stops, action, name, height, now)
    if action == ACTIVATE and stops.pop(name, None) is not None:
        outcome.set(keys.RULES, keys.RULES_STOPS, _stops_value(stops))
    return made, outcome


def after(
    written: SuiteTable, stops: Mapping[SuiteName, int], action: str, name: SuiteName, height: int, now: int
) -> SuiteTable:
    """What an activation or a sunset at `height` makes of a table at height `now`. Raises BadSuiteRecord."""
    stands = written.stopped(stops).find(name)
    if action == ACTIVATE:
        if stands is not None and not stands.over(now):
            raise BadSuiteRecord("it is active, or will be", suite=name, active_from=stands.active_from)
        return written.with_record(SuiteRecord(name, KNOWN[name], height, NEVER))
    if stands is None or stands.over(now):
        raise BadSuiteRecord("it is over, or never was", suite=name)
    return written.with_record(SuiteRecord(name, KNOWN[name], stands.active_from, height))


def stop(view: View, context: Context, message: Mapping[str, Any]) -> Outcome:
    """End a suite at once, from this height on. It can only end: activating takes the announced path."""
    only_fields(message, "kind", "suite", "note", AUTHORIZATION)
    by, outcome = authority.require(view, context, STOP, message)
    name, height = name_of(field(message, "kind", str), field(message, "suite", int)), context.block.height.height
    note = field(message, "note", str)
    stands = in_force(view, context.genesis).find(name)
    if stands is None or stands.over(height):
        raise BadSuiteRecord("it is over, or never was", suite=name)
    stops = {**read_stops(view.get(keys.RULES, keys.RULES_STOPS)), name: height}
    outcome.set(keys.RULES, keys.RULES_STOPS, _stops_value(stops))
    outcome.emit(
        "suite_stopped", ("kind", name.kind), ("suite", str(name.number)), ("note", f"{by.key_id.hex()}: {note}"[:256])
    )
    return outcome


def _stops_value(stops: Mapping[SuiteName, int]) -> bytes:
    return cbor.encode([[one.kind.value, one.number, at] for one, at in sorted(stops.items())])


def set_policy(lane: Lane, policy: SuitePolicy) -> Outcome:
    """Write what a lane asks for. Raises BadPolicy for one family over a lane that carries value (P10)."""
    if lane.caps.value and policy != policy.bearing_value():
        raise BadPolicy("value crosses under two families or not at all", lane=lane.lane_id, least=policy.least)
    outcome = Outcome()
    outcome.set(keys.LANE, keys.lane_suites(lane.lane_id), policy.to_bytes())
    outcome.emit("lane_suites", ("lane", lane.lane_id.hex()), ("least", str(policy.least)))
    return outcome


__all__ = (
    "ACTIVATE",
    "LANE",
    "STOP",
    "SUNSET",
    "SuiteNotActive",
    "after",
    "changed",
    "check_action",
    "check_record",
    "in_force",
    "names_of",
    "policy_of",
    "read_policy",
    "read_stops",
    "read_table",
    "set_policy",
    "stop",
    "table",
)
