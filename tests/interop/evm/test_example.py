"""The contract of docs/how-to/write-a-contract.md, as the page shows it, on a real node."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from web3.contract import Contract
from web3.logs import DISCARD

from lockgate.ibc.packet import Packet
from lockgate.primitives.ids import ClientId
from tests.interop.evm.test_packets import make_lane
from tests.interop.evm.world import REPO, Refused, World, compiled, deploy, sent

pytestmark = pytest.mark.interop

SOURCE = REPO / "examples" / "tally.vy"
PAGE = REPO / "docs" / "how-to" / "write-a-contract.md"
SENDER = "counter"


@dataclass
class Tally:
    world: World
    app: Contract

    def packet(self, sequence: int, word: bytes, *, port: str = SENDER, version: str = "tally-1") -> Packet:
        packet = self.world.incoming(sequence, word)
        payload = packet.payloads[0]._replace(
            source_port=port, destination_port=str(self.app.address).lower(), version=version
        )
        return packet._replace(payloads=(payload,))

    def answer(self, packet: Packet, world: World | None = None) -> int | None:
        """The count that comes back; None for a refusal."""
        world = world or self.world
        receipt = world.do(world.receive(packet, *world.proof([sent(packet)])))
        (event,) = world.host.events.WriteAcknowledgement().process_receipt(receipt, errors=DISCARD)
        (answer,) = event["args"]["acknowledgements"]
        assert len(answer) == 32
        return None if answer[0] else int.from_bytes(answer)  # the sentinel starts with 0x47


@pytest.fixture
def tally(world: World) -> Tally:
    app = deploy(world.web3, compiled(SOURCE), world.host.address)
    world.do(app.functions.listen(world.client_id, SENDER))
    return Tally(world, app)


def test_the_page_shows_the_contract_that_runs() -> None:
    assert f"```vyper\n{SOURCE.read_text()}```\n" in PAGE.read_text()


def test_words_are_counted_and_the_count_is_the_answer(tally: Tally) -> None:
    words = (b"one", b"two", b"one", b"w" * 1024, b"one")
    answers = [tally.answer(tally.packet(number, word)) for number, word in enumerate(words, 1)]
    assert answers == [1, 1, 2, 1, 3]


def test_whoever_is_not_listened_to_changes_nothing(tally: Tally) -> None:
    world = tally.world
    for number, packet in enumerate(
        (
            tally.packet(1, b"one", port="another"),
            tally.packet(1, b"one", version="tally-2"),
            tally.packet(1, b""),
        ),
        1,
    ):
        assert tally.answer(packet._replace(sequence=number)) is None
    other = make_lane(world)
    packet = tally.packet(1, b"one")._replace(destination_client=ClientId(other.client_id))
    assert tally.answer(packet, replace(other)) is None
    assert tally.answer(tally.packet(9, b"one")) == 1, "nothing was counted before"


def test_nobody_calls_it_around_the_host_or_turns_it_to_another_lane(tally: Tally) -> None:
    world = tally.world
    payload = (SENDER, "x", "tally-1", "raw", b"one")
    forged = ("attested-0", world.client_id, 1, payload, world.web3.eth.accounts[5])
    with pytest.raises(Refused, match=r"tally\.host"):
        world.do(tally.app.functions.onRecvPacket(forged))
    with pytest.raises(Refused, match=r"tally\.owner"):
        world.do(tally.app.functions.listen("client-1", SENDER))
    fresh = deploy(world.web3, compiled(SOURCE), world.host.address)
    with pytest.raises(Refused, match=r"tally\.owner"):
        world.do(fresh.functions.listen("client-1", SENDER), **{"from": world.web3.eth.accounts[5]})


def test_the_gas_it_asks_for_is_what_it_needs(tally: Tally) -> None:
    """The dearest call: the longest word, never counted. Measured as the host calls it."""
    world = tally.world
    payload = (SENDER, "x", "tally-1", "raw", b"w" * 1024)
    call = tally.app.functions.onRecvPacket(("attested-0", world.client_id, 1, payload, world.host.address))
    traced = world.rpc(
        "debug_traceCall",
        {"from": world.host.address, "to": tally.app.address, "data": call._encode_transaction_data()},
        "latest",
        {"tracer": "callTracer"},
    )
    data = bytes.fromhex(call._encode_transaction_data()[2:])
    used = int(traced["gasUsed"], 16) - 21_000 - sum(16 if byte else 4 for byte in data)
    assert used == pytest.approx(31_000, rel=0.03), "what page and contract say"
