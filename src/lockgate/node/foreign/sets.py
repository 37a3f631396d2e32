"""The signing set of an attested contract, and the attestors that a deployment makes for a lane to an EVM.

Each attestor of such a lane watches both sides: the chain, for the ledger's client of it, and the ledger, for the
contract. It has a key for each. Those of a deployment are one person's, and their set says so; a set of several
operators is composed by them (docs/how-to/relay-to-evm.md).

A set as JSON: {"epoch": 1, "threshold": 3, "operators": 3, "expires": 1830000000,
"members": [{"operator": 1, "signer": "0x…", "weight": 1}, …]}
"""

from __future__ import annotations

import re
import time
from typing import Any, Final

from lockgate.lightclients.evm_attestation import Member, SigningSet
from lockgate.node.folder import Folder
from lockgate.node.foreign.keys import attester_key
from lockgate.node.foreign.spec import ADDRESS, EvmSpec
from lockgate.node.signer_sets import BadSignerSet
from lockgate.primitives.time import UnixSeconds

DAY_S: Final = 86_400
MOST: Final = 2**40 - 1  # an expiry, as the contract keeps it


def names_of(spec: EvmSpec) -> list[str]:
    """The attestors of a lane that a deployment makes."""
    return [f"{spec.name}-{number}" for number in range(1, spec.attestors + 1)]


def first_set(folder: Folder, spec: EvmSpec) -> SigningSet:
    """The set that the contract is deployed with. Makes the attestors' keys where they are not there."""
    members = tuple(
        Member(place, attester_key(folder, name).address, 1) for place, name in enumerate(names_of(spec), start=1)
    )
    return SigningSet(members, spec.quorum, spec.quorum, UnixSeconds(int(time.time()) + spec.set_days * DAY_S))


def to_json(epoch: int, signing: SigningSet) -> dict[str, Any]:
    members = [
        {"operator": one.operator, "signer": "0x" + one.signer.hex(), "weight": one.weight} for one in signing.members
    ]
    shown = {"threshold": signing.threshold, "operators": signing.operators, "expires": int(signing.expires)}
    return {"epoch": epoch, "members": members, **shown}


def read(value: Any) -> tuple[int, SigningSet]:
    """An epoch and its set. Raises BadSignerSet; the contract judges what it says."""
    try:
        if set(value) != {"epoch", "members", "threshold", "operators", "expires"}:
            raise BadSignerSet("a set has epoch, members, threshold, operators and expires")
        members = tuple(map(_member, value["members"]))
        numbers = [value[name] for name in ("epoch", "threshold", "operators", "expires")]
    except (TypeError, KeyError, AttributeError) as error:
        raise BadSignerSet(str(error)[:200]) from error
    if not all(type(number) is int and 0 < number <= MOST for number in numbers) or not 2 <= len(members) <= 16:
        raise BadSignerSet("numbers are positive, and members 2 to 16")
    epoch, threshold, operators, expires = numbers
    return epoch, SigningSet(members, threshold, operators, UnixSeconds(expires))


def _member(value: Any) -> Member:
    operator, signer, weight = value["operator"], value["signer"], value["weight"]
    if type(operator) is not int or type(weight) is not int or not 0 < operator < 2**63 or not 0 < weight < 2**16:
        raise BadSignerSet("operators are positive numbers, weights 1 to 65,535")
    if type(signer) is not str or not re.fullmatch(ADDRESS, signer):
        raise BadSignerSet("a signer is an address")
    return Member(operator, bytes.fromhex(signer[2:]), weight)


__all__ = ("first_set", "names_of", "read", "to_json")
