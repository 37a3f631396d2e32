"""abci_query: proven store reads, ibc-go's query services, and our own `/lockgate/…` paths (I10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from lockgate.codec import cbor
from lockgate.ibc import queries as ibc_queries
from lockgate.machine import accounts, endpoints, governance, inbox, keys
from lockgate.machine.errors import CODESPACE, BadMessage
from lockgate.machine.genesis import Genesis
from lockgate.machine.machine import Machine, TxResult
from lockgate.merkle.errors import NotAvailable
from lockgate.merkle.multistore import MultiStore
from lockgate.primitives.errors import LockgateError, Refused
from lockgate.primitives.ids import EndpointId
from lockgate.primitives.state import Block, View
from lockgate.primitives.time import UnixNanos

FIRST_PROVABLE: Final = 1
MAX_RANGE_KEYS: Final = 10_000  # keys one range query may return


class UnknownPath(Refused):
    code = "query.unknown_path"
    summary = "This ledger answers no query under that path."
    next_step = "See docs/reference/queries.md for the paths."
    wire = (CODESPACE, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An ABCI query response. `height` is the version of the state that was read."""

    code: int = 0
    codespace: str = ""
    log: str = ""
    key: bytes = b""
    value: bytes = b""
    height: int = 0
    proof_ops: tuple[tuple[str, bytes, bytes], ...] = ()


class Queried(Protocol):
    """What queries need of a ledger, whatever orders its blocks."""

    @property
    def genesis(self) -> Genesis: ...

    @property
    def machine(self) -> Machine: ...

    @property
    def state(self) -> MultiStore: ...

    @property
    def height(self) -> int: ...

    @property
    def time(self) -> UnixNanos:
        """Time of the newest block."""
        ...

    def view_at(self, version: int, /) -> View:
        """State after block `version`; raises NotAvailable for a pruned or future one."""
        ...

    def block_at(self, version: int, /) -> Block:
        """What a handler running after block `version` would know of its block."""
        ...

    def simulate(self, data: bytes, /) -> TxResult: ...


class Queries:
    """Answers queries from one ledger; a refusal is an answer with a code, never an exception."""

    def __init__(self, chain: Queried) -> None:
        self._chain = chain
        self._own: dict[str, Callable[[View, bytes], bytes]] = {
            "account": self._account,
            "simulate": self._simulate,
            "range": _range,
            "endpoint": _endpoint,
            "key_records": _key_records,
            "inbox": _inbox,
            "lanes": _lanes,
            "clients": self._clients,
            "parameters": self._parameters,
        }

    def answer(self, path: str, data: bytes, height: int, prove: bool) -> Answer:
        version = height or self._chain.height
        try:
            parts = path.strip("/").split("/")
            if len(parts) == 3 and parts[0] == "store" and parts[2] == "key":
                return self._store(parts[1], data, version, prove)
            view = self._chain.view_at(version)
            if len(parts) == 2 and parts[0] == "lockgate" and parts[1] in self._own:
                return Answer(value=self._own[parts[1]](view, data), height=version)
            if path.startswith("/ibc."):
                block = self._chain.block_at(version)
                value = ibc_queries.answer(self._chain.machine.packets.kinds, view, block, path, data)
                return Answer(value=value, height=version)
            raise UnknownPath("unknown path", path=path)
        except LockgateError as error:
            codespace, number = error.wire or (CODESPACE, 1)
            return Answer(code=number, codespace=codespace, log=str(error), height=version)

    def _store(self, store: str, key: bytes, version: int, prove: bool) -> Answer:
        if not prove:
            value = self._chain.view_at(version).get(store, key)
            return Answer(key=key, value=value or b"", height=version)
        if version < FIRST_PROVABLE:
            raise NotAvailable("no state before the first block", version=version)
        proven = self._chain.state.prove(store, key, version)
        ops = (
            ("ics23:iavl", key, proven.inner),
            ("ics23:simple", store.encode(), proven.outer),
        )
        return Answer(key=key, value=proven.value or b"", height=version, proof_ops=ops)

    def _account(self, view: View, data: bytes) -> bytes:
        """[account id, nonce lane] → [next sequence, balance]."""
        match cbor.decode(data):
            case (str(name), int(nonce_lane)) if 0 <= nonce_lane <= 0xFFFF:
                account = accounts.load(view, name)
                sequence = accounts.next_sequence(view, name, nonce_lane)
                return cbor.encode([sequence, account.balance if account else 0])
        raise BadMessage("the query is [account, nonce lane]", field="data")

    def _simulate(self, view: View, data: bytes) -> bytes:
        """Transaction bytes → [code, codespace, log, gas used]."""
        result = self._chain.simulate(data)
        return cbor.encode([result.code, result.codespace, result.log, result.gas_used])

    def _clients(self, view: View, data: bytes) -> bytes:
        """Nothing → every light client with its standing, what it needs to believe, and who could forge it."""
        return cbor.encode(self._chain.machine.packets.clients.described(view, self._chain.time))

    def _parameters(self, view: View, data: bytes) -> bytes:
        """Nothing → the parameters in force, as a map."""
        return cbor.encode(governance.parameters(view, self._chain.genesis).to_map())


def _range(view: View, data: bytes) -> bytes:
    """[store, first key, key after the last] → the keys, ascending."""
    match cbor.decode(data):
        case (str(store), bytes(start), bytes(end)):
            found = []
            for key, _ in view.scan(store, start, end):
                found.append(key)
                if len(found) >= MAX_RANGE_KEYS:
                    break
            return cbor.encode(found)
    raise BadMessage("the query is [store, start, end]", field="data")


def _endpoint(view: View, data: bytes) -> bytes:
    """Endpoint id → its state record."""
    return endpoints.load(view, data).to_bytes()


def _key_records(view: View, data: bytes) -> bytes:
    """Endpoint id → its signed key records, from the inception record on."""
    state = endpoints.load(view, data)
    records = (view.get(keys.ENDPOINT, keys.key_record(data, i)) for i in range(state.record_index + 1))
    return cbor.encode([record for record in records if record is not None])


def _inbox(view: View, data: bytes) -> bytes:
    """Endpoint id → open entries as [client, sequence, entry record]."""
    entries = inbox.open_entries(view, EndpointId(data))  # type: ignore[arg-type]  # any bytes: no match
    return cbor.encode([[client, sequence, entry.to_bytes()] for client, sequence, entry in entries])


def _lanes(view: View, data: bytes) -> bytes:
    """Nothing → every lane record."""
    return cbor.encode([value for _, value in view.scan(keys.LANE, b"lane/", b"lane0")])


__all__ = ("Answer", "Queries", "UnknownPath")
