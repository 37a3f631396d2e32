"""The operator of a deployment: whose tokens its hosts take, and the key that signs them (P22, I2).

```
<data>/operators/main/keys           the key, in a keystore like any other party's
<data>/operators/main/issuer.json    its public half: what hosts read, for each call, so that a key that is gone is gone
```
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from lockgate.crypto.keys import IdentityKey, IdentitySigner, KeyRole
from lockgate.keystore.store import Keystore, Wanted
from lockgate.node.folder import Folder, NotInitialised, read_json, write_json
from lockgate.node.keystores import open_keystore, publish
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.session.tokens import Issuer, Issuers

OPERATOR: Final = "main"
RECORD: Final = "issuer.json"
_KEY: Final = "operator-"  # its generations are numbered
VERBS: Final = {  # what may be asked of a host, by what it is good for
    "read": ("body", "inbox", "message", "outbox", "status", "subscribe", "wait"),
    "act": ("command", "drop_body", "send", "send_file"),
    "keep": ("accept_rules", "rotate"),
}
GRANTS: Final = frozenset(verb for verbs in VERBS.values() for verb in verbs)


class NoOperator(Refused):
    code = "token.no_operator"
    summary = "The deployment's operator key cannot be opened, so no token can be issued."
    untouched = "No token was issued, and nothing was asked of the host."
    next_step = "Set LOCKGATE_PASSPHRASE, or name a pass of the operator's (`lockgate token issue`) in LOCKGATE_TOKEN."


def wanted_keys(keystore: Keystore) -> Wanted:
    return {f"{_KEY}0": (KeyRole.OPERATOR, keystore.identity_suite)}


def ensure(folder: Folder) -> None:
    """Make the operator's key and its record where there is none."""
    if not _record(folder).exists():
        with _alone(folder):
            if not _record(folder).exists():
                _publish(folder, _newest(_open(folder)))


def signer(folder: Folder) -> IdentitySigner:
    """The operator's key. Raises NoOperator where nothing opens it."""
    opens = (folder.root / "passphrase").exists() or os.environ.get("LOCKGATE_PASSPHRASE")
    if _record(folder).exists() and not opens:  # to make a passphrase now would open nothing
        raise NoOperator(folder=str(folder.root))
    ensure(folder)
    keystore, published = _open(folder), issuers(folder)
    found = [keystore.identity(one.name) for one in keystore.facts()]
    for each in found:  # the one that hosts take: a rotation that was cut off has left another beside it
        if each.key.hash in published:
            return each
    raise NoOperator("its key file does not have the key that hosts take", folder=str(folder.root))


def rotate(folder: Folder) -> IdentityKey:
    """Replace the operator's key: tokens of the old one are refused from now on, and it is deleted."""
    ensure(folder)
    with _alone(folder):
        keystore = _open(folder)
        try:
            names = [one.name for one in keystore.facts()]
            number = max(int(name.removeprefix(_KEY)) for name in names) + 1
            keystore.make({f"{_KEY}{number}": (KeyRole.OPERATOR, keystore.identity_suite)})
            following = keystore.identity(f"{_KEY}{number}")
            _publish(folder, following)
            keystore.drop(names)
            publish(folder.operator(OPERATOR), keystore)
        finally:
            keystore.close()
    return following.key


def issuers(folder: Folder) -> Issuers:
    """Whose tokens count here; nobody's where the record does not read."""
    with suppress(LockgateError, KeyError, TypeError, ValueError):
        found: dict[str, Any] = read_json(_record(folder))
        key = IdentityKey(found["suite"], tuple(bytes.fromhex(part) for part in found["parts"]))
        return {key.hash: Issuer(name=str(found["name"]), key=key, grants=GRANTS)}
    return {}


def issuer_name(folder: Folder) -> str:
    """Under which name the operator issues. Raises NotInitialised."""
    found = next(iter(issuers(folder).values()), None)
    if found is None:
        raise NotInitialised("the deployment has no operator yet", folder=str(folder.root))
    return found.name


def _record(folder: Folder) -> Any:
    return folder.operator(OPERATOR) / RECORD


def _open(folder: Folder) -> Keystore:
    return open_keystore(folder, folder.operator(OPERATOR), wanted_keys)


def _newest(keystore: Keystore) -> IdentitySigner:
    names = [one.name for one in keystore.facts()]
    return keystore.identity(max(names, key=lambda name: int(name.removeprefix(_KEY))))


def _publish(folder: Folder, newest: IdentitySigner) -> None:
    parts = [part.hex() for part in newest.key.parts]
    write_json(_record(folder), {"name": f"operator:{OPERATOR}", "suite": newest.key.suite, "parts": parts})


@contextmanager
def _alone(folder: Folder) -> Iterator[None]:
    """One process at a time makes keys: two would leave a record of one and the key of the other."""
    home = folder.operator(OPERATOR)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / ".lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


__all__ = (
    "GRANTS",
    "OPERATOR",
    "VERBS",
    "NoOperator",
    "ensure",
    "issuer_name",
    "issuers",
    "rotate",
    "signer",
    "wanted_keys",
)
