"""What a thief of the disk, and whoever is root, gets of each half of a party's keys: in words (P22).

Said from the public record beside the key file; no key, token or TPM is opened for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lockgate.keystore.ports import Kind
from lockgate.node.folder import Folder
from lockgate.node.keystores import Party, recorded
from lockgate.primitives.errors import LockgateError

HARDWARE: Final = (Kind.PKCS11, Kind.TPM)
_THIEVES: Final = {
    Kind.FILE: ("opens them with the passphrase alone", "takes a copy of them"),
    Kind.TPM_SEALED: ("gets nothing without this TPM", "takes a copy of them while they are in use"),
    Kind.PKCS11: ("gets nothing without the token and its PIN", "uses them while the token is in, and takes no copy"),
    Kind.TPM: (
        "gets nothing without this TPM",
        "uses them while this machine runs, and takes no copy",
    ),
}
_BESIDE: Final = "has them: the passphrase lies on the same disk"


@dataclass(frozen=True, slots=True)
class Custody:
    """Where some halves of a party's keys lie, and for whom that is enough."""

    kind: Kind
    halves: tuple[str, ...]  # algorithms
    disk_thief: str
    root_thief: str
    warning: str

    def sentence(self) -> str:
        where = {Kind.FILE: "a file", Kind.PKCS11: "a PKCS#11 token", Kind.TPM: "a TPM"}.get(self.kind, self.kind.value)
        warned = f" But {self.warning}." if self.warning else ""
        return (
            f"{', '.join(self.halves)} in {where}: a thief of the disk {self.disk_thief}; "
            f"whoever is root {self.root_thief}.{warned}"
        )


def custody(folder: Folder, party: Party) -> list[Custody]:
    """One entry for each place that holds halves of the party's keys; none where nothing is recorded."""
    try:
        record = recorded(party.home)
        halves = [half for key in record.get("keys", {}).values() for half in key["halves"]]
        found: dict[Kind, set[str]] = {}
        for half in halves:
            found.setdefault(Kind(half["where"]), set()).add(str(half["algorithm"]))
        return [_custody(folder, record, kind, algorithms) for kind, algorithms in sorted(found.items())]
    except (LockgateError, AttributeError, KeyError, TypeError, ValueError):
        return []


def _custody(folder: Folder, record: dict[str, Any], kind: Kind, algorithms: set[str]) -> Custody:
    disk, root = _THIEVES[kind]
    if kind is Kind.FILE and (folder.root / "passphrase").exists():
        disk = _BESIDE
    warning = str(record.get("kept", {}).get(kind.value, {}).get("warning", ""))
    return Custody(kind, tuple(sorted(algorithms)), disk, root, warning)


__all__ = ("HARDWARE", "Custody", "custody")
