"""IBC messages by type URL: protobuf bytes in, an outcome with the response's bytes out.

The signer a message names must be the account that signed its transaction; everything else is the
handlers'. A ledger keeps the bytes of a message verbatim in its transaction (I3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from lockgate.codec import type_urls as urls
from lockgate.codec.protobuf import parse_own
from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import client, receiving, sending, settling, wire
from lockgate.ibc.counterparty import Counterparty
from lockgate.ibc.errors import SignerMismatch, UnknownMessage
from lockgate.ibc.receiving import Received
from lockgate.ibc.sending import SentPacket
from lockgate.ibc.settling import Settled
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.quick import make
from lockgate.primitives.state import Block, Outcome, View


class Dispatched(NamedTuple):
    """What one message did. At most one of the three packet results is set."""

    outcome: Outcome  # `outcome.response` is the response message
    response_url: str
    sent: SentPacket | None = None
    received: Received | None = None
    settled: Settled | None = None

    @property
    def is_packet(self) -> bool:
        """True for the three relayed messages, which may be redundant."""
        return self.received is not None or self.settled is not None

    @property
    def is_noop(self) -> bool:
        """True when another relayer was first, and nothing changed."""
        done = self.received or self.settled
        return done is not None and done.noop


Run = Callable[[Wiring, View, Block, str, bytes], Outcome | SentPacket | Received | Settled]


def dispatch(wiring: Wiring, view: View, block: Block, account: str, type_url: str, data: bytes) -> Dispatched:
    """Run the message of that type. Raises UnknownMessage, SignerMismatch, or a handler's refusal."""
    run = HANDLERS.get(type_url)
    if run is None:
        raise UnknownMessage("no handler", type_url=type_url)
    done = run(wiring, view, block, account, data)
    url = response_url(type_url)
    if isinstance(done, Received):
        return make(Dispatched, (done.outcome, url, None, done, None))
    if isinstance(done, Settled):
        return make(Dispatched, (done.outcome, url, None, None, done))
    if isinstance(done, SentPacket):
        return make(Dispatched, (done.outcome, url, done, None, None))
    return Dispatched(done, url)


def response_url(type_url: str) -> str:
    """The type URL of the response to a message that has a handler."""
    return _RESPONSES[type_url]


def _check_signer(named: str, account: str) -> None:
    if named != account:
        raise SignerMismatch("another account signed", named=named, account=account)


def _send(wiring: Wiring, view: View, block: Block, account: str, data: bytes) -> SentPacket:
    message = wire.read_send(data)
    if message.signer != account:
        _check_signer(message.signer, account)
    return sending.send(wiring, view, block, message)


def _receive(wiring: Wiring, view: View, block: Block, account: str, data: bytes) -> Received:
    message = wire.read_receive(data)
    if message.signer != account:
        _check_signer(message.signer, account)
    return receiving.receive(wiring, view, block, message)


def _acknowledge(wiring: Wiring, view: View, block: Block, account: str, data: bytes) -> Settled:
    message = wire.read_acknowledge(data)
    if message.signer != account:
        _check_signer(message.signer, account)
    return settling.acknowledge(wiring, view, block, message)


def _time_out(wiring: Wiring, view: View, block: Block, account: str, data: bytes) -> Settled:
    message = wire.read_timeout(data)
    if message.signer != account:
        _check_signer(message.signer, account)
    return settling.time_out(wiring, view, block, message)


def _create(wiring: Wiring, view: View, block: Block, account: str, data: bytes) -> Outcome:
    message = parse_own(ibc_client_pb2.MsgCreateClient, data)
    _check_signer(message.signer, account)
    return client.create(wiring, view, block, account, message.client_state, message.consensus_state)


def _register(wiring: Wiring, view: View, block: Block, account: str, data: bytes) -> Outcome:
    message = parse_own(ibc_client_pb2.MsgRegisterCounterparty, data)
    _check_signer(message.signer, account)
    record = Counterparty(message.counterparty_client_id, tuple(message.counterparty_merkle_prefix))
    return client.register_counterparty(view, account, message.client_id, record)


def _update_config(wiring: Wiring, view: View, block: Block, account: str, data: bytes) -> Outcome:
    message = parse_own(ibc_client_pb2.MsgUpdateClientConfig, data)
    _check_signer(message.signer, account)
    relayers = tuple(message.config.allowed_relayers)
    return client.update_config(wiring, view, account, message.client_id, relayers)


def _delete_creator(wiring: Wiring, view: View, block: Block, account: str, data: bytes) -> Outcome:
    message = parse_own(ibc_client_pb2.MsgDeleteClientCreator, data)
    _check_signer(message.signer, account)
    return client.delete_creator(wiring, view, account, message.client_id)


def _update(wiring: Wiring, view: View, block: Block, account: str, data: bytes) -> Outcome:
    message = parse_own(ibc_client_pb2.MsgUpdateClient, data)
    _check_signer(message.signer, account)
    content = message.client_message
    return client.update(wiring, view, block, account, message.client_id, (content.type_url, content.value))


def _upgrade(wiring: Wiring, view: View, block: Block, account: str, data: bytes) -> Outcome:
    message = parse_own(ibc_client_pb2.MsgUpgradeClient, data)
    _check_signer(message.signer, account)
    return client.upgrade(
        wiring,
        view,
        block,
        message.client_id,
        message.client_state,
        message.consensus_state,
        message.proof_upgrade_client,
        message.proof_upgrade_consensus_state,
    )


HANDLERS: Final[Mapping[str, Run]] = {
    urls.MSG_SEND_PACKET: _send,
    urls.MSG_RECV_PACKET: _receive,
    urls.MSG_ACKNOWLEDGEMENT: _acknowledge,
    urls.MSG_TIMEOUT: _time_out,
    urls.MSG_CREATE_CLIENT: _create,
    urls.MSG_REGISTER_COUNTERPARTY: _register,
    urls.MSG_UPDATE_CLIENT: _update,
    urls.MSG_UPDATE_CLIENT_CONFIG: _update_config,
    urls.MSG_DELETE_CLIENT_CREATOR: _delete_creator,
    urls.MSG_UPGRADE_CLIENT: _upgrade,
}
_RESPONSES: Final = {url: url + "Response" for url in HANDLERS}
