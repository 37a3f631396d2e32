"""Client messages (ICS-02): create, update, upgrade and recover a client, and its pairing records.

What a light client verifies is its module's affair; here is what ibc-go's 02-client does around it:
ids, who may act, status before and after, events. Evidence of misbehaviour is not a failure: the
transaction must commit, or the freeze is lost. Source: specs/ibc-v2.md §6.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.codec.wire import ibc_client_pb2
from lockgate.ibc import events, host
from lockgate.ibc.counterparty import (
    MAX_ALLOWED_RELAYERS,
    Counterparty,
    check_counterparty,
    check_relayer,
    find_counterparty,
)
from lockgate.ibc.errors import (
    BadSubstitute,
    BadUpgrade,
    ClientNotActive,
    CounterpartyAlreadySet,
    CreatorNotFound,
    NotCreator,
    RecoveryHeight,
    RecoveryRefused,
    TooLarge,
)
from lockgate.ibc.ports import ACTIVE
from lockgate.ibc.wiring import Wiring
from lockgate.primitives.ids import ClientId
from lockgate.primitives.state import Block, Outcome, Overlay, View

MAX_STATE_BYTES: Final = 32_768  # of a client or consensus state: ibc-go's MaxClientStateSize
FIRST_SEQUENCE: Final = (1).to_bytes(8, "big")


def create(
    wiring: Wiring,
    view: View,
    block: Block,
    account: str,
    client_state: AnyMessage,
    consensus_state: AnyMessage,
) -> Outcome:
    """Create a client under the next free id; `account` becomes its creator.

    Raises TooLarge, BadClientType, ClientNotActive, or what the light client refuses.
    """
    for name, state in (("client_state", client_state), ("consensus_state", consensus_state)):
        if len(state.value) > MAX_STATE_BYTES:
            raise TooLarge("state", field=name, size=len(state.value), most=MAX_STATE_BYTES)
    kind = wiring.clients.kind_of_states(view, client_state.type_url, consensus_state.type_url)
    number = next_client_number(view)
    client = host.check_client(f"{kind.client_type}-{number}")
    outcome = kind.module.initialise(
        view,
        client,
        client_state.SerializeToString(deterministic=True),
        consensus_state.SerializeToString(deterministic=True),
        block.time,
        block.height,
    )
    after = Overlay(view, outcome.writes)
    status = kind.module.status(after, client, block.time)
    if status != ACTIVE:
        raise ClientNotActive("a client starts active", client=client, status=status)
    height = kind.module.latest_height(after, client)
    outcome.set(host.STORE, host.NEXT_CLIENT_SEQUENCE, (number + 1).to_bytes(8, "big"))
    outcome.set(host.STORE, host.creator(client), account.encode())
    events.client_event(outcome, events.CREATE_CLIENT, client, kind.client_type, events.consensus_height(height))
    outcome.response = ibc_client_pb2.MsgCreateClientResponse(client_id=client).SerializeToString()
    return outcome


def register_counterparty(view: View, account: str, client: str, record: Counterparty) -> Outcome:
    """Pair a client with its counterparty: by its creator, once, for good.

    Raises BadCounterparty, TooLarge, BadHostIdentifier, NotCreator or CounterpartyAlreadySet.
    """
    check_counterparty(client, record)
    creator = find_creator(view, client)
    if creator != account:
        raise NotCreator("only the creator pairs a client", client=client, account=account, creator=creator)
    if find_counterparty(view, client) is not None:
        raise CounterpartyAlreadySet("set before", client=client)
    outcome = Outcome()
    outcome.set(host.STORE, host.counterparty(client), record.to_bytes())
    outcome.set(host.STORE, host.next_sequence_send(client), FIRST_SEQUENCE)
    return outcome


def update_config(wiring: Wiring, view: View, account: str, client: str, allowed_relayers: Items[str]) -> Outcome:
    """Set who may relay for a client; an empty list lets anyone. By its creator or an authority."""
    host.client_type(host.check_named_client(client))
    if len(allowed_relayers) > MAX_ALLOWED_RELAYERS:
        raise TooLarge("allowed relayers", count=len(allowed_relayers), most=MAX_ALLOWED_RELAYERS)
    _check_creator_or_authority(wiring, view, account, client)
    record = ibc_client_pb2.Config(allowed_relayers=allowed_relayers)
    outcome = Outcome()
    if record.allowed_relayers:
        outcome.set(host.STORE, host.config(client), record.SerializeToString(deterministic=True))
    else:
        outcome.delete(host.STORE, host.config(client))  # a store holds no empty value
    return outcome


def delete_creator(wiring: Wiring, view: View, account: str, client: str) -> Outcome:
    """Forget who created a client, so that nobody but an authority configures it any more."""
    host.client_type(host.check_named_client(client))
    if find_creator(view, client) is None:
        raise CreatorNotFound("none recorded", client=client)
    _check_creator_or_authority(wiring, view, account, client)
    outcome = Outcome()
    outcome.delete(host.STORE, host.creator(client))
    return outcome


def update(wiring: Wiring, view: View, block: Block, account: str, client: str, message: tuple[str, bytes]) -> Outcome:
    """Update a client with a header, or freeze it with evidence, given as (type URL, value).

    Raises RelayerNotAllowed, ClientNotActive, or what the light client refuses.
    """
    host.check_named_client(client)
    check_relayer(view, client, account)
    kind = wiring.clients.active(view, client, block.time)
    done = kind.module.update(view, ClientId(client), message, block.time, block.height)
    outcome = Outcome(dict(done.outcome.writes), list(done.outcome.events))
    if done.misbehaviour:
        events.client_event(outcome, events.CLIENT_MISBEHAVIOUR, client, kind.client_type)
    else:
        heights = events.consensus_heights(done.consensus_heights)
        events.client_event(outcome, events.UPDATE_CLIENT, client, kind.client_type, *heights)
    return outcome


def upgrade(
    wiring: Wiring,
    view: View,
    block: Block,
    client: str,
    client_state: AnyMessage,
    consensus_state: AnyMessage,
    proof_client: bytes,
    proof_consensus_state: bytes,
) -> Outcome:
    """Move a client to the chain its own chain has committed to become.

    Raises BadUpgrade, ClientNotActive, or what the light client refuses.
    """
    host.check_named_client(client)
    if not proof_client or not proof_consensus_state:
        raise BadUpgrade("a proof is missing", client=client)
    kind = wiring.clients.kind(view, client)
    if (client_state.type_url, consensus_state.type_url) != (kind.client_state_url, kind.consensus_state_url):
        raise BadUpgrade("the states are of another client type", client=client)
    wiring.clients.active(view, client, block.time)
    done = kind.module.upgrade(
        view,
        ClientId(client),
        client_state.SerializeToString(deterministic=True),
        consensus_state.SerializeToString(deterministic=True),
        proof_client,
        proof_consensus_state,
        block.time,
        block.height,
    )
    outcome = Outcome(dict(done.writes), list(done.events))
    height = kind.module.latest_height(Overlay(view, outcome.writes), ClientId(client))
    events.client_event(outcome, events.UPGRADE_CLIENT, client, kind.client_type, events.consensus_height(height))
    return outcome


def recover(wiring: Wiring, view: View, block: Block, subject: str, substitute: str) -> Outcome:
    """Revive an expired or frozen client from an active one. The caller has checked the authority.

    Raises BadSubstitute, RecoveryRefused, ClientNotActive, RecoveryHeight, or what the light client
    refuses.
    """
    host.check_named_client(subject)
    host.check_named_client(substitute)
    if subject == substitute:
        raise BadSubstitute("a client cannot stand in for itself", client=subject)
    kind = wiring.clients.kind(view, subject)
    if wiring.clients.kind(view, substitute) is not kind:
        raise BadSubstitute("another client type", subject=subject, substitute=substitute)
    old, new = ClientId(subject), ClientId(substitute)
    if kind.module.status(view, old, block.time) == ACTIVE:
        raise RecoveryRefused("active", client=subject)
    wiring.clients.active(view, substitute, block.time)
    behind, ahead = kind.module.latest_height(view, old), kind.module.latest_height(view, new)
    if behind >= ahead:
        raise RecoveryHeight("not later", subject=behind, substitute=ahead)
    done = kind.module.recover(view, old, new, block.time, block.height)
    outcome = Outcome(dict(done.writes), list(done.events))
    events.client_event(outcome, events.RECOVER_CLIENT, subject, kind.client_type, subject=True)
    return outcome


def find_creator(view: View, client: str) -> str | None:
    data = view.get(host.STORE, host.creator(client))
    return None if data is None else data.decode()


def next_client_number(view: View) -> int:
    """The N of the next client id, counted over all client types."""
    return int.from_bytes(view.get(host.STORE, host.NEXT_CLIENT_SEQUENCE) or b"", "big")


def _check_creator_or_authority(wiring: Wiring, view: View, account: str, client: str) -> None:
    if find_creator(view, client) != account and not wiring.authority.is_authority(view, account):
        raise NotCreator("neither creator nor authority", client=client, account=account)
