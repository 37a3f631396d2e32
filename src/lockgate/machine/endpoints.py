"""Endpoints on a ledger: registration, key rotation, revocation, fences, grants (P5, P8, P15)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from lockgate.machine import keys, suites
from lockgate.machine.context import Context, field, only_fields
from lockgate.machine.errors import (
    BadKeyRecord,
    BadMessage,
    EndpointExists,
    EndpointRevoked,
    NotTheEndpoint,
    StaleFence,
    UnknownEndpoint,
)
from lockgate.machine.identity import KeyRecord, SignedRecord, verify_next
from lockgate.machine.records import EndpointState, Grant
from lockgate.primitives.ids import EndpointId, Height
from lockgate.primitives.state import Outcome, View

ENDPOINT_PORT: Final = 64  # characters of a port that is an endpoint id
EMPTY_ROOT: Final = b"\x00" * 32  # the root before an endpoint's first Answer or Advance


def load(view: View, endpoint: bytes) -> EndpointState:
    """Current state of a registered endpoint; raises UnknownEndpoint."""
    data = view.get(keys.ENDPOINT, keys.endpoint_state(endpoint))
    if data is None:
        raise UnknownEndpoint("not registered", endpoint=endpoint)
    return EndpointState.from_bytes(data)


def current_record(view: View, endpoint: bytes, state: EndpointState) -> KeyRecord:
    """The key record that an endpoint's state names."""
    stored = view.get(keys.ENDPOINT, keys.key_record(endpoint, state.record_index))
    assert stored is not None, "an endpoint's current record is always stored"
    return KeyRecord.from_body(SignedRecord.from_bytes(stored).body)


def acting(view: View, context: Context, endpoint: bytes) -> EndpointState:
    """State of an endpoint for which the signer may act: registered, not revoked, account listed."""
    state = load(view, endpoint)
    if state.revoked_at:
        raise EndpointRevoked("revoked", endpoint=endpoint, height=state.revoked_at)
    if context.signer not in state.accounts:
        raise NotTheEndpoint("account not in the key record", endpoint=endpoint, signer=context.signer)
    return state


def register(view: View, context: Context, message: Mapping[str, Any]) -> Outcome:
    """Put an inception record on the ledger. Anyone may bring it: the record certifies itself."""
    only_fields(message, "record")
    signed = SignedRecord.from_bytes(field(message, "record", bytes))
    record = verify_next(None, signed)
    endpoint = record.endpoint_id
    if view.get(keys.ENDPOINT, keys.endpoint_state(endpoint)) is not None:
        raise EndpointExists("registered already", endpoint=endpoint)
    suites.check_record(view, context, record)
    state = EndpointState(0, record.hash, 0, EMPTY_ROOT, 0, record.accounts)
    return _store(endpoint, record, signed, state, "endpoint_registered")


def rotate(view: View, context: Context, message: Mapping[str, Any]) -> Outcome:
    """Make the next key record current. It is signed by the previous keys and opens their commitment."""
    only_fields(message, "record")
    signed = SignedRecord.from_bytes(field(message, "record", bytes))
    claimed = KeyRecord.from_body(signed.body)
    state = load(view, claimed.endpoint_id)
    if state.revoked_at:
        raise EndpointRevoked("revoked", endpoint=claimed.endpoint_id, height=state.revoked_at)
    record = verify_next(current_record(view, claimed.endpoint_id, state), signed)
    suites.check_record(view, context, record)
    moved = dataclasses.replace(state, record_index=record.index, record_hash=record.hash, accounts=record.accounts)
    return _store(record.endpoint_id, record, signed, moved, "endpoint_rotated")


def fence(view: View, context: Context, message: Mapping[str, Any]) -> Outcome:
    """Take the endpoint's next fencing number: from here on only this start of its host acts (P8)."""
    only_fields(message, "endpoint", "fence")
    endpoint = field(message, "endpoint", bytes, size=32)
    wanted = field(message, "fence", int)
    state = acting(view, context, endpoint)
    if wanted != state.fence + 1:
        raise StaleFence("not the next fencing number", wanted=wanted, newest=state.fence)
    outcome = Outcome()
    outcome.set(keys.ENDPOINT, keys.endpoint_state(endpoint), dataclasses.replace(state, fence=wanted).to_bytes())
    outcome.emit("endpoint_fenced", ("endpoint", endpoint.hex()), ("fence", str(wanted)))
    return outcome


def grant(view: View, context: Context, message: Mapping[str, Any]) -> Outcome:
    """Let one remote endpoint use this endpoint's inbox over one lane (P15), with keys that the lane allows (S66)."""
    only_fields(message, "endpoint", "lane", "remote", "most_open")
    endpoint = field(message, "endpoint", bytes, size=32)
    lane_id = field(message, "lane", bytes, size=32)
    remote = field(message, "remote", bytes, size=32)
    most = field(message, "most_open", int)
    state = acting(view, context, endpoint)
    if view.get(keys.LANE, keys.lane(lane_id)) is None:
        raise BadMessage("a grant names an open lane of this ledger", field="lane")
    suites.check_record(view, context, current_record(view, endpoint, state), suites.policy_of(view, lane_id))
    if not 1 <= most <= context.parameters.inbox_per_grant:
        raise BadMessage("the grant's bound is outside the ledger's", field="most_open")
    key = keys.grant(endpoint, lane_id, remote)
    outcome = Outcome()
    if view.get(keys.ENDPOINT, key) is None:
        held = _grants(view, endpoint)
        if held >= context.parameters.max_grants_per_endpoint:
            raise BadMessage("the endpoint holds the most grants it may", field="endpoint")
        outcome.set(keys.ENDPOINT, keys.grant_count(endpoint), keys.u64(held + 1))
    outcome.set(keys.ENDPOINT, key, Grant(most).to_bytes())
    outcome.emit(
        "grant_written",
        ("endpoint", endpoint.hex()),
        ("lane", lane_id.hex()),
        ("remote", remote.hex()),
        ("most_open", str(most)),
    )
    return outcome


def ungrant(view: View, context: Context, message: Mapping[str, Any]) -> Outcome:
    """Withdraw a grant. Entries that wait already are still answered."""
    only_fields(message, "endpoint", "lane", "remote")
    endpoint = field(message, "endpoint", bytes, size=32)
    acting(view, context, endpoint)
    key = keys.grant(endpoint, field(message, "lane", bytes, size=32), field(message, "remote", bytes, size=32))
    if view.get(keys.ENDPOINT, key) is None:
        raise BadMessage("no such grant", field="remote")
    outcome = Outcome()
    outcome.delete(keys.ENDPOINT, key)
    outcome.set(keys.ENDPOINT, keys.grant_count(endpoint), keys.u64(_grants(view, endpoint) - 1))
    outcome.emit("grant_withdrawn", ("endpoint", endpoint.hex()))
    return outcome


def _grants(view: View, endpoint: bytes) -> int:
    # A number of its own: to count the grants themselves would take a thousand reads for each message.
    return int.from_bytes(view.get(keys.ENDPOINT, keys.grant_count(endpoint)) or b"", "big")


def revoke(view: View, height: Height, endpoint: bytes) -> Outcome:
    """Revoke an endpoint for good, from this height on. Announced by the authority (P5, P16)."""
    state = load(view, endpoint)
    if state.revoked_at:
        raise EndpointRevoked("revoked already", endpoint=endpoint, height=state.revoked_at)
    gone = dataclasses.replace(state, revoked_at=height.height)
    outcome = Outcome()
    outcome.set(keys.ENDPOINT, keys.endpoint_state(endpoint), gone.to_bytes())
    outcome.emit("endpoint_revoked", ("endpoint", endpoint.hex()))
    return outcome


def endpoint_of_port(port: str) -> EndpointId | None:
    """The endpoint a port names: 64 lower-case hex characters; None for any other port (I7)."""
    if len(port) != ENDPOINT_PORT or not port.isascii() or port != port.lower():
        return None
    try:
        return EndpointId(bytes.fromhex(port))  # type: ignore[arg-type]  # Hash32 of 32 bytes by length
    except ValueError:
        return None


def _store(endpoint: EndpointId, record: KeyRecord, signed: SignedRecord, state: EndpointState, event: str) -> Outcome:
    if record.endpoint_id != endpoint:
        raise BadKeyRecord("record of another endpoint", endpoint=endpoint)
    outcome = Outcome()
    outcome.set(keys.ENDPOINT, keys.key_record(endpoint, record.index), signed.to_bytes())
    outcome.set(keys.ENDPOINT, keys.endpoint_state(endpoint), state.to_bytes())
    outcome.emit(event, ("endpoint", endpoint.hex()), ("index", str(record.index)))
    return outcome
