"""Failures of key files and devices. None of them carries a secret, a passphrase, a PIN or a piece of the file."""

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


class BadKeystore(Refused):
    code = "keystore.malformed"
    summary = "A keystore's address does not name a file, a PKCS#11 token or a TPM, or says what it must not."
    untouched = "No key was read and none was made."
    next_step = "Compare it with docs/how-to/keep-keys-in-hardware.md."


class OtherKeystore(Refused):
    code = "keystore.other_place"
    summary = "These keys lie in another keystore than the one that was named."
    untouched = "The keys are where they were."
    next_step = "Name the keystore that they were made in; `lockgate keys list` shows it."


class DeviceLibraryAbsent(Refused):
    code = "keystore.library_absent"
    summary = "The library that speaks to this device is not installed, or does not load."
    untouched = "No key was read and none was made."
    next_step = "Install the extra `pkcs11` or `tpm` of this package (`make hardware`), and the device's own library."


class DeviceAbsent(Unavailable):
    code = "keystore.device_absent"
    summary = "The device that holds the keys does not answer: removed, switched off, or its session ended twice."
    untouched = "No key was used."
    next_step = "Put the token back or start its service; work that needs it is tried again."


class DeviceFailed(Unavailable):
    code = "keystore.device_failed"
    summary = "The device answered a request for a key with an error of its own."
    untouched = "No key was used."
    next_step = "Look the device's own code up in its manual; it stands in the fields."


class DeviceAmbiguous(Refused):
    code = "keystore.device_ambiguous"
    summary = "More than one token answers to this address."
    untouched = "No PIN was tried."
    next_step = "Add the token's serial number to the address."


class WrongPin(Refused):
    code = "keystore.wrong_pin"
    summary = "The token does not take this PIN. It was tried once; a few more wrong ones lock the token."
    untouched = "No key was used."
    next_step = "Put the right PIN into the PIN file before the next start."


class PinLocked(Refused):
    code = "keystore.pin_locked"
    summary = "The token has locked its PIN."
    untouched = "No key was used."
    next_step = "Unlock it with the security officer's PIN, by the token's own tool."


class PinUnreadable(Refused):
    code = "keystore.pin_unreadable"
    summary = "There is no PIN or passphrase: its file is missing, empty or open to others, or nobody can be asked."
    untouched = "Nothing was opened with it."
    next_step = "Write it into a file of your own with mode 0600; a token's address names that as pin-source."


class DeviceLacksAlgorithm(Refused):
    code = "keystore.lacks_algorithm"
    summary = "The device cannot make a key of this algorithm."
    untouched = "No key was made."
    next_step = "Take a suite whose classical half the device knows, or keep this key in a file."


class DeviceKeyExists(Refused):
    code = "keystore.device_key_exists"
    summary = "The device holds a key of this label already."
    untouched = "The existing key was not touched."
    next_step = "Choose another label, or erase the old key with the device's own tool."


class DeviceKeyMissing(Refused):
    code = "keystore.device_key_missing"
    summary = "The key file says that a key lies in the device, and it is not there."
    untouched = "Nothing was signed or opened, and no other key was taken instead."
    next_step = "Put back the device that the keys were made in. Lost with it, the endpoint needs a new identity."


class DeviceKeyUnsafe(Refused):
    code = "keystore.device_key_unsafe"
    summary = "A key in the device could leave it, was not made inside it, or serves more than one purpose."
    untouched = "The key was not used."
    next_step = "Make the key anew inside the device; do not import keys into it."


class DeviceKeyReplaced(Refused):
    code = "keystore.device_key_replaced"
    summary = "The device's key is not the one that the key file was written with, or its signature does not verify."
    untouched = "Nothing that the device made was sent."
    next_step = "Find out who had the device. If nobody had, it is faulty: rotate the keys into another one."


class PlatformChanged(Refused):
    code = "keystore.platform_changed"
    summary = "The machine was started with other software than the TPM's keys are bound to."
    untouched = "The TPM released and used no key."
    next_step = "Start what the keys were made under; after a wanted change, make new ones and rotate."


class OtherTpm(Refused):
    code = "keystore.other_tpm"
    summary = "This TPM does not open what another one has wrapped, or its owner was reset, or the blob was altered."
    untouched = "No key was read."
    next_step = "Bring the disk back to its machine. If the TPM was cleared, its keys are lost: a new identity."


__all__ = (
    "BadKeystore",
    "DeviceAbsent",
    "DeviceAmbiguous",
    "DeviceFailed",
    "DeviceKeyExists",
    "DeviceKeyMissing",
    "DeviceKeyReplaced",
    "DeviceKeyUnsafe",
    "DeviceLacksAlgorithm",
    "DeviceLibraryAbsent",
    "KeyFileDamaged",
    "KeyFileExists",
    "KeyFileExposed",
    "KeyFileUnavailable",
    "OtherKeystore",
    "OtherTpm",
    "PinLocked",
    "PinUnreadable",
    "PlatformChanged",
    "WeakPassphrase",
    "WrongPassphrase",
    "WrongPin",
)
