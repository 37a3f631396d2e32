"""Keys, proof paths and identifiers of ICS-24."""

from __future__ import annotations

import pytest

from lockgate.ibc import host
from lockgate.ibc.errors import BadCounterparty, BadHostIdentifier
from lockgate.primitives.ids import Height


def test_the_three_provable_keys_are_those_of_ibc_go() -> None:
    start = b"channel-0"
    end = bytes(7) + b"\x01"
    assert host.packet_commitment("channel-0", 1) == start + b"\x01" + end
    assert host.packet_receipt("channel-0", 1) == start + b"\x02" + end
    assert host.packet_acknowledgement("channel-0", 1) == start + b"\x03" + end


def test_local_keys_are_those_of_ibc_go() -> None:
    client = "07-tendermint-3"
    assert host.async_packet(client, 258) == b"07-tendermint-3async_packet" + bytes(6) + b"\x01\x02"
    assert host.next_sequence_send(client) == b"nextSequenceSend/07-tendermint-3"
    assert host.client_state(client) == b"clients/07-tendermint-3/clientState"
    assert host.consensus_state(client, Height(2, 17)) == b"clients/07-tendermint-3/consensusStates/2-17"
    assert host.creator(client) == b"clients/07-tendermint-3/creator"
    assert host.counterparty(client) == b"clients/07-tendermint-3/counterparty"
    assert host.config(client) == b"clients/07-tendermint-3/config"


def test_a_key_is_appended_to_the_last_prefix_element() -> None:
    assert host.proof_path((b"ibc", b""), b"key") == (b"ibc", b"key")
    assert host.proof_path((b"ibc", b"test/"), b"key") == (b"ibc", b"test/key")
    assert host.proof_path((b"",), b"key") == (b"key",)


@pytest.mark.parametrize("prefix", [(), (b"", b"x"), (b"a", b"", b"b")])
def test_a_prefix_with_a_hole_is_refused(prefix: tuple[bytes, ...]) -> None:
    with pytest.raises(BadCounterparty):
        host.proof_path(prefix, b"key")


@pytest.mark.parametrize("name", ["a" * 8, "a" * 64, "07-tendermint-0", "a.b_c+d-e#f[g]<h>"])
def test_a_packet_may_name_these_clients(name: str) -> None:
    assert host.check_client(name) == name


@pytest.mark.parametrize("name", ["a" * 7, "a" * 65, "", "seven/chars", "white space", "übertrag", "abcdefgh\n"])
def test_a_packet_may_not_name_these_clients(name: str) -> None:
    with pytest.raises(BadHostIdentifier):
        host.check_client(name)


@pytest.mark.parametrize("name", ["aa", "a" * 128, "transfer"])
def test_a_payload_may_name_these_ports(name: str) -> None:
    assert host.check_port(name) == name


@pytest.mark.parametrize("name", ["a", "a" * 129, "a/b", "", "a b"])
def test_a_payload_may_not_name_these_ports(name: str) -> None:
    with pytest.raises(BadHostIdentifier):
        host.check_port(name)


@pytest.mark.parametrize(
    ("client", "kind"),
    [("07-tendermint-0", "07-tendermint"), ("a-1", "a"), ("a_b-c-22", "a_b-c"), ("x-18446744073709551615", "x")],
)
def test_the_type_of_a_client_is_what_stands_before_its_number(client: str, kind: str) -> None:
    assert host.client_type(client) == kind
    assert host.is_client_id(client)


@pytest.mark.parametrize(
    "client", ["client", "-1", "a--", "a-", "-a-1", "a--1", "a-1b", "a-18446744073709551616", "a-1\n", "ä-1", "a/b-1"]
)
def test_other_names_are_no_client_ids(client: str) -> None:
    assert not host.is_client_id(client)
    with pytest.raises(BadHostIdentifier):
        host.client_type(client)


def test_the_local_host_counts_as_a_client_id_in_paths() -> None:
    assert host.is_client_id("09-localhost")


def test_a_long_hostile_name_is_judged_in_linear_time() -> None:
    assert not host.is_client_id("a-" * 100_000)
    assert not host.is_client_id("a" * 200_000)
