"""A 07-tendermint client of a really signed, really stored ledger: the good world that tests spoil."""

from __future__ import annotations

from collections.abc import Sequence

from lockgate.codec.type_urls import TENDERMINT_HEADER, TENDERMINT_MISBEHAVIOUR
from lockgate.lightclients.cometbft.types import LightBlock
from lockgate.lightclients.tendermint import ClientUpdate, TendermintClient, encode_misbehaviour
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos
from lockgate.storage.memory import MemoryNodes
from tests.support.chain import TestLedger, client_states_of, header_message
from tests.support.memory_view import MemoryView

CLIENT = ClientId("07-tendermint-0")
OWN = Height(3, 77)


class ClientWorld:
    """A ledger of ten blocks, its state, and a host's view with a client created at block 1."""

    def __init__(self, powers: Sequence[int] = (10, 10, 10, 10), chain_id: str = "ledger-1") -> None:
        self.store = MultiStore(("ibc", "upgrade"), MemoryNodes())
        self.ledger = TestLedger(chain_id, powers)
        self.write({("ibc", b"seed"): b"\x01", ("upgrade", b"seed"): b"\x01"})
        self.first = self.produce()
        for _ in range(9):
            self.produce()
        self.client = TendermintClient()
        self.view = MemoryView()
        self.now = UnixNanos(self.ledger.latest.header.time + 10**9)
        self.create(CLIENT, self.first)

    def write(self, writes: dict[tuple[str, bytes], bytes | None]) -> None:
        """Change the ledger's state: the next block carries its root."""
        self.store.apply(writes)
        self.store.commit(self.store.version + 1)

    def produce(self) -> LightBlock:
        return self.ledger.produce(self.store.app_hash)

    def create(self, client_id: ClientId, block: LightBlock) -> None:
        states = client_states_of(block)
        self.view.apply(self.client.initialise(self.view, client_id, *states, self.now, OWN))

    def height(self, number: int) -> Height:
        return Height(self.ledger.revision, number)

    def send(self, kind: str, message: bytes, client_id: ClientId = CLIENT) -> ClientUpdate:
        """Update the client and apply what it decided."""
        update = self.client.update(self.view, client_id, (kind, message), self.now, OWN)
        self.view.apply(update.outcome)
        return update

    def update(self, block: LightBlock, trusted: LightBlock | None = None) -> ClientUpdate:
        return self.send(TENDERMINT_HEADER, header_message(block, trusted or self.first))

    def accuse(self, one: LightBlock, other: LightBlock, trusted: LightBlock | None = None) -> ClientUpdate:
        base = trusted or self.first
        raw = encode_misbehaviour(CLIENT, header_message(one, base), header_message(other, base))
        return self.send(TENDERMINT_MISBEHAVIOUR, raw)

    def status(self) -> str:
        return self.client.status(self.view, CLIENT, self.now)

    def entries(self) -> list[bytes]:
        """Return the client's keys, without the prefix of its id."""
        return [key.removeprefix(b"clients/07-tendermint-0/") for key in sorted(self.view.stores["ibc"])]
