"""Each refusal of the machine, reached by the one thing that is wrong; nothing else of the ledger changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.codec import type_urls as urls
from lockgate.ibc import host
from lockgate.lab.clock import SimulatedClock
from lockgate.lab.endpoints import LabEndpoint
from lockgate.lab.ledgers import LabLedger, lab_authority
from lockgate.lab.paths import (
    End,
    connect,
    expect,
    open_lane_message,
    packets_of,
    receive_message,
    update,
    update_message,
)
from lockgate.machine import accounts, inbox, keys, lanes
from lockgate.machine.genesis import GenesisAccount, Parameters
from lockgate.machine.machine import Machine
from lockgate.machine.transaction import SUITE_ED25519, Transaction, sign
from lockgate.primitives.state import Draft
from lockgate.primitives.time import NANOS_PER_SECOND, UnixSeconds, seconds
from tests.support.lab import START, World, account
from tests.support.traffic import send_many

OWNER = account("owner")
AUTHORIZATION = {"authority": bytes(32), "domain": bytes(32), "sequence": 0, "valid_until": 0, "signature": b""}
MESSAGE = ("gov.cancel", {"due": 1, "number": 1, "authorization": AUTHORIZATION})


def ledger(**parameters: Any) -> LabLedger:
    return LabLedger("alpha-1", SimulatedClock(START), parameters=Parameters(**parameters))


def transaction(on: LabLedger, **changes: Any) -> bytes:
    """A transaction that only its message would refuse, with one thing changed."""
    good = Transaction(
        domain=on.chain.machine.domain,
        chain_id=on.genesis.chain_id,
        public_key=OWNER.key.public_key,
        nonce_lane=0,
        sequence=0,
        valid_until=UnixSeconds(START // NANOS_PER_SECOND + 60),
        gas_limit=1_000_000,
        fee=0,
        messages=(MESSAGE,),
    )
    return sign(dataclasses.replace(good, **changes), on.revision, OWNER.key.sign)


def spent(on: LabLedger, nonce_lane: int = 0) -> int:
    return accounts.next_sequence(on.chain.view(), OWNER.id, nonce_lane)


@pytest.mark.parametrize(
    ("code", "changes", "parameters"),
    [
        ("tx.sequence", {"sequence": 1}, {}),
        ("tx.expired", {"valid_until": UnixSeconds(START // NANOS_PER_SECOND - 1)}, {}),
        ("tx.fee", {}, {"min_gas_price": 1}),
        ("tx.fee", {"fee": 1}, {}),
        ("tx.unknown_account", {}, {"account_admission_open": False}),
        ("tx.wrong_domain", {"chain_id": "alpha-2"}, {}),
        ("tx.malformed", {"messages": (MESSAGE,) * 3}, {"max_messages": 2}),
        ("tx.malformed", {"nonce_lane": 1 << 16}, {}),
        ("tx.malformed", {"messages": ()}, {}),
    ],
)
def test_what_is_refused_before_it_runs_spends_nothing(
    code: str, changes: dict[str, Any], parameters: dict[str, Any]
) -> None:
    on = ledger(**parameters)
    root = on.chain.app_hash
    result = on.block(transaction(on, **changes)).results.transactions[0]
    assert result.log.split(":")[0] == code
    assert (on.chain.app_hash, spent(on)) == (root, 0)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("tx.out_of_gas", {"gas_limit": 100}),
        ("tx.unknown_message", {"messages": (("gov.mint", {}),)}),
        ("tx.bad_message", {"messages": (("endpoint.register", {"record": "text"}),)}),
        ("tx.bad_message", {"messages": (("endpoint.register", {}),)}),
        ("gov.not_authority", {}),
    ],
)
def test_what_is_refused_while_it_runs_spends_its_sequence_and_writes_nothing(
    code: str, changes: dict[str, Any]
) -> None:
    on = ledger()
    before = {s: list(on.chain.view().scan(s, b"\x00", b"\xff" * 90)) for s in keys.STORES if s != "acc"}
    result = on.block(transaction(on, **changes)).results.transactions[0]
    assert result.log.split(":")[0] == code
    assert spent(on) == 1
    assert {s: list(on.chain.view().scan(s, b"\x00", b"\xff" * 90)) for s in keys.STORES if s != "acc"} == before
    if code == "tx.out_of_gas":
        assert result.gas_used == 100, "what there was is charged in full"


def test_the_fee_is_paid_into_the_pool_whatever_the_message_does() -> None:
    clock = SimulatedClock(START)
    on = LabLedger("alpha-1", clock)
    funded = dataclasses.replace(on.genesis, accounts=(GenesisAccount(SUITE_ED25519, OWNER.key.public_key, 2_000_000),))
    machine = Machine(funded, on.chain)
    from lockgate.machine.machine import BlockInput
    from lockgate.primitives.state import Overlay

    view = Overlay(on.chain.state, machine.initial_state())
    body = Transaction(
        domain=funded.domain_id,
        chain_id=funded.chain_id,
        public_key=OWNER.key.public_key,
        nonce_lane=3,
        sequence=0,
        valid_until=UnixSeconds(START // NANOS_PER_SECOND + 60),
        gas_limit=1_000_000,
        fee=1_500_000,
        messages=(MESSAGE,),
    )
    block = BlockInput(height=1, time=START, transactions=(sign(body, 1, OWNER.key.sign),))
    decided = machine.execute(view, block)
    after = Overlay(view, decided.writes)
    record = accounts.load(after, OWNER.id)
    assert record is not None
    assert record.balance == 500_000
    assert int.from_bytes(after.get("fee", b"pool") or b"", "big") == 1_500_000
    assert "gov.not_authority" in decided.results[0].log


def test_a_defect_of_a_handler_is_a_fault_of_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    on = ledger()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(on.chain.machine._messages, "gov.cancel", broken)  # type: ignore[arg-type]  # a defect
    result = on.block(transaction(on)).results.transactions[0]
    assert result.log.split(":")[0] == "machine.fault"
    assert spent(on) == 1


def test_a_transaction_that_others_have_done_already_is_not_admitted() -> None:
    """In a block it would succeed and change nothing; before one it is refused, so relayers stop early."""
    world = World.make()
    packet = world.send()
    expect(world.deliver(packet))
    again = world.b.ledger.signed(world.b.account, [receive_message(world.b, world.a, packet)])
    checked = world.b.ledger.chain.check(again)
    assert checked.log.split(":")[0] == "tx.redundant"
    assert (checked.codespace, checked.code) == ("channel", 22)
    assert world.b.ledger.block(again).results.transactions[0].code == 0


def test_an_update_beside_them_saves_no_packets_that_others_have_delivered() -> None:
    """As ibc-go decides it: only packet messages are counted, and an update alone is never redundant."""
    world = World.make()
    packet, fresh = world.send(), world.send()
    expect(world.deliver(packet))
    done = receive_message(world.b, world.a, packet)
    world.a.ledger.block()
    brought = update_message(world.b, world.a.ledger, world.a.ledger.height)
    for messages, code in (
        ([brought, done], ("channel", 22)),
        ([brought], ("", 0)),
        ([brought, done, receive_message(world.b, world.a, fresh)], ("", 0)),
    ):
        signed = world.b.ledger.signed(world.b.account, messages)
        checked = world.b.ledger.chain.check(signed)
        assert (checked.codespace, checked.code) == code, checked.log
        assert world.b.ledger.block(signed).results.transactions[0].code == 0


# Endpoints.


def answer_by_a_stranger(world: World) -> str:
    return world.b.ledger.transact(account("stranger"), world.receiver.advance()).log


def register_again(world: World) -> str:
    return world.b.ledger.transact(world.host_b, world.receiver.register()).log


def act_unregistered(world: World) -> str:
    ghost = LabEndpoint(b"ghost", (world.host_b.id,))
    return world.b.ledger.transact(world.host_b, ghost.take_fence()).log


def act_revoked(world: World) -> str:
    revoke = {"action": "endpoint.revoke", "arguments": {"endpoint": world.receiver.id}}
    expect(world.b.ledger.govern(world.gov, "gov.announce", revoke))
    for _ in range(world.b.ledger.genesis.parameters.authority_delay_blocks):
        world.b.ledger.block()
    return world.b.ledger.transact(world.host_b, world.receiver.take_fence()).log


def send_past_the_host(world: World) -> str:
    from lockgate.ibc import wire as ibc_wire
    from lockgate.ibc.packet import Payload

    payload = Payload(
        source_port=world.receiver.port,
        destination_port=world.sender.port,
        version="lockgate-1",
        encoding="application/cose",
        value=b"x",
    )
    request = ibc_wire.SendMessage(world.b.client, UnixSeconds(world.now_s + 60), (payload,), world.host_b.id)
    return world.b.ledger.transact(world.host_b, (urls.MSG_SEND_PACKET, ibc_wire.encode_send(request))).log


def answer_at_the_deadline(world: World) -> str:
    packet = world.send()
    expect(world.deliver(packet))
    entry = inbox.find(world.b.ledger.chain.view(), world.b.client, packet.sequence)
    assert entry is not None
    # The sweep of the same block would take the entry; without its room the answer itself must refuse.
    message = world.receiver.answer(world.b.client, packet.sequence, ack=b"late")
    machine, ledger_b = world.b.ledger.chain.machine, world.b.ledger
    data = ledger_b.signed(world.host_b, [message])
    return machine.check(Draft(ledger_b.chain.view()), data, ledger_b.height + 1, entry.deadline).log


@pytest.mark.parametrize(
    ("code", "do"),
    [
        ("endpoint.not_its_account", answer_by_a_stranger),
        ("endpoint.exists", register_again),
        ("endpoint.unregistered", act_unregistered),
        ("endpoint.revoked", act_revoked),
        ("send.outside_answer", send_past_the_host),
        ("inbox.deadline", answer_at_the_deadline),
    ],
)
def test_an_endpoints_refusals(code: str, do: Callable[[World], str]) -> None:
    assert do(World.make()).split(":")[0] == code


def test_a_packet_to_a_revoked_endpoint_is_refused_and_not_the_transaction() -> None:
    world = World.make()
    packet = world.send()
    act_revoked(world)
    result = expect(world.deliver(packet))
    assert [e.get("code") for e in result.events if e.type == "packet_refused"] == ["endpoint.revoked"]


# Inboxes (P15).


def codes_of(world: World, count: int) -> list[str]:
    """Send and deliver that many; what became of each."""
    found = []
    for _ in range(count):
        result = expect(world.deliver(world.send()))
        refused = [e.get("code") or "" for e in result.events if e.type == "packet_refused"]
        found.append(refused[0] if refused else "waits")
    return found


def test_P15_a_full_grant_is_busy_and_an_answer_makes_room() -> None:
    world = World.make()
    expect(world.b.ledger.transact(world.host_b, world.receiver.grant(world.lane, world.sender, most_open=2)))
    assert codes_of(world, 3) == ["waits", "waits", "inbox.busy"]
    message = world.receiver.answer(world.b.client, 1, ack=b"done")
    expect(world.b.ledger.transact(world.host_b, message))
    assert codes_of(world, 1) == ["waits"]


def test_P15_a_full_lane_cannot_take_a_grants_reserved_slots() -> None:
    world = World.make(Parameters(inbox_per_grant=64, inbox_per_lane=64, inbox_total=64, inbox_reserved=2))
    second = LabEndpoint(b"second", (world.host_b.id,))
    expect(world.b.ledger.transact(world.host_b, second.register(), second.take_fence()))
    expect(world.b.ledger.transact(world.host_b, second.grant(world.lane, world.sender, most_open=3)))
    packets = send_many(world, 64)
    update(world.b, world.a.ledger)
    deliveries = [receive_message(world.b, world.a, packet) for packet in packets]
    taken = expect(world.b.ledger.transact(world.b.account, *deliveries))
    assert len([e for e in taken.events if e.type == "inbox"]) == 64
    results = []
    for _ in range(3):
        sending = world.sender.sending(world.a.client, second, world.now_s + 60, b"x")
        packet = packets_of(expect(world.a.ledger.transact(world.host_a, world.sender.advance(sending))))[0]
        events = expect(world.deliver(packet)).events
        results.append([e.get("code") for e in events if e.type == "packet_refused"])
    assert results == [[], [], ["inbox.busy"]]


# Lanes (P9).


def pair() -> tuple[End, End]:
    clock = SimulatedClock(START)
    a, b = (End(LabLedger(name, clock), account(f"op {name}")) for name in ("alpha-1", "beta-1"))
    connect(a, b, lane=False)
    update(a, b.ledger)
    return a, b


def opened(a: End, changes: dict[str, Any], b: End) -> str:
    name, fields = open_lane_message(a, b)
    return a.ledger.transact(a.account, (name, {**fields, **changes})).log


@pytest.mark.parametrize(
    "changes",
    [
        {"remote_client": "07-tendermint-9"},
        {"grace": 0},
        {"grace": int(seconds(25 * 3600))},
        {"consensus_height": "1-999"},
        {"consensus_height": "2-2"},
        {"consensus_height": "1-1"},
        {"domain_proof": b""},
    ],
    ids=str,
)
def test_P9_a_lane_over_anything_that_is_not_proven_stays_shut(changes: dict[str, Any]) -> None:
    a, b = pair()
    log = opened(a, changes, b=b)
    assert log
    assert lanes.lane_of(a.ledger.chain.view(), a.client) is None
    if "domain_proof" not in changes and changes != {"consensus_height": "1-1"}:
        assert log.split(":")[0] == "lane.proof"


def test_P9_a_client_carries_one_lane() -> None:
    a, b = pair()
    assert opened(a, {}, b=b) == ""
    assert opened(a, {}, b=b).split(":")[0] == "lane.exists"


def test_P9_where_admission_is_closed_the_authority_opens() -> None:
    clock = SimulatedClock(START)
    gov, stranger = lab_authority("authority"), lab_authority("stranger")
    closed = Parameters(lane_admission_open=False)
    a, b = (
        End(LabLedger(name, clock, parameters=closed, authority=(gov.key,)), account(f"op {name}"))
        for name in ("alpha-1", "beta-1")
    )
    connect(a, b, lane=False)
    update(a, b.ledger)
    assert opened(a, {}, b=b).split(":")[0] == "lane.not_admitted"
    name, fields = open_lane_message(a, b)
    assert "gov.not_authority" in a.ledger.govern(stranger, name, fields).log
    signed, authorized = a.ledger.authorized(gov, name, fields)
    spoiled = {**authorized, "operated": not authorized["operated"]}
    assert "gov.signature" in a.ledger.transact(a.account, (signed, spoiled)).log
    assert lanes.lane_of(a.ledger.chain.view(), a.client) is None
    expect(a.ledger.transact(a.account, (signed, authorized)))


def test_P9_endpoints_use_open_lanes_only() -> None:
    world = World.make()
    from lockgate.lab.paths import create_client, register

    other = End(world.a.ledger, world.a.account)
    create_client(other, world.b.ledger)
    register(other, world.b.client)
    sending = world.sender.sending(other.client, world.receiver, world.now_s + 60, b"x")
    log = world.a.ledger.transact(world.host_a, world.sender.advance(sending)).log
    assert log.split(":")[0] == "lane.not_open"
    assert world.a.ledger.chain.view().get("ibc", host.packet_commitment(other.client, 1)) is None
