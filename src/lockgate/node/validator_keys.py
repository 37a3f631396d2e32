"""The key with which a cluster's validator signs, and the one with which it signs next (P12, S11).

CometBFT reads `config/priv_validator_key.json` when its node starts. The next key waits beside it, in the same form,
until the ledger says that it signs. What the node has signed last stays where it is: a validator that forgot it could
sign a height twice.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any, Final

from lockgate.crypto import ed25519
from lockgate.keystore.whole import sync_folder
from lockgate.lightclients.cometbft.types import address_of
from lockgate.node.folder import write_json, writing
from lockgate.primitives.errors import Unavailable

KEY: Final = Path("config") / "priv_validator_key.json"
NEXT: Final = Path("config") / "next_validator_key.json"
KEY_BYTES: Final = 32  # of the seed and of the public key


class BadValidatorKey(Unavailable):
    code = "cometbft.validator_key"
    summary = "A validator's key file does not read."
    untouched = "No key was made, replaced or erased."
    next_step = "Restore the file, or remove it where it is the next key's and the ledger lists no such validator."


def public_key(home: Path) -> bytes:
    """The Ed25519 key of a node that starts now. Raises BadValidatorKey."""
    return _read(home / KEY, "pub_key", KEY_BYTES)


def following(home: Path) -> ed25519.SigningKey | None:
    """The key after it, if one waits. Raises BadValidatorKey."""
    path = home / NEXT
    if not path.exists():
        return None
    private = _read(path, "priv_key", 2 * KEY_BYTES)
    key = ed25519.SigningKey(private[:KEY_BYTES])
    if not private[KEY_BYTES:] == key.public_key == _read(path, "pub_key", KEY_BYTES):
        raise BadValidatorKey("its halves do not belong together", file=str(path))
    return key


def prepare(home: Path) -> ed25519.SigningKey:
    """The next key, made where none waits. Raises BadValidatorKey, DiskFull, NotWritable."""
    waiting = following(home)
    if waiting is not None:
        return waiting
    seed = secrets.token_bytes(KEY_BYTES)
    key = ed25519.SigningKey(seed)
    record = {
        "address": address_of(key.public_key).hex().upper(),
        "pub_key": {"type": "tendermint/PubKeyEd25519", "value": b64encode(key.public_key).decode()},
        "priv_key": {"type": "tendermint/PrivKeyEd25519", "value": b64encode(seed + key.public_key).decode()},
    }
    write_json(home / NEXT, record)
    return key


def follow(home: Path) -> None:
    """Put the next key in the place of the last, which is gone then. The node must not run."""
    with writing(home):
        (home / NEXT).replace(home / KEY)
        sync_folder((home / KEY).parent)


def drop(home: Path) -> None:
    """Forget a next key that will not sign."""
    with writing(home):
        (home / NEXT).unlink(missing_ok=True)


def _read(path: Path, name: str, size: int) -> bytes:
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        value = b64decode(record[name]["value"], validate=True)
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise BadValidatorKey("it does not read", file=str(path)) from error
    if len(value) != size:
        raise BadValidatorKey("a key of another length", file=str(path), key=name)
    return value


__all__ = ("BadValidatorKey", "drop", "follow", "following", "prepare", "public_key")
