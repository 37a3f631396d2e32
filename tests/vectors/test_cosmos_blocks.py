"""Real node answers (`data/cosmos-blocks`): blocks cut and hashed again, a client's real life replayed.

The folder is input without expected results; what is checked is what the data says of itself: a
header names the hashes of what stands beside it, a commit signs it, a proof leads to its root.
"""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from lockgate.codec.type_urls import TENDERMINT_CLIENT_STATE, TENDERMINT_HEADER
from lockgate.codec.wire import ibc_tendermint_pb2
from lockgate.lightclients.cometbft import hashing, rpc_json
from lockgate.lightclients.cometbft.commit import check_commit_light
from lockgate.lightclients.cometbft.hashing import TxResult
from lockgate.lightclients.cometbft.rfc3339 import format_time, parse_time
from lockgate.lightclients.cometbft.soundness import sound_block
from lockgate.lightclients.cometbft.types import Commit, Validator, ValidatorSet
from lockgate.lightclients.tendermint import ConsensusState, TendermintClient, decode_header
from lockgate.lightclients.tendermint.states import encode_consensus_state, wrap_any
from lockgate.merkle.errors import ProofMismatch
from lockgate.primitives.ids import ClientId, Height
from lockgate.primitives.time import UnixNanos
from tests.support.memory_view import MemoryView
from tests.vectors.sets import data_root

CLIENT = ClientId("07-tendermint-0")
OWN = Height(0, 1)


def answers() -> list[Any]:
    """Return every JSON document of the folder; an RPC answer's result, else the document itself."""
    folder = data_root() / "cosmos-blocks"
    if not folder.is_dir():
        pytest.skip(f"recorded data cosmos-blocks is not at {data_root()}; set LOCKGATE_DATA")
    documents = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return [one["result"] if isinstance(one, dict) and "result" in one else one for one in documents]


def with_keys(*names: str) -> list[Any]:
    found = [answer for answer in answers() if isinstance(answer, dict) and set(names) <= set(answer)]
    assert found, names
    return found


def test_blocks_hash_to_what_their_headers_say() -> None:
    blocks = [(answer["block"], answer["block_id"]) for answer in with_keys("block", "block_id")]
    blocks += [(answer, None) for answer in with_keys("header", "data", "last_commit")]
    for block, block_id in blocks:
        header = rpc_json.header_from_json(block["header"])
        txs = rpc_json.txs_from_json(block["data"])
        last_commit = rpc_json.commit_from_json(block["last_commit"])
        assert hashing.data_hash(txs) == header.data_hash
        assert hashing.commit_hash(last_commit) == header.last_commit_hash
        assert hashing.evidence_hash() == header.evidence_hash
        assert last_commit.block_id == header.last_block_id
        assert rpc_json.block_to_json(header, txs, last_commit) == block
        if block_id is not None:
            assert hashing.block_id(header, txs, last_commit) == rpc_json.block_id_from_json(block_id)


def test_first_block_carries_the_empty_commit() -> None:
    """Only the first block can be rebuilt from its header: it has no votes, and here no transactions."""
    for answer in with_keys("block_metas"):
        for meta in answer["block_metas"]:
            header = rpc_json.header_from_json(meta["header"])
            block_id = rpc_json.block_id_from_json(meta["block_id"])
            assert hashing.header_hash(header) == block_id.hash
            if header.height == 1 and meta["num_txs"] == "0":
                assert hashing.block_id(header, (), Commit()) == block_id


def test_commit_is_signed_by_the_chain_s_validator() -> None:
    (status,) = with_keys("validator_info")
    info = status["validator_info"]
    validator = rpc_json.validator_from_json(info)
    validators = ValidatorSet.of((validator,))
    for answer in with_keys("signed_header"):
        block = sound_block(rpc_json.signed_header_from_json(answer["signed_header"]), validators)
        check_commit_light(block.header.chain_id, validators, block.commit)
        assert block.validators.validators == (Validator.from_key(validator.public_key, 100_000),)


def test_consensus_parameters_hash_to_the_header_s() -> None:
    (parameters,) = with_keys("consensus_params")
    limits = parameters["consensus_params"]["block"]
    computed = hashing.consensus_hash(int(limits["max_bytes"]), int(limits["max_gas"]))
    for answer in with_keys("block", "block_id"):
        assert rpc_json.header_from_json(answer["block"]["header"]).consensus_hash == computed


def test_times_are_written_as_they_were_read() -> None:
    times = [answer["genesis"]["genesis_time"] for answer in with_keys("genesis")]
    times += [
        answer["sync_info"][name]
        for answer in with_keys("sync_info")
        for name in ("earliest_block_time", "latest_block_time")
    ]
    assert [format_time(parse_time(text)) for text in times] == times


def test_block_results_reduce_to_what_is_hashed() -> None:
    """No header beside these answers names their root; the reduction must at least take real ones."""
    for answer in with_keys("txs_results", "height"):
        results = [
            TxResult(
                code=result["code"],
                data=b64decode(result["data"] or ""),
                gas_wanted=int(result["gas_wanted"]),
                gas_used=int(result["gas_used"]),
            )
            for result in answer["txs_results"]
        ]
        assert len(hashing.results_hash(results)) == 32
        assert hashing.results_hash(results) != hashing.results_hash([*results, TxResult()])


def sample_messages() -> list[Any]:
    lists = [answer for answer in answers() if isinstance(answer, list)]
    return [message for row in lists[0] for message in json.loads(row["tx"])["body"]["messages"]]


def without_types(value: Any) -> Any:
    """Drop `@type` of protobuf JSON, which names packages ours do not share (I12)."""
    if isinstance(value, dict):
        return {name: without_types(inner) for name, inner in value.items() if name != "@type"}
    return [without_types(item) for item in value] if isinstance(value, list) else value


def sequence_path(kind: str, port: str, channel: str, sequence: str) -> tuple[bytes, bytes]:
    return b"ibc", f"{kind}/ports/{port}/channels/{channel}/sequences/{sequence}".encode()


def packet_v1_commitment(packet: Any) -> bytes:
    """IBC v1: SHA-256 of timeout time, timeout height, SHA-256 of the data. Source: ICS-04 v1."""
    numbers = (
        packet["timeout_timestamp"],
        packet["timeout_height"]["revision_number"],
        packet["timeout_height"]["revision_height"],
    )
    timeout = b"".join(int(number).to_bytes(8, "big") for number in numbers)
    return sha256(timeout + sha256(b64decode(packet["data"])).digest()).digest()


def proof_height(message: Any) -> Height:
    height = message["proof_height"]
    return Height(int(height["revision_number"]), int(height["revision_height"]))


def verify_packet_message(module: TendermintClient, view: MemoryView, message: Any) -> bool:
    """Verify the proof of a packet message against the client; False when it is not a packet message."""
    kind = message["@type"].rsplit(".", 1)[-1]
    packet = message.get("packet")
    if kind == "MsgRecvPacket":
        path = sequence_path("commitments", packet["source_port"], packet["source_channel"], packet["sequence"])
        proof, value = b64decode(message["proof_commitment"]), packet_v1_commitment(packet)
    elif kind == "MsgAcknowledgement":
        path = sequence_path("acks", packet["destination_port"], packet["destination_channel"], packet["sequence"])
        proof = b64decode(message["proof_acked"])
        value = sha256(b64decode(message["acknowledgement"])).digest()
    elif kind == "MsgTimeout":
        path = sequence_path("receipts", packet["destination_port"], packet["destination_channel"], packet["sequence"])
        proof = b64decode(message["proof_unreceived"])
        module.verify_non_membership(view, CLIENT, proof_height(message), proof, path)
        return True
    else:
        return False
    module.verify_membership(view, CLIENT, proof_height(message), proof, path, value)
    with pytest.raises(ProofMismatch):
        module.verify_membership(view, CLIENT, proof_height(message), proof, path, sha256(value).digest())
    return True


def test_a_real_client_s_life() -> None:
    """Create, update by every relayed header, verify every relayed packet proof: all as it happened."""
    module, view = TendermintClient(), MemoryView()
    now, updates, packets = UnixNanos(0), 0, 0
    for message in sample_messages():
        kind = message["@type"].rsplit(".", 1)[-1]
        if kind == "MsgCreateClient":
            state = ParseDict(without_types(message["client_state"]), ibc_tendermint_pb2.ClientState())
            consensus = message["consensus_state"]
            now = UnixNanos(parse_time(consensus["timestamp"]) + 1)
            first = ConsensusState(
                parse_time(consensus["timestamp"]),
                b64decode(consensus["root"]["hash"]),
                bytes.fromhex(consensus["next_validators_hash"]),
            )
            raw = wrap_any(TENDERMINT_CLIENT_STATE, state.SerializeToString(deterministic=True))
            view.apply(module.initialise(view, CLIENT, raw, encode_consensus_state(first), now, OWN))
        elif kind == "MsgUpdateClient":
            header = ParseDict(without_types(message["header"]), ibc_tendermint_pb2.Header())
            raw = header.SerializeToString(deterministic=True)
            now = UnixNanos(decode_header(raw).block.header.time + 10**9)
            update = module.update(view, CLIENT, (TENDERMINT_HEADER, raw), now, OWN)
            assert not update.misbehaviour
            view.apply(update.outcome)
            updates += 1
        else:
            packets += verify_packet_message(module, view, message)
    assert updates
    assert packets
    assert module.status(view, CLIENT, now) == "Active"
