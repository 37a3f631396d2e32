"""The walk over a whole store: it names the first bad version, whatever was altered."""

from __future__ import annotations

from binascii import crc32

from lockgate.merkle.audit import audit
from lockgate.merkle.errors import NodeDamaged
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.ports import NONCE_BITS
from lockgate.storage.memory import MemoryNodes


def ledger(versions: int = 6) -> tuple[MemoryNodes, list[bytes]]:
    nodes, hashes = MemoryNodes(), []
    store = MultiStore(("acc", "ibc"), nodes)
    for version in range(1, versions + 1):
        store.apply({("ibc", b"%02d/%d" % (i, version)): b"v" * i for i in range(1, 9)})
        hashes.append(store.commit(version))
    return nodes, hashes


def first_bad(nodes: MemoryNodes) -> int:
    """Version after the last one that was found good."""
    walk = audit(nodes)
    for expected in range(1, 99):
        try:
            version, _ = next(walk)
        except NodeDamaged:
            return expected
        assert version == expected
    raise AssertionError("nothing was found")


def test_a_good_store_yields_every_version_with_its_hash() -> None:
    nodes, hashes = ledger()
    assert list(audit(nodes)) == list(enumerate(hashes, 1))
    assert list(audit(MemoryNodes())) == []


def test_an_altered_or_missing_node_is_found_at_the_first_version_that_has_it() -> None:
    for number in list(ledger()[0]._nodes):
        nodes, _ = ledger()
        data = nodes._nodes[number]
        nodes._nodes[number] = data[:3] + bytes((data[3] ^ 1,)) + data[4:]
        assert first_bad(nodes) == number >> NONCE_BITS
        del nodes._nodes[number]
        assert first_bad(nodes) == number >> NONCE_BITS


def test_a_forged_routing_key_is_found_though_no_hash_covers_it() -> None:
    nodes, _ = ledger()
    number = next(n for n, data in nodes._nodes.items() if n >> NONCE_BITS == 3 and data[1])
    body = nodes._nodes[number][:-4].replace(b"/", b".", 1)
    nodes._nodes[number] = body + crc32(body).to_bytes(4, "big")
    assert first_bad(nodes) == 3


def test_a_root_record_that_points_elsewhere_is_found() -> None:
    nodes, _ = ledger()
    nodes._roots[4] = nodes._roots[4][:-1] + b"\x00"
    assert first_bad(nodes) == 4


def test_an_empty_store_has_the_empty_root() -> None:
    nodes, _ = ledger(1)
    record = nodes._roots[1]
    at = record.index(b"acc") + 3 + 8
    nodes._roots[1] = record[:at] + bytes(32) + record[at + 32 :]
    assert first_bad(nodes) == 1
