"""Where the keys of each party of a deployment lie, and what may be said of them without opening anything.

`keystore.json` beside a party's key file names the place and lists public facts of the keys, for people and `doctor`.
Nothing is decided by these facts: the key file is authenticated, this record is not. Without the record, or without a
place in it, the place is a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.keystore.errors import BadKeystore, OtherKeystore
from lockgate.keystore.opening import KEY_FILE, open_place
from lockgate.keystore.place import FilePlace, Place, parse
from lockgate.keystore.store import KeyFacts, Keystore, Wanted
from lockgate.keystore.whole import make_folder
from lockgate.node.folder import Folder, read_json, write_json, writing
from lockgate.primitives.errors import LockgateError

RECORD: Final = "keystore.json"
LOCK: Final = "keys.lock"
KINDS: Final = ("ledgers", "hosts", "relays", "attestors", "operators")
Choice = Wanted | Callable[[Keystore], Wanted]


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody with keys in this folder: a ledger, a host, a relay, an attestor, its operator."""

    kind: str
    name: str
    home: Path

    @property
    def path(self) -> str:
        """Its name in commands."""
        return f"{self.kind.removesuffix('s')}/{self.name}"

    @property
    def label(self) -> str:
        return f"{self.kind.removesuffix('s')} {self.name}"


def parties(folder: Folder) -> list[Party]:
    """All that have a key file here."""
    found = [Party(kind, name, folder.root / kind / name) for kind in KINDS for name in folder.names(kind)]
    return [party for party in found if (party.home / KEY_FILE).exists()]


def place_of(home: Path) -> Place:
    """Raises BadKeystore."""
    if not (home / RECORD).exists():
        return FilePlace()
    return parse(recorded(home).get("place", "file"))


def recorded(home: Path) -> dict[str, Any]:
    """What the record says; nothing where there is none. Raises BadKeystore."""
    if not (home / RECORD).exists():
        return {}
    try:
        record: Any = read_json(home / RECORD)
    except LockgateError as error:
        raise BadKeystore("the record does not read", file=str(home / RECORD)) from error
    if not isinstance(record, dict):
        raise BadKeystore("the record has another shape", file=str(home / RECORD))
    return record


def choose(home: Path, text: str) -> None:
    """Record the place of a party's keys before they are made. Raises BadKeystore; OtherKeystore once they are."""
    place = parse(text)
    if str(place_of(home)) == str(place):
        return
    if (home / KEY_FILE).exists():
        raise OtherKeystore(configured=str(place), recorded=str(place_of(home)))
    write_json(home / RECORD, {"place": str(place)})


def open_keystore(folder: Folder, home: Path, wanted: Choice) -> Keystore:
    """Open a party's keystore; make its first keys where it has none yet.

    Raises what the file and the device raise, BadKeystore.
    """
    with writing(home):
        make_folder(home)
    keystore = open_place(place_of(home), home, folder.passphrase())
    try:
        if not keystore.exists:
            keystore.make(wanted(keystore) if callable(wanted) else wanted)
            publish(home, keystore)
    except BaseException:
        keystore.close()
        raise
    return keystore


@contextlib.contextmanager
def changing(folder: Folder, home: Path, wanted: Choice) -> Iterator[Keystore]:
    """A party's keystore, to make or drop keys in: one process at a time, and written down when it is done.

    Whoever changes the file reads it anew under the lock, so that two rotations of different keys lose nothing.
    """
    with writing(home):
        make_folder(home)
        lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with writing(home / LOCK):
            fcntl.flock(lock, fcntl.LOCK_EX)
        keystore = open_keystore(folder, home, wanted)
        try:
            yield keystore
            publish(home, keystore)
        finally:
            keystore.close()
    finally:
        os.close(lock)


def publish(home: Path, keystore: Keystore) -> None:
    """Write down what anybody may know of the keys."""
    reserve = recorded(home).get("reserve")
    record = {
        **({} if reserve is None else {"reserve": reserve}),
        "place": str(place_of(home)),
        "kept": {said.kind.value: asdict(said) for said in keystore.descriptions()},
        "keys": {one.name: public(one) for one in keystore.facts()},
    }
    write_json(home / RECORD, record)


def set_reserve(home: Path, path: Path | None) -> None:
    """Record where a host's next identity lies, or with None that it lies with the others. Raises BadKeystore."""
    record = {key: value for key, value in recorded(home).items() if key != "reserve"}
    write_json(home / RECORD, record if path is None else {**record, "reserve": str(path)})


def public(one: KeyFacts) -> dict[str, Any]:
    """Public facts of a key, as JSON has them."""
    halves = [{"algorithm": half.algorithm, "where": half.where.value} for half in one.halves]
    return {"role": one.role.value, "suite": one.suite, "key_id": one.key_id.hex(), "halves": halves}


__all__ = (
    "KINDS",
    "Choice",
    "Party",
    "changing",
    "choose",
    "open_keystore",
    "parties",
    "place_of",
    "public",
    "publish",
    "recorded",
    "set_reserve",
)
