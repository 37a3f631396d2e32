"""From an address to a keystore that is ready: the only place that knows every kind.

`tpm-sealed` is a key file whose passphrase a TPM holds under its policy. The keys are in memory once it is open, so
it is never called hardware (P22).
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from lockgate.keystore.errors import DeviceKeyMissing
from lockgate.keystore.pkcs11 import Pkcs11Token
from lockgate.keystore.place import FilePlace, Place, TokenPlace
from lockgate.keystore.ports import Description, Device, Kind
from lockgate.keystore.store import Keystore
from lockgate.keystore.stretch import DEFAULT_COST, Cost, Passphrase
from lockgate.keystore.tpm import Tpm

KEY_FILE: Final = "keys"
BLOBS: Final = "tpm"
SEALED_LABEL: Final = "passphrase"
SECRET_BYTES: Final = 32
# Nobody guesses 256 random bits, so stretching them buys nothing.
RANDOM_COST: Final = Cost(memory_kib=8, iterations=1, lanes=1)


def open_place(place: Place, home: Path, passphrase: Passphrase) -> Keystore:
    """The keystore of a party whose folder is `home`. Its file is read if it is there; nothing is made.

    The passphrase opens the file, except in a `tpm-sealed` one, whose own is made with the first key.
    Raises what the file and the device raise.
    """
    path = home / KEY_FILE
    device: Device | None = None
    by: Description | None = None
    cost = DEFAULT_COST
    if isinstance(place, TokenPlace):
        device = Pkcs11Token(place)
    elif not isinstance(place, FilePlace):
        tpm = Tpm(place, home / BLOBS)
        if place.sealed:
            passphrase, by, cost = _sealed(tpm, path)
            tpm.close()
        else:
            device = tpm
    keystore = Keystore(path, passphrase, device, cost=cost, sealed_by=by)
    try:
        if keystore.exists:
            keystore.read()
    except BaseException:
        keystore.close()
        raise
    return keystore


def _sealed(tpm: Tpm, path: Path) -> tuple[Passphrase, Description, Cost]:
    """Take the passphrase out of the TPM; one is made where there is no key file yet."""
    said = tpm.describe()
    by = Description(Kind.TPM_SEALED, f"a file that a TPM opens ({said.name})", said.bound_to, said.warning)
    try:
        secret = tpm.unseal(SEALED_LABEL)
    except DeviceKeyMissing:
        if path.exists():  # a file of another keystore, or its blob is lost: neither is a reason to make a new one
            raise
        secret = secrets.token_bytes(SECRET_BYTES)
        tpm.seal(SEALED_LABEL, secret)
    return Passphrase(secret.hex()), by, RANDOM_COST


__all__ = ("BLOBS", "KEY_FILE", "open_place")
