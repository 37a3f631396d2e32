"""Reading an EVM chain: finality, re-organisations, and a node that lies, lags or shows another chain (S20, S74)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lockgate.codec import rlp
from lockgate.courier.ports import BlockEvents, ChainUnavailable, NotYet
from lockgate.ibc import events as ibc_events
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Acknowledgement
from lockgate.merkle.errors import ProofMalformed
from lockgate.merkle.patricia import EMPTY_ROOT
from lockgate.primitives.errors import LockgateError, Misuse, PeerFault
from lockgate.primitives.ids import Height
from lockgate.relay.chains.evm.answers import hexed
from lockgate.relay.chains.evm.chain import EvmChain, NoHost
from lockgate.relay.chains.evm.history import MOST_KEPT, Finality, ReorganisedAfterRelease
from lockgate.relay.chains.evm.proofs import StorageProof
from lockgate.relay.rpc import BadAnswer
from tests.support.evm_node import CLIENT, REMOTE, START, FakeNode, chain_of


def run(work: Any) -> Any:
    return asyncio.run(work)


def test_the_tip_is_the_newest_final_block() -> None:
    node = FakeNode()
    node.mine(9)
    chain, _ = chain_of(node, "2")
    tip = run(chain.tip())
    assert (tip.chain_id, tip.height, tip.time) == ("eip155:31337", Height(0, 7), (START + 7 * 12) * 10**9)


def test_a_tag_says_which_block_is_final() -> None:
    node = FakeNode()
    node.mine(9)
    node.finalized = 4
    chain, _ = chain_of(node, "finalized")
    assert run(chain.tip()).height == Height(0, 4)


def test_what_is_not_final_is_not_told() -> None:
    node = FakeNode()
    node.mine(5)
    packet = node.send()
    node.mine()  # block 6
    chain, _ = chain_of(node, "2")

    async def work() -> None:
        assert (await chain.tip()).height == Height(0, 4)
        assert await chain.outstanding(CLIENT) == {}
        assert (
            await chain.find_events(ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, CLIENT, {1}, lambda _: True) == {}
        )
        with pytest.raises(NotYet):
            await chain.block_events(6)
        node.mine(2)
        assert (await chain.tip()).height == Height(0, 6)
        assert await chain.outstanding(CLIENT) == {1: commit_packet(packet)}
        assert await chain.last_sent(CLIENT) == 1

    run(work())


def test_events_are_those_every_courier_reads() -> None:
    node = FakeNode()
    packet = node.send(b"body")
    received = node.receive(7, b"answer")
    node.mine()
    node.acknowledge(packet)
    node.mine(3)
    chain, _ = chain_of(node, "1")

    async def work() -> None:
        await chain.tip()
        blocks = await chain.blocks_events(range(1, 4))
        assert [block.height.height for block in blocks] == [1, 2, 3]
        sent, got, answered = blocks[0].events
        assert (sent.type, got.type, answered.type) == ("send_packet", "recv_packet", "write_acknowledgement")
        assert sent.get(ibc_events.ENCODED_PACKET) == wire.encode_packet(packet).hex()
        assert sent.get(ibc_events.SOURCE_CLIENT) == CLIENT
        assert got.get(ibc_events.ENCODED_PACKET) == wire.encode_packet(received).hex()
        shown = wire.read_acknowledgement(bytes.fromhex(answered.get(ibc_events.ENCODED_ACKNOWLEDGEMENT) or ""))
        assert shown == Acknowledgement((b"answer",))
        assert [event.type for event in blocks[1].events] == ["acknowledge_packet"]
        assert blocks[2].events == ()
        assert blocks[0].time == (START + 12) * 10**9

    run(work())


def test_receipts_are_read_where_they_are_newest_and_answers_where_they_are_final() -> None:
    node = FakeNode()
    node.receive(3)
    node.mine()
    chain, _ = chain_of(node, "2")

    async def work() -> None:
        assert await chain.received(CLIENT, {2, 3}) == {3}
        assert await chain.acknowledged(CLIENT, {3}) == {}
        node.mine(2)
        assert set(await chain.acknowledged(CLIENT, {2, 3})) == {3}
        found = await chain.find_events(
            ibc_events.WRITE_ACKNOWLEDGEMENT, ibc_events.DESTINATION_CLIENT, CLIENT, {2, 3}, lambda _: True
        )
        assert {sequence: height.height for sequence, (_, height) in found.items()} == {3: 1}

    run(work())


def test_a_packet_that_has_ended_is_not_outstanding_though_that_is_not_final_yet() -> None:
    node = FakeNode()
    packets = [node.send(), node.send()]
    node.mine(3)
    chain, _ = chain_of(node, "2")

    async def work() -> None:
        assert set(await chain.outstanding(CLIENT)) == {1, 2}
        node.acknowledge(packets[0])
        node.mine()
        assert set(await chain.outstanding(CLIENT)) == {2}
        node.reorganise(1)
        assert set(await chain.outstanding(CLIENT)) == {1, 2}, "it never ended"
        node.acknowledge(packets[0])
        node.mine(3)
        asked = len(node.calls)
        for _ in range(2):
            assert set(await chain.outstanding(CLIENT)) == {2}
        assert node.calls[asked:].count("eth_getStorageAt") == 5, "below the lowest open packet nothing is asked again"

    run(work())


def test_a_reorganisation_above_what_was_released_is_counted_and_nothing_is_lost() -> None:
    node = FakeNode()
    node.mine(6)
    chain, told = chain_of(node, "3")

    async def work() -> None:
        assert (await chain.tip()).height == Height(0, 3)
        node.send()
        node.mine(3)  # sent in 7, of 9; final is 6
        await chain.tip()
        node.reorganise(3)
        tip = await chain.tip()
        assert chain.reorganisations == 1
        assert ("reorganised", {"chain": "eip155:31337", "from": 7, "newest": 9}) in told
        assert tip.height == Height(0, 6)
        node.mine(3)
        assert (await chain.tip()).height == Height(0, 9)
        assert await chain.outstanding(CLIENT) == {}
        assert (await chain.block_events(7)).events == ()

    run(work())


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_deeper_and_longer_branch_is_followed_to_where_it_departs(depth: int) -> None:
    node = FakeNode()
    node.mine(20)
    chain, _ = chain_of(node, "8")

    async def work() -> None:
        await chain.tip()
        node.reorganise(depth)
        node.mine(4)
        await chain.tip()
        assert chain.reorganisations == 1
        for number in range(16, 25):
            kept = chain.history.at(number)
            assert kept is not None
            assert kept.hash == node.blocks[number].hash

    run(work())


def test_c6_a_reorganisation_after_release_halts_for_good_and_says_so() -> None:
    node = FakeNode()
    node.mine(9)
    chain, told = chain_of(node, "2")

    async def work() -> None:
        assert (await chain.tip()).height == Height(0, 7)
        node.reorganise(4)
        with pytest.raises(ReorganisedAfterRelease):
            await chain.tip()
        node.mine(20)
        for call in (chain.tip(), chain.outstanding(CLIENT), chain.acknowledged(CLIENT, {1}), chain.heads()):
            with pytest.raises(ReorganisedAfterRelease):
                await call
        assert [(name, fields["code"]) for name, fields in told] == [("alarm", "evm.reorganised_after_release")]
        assert chain.history.released is not None
        assert chain.history.released.number == 7, "nothing of the other branch was taken"

    run(work())


def test_c6_it_is_noticed_after_a_long_silence_too() -> None:
    node = FakeNode()
    node.mine(9)
    chain, _ = chain_of(node, "2")

    async def work() -> None:
        await chain.tip()
        node.reorganise(4)
        node.mine(MOST_KEPT + 10)
        with pytest.raises(ReorganisedAfterRelease):
            await chain.tip()

    run(work())


def test_a_long_silence_costs_no_more_than_what_is_kept() -> None:
    node = FakeNode()
    node.mine(9)
    chain, _ = chain_of(node, "2")

    async def work() -> None:
        await chain.tip()
        node.mine(3 * MOST_KEPT)
        node.calls.clear()
        assert (await chain.tip()).height == Height(0, 7 + 3 * MOST_KEPT)
        assert len(node.calls) < MOST_KEPT

    run(work())


def test_a_node_that_falls_behind_takes_nothing_back() -> None:
    node = FakeNode()
    node.mine(9)
    chain, _ = chain_of(node, "2")

    async def work() -> None:
        await chain.tip()
        kept = node.blocks[:]
        del node.blocks[9:]  # one block less: above what was released
        assert (await chain.tip()).height == Height(0, 7)
        del node.blocks[5:]
        with pytest.raises(ChainUnavailable, match="behind"):
            await chain.tip()
        node.blocks = kept
        assert (await chain.tip()).height == Height(0, 7)
        assert chain.reorganisations == 0

    run(work())


def test_a_node_of_another_chain_is_refused() -> None:
    node = FakeNode()
    node.network = 1
    with pytest.raises(BadAnswer, match="another chain"):
        run(chain_of(node)[0].tip())


Spoil = Callable[[str, Sequence[Any], Any], Any]


def of(method: str, change: Callable[[Any], Any]) -> Spoil:
    return lambda asked, _params, answer: change(answer) if asked == method else answer


def logs(**changes: Any) -> Spoil:
    return of("eth_getLogs", lambda answer: [{**log, **changes} for log in answer])


LIES: dict[str, Spoil] = {
    "a chain id that is no number": of("eth_chainId", lambda _: "main"),
    "a number with a sign": of("eth_chainId", lambda _: "0x+7a69"),
    "a number beyond 64 bits": of("eth_chainId", lambda _: "0x1" + "0" * 16),
    "no block": of("eth_getBlockByNumber", lambda _: None),
    "a list": of("eth_getBlockByNumber", lambda _: []),
    "a block without a hash": of("eth_getBlockByNumber", lambda b: {k: v for k, v in b.items() if k != "hash"}),
    "a short hash": of("eth_getBlockByNumber", lambda b: {**b, "hash": "0x00"}),
    "hex with blanks": of("eth_getBlockByNumber", lambda b: {**b, "hash": "0x" + " " + b["hash"][3:]}),
    "headers that do not follow each other": of(
        "eth_getBlockByNumber", lambda b: {**b, "parentHash": "0x" + "11" * 32}
    ),
    "one header for every number": of("eth_getBlockByNumber", lambda b: {**b, "number": "0x5"}),
    "logs that are an object": of("eth_getLogs", lambda _: {}),
    "another contract's logs": logs(address="0x" + "22" * 20),
    "another block's logs": logs(blockNumber="0x63"),
    "logs of a block that is gone": logs(blockHash="0x" + "33" * 32),
    "a log that is cut": of("eth_getLogs", lambda a: [{**log, "data": log["data"][:-64]} for log in a]),
    "a log of two packets": of("eth_getLogs", lambda a: [{**log, "data": log["data"] + "00" * 32} for log in a]),
    "five topics": of("eth_getLogs", lambda a: [{**log, "topics": log["topics"] * 2} for log in a]),
    "topics of another packet": of(
        "eth_getLogs", lambda a: [{**log, "topics": [*log["topics"][:2], "0x" + "44" * 32]} for log in a]
    ),
    "a flood of logs": of("eth_getLogs", lambda a: a * 30_000),
    "a huge log": of("eth_getLogs", lambda a: [{**log, "data": "0x" + "00" * (1 << 21)} for log in a]),
    "storage that is too long": of("eth_getStorageAt", lambda _: "0x" + "11" * 33),
    "storage that is nothing": of("eth_getStorageAt", lambda _: None),
    "a lane that is cut": of("eth_call", lambda answer: answer[:-64]),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_a_typed_failure(lie: str) -> None:
    node = FakeNode()
    node.send()
    node.mine(9)
    chain, _ = chain_of(node, "2")
    node.spoil = LIES[lie]

    async def work() -> None:
        await chain.tip()
        await chain.outstanding(CLIENT)
        await chain.blocks_events([1])

    with pytest.raises(LockgateError) as caught:
        run(work())
    assert isinstance(caught.value, (BadAnswer, ChainUnavailable)), caught.value
    node.spoil = lambda _method, _params, answer: answer
    run(work())  # and nothing of it was kept


@pytest.mark.parametrize("text", [b"echo-1", b"application/octet-stream", b"remote", REMOTE.encode()])
def test_text_of_a_packet_that_is_not_utf8_hides_that_packet_and_no_other(text: bytes) -> None:
    """Compilers do not look at the bytes of a string, so anybody can send such a packet."""
    node = FakeNode()
    node.send()
    name, topics, data = node.logs[-1]
    assert text in data
    node.logs[-1] = name, topics, data.replace(text, b"\xff" * len(text))
    packet = node.send()
    node.mine(6_000)
    chain, _ = chain_of(node, "2")

    async def work() -> None:
        await chain.tip()
        (block,) = await chain.blocks_events([1])
        assert [event.get(ibc_events.SEQUENCE) for event in block.events] == ["2"]
        assert set(await chain.outstanding(CLIENT)) == {1, 2}
        node.calls.clear()
        found = await chain.find_events(
            ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, CLIENT, {1, 2}, lambda _: True
        )
        assert set(found) == {packet.sequence}, "the other one is known to none"

    run(work())


def test_a_packet_that_nobody_can_read_is_not_looked_for_in_older_blocks() -> None:
    node = FakeNode()
    node.mine(6_000)
    node.send()
    name, topics, data = node.logs[-1]
    node.logs[-1] = name, topics, data.replace(b"echo-1", b"echo-\xff")
    node.mine(3)
    chain, _ = chain_of(node, "2")
    for _ in range(2):
        search = chain.find_events(ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, CLIENT, {1}, lambda _: True)
        assert run(search) == {}
        assert node.calls.count("eth_getLogs") == 1, "nor a second time"


@pytest.mark.parametrize(
    "change",
    [
        lambda topics: topics[:2],
        lambda topics: [*topics[:2], "0x" + "44" * 32],
        lambda topics: [topics[0], "0x" + "44" * 32, topics[2]],
    ],
    ids=["two", "another sequence", "another client"],
)
def test_logs_with_topics_that_were_not_asked_for_are_no_answer(change: Callable[[list[str]], list[str]]) -> None:
    node = FakeNode()
    node.send()
    node.mine(4)
    node.spoil = of("eth_getLogs", lambda answer: [{**log, "topics": change(log["topics"])} for log in answer])
    chain, _ = chain_of(node, "2")
    with pytest.raises(BadAnswer):
        run(chain.find_events(ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, CLIENT, {1}, lambda _: True))


def test_a_skipped_packet_without_its_sequence_is_no_answer() -> None:
    node = FakeNode()
    node.skip(1, "packet.expired")
    node.mine(4)
    chain, _ = chain_of(node, "2")
    assert [event.type for event in run(_first_block(chain)).events] == ["skipped_packet"]
    node.spoil = logs(topics=[node.blocks[1].logs[0]["topics"][0]])
    with pytest.raises(BadAnswer):
        run(_first_block(chain))


async def _first_block(chain: EvmChain) -> BlockEvents:
    await chain.tip()
    return await chain.block_events(1)


def test_an_address_without_a_contract_is_named() -> None:
    node = FakeNode()
    node.mine(3)
    node.spoil = of("eth_call", lambda _: "0x")
    with pytest.raises(NoHost):
        run(chain_of(node)[0].outstanding(CLIENT))


def test_events_are_looked_for_in_bounded_questions_from_the_newest_block_down() -> None:
    node = FakeNode()
    node.send()
    node.mine(5_000)
    node.send()
    node.mine(100)
    chain, _ = chain_of(node, "0")

    async def work() -> None:
        found = await chain.find_events(ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, CLIENT, {2}, lambda _: True)
        assert [height.height for _, height in found.values()] == [5_001]
        assert node.calls.count("eth_getLogs") == 1
        found = await chain.find_events(
            ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, CLIENT, {1, 2}, lambda _: True
        )
        assert sorted(height.height for _, height in found.values()) == [1, 5_001]
        assert node.calls.count("eth_getLogs") == 4
        assert (
            await chain.find_events(ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, CLIENT, {1}, lambda _: False)
            == {}
        )
        assert (
            await chain.find_events(ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, REMOTE, {1}, lambda _: True) == {}
        )

    run(work())
    asked = len(node.calls)
    late = chain_of(node, "0", first=5_000)[0]
    run(late.find_events(ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, CLIENT, {1}, lambda _: True))
    assert node.calls[asked:].count("eth_getLogs") == 1, "not from before the contract was there"


def test_values_are_proven_at_final_blocks() -> None:
    node = FakeNode()
    packet = node.send()
    node.send()
    node.mine(3)
    chain, _ = chain_of(node, "2")

    async def work() -> None:
        at = (await chain.tip()).height
        keys = [host.packet_commitment(CLIENT, 1), host.packet_receipt(CLIENT, 1)]
        there, absent = await chain.prove_many("ibc", keys, at)
        assert not isinstance(there, Exception)
        assert not isinstance(absent, Exception)
        assert (there.value, absent.value, there.proof_height) == (commit_packet(packet), None, at)
        assert await chain.prove("ibc", keys[0], at) == there
        proof = StorageProof.from_bytes(there.proof)
        assert proof.to_bytes() == there.proof
        with pytest.raises(NotYet):
            await chain.prove("ibc", keys[0], Height(0, at.height + 1))
        with pytest.raises(Misuse):
            await chain.prove("acc", keys[0], at)
        before = await chain.prove("ibc", keys[0], Height(0, 0))
        assert before.value is None

    run(work())


def storage(change: Callable[[list[str]], Any]) -> Spoil:
    return of(
        "eth_getProof", lambda a: {**a, "storageProof": [{**o, "proof": change(o["proof"])} for o in a["storageProof"]]}
    )


FALSE_PROOFS: dict[str, Spoil] = {
    "nothing": of("eth_getProof", lambda _: None),
    "no account": of("eth_getProof", lambda a: {**a, "accountProof": []}),
    "another storage root": of("eth_getProof", lambda a: {**a, "storageHash": "0x" + "11" * 32}),
    "another slot": of(
        "eth_getProof", lambda a: {**a, "storageProof": [{**o, "key": "0x1"} for o in a["storageProof"]]}
    ),
    "a node too few": storage(lambda nodes: nodes[:-1]),
    "a node too many": storage(lambda nodes: [*nodes, nodes[-1]]),
    "a bit": storage(lambda nodes: [*nodes[:-1], nodes[-1][:-2] + ("00" if nodes[-1][-2:] != "00" else "01")]),
    "no list": storage(lambda _: "0x"),
    "a flood of nodes": storage(lambda nodes: nodes * 100),
    "a huge node": storage(lambda nodes: [*nodes[:-1], "0x" + "00" * (1 << 17)]),
}


@pytest.mark.parametrize("lie", FALSE_PROOFS)
def test_a_proof_that_does_not_hold_is_not_handed_on(lie: str) -> None:
    node = FakeNode()
    node.send()
    node.send()
    node.mine(3)
    chain, _ = chain_of(node, "0")
    node.spoil = FALSE_PROOFS[lie]

    async def work() -> None:
        await chain.prove("ibc", host.packet_commitment(CLIENT, 1), (await chain.tip()).height)

    with pytest.raises(PeerFault):
        run(work())


def test_a_storage_root_is_the_accounts_own() -> None:
    """What attestors sign: a made-up trie proves what it likes, so its root must be the account's."""
    node = FakeNode()
    node.send()
    node.mine(3)
    chain, _ = chain_of(node, "0")

    async def root() -> bytes:
        return await chain.storage_root((await chain.tip()).height.height)

    honest = run(root())
    assert honest == bytes.fromhex(node.eth_getProof("", [], "0x1")["storageHash"][2:])
    empty = {"storageHash": hexed(EMPTY_ROOT), "storageProof": [{"key": "0x0", "proof": []}]}
    node.spoil = of("eth_getProof", lambda a: {**a, **empty})
    with pytest.raises(BadAnswer, match="not the proven one"):
        run(root())


@pytest.mark.parametrize("data", [b"", b"\xc0", rlp.encode((b"", b"", ())), rlp.encode((b"", ((),), ()))])
def test_bytes_that_are_no_storage_proof_are_refused(data: bytes) -> None:
    with pytest.raises(ProofMalformed):
        StorageProof.from_bytes(data)


@pytest.mark.parametrize("text", ["latest", "-1", "1024", "", "1.5", "٣"])
def test_a_finality_is_a_depth_or_a_tag(text: str) -> None:
    with pytest.raises(Misuse):
        Finality.parse(text)


def test_a_finality_reads_as_it_was_written() -> None:
    assert [str(Finality.parse(text)) for text in ("0", "12", "finalized", "safe")] == ["0", "12", "finalized", "safe"]


@pytest.mark.parametrize("following", [2**64 - 1, 10**9])
def test_b5_a_lane_that_is_said_to_have_sent_without_end_is_not_read(following: int) -> None:
    node = FakeNode()
    node.mine(5)
    chain, _ = chain_of(node, "1")
    node.state.next_sequence = following
    node.mine(3)
    node.calls.clear()
    with pytest.raises(BadAnswer):
        run(chain.outstanding(CLIENT))
    assert "eth_getStorageAt" not in node.calls


def test_a_long_lane_is_read_in_pieces_and_from_where_it_is_open() -> None:
    node = FakeNode()
    node.state.next_sequence = 12_000
    packet = node.send()
    node.mine(4)
    chain, _ = chain_of(node, "1")
    assert run(chain.outstanding(CLIENT)) == {12_000: commit_packet(packet)}
    node.calls.clear()
    assert run(chain.outstanding(CLIENT)) == {12_000: commit_packet(packet)}
    assert node.calls.count("eth_getStorageAt") < 10, "what had ended is not read again"
