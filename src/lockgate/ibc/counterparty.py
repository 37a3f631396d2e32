"""What a client's records say beside its light client: its counterparty, and who may relay for it.

The counterparty record is written once and never changes. It is the protobuf CounterpartyInfo, byte
for byte, because opening a lane proves it to the other ledger (P9). Source: ICS-02 v2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import host
from lockgate.ibc.errors import (
    BadCounterparty,
    CounterpartyMismatch,
    CounterpartyNotFound,
    RelayerNotAllowed,
    TooLarge,
)
from lockgate.primitives.state import View, fact

MAX_PREFIX_ELEMENTS: Final = 32  # ibc-go's MaxCounterpartyMerklePrefixElements
MAX_PREFIX_BYTES: Final = 256  # of one element; ibc-go's MaxMerklePrefixLength
MAX_ALLOWED_RELAYERS: Final = 20  # ibc-go's MaxAllowedRelayersLength
_RECORDS: Final = 1_024  # memo size: one small record per client in use


@dataclass(frozen=True, slots=True)
class Counterparty:
    """The client on the other ledger, and where that ledger keeps its IBC store."""

    client_id: str
    merkle_prefix: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        record = ibc_client_pb2.CounterpartyInfo(merkle_prefix=self.merkle_prefix, client_id=self.client_id)
        return record.SerializeToString()


def check_counterparty(client: str, record: Counterparty) -> None:
    """Refuse a registration that could never carry a packet.

    Raises BadCounterparty, TooLarge or BadHostIdentifier.
    """
    if not record.merkle_prefix:
        raise BadCounterparty("the merkle prefix is empty")
    if len(record.merkle_prefix) > MAX_PREFIX_ELEMENTS:
        raise TooLarge("merkle prefix elements", count=len(record.merkle_prefix), most=MAX_PREFIX_ELEMENTS)
    for index, element in enumerate(record.merkle_prefix):
        if len(element) > MAX_PREFIX_BYTES:
            raise TooLarge("merkle prefix element", index=index, size=len(element), most=MAX_PREFIX_BYTES)
    for name in (client, record.client_id):
        host.client_type(host.check_named_client(name))
    host.proof_path(record.merkle_prefix, b"key")


def find_counterparty(view: View, client: str) -> Counterparty | None:
    """Return the counterparty registered for `client`."""
    return fact(view, read_counterparty, client)


def read_counterparty(view: View, client: str) -> Counterparty | None:
    """`find_counterparty`, read from the view whatever is remembered."""
    data = view.get(host.STORE, host.counterparty(client))
    return None if data is None else _counterparty(data)


def expect_counterparty(view: View, client: str, named: str) -> Counterparty:
    """Return the counterparty of `client` if it is `named`.

    Raises CounterpartyNotFound or CounterpartyMismatch.
    """
    record = find_counterparty(view, client)
    if record is None:
        raise CounterpartyNotFound("not registered", client=client)
    if record.client_id != named:
        raise CounterpartyMismatch("another client", client=client, packet=named, registered=record.client_id)
    return record


def allowed_relayers(view: View, client: str) -> tuple[str, ...]:
    """Return the accounts that may relay for `client`; empty means anyone."""
    return fact(view, read_relayers, client)


def read_relayers(view: View, client: str) -> tuple[str, ...]:
    """`allowed_relayers`, read from the view whatever is remembered."""
    data = view.get(host.STORE, host.config(client))
    return () if data is None else _relayers(data)


def check_relayer(view: View, client: str, account: str) -> None:
    """Refuse an account that the client's list leaves out. Raises RelayerNotAllowed."""
    allowed = allowed_relayers(view, client)
    if allowed and account not in allowed:
        raise RelayerNotAllowed("not on the client's list", client=client, account=account)


@lru_cache(_RECORDS)
def _counterparty(data: bytes) -> Counterparty:
    record = ibc_client_pb2.CounterpartyInfo.FromString(data)
    return Counterparty(record.client_id, tuple(record.merkle_prefix))


@lru_cache(_RECORDS)
def _relayers(data: bytes) -> tuple[str, ...]:
    return tuple(ibc_client_pb2.Config.FromString(data).allowed_relayers)
