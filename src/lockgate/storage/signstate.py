"""What a validator has signed, outside the database and outside its backups (P12).

The file is written and synced before a signature leaves the process: height, round, step, the sign
bytes and the signature. A restart that finds the store behind this file has lost or exchanged blocks
it may have published, and must not sign: a rollback or restore takes a new revision.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.primitives.errors import Refused

PRECOMMIT: Final = 3  # step number, as in CometBFT's privval file


class WouldSignTwice(Refused):
    code = "signer.height_signed"
    summary = "The validator has signed this height already, over other bytes (P12)."
    next_step = "The ledger's store was rolled back or restored: start it again under a new revision."


class SignStateBroken(Refused):
    code = "signer.state_broken"
    summary = "The signing state is missing or damaged, so nobody knows what was signed."
    next_step = "Restore the sign-state file itself, or start under a new revision."


@dataclass(frozen=True, slots=True)
class Signed:
    """The newest precommit of a validator."""

    height: int
    round: int
    sign_bytes: bytes
    signature: bytes


class SignState:
    """The file. `record` returns only after the bytes are on disk."""

    def __init__(self, path: Path, last: Signed | None, descriptor: int) -> None:
        self._path = path
        self._last = last
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path, *, fresh: bool) -> SignState:
        """Read the file; `fresh` says that the ledger has no block yet, so that none is expected."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        last = None
        if path.exists():
            last = _parse(path.read_bytes())
        elif not fresh:
            raise SignStateBroken("the sign-state file is missing", file=str(path))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return cls(path, last, descriptor)

    @property
    def height(self) -> int:
        """Newest signed height; 0 when nothing was signed."""
        return self._last.height if self._last else 0

    @property
    def sign_bytes(self) -> bytes:
        return self._last.sign_bytes if self._last else b""

    def permit(self, height: int, sign_bytes: bytes) -> None:
        """Raise WouldSignTwice unless signing these bytes at this height keeps P12."""
        last = self._last
        if last is None or height > last.height:
            return
        if height < last.height or sign_bytes != last.sign_bytes:
            raise WouldSignTwice("signed already", height=height, newest=last.height)

    def record(self, height: int, sign_bytes: bytes, signature: bytes) -> None:
        """Make a signature durable before it is published.

        Raises WouldSignTwice when this height (or a later one) was signed over other bytes. The two
        slots of the file are written in turn, so a torn write leaves the older one readable.
        """
        self.permit(height, sign_bytes)
        signed = Signed(height, 0, sign_bytes, signature)
        if signed == self._last:
            return
        line = _line(signed)
        os.pwrite(self._descriptor, line, (signed.height % 2) * SLOT)
        os.fdatasync(self._descriptor)
        self._last = signed

    def close(self) -> None:
        os.close(self._descriptor)


SLOT: Final = 2_048  # sign bytes stay below 300 bytes


def _line(signed: Signed) -> bytes:
    body = {
        "height": signed.height,
        "round": signed.round,
        "step": PRECOMMIT,
        "sign_bytes": base64.b64encode(signed.sign_bytes).decode(),
        "signature": base64.b64encode(signed.signature).decode(),
    }
    text = json.dumps(body, sort_keys=True).encode()
    assert len(text) < SLOT, "a slot holds a signature record"
    return text + b" " * (SLOT - 1 - len(text)) + b"\n"


def _parse(data: bytes) -> Signed | None:
    found: list[Signed] = []
    for start in range(0, len(data), SLOT):
        slot = data[start : start + SLOT].strip(b"\x00 \n")
        if not slot:
            continue
        try:
            value: dict[str, Any] = json.loads(slot)
            found.append(
                Signed(
                    int(value["height"]),
                    int(value["round"]),
                    base64.b64decode(value["sign_bytes"], validate=True),
                    base64.b64decode(value["signature"], validate=True),
                )
            )
        except (ValueError, KeyError, TypeError):
            continue
    if not found:
        if data.strip(b"\x00 \n"):
            raise SignStateBroken("the sign-state file does not read")
        return None
    return max(found, key=lambda signed: signed.height)
