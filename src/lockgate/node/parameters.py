"""A ledger's parameters as people give them: in a deployment file, and on the command line.

parameters = { deviation_slow_at = 2, deviation_slowed_ns = "20 min" }
lockgate ledger create alpha alpha-1 --set deviation_slow_at=2 --set deviation_slowed_ns=20min
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from lockgate.machine.errors import BadGenesis
from lockgate.machine.genesis import Genesis, Parameters
from lockgate.primitives.errors import Refused
from lockgate.primitives.time import NANOS_PER_MILLI, NANOS_PER_SECOND

UNITS: Final = {
    "ns": 1,
    "ms": NANOS_PER_MILLI,
    "s": NANOS_PER_SECOND,
    "min": 60 * NANOS_PER_SECOND,
    "h": 3600 * NANOS_PER_SECOND,
    "d": 24 * 3600 * NANOS_PER_SECOND,
}
DURATION: Final = re.compile(r"([0-9]{1,18}) ?([a-z]+)")
WHETHER: Final = {"true": True, "false": False}
KINDS: Final = {item.name: type(item.default) for item in fields(Parameters)}


class BadParameters(Refused):
    code = "node.bad_parameters"
    summary = "A ledger cannot have these parameters."
    untouched = "Nothing was written."
    next_step = "Compare them with the ledger parameters in docs/reference/configuration.md."


class OtherParameters(Refused):
    code = "node.other_parameters"
    summary = "The ledger was made with other parameters, and those of a genesis never change."
    untouched = "Nothing was written, and the ledger is as it was."
    next_step = "Leave them out to use the ledger as it is, announce `parameters.set`, or make another ledger."


def read(given: Mapping[str, Any]) -> Parameters:
    """The defaults with some changed. Durations are numbers of ns, or text with a unit. Raises BadParameters."""
    try:
        return Parameters.from_cbor({name: _value(name, value) for name, value in given.items()})
    except BadGenesis as error:
        raise BadParameters(error.detail, **error.fields) from error


def options(given: Iterable[str]) -> dict[str, Any]:
    """`NAME=VALUE` of the command line, the later one of a name. Raises BadParameters."""
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadParameters("a parameter is given as NAME=VALUE", given=text)
        number = value.replace("_", "").replace(",", "")
        found[name] = int(number) if number.isascii() and number.isdecimal() and len(number) < 20 else value
    return found


def check_same(genesis: Genesis, asked: Parameters | None) -> Genesis:
    """The genesis that is there, unless other parameters are asked for. Raises OtherParameters."""
    if asked is not None and asked != genesis.parameters:
        was, now = genesis.parameters.to_map(), asked.to_map()
        name = next(name for name in was if was[name] != now[name])
        raise OtherParameters(
            "one differs", ledger=genesis.chain_id, parameter=name, genesis=was[name], asked=now[name]
        )
    return genesis


def _value(name: str, value: Any) -> Any:
    if name not in KINDS:
        raise BadParameters("unknown parameter", parameter=name, known=", ".join(KINDS))
    if KINDS[name] is bool and value in WHETHER:
        return WHETHER[value]
    if not isinstance(value, str) or not name.endswith("_ns"):
        return value
    match = DURATION.fullmatch(value)
    if match is None or match[2] not in UNITS:
        raise BadParameters("a duration is a number with a unit", parameter=name, given=value, units=", ".join(UNITS))
    return int(match[1]) * UNITS[match[2]]


__all__ = ("BadParameters", "OtherParameters", "check_same", "options", "read")
