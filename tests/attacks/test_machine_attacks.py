"""Replays of past bridge failures on whole ledgers: A1, A7, A9, A10, C1, C6 of specs/incidents.md."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lockgate.codec import type_urls as urls
from lockgate.crypto.suites import SEAL_X25519, SIGN_ED25519
from lockgate.envelope.errors import BadEnvelope
from lockgate.ibc import dispatch, host
from lockgate.ibc import events as ibc_events
from lockgate.ibc import wire as ibc_wire
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.ibc.ports import Call
from lockgate.lab.ledgers import LabLedger, lab_authority
from lockgate.lab.paths import (
    acknowledge_message,
    acknowledgements_of,
    expect,
    packets_of,
    receive_message,
    timeout_message,
    update,
)
from lockgate.machine import gas, keys, lanes
from lockgate.machine.genesis import Parameters
from lockgate.machine.machine import TxResult
from lockgate.machine.records import LanePhase
from lockgate.machine.transaction import Message, sign
from lockgate.primitives.ids import DomainId, Hash32, Sequence
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import UnixSeconds
from tests.support.equivocation import misbehaviour
from tests.support.lab import World, account
from tests.support.notes import PORT, Notes, note_key
from tests.unit.envelope import world as envelopes
from tests.unit.machine.test_suspension import show_header

State = dict[str, dict[bytes, bytes]]


def state_of(ledger: LabLedger) -> State:
    """Everything but the spent sequences of accounts."""
    view = ledger.chain.view()
    return {s: dict(view.scan(s, b"\x00", b"\xff" * 90)) for s in keys.STORES if s != keys.ACCOUNT}


def refused(ledger: LabLedger, signer: Any, *messages: Message) -> TxResult:
    """The transaction fails, and nothing of the ledger but the signer's sequence has changed."""
    before = state_of(ledger)
    result = ledger.transact(signer, *messages)
    assert result.code != 0
    assert state_of(ledger) == before
    return result


# A7: an alternate entry point that skips authentication.


def forgeries(world: World) -> dict[str, Message]:
    """Every message that could make something happen at B's endpoint, brought without what it must prove."""
    b, packet = world.b, world.send()
    forged = packet._replace(payloads=(packet.payloads[0]._replace(value=b"forged"),))
    update(b, world.a.ledger)
    height = world.a.ledger.at(b.trusted)
    _, honest = receive_message(b, world.a, packet)
    proof = ibc_wire.read_receive(honest).proof
    swap = {
        "endpoint": world.receiver.id,
        "fence": world.receiver.fence,
        "prev_root": bytes(32),
        "next_root": b"x" * 32,
    }
    answer = {**swap, "client": b.client, "sequence": packet.sequence, "ack": b"yes", "sends": []}
    payload = Payload(
        source_port=world.receiver.port,
        destination_port=world.sender.port,
        version="lockgate-1",
        encoding="application/cose",
        value=b"in the endpoint's name",
    )
    outside = ibc_wire.SendMessage(b.client, UnixSeconds(world.now_s + 60), (payload,), b.account.id)
    acknowledgement = Acknowledgement((b"forged",))
    return {
        "another body under the proof": (
            urls.MSG_RECV_PACKET,
            ibc_wire.encode_receive(forged, proof, height, b.account.id),
        ),
        "no proof": (urls.MSG_RECV_PACKET, ibc_wire.encode_receive(packet, b"", height, b.account.id)),
        "a proof of nothing": (
            urls.MSG_RECV_PACKET,
            ibc_wire.encode_receive(packet, b"\x0a\x00", height, b.account.id),
        ),
        "an answer to what never came": ("endpoint.answer", answer),
        "a step by a stranger": ("endpoint.advance", {**swap, "sends": []}),
        "a send past the endpoint": (urls.MSG_SEND_PACKET, ibc_wire.encode_send(outside)),
        "an acknowledgement of a packet never sent": (
            urls.MSG_ACKNOWLEDGEMENT,
            ibc_wire.encode_acknowledge(reversed_of(packet), acknowledgement, proof, height, b.account.id),
        ),
        "somebody else's signature": (
            urls.MSG_RECV_PACKET,
            ibc_wire.encode_receive(packet, proof, height, world.host_b.id),
        ),
    }


def reversed_of(packet: Packet) -> Packet:
    return packet._replace(source_client=packet.destination_client, destination_client=packet.source_client)


FORGERIES = (
    "another body under the proof",
    "no proof",
    "a proof of nothing",
    "an answer to what never came",
    "a step by a stranger",
    "a send past the endpoint",
    "somebody else's signature",
)


@pytest.mark.parametrize("name", FORGERIES)
def test_a7_every_entry_called_directly_with_forged_input_is_refused(name: str) -> None:
    world = World.make()
    message = forgeries(world)[name]
    refused(world.b.ledger, world.b.account, message)


def test_a7_an_acknowledgement_of_a_packet_never_sent_does_nothing() -> None:
    world = World.make()
    message = forgeries(world)["an acknowledgement of a packet never sent"]
    before = state_of(world.b.ledger)
    world.b.ledger.transact(world.b.account, message)
    assert state_of(world.b.ledger) == before


def test_a7_bytes_that_nobody_signed_do_nothing_and_spend_nothing() -> None:
    world = World.make()
    ledger = world.b.ledger
    good = ledger.signed(world.host_b, [world.receiver.take_fence()])
    root = ledger.chain.app_hash
    for spoiled in (good[:-1], good[:-1] + bytes([good[-1] ^ 1]), b"", b"\xd2\x84", good + b"\x00"):
        assert ledger.block(spoiled).results.transactions[0].code != 0
        assert ledger.chain.app_hash == root
    expect(ledger.block(good).results.transactions[0])


def test_a7_there_is_one_entry_and_it_takes_priced_messages_only() -> None:
    """A handler without a price, or a price without a handler, would be a second way in or a dead one."""
    machine = World.make().a.ledger.chain.machine
    own = {name for name in gas.PER_MESSAGE if not name.startswith("/")}
    assert own == set(machine._messages)
    assert set(dispatch.HANDLERS) <= set(gas.PER_MESSAGE), "recovery is governance's own, announced and delayed"


@pytest.mark.parametrize("name", [urls.MSG_RECOVER_CLIENT, urls.MSG_UPDATE_PARAMS, "gov.apply", "_run", "/x.Msg"])
def test_a7_what_is_not_a_message_of_this_ledger_is_refused_even_from_the_authority(name: str) -> None:
    world = World.make()
    content: Any = b"" if name.startswith("/") else {}
    assert "tx.unknown_message" in refused(world.a.ledger, world.a.ledger.clerk, (name, content)).log


# A9: a message aimed at the ledger's own privileged parts.

PRIVILEGED = ("gov", "lane", "ibc", "acc", "rules", "endpoint", "machine", "upgrade", "gov.announce", "07-tendermint")


@pytest.mark.parametrize("port", PRIVILEGED)
def test_a9_no_packet_reaches_a_privileged_part_of_the_ledger(port: str) -> None:
    """Ports are allow-listed: applications bound when the ledger was built, and endpoints. Nothing else routes."""
    world = World.make(applications={PORT: Notes()})
    payload = Payload(
        source_port=PORT, destination_port=port, version="1", encoding="application/cbor", value=b"\xa0" * 8
    )
    packet = world.commit_anything((payload,))
    before = {name: s for name, s in state_of(world.b.ledger).items() if name != keys.IBC}
    result = world.deliver(packet)
    assert result.code != 0
    after = {name: s for name, s in state_of(world.b.ledger).items() if name != keys.IBC}
    assert after == before


def test_a9_the_caller_chooses_no_handler_inside_a_payload() -> None:
    """What a payload says inside is the application's to read: a governance message in it stays bytes."""
    world = World.make(applications={PORT: Notes()})
    inside = b'["gov.announce", {"action": "lane.close"}]'
    payload = Payload(source_port=PORT, destination_port=PORT, version="1", encoding="x", value=inside)
    packet = world.commit_anything((payload,))
    expect(world.deliver(packet))
    view = world.b.ledger.chain.view()
    assert view.get("app", note_key("received", packet.sequence, 0)) == inside
    assert list(view.scan(keys.GOVERNANCE, keys.SCHEDULE_PREFIX, b"schedule0")) == []


def test_a9_rules_change_only_by_the_authority_and_after_the_delay() -> None:
    world = World.make()
    change = {"action": "parameters.set", "arguments": {"parameters": {"max_payloads": 1}}}
    stranger = lab_authority("stranger")
    refused(world.a.ledger, world.host_a, world.a.ledger.authorized(stranger, "gov.announce", change))
    before = state_of(world.a.ledger)[keys.RULES]
    expect(world.a.ledger.govern(world.gov, "gov.announce", change))
    for _ in range(world.a.ledger.genesis.parameters.authority_delay_blocks - 2):
        world.a.ledger.block()
        assert state_of(world.a.ledger)[keys.RULES] == before
    world.a.ledger.block()
    assert state_of(world.a.ledger)[keys.RULES] != before


# A10: events that look like deposits.


class Liar(Notes):
    """An application that emits whatever looks like core's events, for packets that core never made."""

    def __init__(self) -> None:
        self.forged: Packet | None = None

    def on_send(self, view: View, call: Call, /) -> Outcome:
        outcome = super().on_send(view, call)
        assert self.forged is not None
        attributes = ibc_events.packet_attributes(self.forged, ibc_wire.encode_packet(self.forged))
        ibc_events.packet_event(outcome, ibc_events.SEND_PACKET, attributes)
        ibc_events.acknowledgement_event(
            outcome, attributes, ibc_wire.encode_acknowledgement(Acknowledgement((b"forged",)))
        )
        return outcome


def test_a10_an_event_that_looks_like_a_send_is_believed_by_nobody() -> None:
    liar = Liar()
    world = World.make(applications={PORT: liar})
    envelope = Payload(
        source_port=world.sender.port,
        destination_port=world.receiver.port,
        version="lockgate-1",
        encoding="application/cose",
        value=b"never sent",
    )
    liar.forged = Packet(
        sequence=Sequence(77),
        source_client=world.a.client,
        destination_client=world.b.client,
        timeout=UnixSeconds(world.now_s + 600),
        payloads=(envelope,),
    )
    note = Payload(source_port=PORT, destination_port=PORT, version="1", encoding="x", value=b"note")
    request = ibc_wire.SendMessage(world.a.client, UnixSeconds(world.now_s + 60), (note,), world.a.account.id)
    result = expect(world.a.ledger.transact(world.a.account, (urls.MSG_SEND_PACKET, ibc_wire.encode_send(request))))
    seen = {packet.sequence: packet for packet in packets_of(result)}
    assert seen[77] == liar.forged, "the event alone cannot be told from a real one"
    update(world.b, world.a.ledger)
    refused(world.b.ledger, world.b.account, receive_message(world.b, world.a, seen[77]))
    expect(world.b.ledger.transact(world.b.account, receive_message(world.b, world.a, seen[1])))
    # The forged acknowledgement beside it ends nothing, either.
    forged = acknowledgements_of(result.events)[77]
    update(world.a, world.b.ledger)
    pending = host.packet_commitment(world.a.client, 1)
    log = refused(world.a.ledger, world.a.account, acknowledge_message(world.a, world.b, seen[1], forged)).log
    assert "ics23" in log or "merkle" in log or "proof" in log
    assert world.a.ledger.chain.view().get("ibc", pending) is not None


def test_a10_a_memo_that_spells_an_event_is_bytes() -> None:
    world = World.make(applications={PORT: Notes()})
    memo = b"send_packet packet_sequence=9 packet_source_client=07-tendermint-0"
    payload = Payload(source_port=PORT, destination_port=PORT, version="1", encoding="x", value=memo)
    request = ibc_wire.SendMessage(world.a.client, UnixSeconds(world.now_s + 60), (payload,), world.a.account.id)
    result = expect(world.a.ledger.transact(world.a.account, (urls.MSG_SEND_PACKET, ibc_wire.encode_send(request))))
    assert [packet.sequence for packet in packets_of(result)] == [1]
    assert world.a.ledger.chain.store.search([("send_packet.packet_sequence", "9")]) == []


# C1: a fork under the same keys.


def fork(world: World) -> LabLedger:
    """Another ledger under B's validator key and chain id: one rule differs, and so does the domain."""
    made = LabLedger("beta-1", world.clock, authority=(world.gov.key,), parameters=Parameters(max_payloads=7))
    assert made.chain.validators.hash == world.b.ledger.chain.validators.hash
    assert made.chain.machine.domain != world.b.ledger.chain.machine.domain
    return made


def test_c1_a_transaction_of_one_domain_means_nothing_on_a_fork_with_the_same_keys() -> None:
    world = World.make()
    copy = fork(world)
    owner = account("somebody")
    data = world.b.ledger.signed(owner, [("endpoint.register", {"record": world.sender.chain[0].to_bytes()})])
    before = state_of(copy)
    result = copy.block(data).results.transactions[0]
    assert "tx.wrong_domain" in result.log
    assert state_of(copy) == before
    expect(world.b.ledger.block(data).results.transactions[0])


def test_c1_the_domain_is_under_the_signature_and_not_beside_it() -> None:
    """Rewriting the domain in the body, or signing for another revision, breaks the signature."""
    world = World.make()
    copy = fork(world)
    owner = account("somebody")
    ledger = world.b.ledger
    data = ledger.signed(owner, [world.receiver.take_fence()])
    moved = data.replace(bytes(ledger.chain.machine.domain), bytes(copy.chain.machine.domain))
    assert moved != data
    assert "tx.signature" in copy.block(moved).results.transactions[0].log
    signed = copy.chain.machine._signed(
        copy.signed(account("other"), [("gov.cancel", {"due": 1, "number": 1})]), keep=False
    )
    later = sign(signed.transaction, copy.revision + 1, account("other").key.sign)
    assert "tx.signature" in copy.block(later).results.transactions[0].log


def test_c1_a_sealed_message_opens_on_no_fork() -> None:
    """Both domain ids are in the envelope's binding: the same bytes, keys and client ids on a fork do not open."""
    good = envelopes.World((SEAL_X25519.id, SIGN_ED25519.id))
    good.seal()
    assert good.open().content == good.content
    honest, elsewhere = good.context, DomainId(Hash32(b"\x66" * 32))
    for forked in (
        dataclasses.replace(honest, source_domain=elsewhere),
        dataclasses.replace(honest, destination_domain=elsewhere),
    ):
        good.context = forked
        with pytest.raises(BadEnvelope):
            good.open()


# C6: value released, history rewritten.


def test_c6_equivocation_halts_the_lane_and_not_the_client_alone() -> None:
    world = World.make()
    packet = world.send()
    expect(world.deliver(packet))
    fork_, height, trusted = show_header(world)
    lane = lanes.lane_of(world.a.ledger.chain.view(), world.a.client)
    assert lane is not None
    assert (lane.phase, lane.cause) == (LanePhase.CLOSED, "equivocation")
    assert misbehaviour(world, fork_, height, trusted)
    refused(world.a.ledger, world.a.account, timeout_message(world.a, world.b, packet))


# A1: calldata copied, the recipient changed.


def test_a1_copied_calldata_with_another_recipient_is_refused() -> None:
    world = World.make()
    packet = world.send()
    update(world.b, world.a.ledger)
    _, honest = receive_message(world.b, world.a, packet)
    read = ibc_wire.read_receive(honest)
    thief = packet.payloads[0]._replace(destination_port=world.sender.port)
    copied = packet._replace(payloads=(thief,))
    message = ibc_wire.encode_receive(copied, read.proof, read.proof_height, world.b.account.id)
    refused(world.b.ledger, world.b.account, (urls.MSG_RECV_PACKET, message))
    expect(world.b.ledger.transact(world.b.account, (urls.MSG_RECV_PACKET, honest)))
