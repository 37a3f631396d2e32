"""What a message handler is given beside its view: the block, the rules, who signed, own headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from lockgate.machine.errors import BadMessage
from lockgate.machine.genesis import Genesis, Parameters
from lockgate.primitives.ids import AccountId, DomainId
from lockgate.primitives.state import Block, Outcome, View
from lockgate.primitives.time import UnixNanos


class OwnHeader(NamedTuple):
    """The part of this ledger's own header that a remote client keeps as a consensus state."""

    time: UnixNanos
    app_hash: bytes
    next_validators_hash: bytes


class OwnHeaders(Protocol):
    """The ledger's own block history, which every node has and no state record need repeat (P9)."""

    def own_header(self, height: int, /) -> OwnHeader | None: ...


class Context(NamedTuple):
    """`signer` is the account whose signature the transaction carries, under `signing_key`: both checked."""

    block: Block
    genesis: Genesis
    parameters: Parameters  # in force at this block
    domain: DomainId
    headers: OwnHeaders
    signer: AccountId
    signing_key: bytes = b""


Handler = Callable[[View, Context, Mapping[str, Any]], Outcome]


def field(message: Mapping[str, Any], name: str, kind: type, *, size: int | None = None) -> Any:
    """Take a field of a CBOR message; refuse a missing one, another type, or another size."""
    value = message.get(name)
    if type(value) is not kind or (size is not None and len(message[name]) != size):
        raise BadMessage("a field is missing or has the wrong type or size", field=name)
    return value


def only_fields(message: Mapping[str, Any], *names: str) -> None:
    """Refuse fields this version does not know: an unread field must not change the meaning."""
    unknown = set(message) - set(names)
    if unknown:
        raise BadMessage("unknown field", field=sorted(map(str, unknown))[0])
