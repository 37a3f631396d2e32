"""Replays `ibc-v2/{tendermint-client,stargaze-mainnet}` through the 07-tendermint client module."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from hashlib import sha256
from typing import Any

from google.protobuf.message import DecodeError

from lockgate.codec.type_urls import (
    TENDERMINT_CLIENT_STATE,
    TENDERMINT_CONSENSUS_STATE,
    TENDERMINT_HEADER,
)
from lockgate.codec.wire import ibc_client_pb2
from lockgate.lightclients.cometbft.rfc3339 import parse_time
from lockgate.lightclients.tendermint import (
    ConsensusState,
    TendermintClient,
    decode_client_state,
    decode_consensus_state,
    decode_header,
    encode_client_state,
    encode_consensus_state,
)
from lockgate.lightclients.tendermint.states import wrap_any
from lockgate.primitives.errors import LockgateError
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos
from tests.support.memory_view import MemoryView
from tests.vectors.sets import Tally, vector_set

TOPIC = "ibc-v2"
CLIENT = ClientId("07-tendermint-0")
OWN = Height(1, 100)


def created(case: Any, now: UnixNanos, at: int | None = None) -> tuple[TendermintClient, MemoryView, Height]:
    """Return a client that holds the case's one consensus state, at `at` or its client state's height."""
    client_state = wrap_any(TENDERMINT_CLIENT_STATE, bytes.fromhex(case["client_state_hex"]))
    if at is not None:
        state = decode_client_state(client_state)
        moved = replace(state, latest_height=Height(state.latest_height.revision, at))
        client_state = encode_client_state(moved)
    consensus = wrap_any(TENDERMINT_CONSENSUS_STATE, bytes.fromhex(case["consensus_state_hex"]))
    module, view = TendermintClient(), MemoryView()
    view.apply(module.initialise(view, CLIENT, client_state, consensus, now, OWN))
    assert view.get("ibc", b"clients/07-tendermint-0/clientState") == client_state
    latest = module.latest_height(view, CLIENT)
    assert view.get("ibc", f"clients/07-tendermint-0/consensusStates/{latest}".encode()) == consensus
    return module, view, latest


def update_accepted(case: Any) -> bool:
    """Create the client, update it, and check what it stored; False when anything was refused.

    The case's consensus state stands at its `trusted_height`, whatever the header itself names.
    """
    now = parse_time(case["metadata"]["generated_at"])
    message = case["update_client_message"]
    raw = bytes.fromhex(message["client_message_hex"])
    try:
        module, view, _ = created(case, now, message["trusted_height"])
        update = module.update(view, CLIENT, (message["type_url"], raw), now, OWN)
    except LockgateError:
        return False
    view.apply(update.outcome)
    header = decode_header(raw)
    assert not update.misbehaviour
    assert update.consensus_heights == (header.height,)
    assert module.latest_height(view, CLIENT) == header.height
    assert header.height.height == message["new_height"]
    return module.status(view, CLIENT, now) == "Active"


def proof_accepted(case: Any) -> bool:
    message = case["membership_msg"]
    path = tuple(part.encode("latin-1") for part in message["path"])
    proof, value = bytes.fromhex(message["proof"]), bytes.fromhex(message["value"])
    module, view, latest = created(case, parse_time(case["metadata"]["generated_at"]))
    try:
        if value:
            module.verify_membership(view, CLIENT, latest, proof, path, value)
        else:
            module.verify_non_membership(view, CLIENT, latest, proof, path)
    except LockgateError:
        return False
    return True


def value_belongs(case: Any) -> bool:
    """Check that the proven value is what this side would store: a client state, or a commitment."""
    value = bytes.fromhex(case["membership_msg"]["value"])
    if case["membership_msg"]["path"][-1].endswith("/clientState") and value:
        return encode_client_state(decode_client_state(value)) == value
    if "packet" not in case or not value:
        return True
    packet = case["packet"]
    if case["membership_msg"]["path"][-1][-9] == "\x03":
        return sha256(b"\x02" + sha256(b64decode(packet["acknowledgement"])).digest()).digest() == value
    payloads = b"".join(
        sha256(
            b"".join(
                sha256(field).digest()
                for field in (
                    *(payload[name].encode() for name in ("source_port", "dest_port", "version", "encoding")),
                    b64decode(payload["value"]),
                )
            )
        ).digest()
        for payload in packet["payloads"]
    )
    timeout = packet["timeout_timestamp"].to_bytes(8, "big")
    parts = (packet["dest_client"].encode(), timeout, payloads)
    return sha256(b"\x02" + b"".join(sha256(part).digest() for part in parts)).digest() == value


def test_tendermint_client() -> None:
    tally = Tally(TOPIC, "tendermint-client")
    for path in sorted(vector_set(TOPIC, "tendermint-client").glob("*.json")):
        case = json.loads(path.read_text())
        if "update_client_message" in case:
            # The set states the expected outcome as the scenario's name, and nowhere else.
            expected = case["metadata"]["description"].endswith("happy_path")
            tally.check(update_accepted(case) == expected, path.name)
        else:
            expected = not path.stem.endswith("rootmismatch")
            tally.check(proof_accepted(case) == expected and value_belongs(case), path.name)
    tally.close()


def read_messages(name: str) -> tuple[list[Any], list[Any]]:
    """Sort a folder of base64 messages into creations and updates: only a creation holds two Anys."""
    creations, updates = [], []
    for path in sorted(vector_set(TOPIC, name).glob("*.msg")):
        raw = b64decode(path.read_text())
        try:
            creation = ibc_client_pb2.MsgCreateClient.FromString(raw)
        except DecodeError:
            creation = ibc_client_pb2.MsgCreateClient()
        if creation.client_state.type_url == TENDERMINT_CLIENT_STATE:
            creations.append((path.name, creation))
        else:
            updates.append((path.name, ibc_client_pb2.MsgUpdateClient.FromString(raw)))
    updates.sort(key=lambda update: decode_header(update[1].client_message.value).height)
    return creations, updates


def test_stargaze_mainnet() -> None:
    """Update 1 verifies from the created state, update 2 from what update 1 left."""
    tally = Tally(TOPIC, "stargaze-mainnet")
    creations, updates = read_messages("stargaze-mainnet")
    (_, creation) = creations[0]
    client_state = creation.client_state.SerializeToString(deterministic=True)
    consensus = creation.consensus_state.SerializeToString(deterministic=True)
    module, view = TendermintClient(), MemoryView()
    now = UnixNanos(decode_consensus_state(consensus).timestamp + 1)
    view.apply(module.initialise(view, CLIENT, client_state, consensus, now, OWN))
    same = encode_client_state(decode_client_state(client_state)) == client_state
    same &= encode_consensus_state(decode_consensus_state(consensus)) == consensus
    tally.check(same and module.status(view, CLIENT, now) == "Active", creations[0][0])
    for name, update in updates:
        header = decode_header(update.client_message.value)
        now = UnixNanos(header.block.header.time + 1)
        message = (update.client_message.type_url, update.client_message.value)
        assert message[0] == TENDERMINT_HEADER
        result = module.update(view, CLIENT, message, now, OWN)
        view.apply(result.outcome)
        stored = view.get("ibc", f"clients/07-tendermint-0/consensusStates/{header.height}".encode())
        chain = header.block.header
        expected = ConsensusState(chain.time, chain.app_hash, chain.next_validators_hash)
        tally.check(stored == encode_consensus_state(expected) and not result.misbehaviour, name)
    tally.close()
