"""From a header that a client was given and the one its ledger shows: is that misbehaviour, and the proof of it.

Freezing a client is for good, so nothing is called evidence that the client's own rules would not
accept: both headers signed by enough of validators it trusts, of one height, with different hashes. A
node that lags, lacks the height, or shows a header nobody signed never gets that far.
Source: ICS-07; digest §10.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lockgate.codec import type_urls as urls
from lockgate.codec.protobuf import parse
from lockgate.codec.wire import cosmos_pb2, ibc_client_pb2
from lockgate.ibc import host
from lockgate.lightclients.cometbft.hashing import header_hash
from lockgate.lightclients.cometbft.types import LightBlock, SignedHeader, ValidatorSet
from lockgate.lightclients.tendermint.memo import ClientMemo
from lockgate.lightclients.tendermint.messages import (
    ClientHeader,
    ClientMisbehaviour,
    decode_misbehaviour,
    encode_header,
    encode_misbehaviour,
)
from lockgate.lightclients.tendermint.states import ClientState, ConsensusState, encode_consensus_state
from lockgate.lightclients.tendermint.store import ClientStore
from lockgate.lightclients.tendermint.update import check_misbehaviour
from lockgate.machine.transaction import Transaction, read_sign1
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos

MAX_MESSAGES: Final = 1 << 16  # of a transaction that a ledger has accepted


@dataclass(frozen=True, slots=True)
class Accusation:
    """Evidence for one client: the Misbehaviour message, verified by the client's own rules."""

    client: ClientId
    trusted: Height
    misbehaviour: bytes


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two or more nodes of a ledger show different headers of a height, each signed by the validators shown with it.

    `blocks` are (name of the node, block). Whether those validators are the ledger's is for a light client to say.
    """

    height: int
    blocks: tuple[tuple[str, LightBlock], ...]


def headers_in(data: bytes) -> list[tuple[str, bytes]]:
    """Headers that a transaction gave to clients, as (client id, Header message)."""
    return _of_kind(data, urls.TENDERMINT_HEADER)


def misbehaviour_in(data: bytes) -> list[tuple[str, bytes]]:
    """Misbehaviour messages that a transaction gave to clients, as `headers_in` gives headers."""
    return _of_kind(data, urls.TENDERMINT_MISBEHAVIOUR)


def _of_kind(data: bytes, wanted: str) -> list[tuple[str, bytes]]:
    return [(client, value) for client, kind, value in client_messages_in(data) if kind == wanted]


def client_messages_in(data: bytes) -> list[tuple[str, str, bytes]]:
    """What a transaction gave to clients, as (client id, type URL, value): one of ours, or of a Cosmos SDK's.

    A transaction of neither kind gives none, and what of it does not parse is passed over.
    """
    for messages_of in (_own_messages, _cosmos_messages):
        try:
            return [given for name, content in messages_of(data) for given in _client_message(name, content)]
        except (LockgateError, AttributeError, LookupError, TypeError):
            continue
    return []


def _own_messages(data: bytes) -> list[tuple[str, bytes]]:
    transaction = Transaction.from_body(read_sign1(data)[2], MAX_MESSAGES)
    return [(name, content) for name, content in transaction.messages if type(content) is bytes]


def _cosmos_messages(data: bytes) -> list[tuple[str, bytes]]:
    body = parse(cosmos_pb2.TxBody, parse(cosmos_pb2.TxRaw, data).body_bytes)
    return [(message.type_url, message.value) for message in body.messages[:MAX_MESSAGES]]


def _client_message(name: str, content: bytes) -> list[tuple[str, str, bytes]]:
    if name != urls.MSG_UPDATE_CLIENT:
        return []
    message = parse(ibc_client_pb2.MsgUpdateClient, content)
    held = message.client_message
    return [(message.client_id, held.type_url, held.value)]


def agrees(submitted: ClientHeader, own: LightBlock) -> bool:
    """Is the header that was submitted the one the ledger shows? Compared by hash, not by who signed."""
    return submitted.block.hash == header_hash(own.header)


def accuse(
    client: ClientId,
    state: ClientState,
    trusted_height: Height,
    trusted: ConsensusState,
    witness: LightBlock,
    submitted: ClientHeader,
    own: LightBlock,
    now: UnixNanos,
) -> Accusation:
    """Build evidence against one client's ledger, from a height the client trusts.

    `witness` is the ledger's block at `trusted_height`: its next validators stand in both headers. `now`
    is the time of the ledger the client is on. Raises why the client would not accept it.
    """
    both = (_signed(submitted), (own.signed_header, own.validators))
    return _accusation(client, state, trusted_height, trusted, witness.next_validators, both, now)


def readdressed(
    client: ClientId,
    state: ClientState,
    trusted_height: Height,
    trusted: ConsensusState,
    evidence: ClientMisbehaviour,
    now: UnixNanos,
) -> Accusation | None:
    """The two headers that froze a client elsewhere, as evidence for this one; needs no node of their ledger.

    None when neither of them comes with the validators that this client expects after the height it trusts.
    Raises why the client would not accept it.
    """
    headers = (evidence.first, evidence.second)
    sets = {each.hash: each for header in headers for each in (header.trusted_validators, header.block.validators)}
    following = sets.get(trusted.next_validators_hash)
    if following is None:
        return None
    both = (_signed(evidence.first), _signed(evidence.second))
    return _accusation(client, state, trusted_height, trusted, following, both, now)


def _signed(header: ClientHeader) -> tuple[SignedHeader, ValidatorSet]:
    return SignedHeader(header.block.header, header.block.commit), header.block.validators


def _accusation(
    client: ClientId,
    state: ClientState,
    trusted_height: Height,
    trusted: ConsensusState,
    following: ValidatorSet,
    both: tuple[tuple[SignedHeader, ValidatorSet], tuple[SignedHeader, ValidatorSet]],
    now: UnixNanos,
) -> Accusation:
    first, second = (encode_header(signed, members, trusted_height, following) for signed, members in both)
    raw = encode_misbehaviour(client, first, second)
    store = ClientStore(_Remembered(client, trusted_height, trusted), client, ClientMemo())
    check_misbehaviour(store, state, decode_misbehaviour(raw), now)
    return Accusation(client, trusted_height, raw)


class _Remembered:
    """A view of a ledger that holds one consensus state."""

    def __init__(self, client: ClientId, height: Height, consensus: ConsensusState) -> None:
        self._key = host.consensus_state(client, height)
        self._value = encode_consensus_state(consensus)

    def get(self, store: str, key: bytes, /) -> bytes | None:
        return self._value if (store, key) == (host.STORE, self._key) else None

    def scan(self, store: str, start: bytes, end: bytes, /) -> Iterator[tuple[bytes, bytes]]:
        return iter(())


__all__ = (
    "Accusation",
    "Conflict",
    "accuse",
    "agrees",
    "client_messages_in",
    "headers_in",
    "misbehaviour_in",
    "readdressed",
)
