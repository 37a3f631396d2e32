"""Signer sets and their members as JSON that people exchange, read and accept.

{"epoch": 1, "threshold": 3, "signers": [MEMBER, …]}
MEMBER = {"key": [suite, "hex", …], "weight": 1, "operator": "…", "source": "…", "until": "2027-01-31T00:00:00Z"}
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lockgate.crypto.keys import IdentityKey
from lockgate.lightclients.attested import Signer, SignerSet
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

MAX_FILE: Final = 256_000  # 32 members; a hybrid key is 4,000 characters
FIELDS: Final = {"key", "weight", "operator", "source", "until"}


class BadSignerSet(Refused):
    code = "attestor.bad_set"
    summary = "The file holds no signer set, or no member of one, that can be read."
    untouched = "Nothing was accepted."
    next_step = "Have it made again with `lockgate attestor show` and `lockgate attestor compose`."


def to_json(signers: SignerSet) -> dict[str, Any]:
    members = [member_json(signer) for signer in signers.signers]
    return {"epoch": signers.epoch, "threshold": signers.threshold, "signers": members}


def member_json(signer: Signer) -> dict[str, Any]:
    return {
        "key": [signer.key.suite, *(part.hex() for part in signer.key.parts)],
        "weight": signer.weight,
        "operator": signer.operator,
        "source": signer.source,
        "until": datetime.fromtimestamp(signer.until // NANOS_PER_SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def read_set(value: Any) -> SignerSet:
    """Read a set; members are put in the ledger's order. Raises BadSignerSet; `check_set` judges what it says."""
    try:
        if set(value) != {"epoch", "threshold", "signers"}:
            raise BadSignerSet("a set has epoch, threshold and signers")
        return compose(int(value["epoch"]), int(value["threshold"]), [read_member(one) for one in value["signers"]])
    except (TypeError, ValueError, AttributeError) as error:
        raise BadSignerSet(str(error)[:200]) from error


def compose(epoch: int, threshold: int, members: list[Signer]) -> SignerSet:
    """A set of these members, ascending by key hash."""
    ordered = tuple(sorted(members, key=lambda signer: signer.key.hash))
    return SignerSet(epoch=epoch, threshold=threshold, signers=ordered)


def read_member(value: Any) -> Signer:
    """Raises BadSignerSet."""
    try:
        if set(value) != FIELDS:
            raise BadSignerSet(f"a member has {', '.join(sorted(FIELDS))}")
        suite, *parts = value["key"]
        return Signer(
            key=IdentityKey(int(suite), tuple(bytes.fromhex(part) for part in parts)),
            weight=int(value["weight"]),
            operator=str(value["operator"]),
            source=str(value["source"]),
            until=_time(str(value["until"])),
        )
    except BadSignerSet:
        raise
    except (TypeError, ValueError, AttributeError, OverflowError, LockgateError) as error:
        raise BadSignerSet(str(error)[:200]) from error


def read_file(path: Path) -> Any:
    """The JSON of a file. Raises BadSignerSet."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise BadSignerSet("the file is too long", file=str(path))
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadSignerSet("the file does not read", file=str(path)) from error


def _time(text: str) -> UnixNanos:
    given = datetime.fromisoformat(text)
    if given.tzinfo is None:
        raise BadSignerSet("a time says its zone, such as Z", given=text)
    return UnixNanos(int(given.timestamp()) * NANOS_PER_SECOND)


__all__ = ("FIELDS", "BadSignerSet", "compose", "member_json", "read_file", "read_member", "read_set", "to_json")
