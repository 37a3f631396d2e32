"""Generated messages against bytes that other implementations produced (specs, marked there)."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from lockgate.codec import protobuf, type_urls
from lockgate.codec.wire import ibc_channel_pb2 as channel
from lockgate.codec.wire import ibc_client_pb2 as client
from lockgate.codec.wire import ibc_tendermint_pb2 as ics07
from lockgate.codec.wire import ics20_pb2 as ics20
from lockgate.codec.wire import ics23_pb2 as ics23
from lockgate.codec.wire import tendermint_pb2 as tm

IAVL_SPEC = "0a090801180120012a0100120c0a02000110211804200c3001"
TENDERMINT_SPEC = "0a090801180120012a0100120c0a0200011020180120013001"
GO_ZERO_TIME = Timestamp(seconds=-62135596800)


def test_proof_specs() -> None:
    leaf = ics23.LeafOp(hash=ics23.SHA256, prehash_value=ics23.SHA256, length=ics23.VAR_PROTO, prefix=b"\x00")
    inner: dict[str, Any] = {"child_order": [0, 1], "min_prefix_length": 4, "max_prefix_length": 12, "child_size": 33}
    iavl = ics23.ProofSpec(leaf_spec=leaf, inner_spec=ics23.InnerSpec(hash=ics23.SHA256, **inner))
    assert protobuf.serialize(iavl).hex() == IAVL_SPEC
    inner = {"child_order": [0, 1], "min_prefix_length": 1, "max_prefix_length": 1, "child_size": 32}
    simple = ics23.ProofSpec(leaf_spec=leaf, inner_spec=ics23.InnerSpec(hash=ics23.SHA256, **inner))
    assert protobuf.serialize(simple).hex() == TENDERMINT_SPEC


def test_client_state() -> None:
    """tendermint-light-client.md section 10, from the eureka fixtures."""
    state = ics07.ClientState(
        chain_id="simd-2",
        trust_level=ics07.Fraction(numerator=1, denominator=3),
        trusting_period=Duration(seconds=1209600),
        unbonding_period=Duration(seconds=1814400),
        max_clock_drift=Duration(seconds=15),
        latest_height=client.Height(revision_number=2, revision_height=38),
        proof_specs=[ics23.ProofSpec.FromString(bytes.fromhex(s)) for s in (IAVL_SPEC, TENDERMINT_SPEC)],
        upgrade_path=["upgrade", "upgradedIBCState"],
    )
    expected = (
        "0a0673696d642d32" "120408011003" "1a040880ea49" "22040880df6e" "2a02080f" "3200" "3a0408021026"
        f"4219{IAVL_SPEC}" f"4219{TENDERMINT_SPEC}"
        "4a0775706772616465" "4a1075706772616465644942435374617465"
    )  # fmt: skip
    assert protobuf.serialize(state).hex() == expected
    assert protobuf.parse_own(ics07.ClientState, bytes.fromhex(expected)) == state


def test_canonical_votes() -> None:
    """tendermint-light-client.md section 5."""
    vote = tm.CanonicalVote(type=tm.SIGNED_MSG_TYPE_PRECOMMIT, height=1, round=1, timestamp=GO_ZERO_TIME)
    body = "08021101000000000000001901000000000000002a0b088092b8c398feffffff01"
    assert protobuf.length_prefixed(protobuf.serialize(vote)).hex() == "21" + body
    vote = tm.CanonicalVote(height=1, round=1, timestamp=GO_ZERO_TIME, chain_id="test_chain_id")
    assert protobuf.length_prefixed(protobuf.serialize(vote)).hex() == (
        "2e1101000000000000001901000000000000002a0b088092b8c398feffffff01320d746573745f636861696e5f6964"
    )
    vote = tm.CanonicalVote(timestamp=GO_ZERO_TIME)
    assert protobuf.length_prefixed(protobuf.serialize(vote)).hex() == "0d2a0b088092b8c398feffffff01"


def test_small_cometbft_messages() -> None:
    assert protobuf.serialize(tm.BlockID()).hex() == "1200"
    assert protobuf.serialize(tm.Block()).hex() == "0a080a0022002a02120012001a00"
    params = tm.HashedParams(block_max_bytes=22020096, block_max_gas=-1)
    assert protobuf.serialize(params).hex() == "088080c00a10ffffffffffffffffff01"
    key = tm.PublicKey(ed25519=bytes.fromhex("6cd3651a5b39476e700b749df3bdb417fdfeec8641857703db630d16d3e4fefd"))
    assert protobuf.serialize(tm.SimpleValidator(pub_key=key, voting_power=10)).hex() == (
        "0a220a206cd3651a5b39476e700b749df3bdb417fdfeec8641857703db630d16d3e4fefd100a"
    )


def test_packet_and_token_data() -> None:
    """ibc-v2.md section 4."""
    value = b'{"denom":"uatom","amount":"1000000","sender":"sender","receiver":"receiver","memo":"memo"}'
    payload = channel.Payload(
        source_port="transfer",
        destination_port="transfer",
        version="ics20-1",
        encoding="application/json",
        value=value,
    )
    packet = channel.Packet(
        sequence=1,
        source_client="07-tendermint-0",
        destination_client="07-tendermint-1",
        timeout_timestamp=100,
        payloads=[payload],
    )
    encoded = protobuf.serialize(packet).hex()
    assert encoded.startswith("0801120f30372d74656e6465726d696e742d301a0f30372d74656e6465726d696e742d3120642a8b010a08")
    assert encoded.endswith("2a5a" + value.hex())
    data = ics20.FungibleTokenPacketData(
        denom="uatom", amount="1000000", sender="sender", receiver="receiver", memo="memo"
    )
    assert protobuf.serialize(data).hex() == (
        "0a057561746f6d1207313030303030301a0673656e646572220872656365697665722a046d656d6f"
    )


def test_our_descriptors_collide_with_nobody() -> None:
    for kind in type_urls.MESSAGES.values():
        assert kind.DESCRIPTOR.file.package.startswith("lockgate.wire.")


def test_type_urls_name_their_messages() -> None:
    for type_url, kind in type_urls.MESSAGES.items():
        assert type_url.rsplit(".", 1)[1] == kind.DESCRIPTOR.name
