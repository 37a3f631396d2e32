"""An EVM node in this process: blocks, the host's storage and logs, re-organisations, and what a bad one does."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockgate.codec import abi, rlp
from lockgate.crypto.keccak import keccak256
from lockgate.ibc import commitment, host
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.lightclients.evm_storage import slot_of
from lockgate.merkle.ethereum import Account
from lockgate.merkle.patricia_tree import PatriciaTree
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds
from lockgate.relay.chains.evm.answers import hexed
from lockgate.relay.chains.evm.chain import EvmChain
from lockgate.relay.chains.evm.history import Finality
from lockgate.relay.chains.evm.node import Call
from lockgate.relay.chains.evm.packets import host_interface, packet_fields
from lockgate.relay.rpc import RpcError

NETWORK = 31_337
HOST = b"\x0a" * 20
CLIENT = ClientId("client-0")
REMOTE = ClientId("attested-0")
START = 1_700_000_000


@dataclass
class State:
    """What the contract holds after a block."""

    storage: dict[bytes, bytes] = field(default_factory=dict)
    next_sequence: int = 1
    nonces: dict[bytes, int] = field(default_factory=dict)


@dataclass
class Block:
    number: int
    hash: bytes
    parent: bytes
    time: int
    state: State
    logs: list[dict[str, Any]]


class FakeNode:
    """Meets `EvmCalls`. `spoil` may change any answer: method, parameters, answer -> answer."""

    def __init__(self) -> None:
        self.network = NETWORK
        self.salts = itertools.count()
        self.calls: list[str] = []
        self.largest = 0  # number of calls in one request
        self.spoil: Callable[[str, Sequence[Any], Any], Any] = lambda _method, _params, answer: answer
        self.finalized = 0
        self.blocks: list[Block] = []
        self.state = State()
        self.logs: list[tuple[str, list[bytes], bytes]] = []
        self.mine()

    async def close(self) -> None: ...

    async def many(self, calls: Sequence[Call], /) -> list[Any]:
        self.largest = max(self.largest, len(calls))
        found = []
        for method, params in calls:
            self.calls.append(method)
            try:
                found.append(self.spoil(method, params, getattr(self, method)(*params)))
            except RpcError as error:
                found.append(error)
        return found

    # What happens on the chain.

    def mine(self, count: int = 1) -> None:
        for _ in range(count):
            number = len(self.blocks)
            parent = self.blocks[-1].hash if self.blocks else bytes(32)
            hash_ = keccak256(parent + next(self.salts).to_bytes(8))
            logs = [
                {
                    "address": hexed(HOST),
                    "topics": [hexed(topic) for topic in topics],
                    "data": hexed(data),
                    "blockNumber": hex(number),
                    "blockHash": hexed(hash_),
                    "logIndex": hex(index),
                }
                for index, (_, topics, data) in enumerate(self.logs)
            ]
            self.logs = []
            self.blocks.append(Block(number, hash_, parent, START + 12 * number, copy.deepcopy(self.state), logs))

    def reorganise(self, depth: int) -> None:
        """Replace the newest blocks by as many empty ones; what they did is undone."""
        del self.blocks[len(self.blocks) - depth :]
        self.state = copy.deepcopy(self.blocks[-1].state)
        self.mine(depth)

    def send(self, body: bytes = b"hello") -> Packet:
        """A packet that an application sends in the next block."""
        packet = Packet(
            sequence=self.state.next_sequence,
            source_client=CLIENT,
            destination_client=REMOTE,
            timeout=UnixSeconds(START + 86_400),
            payloads=(Payload("echo", "remote", "echo-1", "application/octet-stream", body),),
        )
        self.state.next_sequence += 1
        path = host.packet_commitment(CLIENT, packet.sequence)
        self.state.storage[slot_of(path)] = commitment.commit_packet(packet)
        self.tell("SendPacket", CLIENT, packet)
        return packet

    def acknowledge(self, packet: Packet) -> None:
        """A packet ends."""
        self.state.storage.pop(slot_of(host.packet_commitment(CLIENT, packet.sequence)))
        self.tell("AckPacket", CLIENT, packet, b"yes")

    def receive(self, sequence: int, answer: bytes = b"yes") -> Packet:
        """A packet is delivered, and answered at once."""
        packet = Packet(
            sequence=sequence,
            source_client=REMOTE,
            destination_client=CLIENT,
            timeout=UnixSeconds(START + 86_400),
            payloads=(Payload("remote", "echo", "echo-1", "application/octet-stream", b"hello"),),
        )
        storage = self.state.storage
        storage[slot_of(host.packet_receipt(CLIENT, sequence))] = commitment.commit_packet(packet)
        made = commitment.commit_acknowledgement(Acknowledgement((answer,)))
        storage[slot_of(host.packet_acknowledgement(CLIENT, sequence))] = made
        self.tell("WriteAcknowledgement", CLIENT, packet, (answer,))
        return packet

    def tell(self, name: str, client: str, packet: Packet, *more: Any) -> None:
        kinds: list[abi.Type] = [abi.PACKET]
        kinds += [abi.BYTES if isinstance(one, bytes) else abi.Array(abi.BYTES) for one in more]
        data = abi.encode(abi.Tuple(tuple(kinds)), (packet_fields(packet), *more))[abi.WORD :]
        topics = [host_interface().topic(name), keccak256(client.encode()), packet.sequence.to_bytes(32)]
        self.logs.append((name, topics, data))

    def skip(self, sequence: int, reason: str) -> None:
        """A packet of a batch is left as it was."""
        topics = [host_interface().topic("Skipped"), keccak256(CLIENT.encode()), sequence.to_bytes(32)]
        self.logs.append(("Skipped", topics, abi.encode(abi.STRING, reason)))

    # What a node answers.

    def eth_chainId(self) -> str:
        return hex(self.network)

    def eth_getBlockByNumber(self, at: str, _full: bool) -> Any:
        number = {"latest": len(self.blocks) - 1, "finalized": self.finalized, "safe": self.finalized}.get(at)
        number = int(at, 16) if number is None else number
        return self.json(self.blocks[number]) if number < len(self.blocks) else None

    def json(self, block: Block) -> dict[str, Any]:
        return {
            "number": hex(block.number),
            "hash": hexed(block.hash),
            "parentHash": hexed(block.parent),
            "timestamp": hex(block.time),
            "stateRoot": hexed(_tries(block.state)[0].root),
            "baseFeePerGas": hex(10**9),
            "gasLimit": hex(30_000_000),
        }

    def eth_getLogs(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        found = []
        for block in self.blocks[int(asked["fromBlock"], 16) : int(asked["toBlock"], 16) + 1]:
            found += [log for log in block.logs if _fits(log["topics"], asked["topics"])]
        return found

    def eth_getStorageAt(self, _address: str, slot: str, at: Any) -> str:
        return hexed(self.at(at).storage.get(bytes.fromhex(slot[2:]), bytes(32)))

    def eth_getProof(self, _address: str, slots: Sequence[str], at: str) -> dict[str, Any]:
        accounts, storage = _tries(self.blocks[int(at, 16)].state)
        return {
            "storageHash": hexed(storage.root),
            "accountProof": [hexed(node) for node in accounts.prove(keccak256(HOST))],
            "storageProof": [
                {"key": slot, "proof": [hexed(node) for node in storage.prove(keccak256(bytes.fromhex(slot[2:])))]}
                for slot in slots
            ],
        }

    def eth_call(self, transaction: dict[str, str], at: Any) -> str:
        data = bytes.fromhex(transaction["data"][2:])
        assert data[:4] == host_interface().call("getLane", CLIENT)[:4]
        kinds = (abi.STRING, abi.Uint(160), abi.UINT64, abi.Uint(1), abi.UINT256)
        values = (REMOTE, 1, self.at(at).next_sequence, 0, 0)
        return hexed(abi.encode(abi.Tuple(kinds), values)[abi.WORD :])

    def at(self, at: Any) -> State:
        if at == "latest":
            return self.blocks[-1].state
        for block in self.blocks:
            if hexed(block.hash) == at["blockHash"]:
                return block.state
        raise RpcError("header not found")


def _tries(state: State) -> tuple[PatriciaTree, PatriciaTree]:
    """Of all accounts (there is one), and of its storage."""
    words = {slot: rlp.encode_number(int.from_bytes(value)) for slot, value in state.storage.items()}
    storage = PatriciaTree({keccak256(slot): word for slot, word in words.items()})
    account = Account(1, 0, storage.root, keccak256(b"code"))
    return PatriciaTree({keccak256(HOST): account.to_bytes()}), storage


def _fits(topics: Sequence[str], asked: Sequence[Any]) -> bool:
    return all(
        topic in one if isinstance(one, list) else topic == one for topic, one in zip(topics, asked, strict=False)
    )


def chain_of(node: FakeNode, finality: str = "2", **more: Any) -> tuple[EvmChain, list[tuple[str, dict[str, object]]]]:
    """A reader of the node, and what it reports."""
    told: list[tuple[str, dict[str, object]]] = []
    chain = EvmChain(
        node, NETWORK, HOST, Finality.parse(finality), lambda name, fields: told.append((name, fields)), **more
    )
    return chain, told
