"""Applications that lie, burn, bomb and re-enter: they harm themselves, and no lane and no neighbour (S20, A15)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from web3.contract import Contract
from web3.logs import DISCARD

from lockgate.codec import abi
from lockgate.ibc import host
from lockgate.ibc.packet import Packet
from tests.interop.evm.world import REMOTE, Refused, World, answered, compiled, deploy, fields, sent

pytestmark = pytest.mark.interop

ANSWER, REVERT, GUZZLE, REENTER = 1, 2, 4, 8
GAS: Final = 300_000
REFUSED: Final = hashlib.sha256(b"UNIVERSAL_ERROR_ACKNOWLEDGEMENT").digest()


def encoded(answer: bytes) -> bytes:
    return abi.encode(abi.BYTES, answer)


@dataclass
class Hostile:
    """A hostile application."""

    world: World
    app: Contract

    @property
    def port(self) -> str:
        return str(self.app.address).lower()

    def be(self, mood: int, words: bytes = b"", attack: bytes = b"") -> None:
        self.world.do(self.app.functions.be(mood, words, attack))

    def incoming(self, sequence: int) -> Packet:
        packet = self.world.incoming(sequence)
        return packet._replace(payloads=(packet.payloads[0]._replace(destination_port=self.port),))

    def receive(self, sequence: int = 1) -> bytes:
        """Deliver a packet and return its acknowledgement."""
        packet = self.incoming(sequence)
        receipt = self.world.do(self.world.receive(packet, *self.world.proof([sent(packet)])))
        (event,) = self.world.host.events.WriteAcknowledgement().process_receipt(receipt, errors=DISCARD)
        return bytes(event["args"]["acknowledgements"][0])

    @property
    def calls(self) -> int:
        return int(self.app.functions.calls().call())

    @property
    def entered(self) -> int:
        return int(self.app.functions.entered().call())


@pytest.fixture
def hostile(world: World) -> Hostile:
    source = Path(__file__).parent / "apps" / "hostile.vy"
    app = deploy(world.web3, compiled(source), world.host.address)
    world.do(app.functions.bind(GAS))
    return Hostile(world, app)


def test_a_good_answer_is_the_acknowledgement(hostile: Hostile) -> None:
    for sequence, size in enumerate((1, 31, 32, 33, 511, 512), 1):
        hostile.be(ANSWER, encoded(b"\x07" * size))
        assert hostile.receive(sequence) == b"\x07" * size
        assert hostile.calls == sequence


@pytest.mark.parametrize(
    "words",
    [
        b"",
        encoded(b""),
        encoded(b"x" * 513),
        encoded(b"x" * 600),
        encoded(b"x" * 16_000),
        encoded(REFUSED),
        encoded(b"x")[:95],
        b"\x00" * 31 + b"\x40" + encoded(b"x")[32:],
        b"\xff" * 32 + encoded(b"x")[32:],
        b"\x00" * 31 + b"\x20" + b"\xff" * 32 + b"x" * 32,
        b"\x00" * 31 + b"\x20" + b"\x00" * 31 + b"\x21" + b"x" * 32,
    ],
    ids=[
        "nothing",
        "empty",
        "a byte too long",
        "too long",
        "a bomb",
        "the sentinel",
        "cut",
        "another offset",
        "an offset beyond",
        "a size beyond",
        "a size a byte beyond",
    ],
)
def test_p3_what_is_no_answer_is_a_refusal_and_undone(hostile: Hostile, words: bytes) -> None:
    """A sender who sees a refusal takes his value back, so nothing that the application did may stay."""
    hostile.be(ANSWER, words)
    assert hostile.receive() == REFUSED
    assert hostile.calls == 0


@pytest.mark.parametrize("words", [b"", b"no", b"\x5a" * 16_000], ids=["silent", "short", "a bomb"])
def test_p3_a_revert_is_a_refusal(hostile: Hostile, words: bytes) -> None:
    hostile.be(REVERT, words)
    assert hostile.receive() == REFUSED
    assert hostile.calls == 0


def test_p3_burning_all_gas_is_a_refusal_and_costs_what_was_announced(hostile: Hostile) -> None:
    hostile.be(GUZZLE)
    packet = hostile.incoming(1)
    call = hostile.world.receive(packet, *hostile.world.proof([sent(packet)]))
    receipt = hostile.world.do(call, gas=1_000_000)
    (event,) = hostile.world.host.events.WriteAcknowledgement().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["acknowledgements"] == [REFUSED]
    assert GAS < receipt["gasUsed"] < GAS + 200_000
    assert hostile.calls == 0


def test_a_hostile_application_takes_nothing_from_its_neighbours(hostile: Hostile) -> None:
    world = hostile.world
    for mood, words in ((ANSWER, encoded(REFUSED)), (ANSWER, b""), (REVERT, b"no"), (GUZZLE, b"")):
        with world.undone():
            hostile.be(mood, words)
            packets = [world.incoming(1), hostile.incoming(2), world.incoming(3)]
            proof, height = world.proof([sent(packet) for packet in packets])
            receipt = world.do(world.receive_many(packets, proof, height))
            events = world.host.events.WriteAcknowledgement().process_receipt(receipt, errors=DISCARD)
            digest = hashlib.sha256(packets[0].payloads[0].value).digest()
            assert [event["args"]["acknowledgements"] for event in events] == [[digest], [REFUSED], [digest]]


def test_no_gas_that_a_relayer_brings_makes_an_application_fail(hostile: Hostile) -> None:
    """Either the relayer is refused, or the application has all the gas it announced."""
    world = hostile.world
    hostile.be(ANSWER, encoded(b"yes"))
    packet = hostile.incoming(1)
    call = world.receive(packet, *world.proof([sent(packet)]))
    verdicts = set()
    for gas in range(200_000, 700_000, 12_500):
        with world.undone():
            try:
                receipt = world.do(call, gas=gas)
            except Refused:
                verdicts.add("refused")
                continue
            (event,) = world.host.events.WriteAcknowledgement().process_receipt(receipt, errors=DISCARD)
            verdicts.add(bytes(event["args"]["acknowledgements"][0]).decode())
    assert verdicts == {"refused", "yes"}


def test_a15_nothing_of_the_host_can_be_re_entered(hostile: Hostile) -> None:
    """The packet that is being delivered, and the next one, from within the application."""
    world = hostile.world
    first, second = hostile.incoming(1), hostile.incoming(2)
    proof, height = world.proof([sent(first), sent(second)])
    single, number = world.proof([sent(second)])
    calls = world.host.functions
    for attack in (
        world.receive_many([first, second], proof, height),
        calls.recvPacket((fields(second), single, number)),
        calls.ackPacket((fields(first), b"x", proof, height)),
        world.acknowledge_many([first, second], [b"x", b"x"], proof, height),
        calls.timeoutPacket((fields(first), proof, height)),
    ):
        with world.undone():
            hostile.be(REENTER, encoded(b"ok"), bytes.fromhex(attack._encode_transaction_data()[2:]))
            world.do(world.receive_many([first, second], proof, height))
            assert (hostile.calls, hostile.entered) == (2, 0)
            assert world.commitment_at(host.packet_receipt(world.client_id, 2)) != bytes(32)


def outgoing(hostile: Hostile) -> Packet:
    """A packet that the hostile application sent."""
    world = hostile.world
    timeout = world.now() + 3600
    payload = (hostile.port, "remote", "1", "raw", b"x")
    world.do(hostile.app.functions.send((world.client_id, timeout, payload)))
    packet = world.incoming(1, timeout=timeout)
    return packet._replace(
        source_client=packet.destination_client,
        destination_client=packet.source_client,
        payloads=(type(packet.payloads[0])(*payload),),
    )


def test_an_answer_that_its_application_does_not_take_stays_to_be_taken(hostile: Hostile) -> None:
    world = hostile.world
    packet = outgoing(hostile)
    assert packet.destination_client == REMOTE
    proof, height = world.proof([answered(packet, b"yes")])
    call = world.host.functions.ackPacket((fields(packet), b"yes", proof, height))
    for mood in (REVERT, GUZZLE):
        hostile.be(mood, b"\x5a" * 16_000)
        world.refuses(call, r"app\.reverted")
    with pytest.raises(Refused, match=r"relayer\.gas"):
        world.do(call, gas=350_000)
    path = host.packet_commitment(world.client_id, packet.sequence)
    assert world.commitment_at(path) != bytes(32)
    hostile.be(REENTER, b"", bytes.fromhex(call._encode_transaction_data()[2:]))
    world.do(call)
    assert (hostile.calls, hostile.entered) == (1, 0)
    assert world.commitment_at(path) == bytes(32)
