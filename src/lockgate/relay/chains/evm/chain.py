"""An EVM chain with the host contract, read over one node (I10).

The node is not trusted: what is read is of one chain id, hangs together by parent hashes, and is final before
it is told as a fact for the other ledger. Which packets were sent, and their acknowledgements, are read at the newest
final block. Whether a packet was received or has ended already is read at the newest block, so that nobody pays for
doing it again; a re-organisation that takes it back shows in `reorganisations`, upon which a courier scans again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

from lockgate.codec.errors import Malformed
from lockgate.courier.ports import BlockEvents, ChainUnavailable, NotYet, Proven, Tip, TrackedClient
from lockgate.crypto.keccak import keccak256
from lockgate.ibc import host as paths
from lockgate.lightclients.evm_storage import chain_name, slot_of
from lockgate.primitives.errors import Misuse, PeerFault
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Event
from lockgate.primitives.time import UnixNanos
from lockgate.relay.chains.evm import answers
from lockgate.relay.chains.evm.answers import EvmBlock, Log, hexed
from lockgate.relay.chains.evm.clients import tracked_of
from lockgate.relay.chains.evm.history import MOST_KEPT, Finality, History, ReorganisedAfterRelease
from lockgate.relay.chains.evm.interface import interface
from lockgate.relay.chains.evm.memory import Memory
from lockgate.relay.chains.evm.node import EvmCalls, ask, ask_all
from lockgate.relay.chains.evm.nodes import EvmNodes
from lockgate.relay.chains.evm.packets import TOPICS, events_of, host_interface
from lockgate.relay.chains.evm.proofs import proofs_of
from lockgate.relay.chains.evm.refusals import NoHost
from lockgate.relay.chains.evm.sent import SentPackets
from lockgate.relay.one_source import OneSource
from lockgate.relay.rpc import BadAnswer

LOGS_AT_ONCE: Final = 2_000  # blocks in one question about logs; hosted nodes answer no more
SEQUENCES_AT_ONCE: Final = 200  # alternatives of a topic
SEND_GAS: Final = 10_000  # a packet's commitment alone takes a new slot, 22,100
MOST_LOGS: Final = 20_000  # in one answer
POLL_S: Final = 0.25
REVISION: Final = 0
EMPTY: Final = "0x" + "00" * 32  # any slot: the account's proof is what is asked for
PROOFS_AT_ONCE: Final = 50  # each some kilobytes; the most that one call of the host takes
T = TypeVar("T")

Report = Callable[[str, dict[str, object]], None]


class EvmChain(OneSource):
    """Reads one chain through one node; `host` is the host contract's address, 20 bytes.

    `first` is the block from which on the host can have emitted anything, `followed` the chain id of the ledger that
    its clients follow: the contracts keep none. `memory` keeps the newest released block over a restart.
    """

    def __init__(
        self,
        node: EvmCalls,
        network: int,
        host: bytes,
        finality: Finality,
        report: Report,
        *,
        first: int = 0,
        followed: str = "",
        memory: Memory | None = None,
    ) -> None:
        """Raises MemoryDamaged, MemoryOfAnother."""
        self.node = node
        self.network = network
        self.host = host
        self.chain_id = chain_name(network)
        self.revision = REVISION
        self.history = History(None if memory is None else memory.load())
        self.taken_up = self.history.released  # what an earlier process had released
        self._memory = memory
        self._finality = finality
        self._report = report
        self._first = first
        self._followed = followed
        self._turn = asyncio.Lock()
        self._failed: ReorganisedAfterRelease | None = None
        path = None if memory is None else memory.beside("sent.json")
        self._sent = SentPackets(path, network, host, anew=self.taken_up is None)
        self._unreadable: dict[tuple[str, ClientId], set[int]] = {}  # events in final blocks with text of no ledger's
        self.beat = 0  # counts blocks seen
        self.reconnects = 0  # nothing is announced over HTTP

    @property
    def reorganisations(self) -> int:
        """How often blocks that were shown were replaced. Whoever derived anything from the newest ones looks again."""
        return self.history.reorganisations

    def health(self) -> dict[str, object] | None:
        """Its nodes for people; None where there is one."""
        return self.node.health() if isinstance(self.node, EvmNodes) else None

    # Blocks.

    async def tip(self) -> Tip:
        """The newest final block. Raises BadAnswer for another chain, ReorganisedAfterRelease for good."""
        final, _ = await self.heads()
        return Tip(self.chain_id, final.height, final.nanos)

    async def heads(self) -> tuple[EvmBlock, EvmBlock]:
        """The newest final block and the newest one."""
        async with self._turn:
            if self._failed is not None:
                raise self._failed
            try:
                return await self._follow()
            except ReorganisedAfterRelease as error:
                self._failed = error
                self._report("alarm", {"code": error.code, "chain": self.chain_id, "detail": str(error)})
                raise

    async def _follow(self) -> tuple[EvmBlock, EvmBlock]:
        tag = self._finality.tag
        calls: list[tuple[str, list[Any]]] = [("eth_chainId", []), ("eth_getBlockByNumber", ["latest", False])]
        calls += [("eth_getBlockByNumber", [tag, False])] if tag else []
        network, json, *tagged = await ask_all(self.node, calls)
        if answers.quantity(network) != self.network:
            raise BadAnswer("the node runs another chain", expected=self.network, got=answers.quantity(network))
        newest = answers.block_of(json)
        released, before = self.history.released, self.history.newest
        if released is not None and newest.number < released.number:
            raise ChainUnavailable("the node is behind what it showed", shown=released.number, now=newest.number)
        marked = answers.block_of(tagged[0]) if tag else None
        number = marked.number if marked is not None else max(0, newest.number - self._finality.depth)
        if number > newest.number:
            raise BadAnswer("a final block above the newest one", final=number, newest=newest.number)
        changed = self.history.take(await self._run(newest, number))
        if changed is not None:
            self._report("reorganised", {"chain": self.chain_id, "from": changed, "newest": newest.number})
        if before is None or before.hash != newest.hash:
            self.beat += 1
        known = self.history.at(number)
        if marked is not None and known is not None and known.hash != marked.hash:
            raise BadAnswer("the final block is not under the newest one", number=number)
        final = known or marked or self.history.released
        if final is None:
            raise NotYet("no block is final yet", newest=newest.number)
        if self._memory is not None and (released is None or final.number > released.number):
            self._memory.save(final)  # before anything is derived from it
        return self.history.release(final), newest

    async def _run(self, newest: EvmBlock, final: int) -> list[EvmBlock]:
        """Headers from what is known up to the newest one; where it departs, from where it does."""
        history = self.history
        known = history.newest
        first = newest.number if known is None else min(newest.number, known.number + 1)
        if known is None or newest.number - first >= MOST_KEPT:
            await self._still_stands()
            history.restart()
            return await self._headers(max(final, newest.number - MOST_KEPT + 1), newest)
        run, more = await self._headers(first, newest), 1
        while not history.meets(run[0]):
            if run[0].number <= history.lowest:
                await self._still_stands()
                break
            run = await self._headers(max(history.lowest, run[0].number - more), run[0]) + run[1:]
            more *= 2
        return run

    async def _headers(self, first: int, last: EvmBlock) -> list[EvmBlock]:
        """Headers from `first` up to one that was read."""
        numbers = range(first, last.number)
        found = await ask_all(self.node, [("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
        blocks = [self._numbered(json, number) for number, json in zip(numbers, found, strict=True)]
        return [*blocks, last]

    def _numbered(self, json: Any, number: int) -> EvmBlock:
        if json is None:
            raise ChainUnavailable("the node does not have a block it should", number=number)
        block = answers.block_of(json)
        if block.number != number:
            raise BadAnswer("the node answered for another block", asked=number, got=block.number)
        return block

    async def _still_stands(self) -> None:
        """Compare the block that was released last with what stands there now."""
        released = self.history.released
        if released is not None:
            number = released.number
            self.history.require(
                self._numbered(await ask(self.node, "eth_getBlockByNumber", hex(number), False), number)
            )

    async def block(self, number: int) -> EvmBlock:
        """A final block's header. Raises NotYet above the final one."""
        released = self.history.released or (await self.heads())[0]
        if number > released.number:
            raise NotYet("the block is not final yet", number=number, final=released.number)
        if number == released.number:
            return released
        return self._numbered(await ask(self.node, "eth_getBlockByNumber", hex(number), False), number)

    async def earliest(self) -> int:
        """Nodes that let bodies and state go keep every header, and of one nothing else is asked that is old."""
        return 1

    async def time_of(self, height: int, /) -> UnixNanos:
        return (await self.block(height)).nanos

    async def pause(self, seen: int, longest_s: float = POLL_S) -> None:
        """Nodes announce nothing over HTTP: wait and look."""
        if self.beat == seen:
            await asyncio.sleep(min(longest_s, POLL_S))

    # Events.

    async def block_events(self, height: int, /) -> BlockEvents:
        (block,) = await self.blocks_events([height])
        return block

    async def blocks_events(self, heights: Sequence[int]) -> list[BlockEvents]:
        """Events of final blocks, ascending and without gaps. Raises NotYet above the final one."""
        numbers = list(heights)
        if not numbers:
            return []
        last = await self.block(numbers[-1])
        blocks = await self._headers(numbers[0], last)
        by_block: dict[int, list[Log]] = {number: [] for number in numbers}
        for log in await self.logs(numbers[0], numbers[-1]):
            by_block[log.block].append(log)
        found = []
        for block in blocks:
            logs = by_block[block.number]
            if any(log.block_hash != block.hash for log in logs):
                raise BadAnswer("logs of another block than the one shown", number=block.number)
            found.append(BlockEvents(block.height, block.nanos, events_of(logs)))
        return found

    async def find_events(
        self, kind: str, _attribute: str, client: ClientId, sequences: set[int], accept: Callable[[Event], bool], /
    ) -> dict[int, tuple[Event, Height]]:
        """Events of one kind in final blocks, by sequence, newest blocks first; what is not found is left out.

        Which of a packet's clients an event is found by is the contract's choice: it is this chain's own.
        """
        own = host_interface()
        found: dict[int, tuple[Event, Height]] = {}
        last = (await self.heads())[0].number
        unreadable = self._unreadable.setdefault((kind, client), set())
        for some in _chunks(sorted(sequences - unreadable), SEQUENCES_AT_ONCE):
            topics = [
                hexed(own.topic(TOPICS[kind])),
                hexed(keccak256(client.encode())),
                [hexed(sequence.to_bytes(32)) for sequence in some],
            ]
            high, met = last, set[int]()
            while high >= self._first and not met >= set(some):
                low = max(self._first, high - LOGS_AT_ONCE + 1)
                for log in await self.logs(low, high, topics):
                    sequence, events = int.from_bytes(log.topics[2]), events_of([log])
                    if not events:
                        unreadable.add(sequence)  # by anybody, and there is no other one
                        met.add(sequence)
                    for event in events:
                        if event.type == kind and accept(event):
                            found[sequence] = (event, Height(REVISION, log.block))
                            met.add(sequence)
                high = low - 1
        return found

    async def logs(self, first: int, last: int, topics: Sequence[Any] = ()) -> list[Log]:
        """What the host emitted in blocks from first to last, in order."""
        asked = {"fromBlock": hex(first), "toBlock": hex(last), "address": hexed(self.host), "topics": list(topics)}
        json = await ask(self.node, "eth_getLogs", asked)
        if isinstance(json, list) and len(json) > MOST_LOGS:
            raise BadAnswer("more logs than blocks can hold", count=len(json))
        logs = answers.logs_of(json)
        if any(log.address != self.host or not first <= log.block <= last or not log.fits(topics) for log in logs):
            raise BadAnswer("logs that were not asked for", first=first, last=last)
        return sorted(logs, key=lambda log: (log.block, log.index))

    # State.

    async def outstanding(self, client_id: ClientId, /) -> Mapping[int, bytes]:
        """Packets that a final block holds and the newest one still does. Raises NotYet while too many are new."""
        final, _ = await self.heads()
        last = await self._last_sent(client_id, final)
        if last > (final.number + 1) * (final.gas_limit // SEND_GAS):
            raise BadAnswer("more packets than so many blocks can hold", client=client_id, said=last)
        sent = await self._sent.outstanding(
            client_id, last, lambda numbers: self._present(paths.packet_commitment, client_id, numbers, final)
        )
        still = await self.still_open(client_id, sent)
        return {sequence: value for sequence, value in sent.items() if sequence in still}

    async def last_sent(self, client_id: ClientId) -> int:
        """The newest sequence sent over a client in a final block; 0 before the first."""
        return await self._last_sent(client_id, (await self.heads())[0])

    async def _last_sent(self, client_id: ClientId, block: EvmBlock) -> int:
        data = await self.call(self.host, host_interface().call("getLane", client_id), block)
        try:
            following = host_interface().result("getLane", data)[2]
        except Malformed as error:
            raise BadAnswer("a lane has another shape") from error
        return max(0, int(following) - 1)

    async def still_open(self, client_id: ClientId, sequences: Collection[int], /) -> set[int]:
        return set(await self._present(paths.packet_commitment, client_id, sequences, None))

    async def received(self, client_id: ClientId, sequences: Collection[int], /) -> set[int]:
        return set(await self._present(paths.packet_receipt, client_id, sequences, None))

    async def acknowledged(self, client_id: ClientId, sequences: Collection[int], /) -> Mapping[int, bytes]:
        final, _ = await self.heads()
        return await self._present(paths.packet_acknowledgement, client_id, sequences, final)

    async def client(self, client_id: ClientId, /) -> TrackedClient:
        """A client at the newest block. Raises BadAnswer for one of another kind."""
        address = await self.client_address(client_id)
        _, newest = await self.heads()
        return await self.client_at(client_id, address, newest)

    async def client_at(self, client_id: ClientId, address: bytes, block: EvmBlock) -> TrackedClient:
        """A client as its contract was after a block, which may be an old one. Raises as `client` does."""
        own = interface("attested")
        status = await self.call(address, own.call("status"), block)
        signing = await self.call(address, own.call("getSet"), block)
        return tracked_of(client_id, address, status, signing, self._followed, block.time)

    async def client_address(self, client_id: ClientId) -> bytes:
        """The contract of a client. Raises RpcError for one that the host does not know."""
        raw = await self.call(self.host, host_interface().call("getClient", client_id))
        try:
            (found,) = host_interface().result("getClient", raw)
        except Malformed as error:
            raise BadAnswer("a client has another shape") from error
        return int(found).to_bytes(20)

    async def prove(self, store: str, key: bytes, at: Height, /) -> Proven:
        """A value of the host's under a path of ICS-24, at a final block, in the form of `proofs`."""
        (found,) = await self.prove_many(store, [key], at)
        if isinstance(found, Exception):
            raise found
        return found

    async def prove_many(self, store: str, keys: Sequence[bytes], at: Height, /) -> list[Proven | Exception]:
        """As `prove`, for many keys of one block."""
        if store != paths.STORE:
            raise Misuse("a host contract has one store", store=store)
        block = await self.block(at.height)
        slots = [slot_of(key) for key in keys]
        found: list[Proven | Exception] = []
        for some in _chunks(slots, PROOFS_AT_ONCE):
            asked = [hexed(self.host), [hexed(slot) for slot in some], hex(block.number)]
            for slot, proof in zip(some, proofs_of(await ask(self.node, "eth_getProof", *asked), some), strict=True):
                try:
                    value = proof.value(block.state_root, self.host, slot)
                    found.append(Proven(value if any(value) else None, proof.to_bytes(), block.height))
                except PeerFault as error:
                    found.append(error)
        return found

    async def storage_root(self, height: int) -> bytes:
        """The root of the host's storage at a final block, proven under its state root: what is attested of it."""
        block = await self.block(height)
        (proof,) = proofs_of(await ask(self.node, "eth_getProof", hexed(self.host), [EMPTY], hex(height)), [bytes(32)])
        proof.value(block.state_root, self.host, bytes(32))
        return proof.storage_root

    async def call(self, to: bytes, data: bytes, block: EvmBlock | None = None) -> bytes:
        """What a contract answers at a block, or at the newest. Raises RpcError for a revert, NoHost where none is."""
        at: Any = "latest" if block is None else {"blockHash": hexed(block.hash)}
        found = answers.data(await ask(self.node, "eth_call", {"to": hexed(to), "data": hexed(data)}, at))
        if not found:
            raise NoHost(chain=self.chain_id, address=hexed(to))
        return found

    async def _present(
        self,
        path: Callable[[str, int], bytes],
        client_id: ClientId,
        sequences: Collection[int],
        block: EvmBlock | None,
    ) -> dict[int, bytes]:
        """Values that are stored, by sequence, at a block or at the newest."""
        at: Any = "latest" if block is None else {"blockHash": hexed(block.hash)}
        ordered = sorted(sequences)
        slots = [hexed(slot_of(path(client_id, sequence))) for sequence in ordered]
        found = await ask_all(self.node, [("eth_getStorageAt", [hexed(self.host), slot, at]) for slot in slots])
        values = {sequence: answers.exactly(json, 32) for sequence, json in zip(ordered, found, strict=True)}
        return {sequence: value for sequence, value in values.items() if any(value)}


def _chunks(items: Sequence[T], most: int) -> list[Sequence[T]]:
    return [items[at : at + most] for at in range(0, len(items), most)]


__all__ = ("EvmChain", "NoHost")
