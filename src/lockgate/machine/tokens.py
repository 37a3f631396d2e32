"""Revoked tokens of an endpoint, on its ledger under one key, so that one proof shows all of them (P22).

An entry is the id of a token (16 bytes), or the hash of a key that issues tokens (32), and until when it is kept.
Tokens live minutes, so their entries leave by themselves: every change drops those whose time is over.
Source: P22; `cddl/messages.1.0.cddl`, `cddl/records.1.0.cddl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockgate.machine import keys
from lockgate.machine.context import Context, field, only_fields
from lockgate.machine.endpoints import acting
from lockgate.machine.errors import CODESPACE, BadMessage
from lockgate.machine.records import Record
from lockgate.primitives.errors import Refused
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import floor_seconds

ID_BYTES: Final = 16
KEY_BYTES: Final = 32
MAX_TOKENS: Final = 256  # at once, of one endpoint: 5 KB in a proof. Who has more to revoke replaces the key.
MAX_KEYS: Final = 16
TOKEN_S: Final = 900  # ahead of ledger time: a token's ten minutes, and what clocks and headers may differ by
KEY_S: Final = 400 * 86_400  # a key of that time ago has been replaced
KEPT_S: Final = 300  # after its end: a verifier's clock may be behind the ledger's
_MESSAGE: Final = "No message of the transaction took effect; its sequence and fee were consumed."


class BadRevocation(Refused):
    code = "token.bad_revocation"
    summary = "A token is revoked that has ended, or until later than tokens or keys are kept on the list."
    untouched = _MESSAGE
    next_step = "Name the token's own end; a token that has ended needs no entry."
    wire = (CODESPACE, 110)


class RevocationsFull(Refused):
    code = "token.list_full"
    summary = "The endpoint's list of revoked tokens or keys has no room."
    untouched = _MESSAGE
    next_step = "Replace the key that issued them (`lockgate token rotate`), or wait: entries leave within 20 minutes."
    wire = (CODESPACE, 111)


@dataclass(frozen=True, slots=True)
class RevokedTokens(Record):
    """Ids of tokens and hashes of keys, ascending, each with the ledger time in seconds until which it is needed."""

    entries: tuple[tuple[bytes, int], ...]

    @property
    def ids(self) -> frozenset[bytes]:
        return frozenset(one for one, _ in self.entries)


def load(view: View, endpoint: bytes) -> RevokedTokens:
    data = view.get(keys.ENDPOINT, keys.revoked_tokens(endpoint))
    return RevokedTokens(()) if data is None else RevokedTokens.from_bytes(data)


def revoke(view: View, context: Context, message: Mapping[str, Any]) -> Outcome:
    """Put a token or an issuing key on an endpoint's list."""
    only_fields(message, "endpoint", "id", "until")
    endpoint = field(message, "endpoint", bytes, size=32)
    one, until = field(message, "id", bytes), field(message, "until", int)
    if len(one) not in (ID_BYTES, KEY_BYTES):
        raise BadMessage("an id has 16 bytes, the hash of a key 32", field="id")
    acting(view, context, endpoint)
    now = floor_seconds(context.block.time)
    ahead = TOKEN_S if len(one) == ID_BYTES else KEY_S
    if not now < until <= now + ahead:
        raise BadRevocation(until=until, now=now, ahead=ahead)
    kept = {each: at for each, at in load(view, endpoint).entries if at + KEPT_S >= now}
    kept[one] = max(until, kept.get(one, 0))
    for size, most in ((ID_BYTES, MAX_TOKENS), (KEY_BYTES, MAX_KEYS)):
        if sum(len(each) == size for each in kept) > most:
            raise RevocationsFull(size=size, limit=most)
    outcome = Outcome()
    outcome.set(keys.ENDPOINT, keys.revoked_tokens(endpoint), RevokedTokens(tuple(sorted(kept.items()))).to_bytes())
    outcome.emit("token_revoked", ("endpoint", endpoint.hex()), ("id", one.hex()), ("until", str(until)))
    return outcome


__all__ = ("BadRevocation", "RevocationsFull", "RevokedTokens", "load", "revoke")
