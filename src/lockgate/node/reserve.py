"""An endpoint's next identity in a place of its own, as on a medium that is attached to rotate (P5, S13).

An endpoint's record commits to the identity that comes after it. Where that lies beside the one in use, whoever copies
the key file rotates the endpoint before its owner does, and only a revocation ends the theft. Kept apart, a copy is
good until the next rotation and no longer. The reserve is a folder with a key file and, unless `$LOCKGATE_PASSPHRASE`
is set, its passphrase: who holds the medium holds the next identity, and nothing else.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from lockgate.keystore.opening import KEY_FILE, open_place
from lockgate.keystore.place import FilePlace
from lockgate.keystore.store import Keystore
from lockgate.keystore.whole import make_folder
from lockgate.node.folder import Folder, writing
from lockgate.node.keystores import Party, changing, place_of, recorded, set_reserve
from lockgate.primitives.errors import Refused, Unavailable
from lockgate.storage.ledger import take_lock

NOWHERE: Final = "none"
IDENTITY: Final = "identity-"


class ReserveAbsent(Unavailable):
    code = "keys.reserve_absent"
    summary = "The next identity lies apart, and its place is not attached."
    untouched = "The endpoint has the keys it had."
    next_step = "Attach the medium at `reserve` of the host's keystore.json, then rotate again; detach it afterwards."


class NotApart(Refused):
    code = "keys.not_apart"
    summary = "The next identity cannot be moved there."
    untouched = "The keys lie where they lay."
    next_step = "Keep apart the keys of a host that lie in a file, in a folder outside the data folder that is empty."


def reserve_of(home: Path) -> Path | None:
    """Where a host's next identity lies; None: beside the one in use. Raises BadKeystore."""
    text = recorded(home).get("reserve")
    return Path(text) if isinstance(text, str) else None


def open_reserve(path: Path) -> Keystore:
    """Raises ReserveAbsent, and what the file raises."""
    if not (path / KEY_FILE).exists():
        raise ReserveAbsent(path=str(path))
    return open_place(FilePlace(), path, Folder(path).passphrase())


def set_apart(folder: Folder, party: Party, where: str) -> dict[str, Any]:
    """Move a stopped host's next identity to a folder, or with `none` back. Done again, it finishes what was begun.

    Raises NotApart, ReserveAbsent, StoreInUse where the host runs, and what key files raise.
    """
    if party.kind != "hosts" or not isinstance(place_of(party.home), FilePlace):
        raise NotApart("only a host's keys in a file have a next identity that can lie elsewhere", party=party.path)
    stands = reserve_of(party.home)
    path = None if where == NOWHERE else Path(where).absolute()
    if stands is not None and path not in (None, stands):
        raise NotApart("it lies apart already: bring it back first, with `none`", party=party.path, path=str(stands))
    lock = take_lock(party.home / "host.lock")
    try:
        if path is not None:
            _move_out(folder, party, path)
        elif stands is not None:
            _move_back(folder, party, stands)
    finally:
        os.close(lock)
    return {"party": party.path, "reserve": None if path is None else str(path)}


def identities(keys: Keystore) -> list[str]:
    """Names of identities that a keystore holds, oldest first."""
    return sorted((name for name in keys.kinds() if name.startswith(IDENTITY)), key=number_of)


def number_of(name: str) -> int:
    """The record that an identity was made for: `identity-7`, and `identity-7-3` of suite 3 beside it."""
    return int(name.removeprefix(IDENTITY).partition("-")[0])


def _move_out(folder: Folder, party: Party, path: Path) -> None:
    if path.is_relative_to(folder.root.absolute()):
        raise NotApart("a copy of the data folder would have it too", path=str(path))
    with writing(path):
        make_folder(path)
    apart = open_place(FilePlace(), path, Folder(path).passphrase())
    with closing(apart), changing(folder, party.home, {}) as keys:
        if reserve_of(party.home) is None:
            held, there = identities(keys), identities(apart)
            if len(held) != 2 or there not in ([], held[1:]):  # a rotation is under way, or it is another host's
                raise NotApart("the host has one identity in use and one after it, and the folder has none", held=held)
            apart.take(held[1], keys)  # there before it is gone here
            if apart.identity(held[1]).key != keys.identity(held[1]).key:
                raise NotApart("the folder holds another host's", path=str(path))
            set_reserve(party.home, path)
        keys.drop([name for name in identities(keys) if name in apart])


def _move_back(folder: Folder, party: Party, stands: Path) -> None:
    with closing(open_reserve(stands)) as apart, changing(folder, party.home, {}) as keys:
        held = identities(apart)
        for name in held:
            keys.take(name, apart)
        apart.drop(held)
        set_reserve(party.home, None)  # last: while the record names the place, the next attempt empties it


__all__ = ("NOWHERE", "NotApart", "ReserveAbsent", "identities", "number_of", "open_reserve", "reserve_of", "set_apart")
