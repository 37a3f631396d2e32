"""The signer of a ledger that one operator signs hands over to its next key (P10, P12, S11).

Both sets have no signer in common, as two sets of a `bft` ledger have. What a light client follows is one header: the
last that the old key signs, whose `next_validators_hash` is the new key's. It is kept like any other header and can be
shown at any time. The authority announces the hand-over, so it is seen before it holds, and the new key shows that it
signs: without that the ledger might end. A client that still trusts a header from before can be led astray by a thief
of the old key until that header has expired, as by any validator of old; one that asks for the newest it knows cannot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping
from typing import Any, Final

from lockgate.codec import cbor
from lockgate.crypto import ed25519
from lockgate.crypto.errors import BadKey
from lockgate.crypto.hybrid import Purpose, signing_bytes
from lockgate.machine import accounts, keys, validators
from lockgate.machine.context import Context, field
from lockgate.machine.errors import CODESPACE
from lockgate.machine.genesis import LedgerClass
from lockgate.machine.validators import ValidatorsRecord
from lockgate.primitives.errors import PeerFault
from lockgate.primitives.ids import DomainId
from lockgate.primitives.state import Outcome, View

ROTATE: Final = "signer.rotate"
SIGNER_LABEL: Final = "lockgate/signer-successor/1"
MAX_HAND_OVERS: Final = 4_096  # in a ledger's life: each is looked through for keys that signed before


class BadHandOver(PeerFault):
    code = "gov.bad_hand_over"
    summary = "The key cannot sign this ledger's blocks next: it is in use, signed before, or did not sign for itself."
    untouched = "The signer is who it was."
    next_step = "Announce a fresh key, with its own signature after the one before; where several sign, change those."
    wire = (CODESPACE, 126)


def possession_bytes(old: bytes, new: bytes, domain: DomainId, revision: int) -> bytes:
    """What the new key signs, once, to show that somebody has it: no vote, and nothing that any other ledger takes."""
    message = cbor.encode([SIGNER_LABEL, old])
    return signing_bytes(Purpose.KEY_RECORD, accounts.SUITE, hashlib.sha256(new).digest(), domain, revision, message)


def check(view: View, context: Context, arguments: Mapping[str, Any], reserved: Container[bytes]) -> ValidatorsRecord:
    """May the key follow the one that signs? Returns the set that it would follow. `reserved`: keys of authorities.

    Raises BadHandOver, BadMessage.
    """
    public_key = field(arguments, "public_key", bytes, size=32)
    possession = field(arguments, "possession", bytes, size=64)
    if context.genesis.ledger_class is LedgerClass.BFT:
        raise BadHandOver("several validators sign this ledger", kind=context.genesis.ledger_class)
    newest = validators.newest(view, context.genesis)
    ((old, _),) = newest.members
    try:
        ed25519.check_public_key(public_key)
    except BadKey as error:
        raise BadHandOver("no Ed25519 public key that can be trusted to sign") from error
    if public_key in reserved or accounts.in_use(view, public_key) or validators.tombstoned(view, public_key):
        raise BadHandOver("the key is an authority's, an account's, or was caught", public_key=public_key)
    if public_key in _signed(view, context):
        raise BadHandOver("the key has signed this ledger before", public_key=public_key)
    signed = possession_bytes(old, public_key, context.domain, context.block.height.revision)
    if not ed25519.verify_strict(public_key, possession, signed):
        raise BadHandOver("the new key did not sign for itself, after this one", public_key=public_key)
    return newest


def rotate(view: View, context: Context, arguments: Mapping[str, Any], reserved: Container[bytes]) -> Outcome:
    """Decide that the key signs from two blocks on, with the power of the one before. Raises BadHandOver."""
    newest = check(view, context, arguments, reserved)
    key = arguments["public_key"]
    return validators.decide(context.block.height.height, {key: newest.power}, [key])


def _signed(view: View, context: Context) -> set[bytes]:
    """Every key that was decided to sign this ledger."""
    found = {member.public_key for member in context.genesis.validators}
    first, last = keys.validators(0), keys.validators((1 << 63) - 1)
    for count, (_, data) in enumerate(view.scan(keys.GOVERNANCE, first, last), 1):
        if count >= MAX_HAND_OVERS:
            raise BadHandOver("the signer was replaced as often as a ledger's life allows", count=count)
        found |= {key for key, _ in ValidatorsRecord.from_bytes(data).members}
    return found


__all__ = ("ROTATE", "BadHandOver", "check", "possession_bytes", "rotate")
