"""One family of cryptography is broken, and an oracle hands over all of its secrets, of everybody and for ever.

Either every X25519, P-256 and Ed25519 key, validators' and accounts' too, or every ML-KEM and ML-DSA key; ephemeral
ones included. Each attack is made by the product's own code, with what the oracle gave and keys of the attacker's own
for the rest. It fails for either family, and succeeds for both together, so that each of these tests can fail.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lockgate.crypto.suites import SEAL_XWING_AES, SIGN_ED25519_MLDSA65
from lockgate.envelope.binding import Role, SenderChoice
from lockgate.envelope.errors import BadEnvelope
from lockgate.envelope.outside import inspect_envelope
from lockgate.host.sealing import Place, outgoing, schema_ref, seal
from lockgate.hosting.config import EpochLimits
from lockgate.hosting.epochs import Epochs
from lockgate.hosting.handshakes import read_array
from lockgate.ibc.packet import Payload
from lockgate.lab.entropy import SeededEntropy
from lockgate.lightclients.attested import Attestation, messages
from lockgate.lightclients.attested.messages import ATTESTATION
from lockgate.machine.gate import PAYLOAD_ENCODING, PAYLOAD_VERSION
from lockgate.machine.identity import SignedRecord, record_signing_bytes
from lockgate.primitives.time import UnixSeconds
from lockgate.session import Book, Direction, Fences, Session
from lockgate.session.chain import fresh_of, session_of
from lockgate.session.edhoc import Known, Method, receive, start
from lockgate.session.edhoc.errors import HandshakeFailed
from lockgate.session.edhoc.exchange import KemEphemeral
from lockgate.session.edhoc.initiator import Met, Sent1, Sent3
from lockgate.session.meeting import UNDERSTOOD, Party, meeting, suites_of
from tests.support import probe
from tests.support.attested_lab import attestation, client_message
from tests.support.attesters import attester, signatures
from tests.support.composites import CompositeWorld
from tests.support.forgery import forged, update_with
from tests.support.hosts import HostWorld, Side
from tests.support.oracle import BOTH, Family, identity, kem_key
from tests.support.recorder import Recorded, record
from tests.support.talking import ask, restarted

HYBRID = (SIGN_ED25519_MLDSA65.id, SEAL_XWING_AES.id)
BODIES = [probe.write(b"k", b"secret %d" % number) for number in range(6)]
OWN = SeededEntropy(b"the attacker's draws")
FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.name.lower())


@dataclass
class Heard:
    """A conversation of two hosts with hybrid identities, and what an oracle may be asked about."""

    world: HostWorld
    recorded: list[Recorded] = field(default_factory=list)
    books: list[Book] = field(default_factory=list)  # of both hosts, stolen in epoch 0
    first: list[tuple[Sent1, bytes, Any]] = field(default_factory=list)  # message_1 as sent, message_2, who was met
    third: list[tuple[Any, bytes]] = field(default_factory=list)  # data of message_3, message_4
    exchange: list[tuple[KemEphemeral, Any, bytes]] = field(default_factory=list)  # of the next epoch

    @property
    def in_session(self) -> list[Recorded]:
        return [one for one in self.recorded if one.in_session]

    def parties(self) -> tuple[Party, Party]:
        return party(self.world, self.world.a), party(self.world, self.world.b)


def party(world: HostWorld, side: Side) -> Party:
    lane = side.host.peers.lane(side.host.peers.named(world.other(side).name))
    of = side.endpoint.record
    return Party(lane.local_domain, lane.local_client, of.endpoint_id, of.hash, of.body(), of.identity)


@pytest.fixture(scope="module")
def heard() -> Heard:
    """Six messages in a session of two epochs; all packets, all handshakes, the exchange of the second epoch."""
    with pytest.MonkeyPatch.context() as patch:
        return asyncio.run(conversation(patch))


async def conversation(patch: pytest.MonkeyPatch) -> Heard:
    async with HostWorld(sessions=True, keys_of=HYBRID) as world:
        found = Heard(world)
        listen(found, patch)
        world.epochs = EpochLimits(messages=3)
        for side in world.sides:
            await restarted(world, side)
        for number, body in enumerate(BODIES):
            await ask(world, world.a, body)
            if number == 0:
                found.books = [Book.from_bytes(world.vaults[side.name].load() or b"") for side in world.sides]
        found.recorded = record(world, world.a)
        return found


def listen(found: Heard, patch: pytest.MonkeyPatch) -> None:
    take, message_3, finish, replied = Sent1.take, Met.message_3, Sent3.take, Epochs.replied

    def taken(self: Sent1, message_2: bytes, own: Any, credentials: Any, understood: Any) -> Met:
        found.first.append((self, message_2, own))
        return take(self, message_2, own, credentials, understood)

    def sent(self: Met, eads: Any) -> Any:
        found.third.append((eads, b""))
        return message_3(self, eads)

    def finished(self: Sent3, message_4: bytes, understood: Any) -> Any:
        found.third[-1] = found.third[-1][0], message_4
        return finish(self, message_4, understood)

    def answered(self: Epochs, peer: Any, commitment: bytes, body: bytes) -> None:
        ours = self._ours.get(peer.endpoint)
        assert ours is not None
        found.exchange.append((ours.ephemeral, ours, body))  # type: ignore[arg-type]  # the suite has a KEM
        replied(self, peer, commitment, body)

    patch.setattr(Sent1, "take", taken)
    patch.setattr(Met, "message_3", sent)
    patch.setattr(Sent3, "take", finished)
    patch.setattr(Epochs, "replied", answered)


def half(ephemeral: Any, broken: Collection[Family]) -> KemEphemeral:
    """An ephemeral key, by what the oracle gives of it."""
    return KemEphemeral(kem_key(ephemeral._key.reveal(), broken))


# No recorded body opens.


@FAMILIES
def test_what_is_sealed_to_long_term_keys_does_not_open(heard: Heard, family: Family) -> None:
    """The envelopes of the handshake, by the sealing keys of both endpoints."""
    envelopes = [one for one in heard.recorded if not one.in_session]
    assert len(envelopes) == 2
    secrets = [side.endpoint.sealing_secret(0) for side in heard.world.sides]
    by_one, by_both = ([kem_key(secret, broken) for secret in secrets] for broken in ({family}, BOTH))
    assert [one.opened_with([], by_one) for one in envelopes] == [None, None]
    assert None not in [one.opened_with([], by_both) for one in envelopes]


def opened_with(heard: Heard, book: Book, epoch: int) -> list[bytes | None]:
    """What a book opens of an epoch, without what hosts said to each other in it."""
    found = [one.opened_with([book]) for one in heard.in_session if choice_of(one).epoch == epoch]
    return [body for body in found if body is None or body in BODIES]


def choice_of(one: Recorded) -> SenderChoice:
    return inspect_envelope(one.packet.payloads[0].value).choice


def through_the_handshake(heard: Heard, broken: Collection[Family]) -> list[bytes | None]:
    """Derive the session of the messages that were heard, by the ephemeral key of message_1; then open what followed.

    The attacker is handed more than an oracle has: message_1 to message_4 in the clear, and the initiator's identity.
    """
    (sent_1, message_2, own), (eads, message_4) = heard.first[0], heard.third[0]
    initiator, responder = heard.parties()
    met = replace(sent_1, ephemeral=half(sent_1.ephemeral, broken)).take(
        message_2, own, Known([responder.credential]), UNDERSTOOD
    )
    _, sent_3 = met.message_3(eads)
    done, _ = sent_3.take(message_4, UNDERSTOOD)
    name, secret = session_of(done, meeting(initiator, responder))
    fences = Fences(heard.world.b.host._steps.fence, heard.world.a.host._steps.fence)
    book = Book()
    book.add(
        initiator.endpoint,
        Session.begin(
            name, secret, Direction.RESPONDER, done.suite.id, (responder.record, initiator.record), fences,
            heard.world.a.host._steps.time, confirmed=True,
        ),
    )  # fmt: skip
    return opened_with(heard, book, 0)


@FAMILIES
def test_no_session_follows_from_a_handshake(heard: Heard, family: Family) -> None:
    with pytest.raises(HandshakeFailed):
        through_the_handshake(heard, {family})


def test_with_both_families_the_session_follows_and_opens_its_epoch(heard: Heard) -> None:
    assert through_the_handshake(heard, BOTH) == BODIES[:4]


def through_the_exchange(heard: Heard, broken: Collection[Family]) -> list[bytes | None]:
    """A thief of both books in epoch 0 follows the exchange into the next one."""
    ephemeral, ours, body = heard.exchange[0]
    fence, public = read_array(body, 2)
    shared = half(ephemeral, broken).finish(public)
    fresh, now = fresh_of(shared, ephemeral.public, public), heard.world.a.host._steps.time
    healed = Book()
    for peer, sessions in heard.books[1].sessions.items():
        for one in sessions:
            healed.add(peer, one.healed(ours.after, fresh, Fences(fence, ours.fence), now))
    return opened_with(heard, healed, 1)


@FAMILIES
def test_not_even_who_stole_the_epoch_before_follows_into_the_next(heard: Heard, family: Family) -> None:
    assert through_the_exchange(heard, {family}) == [None, None]
    assert through_the_exchange(heard, BOTH) == BODIES[4:]


# Nothing is forged between endpoints.


async def posed(broken: Collection[Family]) -> HostWorld:
    """Ledger A says that its endpoint sent a message. Its validators wrote it: the envelope is the attacker's."""
    async with HostWorld(keys_of=HYBRID) as world:
        a, b = world.a, world.b
        peer = a.host.peers.named("b")
        place = Place(Role.MESSAGE, UnixSeconds(world.lab.now_s + 600))
        context = outgoing(a.host.peers.lane(peer), a.endpoint.record, b.endpoint.record, place)
        choice, views = SenderChoice.outside_sessions(a.host._steps.fence, 7), a.host._steps.seen(peer)
        signer, body = identity(a.endpoint.signer(0), broken), probe.write(b"k", b"forged")
        value = seal(context, signer, b.endpoint.record, choice, views, schema_ref("probe@1.0"), body, OWN)
        payload = Payload(
            source_port=a.endpoint.port,
            destination_port=b.endpoint.port,
            version=PAYLOAD_VERSION,
            encoding=PAYLOAD_ENCODING,
            value=value,
        )
        world.deliver(b, world.lab.commit_anything((payload,)))
        await world.turn(b)
        return world


@FAMILIES
def test_a_ledger_that_commits_to_a_forged_message_makes_no_guest_believe_it(family: Family) -> None:
    world = asyncio.run(posed({family}))
    assert (world.b.seen().state, world.b.seen().code) == ("refused", BadEnvelope.code)
    assert world.b.get(b"k") is None


def test_with_both_families_a_forged_message_is_believed() -> None:
    world = asyncio.run(posed(BOTH))
    assert (world.b.seen().state, world.b.get(b"k")) == ("answered", b"forged")


def met_by(initiator: Collection[Family], responder: Collection[Family], world: HostWorld) -> None:
    """A handshake, one side of which may be the attacker with what an oracle gave him. Raises HandshakeFailed."""
    one, other = party(world, world.a), party(world, world.b)
    suites = suites_of(one.key, other.key)
    message_1, sent_1 = start(Method.SIGN_SIGN, suites, b"\x01", OWN)
    asked = receive(message_1, suites, understood=UNDERSTOOD)
    message_2, sent_2 = asked.message_2(b"\x02", other.identity(identity(world.b.endpoint.signer(0), responder)), OWN)
    own = one.identity(identity(world.a.endpoint.signer(0), initiator))
    met = sent_1.take(message_2, own, Known([other.credential]), UNDERSTOOD)
    message_3, sent_3 = met.message_3()
    proven = sent_2.take(message_3, Known([one.credential]), UNDERSTOOD)
    sent_3.take(proven.message_4(), UNDERSTOOD)


@FAMILIES
def test_nobody_is_impersonated_in_a_handshake(heard: Heard, family: Family) -> None:
    with pytest.raises(HandshakeFailed):
        met_by({family}, BOTH, heard.world)
    with pytest.raises(HandshakeFailed):
        met_by(BOTH, {family}, heard.world)
    met_by(BOTH, BOTH, heard.world)


@FAMILIES
def test_no_key_record_is_forged(family: Family) -> None:
    """The attacker is even handed the public keys of the next record, which nobody has seen yet."""
    for broken, refused in (({family}, "endpoint.bad_record"), (BOTH, "")):
        world = HostWorld(keys_of=HYBRID)
        endpoint = copy.deepcopy(world.a.endpoint)
        body = endpoint.rotated().body
        old, new = (identity(endpoint.signer(number), broken) for number in (0, 1))
        signed = SignedRecord(
            body, new.sign(record_signing_bytes(new.key, body)), old.sign(record_signing_bytes(old.key, body))
        )
        result = world.a.end.ledger.transact(world.a.account, ("endpoint.rotate", {"record": signed.to_bytes()}))
        assert (refused in result.log) if refused else (result.code == 0)


# What the break of the classical family does to ledgers, and where that ends.


def header_forged(w: CompositeWorld, *, signed_by: str | None = None) -> int:
    """Hand the client by headers a header of B that B never made."""
    trusted = w.header.trusted
    w.b.ledger.block()
    signed = forged(w.b.ledger, w.b.ledger.height + 1, signed_by=signed_by)
    message = update_with(w.b.ledger, signed, w.header.client, trusted, w.header.account)
    return w.header.ledger.transact(w.header.account, message).code


def test_validators_keys_forge_a_header_and_so_order_time_and_inclusion() -> None:
    """Ed25519 alone signs votes: who breaks it decides what a client by headers believes of a ledger."""
    assert header_forged(CompositeWorld()) == 0


def test_without_validators_keys_no_header_is_forged() -> None:
    """The break of ML-KEM and ML-DSA gives none."""
    assert header_forged(CompositeWorld(), signed_by="the attacker") != 0


def attestation_forged(w: CompositeWorld, height: int, broken: Collection[Family]) -> Any:
    """Hand the attested client the same, signed by what the oracle gave of the attesters' keys."""
    state = w.five_state
    real = attestation(w.b.ledger, state, w.b.ledger.height)
    bare = replace(real, height=w.b.ledger.at(height), root=b"\x66" * 32, signatures=())
    by = [number for number in range(5) if attester(number, HYBRID[0]).key.hash in state.signers.by_hash]
    message = bare.message(state.chain_id, state.signers)
    made: Attestation = replace(
        bare,
        signatures=signatures(state, message, by[:4], lambda number: identity(attester(number, HYBRID[0]), broken)),
    )
    value = messages.encode_attestation(made)
    return w.five.ledger.transact(w.five.account, client_message(w.five, ATTESTATION, value))


@pytest.mark.parametrize(("broken", "falls"), [({Family.CLASSICAL}, False), (BOTH, True)], ids=["classical", "both"])
def test_it_ends_at_a_composite_client_with_a_leg_of_hybrid_attesters(broken: Collection[Family], falls: bool) -> None:
    w = CompositeWorld("07-tendermint-0 AND attested-1(4/5)", suite=HYBRID[0])
    before = w.a.trusted
    assert header_forged(w) == 0
    height = w.b.ledger.height + 1
    assert (attestation_forged(w, height, broken).code == 0) is falls
    agreed = w.agree(height)
    assert (agreed.code == 0) is falls
    assert (w.a.trusted > before) is falls


def test_the_composite_with_hybrid_attesters_follows_an_honest_ledger() -> None:
    w = CompositeWorld("07-tendermint-0 AND attested-1(4/5)", suite=HYBRID[0])
    w.b.ledger.block()
    assert w.follow() == w.a.trusted == w.b.ledger.height
