"""Our reader and account before a real EVM node: finality, re-organisations, fees, nonces, the contracts' words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3

from lockgate.codec import type_urls as urls
from lockgate.courier.ports import Submitted
from lockgate.crypto.recoverable import EvmKey
from lockgate.ibc import events as ibc_events
from lockgate.ibc import host, wire
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.packet import Acknowledgement, Packet
from lockgate.machine.transaction import Message
from lockgate.primitives.ids import ClientId, Height
from lockgate.relay.chains.evm import packets
from lockgate.relay.chains.evm.account import EvmAccount, Waits
from lockgate.relay.chains.evm.artefacts import artefact
from lockgate.relay.chains.evm.chain import EvmChain, NoHost
from lockgate.relay.chains.evm.fees import GWEI, FeeRules
from lockgate.relay.chains.evm.history import Finality, ReorganisedAfterRelease
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.journal import Journal
from lockgate.relay.chains.evm.node import EvmNode
from lockgate.relay.chains.evm.ports import Ports
from lockgate.relay.chains.evm.refusals import FundsMissing, Reverted
from lockgate.relay.chains.evm.submitter import EvmSubmitter
from lockgate.relay.chains.evm.transactions import EvmTransaction
from lockgate.relay.rpc import BadAnswer
from tests.interop.evm.world import Node, World, answered, sent, signing_set, unreceived

pytestmark = pytest.mark.interop

CLIENT = ClientId("client-0")
KEY = EvmKey(b"\x77" * 32)
SENDER = "0x" + KEY.address.hex()
QUICK = Waits(poll=0.05, stuck=1.0, confirm=30.0)
CALM = Waits(poll=0.05, stuck=60.0, confirm=30.0)


@dataclass
class Ours:
    """What of ours is pointed at the node."""

    world: World
    node: EvmNode
    path: Path
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    accounts: list[EvmAccount] = field(default_factory=list)
    tasks: list[asyncio.Task[Submitted]] = field(default_factory=list)

    def chain(self, finality: str = "2", network: int = 31_337) -> EvmChain:
        address = bytes.fromhex(self.world.host.address[2:])
        return EvmChain(self.node, network, address, Finality.parse(finality), self.report, followed="alpha-1")

    def account(self, waits: Waits = CALM, ceiling: int = 500 * GWEI) -> EvmAccount:
        journal = Journal(self.path / "journal.json", 31_337, KEY.address)
        made = EvmAccount(self.chain(), KEY, FeeRules(ceiling), journal, self.report, waits)
        self.accounts.append(made)
        return made

    def report(self, name: str, fields: dict[str, object]) -> None:
        self.told.append((name, fields))

    def names(self) -> set[str]:
        return {name for name, _ in self.told}

    async def rpc(self, method: str, *arguments: Any) -> Any:
        return await asyncio.to_thread(self.world.rpc, method, *arguments)

    async def mine(self, count: int = 1) -> None:
        await self.rpc("anvil_mine", hex(count))

    async def ask(self, body: bytes = b"question") -> Packet:
        """Have the example application send a packet."""
        call = self.world.echo.functions.ask(CLIENT, "asker", body, self.world.now() + 3600)
        receipt = await asyncio.to_thread(self.world.do, call)
        (log,) = self.world.host.events.SendPacket().process_receipt(receipt)
        return packet_of(log["args"]["packet"])


def packet_of(shown: Any) -> Packet:
    return packets.packet_of((*list(shown.values())[:4], [tuple(one.values()) for one in shown["payloads"]]))


@pytest.fixture
def run(world: World, node: Node, tmp_path: Path) -> Callable[[Callable[[Ours], Awaitable[None]]], None]:
    def within(work: Callable[[Ours], Awaitable[None]]) -> None:
        async def main() -> None:
            async with EvmNode(node.url) as ours:
                made = Ours(world, ours, tmp_path)
                await made.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
                await made.mine()
                await made.rpc("anvil_setBalance", SENDER, hex(10**20))
                try:
                    async with asyncio.timeout(90):
                        await work(made)
                finally:
                    for account in made.accounts:
                        await account.close()
                    for task in made.tasks:
                        task.cancel()
                    await asyncio.gather(*made.tasks, return_exceptions=True)
                    await made.rpc("evm_setAutomine", True)

        asyncio.run(main())

    return within


Run = Callable[[Callable[[Ours], Awaitable[None]]], None]


def receive(world: World, *packets: Packet) -> list[Message]:
    proof, height = world.proof([sent(packet) for packet in packets])
    return [(urls.MSG_RECV_PACKET, wire.encode_receive(packet, proof, Height(*height), "me")) for packet in packets]


def acknowledge(world: World, answer: bytes, *packets: Packet) -> list[Message]:
    proof, height = world.proof([answered(packet, answer) for packet in packets])
    made = Acknowledgement((answer,))
    return [
        (urls.MSG_ACKNOWLEDGEMENT, wire.encode_acknowledge(packet, made, proof, Height(*height), "me"))
        for packet in packets
    ]


def time_out(world: World, packet: Packet) -> list[Message]:
    proof, height = world.proof([unreceived(packet)])
    return [(urls.MSG_TIMEOUT, wire.encode_timeout(packet, proof, Height(*height), "me"))]


def test_our_transactions_are_those_of_another_implementation() -> None:
    one = EvmTransaction(network=31_337, nonce=3, tip=5, fee=70_000, gas=21_000, to=b"\x0a" * 20, data=b"\x00data")
    made = Account.sign_transaction(
        {
            "type": 2, "chainId": 31_337, "nonce": 3, "maxPriorityFeePerGas": 5, "maxFeePerGas": 70_000,
            "gas": 21_000, "to": Web3.to_checksum_address("0x" + "0a" * 20), "value": 0, "data": b"\x00data",
        },
        b"\x77" * 32,
    )  # fmt: skip
    assert one.signed(KEY).raw == bytes(made.raw_transaction)
    assert one.signed(KEY).hash == bytes(made.hash)


def test_packets_are_read_when_they_are_final(run: Run) -> None:
    async def work(ours: Ours) -> None:
        chain = ours.chain("2")
        packet = await ours.ask()
        assert await chain.outstanding(CLIENT) == {}
        await ours.mine(2)
        tip = await chain.tip()
        assert await chain.outstanding(CLIENT) == {packet.sequence: commit_packet(packet)}
        assert await chain.last_sent(CLIENT) == packet.sequence
        found = await chain.find_events(
            ibc_events.SEND_PACKET, ibc_events.SOURCE_CLIENT, CLIENT, {packet.sequence}, lambda _: True
        )
        event, height = found[packet.sequence]
        assert wire.read_packet(bytes.fromhex(event.get(ibc_events.ENCODED_PACKET) or "")) == packet
        assert height == tip.height
        (block,) = await chain.blocks_events([height.height])
        assert event in block.events
        assert block.time == await chain.time_of(height.height)

    run(work)


def test_storage_is_proven_under_the_blocks_state_root(run: Run) -> None:
    async def work(ours: Ours) -> None:
        chain = ours.chain("0")
        packet = await ours.ask()
        at = (await chain.tip()).height
        keys = [host.packet_commitment(CLIENT, packet.sequence), host.packet_receipt(CLIENT, 9)]
        there, absent = await chain.prove_many("ibc", keys, at)
        assert not isinstance(there, Exception)
        assert not isinstance(absent, Exception)
        assert (there.value, absent.value) == (commit_packet(packet), None)
        assert there.proof_height == at

    run(work)


def test_the_client_is_shown_as_couriers_want_it(run: Run) -> None:
    async def work(ours: Ours) -> None:
        tracked = await ours.chain("0").client(CLIENT)
        assert (tracked.kind, tracked.status, tracked.chain_id) == ("evm-attested", "Active", "alpha-1")
        assert tracked.latest == Height(1, ours.world.height)
        state = tracked.state
        assert [member.signer.hex() for member in state.members] == [key.address[2:].lower() for key in ours.world.keys]
        assert (state.epoch, state.threshold, state.operators) == (1, 3, 3)
        await ours.rpc("evm_increaseTime", 31 * 86_400)
        await ours.mine()
        assert (await ours.chain("0").client(CLIENT)).status == "Expired"

    run(work)


def test_what_is_not_there_is_named(run: Run) -> None:
    async def work(ours: Ours) -> None:
        with pytest.raises(BadAnswer, match="another chain"):
            await ours.chain(network=1).tip()
        empty = EvmChain(ours.node, 31_337, b"\x0e" * 20, Finality(0), ours.report)
        with pytest.raises(NoHost):
            await empty.outstanding(CLIENT)

    run(work)


def test_c6_a_reorganisation_before_release_is_followed_and_one_after_it_halts(run: Run) -> None:
    async def work(ours: Ours) -> None:
        chain = ours.chain("4")
        await ours.mine(6)
        await chain.tip()
        await ours.ask()
        await ours.mine(2)
        await chain.tip()
        await ours.rpc("anvil_reorg", 3, [])
        await chain.tip()
        assert chain.reorganisations == 1
        await ours.mine(6)
        await chain.tip()
        assert await chain.outstanding(CLIENT) == {}, "the send is gone with its block"
        await ours.rpc("anvil_reorg", 6, [])
        with pytest.raises(ReorganisedAfterRelease):
            await chain.tip()
        await ours.mine(9)
        with pytest.raises(ReorganisedAfterRelease):
            await chain.outstanding(CLIENT)
        assert "alarm" in ours.names()

    run(work)


def test_a_batch_is_received_and_again_is_nothing(run: Run) -> None:
    async def work(ours: Ours) -> None:
        submitter = EvmSubmitter(ours.account())
        three = [ours.world.incoming(sequence) for sequence in (1, 2, 3)]
        done = await submitter.submit(receive(ours.world, *three))
        assert (done.code, done.responses) == (0, (wire.SUCCESS,) * 3)
        assert [event.type for event in done.events] == ["recv_packet", "write_acknowledgement"] * 3
        assert await submitter.chain.received(CLIENT, {1, 2, 3, 4}) == {1, 2, 3}
        await ours.mine(2)
        assert set(await submitter.chain.acknowledged(CLIENT, {1, 2, 3, 4})) == {1, 2, 3}
        again = await submitter.submit(receive(ours.world, *three))
        assert (again.codespace, again.code) == ("channel", 22)
        mixed = await submitter.submit(receive(ours.world, three[0], ours.world.incoming(4)))
        assert mixed.responses == (wire.NOOP, wire.SUCCESS)

    run(work)


def test_packets_of_the_chain_end_by_answers_and_timeouts(run: Run) -> None:
    async def work(ours: Ours) -> None:
        submitter = EvmSubmitter(ours.account())
        one, two, three = [await ours.ask(bytes([n])) for n in (1, 2, 3)]
        done = await submitter.submit(acknowledge(ours.world, b"yes", one, two))
        assert (done.code, done.responses) == (0, (wire.SUCCESS,) * 2)
        assert [event.type for event in done.events] == ["acknowledge_packet"] * 2
        early = await submitter.submit(time_out(ours.world, three))
        assert (early.codespace, early.code) == ("evm", 1)
        assert "packet.timeout_not_reached" in early.log
        await asyncio.to_thread(ours.world.advance, 3601)
        done = await submitter.submit(time_out(ours.world, three))
        assert [event.type for event in done.events] == ["timeout_packet"]
        assert await submitter.chain.still_open(CLIENT, {1, 2, 3}) == set()

    run(work)


def test_refusals_are_the_contracts_words_and_cost_nothing(run: Run) -> None:
    async def work(ours: Ours) -> None:
        submitter = EvmSubmitter(ours.account())
        late = ours.world.incoming(1, timeout=ours.world.now())
        done = await submitter.submit(receive(ours.world, late))
        assert (done.codespace, done.code) == ("channelv2", 9)
        forged = receive(ours.world, ours.world.incoming(2))
        other = wire.encode_receive(ours.world.incoming(3), b"\x00" * 64, Height(0, 99), "me")
        assert (await submitter.submit([(urls.MSG_RECV_PACKET, other)])).code
        await asyncio.to_thread(ours.world.do, ours.world.host.functions.pause(CLIENT))
        done = await submitter.submit(forged)
        assert (done.codespace, done.code) == ("evm", 2)
        assert "lane.paused" in done.log
        assert await ours.rpc("eth_getTransactionCount", SENDER, "latest") == "0x0"

    run(work)


async def waiting(ours: Ours, account: EvmAccount, *messages: Message) -> asyncio.Task[Submitted]:
    """A submission that waits in the pool, which no block takes."""
    await ours.rpc("evm_setAutomine", False)
    before = account.waiting
    task = asyncio.create_task(EvmSubmitter(account).submit(messages))
    ours.tasks.append(task)
    while account.waiting == before or not await pooled(ours):
        assert not task.done(), task
        await asyncio.sleep(0.02)
    return task


async def pooled(ours: Ours) -> dict[str, Any]:
    content = await ours.rpc("txpool_content")
    return {k: v for kind in ("pending", "queued") for k, v in content[kind].items() if v}


@pytest.mark.parametrize("returns", [True, False])
def test_what_a_reorganisation_drops_is_done_again_and_once(run: Run, returns: bool) -> None:
    async def work(ours: Ours) -> None:
        account = ours.account()
        await ours.mine(3)
        done = await EvmSubmitter(account).submit(receive(ours.world, ours.world.incoming(1)))
        assert done.code == 0
        await ours.rpc("evm_setAutomine", False)
        await ours.rpc("anvil_reorg", 1, [])
        if not returns:
            await ours.rpc("anvil_dropAllTransactions")
        assert await account.chain.received(CLIENT, {1}) == set()
        while not await pooled(ours):
            await asyncio.sleep(0.02)
        await ours.mine(4)
        assert await account.chain.received(CLIENT, {1}) == {1}
        await account.settled()
        assert await ours.rpc("eth_getTransactionCount", SENDER, "latest") == "0x1"

    run(work)


def test_a_stuck_transaction_is_replaced(run: Run) -> None:
    async def work(ours: Ours) -> None:
        account = ours.account(QUICK)
        task = await waiting(ours, account, *receive(ours.world, ours.world.incoming(1)))
        await ours.rpc("anvil_setNextBlockBaseFeePerGas", hex(20 * GWEI))
        await ours.mine()
        assert not task.done(), "it offered too little"
        while "replaced" not in ours.names():
            await asyncio.sleep(0.02)
        await ours.mine()
        assert (await task).responses == (wire.SUCCESS,)
        assert await ours.rpc("eth_getTransactionCount", SENDER, "latest") == "0x1"

    run(work)


def test_a_gap_below_is_filled(run: Run) -> None:
    async def work(ours: Ours) -> None:
        first = ours.account()
        for sequence in (1, 2):
            await waiting(ours, first, *receive(ours.world, ours.world.incoming(sequence)))
        await first.close()
        path = ours.path / "journal.json"
        kept = json.loads(path.read_text())
        path.write_text(json.dumps({**kept, "signed": kept["signed"][1:]}))  # nobody remembers the first
        await ours.rpc("anvil_dropAllTransactions")
        second = ours.account(QUICK)
        await second.resume()
        while second.waiting < 2 or await ours.rpc("eth_getTransactionCount", SENDER, "pending") != "0x2":
            await asyncio.sleep(0.02)
        await ours.mine(3)
        await second.settled()
        assert await second.chain.received(CLIENT, {1, 2}) == {2}
        assert "gap" in ours.names()

    run(work)


def test_a_crash_between_signing_and_sending_resumes(run: Run) -> None:
    async def work(ours: Ours) -> None:
        first = ours.account()
        task = await waiting(ours, first, *receive(ours.world, ours.world.incoming(1)))
        await first.close()
        task.cancel()
        await ours.rpc("anvil_dropAllTransactions")  # as if it had never been sent
        second = ours.account()
        await second.resume()
        while not await pooled(ours):
            await asyncio.sleep(0.02)
        await ours.mine(3)
        await second.settled()
        assert await second.chain.received(CLIENT, {1}) == {1}
        assert await ours.rpc("eth_getTransactionCount", SENDER, "latest") == "0x1"

    run(work)


def test_an_account_without_funds_is_named(run: Run) -> None:
    async def work(ours: Ours) -> None:
        await ours.rpc("anvil_setBalance", SENDER, "0x0")
        with pytest.raises(FundsMissing):
            await EvmSubmitter(ours.account()).submit(receive(ours.world, ours.world.incoming(1)))

    run(work)


def test_a_contract_is_created_and_what_it_refuses_is_named(run: Run) -> None:
    async def work(ours: Ours) -> None:
        account = ours.account()
        code = bytes.fromhex(artefact("attested").bytecode.removeprefix("0x"))
        host, first = int(ours.world.host.address, 16), signing_set(ours.world.keys, ours.world.now() + 86_400)
        given = interface("attested").constructed(host, 1, first.fields())
        receipt = await account.execute(b"", code + given)
        assert receipt.contract is not None
        with pytest.raises(Reverted) as caught:
            await account.execute(b"", code + interface("attested").constructed(host, 0, first.fields()))
        assert caught.value.reason == "client.constructor"

    run(work)


def test_what_an_application_bound_is_read_where_the_compiler_put_it(run: Run) -> None:
    async def work(ours: Ours) -> None:
        ports = Ports(ours.chain())
        echo = ours.world.echo.address.lower()
        assert await ports.gas_of([echo]) == 100_000  # contracts/echo.vy
        assert await ports.gas_of([echo, echo, "echo", "0x" + "11" * 20]) == 200_000

    run(work)
