"""Third-party cases of IBC v2 packets: ibc-v2/{commitments, denom-traces, recorded-packets}."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lockgate.codec import abi
from lockgate.codec.errors import Malformed
from lockgate.ibc import host, ics20
from lockgate.ibc.commitment import commit_acknowledgement, commit_packet
from lockgate.ibc.denom import check_local_name, parse_path
from lockgate.ibc.errors import BadData
from lockgate.ibc.packet import Acknowledgement, Packet, Payload
from lockgate.ibc.solidity import decode_packet, encode_packet
from lockgate.primitives.ids import ClientId
from lockgate.primitives.time import UnixSeconds
from tests.vectors.sets import Tally, vector_set

Json = dict[str, Any]
NOT_ABI = {"denom": "", "sender": "", "receiver": "", "amount": "0", "memo": ""}

KEYS: dict[str, Callable[[str, int], bytes]] = {
    "commitment": host.packet_commitment,
    "receipt": host.packet_receipt,
    "acknowledgement": host.packet_acknowledgement,
}


def load(topic: str, name: str) -> list[tuple[Path, Any]]:
    return [(path, json.loads(path.read_bytes())) for path in sorted(vector_set(topic, name).glob("*.json"))]


def packet_of(case: Json) -> Packet:
    return Packet(
        sequence=case["sequence"],
        source_client=ClientId(case["source_client"]),
        destination_client=ClientId(case["dest_client"]),
        timeout=UnixSeconds(case["timeout_timestamp"]),
        payloads=tuple(
            Payload(
                source_port=one["source_port"], destination_port=one["dest_port"], version=one["version"],
                encoding=one["encoding"], value=bytes.fromhex(one["value"]),
            )
            for one in case["payloads"]
        ),
    )  # fmt: skip


def transfer_of(case: Json) -> ics20.TransferData:
    return ics20.TransferData(**{**case, "amount": int(case["amount"])})


def commits_to(case: Json) -> bool:
    packet = packet_of(case["packet"])
    data = transfer_of(case["ics20"])
    return commit_packet(packet).hex() == case["commitment"] and all(
        ics20.decode(one.value, one.encoding) == data and ics20.encode(data, one.encoding) == one.value
        for one in packet.payloads
    )


def acknowledges_to(case: Json) -> bool:
    acknowledgement = Acknowledgement(tuple(map(bytes.fromhex, case["acks"])))
    return bool(commit_acknowledgement(acknowledgement).hex() == case["commitment"])


def has_key(case: Json) -> bool:
    return bool(KEYS[case["kind"]](case["client"], case["sequence"]).hex() == case["key"])


def has_path(case: Json) -> bool:
    prefix = [element.encode() for element in case["prefix"]]
    return host.proof_path(prefix, case["path"].encode()) == tuple(one.encode() for one in case["expected"])


COMMITMENT_KINDS: dict[str, Callable[[Json], bool]] = {
    "packets": commits_to,
    "acks": acknowledges_to,
    "paths": has_key,
    "prefixed_paths": has_path,
}


def test_commitments() -> None:
    tally = Tally("ibc-v2", "commitments")
    for path, groups in load("ibc-v2", "commitments"):
        for kind, cases in groups.items():
            for number, case in enumerate(cases):
                tally.check(COMMITMENT_KINDS[kind](case), f"{path.name} {kind} {case.get('name', number)}")
    tally.close()


def parses(case: Json) -> bool:
    denom = parse_path(case["path"])
    hops = [[hop.port, hop.client] for hop in denom.hops]
    # A path that ends in a hop has no base; it is no denomination, and only those are written back.
    written = not denom.base or denom.path == case["path"]
    return (denom.base, hops) == (case["base"], case["hops"]) and written


def is_judged(case: Json) -> bool:
    try:
        check_local_name(case["denom"])
    except BadData:
        return not case["ok"]
    return bool(case["ok"])


def test_denom_traces() -> None:
    tally = Tally("ibc-v2", "denom-traces")
    for path, cases in load("ibc-v2", "denom-traces"):
        for case in cases:
            judge = is_judged if "ok" in case else parses
            tally.check(judge(case), f"{path.name} {case['name']}")
    tally.close()


def read_abi(value: bytes) -> ics20.TransferData | None:
    try:
        denom, sender, receiver, amount, memo = abi.decode(abi.FUNGIBLE_TOKEN_PACKET_DATA, value)
    except Malformed:
        return None
    return ics20.TransferData(denom=denom, amount=amount, sender=sender, receiver=receiver, memo=memo)


def payload_agrees(payload: Payload, recorded: Json) -> bool:
    """Does the payload read as `recorded`, the set's own reading of it as an ICS-20 version 1 ABI tuple?

    The set read every value as that tuple, whatever the payload says it is. So a JSON value has an
    empty reading, and must be canonical JSON; and a value of another ICS-20 version has an accidental
    one, which a strict reader does not share: the bytes are no encoding of that tuple.
    """
    read = read_abi(payload.value)
    if payload.version != ics20.VERSION:
        return read is None
    if payload.encoding == ics20.JSON:
        data = ics20.decode(payload.value, ics20.JSON)
        return read is None and recorded == NOT_ABI and ics20.encode(data, ics20.JSON) == payload.value
    return read == transfer_of(recorded) and ics20.encode(read, ics20.SOLIDITY_ABI) == payload.value


def test_recorded_packets() -> None:
    tally = Tally("ibc-v2", "recorded-packets")
    for path, cases in load("ibc-v2", "recorded-packets"):
        for number, case in enumerate(cases):
            packet, encoded = packet_of(case["packet"]), bytes.fromhex(case["abi"])
            good = (
                decode_packet(encoded) == packet
                and encode_packet(packet) == encoded
                and commit_packet(packet).hex() == case["commitment"]
                and all(payload_agrees(payload, case["ics20"]) for payload in packet.payloads)
            )
            tally.check(good, f"{path.name} {number}")
    tally.close()
