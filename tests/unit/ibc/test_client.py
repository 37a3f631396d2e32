"""Client messages: creation, pairing, configuration, updates, recovery, upgrade. Refused: nothing written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate.codec import type_urls as urls
from lockgate.codec.wire import ibc_client_pb2 as pb
from lockgate.ibc import client as client_messages
from lockgate.ibc import host
from lockgate.ibc.client import MAX_STATE_BYTES, find_creator
from lockgate.ibc.counterparty import Counterparty, find_counterparty
from lockgate.ibc.errors import (
    BadClientType,
    BadCounterparty,
    BadHostIdentifier,
    BadSubstitute,
    BadUpgrade,
    ClientNotActive,
    CounterpartyAlreadySet,
    CreatorNotFound,
    NotCreator,
    RecoveryHeight,
    RecoveryRefused,
    RelayerNotAllowed,
    SignerMismatch,
    TooLarge,
    UnknownMessage,
)
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import Height
from lockgate.primitives.state import Outcome
from tests.support.ibc_fakes import (
    AUTHORITY,
    CLIENT_TYPE,
    EVIDENCE_URL,
    RELAYER,
    SENDER,
    START,
    STATE_URL,
    client_state,
    consensus_state,
    set_status,
)
from tests.support.ibc_world import (
    Pair,
    World,
    create_client_message,
    register_message,
    update_message,
    upgrade_message,
)

STRANGER = "dd" * 20


def refused(world: World, refusal: type[LockgateError], url: str, data: bytes, account: str) -> LockgateError:
    before = world.state.snapshot()
    with pytest.raises(refusal) as caught:
        world.deliver(url, data, account)
    assert world.state.snapshot() == before
    return caught.value


def create(world: World, latest: str = "1-1", status: str = "Active", account: str = SENDER) -> str:
    message = pb.MsgCreateClient(
        client_state=client_state(Height.parse(latest), status), consensus_state=consensus_state(START), signer=account
    )
    done = world.deliver(urls.MSG_CREATE_CLIENT, message.SerializeToString(), account)
    return pb.MsgCreateClientResponse.FromString(done.outcome.response).client_id


def test_clients_are_numbered_in_order_and_remember_their_creator() -> None:
    world = World("ledger-1")
    assert [create(world), create(world, account=STRANGER)] == [f"{CLIENT_TYPE}-0", f"{CLIENT_TYPE}-1"]
    assert find_creator(world.state, f"{CLIENT_TYPE}-0") == SENDER
    assert find_creator(world.state, f"{CLIENT_TYPE}-1") == STRANGER
    event = world.last_event("create_client")
    assert event.attributes == (
        ("client_id", f"{CLIENT_TYPE}-1"), ("client_type", CLIENT_TYPE), ("consensus_height", "1-1"),
    )  # fmt: skip
    assert world.last_event("message").attributes == (("module", "ibc_client"),)


CREATE_SPOILED: list[tuple[str, Callable[[pb.MsgCreateClient], None], type[LockgateError]]] = [
    ("unknown state", lambda m: setattr(m.client_state, "type_url", "/x.Y"), BadClientType),
    ("other consensus", lambda m: setattr(m.consensus_state, "type_url", STATE_URL), BadClientType),
    ("no state", lambda m: m.ClearField("client_state"), BadClientType),
    ("large state", lambda m: setattr(m.client_state, "value", bytes(MAX_STATE_BYTES + 1)), TooLarge),
    ("large consensus", lambda m: setattr(m.consensus_state, "value", bytes(MAX_STATE_BYTES + 1)), TooLarge),
    ("starts frozen", lambda m: setattr(m.client_state, "value", b"1-1/Frozen"), ClientNotActive),
    ("other signer", lambda m: setattr(m, "signer", STRANGER), SignerMismatch),
]


@pytest.mark.parametrize(("_name", "spoil", "refusal"), CREATE_SPOILED, ids=[case[0] for case in CREATE_SPOILED])
def test_create_refuses(_name: str, spoil: Callable[[pb.MsgCreateClient], None], refusal: type[LockgateError]) -> None:
    world = World("ledger-1")
    message = pb.MsgCreateClient.FromString(create_client_message(Height(1, 1), START, SENDER))
    spoil(message)
    refused(world, refusal, urls.MSG_CREATE_CLIENT, message.SerializeToString(), SENDER)


def test_pairing_is_written_once_by_the_creator() -> None:
    world = World("ledger-1")
    client = create(world)
    data = register_message(client, "07-tendermint-4", SENDER)
    refused(world, NotCreator, urls.MSG_REGISTER_COUNTERPARTY, register_message(client, "abc-1", STRANGER), STRANGER)
    world.deliver(urls.MSG_REGISTER_COUNTERPARTY, data, SENDER)
    assert find_counterparty(world.state, client) == Counterparty("07-tendermint-4", (b"ibc", b""))
    assert world.state.get("ibc", host.next_sequence_send(client)) == bytes(7) + b"\x01"
    stored = world.state.get("ibc", host.counterparty(client))
    assert stored == b"\x0a\x03ibc\x0a\x00\x12\x0f07-tendermint-4"  # what opening a lane proves (P9)
    again = register_message(client, "07-tendermint-5", SENDER)
    refused(world, CounterpartyAlreadySet, urls.MSG_REGISTER_COUNTERPARTY, again, SENDER)
    refused(world, CounterpartyAlreadySet, urls.MSG_REGISTER_COUNTERPARTY, data, SENDER)


@pytest.mark.parametrize(
    ("counterparty", "prefix", "refusal"),
    [
        ("07-tendermint-4", (), BadCounterparty),
        ("07-tendermint-4", (b"", b"x"), BadCounterparty),
        ("07-tendermint-4", (b"a",) * 33, TooLarge),
        ("07-tendermint-4", (b"a" * 257,), TooLarge),
        ("tendermint", (b"ibc", b""), BadHostIdentifier),
        ("07/tendermint-4", (b"ibc", b""), BadHostIdentifier),
        ("", (b"ibc", b""), BadHostIdentifier),
    ],
)
def test_pairing_refuses(counterparty: str, prefix: tuple[bytes, ...], refusal: type[LockgateError]) -> None:
    world = World("ledger-1")
    data = register_message(create(world), counterparty, SENDER, prefix)
    refused(world, refusal, urls.MSG_REGISTER_COUNTERPARTY, data, SENDER)


def test_pairing_of_a_client_that_does_not_exist_is_refused() -> None:
    data = register_message(f"{CLIENT_TYPE}-7", "07-tendermint-0", SENDER)
    refused(World("x"), NotCreator, urls.MSG_REGISTER_COUNTERPARTY, data, SENDER)


def config(client: str, signer: str, *relayers: str) -> bytes:
    message = pb.MsgUpdateClientConfig(client_id=client, config=pb.Config(allowed_relayers=relayers), signer=signer)
    message.config.SetInParent()
    return message.SerializeToString()


def test_the_relayer_list_gates_updates() -> None:
    pair = Pair.connected()
    world = pair.a
    refused(world, NotCreator, urls.MSG_UPDATE_CLIENT_CONFIG, config(world.client, STRANGER, RELAYER), STRANGER)
    world.deliver(urls.MSG_UPDATE_CLIENT_CONFIG, config(world.client, SENDER, STRANGER), SENDER)
    pair.b.commit()
    data = update_message(world.client, pair.b.height)
    refused(world, RelayerNotAllowed, urls.MSG_UPDATE_CLIENT, data, RELAYER)
    world.deliver(urls.MSG_UPDATE_CLIENT_CONFIG, config(world.client, AUTHORITY, STRANGER, RELAYER), AUTHORITY)
    world.deliver(urls.MSG_UPDATE_CLIENT, data, RELAYER)
    world.deliver(urls.MSG_UPDATE_CLIENT_CONFIG, config(world.client, SENDER), SENDER)
    assert world.state.get("ibc", host.config(world.client)) is None
    world.deliver(urls.MSG_UPDATE_CLIENT, update_message(world.client, pair.b.height, STRANGER), STRANGER)


def test_the_relayer_list_is_bounded() -> None:
    world = Pair.connected().a
    refused(world, TooLarge, urls.MSG_UPDATE_CLIENT_CONFIG, config(world.client, SENDER, *["x"] * 21), SENDER)


def test_without_a_creator_only_an_authority_configures() -> None:
    world = Pair.connected().a
    delete = pb.MsgDeleteClientCreator(client_id=world.client, signer=SENDER).SerializeToString()
    other = pb.MsgDeleteClientCreator(client_id=world.client, signer=STRANGER).SerializeToString()
    refused(world, NotCreator, urls.MSG_DELETE_CLIENT_CREATOR, other, STRANGER)
    world.deliver(urls.MSG_DELETE_CLIENT_CREATOR, delete, SENDER)
    refused(world, CreatorNotFound, urls.MSG_DELETE_CLIENT_CREATOR, delete, SENDER)
    refused(world, NotCreator, urls.MSG_UPDATE_CLIENT_CONFIG, config(world.client, SENDER, SENDER), SENDER)
    world.deliver(urls.MSG_UPDATE_CLIENT_CONFIG, config(world.client, AUTHORITY, SENDER), AUTHORITY)


def test_an_update_says_which_heights_it_brought() -> None:
    pair = Pair.connected()
    pair.b.commit()
    done = pair.a.deliver(urls.MSG_UPDATE_CLIENT, update_message(pair.a.client, pair.b.height))
    height = f"1-{pair.b.height}"
    assert done.outcome.events[0].attributes == (
        ("client_id", pair.a.client), ("client_type", CLIENT_TYPE),
        ("consensus_height", height), ("consensus_heights", height),
    )  # fmt: skip


def test_evidence_freezes_the_client_and_the_message_succeeds() -> None:
    world = Pair.connected().a
    done = world.deliver(urls.MSG_UPDATE_CLIENT, update_message(world.client, 1, kind=EVIDENCE_URL))
    assert done.outcome.events[0].type == "client_misbehaviour"
    assert world.wiring.clients.status(world.state, world.client, world.block.time) == "Frozen"
    refused(world, ClientNotActive, urls.MSG_UPDATE_CLIENT, update_message(world.client, 1), RELAYER)


def test_recovery() -> None:
    """The ledger's governance asks for it: no message does."""
    pair = Pair.connected()
    world = pair.a
    ahead, behind = create(world, f"1-{pair.b.height + 1}"), create(world, "1-1")
    frozen = create(world, f"1-{pair.b.height + 1}")
    world.apply(set_status(world.state, frozen, "Frozen"))
    pair.b.commit()

    def recover(substitute: str) -> Outcome:
        return client_messages.recover(world.wiring, world.state, world.block, world.client, substitute)

    with pytest.raises(RecoveryRefused):
        recover(ahead)
    world.apply(set_status(world.state, world.client, "Expired"))
    for substitute, refusal in (
        (world.client, BadSubstitute), ("noclient", BadHostIdentifier), (frozen, ClientNotActive),
        (behind, RecoveryHeight),
    ):  # fmt: skip
        with pytest.raises(refusal):
            recover(substitute)
    done = recover(ahead)
    assert done.events[0].attributes == (("subject_client_id", world.client), ("client_type", CLIENT_TYPE))
    world.apply(done)
    assert world.wiring.clients.status(world.state, world.client, world.block.time) == "Active"


def test_upgrade() -> None:
    world = Pair.connected().a
    url = urls.MSG_UPGRADE_CLIENT
    refused(world, BadUpgrade, url, upgrade_message(world.client, b""), RELAYER)
    refused(world, BadUpgrade, url, upgrade_message(world.client, consensus_url=STATE_URL), RELAYER)
    done = world.deliver(url, upgrade_message(world.client))
    assert done.outcome.events[0].attributes[2] == ("consensus_height", "2-1")
    world.apply(set_status(world.state, world.client, "Expired"))
    refused(world, ClientNotActive, url, upgrade_message(world.client), RELAYER)


def test_other_messages_are_unknown() -> None:
    refused(World("x"), UnknownMessage, "/cosmos.bank.v1beta1.MsgSend", b"", SENDER)
