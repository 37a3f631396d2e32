"""The relayer's account on a chain that is not ours: a key file that somebody names, or a sealed one of the folder.

A scalar is expanded from a sealed seed under a label of its own, so that it is no other key of that seed. It is never
an argument of a command, and nothing prints it.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from lockgate.crypto.hashes import SHA256
from lockgate.crypto.kdf import hkdf_expand
from lockgate.crypto.keys import SEED_BYTES, KeyRole, SecretBytes
from lockgate.crypto.recoverable import EvmKey
from lockgate.keystore.file import read_key_file, write_key_file
from lockgate.keystore.sealed import StoredKey
from lockgate.keystore.software import OsEntropy
from lockgate.node.folder import SUITE_ED25519, Folder, writing
from lockgate.node.foreign.spec import ChainSpec
from lockgate.primitives.errors import Refused

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SCALAR_BYTES: Final = 32
WIDE: Final = 48  # so that the scalar is as good as uniform
_NAME: Final = "secp256k1"
_LABEL: Final = b"lockgate/secp256k1/1\x00"
_HEX: Final = re.compile(rb"(?:0x)?([0-9a-fA-F]{64})\s*")
MAX_FILE: Final = 200


class BadKeyFile(Refused):
    code = "config.key_file"
    summary = "The key file of a chain's account cannot be used."
    untouched = "Nothing was signed."
    next_step = (
        "It holds 64 hexadecimal digits, belongs to who runs the relayer, and nobody else may read it (chmod 600)."
    )


def account_scalar(folder: Folder, spec: ChainSpec) -> bytes:
    """The secret of the relayer's account on a chain. Raises BadKeyFile."""
    if spec.key_file:
        return _read(Path(spec.key_file))
    return derived(folder, folder.chain(spec.name) / "keys", KeyRole.ACCOUNT)


def attester_key(folder: Folder, attestor: str) -> EvmKey:
    """The key by which an attestor signs for contracts."""
    return EvmKey(derived(folder, folder.attestor(attestor) / "evm-keys", KeyRole.ATTESTER))


def derived(folder: Folder, path: Path, role: KeyRole) -> bytes:
    """A scalar of a sealed seed, made where it is not there. Its curve is in no keystore: it lies in a file (P22)."""
    passphrase = folder.passphrase()
    if not path.exists():
        with writing(path.parent):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = StoredKey(role, SUITE_ED25519, SecretBytes(OsEntropy().bytes(SEED_BYTES)))
        write_key_file(path, {_NAME: made}, passphrase)
    seed = read_key_file(path, passphrase)[_NAME].seed.reveal()
    wide = hkdf_expand(SHA256, seed, _LABEL + role.value.encode(), WIDE)
    return (int.from_bytes(wide) % (ORDER - 1) + 1).to_bytes(SCALAR_BYTES)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(MAX_FILE)
    except OSError as error:
        raise BadKeyFile(os.strerror(error.errno or 0), file=path) from error
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.geteuid():
        raise BadKeyFile("others may read it, or it is another's", file=path, mode=oct(stat.S_IMODE(found.st_mode)))
    match = _HEX.fullmatch(data)
    if match is None:
        raise BadKeyFile("not 64 hexadecimal digits", file=path)
    scalar = bytes.fromhex(match[1].decode())
    if not 0 < int.from_bytes(scalar) < ORDER:
        raise BadKeyFile("no key of the curve", file=path)
    return scalar


__all__ = ("BadKeyFile", "account_scalar", "attester_key", "derived")
