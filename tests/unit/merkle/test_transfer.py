"""A tree that is moved node by node has the same root there, and what is no tree is refused."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.merkle.audit import audit
from lockgate.merkle.errors import BadTransfer
from lockgate.merkle.multistore import MultiStore
from lockgate.merkle.node import EMPTY_ROOT, reader, unread
from lockgate.merkle.ports import NONCE_BITS, Batch
from lockgate.merkle.roots import decode_roots, encode_roots
from lockgate.merkle.snapshot import Snapshot
from lockgate.merkle.transfer import Builder, Part, parts
from lockgate.storage.memory import MemoryNodes

Blocks = list[list[tuple[int, int | None]]]
BLOCKS = st.lists(
    st.lists(st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(0, 9))), max_size=40),
    min_size=1,
    max_size=8,
)


def made(blocks: Blocks) -> tuple[MultiStore, MemoryNodes]:
    nodes = MemoryNodes()
    state = MultiStore(("one",), nodes)
    for version, block in enumerate(blocks, 1):
        writes: dict[tuple[str, bytes], bytes | None] = {}
        for key, value in block:
            writes["one", b"key %02d" % key] = None if value is None else b"%d" % value
        state.apply(writes)
        state.commit(version)
    return state, nodes


def moved(nodes: MemoryNodes, version: int) -> list[Part]:
    number, digest = decode_roots(nodes.roots(version) or b"", version)["one"]
    return list(parts(number, digest, reader(nodes)))


def built(sent: list[Part], version: int) -> tuple[tuple[int, bytes], MemoryNodes]:
    target, builder = MemoryNodes(), Builder(version, {})
    stored = [builder.take(part) for part in sent]
    number, digest = builder.root()
    fill = reader(target)
    root = Snapshot(unread(number, digest) if number else None, fill)
    target.write(Batch(version, encode_roots([("one", root)]), stored))
    return (number, digest), target


@given(BLOCKS)
@settings(max_examples=150, deadline=None)
def test_every_kept_version_arrives_with_its_root_and_goes_on_alike(blocks: Blocks) -> None:
    state, nodes = made(blocks)
    for version in range(1, state.version + 1):
        (number, digest), target = built(moved(nodes, version), version)
        assert digest == state.view(version).snapshots["one"].root_hash
        if not number:
            assert digest == EMPTY_ROOT
            continue
        assert list(audit(target)) == [(version, state.hash_at(version))]
    there = MultiStore(("one",), target) if number else None
    if there is None:
        return
    assert list(there.scan("one", b"\x00", b"\xff")) == list(state.scan("one", b"\x00", b"\xff"))
    for version in (state.version + 1, state.version + 2):
        change = {("one", b"key %02d" % (7 * version % 60)): b"later", ("one", b"key 00"): None}
        change = {place: value for place, value in change.items() if value or state.get(*place)}
        for each in (state, there):
            each.apply(change)
            each.commit(version)
        assert there.app_hash == state.app_hash
    there.prune(there.version)
    assert list(audit(target)) == [(state.version, state.app_hash)], "numbers serve pruning as well"


def good() -> tuple[list[Part], int]:
    draw = random.Random(1)
    blocks: Blocks = [[(draw.randrange(60), draw.randrange(9)) for _ in range(20)] for _ in range(4)]
    state, nodes = made(blocks)
    return moved(nodes, state.version), state.version


def swapped(sent: list[Part]) -> list[Part]:
    leaves = [place for place, part in enumerate(sent) if not part.height]
    sent[leaves[3]], sent[leaves[4]] = sent[leaves[4]], sent[leaves[3]]
    return sent


def first_inner(change: Callable[[Part], Part]) -> Callable[[list[Part]], list[Part]]:
    def spoil(sent: list[Part]) -> list[Part]:
        place = next(place for place, part in enumerate(sent) if part.height)
        return [*sent[:place], change(sent[place]), *sent[place + 1 :]]

    return spoil


SPOILS: dict[str, Callable[[list[Part]], list[Part]]] = {
    "a leaf is missing": lambda sent: sent[1:],
    "the root is missing": lambda sent: sent[:-1],
    "leaves are swapped": swapped,
    "a leaf comes twice": lambda sent: [sent[0], *sent],
    "no value": lambda sent: [sent[0]._replace(value=b""), *sent[1:]],
    "no key": lambda sent: [sent[0]._replace(key=b""), *sent[1:]],
    "another inner key": first_inner(lambda part: part._replace(key=part.key + b"x")),
    "another height": first_inner(lambda part: part._replace(height=part.height + 1)),
    "too high": first_inner(lambda part: part._replace(height=64)),
    "negative height": first_inner(lambda part: part._replace(height=-1)),
    "version 0": lambda sent: [sent[0]._replace(version=0), *sent[1:]],
    "a version to come": lambda sent: [sent[0]._replace(version=99), *sent[1:]],
    "older than its child": first_inner(lambda part: part._replace(version=1)),
    "an inner node first": lambda sent: [sent[-1], *sent[:-1]],
    "many leaves, no inner node": lambda _: [Part(1, 0, b"%04d" % i, b"v") for i in range(200)],
}


@pytest.mark.parametrize("name", SPOILS)
def test_what_makes_no_tree_is_refused(name: str) -> None:
    sent, version = good()
    assert built(sent, version)[0][1]
    with pytest.raises(BadTransfer):
        built(SPOILS[name](list(sent)), version)


def test_another_value_gives_another_root() -> None:
    """Values and versions are hashed: the receiver, who knows the root, sees it when the tree is complete."""
    sent, version = good()
    root = built(sent, version)[0][1]
    assert built([sent[0]._replace(value=b"another"), *sent[1:]], version)[0][1] != root
    old = next(place for place, part in enumerate(sent) if not part.height and part.version > 1)
    assert built([*sent[:old], sent[old]._replace(version=1), *sent[old + 1 :]], version)[0][1] != root


def test_a_version_has_only_so_many_nodes() -> None:
    builder = Builder(1, {1: (1 << NONCE_BITS) - 2})
    builder.take(Part(1, 0, b"a", b"v"))
    with pytest.raises(BadTransfer):
        builder.take(Part(1, 0, b"b", b"v"))
