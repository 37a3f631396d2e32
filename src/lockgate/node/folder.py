"""The data folder of a deployment: who finds what where.

```
<data>/passphrase                 opens the key files; 0600
<data>/ledgers/<name>/genesis.cbor, keys, ledger.sqlite, address.json
<data>/signers/<name>.state       what each validator signed, outside every database and backup (P12);
<data>/signers/<name>.validators/<number>.state, under the key of a later hand-over
<data>/hosts/<name>/keys, host.sqlite, host.sock, endpoint.json
<data>/relays/<name>/keys, relay.json
<data>/chains/<name>/...                chains that are not ours: `node.foreign.spec`
<data>/operators/main/keys, issuer.json   who issues tokens: `node.issuing`
<data>/attestors/<name>/keys, attestor.json, sets; <data>/signers/attestor-<name>.said, what it signed
```
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockgate.crypto.keys import SecretBytes
from lockgate.keystore.opening import KEY_FILE
from lockgate.keystore.ports import Kind
from lockgate.keystore.stretch import Cost, Passphrase
from lockgate.keystore.whole import make_folder, write_whole
from lockgate.primitives.errors import LockgateError, Refused, Unavailable

SUITE_ED25519 = 1


class NotInitialised(Refused):
    code = "node.not_initialised"
    summary = "The data folder holds no such ledger, host or relay."
    next_step = "Run `lockgate up`, or name the right folder with --data."


class NotRunning(Unavailable):
    code = "node.not_running"
    summary = "The process is not running, or does not answer at its recorded address."
    next_step = "Start it with `lockgate up`."


class PassphraseGone(Refused):
    code = "node.passphrase_gone"
    summary = "The folder has key files, and the passphrase that they are sealed under is not there."
    untouched = "No passphrase was made; the key files are what they were."
    next_step = "Put the file `passphrase` back, or set LOCKGATE_PASSPHRASE to the one the keys were made under."


class DiskFull(Unavailable):
    code = "node.disk_full"
    summary = "The disk that holds the data folder is full."
    untouched = "What was written before stands; running the command again goes on from there."
    next_step = "Free some space, or name a folder on another disk with --data."


class NotWritable(Refused):
    code = "node.not_writable"
    summary = "A file of the data folder cannot be written."
    next_step = "Check who owns the folder and its permissions, or name another one with --data."


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name what goes wrong while a file is written. Raises DiskFull, NotWritable."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("no space is left", file=str(path)) from error
        raise NotWritable(os.strerror(error.errno or 0), file=str(path)) from error


@dataclass(frozen=True, slots=True)
class Folder:
    """One deployment's data folder, and what its passphrase was stretched to so far."""

    root: Path
    roots: dict[tuple[Cost, bytes], SecretBytes] = field(default_factory=dict, repr=False, compare=False)

    def ledger(self, name: str) -> Path:
        return self.root / "ledgers" / name

    def ledger_address(self, name: str) -> str:
        """Where a ledger's node says it listens now. Raises NotRunning."""
        try:
            return str(read_json(self.ledger(name) / "address.json")["rpc"])
        except (NotInitialised, KeyError) as error:
            raise NotRunning("the ledger has recorded no address", ledger=name) from error

    def host(self, name: str) -> Path:
        return self.root / "hosts" / name

    def relay(self, name: str) -> Path:
        return self.root / "relays" / name

    def attestor(self, name: str) -> Path:
        return self.root / "attestors" / name

    def operator(self, name: str) -> Path:
        return self.root / "operators" / name

    def chain(self, name: str) -> Path:
        """A chain that is not ours."""
        return self.root / "chains" / name

    def said(self, attestor: str) -> Path:
        """What an attestor has signed, outside its own folder and every backup."""
        return self.root / "signers" / f"attestor-{attestor}.said"

    def sign_state(self, name: str, index: int = 0) -> Path:
        """What the ledger's signer has signed, under its first key or that of a later hand-over."""
        signers = self.root / "signers"
        return signers / f"{name}.validators" / f"{index}.state" if index else signers / f"{name}.state"

    def sign_states(self, name: str) -> list[Path]:
        """Those that are there."""
        found = sorted((self.root / "signers" / f"{name}.validators").glob("*.state"))
        return [path for path in (self.sign_state(name), *found) if path.exists()]

    def names(self, kind: str) -> list[str]:
        """Names of the ledgers, hosts or relays that exist here, sorted."""
        base = self.root / kind
        return sorted(entry.name for entry in base.iterdir() if entry.is_dir()) if base.is_dir() else []

    def passphrase(self) -> Passphrase:
        """The deployment's passphrase: `$LOCKGATE_PASSPHRASE`, else a file made on first use, 0600."""
        return Passphrase(self._passphrase_text(), self.roots)

    def _passphrase_text(self) -> str:
        named = os.environ.get("LOCKGATE_PASSPHRASE")
        if named:
            return named
        path = self.root / "passphrase"
        with writing(path):
            make_folder(self.root)
            if not path.exists():
                opened = self._key_files()
                if opened and not path.exists():  # who makes keys has made the passphrase before
                    raise PassphraseGone(file=str(path), keys=str(opened[0]))
                with contextlib.suppress(FileExistsError):  # another process was first, so its passphrase is
                    write_whole(path, secrets.token_urlsafe(24).encode(), overwrite=False)
            return path.read_text()

    def _key_files(self) -> list[Path]:
        """Key files that a passphrase of people opens: the folder's own, as of a reserve, and those of its parties."""
        found = [path for path in (self.root / KEY_FILE, *sorted(self.root.glob(f"*/*/{KEY_FILE}"))) if path.exists()]
        return [path for path in found if not _sealed_by_tpm(path.parent / "keystore.json")]


def _sealed_by_tpm(record: Path) -> bool:
    try:
        return str(read_json(record).get("place")).startswith(Kind.TPM_SEALED.value)
    except (LockgateError, AttributeError):
        return False


def write_json(path: Path, value: dict[str, Any], *, durable: bool = True) -> None:
    """Write a small record atomically, readable by its owner only.

    Not `durable` is for what is written all the time and says only what is now: a power loss may leave none of it.
    """
    data = json.dumps(value, indent=1, sort_keys=True).encode()
    with writing(path):
        make_folder(path.parent)
        write_whole(path, data, durable=durable)


def write_file(path: Path, data: bytes) -> None:
    """Write what a person asked for, whole or not at all. Raises DiskFull, NotWritable."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_bytes(data)
        temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise NotInitialised("nothing is recorded here", file=str(path)) from error
    except (OSError, ValueError) as error:
        raise NotRunning("the record does not read", file=str(path)) from error
    return value
