"""A real EVM node with the contracts deployed, and five attestors of a ledger that exists only in their words."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractLogicError, Web3RPCError

from lockgate.crypto.keccak import keccak256
from lockgate.ibc import commitment, host
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.lightclients import evm_attestation as words
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds
from lockgate.relay.chains.evm.artefacts import Artefact, artefact

REPO = Path(__file__).resolve().parents[3]
ANVIL = REPO / ".venv-tools" / "node_modules" / ".bin" / "anvil"
VYPER = REPO / ".venv-tools" / "vyper" / "bin" / "vyper"
SOURCE = bytes(range(32))  # domain id of the attested ledger
STATE_ROOT = b"\x11" * 32
REMOTE = "attested-0"
SIGNERS = 5
NEEDED = 3


@dataclass
class Node:
    """Anvil on a port of its own; it ends with the test module."""

    url: str
    process: subprocess.Popen[bytes]


def start_node(*arguments: str) -> Node:
    if not ANVIL.exists() or not shutil.which("node"):
        pytest.skip("Anvil is not installed: `make interop` installs it where there is npm")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(ANVIL), "--host", "127.0.0.1", "--port", str(port), "--hardfork", "prague", "--silent", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    node = Node(f"http://127.0.0.1:{port}", process)
    web3 = Web3(Web3.HTTPProvider(node.url))
    deadline = time.monotonic() + 60
    while not web3.is_connected():
        assert process.poll() is None, "Anvil ended"
        assert time.monotonic() < deadline, "Anvil does not answer"
        time.sleep(0.05)
    return node


def running_node(*arguments: str) -> Iterator[Node]:
    node = start_node(*arguments)
    try:
        yield node
    finally:
        node.process.terminate()
        node.process.wait(10)


class Refused(Exception):
    """A contract's refusal: the text it reverts with."""


@dataclass
class World:
    """A host with one lane over an attested client, an application on each side, and the keys of five operators."""

    web3: Web3
    host: Contract
    client: Contract
    echo: Contract
    client_id: str
    keys: list[Any]  # eth_account's LocalAccount
    epoch: int = 1
    height: int = 10

    @property
    def binding(self) -> words.Binding:
        address = bytes.fromhex(self.client.address[2:])
        return words.Binding(chain_id=self.web3.eth.chain_id, contract=address, client_id=self.client_id, source=SOURCE)

    @property
    def port(self) -> str:
        """The example application's."""
        return str(self.echo.address).lower()

    def now(self) -> int:
        return int(self.web3.eth.get_block("latest")["timestamp"])

    def rpc(self, method: str, *arguments: Any) -> Any:
        """Ask the node for what no Ethereum node of the world does: a snapshot, another time."""
        answer = self.web3.provider.make_request(method, list(arguments))  # type: ignore[arg-type]
        assert "error" not in answer, answer
        return answer["result"]

    def advance(self, seconds: int) -> None:
        """Let time pass, and a block be made after it."""
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Take back afterwards whatever happens on the chain."""
        snapshot = self.rpc("evm_snapshot")
        try:
            yield
        finally:
            assert self.rpc("evm_revert", snapshot)

    def do(self, call: Any, **options: Any) -> Any:
        """Send a call and return its receipt. Raises Refused with the contract's words, before anything is sent."""
        options = {"from": self.web3.eth.accounts[0], "gas": 29_000_000, **options}
        try:
            call.call(options)  # a refusal has words here, and none in a receipt
            hash_ = call.transact(options)
        except (ContractLogicError, Web3RPCError) as error:
            raise Refused(str(error)) from error
        receipt = self.web3.eth.wait_for_transaction_receipt(hash_)
        assert receipt["status"] == 1
        return receipt

    def refuses(self, call: Any, reason: str) -> None:
        """The call is refused for this reason, and nothing was written."""
        before = self.written()
        with pytest.raises(Refused, match=reason):
            self.do(call)
        assert before == self.written()

    def written(self) -> tuple[Any, ...]:
        """What packets move, of client, lane and limits."""
        shares = [self.host.functions.getShare(self.client_id, port).call() for port in ("", self.port)]
        head = self.web3.eth.get_storage_at(self.client.address, 0)
        return head, self.host.functions.getLane(self.client_id).call(), shares

    def incoming(self, sequence: int, body: bytes = b"\x01" * 128, *, timeout: int | None = None) -> Packet:
        """A packet that the other ledger sent."""
        return Packet(
            sequence=sequence,
            source_client=ClientId(REMOTE),
            destination_client=ClientId(self.client_id),
            timeout=UnixSeconds(timeout or self.now() + 3600),
            payloads=(Payload("asker", self.port, "echo-1", "application/octet-stream", body),),
        )

    def statement(self, leaves: Sequence[words.Leaf], **changes: Any) -> words.Statement:
        self.height += 1
        root = words.merkle_root(leaves)
        statement = words.Statement(
            epoch=self.epoch, height=self.height, time=UnixSeconds(self.now()), state_root=STATE_ROOT, leaves_root=root
        )
        return replace(statement, **changes)

    def sign(self, digest: bytes, signers: Sequence[int] = range(NEEDED)) -> tuple[words.Signed, ...]:
        return tuple(signature(self.keys[position], digest, position) for position in signers)

    def signed(self, statement: words.Statement, signers: Sequence[int] = range(NEEDED)) -> tuple[words.Signed, ...]:
        return self.sign(statement.digest(self.binding), signers)

    def proof(
        self, leaves: Sequence[words.Leaf], wanted: Sequence[int] | None = None, **changes: Any
    ) -> tuple[bytes, tuple[int, int]]:
        """Proof bytes and the height they are for."""
        statement = self.statement(leaves, **changes)
        inclusion = words.prove(leaves, range(len(leaves)) if wanted is None else wanted)[1]
        return words.encode_proof(statement, self.signed(statement), inclusion), (0, statement.height)

    def receive(self, packet: Packet, proof: bytes, height: tuple[int, int]) -> Any:
        return self.host.functions.recvPacket((fields(packet), proof, height))

    def receive_many(self, packets: Sequence[Packet], proof: bytes, height: tuple[int, int]) -> Any:
        first, items = packets[0], [item(packet) for packet in packets]
        call = self.host.functions.recvPackets
        return call(first.source_client, first.destination_client, items, proof, height)

    def acknowledge_many(
        self, packets: Sequence[Packet], answers: Sequence[bytes], proof: bytes, height: tuple[int, int]
    ) -> Any:
        first, items = packets[0], [item(packet) for packet in packets]
        call = self.host.functions.ackPackets
        return call(first.source_client, first.destination_client, items, answers, proof, height)

    def commitment_at(self, path: bytes) -> bytes:
        return bytes(self.host.functions.getCommitment(keccak256(path)).call())


def signature(key: Any, digest: bytes, position: int) -> words.Signed:
    made = key.unsafe_sign_hash(digest)
    return words.Signed(position, made.r.to_bytes(32), (made.s | (made.v - 27) << 255).to_bytes(32))


def fields(packet: Packet) -> tuple[Any, ...]:
    """A packet as the contracts' ABI has it."""
    payloads = [(p.source_port, p.destination_port, p.version, p.encoding, p.value) for p in packet.payloads]
    return packet.sequence, packet.source_client, packet.destination_client, packet.timeout, payloads


def item(packet: Packet) -> tuple[Any, ...]:
    """A packet as a batch has it."""
    sequence, _, _, timeout, (payload,) = fields(packet)
    return sequence, timeout, payload


def sent(packet: Packet) -> words.Leaf:
    """What the sender's ledger holds for a packet."""
    path = host.packet_commitment(packet.source_client, packet.sequence)
    return words.Leaf(keccak256(path), commitment.commit_packet(packet))


def answered(packet: Packet, answer: bytes) -> words.Leaf:
    path = host.packet_acknowledgement(packet.destination_client, packet.sequence)
    return words.Leaf(keccak256(path), commitment.commit_acknowledgement(Acknowledgement((answer,))))


def unreceived(packet: Packet) -> words.Leaf:
    return words.Leaf(keccak256(host.packet_receipt(packet.destination_client, packet.sequence)), words.ABSENT)


def signing_set(keys: Sequence[Any], lapses: int, **changes: Any) -> words.SigningSet:
    members = tuple(words.Member(at + 1, bytes.fromhex(key.address[2:]), 1) for at, key in enumerate(keys))
    return replace(words.SigningSet(members, NEEDED, NEEDED, UnixSeconds(lapses)), **changes)


def set_fields(value: words.SigningSet) -> tuple[Any, ...]:
    members = [(one.operator, Web3.to_checksum_address(one.signer), one.weight) for one in value.members]
    return members, value.threshold, value.operators, value.expires


def keys_of(seed: int, count: int = SIGNERS) -> list[Any]:
    return [Account.from_key((seed * 1000 + at + 1).to_bytes(32)) for at in range(count)]


@cache
def compiled(source: Path) -> Artefact:
    """A contract that only tests have. The compiler is the one of `contracts/`."""
    if not VYPER.exists():
        pytest.skip("Vyper is not installed: `make interop` installs it")
    done = subprocess.run([VYPER, "-f", "abi,bytecode", source], capture_output=True, text=True, check=True)
    abi, bytecode = [line for line in done.stdout.splitlines() if line][-2:]
    return Artefact(json.loads(abi), bytecode)


def deploy(web3: Web3, name: str | Artefact, *arguments: Any) -> Contract:
    made = artefact(name) if isinstance(name, str) else name
    contract = web3.eth.contract(abi=made.abi, bytecode=made.bytecode)
    making = contract.constructor(*arguments)
    try:
        making.estimate_gas({"from": web3.eth.accounts[0]})  # a refusal has words here, and none in a receipt
    except (ContractLogicError, Web3RPCError) as error:
        raise Refused(str(error)) from error
    hash_ = making.transact({"from": web3.eth.accounts[0], "gas": 29_000_000})
    receipt = web3.eth.wait_for_transaction_receipt(hash_)
    assert receipt["status"] == 1, f"{name} was not deployed"
    deployed: Contract = contract(receipt["contractAddress"])
    return deployed


def make_world(node: Node, *, in_max: int = 1000, out_max: int = 1000) -> World:
    web3 = Web3(Web3.HTTPProvider(node.url))
    hosting = deploy(web3, "host")
    keys = keys_of(1)
    expires = int(web3.eth.get_block("latest")["timestamp"]) + 30 * 86400
    client = deploy(web3, "attested", hosting.address, SOURCE, set_fields(signing_set(keys, expires)))
    echo = deploy(web3, "echo", hosting.address)
    world = World(web3, hosting, client, echo, "client-0", keys)
    world.do(hosting.functions.addClient(REMOTE, client.address, out_max, in_max, 3600))
    world.do(echo.functions.open("client-0"))
    statement = world.statement([words.Leaf(bytes(32), bytes(32))])
    world.do(client.functions.update(attestation(statement, world.signed(statement))))
    return world


def attestation(statement: words.Statement, signatures: Sequence[words.Signed]) -> tuple[Any, ...]:
    signed = [(one.position, one.r, one.vs) for one in signatures]
    return statement.epoch, statement.height, statement.time, statement.state_root, statement.leaves_root, signed
