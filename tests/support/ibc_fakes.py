"""Stand-ins for what IBC core is wired with: a light client, an application, a gate, lane terms.

`FakeLightClient` checks membership by looking at the other world's snapshot; its proof is a hash over
what is claimed, so that an altered claim or proof is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.any_pb2 import Any as AnyMessage

from lockgate.ibc import host
from lockgate.ibc.ports import Accepted, Admission, Call, Deferred, Ending, Passage, Passed, Reception, Rejected, Terms
from lockgate.primitives.errors import PeerFault, Refused
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.state import Outcome, View
from lockgate.primitives.time import NANOS_PER_SECOND, UnixNanos

CLIENT_TYPE = "99-fake"
STATE_URL = "/test.ClientState"
CONSENSUS_URL = "/test.ConsensusState"
HEADER_URL = "/test.Header"
EVIDENCE_URL = "/test.Evidence"
START = UnixNanos(1_700_000_000 * NANOS_PER_SECOND)
RELAYER = "bb" * 20
SENDER = "aa" * 20
AUTHORITY = "cc" * 20


class FakeProofWrong(PeerFault):
    code = "test.proof_wrong"
    summary = "The fake light client does not find it so."
    wire = ("commitment", 2)


class FakeNoConsensus(Refused):
    code = "test.no_consensus"
    summary = "The fake light client has no such height."
    wire = ("client", 7)


def proof_of(height: Height, path: tuple[bytes, ...], value: bytes | None) -> bytes:
    """What the fake light client takes for a proof that `path` held `value` (None: nothing)."""
    claim = repr((str(height), path, value)).encode()
    return b"proof" + hashlib.sha256(claim).digest()


@dataclass(frozen=True)
class FakeUpdate:
    outcome: Outcome
    consensus_heights: tuple[Height, ...] = ()
    misbehaviour: bool = False


class Remote(Protocol):
    """The other ledger's past, as the fake light client looks it up."""

    def time_at(self, height: Height) -> int: ...

    def state_at(self, height: Height) -> dict[str, dict[bytes, bytes]]: ...


@dataclass(frozen=True)
class FakeProofs:
    """Meets `Proofs` for one height of a fake client."""

    client: FakeLightClient
    view: View
    client_id: str
    height: Height

    def membership(self, proof: bytes, path: Sequence[bytes], value: bytes) -> None:
        self.client.verify_membership(self.view, self.client_id, self.height, proof, tuple(path), value)


class FakeLightClient:
    """Meets `LightClient`. Client state: Any{STATE_URL, b"latest/status"}; heights are the other world's."""

    def __init__(self) -> None:
        self.remote: Remote | None = None
        self.verifications = 0

    def initialise(
        self, view: View, client_id: str, client_state: bytes, consensus_state: bytes, now: int, own_height: Height
    ) -> Outcome:
        del now, own_height
        state = AnyMessage.FromString(client_state)
        outcome = Outcome()
        height, _ = _parse(state.value)
        outcome.set(host.STORE, host.client_state(client_id), client_state)
        outcome.set(host.STORE, host.consensus_state(client_id, height), consensus_state)
        return outcome

    def status(self, view: View, client_id: str, now: int) -> str:
        data = view.get(host.STORE, host.client_state(client_id))
        return "Unknown" if data is None else _parse(AnyMessage.FromString(data).value)[1]

    def latest_height(self, view: View, client_id: str) -> Height:
        data = view.get(host.STORE, host.client_state(client_id))
        return Height(0, 0) if data is None else _parse(AnyMessage.FromString(data).value)[0]

    def timestamp_at(self, view: View, client_id: str, height: Height) -> UnixNanos:
        data = view.get(host.STORE, host.consensus_state(client_id, height))
        if data is None:
            raise FakeNoConsensus("no such height", height=height)
        return UnixNanos(int(AnyMessage.FromString(data).value))

    def update(
        self, view: View, client_id: str, message: tuple[str, bytes], now: int, own_height: Height
    ) -> FakeUpdate:
        kind, value = message
        if kind == EVIDENCE_URL:
            return FakeUpdate(set_status(view, client_id, "Frozen"), misbehaviour=True)
        if kind != HEADER_URL:
            raise FakeProofWrong("no header", kind=kind)
        height = Height.parse(value.decode())
        outcome = self._put(view, client_id, height, "Active")
        return FakeUpdate(outcome, (height,))

    def proofs_at(self, view: View, client_id: str, height: Height) -> FakeProofs:
        return FakeProofs(self, view, client_id, height)

    def verify_membership(
        self, view: View, client_id: str, height: Height, proof: bytes, path: tuple[bytes, ...], value: bytes
    ) -> None:
        self._verify(view, client_id, height, proof, path, value)

    def verify_non_membership(
        self, view: View, client_id: str, height: Height, proof: bytes, path: tuple[bytes, ...]
    ) -> None:
        self._verify(view, client_id, height, proof, path, None)

    def recover(self, view: View, subject: str, substitute: str, now: int, own_height: Height) -> Outcome:
        return self._put(view, subject, self.latest_height(view, substitute), "Active")

    def upgrade(
        self,
        view: View,
        client_id: str,
        client_state: bytes,
        consensus_state: bytes,
        proof_client: bytes,
        proof_consensus_state: bytes,
        now: int,
        own_height: Height,
    ) -> Outcome:
        if proof_client != b"upgrade" or proof_consensus_state != b"upgrade":
            raise FakeProofWrong("no upgrade")
        return self.initialise(view, client_id, client_state, consensus_state, now, own_height)

    def _put(self, view: View, client_id: str, height: Height, status: str) -> Outcome:
        assert self.remote is not None
        outcome = Outcome()
        latest = max(height, self.latest_height(view, client_id))
        outcome.set(host.STORE, host.client_state(client_id), client_state(latest, status).SerializeToString())
        time = self.remote.time_at(height)
        outcome.set(host.STORE, host.consensus_state(client_id, height), consensus_state(time).SerializeToString())
        return outcome

    def _verify(
        self, view: View, client_id: str, height: Height, proof: bytes, path: tuple[bytes, ...], value: bytes | None
    ) -> None:
        assert self.remote is not None
        self.verifications += 1
        self.timestamp_at(view, ClientId(client_id), height)
        store, key = path
        found = self.remote.state_at(height).get(store.decode(), {}).get(key)
        if found != value or proof != proof_of(height, path, value):
            raise FakeProofWrong("not so", path=path, value=value)


def client_state(latest: Height, status: str = "Active") -> AnyMessage:
    return AnyMessage(type_url=STATE_URL, value=f"{latest}/{status}".encode())


def consensus_state(time: int) -> AnyMessage:
    return AnyMessage(type_url=CONSENSUS_URL, value=str(time).encode())


def set_status(view: View, client_id: str, status: str) -> Outcome:
    """Writes that give a fake client another status."""
    data = view.get(host.STORE, host.client_state(client_id))
    assert data is not None
    latest, _ = _parse(AnyMessage.FromString(data).value)
    outcome = Outcome()
    outcome.set(host.STORE, host.client_state(client_id), client_state(latest, status).SerializeToString())
    return outcome


def _parse(value: bytes) -> tuple[Height, str]:
    latest, _, status = value.decode().partition("/")
    return Height.parse(latest), status


class Recorder:
    """An application that remembers its calls, writes one key for each, and answers what it is told.

    `answers` maps payload values to a Reception or to an error to raise; the default accepts.
    """

    def __init__(self, name: str = "app") -> None:
        self.name = name
        self.calls: list[tuple[str, int, bytes | None]] = []
        self.answers: dict[bytes, Reception | Exception] = {}
        self.raises: dict[str, Exception] = {}
        self.reenter: Any = None  # called as reenter(step, view, call) from inside each callback

    def on_send(self, view: View, call: Call, /) -> Outcome:
        return self._act("send", view, call)

    def on_receive(self, view: View, call: Call, /) -> Reception:
        written = self._act("receive", view, call)
        answer = self.answers.get(call.payload.value, Accepted(b"ack of " + call.payload.value))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Rejected):
            return answer
        written.then(answer.outcome)
        if isinstance(answer, Deferred):
            return Deferred(written)
        return Accepted(answer.acknowledgement, written)

    def on_acknowledgement(self, view: View, call: Call, acknowledgement: bytes, /) -> Outcome:
        return self._act("acknowledge", view, call, acknowledgement)

    def on_timeout(self, view: View, call: Call, /) -> Outcome:
        return self._act("timeout", view, call)

    def _act(self, step: str, view: View, call: Call, detail: bytes | None = None) -> Outcome:
        self.calls.append((step, call.packet.sequence, detail))
        if self.reenter is not None:
            self.reenter(step, view, call)
        if step in self.raises:
            raise self.raises[step]
        outcome = Outcome()
        key = f"{self.name}/{step}/{call.packet.sequence}/{call.index}".encode()
        count = int.from_bytes(view.get("app", key) or b"", "big") + 1
        outcome.set("app", key, count.to_bytes(2, "big"))
        outcome.emit("app_" + step, ("port", call.payload.source_port))
        return outcome


class ScriptedGate:
    """A gate that passes everything until told otherwise, and remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.send_error: Exception | None = None
        self.admission: Admission | None = None
        self.endings: list[Ending] = []

    def on_send(self, view: View, passage: Passage, /) -> Outcome:
        self.seen.append(("send", passage.packet.sequence))
        if self.send_error is not None:
            raise self.send_error
        return _gate_note("send", passage)

    def on_receive(self, view: View, passage: Passage, /) -> Admission:
        self.seen.append(("receive", passage.packet.sequence))
        return self.admission if self.admission is not None else Passed(_gate_note("receive", passage))

    def on_settled(self, view: View, passage: Passage, ending: Ending, /) -> Outcome:
        self.seen.append(("settled", passage.packet.sequence))
        self.endings.append(ending)
        return _gate_note("settled", passage)


def _gate_note(step: str, passage: Passage) -> Outcome:
    outcome = Outcome()
    outcome.set("guard", f"{step}/{passage.packet.sequence}".encode(), b"\x01")
    return outcome


class LaneTable:
    """Lane terms by client id; foreign unless said otherwise."""

    def __init__(self) -> None:
        self.by_client: dict[str, Terms] = {}

    def terms(self, view: View, client_id: str, /) -> Terms:
        return self.by_client.get(client_id, Terms.FOREIGN)


class OneAuthority:
    def is_authority(self, view: View, account: str, /) -> bool:
        return account == AUTHORITY
