"""The sealed detail of a refusal: the guest's own words, and what else the sender must learn (P3, P20).

It travels in the reason record as an envelope of role 3, bound to the packet it refuses. A host that
finds its own ledger two-faced adds the header that it trusts, signed: with the one the sender saw, that
is the evidence which freezes the ledger's clients on the sender's side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

from lockgate.codec import cbor
from lockgate.codec.errors import Malformed
from lockgate.codec.registry import SchemaName, Version
from lockgate.envelope.content import LedgerView
from lockgate.envelope.errors import ContentMalformed
from lockgate.host.ports import MAX_REFUSAL_DETAIL, is_refusal_code

SCHEMA: Final = SchemaName("host/refusal", Version(1, 0))
_CODE: Final = 1
_DETAIL: Final = 2
_VIEW: Final = 3


@dataclass(frozen=True, slots=True)
class RefusalWords:
    """Who refuses says why. `view` is the refusing host's own ledger, where that is the reason."""

    code: str
    detail: str = ""
    view: LedgerView | None = None

    def encode(self) -> bytes:
        value: dict[int, Any] = {_CODE: self.code, _DETAIL: self.detail}
        if self.view is not None:
            value[_VIEW] = self.view.to_value()
        return cbor.encode(value)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body of a refusal; unknown keys of a later minor version are passed over.

        Raises ContentMalformed.
        """
        try:
            value = cbor.decode(data)
        except Malformed as error:
            raise ContentMalformed("a refusal is deterministic CBOR") from error
        if not isinstance(value, dict):
            raise ContentMalformed("a refusal is a map")
        code, detail, view = value.get(_CODE), value.get(_DETAIL), value.get(_VIEW)
        if type(code) is not str or not is_refusal_code(code):
            raise ContentMalformed("a refusal has a code")
        if type(detail) is not str or len(detail.encode()) > MAX_REFUSAL_DETAIL:
            raise ContentMalformed("the detail of a refusal is a short text")
        return cls(code, detail, None if view is None else LedgerView.from_value(view))
