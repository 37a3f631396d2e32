"""Commitments against the worked example of the digest and against the formula written out."""

from __future__ import annotations

from hashlib import sha256

from lockgate.ibc.commitment import (
    SENTINEL_COMMITMENT,
    commit_acknowledgement,
    commit_element,
    commit_packet,
    commit_value,
    name_hashes,
    route_hashes,
)
from lockgate.ibc.packet import SENTINEL, Acknowledgement, Packet
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds
from tests.support.values import replace
from tests.unit.ibc.test_packet import PACKET, PAYLOAD

JSON_VALUE = b'{"denom":"uatom","amount":"1000000","sender":"sender","receiver":"receiver","memo":"memo"}'


def written_out(packet: Packet) -> bytes:
    def h(data: bytes) -> bytes:
        return sha256(data).digest()

    payloads = b"".join(
        h(
            h(one.source_port.encode())
            + h(one.destination_port.encode())
            + h(one.version.encode())
            + h(one.encoding.encode())
            + h(one.value)
        )
        for one in packet.payloads
    )
    return h(b"\x02" + h(packet.destination_client.encode()) + h(packet.timeout.to_bytes(8, "big")) + h(payloads))


def test_the_worked_example() -> None:
    packet = replace(PACKET, payloads=(replace(PAYLOAD, value=JSON_VALUE),))
    assert commit_packet(packet).hex() == "a096722aa6534040a0efbdae05765132a7b223ad306d6512f3734821bd046505"
    twice = replace(packet, payloads=packet.payloads * 2)
    assert commit_packet(twice).hex() == "476ace7c95cf9f082be5977f8fc014ba6d39b53a7d195fd2d72225733016e0c9"


def test_names_too_long_to_remember_hash_alike() -> None:
    packet = replace(
        PACKET,
        timeout=UnixSeconds(2**64 - 1),
        destination_client=ClientId("x" * 64),
        payloads=(PAYLOAD, replace(PAYLOAD, version="v" * 500), replace(PAYLOAD, encoding="é" * 129)),
    )
    assert commit_packet(packet) == written_out(packet)


def test_acknowledgements() -> None:
    assert SENTINEL.hex() == "4774d4a575993f963b1c06573736617a457abef8589178db8d10c94b4ab511ab"
    assert SENTINEL_COMMITMENT.hex() == "e2fb30dfbf7abdeaca82d426534d2b3a9d5444dd2a87fa16d38b77ba1a13ced7"
    transfer = Acknowledgement((b'{"result":"AQ=="}',))
    assert commit_acknowledgement(transfer).hex() == (
        "8460e21f73b53d779e4b3291cd35338e92fae9998735f1a0b7150c074c0731a6"
    )


def test_what_is_hashed_in_parts_is_what_is_hashed_whole() -> None:
    for size in (1, 16, 54, 55, 56, 128, 129, 192, 193, 5_000):
        value = bytes(n % 251 for n in range(size))
        for payload in (PAYLOAD, replace(PAYLOAD, version="v" * 128)):
            packet = replace(PACKET, payloads=(replace(payload, value=value),))
            route = route_hashes(packet.destination_client, packet.timeout)
            assert commit_value(route, name_hashes(payload[:4]), value) == written_out(packet)
        for _ in range(2):
            assert commit_element(value) == commit_acknowledgement(Acknowledgement((value,)))


def test_every_field_but_source_and_sequence_is_bound() -> None:
    base = commit_packet(PACKET)
    assert commit_packet(replace(PACKET, sequence=2)) == base
    assert commit_packet(replace(PACKET, source_client=ClientId("07-tendermint-9"))) == base
    changed = [
        replace(PACKET, destination_client=ClientId("07-tendermint-9")),
        replace(PACKET, timeout=UnixSeconds(101)),
        replace(PACKET, payloads=(PAYLOAD, PAYLOAD)),
        *(
            replace(PACKET, payloads=(replace(PAYLOAD, **{name: value}),))  # type: ignore[arg-type]
            for name, value in (
                ("source_port", "other"), ("destination_port", "other"), ("version", "other"),
                ("encoding", "other"), ("value", b"other"),
            )
        ),
    ]  # fmt: skip
    assert len({base, *map(commit_packet, changed)}) == 1 + len(changed)


def test_bytes_cannot_move_between_fields() -> None:
    one = replace(PACKET, payloads=(replace(PAYLOAD, version="ab", encoding="c"),))
    other = replace(PACKET, payloads=(replace(PAYLOAD, version="a", encoding="bc"),))
    assert commit_packet(one) != commit_packet(other)
