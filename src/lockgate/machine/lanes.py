"""Lanes: explicit records over two domain ids and two client ids (P9).

A lane opens only with proofs, read under a header of the remote ledger that our client has verified:
the remote client state names this chain, the remote counterparty names our client, and a remote
consensus state equals our own header at its height. So a client that follows a fork or a look-alike
of this ledger cannot be one end of a lane.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Protocol

from lockgate.codec import cbor
from lockgate.ibc import sending
from lockgate.ibc.packet import Packet
from lockgate.machine import authority, keys, suites
from lockgate.machine.context import Context, field, only_fields
from lockgate.machine.errors import (
    BadMessage,
    HeaderForgotten,
    LaneExists,
    LaneFull,
    LaneNotAdmitted,
    LaneProof,
    LaneStopped,
    LaneSuspended,
    NoLane,
    NotOptedIn,
)
from lockgate.machine.gas import AUTHORIZATION
from lockgate.machine.genesis import Genesis, LedgerClass, Parameters
from lockgate.machine.records import (
    AUTHORITY,
    DEVIATION,
    EQUIVOCATION,
    LANE_MOVES,
    Lane,
    LaneCaps,
    LaneKind,
    LaneOrder,
    LanePhase,
    OpenSends,
    lane_id,
)
from lockgate.machine.suite_policy import ANY, SuitePolicy
from lockgate.primitives.ids import ClientId, DomainId, Hash32, Height, client_id
from lockgate.primitives.state import Outcome, View, fact
from lockgate.primitives.time import DurationNanos

FOREIGN: Final = "foreign"  # in the place of a class: what its signers are, nobody here can say
FOREIGN_LABEL: Final = "lockgate/foreign-domain/1"
MAX_NOTE: Final = 256  # bytes of a stop reason; it is read by people


class RemoteState(Protocol):
    """What opening a lane needs of a light client and of the wire forms it proves."""

    def remote_counterparty(self, view: View, client: ClientId) -> ClientId: ...

    def verify(
        self, view: View, client: ClientId, height: Height, proof: bytes, store: str, key: bytes, value: bytes
    ) -> None: ...

    def check_client_state(self, value: bytes, client: ClientId, context: Context) -> Height: ...

    def consensus_state(self, header: Any, client: ClientId) -> bytes: ...

    def bears_value(self, view: View, client: ClientId) -> bool: ...

    def followed_chain(self, view: View, client: ClientId) -> str: ...


def parameters_value(genesis: Genesis) -> bytes:
    """The value under `rules/domain`: what a remote ledger proves to learn whom it talks to."""
    return cbor.encode([genesis.domain_id, genesis.chain_id, genesis.ledger_class.value])


def open_lane(view: View, context: Context, message: Mapping[str, Any], remote: RemoteState) -> Outcome:
    """Open a lane over `local_client` after checking the four proofs. Raises LaneProof on any mismatch."""
    only_fields(
        message, "local_client", "remote_client", "remote_genesis", "height", "grace",
        "client_state", "client_state_proof", "counterparty_proof", "consensus_height",
        "consensus_proof", "domain_proof", "operated", "max_packets", "max_bytes", "value_cap", "order", "suites",
        AUTHORIZATION,
    )  # fmt: skip
    parameters = context.parameters
    outcome = admitted(view, context, message, "lane.open")
    local, far = _clients(view, message, remote)
    height = Height.parse(field(message, "height", str))
    remote_genesis = Genesis.from_bytes(field(message, "remote_genesis", bytes))
    if remote_genesis.ledger_class is not LedgerClass.BFT and not _opted_in(message):
        raise NotOptedIn("say so with operated: true", remote=remote_genesis.chain_id)
    caps, order, policy = _caps(parameters, message), _order(message), _policy(message)
    if caps.value and not remote.bears_value(view, local):
        raise LaneProof("value crosses only where forging takes more than 2/3 of the signers", client=local)

    prove_facing(view, context, message, remote, (local, far))
    domain = parameters_value(remote_genesis)
    remote.verify(view, local, height, field(message, "domain_proof", bytes), keys.RULES, keys.RULES_DOMAIN, domain)
    grace = field(message, "grace", int) if "grace" in message else parameters.default_grace_ns
    if not 0 < grace <= parameters.max_grace_ns:
        raise LaneProof("the grace is outside the ledger's bounds", grace=grace)
    record = Lane(
        lane_id((context.domain, local), (remote_genesis.domain_id, far)),
        LaneKind.OWN,
        LanePhase.OPEN,
        context.domain,
        remote_genesis.domain_id,
        local,
        far,
        remote_genesis.ledger_class.value,
        DurationNanos(grace),
        context.block.height.height,
        "",
        "",
        sending.next_sequence(view, local),
        caps,
        order,
    )
    outcome.then(recorded(record))
    policy = policy.bearing_value() if caps.value else policy
    if policy != ANY:
        outcome.then(suites.set_policy(record, policy))
    return outcome


def open_foreign(view: View, context: Context, message: Mapping[str, Any], remote: RemoteState) -> Outcome:
    """Open a lane to a ledger that knows nothing of ours, on all of `open_lane`'s proofs but the one of its rules.

    What it is called is all there is to name it by, so its domain id is made of its chain id: a name for people
    and tables, to which nothing is sealed. Raises LaneProof on any mismatch. [P9]
    """
    only_fields(
        message, "local_client", "remote_client", "height", "client_state", "client_state_proof",
        "counterparty_proof", "consensus_height", "consensus_proof", "max_packets", "max_bytes", AUTHORIZATION,
    )  # fmt: skip
    outcome = admitted(view, context, message, "lane.foreign")
    local, far = _clients(view, message, remote)
    caps = _caps(context.parameters, message)
    prove_facing(view, context, message, remote, (local, far))
    domain = foreign_domain(remote.followed_chain(view, local))
    record = Lane(
        lane_id((context.domain, local), (domain, far)),
        LaneKind.FOREIGN,
        LanePhase.OPEN,
        context.domain,
        domain,
        local,
        far,
        FOREIGN,
        DurationNanos(0),
        context.block.height.height,
        "",
        "",
        sending.next_sequence(view, local),
        caps,
        LaneOrder.UNORDERED,
    )
    outcome.then(recorded(record))
    return outcome


def foreign_domain(chain_id: str) -> DomainId:
    """The synthetic domain id of a ledger that has no genesis document of ours."""
    return DomainId(Hash32(hashlib.sha256(cbor.encode([FOREIGN_LABEL, chain_id])).digest()))


def admitted(view: View, context: Context, message: Mapping[str, Any], name: str) -> Outcome:
    """Whether whoever asks may open a lane. Raises LaneNotAdmitted, or why the authorization does not hold."""
    if AUTHORIZATION in message:
        return authority.require(view, context, name, message)[1]
    if not context.parameters.lane_admission_open:
        raise LaneNotAdmitted("no authority authorized it", signer=context.signer)
    return Outcome()


def prove_facing(
    view: View, context: Context, message: Mapping[str, Any], remote: RemoteState, ends: tuple[ClientId, ClientId]
) -> None:
    """Check that the remote client follows this very ledger and names our client. Raises LaneProof."""
    local, far = ends
    height = Height.parse(field(message, "height", str))

    def proven(name: str, key: bytes, value: bytes) -> None:
        remote.verify(view, local, height, field(message, name, bytes), keys.IBC, key, value)

    prefix = b"clients/" + far.encode() + b"/"
    client_state = field(message, "client_state", bytes)
    proven("client_state_proof", prefix + b"clientState", client_state)
    remote.check_client_state(client_state, far, context)
    proven("counterparty_proof", prefix + b"counterparty", counterparty_value(local))
    at = Height.parse(field(message, "consensus_height", str))
    memory = context.parameters.header_memory
    if at.height + memory < context.block.height.height:
        raise HeaderForgotten("the remote client's newest state is older", height=at, memory=memory)
    own = context.headers.own_header(at.height)
    if at.revision != context.block.height.revision or own is None:
        raise LaneProof("this ledger has no header of that height in memory", height=at)
    proven("consensus_proof", prefix + b"consensusStates/" + str(at).encode(), remote.consensus_state(own, far))


def recorded(record: Lane) -> Outcome:
    """Write a lane that was found good."""
    outcome = Outcome()
    outcome.set(keys.LANE, keys.lane(record.lane_id), record.to_bytes())
    outcome.set(keys.LANE, keys.lane_of_client(record.local_client), record.lane_id)
    outcome.emit(
        "lane_open",
        ("lane", record.lane_id.hex()),
        ("client", record.local_client),
        ("remote_client", record.remote_client),
        ("remote_domain", record.remote_domain.hex()),
        ("remote_class", record.remote_class),
    )
    return outcome


def _clients(view: View, message: Mapping[str, Any], remote: RemoteState) -> tuple[ClientId, ClientId]:
    """Our client and the remote one, which name each other here; neither carries a lane yet."""
    local = client_id(field(message, "local_client", str))
    far = client_id(field(message, "remote_client", str))
    if view.get(keys.LANE, keys.lane_of_client(local)) is not None:
        raise LaneExists("the client carries a lane already", client=local)
    if remote.remote_counterparty(view, local) != far:
        raise LaneProof("our counterparty record names another client", client=local)
    return local, far


def _opted_in(message: Mapping[str, Any]) -> bool:
    return "operated" in message and bool(field(message, "operated", bool))


def _order(message: Mapping[str, Any]) -> LaneOrder:
    number = field(message, "order", int) if "order" in message else LaneOrder.UNORDERED
    if number not in set(LaneOrder):
        raise BadMessage("an order is 0 (none), 1 (ordered) or 2 (with gaps)", field="order")
    return LaneOrder(number)


def _policy(message: Mapping[str, Any]) -> SuitePolicy:
    """What the lane asks of the suites under it (S66): nothing beyond the tables without a word of the opener's."""
    return SuitePolicy.read(field(message, "suites", dict)) if "suites" in message else ANY


def _caps(parameters: Parameters, message: Mapping[str, Any]) -> LaneCaps:
    """The caps the opener chose, none above the ledger's own; without a choice no value may cross (P10)."""
    packets = field(message, "max_packets", int) if "max_packets" in message else parameters.lane_max_packets
    size = field(message, "max_bytes", int) if "max_bytes" in message else parameters.lane_max_bytes
    value = field(message, "value_cap", int) if "value_cap" in message else 0
    if not 1 <= packets <= parameters.lane_max_packets or not 1 <= size <= parameters.lane_max_bytes:
        raise BadMessage("a cap is outside the ledger's bounds", field="max_packets")
    if not 0 <= value < 1 << 63:
        raise BadMessage("the value cap is out of range", field="value_cap")
    return LaneCaps(packets, size, value)


def opened(view: View, lane: Lane, packet: Packet) -> Outcome:
    """Count a packet that is being sent against the lane's caps. Raises LaneFull."""
    now = open_sends(view, lane.local_client)
    after = OpenSends(now.packets + 1, now.payload_bytes + packet_bytes(packet))
    if after.packets > lane.caps.packets or after.payload_bytes > lane.caps.payload_bytes:
        raise LaneFull("the lane's cap is reached", open_packets=now.packets, open_bytes=now.payload_bytes)
    outcome = Outcome()
    outcome.set(keys.LANE, keys.lane_sends(lane.local_client), after.to_bytes())
    return outcome


def ended(view: View, lane: Lane, packet: Packet) -> Outcome:
    """Give the room of a packet back, however it ended."""
    outcome = Outcome()
    if packet.sequence >= lane.first_sequence:
        now = open_sends(view, lane.local_client)
        after = OpenSends(now.packets - 1, now.payload_bytes - packet_bytes(packet))
        outcome.set(keys.LANE, keys.lane_sends(lane.local_client), after.to_bytes())
    return outcome


def open_sends(view: View, client: str) -> OpenSends:
    data = view.get(keys.LANE, keys.lane_sends(client))
    return OpenSends(0, 0) if data is None else OpenSends.from_bytes(data)


def packet_bytes(packet: Packet) -> int:
    """What a packet counts against a lane's cap: the bytes of its payloads' values."""
    return sum(len(payload.value) for payload in packet.payloads)


def counterparty_value(our_client: ClientId) -> bytes:
    """The CounterpartyInfo the remote ledger must hold: prefix ["ibc", ""] and our client id.

    Source: ibc.core.client.v2.CounterpartyInfo {1 merkle_prefix, 2 client_id}.
    """
    name = our_client.encode()
    return b"\x0a\x03ibc\x0a\x00\x12" + bytes((len(name),)) + name


def lane_of(view: View, client: str) -> Lane | None:
    """The lane over a local client, whatever its phase."""
    return fact(view, _lane_of, client)


def _lane_of(view: View, client: str) -> Lane | None:
    name = view.get(keys.LANE, keys.lane_of_client(client))
    if name is None:
        return None
    data = view.get(keys.LANE, keys.lane(name))
    return None if data is None else _decoded(data)


def every(view: View) -> list[Lane]:
    """Every lane of the ledger. A scan: for queries and rare checks."""
    return [Lane.from_bytes(value) for _, value in view.scan(keys.LANE, b"lane/", b"lane0")]


def clients(view: View) -> list[ClientId]:
    """Every client that a lane rests on. A scan, as `every`."""
    return [ClientId(key[7:].decode()) for key, _ in view.scan(keys.LANE, b"client/", b"client0")]


@lru_cache(256)
def _decoded(data: bytes) -> Lane:
    # Every packet reads its lane; the same bytes are the same lane.
    return Lane.from_bytes(data)


def named(view: View, name: bytes) -> Lane:
    """A lane by its id. Raises NoLane."""
    data = view.get(keys.LANE, keys.lane(name))
    if data is None:
        raise NoLane("no such lane", lane=name)
    return Lane.from_bytes(data)


def check_open(lane: Lane) -> None:
    """Refuse a lane that carries nothing now. Raises LaneSuspended or LaneStopped."""
    if lane.equivocated:
        raise suspended(lane, "two histories", "the authority: packet.settle")
    if lane.phase is not LanePhase.OPEN:
        raise LaneStopped("the lane is not open", lane=lane.lane_id, phase=lane.phase.name.lower(), note=lane.note)


def suspended(lane: Lane, reason: str, who: str) -> LaneSuspended:
    """Say that a lane's packets wait, for what, and for whom (P14)."""
    return LaneSuspended("packets wait", lane=lane.lane_id, reason=reason, who=who)


def move(view: View, name: bytes, verb: str, note: str) -> Outcome:
    """Stop, resume or close a lane by the table of legal moves."""
    lane = named(view, name)
    phase = LANE_MOVES.get((lane.phase, verb))
    if phase is None:
        raise LaneStopped("the lane cannot do this now", lane=name, phase=lane.phase.name.lower(), verb=verb)
    kept = note.encode()[:MAX_NOTE].decode(errors="ignore")
    if phase is LanePhase.OPEN:
        moved = dataclasses.replace(lane, phase=phase, cause="", note="")
    else:
        cause = verb if verb in (DEVIATION, EQUIVOCATION) else AUTHORITY
        moved = dataclasses.replace(lane, phase=phase, cause=cause, note=kept)
    outcome = Outcome()
    outcome.set(keys.LANE, keys.lane(lane.lane_id), moved.to_bytes())
    attributes = (("lane", lane.lane_id.hex()), ("cause", moved.cause), ("note", kept))
    outcome.emit("lane_" + phase.name.lower(), *attributes)
    return outcome


def closed_by_equivocation(view: View, client: str, note: str) -> Outcome:
    """Close the lane over a client whose ledger signed two histories. Nothing where no lane can move (P14)."""
    lane = lane_of(view, client)
    if lane is None or (lane.phase, EQUIVOCATION) not in LANE_MOVES:
        return Outcome()
    return move(view, lane.lane_id, EQUIVOCATION, note)


__all__ = (
    "RemoteState",
    "check_open",
    "clients",
    "closed_by_equivocation",
    "counterparty_value",
    "ended",
    "every",
    "foreign_domain",
    "lane_of",
    "move",
    "named",
    "open_foreign",
    "open_lane",
    "open_sends",
    "opened",
    "packet_bytes",
    "parameters_value",
    "suspended",
)
