"""Stored nodes: what is written is read, and anything else is damage."""

from __future__ import annotations

import pytest

from lockgate.merkle.errors import NodeDamaged
from lockgate.merkle.iavl import Tree
from lockgate.merkle.node import Node, decode_into, encode, reader, unread
from lockgate.merkle.ports import Batch
from lockgate.storage.memory import MemoryNodes


def saved(count: int = 9) -> tuple[Node, Node]:
    """A saved inner node and a leaf."""
    tree = Tree(reader(None))
    for i in range(count):
        tree.set(b"key-%03d" % i * 3, b"value-%d" % i * 20)
    root = tree.save(Batch(70_000), 70_000).root
    assert root is not None
    node = root
    while node.height:
        node = node.left
    return root, node


@pytest.mark.parametrize("kind", [0, 1], ids=["inner", "leaf"])
def test_a_stored_node_is_read_as_it_was(kind: int) -> None:
    node = saved()[kind]
    again = unread(node.number, node.hash)
    decode_into(again, encode(node))
    assert (again.key, again.height, again.size, again.version) == (node.key, node.height, node.size, 70_000)
    if node.height:
        assert [(c.number, c.hash, c.height) for c in (again.left, again.right)] == [
            (c.number, c.hash, -1) for c in (node.left, node.right)
        ]
    else:
        assert again.value == node.value


@pytest.mark.parametrize("kind", [0, 1], ids=["inner", "leaf"])
def test_any_changed_or_missing_byte_is_damage(kind: int) -> None:
    node = saved()[kind]
    data = encode(node)
    spoilt = [data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :] for at in range(len(data)) for bit in range(8)]
    spoilt += [data[:at] for at in range(len(data))] + [data + b"\x00", data * 2]
    for bad in spoilt:
        again = unread(node.number, node.hash)
        with pytest.raises(NodeDamaged):
            decode_into(again, bad)
        assert again.height == -1, "a damaged node stays unread"


def test_a_node_under_another_number_or_hash_is_damage() -> None:
    inner, leaf = saved()
    for node, other in ((inner, leaf), (leaf, inner)):
        with pytest.raises(NodeDamaged):
            decode_into(unread(other.number, other.hash), encode(node))
        with pytest.raises(NodeDamaged, match="hash"):
            decode_into(unread(node.number + (1 << 24), node.hash), encode(node))


def test_a_missing_node_is_damage() -> None:
    for store in (None, MemoryNodes()):
        with pytest.raises(NodeDamaged, match="missing"):
            reader(store)(unread(1, b"h"))


def test_nodes_are_as_small_as_planned() -> None:
    """Eight slots and the object's two words; with the collector's two, 96 bytes."""
    assert Node.__basicsize__ <= 80
    with pytest.raises(AttributeError):
        Node().extra = 1  # type: ignore[attr-defined]  # slots
