"""Failures of key files. None of them carries a secret, a passphrase or a piece of the file."""

from __future__ import annotations

from lockgate.primitives.errors import Refused, Unavailable


class WrongPassphrase(Refused):
    code = "keystore.wrong_passphrase"
    summary = "The passphrase does not open this key file, or the file's header was altered."
    untouched = "The key file was only read."
    next_step = "Try the passphrase again; if it is right, restore the file from a backup."


class WeakPassphrase(Refused):
    code = "keystore.weak_passphrase"
    summary = "The passphrase is shorter than a key file may have."
    next_step = "Choose at least eight characters; a sentence is easy to keep in mind."


class KeyFileDamaged(Refused):
    code = "keystore.file_damaged"
    summary = "The key file is truncated or altered."
    untouched = "The key file was only read; no key was taken from it."
    next_step = "Restore the file from a backup. Without one the endpoint needs a new identity."


class KeyFileExposed(Refused):
    code = "keystore.file_exposed"
    summary = "The key file can be read or changed by other users, or is not a plain file of this user."
    untouched = "The key file was not read."
    next_step = "Run `chmod 600` on the file, and rotate its keys if others had access."


class KeyFileExists(Refused):
    code = "keystore.file_exists"
    summary = "There is a key file at this place already."
    untouched = "The existing key file was not touched."
    next_step = "Choose another name, or move the old file away."


class KeyFileUnavailable(Unavailable):
    code = "keystore.file_unavailable"
    summary = "The key file cannot be read or written: missing, no permission, or the disk is full."
    next_step = "Check the path, its folder's permissions and the free space."


__all__ = (
    "KeyFileDamaged",
    "KeyFileExists",
    "KeyFileExposed",
    "KeyFileUnavailable",
    "WeakPassphrase",
    "WrongPassphrase",
)
