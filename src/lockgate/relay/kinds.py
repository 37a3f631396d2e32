"""Which clients a relayer can bring headers to: any account may make clients of other kinds on a ledger."""

from __future__ import annotations

from lockgate.lightclients.tendermint import CLIENT_TYPE
from lockgate.primitives.errors import Refused


class OtherKind(Refused):
    code = "relay.client_kind"
    summary = "The client is not of a kind that headers are brought to."
    next_step = "Bring attestations or agreements with MsgUpdateClient; `lockgate client explain` says what it needs."


def follows_headers(client: str) -> bool:
    """Whether a client's id says that it is updated by signed headers."""
    return client.rpartition("-")[0] == CLIENT_TYPE


def require_headers(client: str) -> None:
    """Raise OtherKind unless the client is updated by signed headers."""
    if not follows_headers(client):
        raise OtherKind(client=client)


__all__ = ("OtherKind", "follows_headers", "require_headers")
