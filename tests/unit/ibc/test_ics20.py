"""Denominations, vouchers, escrow accounts, and transfer data in its three encodings."""

from __future__ import annotations

import json

import pytest

from lockgate.codec.errors import Malformed
from lockgate.ibc import ics20
from lockgate.ibc.commitment import commit_packet
from lockgate.ibc.denom import Denom, Hop, check_local_name, escrow_address, parse_path
from lockgate.ibc.errors import BadData
from lockgate.ibc.ics20 import JSON, PROTOBUF, SOLIDITY_ABI, TransferData
from lockgate.ibc.packet import Packet, Payload
from lockgate.ibc.solidity import decode_packet, encode_packet
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds

DATA = TransferData(denom="uatom", amount=1_000_000, sender="sender", receiver="receiver", memo="memo")


@pytest.mark.parametrize(
    ("path", "voucher"),
    [
        ("transfer/channel-0/uatom", "ibc/27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2"),
        ("transfer/07-tendermint-1/uatom", "ibc/DE7AB45B38586C5473CD1D726A6DDD4B7DD919A219BA197045BFE4BAC84DCF32"),
    ],
)
def test_voucher_names(path: str, voucher: str) -> None:
    denom = parse_path(path)
    assert denom.local_name == voucher
    assert denom.path == path
    check_local_name(voucher)


def test_a_round_trip_restores_the_name() -> None:
    """The token crosses to a ledger, on to a third, and back; same base names never meet."""
    home = parse_path("uatom")
    away = home.crossed("transfer", "07-tendermint-1")
    farther = away.crossed("transfer", "07-tendermint-5")
    assert farther.path == "transfer/07-tendermint-5/transfer/07-tendermint-1/uatom"
    assert len({home.local_name, away.local_name, farther.local_name}) == 3
    assert farther.came_over("transfer", "07-tendermint-5")
    assert not farther.came_over("transfer", "07-tendermint-1")
    assert not home.came_over("transfer", "07-tendermint-1")
    assert farther.returned().returned() == home
    assert parse_path(farther.path) == farther


@pytest.mark.parametrize(
    ("path", "base", "hops"),
    [
        ("a/channel-18446744073709551615/b", "b", 1),
        ("a/channel-18446744073709551616/b", "a/channel-18446744073709551616/b", 0),
        ("a/09-localhost/b", "b", 1),
        ("a/channel-x/b", "a/channel-x/b", 0),
        ("a/b", "a/b", 0),
        ("", "", 0),
    ],
)
def test_where_hops_end(path: str, base: str, hops: int) -> None:
    denom = parse_path(path)
    assert (denom.base, len(denom.hops)) == (base, hops)


def test_escrow_accounts() -> None:
    assert escrow_address("transfer", "07-tendermint-0").hex() == "a7349d49e088e5e5ace9817e458bbc697f379d54"
    assert len(escrow_address("transfer", "channel-141")) == 20


def test_the_worked_example_in_three_encodings() -> None:
    assert ics20.encode(DATA, JSON) == (
        b'{"denom":"uatom","amount":"1000000","sender":"sender","receiver":"receiver","memo":"memo"}'
    )
    assert ics20.encode(DATA, PROTOBUF).hex() == (
        "0a057561746f6d1207313030303030301a0673656e646572220872656365697665722a046d656d6f"
    )
    value = ics20.encode(DATA, SOLIDITY_ABI)
    assert len(value) == 448

    def commitment(encoding: str) -> str:
        payload = Payload(
            source_port="transfer", destination_port="transfer", version="ics20-1", encoding=encoding,
            value=ics20.encode(DATA, encoding),
        )  # fmt: skip
        return commit_packet(
            Packet(
                sequence=1, source_client=ClientId("07-tendermint-0"), destination_client=ClientId("07-tendermint-1"),
                timeout=UnixSeconds(100), payloads=(payload,),
            )
        ).hex()  # fmt: skip

    assert commitment(JSON) == "a096722aa6534040a0efbdae05765132a7b223ad306d6512f3734821bd046505"
    assert commitment(SOLIDITY_ABI) == "d408dca5088b9b375edb3c4df6bae0e18084fc0dbd90fcd0d028506553c81b25"
    assert commitment(PROTOBUF) == "eaafa839c3911ca976230f3d33906cad03a96f422a733a5e9c92f10aea5c6cd4"


def test_json_is_written_as_go_writes_it() -> None:
    data = TransferData(denom="a<b>&c", amount=1, sender="s\u2028\n\x00", receiver='"é"', memo="")
    assert ics20.encode(data, JSON).decode() == (
        '{"denom":"a\\u003cb\\u003e\\u0026c","amount":"1","sender":"s\\u2028\\n\\u0000","receiver":"\\"é\\""}'
    )
    assert ics20.decode(ics20.encode(data, JSON), JSON) == data


GOOD = '{"denom":"uatom","amount":"1","sender":"s","receiver":"r"}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD + " ",
        GOOD.replace(",", ", "),
        GOOD.replace('"s"', '"s","memo":""'),
        GOOD.replace('"s"', '"s","extra":"x"'),
        GOOD.replace('"s"', '"s","sender":"s"'),
        GOOD.replace('"1"', "1"),
        GOOD.replace('"1"', '"01"'),
        GOOD.replace('"1"', '"+1"'),
        GOOD.replace('"1"', '"-1"'),
        GOOD.replace('"1"', '"1_0"'),
        GOOD.replace('"1"', '"٣"'),
        GOOD.replace('"1"', '""'),
        GOOD.replace('"1"', f'"{2**256}"'),
        GOOD.replace('"1"', f'"{"9" * 5000}"'),
        GOOD.replace('"1"', "9" * 5000),
        GOOD.replace("uatom", "u\\u0061tom"),
        GOOD.replace("uatom", "\\ud800"),
        '{"amount":"1","denom":"uatom","sender":"s","receiver":"r"}',
        "[]",
        "null",
        "",
        "[" * 100_000,
    ],
)
def test_other_json_is_refused(text: str) -> None:
    assert ics20.decode(GOOD.encode(), JSON).amount == 1
    with pytest.raises(BadData):
        ics20.decode(text.encode(), JSON)


def test_json_in_another_text_encoding_is_refused() -> None:
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        with pytest.raises(BadData):
            ics20.decode(GOOD.encode(encoding), JSON)


@pytest.mark.parametrize("encoding", [JSON, PROTOBUF, SOLIDITY_ABI])
def test_every_altered_byte_is_refused_or_read_as_itself(encoding: str) -> None:
    value = ics20.encode(DATA, encoding)
    for at in range(len(value)):
        altered = value[:at] + bytes((value[at] ^ 0x21,)) + value[at + 1 :]
        try:
            data = ics20.decode(altered, encoding)
        except (BadData, Malformed):
            continue
        assert ics20.encode(data, encoding) == altered
        assert data != DATA


def test_protobuf_with_unknown_fields_is_refused() -> None:
    value = ics20.encode(DATA, PROTOBUF)
    with pytest.raises(Malformed):
        ics20.decode(value + b"\x32\x01x", PROTOBUF)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(BadData):
        ics20.decode(b"x", "application/xml")
    with pytest.raises(BadData):
        ics20.encode(DATA, "")


@pytest.mark.parametrize(
    "spoiled",
    [
        TransferData(denom="uatom", amount=0, sender="s", receiver="r"),
        TransferData(denom="uatom", amount=1, sender=" ", receiver="r"),
        TransferData(denom="uatom", amount=1, sender="s", receiver=""),
        TransferData(denom="uatom", amount=1, sender="s", receiver="r" * 2049),
        TransferData(denom="uatom", amount=1, sender="s", receiver="r", memo="m" * 32_769),
        TransferData(denom="transfer/channel-1/transfer/channel-2", amount=1, sender="s", receiver="r"),
    ],
)
def test_transfers_nobody_makes_are_refused(spoiled: TransferData) -> None:
    ics20.check(DATA)
    with pytest.raises(BadData):
        ics20.check(spoiled)


@pytest.mark.parametrize("name", ["ibc/", "ibc/xyz", "ibc/" + "0" * 63, "1atom", "a", "a" * 129, "u tom"])
def test_local_names_no_ledger_has_are_refused(name: str) -> None:
    with pytest.raises(BadData):
        check_local_name(name)


def test_the_success_acknowledgement_is_the_one_of_ics20() -> None:
    assert json.loads(ics20.SUCCESS_ACKNOWLEDGEMENT) == {"result": "AQ=="}


def test_the_abi_form_of_a_packet_round_trips() -> None:
    payload = Payload(source_port="a", destination_port="bb", version="", encoding="e", value=b"\x00" * 33)
    packet = Packet(
        sequence=2**64 - 1, source_client=ClientId("client-0"), destination_client=ClientId("client-1"),
        timeout=UnixSeconds(7), payloads=(payload, payload),
    )  # fmt: skip
    data = encode_packet(packet)
    assert decode_packet(data) == packet
    with pytest.raises(Malformed):
        decode_packet(data + bytes(32))


def test_values_are_plain() -> None:
    assert Denom("x", (Hop("a", "b"),)).path == "a/b/x"
