"""Rotations of an authority as itself announces them."""

from __future__ import annotations

from typing import Any

from lockgate.crypto.hybrid import Purpose
from lockgate.crypto.keys import IdentitySigner
from lockgate.lab.ledgers import LabLedger
from lockgate.machine import succession


def succeeding(
    ledger: LabLedger, old: IdentitySigner, new: IdentitySigner, following: IdentitySigner
) -> dict[str, Any]:
    """The announcement's fields: `new` follows `old`, and commits to `following`."""
    commitment = succession.commitment(following.key)
    signed = succession.possession_message(old.key.hash, commitment)
    return {
        "action": succession.ROTATE,
        "arguments": {
            "authority": old.key.hash,
            "suite": new.key.suite,
            "parts": new.key.parts,
            "next": commitment,
            "possession": new.sign_for(Purpose.GOVERNANCE, ledger.chain.machine.domain, ledger.revision, signed),
        },
    }
